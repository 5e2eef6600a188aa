"""The one writer of a process on PostgreSQL: whole transactions in a thread of their own, over one connection.

A transaction is three trips: lock and load, write, commit; what goes in one trip is pipelined. Other processes write at
the same time, so a transaction waits for the rows that it locks, and the event loop must not wait with it.
"""

import asyncio
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import psycopg

from mira.store.statements import NOW_MS, Change, Cursor, Lookup, texts
from mira.store.writer import Job

#: How long a transaction may take before its connection is given up: the server does not answer.
TRANSACTION_TIMEOUT_S = 10.0
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"


class PostgresDriver:
    """A connection in pipeline mode as the hot path sees it (see `statements.Driver`).

    `ahead_ms` is how much later the database's clock is than the machine's.
    """

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection
        self._pipeline: psycopg.Pipeline
        self._now_ms: int | None = None
        self.ahead_ms = 0

    def begin(self, pipeline: psycopg.Pipeline) -> None:
        """Opens a transaction; its statement travels with the first of the transaction's own."""
        self._pipeline = pipeline
        self._now_ms = None
        self.execute(BEGIN)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Cursor:
        """Runs a statement, in the same trip as what follows unless its result is asked for."""
        return self._connection.cursor().execute(sql, parameters or None, prepare=True)

    def load(self, *wanted: tuple[Lookup, Sequence[Any]]) -> list[list[Any]]:
        """Rows by keys and then the time, in one trip."""
        cursors = [self._look_up(lookup, keys) if keys else None for lookup, keys in wanted]
        clock = self.execute(NOW_MS)
        rows = [[] if cursor is None else cursor.fetchall() for cursor in cursors]
        self._read_clock(clock)
        return rows

    def change(self, change: Change, rows: Sequence[Sequence[Any]], /) -> Cursor:
        """Changes many rows with one statement that takes whole columns."""
        assert change.columns is not None
        columns = zip(*rows, strict=True)
        return self.execute(change.text, [write(column) for write, column in zip(change.columns, columns, strict=True)])

    def flush(self) -> None:
        """Waits for everything sent; raises the first error among it."""
        self._pipeline.sync()

    def now_ms(self) -> int:
        """The database's time as of the last `load`."""
        if self._now_ms is None:
            self._read_clock(self.execute(NOW_MS))
        assert self._now_ms is not None
        return self._now_ms

    def _look_up(self, lookup: Lookup, keys: Sequence[Any]) -> Cursor:
        arrays = [texts(keys)] if lookup.columns == 1 else [texts(column) for column in zip(*keys, strict=True)]
        return self.execute(lookup.texts[0][1], arrays)

    def _read_clock(self, clock: Cursor) -> None:
        now_ms: int = clock.fetchone()[0]
        self._now_ms = now_ms
        self.ahead_ms = now_ms - time.time_ns() // 1_000_000


class PostgresWriter:
    """Takes jobs in order. Belongs to the event loop that first submits one; connects when there is something to do.

    `lost` tells whether an error means that the connection is not to be used again.
    """

    def __init__(
        self, connect: "Callable[[], psycopg.Connection[Any]]", *, lost: Callable[[BaseException], bool]
    ) -> None:
        self._connect = connect
        self._lost = lost
        self._connection: psycopg.Connection[Any] | None = None
        self._driver: PostgresDriver | None = None
        self._waiting: deque[Job] = deque()
        self._current: Job | None = None
        self._busy = False
        self._idle: list[asyncio.Future[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def ahead_ms(self) -> int:
        """How much later the database's clock is than the machine's."""
        return self._driver.ahead_ms if self._driver is not None else 0

    def submit(self, job: Job) -> None:
        """Queues a job; it runs in a later turn of the loop, together with what the current turn still queues."""
        self._waiting.append(job)
        if not self._busy:
            self._busy = True
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
                self._thread = threading.Thread(target=self._work, name="mira-write", daemon=True)
                self._thread.start()
            self._loop.call_soon(self._next)

    async def close(self) -> None:
        """Waits for the queued jobs, then stops the thread, which closes the connection."""
        if self._busy and self._loop is not None:
            idle: asyncio.Future[None] = self._loop.create_future()
            self._idle.append(idle)
            await idle
        if self._thread is not None:
            self._jobs.put(None)
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
            # Whoever still has something to write gets a thread and a connection again, rather than no answer.
            self._thread = self._loop = None

    def _next(self) -> None:
        assert self._loop is not None
        if not self._waiting:
            self._busy = False
            for idle in self._idle:
                if not idle.done():
                    idle.set_result(None)
            self._idle.clear()
            return
        job = self._current = self._waiting.popleft()
        job.prepare()
        self._watch = self._loop.call_later(TRANSACTION_TIMEOUT_S, self._give_up)
        self._jobs.put(job)

    def _done(self, error: BaseException | None) -> None:
        assert self._loop is not None
        assert self._watch is not None
        assert self._current is not None
        self._watch.cancel()
        job, self._current = self._current, None
        job.done(error)
        # A turn later, so that whoever was just answered can join the next transaction.
        self._loop.call_soon(self._next)

    def _give_up(self) -> None:
        if self._connection is not None:
            cut(self._connection)

    # In the thread

    def _work(self) -> None:
        assert self._loop is not None
        while (job := self._jobs.get()) is not None:
            error: Exception | None = None
            try:
                self._transact(job)
            except Exception as failure:  # noqa: BLE001 - whatever went wrong is the job's to judge
                error = failure
                self._recover(failure)
            # A loop that is gone has nobody left to tell; the commit stands or falls without an answer.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._done, error)
        self._disconnect()

    def _transact(self, job: Job) -> None:
        assert self._loop is not None
        if self._connection is None:
            self._connection = self._connect()
            self._driver = PostgresDriver(self._connection)
        assert self._driver is not None
        with self._connection.pipeline() as pipeline:
            self._driver.begin(pipeline)
            job.run(self._driver)
            self._loop.call_soon_threadsafe(job.tell)
            # Also where nothing was written: after a ROLLBACK psycopg forgets every statement that it has prepared.
            self._driver.execute("COMMIT")
            pipeline.sync()

    def _recover(self, error: Exception) -> None:
        """Ends the failed transaction, or the connection where it cannot be used again."""
        if self._connection is None:
            return
        try:
            if not self._lost(error):
                self._connection.execute("ROLLBACK")
                return
        except psycopg.Error:
            pass
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


def cut(connection: "psycopg.Connection[Any]") -> None:
    """Ends a connection's traffic from another thread, so that whoever waits for the server gets an error."""
    with suppress(psycopg.Error, OSError):
        own = socket.socket(fileno=os.dup(connection.fileno()))
        with own:
            own.shutdown(socket.SHUT_RDWR)
