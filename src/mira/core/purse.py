"""What an upstream workspace can still pay for, between two looks at its balance. Pure; the caller passes the time."""

from msgspec import Struct

#: A purse that lasts this long at its present rate is full, as far as routing is concerned.
FULL_RUNWAY_S = 600.0
#: How fast the measured rate of spending follows: a half of what is older than this still counts.
RATE_HALF_LIFE_S = 60.0
#: Rates are taken over at least this long, so that one call is no trend.
LEAST_SPAN_S = 5.0


class Purse(Struct):
    """A node's credits in nano-credits.

    `told` is what the node said was available when it was last asked, None where it does not tell. From then on Mira
    reckons by itself: calls under way count with their worst case, those that ended with their cost. A call that was
    under way when the node was asked is counted by both, so the reckoning errs towards less.
    """

    told_nanocredits: int | None = None
    told_at_s: float = 0.0
    reserved_nanocredits: int = 0
    spent_nanocredits: int = 0
    rate_nanocredits_per_s: float = 0.0

    @property
    def available_nanocredits(self) -> int | None:
        """What is left for further calls, None where the node does not tell."""
        if self.told_nanocredits is None:
            return None
        return self.told_nanocredits - self.spent_nanocredits - self.reserved_nanocredits

    def covers(self, worst_nanocredits: int) -> bool:
        """Whether a call of this worst case can be paid; an unknown purse is believed until it answers otherwise."""
        left = self.available_nanocredits
        return left is None or left >= worst_nanocredits

    def reserve(self, worst_nanocredits: int) -> None:
        """A call goes to the node."""
        self.reserved_nanocredits += worst_nanocredits

    def release(self, worst_nanocredits: int, cost_nanocredits: int) -> None:
        """A call has ended at this cost."""
        if worst_nanocredits:
            self.reserved_nanocredits = max(0, self.reserved_nanocredits - worst_nanocredits)
        if cost_nanocredits > 0:
            self.spent_nanocredits += cost_nanocredits

    def tell(
        self, available_nanocredits: int | None, now_s: float, spent_before_nanocredits: int | None = None
    ) -> None:
        """Takes the node's own word; None where it does not say.

        `spent_before_nanocredits` is what had been spent when it was asked: calls that ended since then may be younger
        than its word, and are still taken off. None where no time has passed.
        """
        if spent_before_nanocredits is None:
            spent_before_nanocredits = self.spent_nanocredits
        span_s = now_s - self.told_at_s
        if self.told_nanocredits is not None and span_s >= LEAST_SPAN_S:
            weight = 0.5 ** (span_s / RATE_HALF_LIFE_S)
            rate = spent_before_nanocredits / span_s
            self.rate_nanocredits_per_s = weight * self.rate_nanocredits_per_s + (1 - weight) * rate
        self.told_nanocredits = available_nanocredits
        self.told_at_s = now_s
        self.spent_nanocredits = max(0, self.spent_nanocredits - spent_before_nanocredits)

    def exhausted(self, now_s: float) -> None:
        """The node refused to pay (402): where it tells, nothing is sent to it until it tells of credits again."""
        if self.told_nanocredits is not None:
            self.tell(0, now_s)

    @property
    def runway_s(self) -> float | None:
        """How long the credits last at the present rate; None where unknown, infinite where nothing is spent."""
        left = self.available_nanocredits
        if left is None:
            return None
        if left <= 0:
            return 0.0
        return left / self.rate_nanocredits_per_s if self.rate_nanocredits_per_s > 0 else float("inf")

    @property
    def short(self) -> bool:
        """Whether it is worth asking the node again soon: it may not last, or much has gone since it told."""
        left = self.available_nanocredits
        if left is None or self.told_nanocredits is None:
            return False
        return self.headroom < 1.0 or left * 2 <= self.told_nanocredits

    @property
    def headroom(self) -> float:
        """From 0 (empty) to 1 (unknown, or lasts `FULL_RUNWAY_S`): the term of the score."""
        runway_s = self.runway_s
        return 1.0 if runway_s is None else min(1.0, runway_s / FULL_RUNWAY_S)
