"""The one writer of a SQLite file: transactions one after the other, each commit in a thread of its own.

Statements run on the event loop, because a few microseconds of SQL are cheaper than a change of threads; the commit
waits for the disk, so it runs elsewhere. While it does, the connection belongs to that thread and the next transaction
waits. SQLite allows one writer at a time anyway, and one connection that both writes and checkpoints is what keeps the
WAL safe in versions before 3.51.3.
"""

import asyncio
import sqlite3
import threading
from collections import deque
from contextlib import suppress
from queue import SimpleQueue
from typing import Protocol

from mira.store.statements import Driver

#: A transaction costs about as much as eight operations in it. While at least `BUSY_OPERATIONS` came with the last one,
#: the next begins no sooner than `PACE_S` after it, so that it has more to carry; a lone caller never waits for this.
PACE_S = 0.001
BUSY_OPERATIONS = 4


class Job(Protocol):
    """One transaction. What `run` raises rolls it back; nothing else may raise.

    `size` is how many operations its last run carried.
    """

    size: int

    def prepare(self) -> None:
        """Takes what is to be done; on the event loop, right before `run`."""
        ...

    def run(self, driver: Driver) -> bool:
        """Executes the statements, perhaps in another thread; False where nothing needs to become durable."""
        ...

    def tell(self) -> None:
        """On the event loop, once `run` has ended well: answers what need not wait for the commit."""
        ...

    def done(self, error: BaseException | None) -> None:
        """Told once: None when durable (or nothing was written), else why nothing of it holds."""
        ...


class Writer:
    """Takes jobs in order. Belongs to the event loop that first submits one."""

    def __init__(self, connection: sqlite3.Connection, driver: Driver) -> None:
        self._connection = connection
        self._driver = driver
        self._waiting: deque[Job] = deque()
        self._current: Job | None = None
        self._busy = False
        self._idle: list[asyncio.Future[None]] = []
        self._began_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._commits: SimpleQueue[bool] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, job: Job) -> None:
        """Queues a job; it runs in a later turn of the loop, together with what the current turn still queues."""
        self._waiting.append(job)
        if not self._busy:
            self._busy = True
            if self._loop is None:
                self._start()
            assert self._loop is not None
            self._loop.call_soon(self._next)

    async def close(self) -> None:
        """Waits for the queued jobs, then stops the thread. The connection stays open: it is its maker's."""
        if self._busy and self._loop is not None:
            idle: asyncio.Future[None] = self._loop.create_future()
            self._idle.append(idle)
            await idle
        if self._thread is not None:
            self._commits.put(False)
            self._thread.join()
            self._thread = None

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._commit_forever, name="mira-commit", daemon=True)
        self._thread.start()

    def _next(self) -> None:
        """Runs jobs until one has something to commit or none is left."""
        connection = self._connection
        while self._waiting:
            job = self._waiting.popleft()
            assert self._loop is not None
            self._began_s = self._loop.time()
            job.prepare()
            try:
                connection.execute("BEGIN IMMEDIATE")
                wrote = job.run(self._driver)
            except Exception as error:  # noqa: BLE001 - whatever went wrong is the job's to judge
                self._rollback()
                job.done(error)
                continue
            job.tell()
            if wrote:
                self._current = job
                self._commits.put(True)
                return
            self._rollback()
            job.done(None)
        self._busy = False
        for idle in self._idle:
            if not idle.done():
                idle.set_result(None)
        self._idle.clear()

    def _commit_forever(self) -> None:
        assert self._loop is not None
        while self._commits.get():
            error: Exception | None = None
            try:
                self._connection.execute("COMMIT")
            except Exception as failure:  # noqa: BLE001 - handed to the loop
                error = failure
            # A loop that is gone has nobody left to tell; the commit stands or falls without an answer.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._committed, error)

    def _committed(self, error: Exception | None) -> None:
        assert self._loop is not None
        job, self._current = self._current, None
        assert job is not None
        if error is not None:
            self._rollback()
        job.done(error)
        wait_s = self._began_s + PACE_S - self._loop.time() if job.size >= BUSY_OPERATIONS else 0.0
        if wait_s > 0:
            self._loop.call_later(wait_s, self._next)
        else:
            # A turn later, so that whoever was just answered can join the next transaction.
            self._loop.call_soon(self._next)

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
