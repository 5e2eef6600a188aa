"""The score by which nodes of a model are compared: the lowest serves. Pure.

(in flight, but for what hangs from before a recovery, + 1) / (weight x slow start)
x clamp(max(mean time to first content, age of the oldest unanswered call) / the fleet's median, 0.5, 8)
x (1 + 20 x moving share of errors)
x max(1, 0.2 / headroom under rate limits) x max(1, 0.2 / headroom of credits)
"""

from collections.abc import Sequence
from typing import Any

from mira.core.headroom import headroom
from mira.core.health import Health, Lane
from mira.core.latency import Latency

SLOWEST, FASTEST = 8.0, 0.5
ERROR_FACTOR = 20.0
SCARCE = 0.2
LEAST_HEADROOM = 0.001
#: Times to first content below this are alike: what differs there is noise.
ALIKE_S = 0.05


def scores(offers: Sequence[Any], now_s: float, *, stream: bool) -> list[float]:
    """The scores of offers (see `mira.core.fleet.Offer`), in their order; notes at each lane how slow it is."""
    timed: list[Latency] = [offer.lane.timed(stream=stream) for offer in offers]
    times = [_time_s(each, now_s) for each in timed]
    median_s = _median([time_s for time_s in times if time_s])
    found: list[float] = []
    for offer, latency, time_s in zip(offers, timed, times, strict=True):
        health: Health = offer.node.health
        lane: Lane = offer.lane
        slowness = 1.0
        if median_s and time_s:
            slowness = min(max(time_s / median_s, FASTEST), SLOWEST)
        latency.slowness, latency.compared_s = slowness, now_s
        score = (health.in_flight - health.hung + 1) / (offer.node.weight * health.share(now_s)) * slowness
        if health.errors:
            score *= 1 + ERROR_FACTOR * health.errors_now(now_s)
        if lane.windows:
            score *= max(1.0, SCARCE / max(headroom(lane.windows, now_s), LEAST_HEADROOM))
        if health.purse.told_nanocredits is not None:
            score *= max(1.0, SCARCE / max(health.purse.headroom, LEAST_HEADROOM))
        found.append(score)
    return found


def _time_s(timed: Latency, now_s: float) -> float:
    """What a node takes to its first content; 0 where nothing is known. A young unanswered call says nothing yet."""
    oldest_s = timed.oldest_s(now_s)
    if timed.mean_s:
        return max(timed.mean_s, oldest_s, ALIKE_S)
    return oldest_s if oldest_s >= ALIKE_S * SLOWEST else 0.0


def _median(values: list[float]) -> float:
    """The lower median: of two nodes the faster one is the measure."""
    return sorted(values)[(len(values) - 1) // 2] if values else 0.0
