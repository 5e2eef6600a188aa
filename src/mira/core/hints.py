"""What processes that share a database tell each other of nodes. Pure.

A hint can only demote: the node is passed over while there are others that are well. It says nothing of why calls of
this process fail, so it counts as no fault, and it ends by itself within a minute of the first of the observations in a
row that it stands for: a node that only one process cannot reach is not kept from the others for long.
"""

from msgspec import Struct

LONGEST_S = 60.0
#: A hint outlasts its block by this, so that the process whose observation it is can show first whether that holds.
GRACE_S = 5.0


class Hint(Struct, frozen=True):
    """What another process observed of a node, or of a `model` at it ("" for the node as a whole).

    `since_s` is when the first of such observations in a row was made, `until_s` when the hint ends.
    """

    node: str
    model: str
    state: str
    reason: str
    since_s: float
    until_s: float

    def holds(self, now_s: float, proved_s: float) -> bool:
        """Whether calls stay away: no call of ours that began since had content, as the youngest did at `proved_s`."""
        return now_s < self.until_s and proved_s < self.since_s


def freshest(hints: "list[Hint]", now_s: float) -> "dict[tuple[str, str], Hint]":
    """By node and model the youngest hint that has not ended: what contradicts it contradicts the older ones too."""
    found: dict[tuple[str, str], Hint] = {}
    for hint in hints:
        known = found.get((hint.node, hint.model))
        if now_s < hint.until_s and (known is None or known.since_s < hint.since_s):
            found[hint.node, hint.model] = hint
    return found
