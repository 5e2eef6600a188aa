"""How long the pages of usage and calls take when there are very many calls.

    python benchmarks/pages.py [--calls 5000000] [--postgres]

Makes a database of calls of 90 days (20 workspaces with 10 keys each, 12 models of which one is rare, 4 nodes, 1 % of
the calls failed), sums them up as the ledger does, and reads each page a few times: the worst of the readings counts.
Then a gateway on that database is asked for the portal's pages over HTTP. At last old calls are forgotten while others
are written: what a writer waits at most.
"""

import argparse
import asyncio
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import uvloop
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.accounts.browser import Browser
from tests.support.gateway import Gateway, openai_node
from tests.support.postgres import cluster

from mira.store.calls import Calls, Wanted
from mira.store.database import Database
from mira.store.migrations.versions.v0003_limits import sum_up
from mira.store.retention import Retention
from mira.store.schema import call
from mira.store.usage import UsageSheets
from mira.store.usage_sums import DAY_MS, HOUR_MS
from mira.store.workspaces import Workspaces

DAYS = 90
END_MS = time.time_ns() // 1_000_000 // HOUR_MS * HOUR_MS
READINGS = 5
ASKED = 20
PIECE = 250_000
WORKSPACE = "ws_3"
COLUMNS = ", ".join(column.name for column in call.columns if column.name != "upstream_request_id")
#: A call every so often, in the order of time; numbers that share no factor spread it over everything.
FILL = """
INSERT INTO call ({columns})
WITH RECURSIVE number(n) AS (SELECT CAST(:first AS BIGINT) UNION ALL SELECT n + 1 FROM number WHERE n < :last)
SELECT 'req_' || (:begins + n * :step), NULL, 'ws_' || (n * 7 % 20), 'key_' || (n * 7 % 20) || '_' || (n * 7 / 20 % 10),
    'proxy', 'chat',
    CASE WHEN n % 50021 = 0 THEN 'openai/rare' ELSE 'openai/model-' || (n * 7 % 200 * 3 % 11 + n % 2) END,
    'node-' || (n * 7 % 200 * 5 % 4), {false}, :begins + n * :step, 100, 900, 1,
    CASE WHEN n % 100 = 0 THEN 500 ELSE 200 END, CASE WHEN n % 100 = 0 THEN 'upstream_failed' ELSE NULL END,
    1000, 200, 0, 0, 300, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, {false}, NULL, 5000, 1234, NULL, 1234
FROM number
"""


#: What the portal asks for, with the span of its longest choice; `…` stands for that.
PORTAL = (
    "/portal/v1/overview?…",
    "/portal/v1/keys",
    "/portal/v1/models",
    "/portal/v1/credits",
    "/portal/v1/calls?limit=50&histogram=true&…",
    "/portal/v1/calls?limit=50&model=openai/rare&…",
    "/portal/v1/calls?limit=50&status=failed&…",
    "/portal/v1/calls?limit=50&status=500&key=key_3_9&…",
    "/portal/v1/calls?limit=50&model=openai/model-3&node=node-2&…",
    "/portal/v1/usage?group_by=model,day&compare=previous&limit=1000&…",
    "/portal/v1/usage?group_by=key&compare=previous&…",
    "/portal/v1/usage?group_by=hour&limit=1000&…",
    "/admin/v1/fleet",
    "/admin/v1/margin?group_by=workspace,model&…",
    "/admin/v1/margin?group_by=day&…",
    "/admin/v1/calls?limit=50&status=failed",
    "/admin/v1/audit?limit=50",
)


async def worst_ms(read: Callable[[], Awaitable[Any]]) -> float:
    """The longest of a few readings, in milliseconds."""
    longest = 0.0
    for _ in range(READINGS):
        started_s = time.perf_counter()
        await read()
        longest = max(longest, time.perf_counter() - started_s)
    return longest * 1000


async def fill(database: Database, url: str, calls: int) -> None:
    """Makes the calls and their sums."""
    step = DAYS * DAY_MS // calls
    false = "0" if database.dialect.name == "sqlite" else "FALSE"
    statement = text(FILL.format(false=false, columns=COLUMNS))
    # In pieces, since no transaction of Mira's lasts longer than half a minute.
    for first in range(0, calls, PIECE):
        values = {"first": first, "last": min(first + PIECE, calls) - 1, "begins": END_MS - calls * step, "step": step}
        await database.write(lambda connection, values=values: connection.execute(statement, values).rowcount)
    for one in (sum_up("usage_hour", HOUR_MS), sum_up("usage_day", DAY_MS), "ANALYZE"):
        await asyncio.to_thread(unhurried, database, url, one)


def unhurried(database: Database, url: str, statement: str) -> None:
    """Runs a statement that may take minutes, past Mira's own limits of time."""
    if database.dialect.name == "sqlite":
        with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
            file.execute(statement)
        return
    with psycopg.connect(url) as server:
        server.execute(statement)


async def measure(url: str, calls: int) -> None:
    """Fills, reads, forgets; prints a line for each page."""
    database = Database.open(url)
    started_s = time.perf_counter()
    await fill(database, url, calls)
    print(f"{calls:,} calls made in {time.perf_counter() - started_s:.0f} s")
    pages, sheets = Calls(database), UsageSheets(database)
    middle = (await pages.page(Wanted(until_ms=END_MS - 45 * DAY_MS), limit=50)).next
    month = END_MS - 30 * DAY_MS
    readings: dict[str, Callable[[], Awaitable[Any]]] = {
        "calls: the newest": lambda: pages.page(Wanted(), limit=50),
        "calls: from the middle": lambda: pages.page(Wanted(), after=middle, limit=50),
        "calls: 1,000 of a workspace": lambda: pages.page(Wanted(workspace_id="ws_3"), limit=1000),
        "calls: of a key": lambda: pages.page(Wanted(key_id="key_3_9"), limit=50),
        "calls: of a rare model": lambda: pages.page(Wanted(model="openai/rare"), limit=50),
        "calls: of a rare model and a workspace": lambda: pages.page(
            Wanted(model="openai/rare", workspace_id="ws_7"), limit=50
        ),
        "calls: of a node": lambda: pages.page(Wanted(node="node-2"), limit=50),
        "calls: failed": lambda: pages.page(Wanted(failed=True), limit=50),
        "calls: with a status that never was": lambda: pages.page(Wanted(status=418, since_ms=month), limit=50),
        "usage: by model, all time": lambda: sheets.page(Wanted(), ("model",)),
        "usage: by day, all time": lambda: sheets.page(Wanted(), ("day",)),
        "usage: by key, a month": lambda: sheets.page(Wanted(since_ms=month), ("key",), limit=1000),
        "usage: by hour, a workspace": lambda: sheets.page(Wanted(workspace_id="ws_3"), ("hour",), limit=1000),
        "usage: by day and model, a key": lambda: sheets.page(Wanted(key_id="key_3_9"), ("day", "model")),
    }
    for name, read in readings.items():
        print(f"{name:<42} {await worst_ms(read):>8.1f} ms", flush=True)
    for number in range(20):
        await Workspaces(database).create(f"ws_{number}", f"workspace {number}", END_MS)
    await database.close()
    await asyncio.to_thread(portal, url)
    database = Database.open(url)
    await forget(database)
    await database.close()


def portal(url: str) -> None:
    """Asks a gateway on the database for the portal's pages; prints what 95 of 100 answers take at most."""
    span = f"since_ms={END_MS - DAYS * DAY_MS}&until_ms={END_MS}"
    nodes = [openai_node("http://127.0.0.1:9", f"node-{number}", ["model-1"]) for number in range(4)]
    with tempfile.TemporaryDirectory(prefix="mira-pages-home-") as home:
        gateway = Gateway(Path(home), nodes=nodes, MIRA_DATABASE_URL=url).start()
        try:
            browser = Browser(gateway.url)
            [operator] = gateway.admin("GET", "/users")["data"]
            fresh = gateway.admin("POST", f"/users/{operator['id']}/reset-password")
            browser.sign_in(operator["email"], fresh["password"])
            browser.change("PUT", "/portal/v1/session/workspace", {"workspace_id": WORKSPACE})
            for path in PORTAL:
                took_ms: list[float] = []
                for _ in range(ASKED):
                    started_s = time.perf_counter()
                    browser.get(path.replace("…", span))
                    took_ms.append((time.perf_counter() - started_s) * 1000)
                took_ms.sort()
                print(f"{path:<72} {took_ms[int(ASKED * 0.95) - 1]:>8.1f} ms", flush=True)
            browser.close()
        finally:
            gateway.close()


async def forget(database: Database) -> None:
    """Forgets a day of calls while a writer writes; prints how long that waited."""
    retention = Retention(database, now_ms=lambda: END_MS, keep_days=DAYS - 1)
    sweeping = asyncio.create_task(retention.sweep())
    waits: list[float] = []
    while not sweeping.done():
        started_s = time.perf_counter()
        await database.write(
            lambda connection: connection.execute(text("UPDATE account SET held_nanocredits = 0")).rowcount
        )
        waits.append((time.perf_counter() - started_s) * 1000)
        await asyncio.sleep(0.002)
    waits.sort()
    print(
        f"{await sweeping:,} calls forgotten beside {len(waits):,} writes; "
        f"a write took {waits[len(waits) // 2]:.1f} ms, at most {waits[-1]:.1f} ms"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--calls", type=int, default=5_000_000)
    arguments.add_argument("--postgres", action="store_true")
    options = arguments.parse_args()
    with ExitStack() as stack:
        if options.postgres:
            server = stack.enter_context(cluster({"shared_buffers": "256MB", "max_wal_size": "4GB"}))
            url = server.create("pages")
        else:
            folder = Path(tempfile.mkdtemp(prefix="mira-pages-"))
            stack.callback(shutil.rmtree, folder)
            url = f"sqlite:///{folder}/pages.db"
        uvloop.run(measure(url, options.calls))


if __name__ == "__main__":
    main()
