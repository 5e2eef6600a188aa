"""Looks at jobs when they are due, in whichever process gets their lease first."""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from mira.core.jobs import Job
from mira.errors import MiraError
from mira.jobs.worker import Worker

#: A lease ends this long after its holder was last heard of, and is renewed often enough to miss two turns.
LEASE_S = 8.0
RENEW_S = 2.0
#: How many jobs one process looks at at a time.
MOST_AT_ONCE = 32
#: With a shared database others make jobs, too; alone, this process knows of each.
SHARED_LOOK_S, ALONE_LOOK_S = 1.0, 30.0
LEAST_LOOK_S = 0.02
#: What is under way when the process ends may take so long.
GRACE_S = 15.0
#: Counting all jobs is for graphs.
COUNT_EVERY_S = 5.0
SWEEP_AT_ONCE = 50

log = logging.getLogger("mira.jobs")


class Table(Protocol):
    """What the runner needs of the table of jobs (see `mira.store.jobs`)."""

    shared: bool

    async def start(self) -> None:
        """Ends the leases of processes that are surely dead."""

    async def due_in_s(self) -> float | None:
        """In how many seconds a job is due."""

    async def claim(self, most: int, lease_s: float, busy: Collection[str]) -> list[Job]:
        """Takes the leases of jobs that are due."""

    async def renew(self, ids: Sequence[str], lease_s: float) -> None:
        """Makes leases last longer."""

    async def expired(self, most: int) -> list[Job]:
        """Jobs whose result is kept no longer."""

    async def remove(self, job_id: str) -> None:
        """Forgets an ended job."""

    async def counts(self) -> Mapping[str, int]:
        """How many jobs there are in each state."""


class Store(Protocol):
    """Where results are kept."""

    async def remove(self, key: str) -> None:
        """Removes an object."""


class Runner:
    """Runs until it is cancelled. `wake` tells it that there is something to do now.

    `counts` are the jobs by state, as of a moment ago.
    """

    def __init__(self, table: Table, worker: Worker, store: Store) -> None:
        self._table = table
        self._worker = worker
        self._store = store
        self._news = asyncio.Event()
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._count_at_s = 0.0
        self.counts: Mapping[str, int] = {}

    def wake(self) -> None:
        """There is a new job."""
        self._news.set()

    async def run(self) -> None:
        """Looks at jobs until cancelled, and then ends what it is at.

        What takes too long is cut and taken up by whoever comes next; cutting short what is being sent would leave a
        doubt whether it was.
        """
        renewing = asyncio.create_task(self._renew())
        try:
            await self._until_started()
            while True:
                self._news.clear()
                wait_s = await self._turn()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), wait_s)
        finally:
            if self._looking:
                await asyncio.wait(tuple(self._looking.values()), timeout=GRACE_S)
            tasks = [renewing, *self._looking.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def sweep(self) -> int:
        """Forgets ended jobs whose time is over, and their results; returns how many."""
        removed = 0
        while found := await self._table.expired(SWEEP_AT_ONCE):
            for job in found:
                await self._store.remove(job.id)
                await self._table.remove(job.id)
            removed += len(found)
        return removed

    async def _until_started(self) -> None:
        while True:
            try:
                await self._table.start()
                return
            except MiraError:
                await asyncio.sleep(SHARED_LOOK_S)

    async def _turn(self) -> float:
        """Begins what is due; returns how long nothing will be."""
        longest_s = SHARED_LOOK_S if self._table.shared else ALONE_LOOK_S
        try:
            due_s = await self._table.due_in_s()
            room = MOST_AT_ONCE - len(self._looking)
            if due_s is not None and due_s <= 0 and room > 0:
                for job in await self._table.claim(room, LEASE_S, tuple(self._looking)):
                    task = asyncio.create_task(self._look(job))
                    self._looking[job.id] = task
                due_s = await self._table.due_in_s()
            now_s = asyncio.get_running_loop().time()
            if now_s >= self._count_at_s:
                self._count_at_s = now_s + COUNT_EVERY_S
                self.counts = await self._table.counts()
        except MiraError as error:
            log.warning("jobs wait: %s", error)
            return SHARED_LOOK_S
        except Exception:
            log.exception("jobs could not be looked at; tried again")
            return SHARED_LOOK_S
        return longest_s if due_s is None else min(max(due_s, LEAST_LOOK_S), longest_s)

    async def _look(self, job: Job) -> None:
        try:
            await self._worker.look(job)
        except MiraError as error:
            log.warning("job %s waits: %s", job.id, error)
        except Exception:
            log.exception("job %s could not be looked at; it is tried again", job.id)
        finally:
            del self._looking[job.id]
            self.wake()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            if self._looking:
                with suppress(MiraError):
                    await self._table.renew(tuple(self._looking), LEASE_S)
