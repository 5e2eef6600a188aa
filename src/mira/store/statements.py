"""SQL stands once, as SQLAlchemy Core; the hot path runs its text on the driver's own connection.

Building and executing a statement through SQLAlchemy costs more than SQLite takes for the row, so the ledger's few
statements are compiled once per database.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import Dialect, Table
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.sql import ClauseElement


class Cursor(Protocol):
    """What the hot path needs of a driver's cursor."""

    @property
    def rowcount(self) -> int:
        """How many rows the statement changed."""
        ...

    def fetchall(self) -> list[Any]:
        """All remaining rows."""
        ...

    def fetchone(self) -> Any:
        """The next row or None."""
        ...


class Driver(Protocol):
    """What the hot path needs of a driver's connection."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Runs a statement."""
        ...

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> Cursor:
        """Runs a statement once per row."""
        ...


def compile_sql(statement: ClauseElement, dialect: Dialect, *names: str) -> str:
    """Compiles a statement whose parameters are bound by position, in the order of `names`.

    ValueError where the text takes them in another order: the rows are plain tuples, so the order is part of the code.
    """
    compiled = statement.compile(dialect=dialect)
    order = tuple(compiled.positiontup or ())  # type: ignore[attr-defined]
    if order != names:
        raise ValueError(f"the statement takes {order}, not {names}")
    return str(compiled)


def upsert(table: Table) -> Insert:
    """An insert that can say `ON CONFLICT`, which SQLAlchemy offers per database only."""
    return insert(table)
