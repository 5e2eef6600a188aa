"""Usage as sums: over the hourly rows that the ledger adds to with every call, so that no report reads the calls."""

from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, func, select

from mira.store.calls import Wanted
from mira.store.database import Database
from mira.store.pages import Page, size, wrong_cursor
from mira.store.schema import USAGE_SUMS, usage_hour
from mira.store.usage_sums import HOUR_MS

Group = Literal["model", "key", "workspace", "node", "day", "hour"]
DAY_MS = 24 * HOUR_MS

_GROUPS: dict[str, ColumnElement[Any]] = {
    "model": usage_hour.c.model,
    "key": usage_hour.c.key_id,
    "workspace": usage_hour.c.workspace_id,
    "node": usage_hour.c.node,
    "day": usage_hour.c.hour_ms - usage_hour.c.hour_ms % DAY_MS,
    "hour": usage_hour.c.hour_ms,
}
GROUPS = tuple(_GROUPS)


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
        sums = [func.coalesce(func.sum(usage_hour.c[name]), 0) for name in USAGE_SUMS]
        groups = [_GROUPS[name].label(f"by_{name}") for name in by]
        query = _wanted(select(*groups, *sums), wanted).group_by(*groups)
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


def _wanted(query: Select[Any], wanted: Wanted) -> Select[Any]:
    for column, value in (
        (usage_hour.c.workspace_id, wanted.workspace_id),
        (usage_hour.c.key_id, wanted.key_id),
        (usage_hour.c.model, wanted.model),
        (usage_hour.c.node, wanted.node),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.since_ms is not None:
        query = query.where(usage_hour.c.hour_ms >= wanted.since_ms)
    if wanted.until_ms is not None:
        query = query.where(usage_hour.c.hour_ms < wanted.until_ms)
    return query


def _skipped(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise wrong_cursor()
    return int(cursor)
