"""One third of the nodes bad in each way: what clients notice, how often nodes are asked, when they are asked again."""

from collections.abc import AsyncIterator

from benchmarks.faults.bench import NAME, Figure, bench, fleet, percent
from benchmarks.faults.load import ANSWERED, BROKEN, CUT, Outcome, at_rate, chat, percentile_s
from msgspec import Struct
from tests.support.faults import Behaviour
from tests.support.faulty import FaultyNode

REQUESTS = 5_000
#: Slow enough that nodes which were left out come up again and again while it runs.
PER_S = 250.0
NODES, BAD = 9, 3
SUCCESS_GOAL = 0.999
ATTEMPTS_GOAL = 1.13
#: A request may be on its way to a node while its 429 is on the way back; so long it is no fault.
ON_THE_WAY_S = 0.25


class Way(Struct, frozen=True):
    """One way to be bad. `cuts_content` breaks streams after content, where no other node may be asked."""

    name: str
    behaviour: Behaviour
    cuts_content: bool = False


WAYS = (
    Way("refuse", Behaviour(fault="refuse")),
    Way("hang before the head", Behaviour(fault="hang")),
    Way("hang before the first token", Behaviour(fault="hang-after-head")),
    Way("reset before content", Behaviour(fault="reset")),
    Way("reset mid-stream", Behaviour(fault="reset", after_words=2), cuts_content=True),
    Way("429 with Retry-After", Behaviour(fault="429", retry_after_s=3)),
    Way("500 in bursts", Behaviour(fault="500", burst_s=1.0)),
    Way("garbage JSON", Behaviour(fault="garbage")),
    Way("partial SSE", Behaviour(fault="partial")),
    Way("error inside 200", Behaviour(fault="error-in-200")),
    Way("slow drip", Behaviour(fault="drip")),
    Way("wrong content type", Behaviour(fault="wrong-type")),
    Way("endless answer", Behaviour(fault="endless")),
    Way("endless content", Behaviour(fault="endless", after_words=1, drip_s=0.002), cuts_content=True),
)


async def run(only: str | None = None) -> AsyncIterator[Figure]:
    """A fresh gateway for each way (or for one), so that none inherits what another taught."""
    for way in WAYS:
        if only in (None, way.name):
            for figure in await one(way):
                yield figure


async def one(way: Way, requests: int = REQUESTS) -> list[Figure]:
    """One way: `requests` requests, every other streamed."""
    nodes = fleet(NODES)
    async with bench(nodes) as up:
        # The bad ones are spread: what stands first or last must not matter.
        for node in nodes[1 :: NODES // BAD]:
            await node.become(way.behaviour)
        outcomes = await at_rate(
            PER_S, requests / PER_S, lambda number: up.client.ask(chat(NAME, stream=number % 2 == 0))
        )
        records = await up.call_records(requests)
    return _figures(way, outcomes, records, nodes)


def _figures(way: Way, outcomes: list[Outcome], records: list[dict], nodes: list[FaultyNode]) -> list[Figure]:
    begun = [outcome for outcome in outcomes if outcome.kind in (BROKEN, CUT) and outcome.first_s is not None]
    before = [outcome for outcome in outcomes if outcome not in begun] if begun else outcomes
    well = sum(outcome.kind == ANSWERED for outcome in before)
    attempts = sum(record["attempts"] for record in records)
    arrived = sum(len(node.seen) for node in nodes)
    first = [outcome.first_s - outcome.asked_s for outcome in outcomes if outcome.first_s is not None]
    median_ms, slow_ms = (percentile_s(first, share) * 1e3 for share in (0.5, 0.99))
    success = Figure(
        f"{way.name}: success",
        f"{percent(well, len(before))} (first token p50 {median_ms:.0f}, p99 {slow_ms:.0f} ms)",
        f">= {100 * SUCCESS_GOAL} %",
        well >= SUCCESS_GOAL * len(before),
    )
    ratio = max(attempts, arrived) / len(outcomes)
    figures = [
        success,
        Figure(f"{way.name}: attempts", f"{ratio:.3f} x", f"<= {ATTEMPTS_GOAL} x", ratio <= ATTEMPTS_GOAL),
    ]
    if way.cuts_content:
        told = sum(outcome.kind == BROKEN and outcome.code != "" for outcome in begun)
        value = f"{told} of {len(begun)}"
        figures.append(Figure(f"{way.name}: cut streams told", value, "all", told == len(begun) > 0))
    if way.behaviour.fault == "429":
        early = sum(_early(node, way.behaviour.retry_after_s) for node in nodes)
        figures.append(Figure(f"{way.name}: asked too early", str(early), "0", early == 0))
    return figures


def _early(node: FaultyNode, retry_after_s: float) -> int:
    """Requests that came between an answer of 429 and the end of its Retry-After."""
    early = 0
    open_until_s = shut_until_s = 0.0
    for seen in sorted(node.seen, key=lambda seen: seen.at_s):
        if open_until_s < seen.at_s < shut_until_s:
            early += 1
        if seen.status == 429 and seen.answered_at_s is not None and seen.at_s >= shut_until_s:
            open_until_s = seen.answered_at_s + ON_THE_WAY_S
            shut_until_s = seen.answered_at_s + retry_after_s
    return early
