"""A copy of a database has every row and balances."""

import pytest
from sqlalchemy import func, select

from mira.errors import ConfigError
from mira.store import schema
from mira.store.copying import PIECE, copy_all
from mira.store.database import Database
from mira.store.ledger import Ledger
from mira.store.settings import Settings
from mira.store.workspaces import Workspaces


@pytest.fixture(params=["sqlite", "postgres"])
def target_url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/copy.db"
    return request.getfixturevalue("new_postgres_url")()


@pytest.fixture
async def target(target_url):
    """An empty database of each kind, beside the one that is copied."""
    database = Database.open(target_url, late_s=60)
    yield database
    await database.close()


async def filled(database, reserving, recording):
    await Workspaces(database).create("w", "w", 0)
    ledger = Ledger(database, epoch_id="one")
    await ledger.start()
    await ledger.top_up("w", 10**6, "x")
    for number in range(3):
        await ledger.reserve(reserving(f"r{number}", 100))
        await ledger.settle(f"r{number}", 40, recording(f"r{number}"))
    await ledger.close()
    rows = [{"name": f"s{number:05}", "value": "v"} for number in range(PIECE + 5)]
    await database.write(lambda connection: connection.execute(schema.setting.insert(), rows).rowcount)


async def test_a_copy_has_every_row_and_goes_on(sqlite, target, reserving, recording):
    await filled(sqlite, reserving, recording)
    copied = await copy_all(sqlite, target, {"secret-key": "s" * 48})
    assert (copied.rows["transfer"], copied.rows["call"], copied.rows["workspace"]) == (4, 3, 1)
    assert copied.check["ok"]
    count = select(func.count()).select_from(schema.setting)
    assert await target.read(lambda connection: connection.execute(count).scalar_one()) == PIECE + 6
    assert await Settings(target).get("secret-key") == "s" * 48

    ledger = Ledger(target, epoch_id="two")
    await ledger.start()
    assert await ledger.balance("w") == (10**6 - 120, 0)
    assert not await ledger.top_up("w", 10**6, "x")
    await ledger.reserve(reserving("r9", 100))
    assert await ledger.settle("r9", 40, recording("r9")) == 40
    assert (await ledger.check())["ok"]
    await ledger.close()


async def test_a_copy_that_was_cut_is_made_whole(sqlite, target, reserving, recording):
    await filled(sqlite, reserving, recording)
    await Workspaces(target).create("w", "w", 0)
    await copy_all(sqlite, target, {})
    assert (await copy_all(sqlite, target, {})).check["ok"]


async def test_a_database_in_use_is_not_copied_over(sqlite, target, reserving, recording):
    await filled(sqlite, reserving, recording)
    await Settings(target).set("bootstrap", "1")
    with pytest.raises(ConfigError, match="empty database"):
        await copy_all(sqlite, target, {})
    assert await Workspaces(target).list() == []
