"""How long a request body may take: a sender that drips must not keep a place that others could have."""

from mira.errors import Kind, MiraError

BODY_TIMEOUT_S = 60.0
#: A body may begin slowly; from then on it has to come at this rate on average.
GRACE_S = 10.0
LEAST_BYTES_PER_S = 1024


def deadline_s(began_s: float, size_bytes: int, most_s: float = BODY_TIMEOUT_S) -> float:
    """Until when more has to come of a body of which so much is here."""
    return began_s + min(most_s, GRACE_S + size_bytes / LEAST_BYTES_PER_S)


def too_slow(most_s: float = BODY_TIMEOUT_S) -> MiraError:
    """What a client is told whose body did not come in time."""
    return MiraError(
        Kind.BAD_REQUEST, f"the body came too slowly: send at least 1 KiB a second, and all of it within {most_s:.0f} s"
    )
