"""Call records, one by one. The ledger writes them with their settlement; sums of them are `store/usage.py`."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, Select, and_, func, or_, select

from mira.core.call import CallRecord, Tried
from mira.core.reconciliation import Entry
from mira.core.usage import Usage
from mira.store.database import Database
from mira.store.ledger_sql import USAGE_FIELDS
from mira.store.pages import Page, size, wrong_cursor
from mira.store.schema import attempt, call, usage_hour
from mira.store.usage_sums import HOUR_MS

#: Hours that are looked at for one page of calls that are rare.
MOST_HOURS = 2000
#: Ids that one statement looks up.
LOOKED_UP_AT_ONCE = 500


class Wanted(Struct, frozen=True, kw_only=True):
    """Which calls: started in [since, until), of a workspace, key, model or node; None for any.

    `status` is an exact one; `failed` is true for calls that ended in an error, false for others.
    """

    workspace_id: str | None = None
    key_id: str | None = None
    model: str | None = None
    node: str | None = None
    status: int | None = None
    failed: bool | None = None
    since_ms: int | None = None
    until_ms: int | None = None


class Calls:
    """Reads call records."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: Wanted, *, after: str | None = None, limit: int = 100) -> Page[CallRecord]:
        """A page of calls, newest first; MiraError BAD_REQUEST for a wrong cursor.

        Rare ones are looked for only in hours in which the sums know of some, so that no page reads the whole table.
        """
        position = _position(after) if after is not None else None
        most = size(limit) + 1
        query = _query(wanted, position).limit(most)
        rare = wanted.model is not None or wanted.node is not None or wanted.status is not None or wanted.failed

        def read(connection: Connection) -> list[CallRecord]:
            if not rare:
                return [_record(row) for row in connection.execute(query)]
            found: list[CallRecord] = []
            for first_ms, last_ms in _spans(connection, wanted, position, most):
                span = query.where(call.c.started_at_ms >= first_ms, call.c.started_at_ms < last_ms)
                found += [_record(row) for row in connection.execute(span.limit(most - len(found)))]
                if len(found) >= most:
                    break
            return found

        rows = await self._database.read(read)
        shown = rows[: size(limit)]
        last = shown[-1] if len(rows) > len(shown) else None
        return Page(shown, f"{last.started_at_ms}.{last.request_id}" if last is not None else None)

    async def get(self, request_id: str, workspace_id: str | None = None) -> CallRecord | None:
        """One call by its request id, with its attempts; None where the workspace has none of it."""
        query = select(call).where(call.c.request_id == request_id)
        if workspace_id is not None:
            query = query.where(call.c.workspace_id == workspace_id)
        attempts = select(attempt).where(attempt.c.request_id == request_id).order_by(attempt.c.number)

        def find(connection: Connection) -> CallRecord | None:
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            record = _record(row)
            tries = [row._asdict() for row in connection.execute(attempts)]
            record.tried = tuple(Tried(**{name: one[name] for name in Tried.__struct_fields__}) for one in tries)
            return record

        return await self._database.read(find)

    async def charged_by(self, node: str, since_ms: int, until_ms: int) -> list[Entry]:
        """What we booked as a node's charges for calls of ours that started in [since, until), failed attempts too."""
        began = (call.c.started_at_ms >= since_ms, call.c.started_at_ms < until_ms)
        told = select(attempt.c.request_id).where(attempt.c.request_id == call.c.request_id).exists()
        charged = func.coalesce(call.c.reported_nanocredits, call.c.computed_nanocredits)
        single = select(call.c.request_id, charged).where(call.c.node == node, *began, ~told)
        # An attempt begins when its call does, or later.
        several = (
            select(attempt.c.request_id, attempt.c.cost_nanocredits)
            .join(call, call.c.request_id == attempt.c.request_id)
            .where(attempt.c.node == node, attempt.c.started_at_ms >= since_ms, *began)
        )

        def rows(connection: Connection) -> list[Entry]:
            return [Entry(*row) for query in (single, several) for row in connection.execute(query)]

        return await self._database.read(rows)

    async def started(self, request_ids: Sequence[str]) -> dict[str, int]:
        """When calls started, in Unix milliseconds; ids that are none of ours are missing."""

        def find(connection: Connection) -> dict[str, int]:
            found: dict[str, int] = {}
            for start in range(0, len(request_ids), LOOKED_UP_AT_ONCE):
                part = request_ids[start : start + LOOKED_UP_AT_ONCE]
                query = select(call.c.request_id, call.c.started_at_ms).where(call.c.request_id.in_(part))
                found.update((request_id, at_ms) for request_id, at_ms in connection.execute(query))
            return found

        return await self._database.read(find)


def _query(wanted: Wanted, position: tuple[int, str] | None) -> Select[Any]:
    query = select(call).order_by(call.c.started_at_ms.desc(), call.c.request_id.desc())
    for column, value in (
        (call.c.workspace_id, wanted.workspace_id),
        (call.c.key_id, wanted.key_id),
        (call.c.model, wanted.model),
        (call.c.node, wanted.node),
        (call.c.status, wanted.status),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.failed is not None:
        failed = or_(call.c.status >= 400, call.c.error.is_not(None))
        query = query.where(failed if wanted.failed else ~failed)
    if wanted.since_ms is not None:
        query = query.where(call.c.started_at_ms >= wanted.since_ms)
    if wanted.until_ms is not None:
        query = query.where(call.c.started_at_ms < wanted.until_ms)
    if position is not None:
        started_ms, request_id = position
        query = query.where(
            call.c.started_at_ms <= started_ms,
            or_(call.c.started_at_ms < started_ms, call.c.request_id < request_id),
        )
    return query


def _spans(
    connection: Connection, wanted: Wanted, position: tuple[int, str] | None, most: int
) -> list[tuple[int, int]]:
    """The spans of time, newest first, in which there may be calls that are wanted: hours, side by side as one.

    Hours side by side are one span only until they hold a page.
    """
    sums = usage_hour.c
    failing = wanted.failed or (wanted.status is not None and wanted.status >= 400)
    count = func.sum(sums.failed if failing else sums.calls)
    query = select(sums.hour_ms, count).group_by(sums.hour_ms).having(count > 0).order_by(sums.hour_ms.desc())
    for column, value in (
        (sums.workspace_id, wanted.workspace_id),
        (sums.key_id, wanted.key_id),
        (sums.model, wanted.model),
        (sums.node, wanted.node),
    ):
        if value is not None:
            query = query.where(column == value)
    until_ms = min(wanted.until_ms if wanted.until_ms is not None else 2**62, position[0] + 1 if position else 2**62)
    query = query.where(and_(sums.hour_ms < until_ms, sums.hour_ms > (wanted.since_ms or 0) - HOUR_MS))
    spans: list[tuple[int, int]] = []
    in_span = 0
    for hour_ms, calls in connection.execute(query.limit(MOST_HOURS)):
        if spans and spans[-1][0] == hour_ms + HOUR_MS and in_span < most:
            spans[-1] = hour_ms, spans[-1][1]
            in_span += int(calls)
        else:
            spans.append((hour_ms, hour_ms + HOUR_MS))
            in_span = int(calls)
    return spans


def _position(cursor: str) -> tuple[int, str]:
    started, dot, request_id = cursor.partition(".")
    if not (dot and started.isascii() and started.isdigit() and len(started) < 17):
        raise wrong_cursor()
    return int(started), request_id


def _record(row: Row[Any]) -> CallRecord:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    usage = Usage(**{name: values.pop(name) for name in USAGE_FIELDS})
    return CallRecord(**values, usage=usage)
