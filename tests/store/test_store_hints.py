"""Hints in the shared table: what one process says the others hear, until it is unsaid or ends."""

import time

import pytest
from sqlalchemy import text

from mira.core.hints import Hint
from mira.errors import Kind, MiraError
from mira.store.database import Database
from mira.store.hints import Hints
from mira.store.versions import HINTS, Versions


class Steady:
    """A steady clock that was set otherwise than the others'."""

    def __init__(self, ahead_s):
        self.ahead_s = ahead_s

    def __call__(self):
        return time.monotonic() + self.ahead_s


#: A machine that is busy answers late, which is what the gateway's own patience is for, and not what most of this is about.
PATIENT_MS = 30_000


@pytest.fixture
async def shared(new_postgres_url):
    database = Database.open(new_postgres_url())
    yield database
    await database.close()


def hint(clock, model="", lasts_s=30.0):
    return Hint("a", model, "ejected", "why", clock() - 5, clock() + lasts_s)


async def test_hints_are_heard_by_the_others_on_their_own_clocks(shared):
    here, there = Steady(0), Steady(-500)
    one = Hints(shared, epoch_id="one", monotonic_s=here, statement_timeout_ms=PATIENT_MS)
    two = Hints(shared, epoch_id="two", monotonic_s=there, statement_timeout_ms=PATIENT_MS)
    said = [hint(here), hint(here, "m")]
    await one.tell(said)
    assert await one.heard() == []
    heard = sorted(await two.heard(), key=lambda one: one.model)
    assert [(one.node, one.model, one.state, one.reason) for one in heard] == [
        ("a", "", "ejected", "why"),
        ("a", "m", "ejected", "why"),
    ]
    for before, after in zip(said, heard, strict=True):
        assert after.since_s == pytest.approx(before.since_s - 500, abs=20)
        assert after.until_s == pytest.approx(before.until_s - 500, abs=20)
    await one.tell([hint(here, "m")])
    assert [one.model for one in await two.heard()] == ["m"]
    await one.tell([])
    assert await two.heard() == []


async def test_what_has_ended_is_not_heard_and_swept_by_whoever_speaks_next(shared):
    clock = Steady(0)
    await Hints(shared, epoch_id="dead", monotonic_s=clock, statement_timeout_ms=PATIENT_MS).tell(
        [hint(clock, lasts_s=-1)]
    )
    two = Hints(shared, epoch_id="two", monotonic_s=clock, statement_timeout_ms=PATIENT_MS)
    assert await two.heard() == []
    await two.tell([hint(clock)])
    rows = await shared.read(lambda connection: connection.execute(text("SELECT epoch FROM hint")).scalars().all())
    assert rows == ["two"]


async def test_the_others_are_called_when_something_was_said(shared):
    versions = Versions(shared, monotonic_s=time.monotonic)
    await versions.poll()
    calls = []

    async def changed():
        calls.append(1)

    versions.watch(HINTS, changed)
    await Hints(shared, epoch_id="one", monotonic_s=Steady(0), statement_timeout_ms=PATIENT_MS).tell([hint(Steady(0))])
    await versions.poll()
    await versions.poll()
    assert calls == [1]


async def test_a_locked_table_is_given_up_and_usable_afterwards(shared):
    clock = Steady(0)
    hints = Hints(shared, epoch_id="one", monotonic_s=clock)
    with shared.engine._pool.connect() as other:
        other.execute(text("LOCK TABLE hint IN ACCESS EXCLUSIVE MODE"))
        for use in (hints.heard, lambda: hints.tell([hint(clock)])):
            with pytest.raises(MiraError) as refused:
                await use()
            assert refused.value.kind is Kind.STORE_DOWN
        other.rollback()
    patient = Hints(shared, epoch_id="one", monotonic_s=clock, statement_timeout_ms=PATIENT_MS)
    await patient.tell([hint(clock)])
    assert await patient.heard() == []
