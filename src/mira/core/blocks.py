"""Why calls stay away from a node or from a model at it, until when, and what one call then has to show. Pure."""

from msgspec import Struct

from mira.core.hints import GRACE_S, Hint
from mira.core.hints import LONGEST_S as HINT_LONGEST_S

#: The first and the longest time for which a node is left alone, doubled with each time in a row.
FIRST_S = {"ejected": 10.0, "exhausted": 10.0, "bad-credentials": 10.0, "limited": 5.0, "model-missing": 10.0}
LONGEST_S = 300.0
JITTER = 0.1
#: What a node may ask for itself (Retry-After).
LONGEST_TOLD_S = 600.0


class Standing(Struct, frozen=True):
    """A state as people see it: the word, why, and in how many seconds it ends by itself where that is known."""

    state: str
    reason: str | None = None
    returns_in_s: float | None = None


class Block(Struct, eq=False):
    """Calls stay away until `until_s`; then one at a time may try. `strikes` counts how often in a row that went wrong.

    `since_s` is when it began, `first_s` when the first in a row did; `good` are the calls that began well since.
    `trial` is the call that tries (see `mira.core.health.Attempt`).
    """

    state: str
    reason: str
    since_s: float
    until_s: float
    strikes: int = 0
    good: int = 0
    trial: object | None = None
    first_s: float = 0.0

    def hint(self, node: str, model: str = "") -> Hint:
        """What other processes are told of it."""
        until_s = min(self.until_s + GRACE_S, self.first_s + HINT_LONGEST_S)
        return Hint(node, model, self.state, self.reason, self.first_s, until_s)

    def ready(self, now_s: float) -> bool:
        """Whether one live call may try."""
        return self.until_s <= now_s and self.trial is None

    def standing(self, now_s: float) -> Standing:
        """The state in words."""
        if self.until_s > now_s:
            return Standing(self.state, self.reason, round(self.until_s - now_s, 1))
        return Standing("half-open", f"after {self.state}: {self.reason}")


def renewed(
    block: Block | None,
    state: str,
    reason: str,
    now_s: float,
    jitter: float,
    *,
    strikes: int,
    told_s: float | None = None,
) -> Block:
    """A block from now on; of two deadlines the later one wins.

    `told_s` is how long the node wants to be left alone, None where it does not say, `jitter` a random number 0 to 1.
    """
    if told_s is not None:
        wait_s = min(max(told_s, 0.0), LONGEST_TOLD_S)
    else:
        wait_s = min(FIRST_S[state] * 2.0 ** min(strikes, 10), LONGEST_S) * (1 - JITTER + 2 * JITTER * jitter)
    until_s = now_s + wait_s if block is None else max(now_s + wait_s, block.until_s)
    first_s = now_s if block is None else block.first_s
    return Block(state=state, reason=reason, since_s=now_s, until_s=until_s, strikes=strikes, first_s=first_s)


def hinted(hint: Hint, now_s: float) -> Standing:
    """What another process warned of, in words."""
    return Standing("degraded", f"another process: {hint.state}, {hint.reason}", round(hint.until_s - now_s, 1))
