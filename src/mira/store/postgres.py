"""PostgreSQL as Mira's database: any number of processes and hosts on one ledger.

Money goes through one pipelined connection per process (`postgres_writer`); everything else through a small pool. No
advisory locks and no NOTIFY, so that poolers and databases which speak PostgreSQL's protocol can take its place.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import psycopg
from sqlalchemy import Connection, Dialect, Engine, create_engine, event, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from mira.errors import ConfigError
from mira.store.failures import Failure, store_down
from mira.store.migrate import migrate, version
from mira.store.migrations import HEAD
from mira.store.postgres_writer import PostgresWriter, cut
from mira.store.writer import Job

T = TypeVar("T")

#: One for all databases, so that what is compiled for it is compiled once; parameters go by position.
DIALECT = PGDialect_psycopg(paramstyle="format")  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types
READERS, WRITERS = 4, 2
CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 30.0
#: How often a transaction that lost against others is tried again before it is given up.
ATTEMPTS = 20
#: What every connection asks of the server: commits that wait for the disk whatever its default is, and an end to
#: statements and transactions whose client was lost or stopped.
SESSION = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
SET statement_timeout = 60000;
SET idle_in_transaction_session_timeout = 5000;
"""
#: The keeper of the version is also the lock under which it changes.
VERSION_TABLE = (
    "CREATE TABLE IF NOT EXISTS alembic_version "
    "(version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


class PostgresEngine:
    """An open PostgreSQL database (see `database.Engine`)."""

    shared = True

    def __init__(self, url: URL) -> None:
        self._pool = create_engine(
            url, pool_size=READERS + WRITERS, max_overflow=0, pool_timeout=CONNECT_TIMEOUT_S, connect_args=_options(url)
        )
        event.listen(self._pool, "connect", _begin_session)
        self._reading = self._pool.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="mira-read")
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="mira-change")
        self._writer = PostgresWriter(self._connect, lost=lambda error: failure_of(error) is Failure.DOWN)

    @property
    def dialect(self) -> Dialect:
        """What the hot path's statements are compiled for."""
        return DIALECT

    def now_ms(self) -> int:
        """The database's time, as far as the ledger's last batch told it."""
        return time.time_ns() // 1_000_000 + self._writer.ahead_ms

    async def read(self, fn: Callable[[Connection], T], timeout_s: float | None = None) -> T:
        """Runs `fn` in a thread on one snapshot of what is committed."""
        return await self._run(self._readers, _Task(self._reading, fn, timeout_s or READ_TIMEOUT_S))

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """Runs `fn` in a thread, in a transaction of its own; again where it lost against another."""
        # Shielded, because the transaction goes on where the caller has left.
        return await asyncio.shield(self._run(self._writers, _Task(self._pool, fn, READ_TIMEOUT_S)))

    def submit(self, job: Job) -> None:
        """Queues a transaction on the ledger's own connection."""
        self._writer.submit(job)

    def failure(self, error: BaseException) -> Failure:
        """What an error means."""
        return failure_of(error)

    async def close(self) -> None:
        """Finishes what is queued and closes every connection."""
        await self._writer.close()
        self.release()

    def release(self) -> None:
        """Closes the pool at once."""
        for threads in (self._readers, self._writers):
            threads.shutdown(wait=False)
        self._pool.dispose()

    def migrate(self, target: str = HEAD) -> None:
        """Brings the database to a version, one process at a time; ConfigError where that fails."""
        try:
            with self._pool.connect() as connection:
                if version(connection) == target:
                    return
            migrate_locked(self._pool, target)
        except DBAPIError as error:
            raise ConfigError(f"the database {self._name} cannot be used: {_first_line(error.orig)}") from None

    @property
    def _name(self) -> str:
        return self._pool.url.render_as_string(hide_password=True)

    async def _run(self, threads: ThreadPoolExecutor, task: "_Task[T]") -> T:
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(threads, task.run)
        # The thread has to come free even where nobody waits for its answer any more.
        timer = loop.call_later(task.timeout_s, task.give_up)

        def ended(done: "asyncio.Future[T]") -> None:
            timer.cancel()
            if not done.cancelled():
                done.exception()  # seen, also where the caller has left

        running.add_done_callback(ended)
        await asyncio.wait((running,), timeout=task.timeout_s)
        if not running.done():
            raise store_down()
        return running.result()

    def _connect(self) -> "psycopg.Connection[Any]":
        _, options = DIALECT.create_connect_args(self._pool.url)  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types
        connection = psycopg.connect(autocommit=True, **{**_options(self._pool.url), **options})
        connection.execute(SESSION)
        return connection


class _Task(Generic[T]):
    """A function at work in a thread, on a connection of the pool, until it ends or is given up."""

    def __init__(self, engine: Engine, fn: Callable[[Connection], T], timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._engine = engine
        self._fn = fn
        self._lock = threading.Lock()
        self._given_up = False
        self._raw: psycopg.Connection[Any] | None = None

    def give_up(self) -> None:
        """Cuts the connection, whatever the thread waits for."""
        with self._lock:
            self._given_up = True
            if self._raw is not None:
                cut(self._raw)

    def run(self) -> T:
        """Runs the function; MiraError STORE_DOWN where the database does not work."""
        for attempt in range(ATTEMPTS):
            committing = False
            try:
                with self._engine.connect() as connection:
                    self._hold(connection.connection.driver_connection)
                    try:
                        if self.timeout_s > READ_TIMEOUT_S:
                            connection.execute(text(f"SET LOCAL statement_timeout = {round(self.timeout_s * 1000)}"))
                        result = self._fn(connection)
                        committing = True
                        connection.commit()
                    finally:
                        self._hold(None)
                return result
            except DBAPIError as error:
                failure = failure_of(error)
                # A connection of the pool may have been lost since it was used last; the next one is new.
                stale = error.connection_invalidated and not committing and attempt == 0
                if failure is Failure.DOWN and not stale:
                    raise store_down() from error
                if failure not in (Failure.DOWN, Failure.AGAIN):
                    raise
            except PoolTimeoutError as error:
                raise store_down() from error
            time.sleep(random.uniform(0, 0.002) * attempt)  # noqa: S311 - only to be out of step with the others
        raise store_down()

    def _hold(self, raw: Any) -> None:
        with self._lock:
            if raw is not None and self._given_up:
                raise store_down()
            self._raw = raw


def open_postgres(url: str) -> PostgresEngine:
    """Opens `postgresql://…`, making and migrating the tables; ConfigError where the server cannot be used."""
    parsed = make_url(url)
    if not parsed.database:
        raise ConfigError("the database url must name a database: postgresql://user@host/name")
    engine = PostgresEngine(parsed.set(drivername="postgresql+psycopg"))
    try:
        engine.migrate()
    except BaseException:
        engine.release()
        raise
    return engine


def migrate_locked(engine: Engine, target: str) -> None:
    """Brings the database up or down to a version, under a lock that other processes wait for."""
    try:
        with engine.begin() as connection:
            connection.execute(text(VERSION_TABLE))
    except DBAPIError as error:
        if failure_of(error) is Failure.DOWN:
            raise
        # Two processes made it at once, which `IF NOT EXISTS` does not save from: it is there.
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
        migrate(connection, target)


def failure_of(error: BaseException) -> Failure:
    """Sorts an error of psycopg, plain or wrapped by SQLAlchemy."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, psycopg.Error):
        return Failure.WRONG
    state = cause.sqlstate or ""
    if state in ("40001", "40P01"):
        return Failure.AGAIN
    if isinstance(cause, psycopg.IntegrityError):
        return Failure.TAKEN
    # A server that has become a standby refuses to write until a new primary is found.
    down = isinstance(cause, (psycopg.OperationalError, psycopg.InterfaceError)) or state == "25006"
    return Failure.DOWN if down else Failure.WRONG


def _options(url: URL) -> dict[str, Any]:
    """Connection settings where the url does not say otherwise."""
    ours = {
        "application_name": "mira",
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
    }
    return {name: value for name, value in ours.items() if name not in url.query}


def _begin_session(connection: Any, _record: Any) -> None:
    autocommit, connection.autocommit = connection.autocommit, True
    connection.execute(SESSION)
    connection.autocommit = autocommit


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().partition("\n")[0]
