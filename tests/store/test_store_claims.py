"""Idempotency-Keys: one call, one charge, one answer, whoever asks and however often."""

import asyncio

import pytest
from sqlalchemy import text

from mira.core.ledger import Answered, Claim, Reserve, StoredAnswer
from mira.errors import Kind, MiraError
from mira.store.claims import CLAIM_TTL_MS, MOST_BYTES
from mira.store.ledger import Ledger
from mira.store.upkeep import HOLD_TTL_MS
from mira.store.workspaces import Workspaces


def wish(name: str, key: str = "i", digest: bytes = b"body", workspace_id: str = "w") -> Reserve:
    return Reserve(
        hold_id=name,
        workspace_id=workspace_id,
        key_id="k",
        amount_nanocredits=100,
        least_nanocredits=100,
        claim=Claim(key, digest),
    )


def render(billed_nanocredits: int) -> StoredAnswer:
    return StoredAnswer(200, b"content-type: text/plain", b"that was %d" % billed_nanocredits)


async def refused(ledger: Ledger, request: Reserve) -> MiraError:
    with pytest.raises(MiraError) as caught:
        await ledger.reserve(request)
    return caught.value


async def test_an_answer_is_kept_with_its_charge_and_given_again_for_nothing(ledger, recording):
    await ledger.top_up("w", 1000, "start")
    await ledger.reserve(wish("r1"))
    await ledger.settle("r1", 40, recording("r1"), render=render)
    for _ in range(2):
        with pytest.raises(Answered) as told:
            await ledger.reserve(wish("r2"))
        assert told.value.answer == StoredAnswer(200, b"content-type: text/plain", b"that was 40")
    assert await ledger.balance("w") == (960, 0)


async def test_of_many_at_once_one_is_served(ledger):
    await ledger.top_up("w", 10_000, "start")
    outcomes = await asyncio.gather(
        *(ledger.reserve(wish(f"r{number}")) for number in range(20)), return_exceptions=True
    )
    served = [one for one in outcomes if not isinstance(one, Exception)]
    told = {one.kind for one in outcomes if isinstance(one, MiraError)}
    assert (len(served), told) == (1, {Kind.CONFLICT})
    assert Kind.CONFLICT.value.retry is False


async def test_another_body_under_the_same_key_is_refused(ledger, recording):
    await ledger.top_up("w", 1000, "start")
    await ledger.reserve(wish("r1"))
    told = await refused(ledger, wish("r2", digest=b"other"))
    assert (told.status, told.code) == (422, "idempotency_key_reused")
    await ledger.settle("r1", 40, recording("r1"), render=render)
    assert (await refused(ledger, wish("r3", digest=b"other"))).status == 422


async def test_a_key_is_its_workspaces_own(database, ledger, clock):
    await Workspaces(database).create("v", "v", clock())
    for workspace_id in ("v", "w"):
        await ledger.top_up(workspace_id, 1000, "start")
        await ledger.reserve(wish(f"r-{workspace_id}", workspace_id=workspace_id))


async def test_a_call_that_failed_for_nothing_leaves_its_key_free(ledger, recording):
    await ledger.top_up("w", 1000, "start")
    await ledger.reserve(wish("r1"))
    await ledger.void("r1", recording("r1"))
    await ledger.reserve(wish("r2"))
    assert (await refused(ledger, wish("r3"))).kind is Kind.CONFLICT


async def test_a_refused_call_leaves_its_key_free(ledger):
    assert (await refused(ledger, wish("r1"))).kind is Kind.NO_CREDITS
    await ledger.top_up("w", 1000, "start")
    await ledger.reserve(wish("r2"))


async def test_a_free_call_is_kept_too(ledger, recording):
    await ledger.top_up("w", 1000, "start")
    await ledger.reserve(wish("r1"))
    await ledger.settle("r1", 0, recording("r1"), render=render)
    with pytest.raises(Answered):
        await ledger.reserve(wish("r2"))


async def test_an_answer_that_is_too_large_is_not_kept_and_says_so(ledger, recording):
    await ledger.top_up("w", 1000, "start")
    await ledger.reserve(wish("r1"))
    large = StoredAnswer(200, b"", b"x" * (MOST_BYTES + 1))
    await ledger.settle("r1", 40, recording("r1"), render=lambda _: large)
    told = await refused(ledger, wish("r2"))
    assert told.kind is Kind.CONFLICT
    assert "larger" in told.message


async def test_a_key_is_free_again_after_a_day(ledger, recording, clock):
    await ledger.top_up("w", 1000, "start")
    await ledger.reserve(wish("r1"))
    await ledger.settle("r1", 40, recording("r1"), render=render)
    clock.now_ms += CLAIM_TTL_MS
    await ledger.reserve(wish("r2", digest=b"other"))
    await ledger.settle("r2", 7, recording("r2"), render=render)
    with pytest.raises(Answered) as told:
        await ledger.reserve(wish("r3", digest=b"other"))
    assert told.value.answer.body == b"that was 7"


@pytest.mark.parametrize(("checkpoint", "free"), [(30, False), (0, True)])
async def test_a_call_of_a_dead_process_is_told_as_cut_where_it_was_charged(database, ledger, clock, checkpoint, free):
    await ledger.top_up("w", 1000, "start")
    await (await ledger.reserve(wish("r1"))).durable
    ledger.checkpoint("r1", checkpoint)
    await ledger.maintain()
    later = Ledger(database, clock=clock, epoch_id="later", patience_s=0)
    clock.now_ms += 2 * HOLD_TTL_MS
    await later.start()
    assert await later.balance("w") == (1000 - checkpoint, 0)
    if free:
        await later.reserve(wish("r2"))
    else:
        assert "cut" in (await refused(later, wish("r2"))).message
    await later.close()


async def test_a_claim_stands_where_its_settlement_stands(database, ledger, recording):
    """A settlement whose record cannot be written is tried again without it, and keeps its answer."""
    await ledger.top_up("w", 1000, "start")
    await ledger.reserve(wish("r1"))
    broken = recording("r1", status=None)
    await ledger.settle("r1", 40, broken, render=render)
    rows = await database.read(lambda connection: connection.execute(text("SELECT state, body FROM claim")).all())
    assert [(state, bytes(body)) for state, body in rows] == [("done", b"that was 40")]


async def test_an_answer_that_cannot_be_written_is_charged_and_told_as_cut(ledger, recording):
    def broken(billed_nanocredits: int) -> StoredAnswer:
        raise ValueError(billed_nanocredits)

    await ledger.top_up("w", 1000, "start")
    await ledger.reserve(wish("r1"))
    other = await ledger.reserve(wish("r2", key="j"))
    billed = await asyncio.gather(
        ledger.settle("r1", 40, recording("r1"), render=broken),
        ledger.settle(other.id, 30, recording("r2"), render=render),
    )
    assert billed == [40, 30]
    assert await ledger.balance("w") == (930, 0)
    assert "was cut, and charged" in (await refused(ledger, wish("r3"))).message
    assert (await ledger.check())["ok"]
