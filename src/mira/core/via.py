"""Which Miras a request has passed: each adds its name on the way to the next, and refuses one that comes back.

The header is written by Miras for Miras; other upstreams never see it.
"""

import re

from mira.errors import Kind, MiraError

HEADER = b"x-mira-via"
#: So many Miras in a row are no mistake yet.
MOST_PASSED = 8

_NAMES = re.compile(r"[A-Za-z0-9_-]{1,64}(?:,[A-Za-z0-9_-]{1,64})*")


def onward(told: str | None, own: str) -> str:
    """What the next Mira is told: the names that came with the request, and our own.

    MiraError LOOP_DETECTED where our own is among them or the chain grows too long, BAD_REQUEST for anything else.
    """
    if told is None:
        return own
    told = told.replace(" ", "")
    if not _NAMES.fullmatch(told):
        raise MiraError(Kind.BAD_REQUEST, "the header x-mira-via is for Miras in a row; leave it out")
    passed = told.split(",")
    if own in passed:
        raise MiraError(
            Kind.LOOP_DETECTED,
            "this request has been here before: Miras that are each other's nodes sent it round in a loop; "
            "the operator must take one of them out of the other's nodes",
        )
    if len(passed) >= MOST_PASSED:
        raise MiraError(Kind.LOOP_DETECTED, f"this request has passed {len(passed)} Miras in a row, more are refused")
    return f"{told},{own}"
