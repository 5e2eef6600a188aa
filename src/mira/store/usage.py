"""Usage as sums: over the rows of hours and days that the ledger adds to, so that no report reads the calls."""

from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, FromClause, Select, Subquery, Table, func, select, union_all

from mira.store.calls import Wanted
from mira.store.database import Database
from mira.store.pages import Page, size, wrong_cursor
from mira.store.schema import USAGE_SUMS, usage_day, usage_hour
from mira.store.usage_sums import DAY_MS, HOUR_MS

Group = Literal["model", "key", "workspace", "node", "day", "hour"]
GROUPS: tuple[Group, ...] = ("model", "key", "workspace", "node", "day", "hour")
#: A day's beginning that no call is later than.
LAST_MS = 2**53 // DAY_MS * DAY_MS
_COLUMNS = {"model": "model", "key": "key_id", "workspace": "workspace_id", "node": "node", "hour": "begins_ms"}


class Sum(Struct, frozen=True):
    """The sums of a group; `groups` has its value for each name that was asked for, times in Unix milliseconds."""

    groups: dict[str, Any]
    calls: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    cache_read_tokens: int
    reasoning_tokens: int
    billed_nanocredits: int
    computed_nanocredits: int
    reported_nanocredits: int
    overrun_nanocredits: int
    attempt_cost_nanocredits: int
    drifted: int
    drift_nanocredits: int


class UsageSheets:
    """Reads sums of usage. Time is cut into whole hours: an hour counts where it began within the span."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, wanted: Wanted, by: tuple[Group, ...], *, after: str | None = None, limit: int = 100
    ) -> Page[Sum]:
        """Sums by groups: the latest times first, else the dearest; without groups one row of everything.

        Of `wanted` the status does not count. MiraError BAD_REQUEST for a wrong cursor.
        """
        skipped = _skipped(after)
        rows_of = _rows(wanted, hourly="hour" in by)
        sums = [func.coalesce(func.sum(rows_of.c[name]), 0) for name in USAGE_SUMS]
        groups = [_group(rows_of, name).label(f"by_{name}") for name in by]
        query = select(*groups, *sums).group_by(*groups)
        times = [group.desc() for name, group in zip(by, groups, strict=True) if name in ("day", "hour")]
        others = [group for name, group in zip(by, groups, strict=True) if name not in ("day", "hour")]
        billed = sums[USAGE_SUMS.index("billed_nanocredits")]
        query = query.order_by(*times, billed.desc(), *others).offset(skipped).limit(size(limit) + 1)

        def read(connection: Connection) -> list[Sum]:
            width = len(by)
            return [
                Sum(dict(zip(by, row[:width], strict=True)), *map(int, row[width:]))
                for row in connection.execute(query)
            ]

        rows = await self._database.read(read)
        shown = rows[: size(limit)]
        return Page(shown, str(skipped + len(shown)) if len(rows) > len(shown) else None)


def _group(rows: FromClause, name: Group) -> ColumnElement[Any]:
    if name == "day":
        return rows.c.begins_ms - rows.c.begins_ms % DAY_MS
    return rows.c[_COLUMNS[name]]


def _rows(wanted: Wanted, *, hourly: bool) -> Subquery:
    """The rows to sum up: those of whole days, and those of hours where the span begins or ends within a day."""
    since_ms = -(-(wanted.since_ms or 0) // HOUR_MS) * HOUR_MS
    until_ms = wanted.until_ms if wanted.until_ms is not None else LAST_MS
    first_ms = -(-since_ms // DAY_MS) * DAY_MS
    last_ms = until_ms // DAY_MS * DAY_MS
    if hourly or first_ms >= last_ms:
        return _wanted(usage_hour, wanted, since_ms, until_ms).subquery()
    parts = [_wanted(usage_day, wanted, first_ms, last_ms)]
    for begins_ms, ends_ms in ((since_ms, first_ms), (last_ms, until_ms)):
        if begins_ms < ends_ms and begins_ms < LAST_MS:
            parts.append(_wanted(usage_hour, wanted, begins_ms, ends_ms))
    return union_all(*parts).subquery() if len(parts) > 1 else parts[0].subquery()


def _wanted(table: Table, wanted: Wanted, since_ms: int, until_ms: int) -> Select[Any]:
    query = select(table).where(table.c.begins_ms >= since_ms, table.c.begins_ms < until_ms)
    for column, value in (
        (table.c.workspace_id, wanted.workspace_id),
        (table.c.key_id, wanted.key_id),
        (table.c.model, wanted.model),
        (table.c.node, wanted.node),
    ):
        if value is not None:
            query = query.where(column == value)
    return query


def _skipped(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise wrong_cursor()
    return int(cursor)
