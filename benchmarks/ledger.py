"""What a durable reserve and settle cost: CPU and rate at several concurrencies, on a disk and in memory.

    python benchmarks/ledger.py [--pairs 20000] [--workspaces 1] [FOLDER …]

Each client of a closed loop reserves, settles with a full call record, and starts again: nothing else runs between, so
the figures are the ledger's alone. CPU is the process's, all threads; the settlement is awaited until durable.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from pathlib import Path

import uvloop
from sqlalchemy import insert

from mira.core.call import CallRecord
from mira.core.ledger import Reserve
from mira.core.usage import Usage
from mira.store.database import Database
from mira.store.ledger import Ledger
from mira.store.schema import account

CONCURRENCIES = (1, 16, 64, 256, 1024)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def client(ledger: Ledger, workspace_id: str, ids: list[str], latencies: list[float]) -> None:
    while ids:
        hold_id = ids.pop()
        started = time.perf_counter()
        hold = await ledger.reserve(
            Reserve(
                hold_id=hold_id,
                workspace_id=workspace_id,
                key_id="key_0123456789abcdef",
                amount_nanocredits=5000,
                least_nanocredits=1000,
            )
        )
        latencies.append(time.perf_counter() - started)
        record = CallRecord(
            request_id=hold.id,
            workspace_id=workspace_id,
            key_id="key_0123456789abcdef",
            face="proxy",
            protocol="chat",
            model="openai/gpt-4o-mini",
            node="openai",
            started_at_ms=now_ms(),
            duration_ms=200,
            attempts=1,
            status=200,
            usage=Usage(input_tokens=1000, output_tokens=100),
            held_nanocredits=hold.amount_nanocredits,
            computed_nanocredits=1234,
        )
        await ledger.settle(hold.id, 1234, record)


async def measure(folder: Path, concurrency: int, pairs: int, workspaces: int) -> str:
    database = Database.open(f"sqlite:///{folder}/bench.db")
    names = [f"ws_{number:020d}" for number in range(workspaces)]
    await database.write(
        lambda connection: connection.execute(
            insert(account),
            [
                {"id": f"workspace:{name}", "posted_nanocredits": 0, "held_nanocredits": 0, "capped": True}
                for name in names
            ],
        )
    )
    ledger = Ledger(database, clock=now_ms, epoch_id="bench")
    await ledger.start()
    for name in names:
        await ledger.top_up(name, 10**15, "bench")
    base = now_ms()
    ids = [f"req_{base:013x}{number:012d}" for number in reversed(range(pairs))]
    latencies: list[float] = []
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(client(ledger, names[number % workspaces], ids, latencies) for number in range(concurrency)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    latencies.sort()
    ok = (await ledger.check())["ok"]
    await ledger.close()
    await database.close()
    p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
    return (
        f"{folder.parent!s:<12} {concurrency:>5} {cpu / pairs * 1e6:>10.1f} {pairs / wall:>10,.0f} "
        f"{p50:>9.2f} {p99:>9.2f}  {'sums exact' if ok else 'SUMS WRONG'}"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folders", nargs="*", default=["/dev/shm", tempfile.gettempdir()])
    arguments.add_argument("--pairs", type=int, default=20_000)
    arguments.add_argument("--workspaces", type=int, default=1)
    options = arguments.parse_args()
    print(f"{'folder':<12} {'conc.':>5} {'µs CPU/pair':>10} {'pairs/s':>10} {'reserve p50':>9} {'p99 ms':>9}")
    for parent in options.folders:
        for concurrency in CONCURRENCIES:
            folder = Path(tempfile.mkdtemp(prefix="mira-ledger-", dir=parent))
            try:
                pairs = options.pairs if concurrency > 1 else options.pairs // 10
                print(uvloop.run(measure(folder, concurrency, pairs, options.workspaces)), flush=True)
            finally:
                shutil.rmtree(folder)


if __name__ == "__main__":
    main()
