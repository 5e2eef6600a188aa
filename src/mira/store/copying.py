"""Copies everything from one database to another, such as from a SQLite file to PostgreSQL, and checks the balance.

Rows go in pieces, each in a transaction of its own, and a row that is there already is passed over: a copy that was
cut is made whole by the next. Settings go last, and with them the mark of a finished first start; until then nothing
takes the target for a Mira of its own.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, Table, func, select, text, tuple_

from mira.errors import ConfigError
from mira.store import invariants, schema
from mira.store.database import Database
from mira.store.settings import Settings
from mira.store.statements import now_ms, upsert

PIECE = 2000
CHECK_TIMEOUT_S = 3600.0
#: What belongs to running processes alone.
LEFT_OUT = (schema.epoch, schema.lease, schema.version, schema.hint)
#: The setting that ends a first start.
MARK = "bootstrap"


class Copied(Struct, frozen=True):
    """Rows by table, and the check of the ledger's invariants in the target."""

    rows: dict[str, int]
    check: dict[str, object]


async def copy_all(source: Database, target: Database, settings: Mapping[str, str]) -> Copied:
    """Copies every table; ConfigError where the target is in use, or where it does not balance afterwards.

    No gateway may use either meanwhile. Calls under way must have ended: the source's holds were swept. `settings` are
    what the target needs beside the source's own.
    """
    if await target.read(_is_used):
        raise ConfigError("the target has a Mira of its own already; name an empty database")
    tables = [table for table in schema.metadata.sorted_tables if table not in LEFT_OUT and table is not schema.setting]
    tables.append(schema.setting)
    for table in tables:
        if table is schema.setting:
            for name, value in settings.items():
                await Settings(target).set(name, value)
        await _copy(source, target, table)
    await target.write(_continue_ids)
    before, after = [
        await database.read(lambda connection: _sums(connection, tables), CHECK_TIMEOUT_S)
        for database in (source, target)
    ]
    del before["setting"], after["setting"]  # the target has some of its own
    check = await target.read(
        lambda connection: invariants.check(connection, now_ms=now_ms(connection)), CHECK_TIMEOUT_S
    )
    if before != after or not check["ok"]:
        raise ConfigError("the copy does not balance; the source is as it was, so drop the target and look into it")
    return Copied({name: rows for name, (rows, _) in after.items()}, check)


async def _copy(source: Database, target: Database, table: Table) -> None:
    key = list(table.primary_key.columns)
    last: tuple[Any, ...] | None = None
    while True:
        query = select(table).order_by(*key).limit(PIECE)
        if last is not None:
            query = query.where(tuple_(*key) > tuple_(*last))
        rows = await source.read(partial(_rows, query=query))
        if rows:
            await target.write(partial(_insert, table=table, rows=rows))
        if len(rows) < PIECE:
            return
        last = tuple(rows[-1][column.name] for column in key)


def _rows(connection: Connection, query: Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    statement = upsert(table)
    if table is schema.account:
        # The system accounts were made with the tables.
        amounts = {name: statement.excluded[name] for name in ("posted_nanocredits", "held_nanocredits")}
        connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=amounts), rows)
    else:
        connection.execute(statement.on_conflict_do_nothing(), rows)


def _is_used(connection: Connection) -> bool:
    mark = select(schema.setting.c.name).where(schema.setting.c.name == MARK)
    return connection.execute(mark).first() is not None


def _continue_ids(connection: Connection) -> None:
    """New transfers get numbers after those that were copied."""
    if connection.dialect.name == "postgresql":
        last = "(SELECT coalesce(max(id), 0) + 1 FROM transfer)"
        connection.execute(text(f"SELECT setval(pg_get_serial_sequence('transfer', 'id'), {last}, false)"))


def _sums(connection: Connection, tables: list[Table]) -> dict[str, tuple[int, int]]:
    """By table: how many rows, and the sum of every amount in them."""
    found = {}
    for table in tables:
        amounts = [column for column in table.columns if column.name.endswith("nanocredits")]
        sums = [func.coalesce(func.sum(column), 0) for column in amounts]
        count, *totals = connection.execute(select(func.count(), *sums).select_from(table)).one()
        found[table.name] = (int(count), sum(map(int, totals)))
    return found
