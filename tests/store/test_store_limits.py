"""Budgets, rates and calls at a time: decided with the hold, all or nothing, on both engines."""

import asyncio

import pytest
from sqlalchemy import text

from mira.core.caller import Face
from mira.core.ledger import Reserve
from mira.core.limits import Limits, key_cap, member_cap
from mira.core.usage import Usage
from mira.errors import Kind, MiraError
from mira.store.keys import Keys
from mira.store.ledger import Ledger
from mira.store.members import Members
from mira.store.upkeep import HOLD_TTL_MS

BOTH = (key_cap("k"), member_cap("m"))
DAY_MS = 86_400_000


@pytest.fixture
def limit(database, ledger, clock):
    """Makes key `k` of member `m` with limits."""

    async def make(key: Limits, member: Limits | None = None) -> None:
        members = Members(database)
        await members.create("m", "w", "m", None, now_ms=clock(), limits=member or Limits())
        await Keys(database).create(
            "k",
            "w",
            digest=b"k",
            prefix="",
            last4="",
            name="k",
            face=Face.PROXY,
            models=None,
            expires_at_ms=None,
            now_ms=clock(),
            limits=key,
            member_id="m",
        )
        await ledger.top_up("w", 1_000_000, "start")

    return make


def wish(name: str, amount: int, least: int | None = None, *, tokens: int = 0, caps: tuple[str, ...] = BOTH) -> Reserve:
    return Reserve(
        hold_id=name,
        workspace_id="w",
        key_id="k",
        amount_nanocredits=amount,
        least_nanocredits=amount if least is None else least,
        caps=caps,
        tokens=tokens,
    )


async def held(ledger: Ledger, request: Reserve):
    """A hold that is on disk."""
    hold = await ledger.reserve(request)
    await hold.durable
    return hold


async def refused(ledger: Ledger, request: Reserve) -> MiraError:
    with pytest.raises(MiraError) as caught:
        await ledger.reserve(request)
    return caught.value


async def cap_rows(database) -> dict[str, tuple[int, int, int, int]]:
    """spent, held, tokens held and live calls of each cap."""
    query = text("SELECT id, spent_nanocredits, held_nanocredits, tokens_held, live FROM cap")
    return await database.read(lambda connection: {row[0]: tuple(row[1:]) for row in connection.execute(query)})


async def test_a_key_is_found_with_the_limits_that_count_its_calls(database, limit):
    await limit(Limits(rpm=1))
    assert (await Keys(database).find(b"k")).caps == (key_cap("k"),)
    await Members(database).change("m", {}, now_ms=0, limits=Limits(concurrency=1))
    assert (await Keys(database).find(b"k")).caps == BOTH
    await Keys(database).change("k", {}, limits=Limits())
    assert (await Keys(database).find(b"k")).caps == (member_cap("m"),)
    await Members(database).change("m", {"disabled": True}, now_ms=0)
    assert await Keys(database).find(b"k") is None


async def test_the_narrowest_budget_bounds_the_hold_and_the_charge(database, ledger, limit, recording):
    await limit(
        Limits(budget_nanocredits=1000, budget_period="day"), Limits(budget_nanocredits=700, budget_period="month")
    )
    hold = await held(ledger, wish("r1", 5000, 100))
    assert hold.amount_nanocredits == 700
    assert await cap_rows(database) == {"key:k": (0, 700, 0, 1), "member:m": (0, 700, 0, 1)}
    billed = await ledger.settle("r1", 900, recording("r1"))
    assert billed == 700, "no budget is ever exceeded; the rest is the operator's"
    assert (await ledger.check())["invariants"]["I6"]["overrun"] == "0.0000002"
    assert await cap_rows(database) == {"key:k": (700, 0, 0, 0), "member:m": (700, 0, 0, 0)}
    told = await refused(ledger, wish("r2", 1))
    assert (told.kind, told.status, told.code) == (Kind.BUDGET_EXCEEDED, 402, "budget_exceeded")
    assert told.details["scope"] == "member"
    assert told.details["spent"] == "0.0000007"
    assert told.details["resets_at"] == "2025-11-01T00:00:00Z"


async def test_a_charge_beyond_the_hold_takes_what_every_budget_has_left(ledger, limit, recording):
    await limit(Limits(budget_nanocredits=1000, budget_period="total"))
    await held(ledger, wish("r1", 100))
    await held(ledger, wish("r2", 300))
    assert await ledger.settle("r1", 5000, recording("r1")) == 700
    assert await ledger.settle("r2", 300, recording("r2")) == 300


async def test_a_budget_begins_anew_with_its_period(ledger, limit, clock, recording):
    await limit(Limits(budget_nanocredits=100, budget_period="day"))
    await held(ledger, wish("r1", 100))
    await ledger.settle("r1", 100, recording("r1"))
    assert (await refused(ledger, wish("r2", 1))).kind is Kind.BUDGET_EXCEEDED
    clock.now_ms += DAY_MS
    assert (await held(ledger, wish("r3", 100))).amount_nanocredits == 100


async def test_a_new_budget_counts_what_the_key_has_spent_in_its_period(database, ledger, limit, clock, recording):
    await limit(Limits())
    await held(ledger, wish("r1", 60, caps=()))
    await ledger.settle("r1", 60, recording("r1", started_at_ms=clock() - 40 * DAY_MS))
    await held(ledger, wish("r2", 30, caps=()))
    await ledger.settle("r2", 30, recording("r2"))
    keys = Keys(database)
    month = await keys.change("k", {}, limits=Limits(budget_nanocredits=100, budget_period="month"), now_ms=clock())
    assert month.cap.spent_nanocredits == 30
    total = await keys.change("k", {}, limits=Limits(budget_nanocredits=100, budget_period="total"), now_ms=clock())
    assert total.cap.spent_nanocredits == 90
    assert (await refused(ledger, wish("r3", 11))).details["spent"] == "0.00000009"
    assert (await held(ledger, wish("r4", 10))).amount_nanocredits == 10


async def test_a_refusal_leaves_every_other_limit_untouched(database, ledger, limit):
    await limit(
        Limits(rpm=2, tpm=1000, budget_nanocredits=1000, budget_period="total"),
        Limits(concurrency=1, rpm=100),
    )
    await held(ledger, wish("r1", 100, tokens=10))
    before = await cap_rows(database)
    told = await refused(ledger, wish("r2", 100, tokens=10))
    assert (told.status, told.details["limit"], told.details["scope"]) == (429, "concurrency", "member")
    assert told.retry_after_s == 1
    assert await cap_rows(database) == before
    assert await ledger.balance("w") == (1_000_000, 100)


async def test_rates_are_exact_and_say_when_they_free(ledger, limit, clock):
    await limit(Limits(rpm=60))
    outcomes = await asyncio.gather(
        *(held(ledger, wish(f"r{number}", 1)) for number in range(100)), return_exceptions=True
    )
    admitted = [one for one in outcomes if not isinstance(one, Exception)]
    assert len(admitted) == 60
    told = await refused(ledger, wish("x", 1))
    assert (told.kind, told.retry_after_s, told.details["allowed"]) == (Kind.RATE_LIMITED, 1.0, "60")
    clock.now_ms += 999
    await refused(ledger, wish("y", 1))
    clock.now_ms += 1
    await held(ledger, wish("z", 1))


async def test_token_rates_count_what_was_used_once_a_call_is_settled(ledger, limit, recording):
    await limit(Limits(tpm=1000))
    hold = await held(ledger, wish("r1", 1, tokens=5000))
    assert hold.tokens == 1000
    assert (await refused(ledger, wish("r2", 1, tokens=1))).details["limit"] == "tpm"
    await ledger.settle("r1", 1, recording("r1", usage=Usage(input_tokens=100, output_tokens=100)))
    await held(ledger, wish("r3", 1, tokens=800))
    assert (await refused(ledger, wish("r4", 1, tokens=1))).details["limit"] == "tpm"
    await ledger.void("r3", None)
    await held(ledger, wish("r5", 1, tokens=800))


async def test_a_dead_process_gives_back_what_its_calls_held(database, ledger, limit, clock):
    await limit(Limits(concurrency=1, tpm=1000, budget_nanocredits=500, budget_period="total"))
    await held(ledger, wish("r1", 500, tokens=1000))
    later = Ledger(database, clock=clock, epoch_id="later", patience_s=0)
    clock.now_ms += 2 * HOLD_TTL_MS
    await later.start()
    assert await cap_rows(database) == {"key:k": (0, 0, 0, 0)}
    told = await refused(later, wish("r2", 500, tokens=1000))
    assert told.details["limit"] == "tpm", "nobody knows what a lost call used, so all of it counts"
    await held(later, wish("r3", 500, tokens=0))
    await later.close()


async def test_funds_budgets_and_counts_are_exact_under_a_race(ledger, limit, database):
    """Each of three walls stops at its own figure, and what one refuses the others do not feel."""
    await limit(Limits(budget_nanocredits=300, budget_period="total"), Limits(concurrency=200))
    outcomes = await asyncio.gather(
        *(held(ledger, wish(f"r{number:03}", 2)) for number in range(512)), return_exceptions=True
    )
    assert sum(not isinstance(one, Exception) for one in outcomes) == 150
    more = await asyncio.gather(
        *(held(ledger, wish(f"s{number:03}", 2, caps=(member_cap("m"),))) for number in range(100)),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, Exception) for one in more) == 50
    assert await cap_rows(database) == {"key:k": (0, 300, 0, 150), "member:m": (0, 400, 0, 200)}
    assert await ledger.balance("w") == (1_000_000, 400)


async def test_a_limit_that_is_changed_counts_at_once(database, ledger, limit):
    await limit(Limits(concurrency=1))
    await held(ledger, wish("r1", 1))
    await refused(ledger, wish("r2", 1))
    await Keys(database).change("k", {}, limits=Limits(concurrency=2))
    await held(ledger, wish("r3", 1))
    await refused(ledger, wish("r4", 1))


async def test_a_budget_below_what_is_spent_admits_free_calls_only(database, ledger, limit, recording, clock):
    await limit(Limits(budget_nanocredits=100, budget_period="total"))
    await held(ledger, wish("r1", 80))
    await ledger.settle("r1", 80, recording("r1"))
    limits = Limits(budget_nanocredits=10, budget_period="total")
    await Keys(database).change("k", {}, limits=limits, now_ms=clock())
    await refused(ledger, wish("r2", 1))
    assert (await held(ledger, wish("r3", 0))).amount_nanocredits == 0
