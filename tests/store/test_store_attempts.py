"""Attempts on record, and what we booked for a node."""

from sqlalchemy import func, select

from mira.core.call import Tried
from mira.core.reconciliation import Entry
from mira.store.calls import Calls
from mira.store.retention import DAY_MS, Retention
from mira.store.schema import attempt

START_MS = 1_760_000_000_000
TWO = (Tried("a", "upstream_failed", START_MS + 1, 40, 5), Tried("b", "ok", START_MS + 41, 60, 17))


async def rows(database):
    return await database.read(
        lambda connection: connection.execute(select(func.count()).select_from(attempt)).scalar()
    )


async def test_attempts_are_written_with_the_settlement_and_found_with_their_call(
    database, ledger, reserving, recording
):
    await ledger.reserve(reserving("r", 0))
    record = recording("r", node="b", attempts=2, tried=TWO)
    await ledger.settle("r", 0, record, attempt_cost_nanocredits=5)
    await ledger.settle("r", 0, record)
    found = await Calls(database).get("r")
    assert found is not None
    assert found.tried == TWO
    assert await rows(database) == 2


async def test_a_void_and_a_refusal_keep_their_attempts_but_one_that_cost_nothing_is_its_row(
    database, ledger, reserving, recording
):
    await ledger.reserve(reserving("billed", 0))
    billed = (Tried("a", "upstream_timeout", START_MS, 9, 3),)
    await ledger.void("billed", recording("billed", node="a", attempts=1, tried=billed), attempt_cost_nanocredits=3)
    await ledger.record(recording("two", node="b", attempts=2, tried=TWO))
    single = (Tried("a", "upstream_failed", START_MS, 9, 0),)
    await ledger.record(recording("clean", node="a", attempts=1, tried=single))
    calls = Calls(database)
    assert [len((await calls.get(name)).tried) for name in ("billed", "two", "clean")] == [1, 2, 0]


async def test_what_a_node_charged_is_its_own_word_the_table_or_its_attempts(database, ledger, recording):
    for record in (
        recording("told", node="a", attempts=1, computed_nanocredits=9, reported_nanocredits=7),
        recording("reckoned", node="a", attempts=1, computed_nanocredits=8),
        recording("two", node="b", attempts=2, tried=TWO, computed_nanocredits=17),
        recording("elsewhere", node="b", attempts=1, computed_nanocredits=1),
        recording("early", node="a", attempts=1, computed_nanocredits=1, started_at_ms=START_MS - 1),
        recording("late", node="a", attempts=1, computed_nanocredits=1, started_at_ms=START_MS + 100),
        recording("refused"),
    ):
        await ledger.record(record)
    calls = Calls(database)
    booked = await calls.charged_by("a", START_MS, START_MS + 100)
    assert sorted(booked, key=lambda entry: entry.request_id) == [
        Entry("reckoned", 8),
        Entry("told", 7),
        Entry("two", 5),
    ]
    booked = await calls.charged_by("b", START_MS, START_MS + 100)
    assert sorted(booked, key=lambda entry: entry.request_id) == [Entry("elsewhere", 1), Entry("two", 17)]
    wanted = [*(f"nobody's {number}" for number in range(1100)), "told", "early"]
    assert await calls.started(wanted) == {"told": START_MS, "early": START_MS - 1}


async def test_attempts_are_forgotten_with_their_calls(database, ledger, recording):
    await ledger.record(recording("old", node="b", attempts=2, tried=TWO, started_at_ms=START_MS - 1))
    await ledger.record(recording("young", node="b", attempts=2, tried=TWO))
    assert await Retention(database, now_ms=lambda: START_MS + DAY_MS, keep_days=1).sweep(0) == 1
    calls = Calls(database)
    assert await calls.get("old") is None
    assert (await calls.get("young")).tried == TWO
    assert await rows(database) == 2
