"""The database, whichever engine it is: SQLite for one process, PostgreSQL for many."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Dialect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from mira.errors import ConfigError
from mira.store.failures import Failure
from mira.store.sqlite import open_sqlite
from mira.store.writer import Job

T = TypeVar("T")

#: Whoever calls a model waits so long for the database; one that is slower is as good as away.
LATE_S = 0.8


class Engine(Protocol):
    """What an engine can do. `shared`: several processes may have the database open."""

    shared: bool

    @property
    def dialect(self) -> Dialect:
        """What the hot path's statements are compiled for: parameters go by position."""

    def now_ms(self) -> int:
        """The time in Unix milliseconds that all who share the database agree on; may ask the database."""

    async def read(self, fn: Callable[[Connection], T], timeout_s: float | None = None) -> T:
        """Runs `fn` in a thread on one snapshot of what is committed; MiraError STORE_DOWN where that fails."""

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """Runs `fn` in a transaction of its own and returns once it is durable."""

    def submit(self, job: Job) -> None:
        """Queues a transaction on the driver's own connection."""

    def failure(self, error: BaseException) -> Failure:
        """What an error means."""

    def migrate(self, target: str) -> None:
        """Brings the tables to a version, while nothing else uses the engine; ConfigError where that fails."""

    async def close(self) -> None:
        """Finishes what is queued and closes every connection."""


def without_password(url: str) -> str:
    """A database's address as it may be shown."""
    return make_url(url).render_as_string(hide_password=True)


class Database:
    """An open database. `open` makes what is missing; a SQLite file is open in one process at a time.

    Where it is shared, a call whose key is not found, or whose hold is not decided, within `late_s` is refused.
    """

    def __init__(self, engine: Engine, *, late_s: float = LATE_S) -> None:
        self.engine = engine
        self.late_s = late_s
        self.shared = engine.shared
        self.submit = engine.submit
        self.failure = engine.failure
        self.now_ms = engine.now_ms

    @classmethod
    def open(cls, url: str, *, late_s: float = LATE_S) -> "Database":
        """Opens `sqlite:///path` or `postgresql://…`, making what is missing and migrating what is old.

        ConfigError where the url is of another kind, another process has the file, or it cannot be opened.
        """
        try:
            kind = make_url(url).get_backend_name()
        except ArgumentError as error:
            raise ConfigError("the database url is not a url: write sqlite:///path or postgresql://…") from error
        if kind == "sqlite":
            return cls(open_sqlite(url), late_s=late_s)
        if kind in ("postgresql", "postgres"):
            from mira.store.postgres import open_postgres  # noqa: PLC0415 - a driver that SQLite does not need

            return cls(open_postgres(url), late_s=late_s)
        raise ConfigError("the database url must be sqlite:///path or postgresql://user@host/name")

    @property
    def dialect(self) -> Dialect:
        """What the hot path's statements are compiled for: parameters go by position."""
        return self.engine.dialect

    async def read(self, fn: Callable[[Connection], T], timeout_s: float | None = None) -> T:
        """Runs `fn` in a thread on one snapshot of what is committed.

        MiraError STORE_DOWN where that fails, or takes longer than `timeout_s` (None: half a minute).
        """
        return await self.engine.read(fn, timeout_s)

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """Runs `fn` in a transaction of its own and returns once it is durable, also where the caller leaves.

        `fn` must be short and touch nothing but its connection: with SQLite it runs on the event loop, with PostgreSQL
        in a thread, there perhaps more than once. What it raises rolls back; a failing database is STORE_DOWN.
        """
        return await self.engine.write(fn)

    async def close(self) -> None:
        """Finishes what is queued and closes every connection; a SQLite file is free then."""
        await self.engine.close()
