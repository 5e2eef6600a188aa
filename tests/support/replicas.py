"""Several gateways on one PostgreSQL, and what may be asked of them together.

The scenarios return figures. Tests assert on small ones, `benchmarks/replicas.py` prints large ones.
"""

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.support.gateway import Gateway, openai_node, price
from tests.support.postgres import Cluster
from tests.support.traffic import CAP, FLAT, PATIENCE_S, Told, Traffic, call, http, uses
from tests.support.upstream import Moment, Upstream, answers, completion


@contextlib.contextmanager
def replicas(
    url: str, upstream: Upstream, folder: Path, count: int = 3, flags: Sequence[str] = (), **settings: Any
) -> Iterator[list[Gateway]]:
    """Gateways with data folders of their own on the database at `url`, all started at once; they end in order."""
    made = [
        Gateway(
            folder / f"gateway{number}",
            nodes=[openai_node(upstream.url, models=[FLAT])],
            prices=[price(f"openai/{FLAT}", "0", "2")],
            MIRA_DATABASE_URL=url,
            **settings,
        )
        for number in range(count)
    ]
    try:
        with ThreadPoolExecutor(count) as threads:
            list(threads.map(lambda gateway: gateway.start(*flags), made))
        yield made
    finally:
        for gateway in made:
            gateway.close()


async def race(gateways: Sequence[Gateway], upstream: Upstream, key: str, asked: int, funded: int) -> dict[str, int]:
    """All call at once, and the upstream answers when all are decided: how many were dispatched, refused, answered."""
    decided = Moment()
    refused = asyncio.Semaphore(0)
    used = {"prompt_tokens": 9, "completion_tokens": CAP, "total_tokens": 9 + CAP}
    upstream.reset()
    upstream.script(FLAT, answers(completion(model=FLAT, usage=used), hold=decided))
    async with http() as client:

        async def ask(number: int) -> Told:
            told = await call(client, gateways[number % len(gateways)], key)
            refused.release()
            return told

        asking = [asyncio.create_task(ask(number)) for number in range(asked)]
        try:
            async with asyncio.timeout(PATIENCE_S):
                for _ in range(asked - funded):
                    await refused.acquire()
                await asyncio.to_thread(upstream.received, funded, FLAT, PATIENCE_S)
        finally:
            decided.happen()
        answered = Counter(told.status for told in await asyncio.gather(*asking))
    return {
        "dispatched": len(upstream.chats(FLAT)),
        "200": answered[200],
        "402": answered[402],
        "others": answered.total() - answered[200] - answered[402],
    }


async def phantoms(gateways: Sequence[Gateway], upstream: Upstream, key: str, clients: int, turns: int) -> Counter[int]:
    """So many clients call again and again on funds for as many holds, and nothing is charged: none may be refused."""
    upstream.reset()
    upstream.script(FLAT, uses(0))
    statuses: Counter[int] = Counter()
    async with http() as client:

        async def ask(number: int) -> None:
            for turn in range(turns):
                told = await call(client, gateways[(number + turn) % len(gateways)], key, stream=turn % 2 == 0)
                statuses[told.status] += 1

        await asyncio.gather(*(ask(number) for number in range(clients)))
    return statuses


class Rate:
    """Admissions and refusals of a key with `rpm`, each with the two moments between which it was decided."""

    def __init__(self, rpm: int, admitted: list[tuple[float, float]], refused: list[tuple[float, float]]) -> None:
        self.rpm = rpm
        self.admitted = sorted(admitted, key=lambda span: span[1])
        self.refused = refused

    @property
    def most_above(self) -> float:
        """By how many admissions the worst of all windows lies above `rpm + rpm * t / 60`; not above 0 where it holds."""
        worst = -float(self.rpm)
        for begin_s in sorted({sent_s for sent_s, _ in self.admitted}):
            within = 0
            for sent_s, arrived_s in self.admitted:
                if sent_s >= begin_s:
                    within += 1
                    worst = max(worst, within - self.rpm - self.rpm * (arrived_s - begin_s) / 60)
        return worst

    @property
    def phantom_refusals(self) -> int:
        """How many were refused although even the latest moments of all admissions left room."""
        return sum(self._level(sent_s, answered_s) + 1 <= self.rpm for sent_s, answered_s in self.refused)

    def _level(self, earliest_s: float, latest_s: float) -> float:
        """The highest that the bucket can have stood at between two moments."""
        level, at_s = 0.0, 0.0
        for sent_s, arrived_s in self.admitted:
            if sent_s <= latest_s:
                moment_s = min(arrived_s, earliest_s)
                level = max(0.0, level - max(0.0, moment_s - at_s) * self.rpm / 60) + 1
                at_s = max(at_s, moment_s)
        return max(0.0, level - max(0.0, earliest_s - at_s) * self.rpm / 60)

    @property
    def lasted_s(self) -> float:
        """From the first dispatch to the last call that was refused: surely no longer than the bucket leaked."""
        return max(sent_s for sent_s, _ in self.refused) - min(arrived_s for _, arrived_s in self.admitted)

    @property
    def allowed(self) -> int:
        """How many the limit allows in that time."""
        return int(self.rpm + self.rpm * self.lasted_s / 60)


async def demand(
    gateways: Sequence[Gateway], upstream: Upstream, key: str, *, rpm: int, clients: int, lasts_s: float
) -> Rate:
    """Clients that ask for more than a key's rate allows, without a pause, until some were refused at least."""
    upstream.reset()
    upstream.script(FLAT, uses(1))
    until_s = time.monotonic() + lasts_s
    told: list[Told] = []
    async with http() as client:

        async def ask(number: int) -> None:
            for turn in itertools.count(number):
                if time.monotonic() > until_s and any(one.status == 429 for one in told):
                    return
                told.append(await call(client, gateways[turn % len(gateways)], key))
                if told[-1].status != 200:
                    await asyncio.sleep(0.1)

        await asyncio.gather(*(ask(number) for number in range(clients)))
    assert {one.status for one in told} <= {200, 429}, Counter(one.status for one in told)
    arrived = {request.headers["x-request-id"]: request.at_s for request in upstream.chats(FLAT)}
    admitted = [(one.sent_s, arrived[one.request_id]) for one in told if one.status == 200]
    assert len(admitted) == len(arrived)
    return Rate(rpm, admitted, [(one.sent_s, one.answered_s) for one in told if one.status == 429])


def kill_at_random(
    gateways: Sequence[Gateway], server: Cluster, traffic: Traffic, *, kills: int, every: int, chance: random.Random
) -> float:
    """Kills gateways in the midst of traffic, and at each `every`th time PostgreSQL; when the last one was killed."""
    killed_s = 0.0
    for kill in range(1, kills + 1):
        traffic.wait(200, chance.randint(20, 120))
        killed_s = time.monotonic()
        if kill % every == 0:
            server.kill()
            server.start()
        else:
            victim = chance.choice(gateways)
            victim.kill()
            victim.start()
    traffic.wait(200, 50)
    return killed_s
