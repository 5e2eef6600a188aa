"""How long each phase of an exchange with a node may take, and what a call leaves of it."""

from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

#: A whole answer shows nothing before it is done: for each token of its cap its head may come so much later.
WHOLE_ANSWER_S_PER_TOKEN = 0.03
#: What an attempt leaves of a call's time for another node, where there is one, and the least it gets itself.
SHARE_OF_ATTEMPT = 0.5
LEAST_S = 0.05


class Timeouts(Struct, frozen=True):
    """Seconds allowed for each phase of one exchange; they fire up to half a second late (one shared coarse timer).

    `connect_s`: waiting for a free connection, name lookup, TCP, proxy and TLS together. `head_s`: from the request
    written to the final head of the answer, None for no limit of its own. `idle_s`: between two reads of the body, or
    without progress of a large upload; time in which the caller itself paused reading does not count. `total_s`: from
    the call of `request` to the last byte, whatever happens.
    """

    connect_s: float = 5.0
    head_s: float | None = 60.0
    idle_s: float = 60.0
    total_s: float = 600.0


#: The local model reads long prompts slowly: nothing bounds its first token.
LOCAL_TIMEOUTS = Timeouts(head_s=None, idle_s=600.0, total_s=3600.0)


@lru_cache(maxsize=256)
def for_attempt(own: Timeouts, left_s: float, *, whole_cap: int | None, others: bool) -> Timeouts:
    """What one attempt may take of the `left_s` seconds that its call still has; `own` are the node's.

    `whole_cap` is the output cap of an answer that comes whole, None for a stream. With `others` there is another node
    to be tried, so that waiting for the first content must not use up the call's whole time.

    Most calls have one of a few caps and all of their time, so that most are answered from what was worked out before.
    """
    head_s = own.head_s
    if head_s is not None:
        if whole_cap is not None:
            head_s += whole_cap * WHOLE_ANSWER_S_PER_TOKEN
        head_s = max(min(head_s, left_s * SHARE_OF_ATTEMPT if others else left_s), LEAST_S)
    if own.total_s <= left_s and head_s == own.head_s:
        return own
    total_s = max(min(own.total_s, left_s), LEAST_S)
    return replace(own, connect_s=min(own.connect_s, total_s), head_s=head_s, total_s=total_s)
