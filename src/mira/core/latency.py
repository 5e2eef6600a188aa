"""How long a node takes to its first content: a moving mean, and the calls that still wait. Pure."""

import math

from msgspec import Struct, field

#: The weight of a new sample. What is older counts less the longer it is past: after a silence the new one decides.
SAMPLE_WEIGHT = 0.3
AGED_S = 2.0
_KEPT = 1 - SAMPLE_WEIGHT


class Latency(Struct, eq=False):
    """`mean_s` of the samples so far, 0 before the first; `waiting` are the unanswered calls, oldest first, by begin.

    `slowness` is the time over the fleet's median when it was last compared (at `compared_s`). `passed_over` are the
    choices that were lost because of what is known, since the last call at `asked_s`. At `recovered_s` one that was
    known to be slow showed that it no longer is.
    """

    mean_s: float = 0.0
    sampled_s: float = 0.0
    waiting: "dict[object, float]" = field(default_factory=dict)
    slowness: float = 1.0
    compared_s: float = 0.0
    passed_over: int = 0
    asked_s: float = 0.0
    recovered_s: float = -math.inf

    def sample(self, took_s: float, now_s: float) -> None:
        """First content came after `took_s`."""
        took_s = took_s or 1e-6
        if self.mean_s:
            old = _KEPT ** (1 + (now_s - self.sampled_s) / AGED_S)
            took_s = self.mean_s * old + took_s * (1 - old)
        self.mean_s, self.sampled_s = took_s, now_s

    def oldest_s(self, now_s: float) -> float:
        """How long the oldest call waits already; 0 where none does."""
        return now_s - next(iter(self.waiting.values())) if self.waiting else 0.0


def faded(value: float, age_s: float, halves_s: float) -> float:
    """What is left of a value that halves every `halves_s` seconds."""
    return value * math.exp2(-max(age_s, 0.0) / halves_s)
