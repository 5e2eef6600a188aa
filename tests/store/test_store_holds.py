"""Holds that outlive their owner, and disks that do not take what is written."""

import asyncio
import os
import sqlite3
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from tests.support.severing import Severing
from waiting import eventually

from mira.core.ledger import Doubt
from mira.errors import Kind, MiraError
from mira.store.calls import Calls
from mira.store.database import Database
from mira.store.ledger import CHECKPOINTS_PER_BEAT, Ledger
from mira.store.sqlite import SqliteEngine
from mira.store.transfers import Transfers
from mira.store.upkeep import ASK_MS, HOLD_TTL_MS
from mira.store.workspaces import Workspaces


def execute(database, *statements):
    return database.write(lambda connection: [connection.execute(text(statement)).rowcount for statement in statements])


def rows(database, query):
    return database.read(lambda connection: [tuple(row) for row in connection.execute(text(query))])


async def restarted(database, ledger, clock) -> Ledger:
    """A ledger of a next life, its predecessor having died without a word, long enough ago to be known as dead."""
    for timer in ledger._timers.values():
        timer.cancel()
    clock.now_ms += HOLD_TTL_MS + 1
    successor = Ledger(database, clock=clock, epoch_id="next life", patience_s=0)
    await successor.start()
    return successor


async def test_the_holds_of_a_dead_process_are_charged_their_checkpoint_or_voided(database, ledger, clock, reserving):
    await ledger.top_up("w", 1000, "x")
    for name in ("r1", "r2", "r3"):
        await ledger.reserve(reserving(name, 300))
    ledger.checkpoint("r1", 120)
    ledger.checkpoint("r2", 999)
    await ledger.maintain()
    ledger.checkpoint("r3", 50)

    successor = await restarted(database, ledger, clock)
    assert await successor.balance("w") == (1000 - 120 - 300, 0)
    idems = [line.idem for line in (await Transfers(database).page("w")).rows]
    assert idems == ["settle:r2", "settle:r1", "topup:w:x"]
    assert (await successor.check())["ok"]
    await successor.maintain()
    assert await rows(database, "SELECT id FROM epoch") == [("next life",)]
    await successor.close()


async def test_more_dead_holds_than_one_batch_takes_are_swept_by_themselves(database, ledger, clock, reserving):
    await ledger.top_up("w", 10_000, "x")
    await asyncio.gather(*(ledger.reserve(reserving(f"r{number}", 1)) for number in range(1200)))
    await ledger.maintain()
    successor = await restarted(database, ledger, clock)

    async def swept():
        return await successor.balance("w") == (10_000, 0)

    await eventually(swept)
    await successor.close()


async def test_a_swept_hold_cannot_be_settled_again(database, ledger, clock, reserving, recording):
    await ledger.top_up("w", 1000, "x")
    await ledger.reserve(reserving("r1", 300))
    ledger.checkpoint("r1", 120)
    await ledger.maintain()
    successor = await restarted(database, ledger, clock)
    assert await successor.settle("r1", 300, recording("r1")) == 120
    assert await successor.balance("w") == (880, 0)
    assert (await successor.check())["ok"]
    await successor.close()


async def test_a_renewed_hold_is_never_swept(database, ledger, clock, reserving, recording):
    await ledger.top_up("w", 1000, "x")
    await ledger.reserve(reserving("r1", 300))
    for _ in range(5):
        clock.now_ms += HOLD_TTL_MS - 1
        await ledger.maintain()
    assert await ledger.settle("r1", 200, recording("r1")) == 200


async def test_a_process_that_slept_keeps_its_holds(database, ledger, clock, reserving, recording):
    """Longer than a hold lives: the rows still stand, and the next renewal comes before the sweep."""
    await ledger.top_up("w", 1000, "x")
    await ledger.reserve(reserving("r1", 300))
    await ledger.reserve(reserving("r2", 300))
    clock.now_ms += 10 * HOLD_TTL_MS
    assert await ledger.settle("r1", 200, recording("r1")) == 200
    assert not (await ledger.check())["ok"]
    await ledger.maintain()
    assert (await ledger.check())["ok"]
    assert await ledger.settle("r2", 200, recording("r2")) == 200
    assert await ledger.balance("w") == (600, 0)


async def test_a_hold_that_vanished_from_under_its_process_bills_nothing_twice(database, ledger, reserving, recording):
    """Memory says live, the row is gone: the batch is decided again from the rows."""
    await ledger.top_up("w", 1000, "x")
    for name in ("r1", "r2"):
        await ledger.reserve(reserving(name, 300))
    await ledger.maintain()
    await execute(
        database,
        "DELETE FROM hold WHERE id = 'r1'",
        "UPDATE account SET held_nanocredits = 300 WHERE id = 'workspace:w'",
    )
    billed = await asyncio.gather(ledger.settle("r1", 200, recording("r1")), ledger.settle("r2", 200, recording("r2")))
    assert billed == [0, 200]
    assert await ledger.balance("w") == (800, 0)


async def test_changed_checkpoints_are_written_by_the_tick(database, ledger, reserving):
    await ledger.top_up("w", 1000, "x")
    await ledger.reserve(reserving("r1", 300))
    ledger.checkpoint("r1", 10)
    ledger.checkpoint("r1", 20)
    ledger.checkpoint("unknown", 5)
    ledger._tick()

    async def written():
        return await rows(database, "SELECT checkpoint_nanocredits FROM hold") == [(20,)]

    await eventually(written)


async def test_every_second_tick_beats_and_renews(database, ledger, clock, reserving):
    await ledger.reserve(reserving("r1", 0))
    clock.now_ms += 30_000
    for _ in range(CHECKPOINTS_PER_BEAT):
        ledger._tick()

    async def renewed():
        found = await rows(database, "SELECT expires_at_ms FROM hold UNION ALL SELECT heartbeat_at_ms FROM epoch")
        return found == [(clock.now_ms + HOLD_TTL_MS,), (clock.now_ms,)]

    await eventually(renewed)


# Disks that fail


#: A commit that fails after every statement went through: a trigger leaves a reference that the commit then misses.
FAILING_COMMIT = {
    "sqlite": (
        "CREATE TABLE missing (id TEXT REFERENCES workspace(id) DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TRIGGER fails AFTER INSERT ON {table} BEGIN INSERT INTO missing VALUES ('nothing'); END",
    ),
    "postgresql": (
        """CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'no space left' USING ERRCODE = 'disk_full'; END $$""",
        """CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION fail()""",
    ),
}


async def fail_commits(database, table):
    """From now on no commit succeeds that adds a row to a table."""
    await execute(database, *(line.format(table=table) for line in FAILING_COMMIT[database.dialect.name]))


async def mend_commits(database, table):
    await execute(database, "DROP TRIGGER fails" + (f" ON {table}" if database.shared else ""))


async def test_a_hold_whose_commit_fails_is_never_durable_and_never_decided_again(
    database, ledger, reserving, recording
):
    await ledger.top_up("w", 1000, "x")
    await fail_commits(database, "hold")
    hold = await ledger.reserve(reserving("r1", 300))
    with pytest.raises(MiraError) as failed:
        await hold.durable
    assert failed.value.kind is Kind.STORE_DOWN
    with pytest.raises(MiraError):
        await ledger.reserve(reserving("r2", 300))
    await mend_commits(database, "hold")
    assert await ledger.settle("r1", 200, recording("r1")) == 0
    assert await ledger.balance("w") == (1000, 0)
    await (await ledger.reserve(reserving("r3", 300))).durable
    assert (await ledger.check())["ok"]


async def test_whoever_does_not_wait_for_a_hold_hears_once_that_it_is_lost(database, ledger, reserving):
    lost = []

    async def hold(name):
        held = await ledger.reserve(reserving(name, 300))
        if held.durable.done():
            lost.append(name)
        else:
            held.on_lost = partial(lost.append, name)
        return held

    await ledger.top_up("w", 1000, "x")
    await (await hold("r1")).durable
    await fail_commits(database, "hold")
    for failed in await asyncio.gather(hold("r2"), hold("r3")):
        with pytest.raises(MiraError):
            await asyncio.shield(failed.durable)
    await mend_commits(database, "hold")
    await eventually(lambda: not ledger._down)
    assert sorted(lost) == ["r2", "r3"]


async def test_a_settlement_whose_commit_fails_is_in_once_the_disk_works(database, ledger, reserving, recording):
    await ledger.top_up("w", 1000, "x")
    await ledger.reserve(reserving("r1", 300))
    ledger.checkpoint("r1", 100)
    await ledger.maintain()
    await fail_commits(database, "transfer")
    settling = asyncio.ensure_future(ledger.settle("r1", 200, recording("r1")))
    refusing = ledger.record(recording("r2", status=402))
    await eventually(lambda: ledger._down)
    assert await ledger.balance("w") == (1000, 300)
    await mend_commits(database, "transfer")
    assert await asyncio.wait_for(settling, 120) == 200
    await asyncio.wait_for(refusing, 120)
    assert await ledger.balance("w") == (800, 0)
    assert (await ledger.check())["ok"]


async def test_a_ledger_that_cannot_write_still_closes(database, ledger, clock, reserving, recording):
    await ledger.top_up("w", 1000, "x")
    await ledger.reserve(reserving("r1", 300))
    ledger.checkpoint("r1", 100)
    await ledger.maintain()
    await fail_commits(database, "transfer")
    settling = asyncio.ensure_future(ledger.settle("r1", 200, recording("r1")))
    await eventually(lambda: ledger._down)
    await ledger.close(timeout_s=0.2)
    for refused in (settling, ledger.reserve(reserving("r2", 300)), ledger.void("r1", recording("r1"))):
        with pytest.raises(MiraError, match="database"):
            await refused
    await mend_commits(database, "transfer")
    successor = await restarted(database, ledger, clock)
    assert await successor.balance("w") == (900, 0)
    await successor.close()


class Doubtful(sqlite3.Connection):
    """A connection that may commit and then say that it failed, as a disk can."""

    doubt = False

    def execute(self, sql, *parameters):
        outcome = super().execute(sql, *parameters)
        if self.doubt and sql == "COMMIT":
            self.doubt = False
            raise sqlite3.OperationalError("disk I/O error")
        return outcome


@pytest.fixture
async def doubtful(database_url, clock):
    """A ledger, and what stands between it and its database: the outcome of its next commit can be put in doubt."""
    database = Database.open(database_url)
    await Workspaces(database).create("w", "w", clock())
    await database.close()
    url = make_url(database_url)
    if url.drivername == "sqlite":
        path = database.engine.path
        between = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Doubtful)
        database = Database(SqliteEngine(path, os.open(os.devnull, os.O_RDONLY), between))
    else:
        between = Severing(url.query["host"])
        through = url.update_query_dict({"host": between.folder}).render_as_string(hide_password=False)
        database = Database.open(through, late_s=60)
    ledger = Ledger(database, clock=clock, epoch_id="doubtful")
    await ledger.start()
    yield ledger, between
    await ledger.close()
    await database.close()
    between.close()


async def test_a_hold_of_a_doubtful_commit_is_voided_by_its_id(doubtful, reserving):
    ledger, connection = doubtful
    await ledger.top_up("w", 1000, "x")
    connection.doubt = True
    hold = await ledger.reserve(reserving("r1", 300))
    with pytest.raises(MiraError):
        await hold.durable

    async def voided():
        return await ledger.balance("w") == (1000, 0)

    await eventually(voided)
    assert (await ledger.check())["ok"]


async def test_a_settlement_of_a_doubtful_commit_bills_once(doubtful, reserving, recording):
    ledger, connection = doubtful
    await ledger.top_up("w", 1000, "x")
    for name in ("r1", "r2"):
        await (await ledger.reserve(reserving(name, 300))).durable
    connection.doubt = True
    billed = await asyncio.gather(ledger.settle("r1", 200, recording("r1")), ledger.void("r2", recording("r2")))
    assert billed == [200, None]
    assert await ledger.balance("w") == (800, 0)
    assert (await ledger.check())["ok"]


async def test_a_payment_of_a_doubtful_commit_counts_once(doubtful):
    ledger, connection = doubtful
    connection.doubt = True
    with pytest.raises(MiraError):
        await ledger.top_up("w", 1000, "x")
    assert await ledger.top_up("w", 1000, "x") is False
    assert await ledger.balance("w") == (1000, 0)


async def doubting(database, clock, doubts, epoch_id) -> Ledger:
    """A ledger of a next life that hears of calls whose node may be asked."""
    clock.now_ms += HOLD_TTL_MS + 1
    ledger = Ledger(database, clock=clock, epoch_id=epoch_id, patience_s=0, on_doubt=doubts.append)
    await ledger.start()
    return ledger


async def test_a_call_whose_node_may_know_its_cost_is_held_until_that_was_asked(
    database, ledger, clock, reserving, recording
):
    await ledger.top_up("w", 1000, "x")
    for name in ("r1", "r2"):
        await ledger.reserve(reserving(name, 300))
    ledger.checkpoint("r1", 120, "second", "gen-1")
    ledger.checkpoint("r2", 50)
    await ledger.maintain()
    for timer in ledger._timers.values():
        timer.cancel()

    doubts: list[Doubt] = []
    successor = await doubting(database, clock, doubts, "next life")
    assert doubts == [Doubt("r1", "w", "k", "", 300, 120, "second", "gen-1")]
    assert await successor.balance("w") == (950, 300)
    await successor.maintain()
    assert (len(doubts), await successor.balance("w")) == (1, (950, 300))
    assert (await successor.check())["ok"]

    lost = recording("r1", status=500, error="lost")
    await successor.close_lost(lost, 700)
    assert await successor.balance("w") == (650, 0)
    assert lost.billed_nanocredits == 300
    assert (await Calls(database).get("r1")).billed_nanocredits == 300
    assert (await successor.check())["ok"]
    await successor.close()


async def test_a_doubt_that_nobody_resolves_ends_at_the_checkpoint(database, ledger, clock, reserving):
    """Whoever took it over forgets it or dies too; no node is asked a second time."""
    await ledger.top_up("w", 1000, "x")
    await ledger.reserve(reserving("r1", 300))
    ledger.checkpoint("r1", 120, "second")
    await ledger.maintain()
    for timer in ledger._timers.values():
        timer.cancel()
    doubts: list[Doubt] = []
    successor = await doubting(database, clock, doubts, "next life")
    clock.now_ms += ASK_MS + 1
    await successor.maintain()
    assert await successor.balance("w") == (880, 0)
    assert len(doubts) == 1
    assert (await successor.check())["ok"]
    await successor.close()
