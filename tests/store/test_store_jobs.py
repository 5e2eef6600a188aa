"""Jobs in both databases: they begin and end with their holds, and are looked at by one process at a time."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol, cast

import pytest
from msgspec.structs import replace

from mira.core.call import CallRecord
from mira.core.jobs import Chosen, Job, Kept, Ready, Rules, State, step
from mira.core.ledger import Answered, Claim, Opening, Reserve, StoredAnswer
from mira.errors import Kind, MiraError
from mira.files.objects import Objects
from mira.jobs.runner import Runner
from mira.jobs.worker import Worker
from mira.store.database import Database
from mira.store.jobs import Jobs
from mira.store.ledger import Ledger
from mira.store.upkeep import DEAD_AFTER_MS


class Clock(Protocol):
    """The clock that a test moves."""

    now_ms: int

    def __call__(self) -> int: ...


AMOUNT = 1000
LASTS_MS = 3_600_000
#: The leases and what is due go by the database's own time, which a job of the past is always behind.
LONG_AGO_MS = 1000


def new_job(name: str = "1", **changes: object) -> Job:
    job = Job(
        id=f"video_{name}",
        workspace_id="w",
        key_id="k",
        hold_id=f"req_{name}",
        face="proxy",
        model="a/b",
        seconds=8,
        held_nanocredits=AMOUNT,
        created_at_ms=LONG_AGO_MS,
        updated_at_ms=LONG_AGO_MS,
        next_at_ms=LONG_AGO_MS,
        deadline_at_ms=LONG_AGO_MS + LASTS_MS,
    )
    return replace(job, **changes)


async def begin(ledger: Ledger, clock: Clock, job: Job, claim: Claim | None = None) -> None:
    opening = Opening(job, b"sealed " + job.id.encode(), clock() + LASTS_MS, StoredAnswer(202, b"a: b", b"{}"))
    hold = await ledger.reserve(
        Reserve(
            hold_id=job.hold_id,
            workspace_id="w",
            key_id="k",
            amount_nanocredits=AMOUNT,
            least_nanocredits=AMOUNT,
            claim=claim,
            opening=opening,
        )
    )
    await hold.durable


def ended(job: Job, state: State = State.COMPLETED) -> Job:
    return replace(job, state=state, ended_at_ms=5, updated_at_ms=5, next_at_ms=None)


@pytest.fixture
async def jobs(database: Database, ledger: Ledger) -> Jobs:
    await ledger.top_up("w", 10 * AMOUNT, "first")
    return Jobs(database, holder="one")


async def test_a_job_begins_with_its_hold_and_ends_with_its_settlement(
    ledger: Ledger, jobs: Jobs, clock: Clock, recording: Callable[..., CallRecord]
) -> None:
    job = new_job()
    await begin(ledger, clock, job)
    assert await ledger.balance("w") == (10 * AMOUNT, AMOUNT)
    assert await jobs.get("w", job.id) == job
    assert await jobs.request(job.id) == b"sealed video_1"
    assert ledger.held() == (0, 0)  # it is no process's own
    billed = await ledger.settle(job.hold_id, 700, recording(job.hold_id), job=ended(job))
    assert billed == 700
    assert await ledger.balance("w") == (10 * AMOUNT - 700, 0)
    assert await jobs.get("w", job.id) == replace(ended(job), billed_nanocredits=700)
    assert await jobs.request(job.id) is None
    assert (await ledger.check())["ok"]


async def test_whoever_ends_a_job_second_changes_neither_it_nor_the_money(
    ledger: Ledger, jobs: Jobs, clock: Clock, recording: Callable[..., CallRecord]
) -> None:
    job = new_job()
    await begin(ledger, clock, job)
    ends = [
        ledger.settle(job.hold_id, 700, recording(job.hold_id), job=ended(job)),
        ledger.settle(job.hold_id, 0, recording(job.hold_id), job=ended(job, State.CANCELLED)),
    ]
    await asyncio.gather(*ends)
    await ledger.settle(job.hold_id, 0, recording(job.hold_id), job=ended(job, State.FAILED))
    found = await jobs.get("w", job.id)
    assert found is not None
    assert (found.state, found.billed_nanocredits) == (State.COMPLETED, 700)
    assert await ledger.balance("w") == (10 * AMOUNT - 700, 0)
    assert (await ledger.check())["ok"]


async def test_a_hold_of_a_job_outlives_processes_and_ends_at_its_own_time(
    database: Database, ledger: Ledger, jobs: Jobs, clock: Clock
) -> None:
    await begin(ledger, clock, new_job())
    await ledger.close()
    clock.now_ms += 10 * DEAD_AFTER_MS
    next_life = Ledger(database, clock=clock, epoch_id=os.urandom(8).hex(), patience_s=0)
    await next_life.start()
    assert await next_life.balance("w") == (10 * AMOUNT, AMOUNT)
    clock.now_ms += LASTS_MS
    await next_life.maintain()
    assert await next_life.balance("w") == (10 * AMOUNT, 0)
    assert (await next_life.check())["ok"]
    # Its job is ended by whoever looks at it next.
    await jobs.end_alone(ended(new_job(), State.EXPIRED))
    found = await jobs.find("video_1")
    assert found is not None
    assert found.state is State.EXPIRED
    await next_life.close()


async def test_a_job_whose_client_was_refused_is_forgotten_with_its_hold(
    ledger: Ledger, jobs: Jobs, clock: Clock
) -> None:
    await begin(ledger, clock, new_job(), Claim("key", b"1"))
    # As the ledger does where a commit's outcome was unknown.
    await ledger.void("req_1", None)
    assert await jobs.find("video_1") is None
    assert await ledger.balance("w") == (10 * AMOUNT, 0)
    await begin(ledger, clock, new_job("2"), Claim("key", b"1"))


async def test_a_claim_on_a_job_is_answered_from_its_first_moment_on(ledger: Ledger, jobs: Jobs, clock: Clock) -> None:
    claim = Claim("key", b"1")
    await begin(ledger, clock, new_job(), claim)
    with pytest.raises(Answered) as before:
        await begin(ledger, clock, new_job("2"), claim)
    assert before.value.answer == StoredAnswer(202, b"a: b", b"{}")
    with pytest.raises(MiraError) as refused:
        await begin(ledger, clock, new_job("3"), Claim("key", b"2"))
    assert refused.value.kind is Kind.KEY_REUSED
    assert await jobs.counts() == {"queued": 1}
    await ledger.settle("req_1", 0, None, job=ended(new_job(), State.FAILED))
    with pytest.raises(Answered):
        await begin(ledger, clock, new_job("4"), claim)


async def test_a_refused_hold_makes_no_job(ledger: Ledger, jobs: Jobs, clock: Clock) -> None:
    for number in range(10):
        await begin(ledger, clock, new_job(str(number)))
    with pytest.raises(MiraError) as refused:
        await begin(ledger, clock, new_job("none"))
    assert refused.value.kind is Kind.NO_CREDITS
    assert await jobs.find("video_none") is None


async def test_a_due_job_is_one_processs_until_it_is_moved(
    database: Database, ledger: Ledger, jobs: Jobs, clock: Clock
) -> None:
    other = Jobs(database, holder="two")
    await begin(ledger, clock, new_job())
    assert (await jobs.due_in_s() or 0) <= 0
    (job,) = await jobs.claim(5, 60, ())
    assert await other.claim(5, 60, ()) == []
    assert (await other.due_in_s() or 0) > 30
    sent = step(job, Chosen("a", "m", 5, "1"), LONG_AGO_MS, 0.5, Rules())
    assert not await other.move(job, sent)
    assert await jobs.move(job, sent, keep_lease=True)
    assert not await jobs.move(job, sent)  # it is no longer as it was
    assert await jobs.request(job.id) is not None
    running = replace(sent, state=State.RUNNING, upstream_id="u")
    assert await jobs.move(sent, running)
    assert await jobs.request(job.id) is None
    assert [each.id for each in await other.claim(5, 60, ())] == [job.id]


async def test_a_dead_processs_lease_runs_out(database: Database, ledger: Ledger, jobs: Jobs, clock: Clock) -> None:
    other = Jobs(database, holder="two")
    await begin(ledger, clock, new_job())
    (job,) = await jobs.claim(5, 0, ())
    (taken,) = await other.claim(5, 60, ())
    assert taken.id == job.id
    await jobs.renew([job.id], 60)
    sent = step(job, Chosen("a", "m", 5, "1"), LONG_AGO_MS, 0.5, Rules())
    assert not await jobs.move(job, sent)


async def test_many_processes_claim_each_job_once(database: Database, ledger: Ledger, jobs: Jobs, clock: Clock) -> None:
    del jobs
    for number in range(10):
        await begin(ledger, clock, new_job(str(number)))
    others = [Jobs(database, holder=str(number)) for number in range(8)]
    claimed = await asyncio.gather(*(each.claim(3, 60, ()) for each in others))
    ids = [job.id for found in claimed for job in found]
    assert sorted(ids) == sorted({f"video_{number}" for number in range(10)})


async def test_pages_are_a_workspaces_own_and_in_order(ledger: Ledger, jobs: Jobs, clock: Clock) -> None:
    for number in range(5):
        await begin(ledger, clock, new_job(str(number), created_at_ms=LONG_AGO_MS + number // 2))
    names = [job.id for job in await jobs.page("w", None, 10, newest_first=True)]
    assert names == ["video_4", "video_3", "video_2", "video_1", "video_0"]
    assert [job.id for job in await jobs.page("w", "video_3", 2, newest_first=True)] == ["video_2", "video_1"]
    assert [job.id for job in await jobs.page("w", "video_1", 2, newest_first=False)] == ["video_2", "video_3"]
    assert await jobs.page("another", None, 10, newest_first=True) == []
    assert await jobs.page("another", "video_3", 10, newest_first=True) == []
    assert await jobs.get("another", "video_3") is None


async def test_only_ended_jobs_are_forgotten(ledger: Ledger, jobs: Jobs, clock: Clock) -> None:
    job = new_job()
    await begin(ledger, clock, job)
    await jobs.remove(job.id)
    assert await jobs.find(job.id) == job
    done = step(replace(job, state=State.RUNNING), Ready("/c"), 5, 0.5, Rules())
    done = step(done, Kept(3, "video/mp4"), 5, 0.5, Rules(keep_ms=1))
    await ledger.settle(job.hold_id, 0, None, job=done)
    assert [each.id for each in await jobs.expired(9)] == [job.id]
    await jobs.remove(job.id)
    assert await jobs.find(job.id) is None


async def test_ended_jobs_are_forgotten_with_their_results_when_their_time_is_over(
    ledger: Ledger, jobs: Jobs, clock: Clock, tmp_path: Path
) -> None:
    async def once() -> AsyncIterator[bytes]:
        yield b"a video"

    objects = Objects.open((tmp_path / "files").as_uri())
    for name, expires_at_ms in (("old", LONG_AGO_MS), ("new", 2**60)):
        job = new_job(name)
        await begin(ledger, clock, job)
        await objects.put(job.id, once())
        await ledger.settle(job.hold_id, 0, None, job=replace(ended(job), expires_at_ms=expires_at_ms))
    await begin(ledger, clock, new_job("going"))
    assert await Runner(jobs, cast("Worker", None), objects).sweep() == 1
    assert await jobs.counts() == {"completed": 1, "queued": 1}
    assert await objects.read("video_new") == b"a video"
    with pytest.raises(MiraError):
        await objects.read("video_old")
