"""What a client is told of a call that something else than its node ended."""

from mira.errors import Kind, MiraError


def unwritten() -> MiraError:
    """The hold could not be written."""
    return MiraError(Kind.STORE_DOWN, "the ledger does not answer; try again", retry_after_s=1)


def stopping() -> MiraError:
    """This process ends."""
    return MiraError(Kind.UNAVAILABLE, "Mira is stopping; try again", retry_after_s=1)


def left() -> MiraError:
    """The client was gone; only a repetition under the same Idempotency-Key hears of it."""
    return MiraError(Kind.UPSTREAM_FAILED, "the answer was cut, because its client left before it was complete")
