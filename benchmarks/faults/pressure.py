"""A gateway that is stopped while it works, and one that is asked three times what its fleet can do."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from benchmarks.faults.bench import NAME, Bench, Figure, bench, fleet, percent
from benchmarks.faults.load import (
    ANSWERED,
    BROKEN,
    CUT,
    REFUSED,
    UNREACHED,
    Outcome,
    at_rate,
    chat,
    count,
    in_turns,
    percentile_s,
)
from tests.support.faults import Behaviour

PER_S = 100.0
#: Four nodes of ten places, each taken for 0.2 s: 200 answers a second.
NODES, PLACES, TAKES_S = 4, 10, 0.2
#: How long the gateway goes on after SIGTERM, as it does by default; the tests' gateways do not.
UNREADY_S = 2.0
RESTART_S = 12.0
OVERLOAD = 3
OVERLOAD_S = 10.0
GOODPUT_GOAL = 0.9
SHED_GOAL_S = 0.05


async def drain() -> AsyncIterator[Figure]:
    """SIGTERM and a new start in the middle of 100 requests a second, streams of a second among them.

    Who is not let in asks again, as clients do.
    """
    nodes = fleet(NODES)
    async with bench(nodes, tables={"server": {"unready_s": UNREADY_S}}) as up:
        for node in nodes:
            await node.become(Behaviour(first_token_s=0.2, gap_s=0.2, words=4))
        load = asyncio.create_task(at_rate(PER_S, RESTART_S, lambda number: _until_let_in(up, number)))
        await asyncio.sleep(RESTART_S / 3)
        up.gateway.terminate()
        status = await asyncio.to_thread(up.gateway.wait)
        await asyncio.to_thread(up.gateway.start)
        outcomes = await load
        held = (await asyncio.to_thread(up.gateway.balance))["held"]
        await asyncio.to_thread(up.gateway.check_ledger)
    answered = count(outcomes, ANSWERED)
    told = answered + count(outcomes, BROKEN) + count(outcomes, REFUSED)
    yield Figure(
        "accepted requests that ended as they should",
        f"{told} of {len(outcomes)}",
        "all",
        told == len(outcomes) > 0,
    )
    yield Figure("exit status", str(status), "0", status == 0)
    yield Figure("failed over the restart", f"{len(outcomes) - answered}", "0", answered == len(outcomes))
    yield Figure("credits still held afterwards", str(held), "0", float(held) == 0)


async def overload(bound: str, rows: dict[str, Any], server: dict[str, Any]) -> AsyncIterator[Figure]:
    """The capacity is measured first; then three times as much is asked for. `bound` says what bounds it."""
    nodes = fleet(NODES)
    async with bench(nodes, rows=rows, tables={"server": server}) as up:
        for node in nodes:
            await node.become(Behaviour(first_token_s=TAKES_S))
        began_s = time.monotonic()
        full = await in_turns(800, NODES * PLACES, lambda number: _ask(up, number))
        per_s = count(full, ANSWERED) / (time.monotonic() - began_s)
        outcomes = await at_rate(OVERLOAD * per_s, OVERLOAD_S, lambda number: _ask(up, number))
    answered = [outcome for outcome in outcomes if outcome.kind == ANSWERED]
    # The first and the last second are left out: the queue fills, and empties when nobody asks any more.
    from_s, until_s = outcomes[0].asked_s + 1, outcomes[0].asked_s + OVERLOAD_S
    good_per_s = sum(from_s <= outcome.ended_s < until_s for outcome in answered) / (until_s - from_s)
    shed = [outcome for outcome in outcomes if outcome.kind == REFUSED]
    shed_s = percentile_s((outcome.took_s for outcome in shed), 0.99)
    yield Figure(
        f"{bound}: goodput at {OVERLOAD} x {per_s:.0f}/s",
        f"{good_per_s:.0f}/s, {percent(good_per_s, per_s)} of capacity",
        f">= {100 * GOODPUT_GOAL:.0f} %",
        good_per_s >= GOODPUT_GOAL * per_s,
    )
    yield Figure(
        f"{bound}: shed answers, p99",
        f"{shed_s * 1e3:.0f} ms ({len(shed)} of {len(outcomes)})",
        f"<= {SHED_GOAL_S * 1e3:.0f} ms",
        bool(shed) and shed_s <= SHED_GOAL_S,
    )
    rightly = sum(outcome.status in (429, 503) and "retry-after" in outcome.headers for outcome in shed)
    yield Figure(
        f"{bound}: shed with 429 or 503 and Retry-After", f"{rightly} of {len(shed)}", "all", rightly == len(shed)
    )
    lost = count(outcomes, CUT) + count(outcomes, UNREACHED)
    yield Figure(f"{bound}: cut or not let in", str(lost), "0", lost == 0)


async def run() -> AsyncIterator[Figure]:
    """The drain, then overloads of the fleet and of the gateway itself."""
    async for figure in drain():
        yield figure
    async for figure in overload("nodes' max_in_flight", {"max_in_flight": PLACES}, {}):
        yield figure
    async for figure in overload("max_streams", {}, {"max_streams": NODES * PLACES}):
        yield figure


async def _until_let_in(up: Bench, number: int) -> Outcome:
    while True:
        outcome = await _ask(up, number)
        if outcome.kind != UNREACHED:
            return outcome
        await asyncio.sleep(0.05)


def _ask(up: Bench, number: int) -> "asyncio.Future[Outcome]":
    return asyncio.ensure_future(up.client.ask(chat(NAME, stream=number % 2 == 0)))
