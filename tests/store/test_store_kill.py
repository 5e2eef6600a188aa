"""A killed process loses nothing that it acknowledged. `MIRA_TEST_KILLS` kills more often than the default."""

import os
import random
import subprocess
import sys

from sqlalchemy import text

from mira.store.database import Database
from mira.store.ledger import Ledger
from mira.store.workspaces import Workspaces

KILLS = int(os.environ.get("MIRA_TEST_KILLS", "8"))
CLIENTS = 64

#: Reserves, checkpoints and settles as fast as it can, and says so only after the ledger did.
LOAD = f"""
import asyncio, sys, time
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
    ledger = Ledger(Database.open(url), clock=lambda: time.time_ns() // 1_000_000, epoch_id=life)
    await ledger.start()
    async def often():
        while True:
            await ledger.maintain()
    await asyncio.gather(often(), *(client(ledger, life, number) for number in range({CLIENTS})))

sys.stdout.reconfigure(line_buffering=True)
uvloop.run(main(*sys.argv[1:]))
"""


async def test_a_kill_loses_no_acknowledged_settlement(database_url, clock):
    seed = random.Random(20)
    database = Database.open(database_url)
    await Workspaces(database).create("w", "w", 0)
    ledger = Ledger(database, clock=clock, epoch_id="first")
    await ledger.start()
    await ledger.top_up("w", 10**12, "x")
    await ledger.close()
    await database.close()

    acknowledged = {}
    orphans = 0
    for life in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-c", LOAD, database_url, f"life{life:03}"], stdout=subprocess.PIPE, text=True
        ) as process:
            for _ in range(seed.randrange(1, 2000)):
                name, _, billed = process.stdout.readline().partition(" ")
                acknowledged[name] = int(billed)
            process.kill()
            # What it said before it died counts too; its last line may be cut.
            for line in process.stdout.read().splitlines(keepends=True):
                name, _, billed = line.partition(" ")
                if billed.endswith("\n"):
                    acknowledged[name] = int(billed)

        database = Database.open(database_url)
        left = text("SELECT count(*) FROM hold")
        orphans += await database.read(lambda connection: connection.execute(left).scalar_one())
        ledger = Ledger(database, clock=clock, epoch_id=f"after{life:03}")
        await ledger.start()
        assert await database.read(lambda connection: connection.execute(left).scalar_one()) == 0
        checked = await ledger.check()
        assert checked["ok"], checked
        settled = text("SELECT substr(idem, 8), amount_nanocredits FROM transfer WHERE idem LIKE 'settle:%'")
        found = dict(await database.read(lambda connection: [tuple(row) for row in connection.execute(settled)]))
        assert acknowledged.items() <= found.items()
        assert set(found.values()) <= {3, 7}
        assert await ledger.balance("w") == (10**12 - sum(found.values()), 0)
        integrity = text("PRAGMA integrity_check")
        assert await database.read(lambda connection: connection.execute(integrity).scalar_one()) == "ok"
        await ledger.close()
        await database.close()
    assert orphans > 0
