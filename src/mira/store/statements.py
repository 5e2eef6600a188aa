"""SQL stands once, as SQLAlchemy Core; the hot path runs its text on the driver's own connection.

Building and executing a statement through SQLAlchemy costs more than a database takes for the row, so the ledger's
few statements are compiled once per database. What differs between the databases is how many rows go in one statement:
SQLite takes a row at a time, since a statement costs it next to nothing; PostgreSQL takes whole columns as arrays, so
that a batch is a handful of statements however many rows it has.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec import Struct
from sqlalchemy import (
    BindParameter,
    Boolean,
    Column,
    Connection,
    Dialect,
    Integer,
    LargeBinary,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    delete,
    func,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import ClauseElement, ColumnElement, Select
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.selectable import TableValuedAlias

NOW_MS = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
#: How many keys one statement of SQLite looks up; a list of them takes the narrowest that has room.
WIDTHS = (1, 4, 24, 96)


class Cursor(Protocol):
    """What the hot path needs of a driver's cursor."""

    @property
    def rowcount(self) -> int:
        """How many rows the statement changed; with PostgreSQL only after `Driver.flush`."""
        ...

    def fetchall(self) -> list[Any]:
        """All remaining rows."""
        ...

    def fetchone(self) -> Any:
        """The next row or None."""
        ...


class Lookup(Struct, frozen=True):
    """Finds the rows of many keys: a text per width (SQLite), or one that takes arrays (PostgreSQL, width 0).

    `columns` is how many texts a key has.
    """

    columns: int
    texts: tuple[tuple[int, str], ...]


class Change(Struct, frozen=True):
    """Changes many rows. `columns` make the arrays that PostgreSQL takes; without them the text takes one row."""

    text: str
    columns: tuple[Callable[[Sequence[Any]], str], ...] | None


class Driver(Protocol):
    """What the hot path needs of a database: the ledger's batch is written against this."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Runs a statement."""
        ...

    def load(self, *wanted: tuple[Lookup, Sequence[Any]]) -> list[list[Any]]:
        """The rows of each look-up, in order, in as few round trips as there can be; then reads the time."""
        ...

    def change(self, change: Change, rows: Sequence[Sequence[Any]], /) -> Cursor:
        """Changes many rows; with PostgreSQL it may fail only at `flush`."""
        ...

    def flush(self) -> None:
        """Returns when every change so far has been executed."""
        ...

    def now_ms(self) -> int:
        """The database's time in Unix milliseconds, as of the last `load` if there was one."""
        ...


def compile_sql(statement: ClauseElement, dialect: Dialect, *names: str) -> str:
    """Compiles a statement whose parameters are bound by position, in the order of `names`.

    ValueError where the text takes them in another order: the rows are plain tuples, so the order is part of the code.
    """
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    order = tuple(compiled.positiontup or ())
    if order != names:
        raise ValueError(f"the statement takes {order}, not {names}")
    return str(compiled)


def look_up(dialect: Dialect, query: Select[Any], *columns: ColumnElement[Any]) -> Lookup:
    """Compiles a query of the rows whose `columns` are one of the keys that will be given.

    A key is a text where there is one column, else a tuple.
    """
    if dialect.name == "sqlite":
        return Lookup(len(columns), tuple((width, _for_keys(dialect, query, columns, width)) for width in WIDTHS))
    names = [f"keys{number}" for number in range(len(columns))]
    arrays = [cast(bindparam(name), postgresql.ARRAY(Text)) for name in names]
    if len(columns) == 1:
        found = query.where(columns[0] == any_(arrays[0]))
    else:
        wanted = select(func.unnest(*arrays).table_valued(*names, name="wanted").render_derived())
        found = query.where(tuple_(*columns).in_(wanted))
    return Lookup(len(columns), ((0, compile_sql(found, dialect, *names)),))


def insert_many(dialect: Dialect, table: Table, names: Sequence[str], *, ignore: Sequence[str] = ()) -> Change:
    """Compiles an insert of rows in the order of `names`; one whose columns `ignore` are known already is left out."""
    statement = _inserted(dialect, table, names)
    if ignore:
        statement = statement.on_conflict_do_nothing(index_elements=list(ignore))
    return _change(dialect, statement, table, names)


def upsert_many(
    dialect: Dialect, table: Table, names: Sequence[str], keys: Sequence[str], *, add: bool = False
) -> Change:
    """Compiles an insert of rows in the order of `names` that replaces a row with the same `keys`, or adds to it.

    One change must not hold the same keys twice: PostgreSQL refuses that.
    """
    statement = _inserted(dialect, table, names)
    fresh = {
        name: table.c[name] + statement.excluded[name] if add else statement.excluded[name]
        for name in names
        if name not in keys
    }
    return _change(dialect, statement.on_conflict_do_update(index_elements=list(keys), set_=fresh), table, names)


def update_many(dialect: Dialect, table: Table, names: Sequence[str], keys: Sequence[str]) -> Change:
    """Compiles an update of `names` in the rows named by `keys`; rows are given in the order names, keys."""
    if dialect.name == "sqlite":
        where = [table.c[name] == bindparam(f"of_{name}") for name in keys]
        statement = update(table).where(*where).ordered_values(*((table.c[name], bindparam(name)) for name in names))
        return Change(compile_sql(statement, dialect, *names, *(f"of_{name}" for name in keys)), None)
    fresh = _rows(table, (*names, *keys))
    where = [table.c[name] == fresh.c[name] for name in keys]
    statement = update(table).where(*where).values({name: fresh.c[name] for name in names})
    return _change(dialect, statement, table, (*names, *keys))


def delete_many(dialect: Dialect, table: Table, *keys: str) -> Change:
    """Compiles a delete of the rows named by `keys`."""
    if dialect.name == "sqlite":
        where = [table.c[name] == bindparam(name) for name in keys]
        return Change(compile_sql(delete(table).where(*where), dialect, *keys), None)
    if len(keys) > 1:
        given = _rows(table, keys)
        gone = delete(table).where(*(table.c[name] == given.c[name] for name in keys))
    else:
        column = table.c[keys[0]]
        gone = delete(table).where(column == any_(cast(bindparam(keys[0]), postgresql.ARRAY(column.type))))
    return _change(dialect, gone, table, keys)


def now_ms(connection: Connection) -> int:
    """The time that all who share the database agree on, in Unix milliseconds."""
    if connection.dialect.name == "sqlite":
        return time.time_ns() // 1_000_000
    return int(connection.execute(text(NOW_MS)).scalar_one())


def upsert(table: Table) -> postgresql.Insert:
    """An insert that can say `ON CONFLICT`: SQLAlchemy's for PostgreSQL, whose words SQLite shares."""
    return postgresql.insert(table)


def _for_keys(dialect: Dialect, query: Select[Any], columns: Sequence[ColumnElement[Any]], width: int) -> str:
    names = [f"key{number}" for number in range(width * len(columns))]
    bound: list[BindParameter[Any]] = [bindparam(name) for name in names]
    if len(columns) == 1:
        return compile_sql(query.where(columns[0].in_(bound)), dialect, *names)
    keys = [bound[start : start + len(columns)] for start in range(0, len(bound), len(columns))]
    any_of = or_(*(and_(*(column == part for column, part in zip(columns, key, strict=True))) for key in keys))
    return compile_sql(query.where(any_of), dialect, *names)


def _inserted(dialect: Dialect, table: Table, names: Sequence[str]) -> postgresql.Insert:
    if dialect.name == "sqlite":
        return upsert(table).values({name: bindparam(name) for name in names})
    return upsert(table).from_select(list(names), select(_rows(table, names)))


def _rows(table: Table, names: Sequence[str]) -> TableValuedAlias:
    """Rows made of one array per column."""
    arrays = [cast(bindparam(name), postgresql.ARRAY(table.c[name].type)) for name in names]
    return func.unnest(*arrays).table_valued(*names, name="given").render_derived()


def _change(dialect: Dialect, statement: ClauseElement, table: Table, names: Sequence[str]) -> Change:
    columns = None if dialect.name == "sqlite" else tuple(_array_of(table.c[name]) for name in names)
    return Change(compile_sql(statement, dialect, *names), columns)


def _array_of(column: Column[Any]) -> Callable[[Sequence[Any]], str]:
    """How the values of a column are written as the text of a PostgreSQL array."""
    if isinstance(column.type, Boolean):
        return _booleans
    if isinstance(column.type, Integer):  # BigInteger is one too
        return _numbers
    return _bytes if isinstance(column.type, LargeBinary) else texts


def _numbers(values: Sequence[Any]) -> str:
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def _booleans(values: Sequence[Any]) -> str:
    return "{" + ",".join(["NULL" if value is None else "t" if value else "f" for value in values]) + "}"


def _bytes(values: Sequence[Any]) -> str:
    return "{" + ",".join(["NULL" if value is None else f'"\\\\x{value.hex()}"' for value in values]) + "}"


def texts(values: Sequence[str | None]) -> str:
    """Texts as a PostgreSQL array. It knows no NUL character, so that one is left out."""
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(value: str) -> str:
    if "\\" in value or '"' in value or "\0" in value:
        value = value.replace("\0", "").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'
