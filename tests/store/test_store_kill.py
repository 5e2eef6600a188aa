"""A killed process loses nothing that it acknowledged. `MIRA_TEST_KILLS` kills more often than the default."""

import asyncio
import os
import random
import subprocess
import sys
import time

from sqlalchemy import text

from mira.store.database import Database
from mira.store.ledger import Ledger
from mira.store.workspaces import Workspaces

KILLS = int(os.environ.get("MIRA_TEST_KILLS", "4"))
CLIENTS = 64
FUNDS = 10**12

#: Reserves, checkpoints and settles as fast as it can, and says so only after the ledger did.
LOAD = f"""
import asyncio, sys
import uvloop
from mira.core.call import CallRecord
from mira.core.ledger import Reserve
from mira.store.database import Database
from mira.store.ledger import Ledger

async def client(ledger, life, number):
    for turn in range(1_000_000):
        name = f"{{life}}-{{turn:06}}-{{number:03}}"
        hold = await ledger.reserve(
            Reserve(hold_id=name, workspace_id="w", key_id="k", amount_nanocredits=100, least_nanocredits=100)
        )
        ledger.checkpoint(name, 3)
        for _ in range(number):  # out of step with each other, so that a kill always meets live holds
            await asyncio.sleep(0)
        record = CallRecord(request_id=name, workspace_id="w", key_id="k", face="proxy", protocol="chat", model="m",
                            started_at_ms=turn)
        billed = await ledger.settle(hold.id, 7, record)
        sys.stdout.write(f"{{name}} {{billed}}\\n")

async def main(url, life):
    ledger = Ledger(Database.open(url, late_s=60), epoch_id=life)
    await ledger.start()
    async def often():
        while True:
            await ledger.maintain()
    await asyncio.gather(often(), *(client(ledger, life, number) for number in range({CLIENTS})))

sys.stdout.reconfigure(line_buffering=True)
uvloop.run(main(*sys.argv[1:]))
"""


def test_a_kill_loses_no_acknowledged_settlement(database_url):
    seed = random.Random(20)
    asyncio.run(prepare(database_url))
    acknowledged: dict[str, int] = {}
    orphans = 0
    for life in range(KILLS):
        acknowledged |= killed(database_url, f"life{life:03}", after_lines=seed.randrange(1, 2000))
        orphans += asyncio.run(inspect(database_url, f"after{life:03}", acknowledged))
    assert orphans > 0


async def prepare(url: str) -> None:
    database = Database.open(url, late_s=60)
    await Workspaces(database).create("w", "w", 0)
    ledger = Ledger(database, clock=lambda: 0, epoch_id="first")
    await ledger.start()
    await ledger.top_up("w", FUNDS, "x")
    await ledger.close()
    await database.close()


def killed(url: str, life: str, *, after_lines: int) -> dict[str, int]:
    """Runs the load until it has said so much, kills it, and returns what it acknowledged."""
    with subprocess.Popen([sys.executable, "-c", LOAD, url, life], stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(after_lines)]
        process.kill()
        # What it said before it died counts too, but its last line may be cut.
        lines += [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    return {name: int(billed) for name, billed in map(str.split, lines)}


async def inspect(url: str, life: str, acknowledged: dict[str, int]) -> int:
    """Opens what the killed process left, checks everything, and returns how many holds it left open."""
    database = Database.open(url, late_s=60)

    async def rows(query: str):
        return await database.read(lambda connection: [tuple(row) for row in connection.execute(text(query))])

    orphans = (await rows("SELECT count(*) FROM hold"))[0][0]
    # A day later, so that the dead process is known as dead.
    tomorrow_ms = (time.time_ns() + 86_400 * 10**9) // 1_000_000
    ledger = Ledger(database, clock=lambda: tomorrow_ms, epoch_id=life, patience_s=0)
    await ledger.start()
    while (await rows("SELECT count(*) FROM hold")) != [(0,)]:
        await ledger.maintain()
    checked = await ledger.check()
    assert checked["ok"], checked
    settled = dict(await rows("SELECT substr(idem, 8), amount_nanocredits FROM transfer WHERE idem LIKE 'settle:%'"))
    assert acknowledged.items() <= settled.items()
    assert set(settled.values()) <= {3, 7}
    assert await ledger.balance("w") == (FUNDS - sum(settled.values()), 0)
    if not database.shared:
        assert await rows("PRAGMA integrity_check") == [("ok",)]
    await ledger.close()
    await database.close()
    return orphans
