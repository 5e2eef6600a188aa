"""What limits that hold cost: durable reserve and settle per second on one hot workspace, key and member.

    python benchmarks/money.py [--pairs 20000] [--clients 256] [--plain] [ROW …]        (or `make money`)

Rows: sqlite (one process, synchronous = FULL), postgres-1, postgres-2, postgres-4 (processes on one PostgreSQL with
fsync on, started from the wheel of the tests, or that of MIRA_BENCH_POSTGRES_URL: an address of an empty database).

Each client of a closed loop reserves, waits until that is durable, and settles with a full call record. Every call is
counted by the workspace's credits and by budget, request rate, token rate and calls at a time of its key and of its
member (`--plain`: by the credits alone). Then comes the exactness: all clients at once on funds, a budget and a request
rate that are each good for a known number of calls; what was admitted is printed beside it.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import uvloop
from msgspec import Struct
from sqlalchemy import insert

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.postgres import cluster

from mira.core.call import CallRecord
from mira.core.caller import Face
from mira.core.ledger import Reserve
from mira.core.limits import Limits, key_cap, member_cap
from mira.core.usage import Usage
from mira.errors import MiraError
from mira.store.database import Database
from mira.store.keys import Keys
from mira.store.ledger import Ledger
from mira.store.members import Members
from mira.store.schema import account, workspace

ROWS = {"sqlite": 1, "postgres-1": 1, "postgres-2": 2, "postgres-4": 4}
WORKSPACE = "ws_0123456789abcdef0123"
GENEROUS = Limits(rpm=10**9, tpm=10**12, concurrency=10**6, budget_nanocredits=10**17, budget_period="month")
COST_NANOCREDITS = 1234
#: What each wall of the exactness is good for.
GOOD_FOR = {"funds": 500, "budget": 300, "rpm": 100}


class Part(Struct):
    """What one process has to do and, afterwards, has found."""

    url: str
    name: str
    pairs: int
    clients: int
    key_id: str
    caps: tuple[str, ...]
    starts_at_s: float = 0.0
    settles: bool = True
    ended_at_s: float = 0.0
    admitted: int = 0
    latencies_ms: list[float] = []


async def prepare(url: str) -> None:
    """A workspace, and a key and a member for each part of the measurement."""
    database = Database.open(url)
    now_ms = time.time_ns() // 1_000_000
    ledger = Ledger(database, epoch_id="prepare")

    def make(connection: object) -> int:
        connection.execute(insert(workspace).values(id=WORKSPACE, name="bench", created_at_ms=0))
        connection.execute(
            insert(account).values(id=f"workspace:{WORKSPACE}", posted_nanocredits=0, held_nanocredits=0, capped=True)
        )
        connection.execute(insert(workspace).values(id="poor", name="poor", created_at_ms=0))
        connection.execute(
            insert(account).values(id="workspace:poor", posted_nanocredits=0, held_nanocredits=0, capped=True)
        )
        return 0

    await database.write(make)
    await ledger.start()
    await ledger.top_up(WORKSPACE, 10**17, "bench")
    await ledger.top_up("poor", GOOD_FOR["funds"] * COST_NANOCREDITS + 999, "bench")
    await Members(database).create("m", WORKSPACE, "m", None, now_ms=now_ms, limits=GENEROUS)
    budget = GOOD_FOR["budget"] * COST_NANOCREDITS + 999
    for name, limits in {
        "hot": GENEROUS,
        "budget": Limits(budget_nanocredits=budget, budget_period="total"),
        "rpm": Limits(rpm=GOOD_FOR["rpm"]),
    }.items():
        await Keys(database).create(
            name,
            WORKSPACE,
            digest=name.encode(),
            prefix="",
            last4="",
            name=name,
            face=Face.PROXY,
            models=None,
            expires_at_ms=None,
            now_ms=now_ms,
            limits=limits,
            member_id="m",
        )
    await ledger.close()
    await database.close()


async def work(part: Part) -> Part:
    """One process: so many clients that reserve and settle until all pairs are done."""
    database = Database.open(part.url)
    ledger = Ledger(database, epoch_id=part.name)
    await ledger.start()
    numbers = iter(range(part.pairs))
    workspace_id = "poor" if part.key_id == "poor" else WORKSPACE

    async def client() -> None:
        for number in numbers:
            hold_id = f"req_{part.name}{number:012d}"
            started_s = time.perf_counter()
            try:
                hold = await ledger.reserve(
                    Reserve(
                        hold_id=hold_id,
                        workspace_id=workspace_id,
                        key_id=part.key_id,
                        amount_nanocredits=COST_NANOCREDITS,
                        least_nanocredits=COST_NANOCREDITS,
                        caps=part.caps,
                        tokens=1500,
                        model="openai/gpt-4o-mini",
                    )
                )
            except MiraError:
                continue
            part.latencies_ms.append((time.perf_counter() - started_s) * 1000)
            await hold.durable
            part.admitted += 1
            if part.settles:
                await ledger.settle(hold_id, COST_NANOCREDITS, record_of(hold_id, part, workspace_id))

    await asyncio.sleep(max(0.0, part.starts_at_s - time.time()))
    await asyncio.gather(*(client() for _ in range(part.clients)))
    part.ended_at_s = time.time()
    if part.settles:
        await ledger.close()
    await database.close()
    return part


def record_of(hold_id: str, part: Part, workspace_id: str) -> CallRecord:
    """A call as the gateway records it."""
    return CallRecord(
        request_id=hold_id,
        workspace_id=workspace_id,
        key_id=part.key_id,
        face="proxy",
        protocol="chat",
        model="openai/gpt-4o-mini",
        node="openai",
        started_at_ms=time.time_ns() // 1_000_000,
        duration_ms=200,
        attempts=1,
        status=200,
        usage=Usage(input_tokens=1000, output_tokens=100),
        held_nanocredits=COST_NANOCREDITS,
        computed_nanocredits=COST_NANOCREDITS,
    )


def run(parts: list[Part]) -> list[Part]:
    """Runs each part in a process of its own, all beginning at one moment."""
    starts_at_s = time.time() + 1.5 + 0.7 * len(parts)
    with contextlib.ExitStack() as stack:
        running = []
        for part in parts:
            part.starts_at_s = starts_at_s
            given, told = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
            given.write(msgspec.json.encode(part))
            given.seek(0)
            running.append((subprocess.Popen([sys.executable, __file__, "--part"], stdin=given, stdout=told), told))
        done = []
        for process, told in running:
            if process.wait() != 0:
                raise SystemExit(f"a process of the measurement failed with {process.returncode}")
            told.seek(0)
            done.append(msgspec.json.decode(told.read(), type=Part))
    return done


async def is_well(url: str) -> bool:
    """Whether the ledger's check finds nothing, once the holds that were left open are swept."""
    database = Database.open(url)
    ledger = Ledger(database, epoch_id="check")
    found = await ledger.check()
    await database.close()
    return bool(found["ok"])


@contextlib.contextmanager
def database_of(row: str) -> Iterator[str]:
    """The address of an empty database for a row."""
    if row == "sqlite":
        folder = Path(tempfile.mkdtemp(prefix="mira-money-"))
        try:
            yield f"sqlite:///{folder}/money.db"
        finally:
            shutil.rmtree(folder)
    elif "MIRA_BENCH_POSTGRES_URL" in os.environ:
        yield os.environ["MIRA_BENCH_POSTGRES_URL"]
    else:
        with cluster({"fsync": "on", "full_page_writes": "on", "shared_buffers": "256MB"}) as server:
            yield server.create("money")


def measure(row: str, pairs: int, clients: int, *, plain: bool) -> str:
    """One row of the table."""
    processes = ROWS[row]
    caps = () if plain else (key_cap("hot"), member_cap("m"))
    with database_of(row) as url:
        uvloop.run(prepare(url))
        parts = run(
            [
                Part(url, f"p{number}", pairs // processes, clients // processes, "hot", caps)
                for number in range(processes)
            ]
        )
        seconds = max(part.ended_at_s for part in parts) - parts[0].starts_at_s
        latencies = sorted(latency for part in parts for latency in part.latencies_ms)
        p50, p99 = (latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
        done = sum(part.admitted for part in parts)
        walls = []
        for wall, key_id in (("funds", "poor"), ("budget", "budget"), ("rpm", "rpm")):
            wall_caps = () if wall == "funds" else (key_cap(key_id), member_cap("m"))
            asked = run(
                [
                    Part(url, f"{wall[0]}{number}", 2048 // processes, 512 // processes, key_id, wall_caps)
                    for number in range(processes)
                ]
            )
            good_for: float = GOOD_FOR[wall]
            if wall == "rpm":
                good_for += good_for * (max(part.ended_at_s for part in asked) - asked[0].starts_at_s) / 60
            walls.append(f"{wall} {sum(part.admitted for part in asked)}/{int(good_for)}")
        well = uvloop.run(is_well(url))
    return (
        f"{row:<11} {processes:>5} {clients:>7} {done / seconds:>9,.0f} {p50:>8.1f} {p99:>8.1f}  "
        f"{', '.join(walls)}, {'sums exact' if well else 'SUMS WRONG'}"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    arguments.add_argument("--pairs", type=int, default=20_000)
    arguments.add_argument("--clients", type=int, default=256)
    arguments.add_argument("--plain", action="store_true")
    arguments.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.part:
        part = uvloop.run(work(msgspec.json.decode(sys.stdin.buffer.read(), type=Part)))
        sys.stdout.buffer.write(msgspec.json.encode(part))
        return
    print(f"{'store':<11} {'proc.':>5} {'clients':>7} {'pairs/s':>9} {'p50 ms':>8} {'p99 ms':>8}  admitted/good for")
    for row in options.rows or ROWS:
        print(measure(row, options.pairs, options.clients, plain=options.plain), flush=True)


if __name__ == "__main__":
    main()
