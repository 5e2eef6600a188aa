"""How a node's last calls ended: what of 30 seconds still counts. Pure."""

from msgspec import Struct

#: More than half of at least so many outcomes within the window eject a node.
OUTCOMES_TO_EJECT = 10
#: The window: the present slot and those before it.
PAST_SLOTS, SLOT_S = 5, 5.0


class Outcomes(Struct):
    """Good and bad outcomes of the present slot of 5 s, which ends at `until_s`, and of the five before it.

    Who counts one adds to `good` or `bad`, after `turn` where the slot is over.
    """

    until_s: float = 0.0
    good: int = 0
    bad: int = 0
    past: tuple[tuple[int, int], ...] = ()

    def turn(self, now_s: float) -> None:
        """Begins the slot of this moment."""
        slot = now_s // SLOT_S
        silent = min(int(slot - self.until_s // SLOT_S), PAST_SLOTS)
        self.past = (*self.past, (self.good, self.bad), *((0, 0),) * silent)[-PAST_SLOTS:]
        self.good = self.bad = 0
        self.until_s = (slot + 1) * SLOT_S

    def mostly_bad(self) -> bool:
        """Whether more than half of at least ten failed."""
        bad = self.bad + sum(slot[1] for slot in self.past)
        total = bad + self.good + sum(slot[0] for slot in self.past)
        return total >= OUTCOMES_TO_EJECT and bad * 2 > total
