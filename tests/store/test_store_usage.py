"""Sums of usage, lists of calls, and how both are forgotten: never by reading or blocking everything."""

import pytest
from sqlalchemy import text

from mira.core.ledger import Claim, Reserve, StoredAnswer
from mira.core.usage import Usage
from mira.errors import MiraError
from mira.store.calls import Calls, Wanted
from mira.store.claims import CLAIM_TTL_MS
from mira.store.ledger import Ledger
from mira.store.retention import AT_ONCE, Retention
from mira.store.transfers import Transfers
from mira.store.upkeep import HOLD_TTL_MS
from mira.store.usage import UsageSheets
from mira.store.usage_sums import DAY_MS, HOUR_MS

#: A Thursday, midnight in UTC.
MIDNIGHT_MS = 1_760_054_400_000


@pytest.fixture
def served(ledger, reserving, recording):
    """Serves a call of a cost."""

    async def serve(name: str, cost: int, **fields) -> None:
        await ledger.reserve(reserving(name, 1000))
        usage = Usage(input_tokens=1, cache_read_tokens=2, output_tokens=3, reasoning_tokens=4)
        record = recording(name, **{"usage": usage, "computed_nanocredits": cost, **fields})
        await ledger.settle(name, cost, record)

    return serve


async def sums(database, *by: str, **wanted) -> list[tuple]:
    page = await UsageSheets(database).page(Wanted(**wanted), by)
    return [(*row.groups.values(), row.calls, row.billed_nanocredits) for row in page.rows]


async def test_usage_is_summed_by_any_groups_and_filters(database, ledger, served):
    await ledger.top_up("w", 10_000, "x")
    for name, cost, model, key_id, hours in (
        ("r1", 10, "a", "k", 0),
        ("r2", 20, "b", "k", 1),
        ("r3", 40, "b", "l", 1),
        ("r4", 80, "a", "l", 25),
    ):
        await served(name, cost, model=model, key_id=key_id, started_at_ms=MIDNIGHT_MS + hours * HOUR_MS + 5, node="n")
    assert await sums(database) == [(4, 150)]
    assert await sums(database, "model") == [("a", 2, 90), ("b", 2, 60)]
    assert await sums(database, "key", "model") == [
        ("l", "a", 1, 80),
        ("l", "b", 1, 40),
        ("k", "b", 1, 20),
        ("k", "a", 1, 10),
    ]
    assert await sums(database, "day") == [(MIDNIGHT_MS + DAY_MS, 1, 80), (MIDNIGHT_MS, 3, 70)]
    assert await sums(database, "hour", model="b") == [(MIDNIGHT_MS + HOUR_MS, 2, 60)]
    assert await sums(database, "workspace", "node", key_id="l") == [("w", "n", 2, 120)]
    assert await sums(database, since_ms=MIDNIGHT_MS + HOUR_MS, until_ms=MIDNIGHT_MS + DAY_MS) == [(2, 60)]
    assert await sums(database, "model", workspace_id="v") == []
    page = await UsageSheets(database).page(Wanted(), ("model",), limit=1)
    rest = await UsageSheets(database).page(Wanted(), ("model",), limit=1, after=page.next)
    assert [row.groups["model"] for row in (*page.rows, *rest.rows)] == ["a", "b"]
    assert rest.next is None
    with pytest.raises(MiraError, match="cursor"):
        await UsageSheets(database).page(Wanted(), (), after="x")


async def test_a_call_is_summed_once_however_often_it_is_told(database, ledger, served, recording):
    await ledger.top_up("w", 10_000, "x")
    await served("r1", 10)
    await ledger.settle("r1", 10, recording("r1"))
    await ledger.record(recording("r2", status=429, error="rate_limited"))
    [row] = (await UsageSheets(database).page(Wanted(), ())).rows
    assert (row.calls, row.failed, row.prompt_tokens, row.completion_tokens) == (2, 1, 3, 7)
    assert (row.cache_read_tokens, row.reasoning_tokens, row.billed_nanocredits) == (2, 4, 10)


async def test_what_a_node_reports_otherwise_than_the_price_table_is_counted(database, ledger, served):
    await ledger.top_up("w", 10_000, "x")
    await served("r1", 100, reported_nanocredits=100)
    await served("r2", 100, reported_nanocredits=130)
    await served("r3", 100)
    await ledger.reserve(Reserve(hold_id="r4", workspace_id="w", key_id="k", amount_nanocredits=0, least_nanocredits=0))
    alarms = (await ledger.check())["alarms"]
    assert alarms["calls_reported_otherwise_than_computed"] == 1
    assert alarms["reported_less_computed"] == "0.00000003"


async def test_what_the_operator_bears_is_an_alarm_and_a_line_in_the_log(
    database, ledger, reserving, recording, caplog
):
    await ledger.top_up("w", 100, "x")
    await ledger.reserve(reserving("r1", 100))
    assert await ledger.settle("r1", 150, recording("r1"), attempt_cost_nanocredits=7) == 100
    alarms = (await ledger.check())["alarms"]
    assert (alarms["overrun"], alarms["attempt_cost"]) == ("0.00000005", "0.000000007")
    assert "r1 cost the operator 0.00000005 credits" in caplog.text
    lines = await Transfers(database).of_call("r1")
    assert [(line.idem, line.amount_nanocredits) for line in lines] == [
        ("settle:r1", 100),
        ("overrun:r1", 50),
        ("attempt:r1", 7),
    ]


@pytest.mark.parametrize("count", [-1, -(2**70), 2**63, 2**70])
async def test_absurd_counts_neither_give_credit_nor_stop_the_books(database, ledger, reserving, recording, count):
    """A record that no database can hold is left out; the charge stands."""
    await ledger.top_up("w", 1000, "x")
    for name in ("r1", "r2"):
        await ledger.reserve(reserving(name, 100))
    record = recording("r1", usage=Usage(input_tokens=count), computed_nanocredits=abs(count))
    assert await ledger.settle("r1", 60, record) == 60
    assert await ledger.settle("r2", 60, recording("r2")) == 60
    assert await ledger.balance("w") == (880, 0)
    [row] = (await UsageSheets(database).page(Wanted(), ())).rows
    assert (row.calls, row.prompt_tokens) in ((1, 0), (2, 0))
    assert (await ledger.check())["ok"]


async def test_calls_are_found_by_every_filter_and_in_pages(database, ledger, served):
    await ledger.top_up("w", 10_000, "x")
    for number in range(40):
        await served(
            f"r{number:02}",
            1,
            model="rare" if number % 10 == 3 else "often",
            node="n" if number % 2 else None,
            status=500 if number % 10 == 7 else 200,
            started_at_ms=MIDNIGHT_MS + number * HOUR_MS // 4,
        )

    async def found(limit: int = 3, **wanted) -> list[str]:
        names, after = [], None
        while True:
            page = await Calls(database).page(Wanted(**wanted), after=after, limit=limit)
            assert len(page.rows) <= limit
            names += [row.request_id for row in page.rows]
            after = page.next
            if after is None:
                return names

    everything = [f"r{number:02}" for number in reversed(range(40))]
    assert await found() == await found(100) == everything
    assert await found(model="rare") == ["r33", "r23", "r13", "r03"]
    assert await found(1, model="rare", workspace_id="w", key_id="k") == ["r33", "r23", "r13", "r03"]
    assert await found(node="n") == everything[::2]
    found_failed = ["r37", "r27", "r17", "r07"]
    assert await found(status=500) == await found(failed=True) == found_failed
    assert await found(1, status=500, workspace_id="w") == await found(failed=True, key_id="k") == found_failed
    assert await found(status=418, workspace_id="w") == await found(failed=True, workspace_id="v") == []
    assert await found(failed=True, workspace_id="w", since_ms=MIDNIGHT_MS + 5 * HOUR_MS) == found_failed[:2]
    assert await found(failed=False) == [name for name in everything if name[2] != "7"]
    assert await found(status=200, model="rare", since_ms=MIDNIGHT_MS + HOUR_MS) == ["r33", "r23", "r13"]
    assert await found(model="rare", until_ms=MIDNIGHT_MS + HOUR_MS) == ["r03"]
    assert await found(model="none") == []
    assert await found(workspace_id="v") == []


async def test_a_lost_call_that_was_charged_is_listed_with_its_price(database, ledger, clock, reserving):
    await ledger.top_up("w", 1000, "x")
    await (await ledger.reserve(reserving("r1", 500))).durable
    ledger.checkpoint("r1", 120)
    await ledger.maintain()
    clock.now_ms += 2 * HOLD_TTL_MS
    later = Ledger(database, clock=clock, epoch_id="later", patience_s=0)
    await later.start()
    lost = await Calls(database).get("r1")
    assert (lost.error, lost.billed_nanocredits, lost.key_id) == ("lost", 120, "k")
    assert await sums(database) == [(1, 120)]
    assert (await later.check())["ok"]
    await later.close()


async def test_what_is_old_is_forgotten_in_small_steps_and_sums_stay(database, ledger, clock, recording):
    await ledger.top_up("w", 1000, "x")
    for number in range(AT_ONCE + 20):
        ledger.record(recording(f"old{number:04}", started_at_ms=clock() - 31 * DAY_MS))
    await ledger.record(recording("young", started_at_ms=clock() - 29 * DAY_MS))
    wish = Reserve(
        hold_id="c",
        workspace_id="w",
        key_id="k",
        amount_nanocredits=1,
        least_nanocredits=1,
        claim=Claim("i", b"body"),
    )
    await ledger.reserve(wish)
    await ledger.settle("c", 1, recording("c", started_at_ms=clock()), render=lambda _: StoredAnswer(200, b"", b""))
    keeping = Retention(database, now_ms=clock, keep_days=None)
    assert await keeping.sweep(0) == 0
    sweeping = Retention(database, now_ms=clock, keep_days=30)
    assert await sweeping.sweep(0) == AT_ONCE + 20
    assert [row.request_id for row in (await Calls(database).page(Wanted())).rows] == ["c", "young"]
    assert await sums(database) == [(AT_ONCE + 22, 1)]
    clock.now_ms += CLAIM_TTL_MS
    assert await keeping.sweep(0) == 1
    assert await database.read(lambda connection: connection.execute(text("SELECT count(*) FROM claim")).scalar()) == 0
    assert (await ledger.check())["ok"]


async def test_calls_from_before_the_sums_are_summed_by_the_migration(database, ledger, served):
    """What the migration adds up is what the ledger adds up."""
    from mira.store.migrate import migrate  # noqa: PLC0415 - as the store itself does

    await ledger.top_up("w", 10_000, "x")
    await served("r1", 10, reported_nanocredits=12, node="n", started_at_ms=MIDNIGHT_MS + 7)
    await served("r2", 30, started_at_ms=MIDNIGHT_MS + 2 * HOUR_MS)
    query = text("SELECT * FROM usage_hour UNION ALL SELECT * FROM usage_day ORDER BY 1, 6")
    before = await database.read(lambda connection: [tuple(row) for row in connection.execute(query)])
    await database.write(lambda connection: migrate(connection, "0002"))
    await database.write(migrate)
    assert await database.read(lambda connection: [tuple(row) for row in connection.execute(query)]) == before
