"""SQLite as Mira's database: one file, one process, one writing connection, and readers that never block it."""

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Dialect, Engine, create_engine
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from mira.errors import ConfigError
from mira.store.failures import Failure, store_down
from mira.store.migrate import migrate
from mira.store.migrations import HEAD
from mira.store.statements import Change, Cursor, Lookup
from mira.store.writer import Job, Writer

T = TypeVar("T")

#: One for all files, so that what is compiled for it is compiled once.
DIALECT = SQLiteDialect_pysqlite()
MIN_SQLITE = (3, 35, 0)
READERS = 4
#: Pages of WAL before a commit also checkpoints: 16 MB, so that hot pages are copied back seldom.
CHECKPOINT_PAGES = 4000
#: `get` gives None for None, without a step through Python.
_NOTHING: dict[None, None] = {}


class SqliteEngine:
    """An open SQLite file (see `database.Engine`). `open_sqlite` makes the file, its lock and its tables."""

    shared = False

    def __init__(self, path: Path, lock: int, connection: sqlite3.Connection) -> None:
        self.path = path
        self._lock = lock
        self._connection = connection
        self._writing_engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
        self._writing = self._writing_engine.connect()
        self._reading = _reading_engine(path)
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="mira-read")
        self._writer = Writer(connection, SqliteDriver(connection))

    @property
    def dialect(self) -> Dialect:
        """What the hot path's statements are compiled for."""
        return DIALECT

    def now_ms(self) -> int:
        """The machine's time."""
        return time.time_ns() // 1_000_000

    async def read(self, fn: Callable[[Connection], T], timeout_s: float | None = None) -> T:
        """Runs `fn` in a thread on one snapshot; a file is read or not, so nothing needs to be cut off in time."""
        del timeout_s
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read_now, fn)

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """Runs `fn` on the event loop, in a transaction of its own, and returns once it is durable."""
        job = _Write(fn, self._writing, asyncio.get_running_loop().create_future())
        self._writer.submit(job)
        # Shielded, because the transaction goes on and must find somebody to tell even where the caller has left.
        return await asyncio.shield(job.future)

    def submit(self, job: Job) -> None:
        """Queues a transaction on the driver's own connection."""
        self._writer.submit(job)

    def failure(self, error: BaseException) -> Failure:
        """What an error means."""
        return _failure(error)

    async def close(self) -> None:
        """Finishes what is queued and gives the file free. The last connection to close empties the WAL."""
        await self._writer.close()
        self.release()

    def migrate(self, target: str = HEAD) -> None:
        """Brings the file to a version; ConfigError where that fails. Nothing else may use the engine meanwhile."""
        try:
            self._writing.exec_driver_sql("BEGIN IMMEDIATE")
            migrate(self._writing, target)
            self._writing.commit()
        except DBAPIError as error:
            raise ConfigError(f"the database {self.path} cannot be migrated: {error.orig}") from error
        finally:
            self._writing.rollback()

    def release(self) -> None:
        """Closes everything at once."""
        self._threads.shutdown()
        self._reading.dispose()
        self._writing.close()
        self._writing_engine.dispose()
        self._connection.close()
        os.close(self._lock)

    def _read_now(self, fn: Callable[[Connection], T]) -> T:
        try:
            with self._reading.connect() as connection:
                connection.exec_driver_sql("BEGIN")
                return fn(connection)
        except DBAPIError as error:
            if _failure(error) is Failure.DOWN:
                raise store_down() from error
            raise


class SqliteDriver:
    """The writing connection as the hot path sees it (see `statements.Driver`)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.execute = connection.execute

    def load(self, *wanted: tuple[Lookup, Sequence[Any]]) -> list[list[Any]]:
        """Rows by keys, in as few statements as their widths allow."""
        return [self._found(lookup, keys) if keys else [] for lookup, keys in wanted]

    def change(self, change: Change, rows: Sequence[Sequence[Any]], /) -> Cursor:
        """Changes row by row."""
        return self._connection.executemany(change.text, rows)

    def flush(self) -> None:
        """Nothing waits."""

    def now_ms(self) -> int:
        """The machine's time."""
        return time.time_ns() // 1_000_000

    def _found(self, lookup: Lookup, keys: Sequence[Any]) -> list[Any]:
        for narrowest in lookup.texts:
            if len(keys) <= narrowest[0]:
                break
        width, text = narrowest
        rows: list[Any] = []
        for start in range(0, len(keys), width):
            part = list(keys[start : start + width])
            part += part[-1:] * (width - len(part))
            values = part if lookup.columns == 1 else [text for key in part for text in key]
            rows += self._connection.execute(text, values).fetchall()
        return rows


class _Write(Generic[T]):
    """One `write` of a caller."""

    size = 1

    def __init__(self, fn: Callable[[Connection], T], connection: Connection, future: "asyncio.Future[T]") -> None:
        self._fn = fn
        self._connection = connection
        self._result: T
        self.future = future

    def prepare(self) -> None:
        pass

    def run(self, _driver: object) -> bool:
        self._result = self._fn(self._connection)
        return True

    def tell(self) -> None:
        pass

    def done(self, error: BaseException | None) -> None:
        # SQLAlchemy is told of the end only here: the driver's transaction is over, so its own word reaches nothing.
        self._connection.rollback()
        if self.future.done():
            return
        if error is None:
            self.future.set_result(self._result)
            return
        self.future.set_exception(store_down() if _failure(error) is Failure.DOWN else error)
        self.future.exception()


def open_sqlite(url: str) -> SqliteEngine:
    """Opens `sqlite:///path`, making what is missing and migrating what is old.

    ConfigError where another process has the file, or it cannot be opened.
    """
    path = _path(url)
    if sqlite3.sqlite_version_info < MIN_SQLITE:
        raise ConfigError(f"SQLite {sqlite3.sqlite_version} is too old: Mira needs 3.35 or newer")
    lock = _lock(path)
    try:
        engine = SqliteEngine(path, lock, _connect(path))
    except (sqlite3.Error, DBAPIError, OSError) as error:
        os.close(lock)
        raise ConfigError(f"the database {path} cannot be opened: {error}") from error
    try:
        engine.migrate()
    except BaseException:
        engine.release()
        raise
    return engine


def _failure(error: BaseException) -> Failure:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.IntegrityError):
        return Failure.TAKEN
    down = isinstance(cause, sqlite3.OperationalError) or type(cause) is sqlite3.DatabaseError
    return Failure.DOWN if down else Failure.WRONG


def _path(url: str) -> Path:
    parsed = make_url(url)
    if parsed.drivername != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise ConfigError("the database url must be sqlite:///path to a file")
    return Path(parsed.database).expanduser().absolute()


def _lock(path: Path) -> int:
    """Takes the lock beside the file; ConfigError where another process holds it."""
    name = Path(f"{path}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"the database folder {path.parent} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise ConfigError(
            f"the database {path} is in use by another Mira process (lock file {name}): stop that process, "
            "or give this one a folder of its own with MIRA_HOME or MIRA_DATABASE_URL"
        ) from error
    return lock


def _connect(path: Path) -> sqlite3.Connection:
    """The writing connection. The file is made before SQLite sees it, so that it never stands with wider rights."""
    made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(made, 0o600)
    finally:
        os.close(made)
    # Without an adapter of theirs these two are asked for ways to be adapted each time, which costs more than to bind.
    sqlite3.register_adapter(bool, int)
    sqlite3.register_adapter(type(None), _NOTHING.get)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "busy_timeout = 5000",
        "cache_size = -4000",
        f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _reading_engine(path: Path) -> Engine:
    uri = path.as_uri() + "?mode=ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)

    return create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=READERS, max_overflow=0)
