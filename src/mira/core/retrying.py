"""How many attempts beyond the first may be made, so that a sick fleet is not drowned in repetitions. Pure."""

from msgspec import Struct

#: Attempts of one call, the first included; each goes to another node.
MAX_ATTEMPTS = 3
EXTRA_PER_REQUEST = 0.1
EXTRA_PER_S = 3.0
#: What can be saved up: enough for the calls that meet a node in the moment in which it falls over.
MOST_SAVED = 100.0


class RetryBudget(Struct):
    """A bucket of further attempts: a tenth for each request, and three a second. It starts full."""

    saved: float = MOST_SAVED
    counted_s: float = 0.0

    def request(self) -> None:
        """A request came."""
        if self.saved < MOST_SAVED:
            self.saved += EXTRA_PER_REQUEST

    def take(self, now_s: float) -> bool:
        """Takes one further attempt; False where none is left."""
        if now_s > self.counted_s:
            self.saved = min(self.saved + (now_s - self.counted_s) * EXTRA_PER_S, MOST_SAVED)
            self.counted_s = now_s
        if self.saved < 1:
            return False
        self.saved -= 1
        return True
