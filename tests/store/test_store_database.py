"""What a database of any kind promises: its migrations, its triggers, its transactions."""

import asyncio
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from mira.errors import ConfigError, Kind, MiraError
from mira.store import schema
from mira.store.database import Database
from mira.store.migrate import migrate, version
from mira.store.migrations import HEAD


async def test_a_closed_database_can_be_opened_again(database_url):
    for _ in range(2):
        await Database.open(database_url).close()


@pytest.mark.parametrize("url", ["mysql://localhost/mira", "sqlite://", "sqlite:///:memory:", "nonsense"])
def test_an_unusable_url_is_a_configuration_error(url):
    with pytest.raises(ConfigError, match="database url"):
        Database.open(url)


async def test_a_database_of_a_newer_mira_is_refused(database_url):
    database = Database.open(database_url)
    await database.write(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    await database.close()
    with pytest.raises(ConfigError, match="newer than this Mira"):
        Database.open(database_url)


async def test_the_migrations_make_the_schema_and_unmake_it(database):
    def differences(connection):
        return compare_metadata(MigrationContext.configure(connection), schema.metadata)

    assert await database.write(differences) == []
    assert await database.write(version) == HEAD

    await database.write(lambda connection: migrate(connection, "base"))
    assert await database.read(lambda connection: inspect(connection).get_table_names()) == ["alembic_version"]

    await database.write(migrate)
    assert await database.write(differences) == []


async def test_a_database_goes_back_to_an_older_version_and_forward_again(database_url):
    database = Database.open(database_url)
    with pytest.raises(ConfigError, match="no version 7777"):
        database.engine.migrate("7777")
    database.engine.migrate("0001")
    assert await database.read(version) == "0001"
    assert not await database.read(lambda connection: inspect(connection).has_table("answer"))
    await database.close()
    database = Database.open(database_url)
    assert await database.read(version) == HEAD
    await database.close()


async def test_the_constraints_of_the_migrations_are_those_of_the_schema(database):
    def said(condition):
        return condition.replace("(", "").replace(")", "")

    def checks(connection):
        found = inspect(connection)
        return {
            table: sorted((check["name"], said(check["sqltext"])) for check in found.get_check_constraints(table))
            for table in schema.metadata.tables
        }

    def expected():
        return {
            name: sorted(
                (str(constraint.name), said(str(constraint.sqltext)))
                for constraint in table.constraints
                if hasattr(constraint, "sqltext")
            )
            for name, table in schema.metadata.tables.items()
        }

    assert await database.read(checks) == expected()


@pytest.mark.parametrize("statement", ["UPDATE transfer SET amount_nanocredits = 2", "DELETE FROM transfer"])
async def test_transfers_can_only_be_added(database, ledger, statement):
    await ledger.top_up("w", 1, "once")
    with pytest.raises(IntegrityError, match="append-only"):
        await database.write(lambda connection: connection.execute(text(statement)).rowcount)
    assert (await ledger.check())["ok"]


async def test_a_capped_account_cannot_be_written_below_zero(database, ledger):
    statement = text("UPDATE account SET held_nanocredits = 1 WHERE id = 'workspace:w'")
    with pytest.raises(IntegrityError, match="account_cap"):
        await database.write(lambda connection: connection.execute(statement).rowcount)


async def test_what_fails_in_a_write_leaves_nothing(database):
    def half(connection):
        connection.execute(text("INSERT INTO setting VALUES ('a', 'b')"))
        raise MiraError(Kind.NOT_FOUND, "no")

    with pytest.raises(MiraError, match="no"):
        await database.write(half)
    assert await database.read(lambda connection: connection.execute(text("SELECT * FROM setting")).all()) == []


async def test_reads_run_beside_each_other_and_cannot_write(database):
    meeting = threading.Barrier(3, timeout=120)

    def meet(connection):
        connection.execute(text("SELECT 1"))
        meeting.wait()

    await asyncio.gather(*(database.read(meet) for _ in range(3)))
    with pytest.raises(MiraError) as refused:
        await database.read(lambda connection: connection.execute(text("DELETE FROM setting")).rowcount)
    assert refused.value.kind is Kind.STORE_DOWN


async def test_a_read_sees_one_moment(database):
    """What is committed while a read runs is not part of it."""
    count = text("SELECT count(*) FROM setting")
    begun, go_on = threading.Event(), threading.Event()

    def twice(connection):
        first = connection.execute(count).scalar()
        begun.set()
        assert go_on.wait(120)
        return first, connection.execute(count).scalar()

    reading = asyncio.ensure_future(database.read(twice))
    await asyncio.get_running_loop().run_in_executor(None, begun.wait, 120)
    await database.write(lambda connection: connection.execute(text("INSERT INTO setting VALUES ('a', 'b')")).rowcount)
    go_on.set()
    assert await reading == (0, 0)


async def test_a_caller_who_leaves_does_not_stop_its_write(database):
    writing = asyncio.ensure_future(
        database.write(lambda connection: connection.execute(text("INSERT INTO setting VALUES ('a', 'b')")).rowcount)
    )
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await database.write(lambda connection: connection.execute(text("INSERT INTO setting VALUES ('c', 'd')")).rowcount)
    assert len(await database.read(lambda connection: connection.execute(text("SELECT * FROM setting")).all())) == 2
