"""What a failure of the database means for what was being done."""

from enum import Enum

from mira.errors import Kind, MiraError


class Failure(Enum):
    """How an error is to be met; each engine sorts its driver's errors into these."""

    DOWN = "the database cannot work now: disk full, connection lost, server away"
    AGAIN = "it lost against another transaction and goes through when it is tried again"
    TAKEN = "a row breaks a rule of its table, such as an id that is there already"
    WRONG = "anything else: the statement, or the code"


def store_down() -> MiraError:
    """What a client is told while the database cannot work."""
    return MiraError(Kind.STORE_DOWN, "The gateway's database is not available; try again.", retry_after_s=1.0)
