"""Sessions of many turns on a fleet: how many turns stay, how even the load is, who moves when a node dies."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

from benchmarks.faults.bench import NAME, Bench, Figure, bench, fleet, percent
from benchmarks.faults.load import ANSWERED, Outcome
from tests.support.faults import Behaviour

NODES = 8
SESSIONS, TURNS = 100, 50
AFTER_TURNS = 10
AT_ONCE = 20
STAYS_GOAL = 0.95
EVEN_GOAL = 1.25
PREFIX = "You are a careful assistant. " * 40


class Session:
    """One conversation that grows by a question and an answer each turn; every other one names a cache key."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.messages: list[dict[str, str]] = [
            {"role": "system", "content": f"{PREFIX} This is project {number}."},
        ]
        self.nodes: list[str] = []
        self.failed = 0

    async def turn(self, up: Bench) -> Outcome:
        self.messages.append({"role": "user", "content": f"Question {len(self.nodes)} of {self.number}."})
        body = {"model": NAME, "messages": self.messages, "stream": self.number % 3 == 0, "max_tokens": 64}
        if self.number % 2:
            body["prompt_cache_key"] = f"session-{self.number}"
        outcome = await up.client.ask(body)
        self.failed += outcome.kind != ANSWERED
        self.nodes.append(outcome.node)
        self.messages.append({"role": "assistant", "content": "word0 word1 word2 word3"})
        return outcome


async def run() -> AsyncIterator[Figure]:
    """All sessions side by side, `AT_ONCE` turns under way at a time; then one node dies and they go on."""
    nodes = fleet(NODES)
    async with bench(nodes) as up:
        for node in nodes:
            await node.become(Behaviour(first_token_s=0.01))
        sessions = [Session(number) for number in range(SESSIONS)]
        await _turns(up, sessions, TURNS)
        asked = [len(node.seen) for node in nodes]
        stayed = sum(
            now == before for each in sessions for before, now in zip(each.nodes, each.nodes[1:], strict=False)
        )
        turns = SESSIONS * (TURNS - 1)
        yield Figure("turns that stay with their node", percent(stayed, turns), ">= 95 %", stayed >= STAYS_GOAL * turns)
        uneven = max(asked) / (sum(asked) / len(asked))
        yield Figure("busiest node to mean", f"{uneven:.2f} x", f"<= {EVEN_GOAL} x", uneven <= EVEN_GOAL)
        homes = {each.number: Counter(each.nodes[-5:]).most_common(1)[0][0] for each in sessions}
        dead = Counter(homes.values()).most_common(1)[0][0]
        await next(node for node in nodes if node.name == dead).become(Behaviour(fault="refuse"))
        await _turns(up, sessions, AFTER_TURNS)
    others = [each for each in sessions if homes[each.number] != dead]
    moved = sum(Counter(each.nodes[-AFTER_TURNS:]).most_common(1)[0][0] != homes[each.number] for each in others)
    strayed = sum(node != homes[each.number] for each in others for node in each.nodes[-AFTER_TURNS:])
    yield Figure("sessions of living nodes that move when one dies", f"{moved} of {len(others)}", "0", moved == 0)
    yield Figure(
        "their turns away from home meanwhile", percent(strayed, len(others) * AFTER_TURNS), "<= 5 %",
        strayed <= (1 - STAYS_GOAL) * len(others) * AFTER_TURNS,
    )  # fmt: skip
    failed = sum(each.failed for each in sessions)
    yield Figure("turns that failed", str(failed), "0", failed == 0)


async def _turns(up: Bench, sessions: list[Session], turns: int) -> None:
    free = asyncio.Semaphore(AT_ONCE)

    async def live(session: Session) -> None:
        for _ in range(turns):
            async with free:
                await session.turn(up)

    await asyncio.gather(*map(live, sessions))
