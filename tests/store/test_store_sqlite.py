"""What is SQLite's alone: the file, its lock, its rights, and full disks."""

import asyncio
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from mira.errors import ConfigError, Kind, MiraError
from mira.store.database import Database
from mira.store.ledger import Ledger
from mira.store.workspaces import Workspaces


def execute(database, *statements):
    return database.write(lambda connection: [connection.execute(text(statement)).rowcount for statement in statements])


def rows(database, query):
    return database.read(lambda connection: [tuple(row) for row in connection.execute(text(query))])


async def test_a_second_process_is_refused_by_the_lock(sqlite, sqlite_url):
    program = (
        "import sys; from mira.store.database import Database; from mira.errors import ConfigError\n"
        "try: Database.open(sys.argv[1])\n"
        "except ConfigError as error: print(error)\n"
    )
    second = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, sqlite_url, stdout=asyncio.subprocess.PIPE
    )
    told = (await second.communicate())[0].decode()
    assert "in use by another Mira process" in told
    assert str(sqlite.engine.path) in told
    assert "MIRA_HOME" in told


async def test_the_files_are_readable_by_their_owner_only(sqlite, tmp_path):
    await sqlite.write(lambda connection: connection.execute(text("INSERT INTO setting VALUES ('a', 'b')")).rowcount)
    files = [path for path in tmp_path.iterdir() if path.name.startswith("mira.db")]
    assert len(files) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


async def test_every_commit_waits_for_the_disk(sqlite):
    settings = await sqlite.write(
        lambda connection: [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    )
    assert settings == ["wal", 2, 1]


def test_a_file_that_is_no_database_is_a_configuration_error(tmp_path: Path):
    (tmp_path / "mira.db").write_bytes(b"no database " * 1000)
    for _ in range(2):
        with pytest.raises(ConfigError, match="cannot be opened"):
            Database.open(f"sqlite:///{tmp_path}/mira.db")


def test_a_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be used"):
        Database.open(f"sqlite:///{tmp_path}/file/mira.db")


async def test_closing_leaves_one_whole_file(sqlite_url, tmp_path):
    database = Database.open(sqlite_url)
    await database.write(lambda connection: connection.execute(text("INSERT INTO setting VALUES ('a', 'b')")).rowcount)
    await database.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mira.db", "mira.db.lock"]
    with closing(sqlite3.connect(tmp_path / "mira.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_full_disk_refuses_keeps_and_resumes(sqlite, clock, reserving, recording):
    await Workspaces(sqlite).create("w", "w", clock())
    ledger = Ledger(sqlite, clock=clock, epoch_id="one")
    await ledger.start()
    await ledger.top_up("w", 10**9, "x")
    for number in range(64):
        await ledger.reserve(reserving(f"before{number:03}", 10))
    await ledger.maintain()
    pages = (await rows(sqlite, "PRAGMA page_count"))[0][0]
    await execute(sqlite, f"PRAGMA max_page_count = {pages}")

    # Enough rows that no free space in half-filled pages takes them.
    settling = [
        asyncio.ensure_future(ledger.settle(f"before{number:03}", 7, recording(f"before{number:03}", model="m" * 900)))
        for number in range(64)
    ]
    refusal = None
    async with asyncio.timeout(120):
        while refusal is None:
            try:
                await ledger.reserve(reserving("during", 10))
                await ledger.void("during", None)
            except MiraError as error:
                refusal = error
    assert refusal.kind is Kind.STORE_DOWN
    assert refusal.status == 503
    with pytest.raises(MiraError, match="database"):
        await ledger.top_up("w", 5, "during")
    assert not any(one.done() for one in settling)
    # The refused top-up's reference is free again, reads go on, and the file is whole.
    assert (await ledger.check())["ok"]
    assert await rows(sqlite, "PRAGMA integrity_check") == [("ok",)]

    await execute(sqlite, "PRAGMA max_page_count = 100000")
    assert await asyncio.wait_for(asyncio.gather(*settling), 120) == [7] * 64
    await (await ledger.reserve(reserving("after", 10))).durable
    assert await ledger.top_up("w", 5, "during")
    assert await ledger.balance("w") == (10**9 - 64 * 7 + 5, 10)
    assert (await ledger.check())["ok"]
    await ledger.close()
