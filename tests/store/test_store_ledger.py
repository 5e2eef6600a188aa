"""The promises of the ledger, on a real database."""

import asyncio

import pytest
from sqlalchemy import text
from waiting import eventually

from mira.core.ledger import MOST_LOSS_NANOCREDITS
from mira.core.money import MAX_NANOCREDITS
from mira.core.usage import Usage
from mira.errors import Kind, MiraError
from mira.store.calls import Calls, Wanted
from mira.store.database import Database
from mira.store.ledger import Ledger
from mira.store.transfers import Transfers
from mira.store.workspaces import Workspaces


def posted(database: Database, name: str):
    query = text("SELECT posted_nanocredits FROM account WHERE id = :name")
    return database.read(lambda connection: connection.execute(query, {"name": name}).scalar_one())


def holds(database: Database):
    return database.read(lambda connection: connection.execute(text("SELECT count(*) FROM hold")).scalar_one())


async def test_a_call_is_held_then_billed_and_recorded(database, ledger, reserving, recording):
    await ledger.top_up("w", 1000, "invoice")
    hold = await ledger.reserve(reserving("r1", 400))
    await hold.durable
    assert (hold.id, hold.workspace_id, hold.amount_nanocredits) == ("r1", "w", 400)
    assert await ledger.balance("w") == (1000, 400)

    usage = Usage(input_tokens=3, reasoning_tokens=2, reported_cost_nanocredits=7, estimated=True)
    record = recording("r1", usage=usage, stream=True, node="n", held_nanocredits=400, computed_nanocredits=150)
    assert await ledger.settle("r1", 150, record) == 150
    assert await ledger.balance("w") == (850, 0)
    assert record.billed_nanocredits == 150
    assert await Calls(database).get("r1", "w") == record
    assert [line.idem for line in (await Transfers(database).page("w")).rows] == ["settle:r1", "topup:w:invoice"]
    assert (await ledger.check())["ok"]


async def test_every_field_of_a_record_is_kept_under_its_own_name(database, ledger, recording):
    counts = {name: number for number, name in enumerate(Usage.__struct_fields__, 101)}
    usage = Usage(**{**counts, "estimated": True})
    words = ("client_request_id", "upstream_request_id", "key_id", "face", "protocol", "model", "node", "error")
    numbers = ("first_content_ms", "duration_ms", "attempts", "status", "held_nanocredits", "reported_nanocredits")
    told = {name: f"its {name}" for name in words} | {name: number for number, name in enumerate(numbers, 201)}
    record = recording("r1", usage=usage, stream=True, computed_nanocredits=301, **told)
    await ledger.top_up("w", 1000, "invoice")
    await ledger.settle("r1", 302, record)
    assert await Calls(database).get("r1", "w") == record


async def test_a_voided_call_costs_nothing_and_is_recorded(database, ledger, reserving, recording):
    await ledger.top_up("w", 1000, "invoice")
    await ledger.reserve(reserving("r1", 400))
    await ledger.void("r1", recording("r1", status=502))
    assert await ledger.balance("w") == (1000, 0)
    assert (await Calls(database).get("r1", "w")).status == 502
    assert await holds(database) == 0


async def test_settling_twice_bills_once(database, ledger, reserving, recording):
    await ledger.top_up("w", 1000, "invoice")
    await ledger.reserve(reserving("r1", 400))
    together = await asyncio.gather(
        ledger.settle("r1", 150, recording("r1")), ledger.settle("r1", 300, recording("r1"))
    )
    assert together == [150, 150]
    assert await ledger.settle("r1", 300, recording("r1", status=500)) == 150
    await ledger.void("r1", recording("r1"))
    assert await ledger.balance("w") == (850, 0)
    assert (await Calls(database).get("r1")).status == 200
    assert (await ledger.check())["ok"]


async def test_a_voided_hold_cannot_be_settled(ledger, reserving, recording):
    await ledger.top_up("w", 1000, "invoice")
    await ledger.reserve(reserving("r1", 400))
    await ledger.void("r1", recording("r1"))
    assert await ledger.settle("r1", 300, recording("r1")) == 0
    assert await ledger.balance("w") == (1000, 0)


async def test_a_hold_that_never_was_bills_nothing_but_is_recorded(database, ledger, recording):
    assert await ledger.settle("r1", 300, recording("r1")) == 0
    assert (await Calls(database).get("r1")).billed_nanocredits == 0


async def test_cost_above_the_hold_takes_free_balance_and_the_rest_is_the_operators(
    database, ledger, reserving, recording
):
    await ledger.top_up("w", 1000, "invoice")
    await ledger.reserve(reserving("r1", 400))
    await ledger.reserve(reserving("r2", 500))
    assert await ledger.settle("r1", 700, recording("r1")) == 500
    assert await ledger.balance("w") == (500, 500)
    assert await posted(database, "overrun") == -200
    assert await posted(database, "revenue") == 700
    checked = await ledger.check()
    assert checked["ok"]
    assert checked["invariants"]["I6"]["overrun"] == "0.0000002"


async def test_a_cost_that_only_the_upstream_vouches_for_is_capped_at_the_hold(database, ledger, reserving, recording):
    await ledger.top_up("w", 1000, "invoice")
    await ledger.reserve(reserving("r1", 400))
    assert await ledger.settle("r1", 700, recording("r1"), cap_at_hold=True) == 400
    assert await ledger.balance("w") == (600, 0)
    assert await posted(database, "overrun") == -300


async def test_an_absurd_cost_leaves_room_for_the_charges_of_others(database, ledger, reserving, recording):
    await ledger.top_up("w", 1000, "invoice")
    for number in range(3):
        await ledger.reserve(reserving(f"absurd{number}", 100))
        settled = ledger.settle(
            f"absurd{number}",
            MAX_NANOCREDITS - number,
            recording(f"absurd{number}"),
            cap_at_hold=True,
            attempt_cost_nanocredits=2 * MAX_NANOCREDITS,
        )
        assert await settled == 100
    assert await posted(database, "overrun") == await posted(database, "attempt-cost") == -3 * MOST_LOSS_NANOCREDITS
    await ledger.reserve(reserving("plain", 400))
    assert await ledger.settle("plain", 40, recording("plain")) == 40
    assert await ledger.balance("w") == (660, 0)
    assert (await ledger.check())["ok"]


async def test_failed_attempts_are_the_operators_cost(database, ledger, reserving, recording):
    await ledger.top_up("w", 1000, "invoice")
    await ledger.reserve(reserving("r1", 400))
    await ledger.void("r1", recording("r1"), attempt_cost_nanocredits=30)
    assert await ledger.balance("w") == (1000, 0)
    assert await posted(database, "attempt-cost") == -30
    assert (await ledger.check())["ok"]
    assert [line.idem for line in (await Transfers(database).page("w")).rows] == ["topup:w:invoice"]


async def test_what_is_missing_is_refused_with_its_figures(ledger, reserving):
    await ledger.top_up("w", 1_500_000_000, "invoice")
    await (await ledger.reserve(reserving("r1", 500_000_000))).durable
    with pytest.raises(MiraError) as refused:
        await ledger.reserve(reserving("r2", 2_000_000_000))
    assert refused.value.status == 402
    assert refused.value.details == {"balance": "1.5", "held": "0.5", "available": "1", "needed": "2"}
    assert await ledger.balance("w") == (1_500_000_000, 500_000_000)


async def test_a_hold_shrinks_to_what_is_available_but_not_below_the_least(ledger, reserving):
    await ledger.top_up("w", 100, "invoice")
    hold = await ledger.reserve(reserving("r1", 400, least=100))
    assert hold.amount_nanocredits == 100
    with pytest.raises(MiraError):
        await ledger.reserve(reserving("r2", 400, least=1))


async def test_a_free_call_has_a_hold_of_nothing(database, ledger, reserving, recording):
    hold = await ledger.reserve(reserving("r1", 0))
    await hold.durable
    assert await holds(database) == 1
    assert await ledger.settle("r1", 0, recording("r1")) == 0
    assert await holds(database) == 0


async def test_a_request_is_held_once(ledger, reserving, recording):
    await ledger.top_up("w", 1000, "invoice")
    outcomes = await asyncio.gather(*(ledger.reserve(reserving("r1", 400)) for _ in range(2)), return_exceptions=True)
    assert [getattr(outcome, "kind", None) for outcome in outcomes] == [None, Kind.CONFLICT]
    await outcomes[0].durable
    assert await ledger.balance("w") == (1000, 400)


async def test_a_row_that_cannot_be_written_fails_alone(database, ledger, reserving, recording):
    """A hold of another life with the same id, in one batch with calls that are right."""
    await ledger.top_up("w", 1000, "invoice")
    foreign = text(
        "INSERT INTO hold VALUES ('r1', 'w', 'k', 0, 0, 99999999999999, 'other', NULL, 0, NULL, '', NULL, NULL)"
    )
    await database.write(lambda connection: connection.execute(foreign).rowcount)
    outcomes = await asyncio.gather(
        *(ledger.reserve(reserving(name, 100)) for name in ("r0", "r1", "r2")), return_exceptions=True
    )
    assert [getattr(outcome, "kind", None) for outcome in outcomes] == [None, Kind.CONFLICT, None]
    await outcomes[2].durable
    assert await ledger.balance("w") == (1000, 200)


async def test_a_record_that_cannot_be_written_does_not_lose_its_charge(database, ledger, reserving, recording):
    await ledger.top_up("w", 1000, "invoice")
    await ledger.reserve(reserving("r1", 400))
    await ledger.reserve(reserving("r2", 400))
    wrong = recording("r1", model=None)
    billed = await asyncio.gather(ledger.settle("r1", 150, wrong), ledger.settle("r2", 20, recording("r2")))
    assert billed == [150, 20]
    assert await ledger.balance("w") == (830, 0)
    assert await Calls(database).get("r1") is None


async def test_an_unknown_workspace_has_nothing(ledger, reserving):
    for attempt in (
        ledger.reserve(reserving("r1", 0, workspace_id="other")),
        ledger.top_up("other", 1, "x"),
        ledger.balance("other"),
    ):
        with pytest.raises(MiraError) as refused:
            await attempt
        assert refused.value.status == 404


async def test_the_same_reference_counts_once(ledger):
    together = await asyncio.gather(*(ledger.top_up("w", 10, "invoice-1") for _ in range(5)))
    assert sorted(together) == [False, False, False, False, True]
    assert await ledger.top_up("w", 10, "invoice-1") is False
    assert await ledger.top_up("w", 10, "invoice-2") is True
    assert await ledger.balance("w") == (20, 0)


async def test_references_are_the_workspaces_own(database, ledger, clock):
    await Workspaces(database).create("v", "v", clock())
    assert await ledger.top_up("w", 10, "invoice-1")
    assert await ledger.top_up("v", 10, "invoice-1")


async def test_amounts_out_of_range_are_refused(ledger, reserving, recording):
    for attempt in (
        lambda: ledger.reserve(reserving("r", -1)),
        lambda: ledger.reserve(reserving("r", MAX_NANOCREDITS + 1)),
        lambda: ledger.reserve(reserving("r", 1, least=2)),
        lambda: ledger.reserve(reserving("r", 1, least=-1)),
        lambda: ledger.settle("r", MAX_NANOCREDITS + 1, recording("r")),
        lambda: ledger.settle("r", -1, recording("r")),
        lambda: ledger.void("r", recording("r"), attempt_cost_nanocredits=-1),
        lambda: ledger.top_up("w", 0, "x"),
        lambda: ledger.top_up("w", -5, "x"),
        lambda: ledger.top_up("w", MAX_NANOCREDITS + 1, "x"),
    ):
        with pytest.raises(ValueError, match=r"amount|hold|payment"):
            await attempt()
    assert await ledger.top_up("w", MAX_NANOCREDITS, "x")
    with pytest.raises(ValueError, match="64 bits"):
        await ledger.top_up("w", 1, "y")
    assert (await ledger.check())["ok"]


async def test_five_hundred_at_once_never_overspend(database, ledger, reserving, recording):
    await ledger.top_up("w", 50 * 100 + 99, "invoice")
    outcomes = await asyncio.gather(
        *(ledger.reserve(reserving(f"r{number:03}", 100)) for number in range(512)), return_exceptions=True
    )
    granted = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, MiraError) and outcome.status == 402]
    assert (len(granted), len(refused)) == (50, 462)
    await granted[-1].durable
    assert await ledger.balance("w") == (5099, 5000)
    await asyncio.gather(*(ledger.settle(hold.id, 100, recording(hold.id)) for hold in granted))
    assert await ledger.balance("w") == (99, 0)
    assert (await ledger.check())["ok"]


async def test_many_workspaces_share_a_batch(database, ledger, reserving, recording, clock):
    names = [f"w{number}" for number in range(130)]
    await asyncio.gather(*(Workspaces(database).create(name, name, clock()) for name in names))
    await asyncio.gather(*(ledger.top_up(name, 10, "x") for name in names))
    held = await asyncio.gather(*(ledger.reserve(reserving(f"r-{name}", 10, workspace_id=name)) for name in names))
    await asyncio.gather(
        *(ledger.settle(hold.id, 7, recording(hold.id, workspace_id=hold.workspace_id)) for hold in held)
    )
    assert {await ledger.balance(name) for name in names} == {(3, 0)}
    assert (await ledger.check())["ok"]


async def test_a_caller_who_leaves_before_the_decision_holds_nothing(database, ledger, reserving):
    await ledger.top_up("w", 1000, "invoice")
    waiting = asyncio.ensure_future(ledger.reserve(reserving("r1", 400)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await ledger.maintain()
    assert await ledger.balance("w") == (1000, 0)
    assert await holds(database) == 0


async def test_a_caller_who_leaves_in_the_moment_of_the_decision_holds_nothing(database, ledger, reserving):
    await ledger.top_up("w", 1000, "invoice")
    waiting = asyncio.ensure_future(ledger.reserve(reserving("r1", 400)))
    await eventually(lambda: "r1" in ledger._live)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await ledger.maintain()
    assert await ledger.balance("w") == (1000, 0)
    assert await holds(database) == 0


async def test_a_settlement_goes_on_where_its_caller_leaves(ledger, reserving, recording):
    await ledger.top_up("w", 1000, "invoice")
    await ledger.reserve(reserving("r1", 400))
    settling = asyncio.ensure_future(ledger.settle("r1", 150, recording("r1")))
    await asyncio.sleep(0)
    settling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await settling
    await ledger.maintain()
    assert await ledger.balance("w") == (850, 0)


async def test_a_refusal_is_recorded_without_anybody_waiting(database, ledger, recording):
    ledger.record(recording("r1", status=402))
    await ledger.record(recording("r2", status=429))
    assert [row.request_id for row in (await Calls(database).page(Wanted(workspace_id="w"))).rows] == ["r2", "r1"]


async def test_closing_writes_what_is_queued(database, clock, reserving, recording):
    await Workspaces(database).create("w", "w", clock())
    ledger = Ledger(database, clock=clock, epoch_id="one")
    await ledger.start()
    await ledger.top_up("w", 1000, "x")
    await ledger.reserve(reserving("r1", 10))
    settling = asyncio.ensure_future(ledger.settle("r1", 5, recording("r1")))
    await asyncio.sleep(0)
    await ledger.close()
    assert await settling == 5
    assert await posted(database, "workspace:w") == 995


async def test_the_check_tells_what_is_wrong(database, ledger, reserving):
    await ledger.top_up("w", 1000, "invoice")
    await (await ledger.reserve(reserving("r1", 10))).durable
    await database.write(
        lambda connection: [
            connection.execute(text(statement))
            for statement in (
                "UPDATE account SET posted_nanocredits = 999 WHERE id = 'workspace:w'",
                "UPDATE account SET held_nanocredits = 11 WHERE id = 'workspace:w'",
                "INSERT INTO transfer VALUES (99, 'settle:r1', 'overrun', 'revenue', 5, 'w', 0)",
                "UPDATE hold SET expires_at_ms = 0",
            )
        ]
    )
    checked = await ledger.check()
    assert not checked["ok"]
    wrong = {name for name, invariant in checked["invariants"].items() if not invariant["ok"]}
    assert wrong == {"I1", "I2", "I3", "I5", "I7"}
    assert {
        "account": "workspace:w",
        "account_says": "0.000000999",
        "rows_say": "0.000001",
    } in checked["invariants"]["I2"]["examples"]
