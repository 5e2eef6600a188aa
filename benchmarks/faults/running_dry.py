"""A Mira among the nodes runs out of credits amid traffic: nobody notices, and it is never asked in vain."""

from collections.abc import AsyncIterator

from benchmarks.faults.bench import Figure, bench
from benchmarks.faults.load import ANSWERED, at_rate, chat
from tests.support.faults import Behaviour
from tests.support.faulty import MODEL, FaultyNode, Purse

PER_S = 100.0
SECONDS = 40.0
#: Small enough to be used up in some ten seconds of its share of the traffic.
POOR_NANOCREDITS = 8_000_000
RICH_NANOCREDITS = 10**15
REQUESTS_BEFORE = 50


async def run() -> AsyncIterator[Figure]:
    """Four nodes of kind mira, one of them poor, which is topped up again after a while."""
    poor = FaultyNode("poor", purse=Purse(POOR_NANOCREDITS))
    nodes = [poor, *(FaultyNode(f"rich-{index}", purse=Purse(RICH_NANOCREDITS)) for index in range(3))]
    async with bench(nodes, prices=()) as up:
        for node in nodes:
            await node.become(Behaviour(first_token_s=0.05))
        outcomes = await at_rate(PER_S, SECONDS, lambda number: up.client.ask(chat(MODEL, stream=number % 2 == 0)))
        states = await up.node_rows()
    assert poor.purse is not None
    failed = sum(outcome.kind != ANSWERED for outcome in outcomes)
    in_vain = sum(seen.unpayable for seen in poor.seen)
    late = sum(seen.at_s > outcomes[-1].asked_s - SECONDS / 4 for seen in poor.seen)
    left = poor.purse.balance_nanocredits
    yield Figure("client errors", f"{failed} of {len(outcomes)}", "0", failed == 0)
    yield Figure("requests sent below their worst case", f"{in_vain} of {len(poor.seen)}", "0", in_vain == 0)
    yield Figure(
        "of its credits used, before it was left alone",
        f"{100 * (1 - left / POOR_NANOCREDITS):.0f} % ({states['poor']['state']}, {late} at the end)",
        "> 50 %",
        left < POOR_NANOCREDITS / 2 and len(poor.seen) > REQUESTS_BEFORE,
    )
