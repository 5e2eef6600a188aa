"""One of eight nodes becomes slow to its first token: how fast it is left alone, and how fast it is taken back."""

import asyncio
import time
from collections.abc import AsyncIterator

from benchmarks.faults.bench import NAME, Bench, Figure, bench, fleet, percent
from benchmarks.faults.load import ANSWERED, Outcome, at_rate, chat
from tests.support.faults import Behaviour
from tests.support.faulty import FaultyNode

NODES = 8
SLOW_S = 20.0
PER_S = 100.0
USUAL_S = 0.05
LEFT_ALONE_S = 30.0
LEFT_ALONE_GOAL = 0.01
BACK_S = 90.0
#: A full share is a node's part of the traffic; chance spreads single windows around it.
FULL_SHARE = 0.8
WINDOW_S = 10.0
#: Faults that the fleet is to recover from without help, besides being slow.
STATES = ("refuse", "500", "429", "hang", "garbage", "401", "402", "404")


async def run() -> AsyncIterator[Figure]:
    """One gateway: well, then slow for a minute, then well again; the load never stops."""
    nodes = fleet(NODES)
    usual = Behaviour(first_token_s=USUAL_S)
    async with bench(nodes) as up:
        for node in nodes:
            await node.become(usual)
        load = asyncio.create_task(_load(up, 10 + 60 + BACK_S + 5))
        await asyncio.sleep(10)
        slow_from_s = time.monotonic()
        await nodes[0].become(Behaviour(first_token_s=SLOW_S))
        await asyncio.sleep(60)
        well_from_s = time.monotonic()
        await nodes[0].become(usual)
        outcomes = await load
    late = slow_from_s + LEFT_ALONE_S
    share = _share(nodes, nodes[0], late, well_from_s)
    yield Figure(
        "share of the slow node after 30 s",
        f"{100 * share:.2f} %",
        f"< {100 * LEFT_ALONE_GOAL:.0f} %",
        share < LEFT_ALONE_GOAL,
    )
    back_s = _back_s(nodes, nodes[0], well_from_s)
    yield Figure(
        "back in full share after",
        "never" if back_s is None else f"{back_s:.0f} s",
        f"<= {BACK_S:.0f} s",
        back_s is not None and back_s <= BACK_S,
    )
    well = sum(outcome.kind == ANSWERED for outcome in outcomes)
    yield Figure("answered meanwhile", percent(well, len(outcomes)), ">= 99.9 %", well >= 0.999 * len(outcomes))
    async for figure in _states():
        yield figure


async def _states() -> AsyncIterator[Figure]:
    """One node of each kind of trouble at once; all are to be back in their share when the trouble is over."""
    nodes = fleet(2 * len(STATES) + 2)
    usual = Behaviour(first_token_s=USUAL_S)
    async with bench(nodes) as up:
        for node in nodes:
            await node.become(usual)
        sick = list(zip(nodes, STATES, strict=False))
        load = asyncio.create_task(_load(up, 15 + BACK_S + 5))
        for node, fault in sick:
            await node.become(Behaviour(fault=fault, retry_after_s=10))
        await asyncio.sleep(15)
        states = await up.node_rows()
        well_from_s = time.monotonic()
        for node, _ in sick:
            await node.become(usual)
        await load
    for node, fault in sick:
        back_s = _back_s(nodes, node, well_from_s)
        value = f"{states[node.name]['state']}, back after {'never' if back_s is None else f'{back_s:.0f} s'}"
        yield Figure(f"after {fault}: state, and its return", value, f"<= {BACK_S:.0f} s", back_s is not None)


async def _load(up: Bench, seconds: float) -> list[Outcome]:
    return await at_rate(PER_S, seconds, lambda number: up.client.ask(chat(NAME, stream=number % 2 == 0)))


def _share(nodes: list[FaultyNode], of: FaultyNode, from_s: float, until_s: float) -> float:
    asked = {node.name: sum(from_s <= seen.at_s < until_s for seen in node.seen) for node in nodes}
    return asked[of.name] / max(sum(asked.values()), 1)


def _back_s(nodes: list[FaultyNode], of: FaultyNode, from_s: float) -> float | None:
    """Seconds from `from_s` to the end of the first window in which the node has its full share."""
    for step in range(int(BACK_S) + 1):
        at_s = from_s + step
        if step >= WINDOW_S and _share(nodes, of, at_s - WINDOW_S, at_s) >= FULL_SHARE / len(nodes):
            return float(step)
    return None
