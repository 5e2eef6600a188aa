"""How long a node takes to its first content: a moving mean, and the calls that still wait. Pure."""

import math

from msgspec import Struct, field

#: The weight of a new sample. What is older counts less the longer it is past: after a silence the new one decides.
SAMPLE_WEIGHT = 0.3
AGED_S = 2.0


class Latency(Struct, eq=False):
    """`mean_s` of the samples so far (0 before the first), and by attempt, oldest first, since when it `waiting`s."""

    mean_s: float = 0.0
    sampled_s: float = 0.0
    waiting: "dict[object, float]" = field(default_factory=dict)

    def sample(self, took_s: float, now_s: float) -> None:
        """First content came after `took_s`."""
        took_s = max(took_s, 1e-6)
        if self.mean_s == 0.0:
            self.mean_s = took_s
        else:
            old = (1 - SAMPLE_WEIGHT) ** (1 + max(now_s - self.sampled_s, 0.0) / AGED_S)
            self.mean_s = self.mean_s * old + took_s * (1 - old)
        self.sampled_s = now_s

    def oldest_s(self, now_s: float) -> float:
        """How long the oldest call waits already; 0 where none does."""
        return now_s - next(iter(self.waiting.values())) if self.waiting else 0.0


def faded(value: float, age_s: float, halves_s: float) -> float:
    """What is left of a value that halves every `halves_s` seconds."""
    return value * math.exp2(-max(age_s, 0.0) / halves_s)
