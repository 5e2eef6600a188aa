"""What gateways that share one PostgreSQL promise, goal beside figure.

    python benchmarks/replicas.py [PART …]        (or `make replicas`)

Parts: exact (512 clients on funds for 500, and refusals that should not be), rate (rpm = 100 under steady demand),
kills (gateways and PostgreSQL killed in the midst of traffic; orphaned holds), rolling (workers replaced at 100 calls a
second), outage (PostgreSQL stopped under traffic). Gateways are real processes, PostgreSQL is that of the tests with
fsync on, the upstream is scripted. Exit status 1 where a goal is missed.
"""

import argparse
import asyncio
import contextlib
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.gateway import Gateway
from tests.support.postgres import Cluster, cluster
from tests.support.recount import Recount, holds_of
from tests.support.replicas import demand, kill_at_random, phantoms, race, replicas
from tests.support.traffic import FLAT, HOLD_NANOCREDITS, Told, Traffic, until, uses
from tests.support.upstream import Upstream

CLIENTS, FUNDED = 512, 500
RPM = 100
CREDITS = "100000"


class Sheet:
    """Prints each goal beside its figure."""

    def __init__(self) -> None:
        self.missed = 0

    def row(self, what: str, goal: str, figure: object, *, met: bool) -> None:
        self.missed += not met
        print(f"{what:<58} {goal:>22} {figure!s:>34}  {'ok' if met else 'MISSED'}", flush=True)


class Stage:
    """A PostgreSQL, an upstream and gateways in front of them."""

    def __init__(self, server: Cluster, url: str, upstream: Upstream, gateways: list[Gateway]) -> None:
        self.server = server
        self.url = url
        self.upstream = upstream
        self.gateways = gateways

    def funded_key(self, calls: int) -> str:
        """A key of a workspace with funds for so many calls."""
        gateway = self.gateways[0]
        return gateway.new_key(gateway.new_workspace(f"{calls * HOLD_NANOCREDITS / 10**9:.9f}"))[1]


@contextlib.contextmanager
def stage(count: int = 3, flags: tuple[str, ...] = ()) -> Iterator[Stage]:
    """Gateways on an empty database, each a process, with `flags` on their command lines."""
    upstream = Upstream([FLAT]).start()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="mira-replicas-") as folder,
            cluster({"fsync": "on", "full_page_writes": "on"}) as server,
        ):
            url = server.create("replicas")
            with replicas(url, upstream, Path(folder), count, flags=flags, MIRA_BOOTSTRAP_CREDITS=CREDITS) as gateways:
                yield Stage(server, url, upstream, gateways)
    finally:
        upstream.stop()


def exact(sheet: Sheet) -> None:
    """Funds for a known number of calls."""
    with stage() as at:
        for turn in range(5):
            found = asyncio.run(race(at.gateways, at.upstream, at.funded_key(FUNDED), CLIENTS, FUNDED))
            ideal = {"dispatched": FUNDED, "200": FUNDED, "402": CLIENTS - FUNDED, "others": 0}
            figure = f"{found['dispatched']} sent, {found['402']} × 402, {found['others']} others"
            sheet.row(
                f"race {turn + 1}: {CLIENTS} clients, funds for {FUNDED}",
                "500 sent, 12 × 402",
                figure,
                met=found == ideal,
            )
        told = asyncio.run(phantoms(at.gateways, at.upstream, at.funded_key(64), 64, 50))
        sheet.row(
            "64 clients on funds for 64 holds, 3,200 calls",
            "0 refused",
            f"{told.total() - told[200]} refused",
            met=told[200] == 3200,
        )
        check(sheet, at, {})


def rate(sheet: Sheet) -> None:
    """A rate limit under more demand than it admits."""
    with stage() as at:
        _, key = at.gateways[0].new_key(rpm=RPM)
        found = asyncio.run(demand(at.gateways, at.upstream, key, rpm=RPM, clients=48, lasts_s=95))
        sheet.row(
            f"rpm = {RPM}, demand for {found.lasted_s:.1f} s: admitted",
            f"{found.allowed}",
            len(found.admitted),
            met=abs(len(found.admitted) - found.allowed) <= 1,
        )
        sheet.row(
            "the worst window of all, above 100 + 100·t/60", "≤ 0", f"{found.most_above:.2f}", met=found.most_above <= 0
        )
        sheet.row(
            f"refusals that the rate does not justify, of {len(found.refused):,}",
            "0",
            found.phantom_refusals,
            met=found.phantom_refusals == 0,
        )


def kills(sheet: Sheet) -> None:
    """Gateways and PostgreSQL die in the midst of traffic."""
    with stage() as at:
        at.upstream.script(FLAT, uses(after_s=0.05))
        traffic = Traffic(at.gateways, clients=64)
        try:
            kill_at_random(at.gateways, at.server, traffic, kills=30, every=6, chance=random.Random(20))
            at.gateways[0].kill()
            killed_s = time.monotonic()
            orphans = held_by_the_dead(at)
            at.gateways[0].start()
        finally:
            traffic.end()
        until(lambda: not orphans & holds_of(at.url), 150)
        gone_s = time.monotonic() - killed_s
        until(lambda: not holds_of(at.url), 150)
        statuses = Counter(told.status for told in traffic.told)
        figure = ", ".join(f"{count:,} × {status}" for status, count in sorted(statuses.items()))
        met = set(statuses) <= {0, 200, 503}
        sheet.row("26 kills of gateways, 5 of PostgreSQL: answers (0: none)", "200, 503 or none", figure, met=met)
        figure = f"{gone_s:.1f} s after the kill"
        sheet.row(f"{len(orphans)} holds of a killed gateway were gone", "≤ 90 s", figure, met=gone_s <= 90)
        check(sheet, at, traffic.charges)


def held_by_the_dead(at: Stage) -> set[str]:
    """The holds whose process is the only one that beats no more, a while after it was killed."""
    held = holds_of(at.url)
    # Calls of the living take a fraction of this.
    time.sleep(5)
    return held & holds_of(at.url)


def rolling(sheet: Sheet) -> None:
    """Workers are replaced one after another."""
    with stage(1, ("--workers", "2")) as at:
        (gateway,) = at.gateways
        at.upstream.script(FLAT, uses(after_s=0.1))
        traffic = Traffic(at.gateways, rate=100)
        begun_s = time.monotonic()
        try:
            traffic.wait(200, 200)
            for _ in range(5):
                said = len(gateway.log.splitlines())
                gateway.process.send_signal(signal.SIGUSR1)
                gateway.says(lambda line: "all workers were replaced" in line, since=said, timeout_s=120)
                traffic.wait(200, 100)
        finally:
            traffic.end()
        took_s = time.monotonic() - begun_s
        statuses = Counter(told.status for told in traffic.told)
        cut = statuses[200] - len(traffic.charges)
        failed = statuses.total() - statuses[200] + cut
        figure = f"{failed} of {statuses.total():,} ({statuses.total() / took_s:.0f}/s)"
        sheet.row("5 rolling restarts at 100 calls/s: failed calls", "0", figure, met=failed == 0)
        if failed:
            print("   ", dict(statuses), "cut:", cut, dict(Counter(told.error for told in traffic.told)))
        check(sheet, at, traffic.charges)


def outage(sheet: Sheet) -> None:
    """PostgreSQL is away for 30 s."""
    with stage() as at:
        at.upstream.script(FLAT, uses(after_s=0.05))
        traffic = Traffic(at.gateways, rate=60)
        try:
            traffic.wait(200, 200)
            stopped_s = time.monotonic()
            at.server.stop()
            time.sleep(max(0.0, stopped_s + 30 - time.monotonic()))
            at.server.start()
            started_s = time.monotonic()
            traffic.wait(200, 300)
        finally:
            traffic.end()
        told = traffic.told
        statuses = Counter(one.status for one in told)
        sheet.row("PostgreSQL away for 30 s: wrong 401s", "0", statuses[401], met=statuses[401] == 0)
        others = {status: count for status, count in statuses.items() if status not in (200, 503)}
        sheet.row(
            "answers that are neither 200 nor 503 with Retry-After", "0", others or 0, met=not others and retries(told)
        )
        refusals = sorted(one.answered_s - one.sent_s for one in told if one.status == 503)
        slowest = f"p50 {refusals[len(refusals) // 2]:.3f} s, most {refusals[-1]:.3f} s"
        sheet.row(f"{len(refusals):,} refusals came after", "≤ 1 s", slowest, met=refusals[-1] <= 1.0)
        served_s = min(one.answered_s for one in told if one.status == 200 and one.sent_s > started_s)
        last_s = max((one.answered_s for one in told if one.status == 503), default=started_s)
        recovery = f"first 200 after {served_s - started_s:.2f} s, last 503 after {max(0.0, last_s - started_s):.2f} s"
        sheet.row(
            "recovery once PostgreSQL answers",
            "≤ 5 s",
            recovery,
            met=served_s - started_s <= 5 and last_s - started_s <= 5,
        )
        until(lambda: not holds_of(at.url), 150)
        check(sheet, at, traffic.charges)


def retries(told: list[Told]) -> bool:
    """Whether every 503 says when to try again."""
    return all(one.retry_after for one in told if one.status == 503)


def check(sheet: Sheet, at: Stage, charges: dict[str, int]) -> None:
    """The ledger, by its own check and counted again from its rows; and what customers were told."""
    recount = Recount(at.url)
    own = all(gateway.admin("GET", "/ledger/check")["ok"] for gateway in at.gateways)
    for wrong in [*recount.wrong, *recount.against(charges)][:10]:
        print("   ", wrong)
    sheet.row(
        f"I1–I7 over {len(recount.calls):,} calls, check and own count",
        "0 wrong",
        f"{len(recount.wrong)} wrong, check {'ok' if own else 'NOT ok'}",
        met=own and not recount.wrong,
    )
    sheet.row("holds left", "0", len(recount.holds), met=not recount.holds)
    if charges:
        against = recount.against(charges)
        sheet.row(f"charges lost or doubled, of {len(charges):,} told", "0", len(against), met=not against)
        sent = {request.headers["x-request-id"] for request in at.upstream.chats(FLAT)}
        unsent = len(recount.charges.keys() - sent)
        sheet.row("charges for calls that no upstream saw", "0", unsent, met=unsent == 0)
        lost = len(sent - recount.charges.keys())
        sheet.row("calls that cost the operator, not the customer", "in-flight only", lost, met=True)


PARTS = {"exact": exact, "rate": rate, "kills": kills, "rolling": rolling, "outage": outage}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    sheet = Sheet()
    print(f"{'what':<58} {'goal':>22} {'figure':>34}")
    for part in arguments.parse_args().parts or PARTS:
        PARTS[part](sheet)
    sys.exit(1 if sheet.missed else 0)


if __name__ == "__main__":
    main()
