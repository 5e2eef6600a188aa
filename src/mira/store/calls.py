"""Call records, one by one. The ledger writes them with their settlement; sums of them are `store/usage.py`."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, Row, Select, func, or_, select, text

from mira.core.call import CallRecord, Tried
from mira.core.reconciliation import Entry
from mira.core.usage import Usage
from mira.store.database import Database
from mira.store.pages import Page, size, wrong_cursor
from mira.store.schema import FAILED, attempt, call, usage_day
from mira.store.usage_sums import DAY_MS

#: Ids that one statement looks up.
LOOKED_UP_AT_ONCE = 500
#: No call runs longer: an hour at the local model, and less elsewhere.
LONGEST_CALL_MS = 7_200_000


class Wanted(Struct, frozen=True, kw_only=True):
    """Which calls: started in [since, until), of a workspace, key, model or node; None for any.

    `client_request_id` is what the client called it.
    `status` is an exact one; `failed` is true for calls that ended in an error, false for others.
    """

    workspace_id: str | None = None
    key_id: str | None = None
    model: str | None = None
    node: str | None = None
    client_request_id: str | None = None
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

        Where no single index serves, they are looked for only in days in which the sums know of some.
        """
        position = _position(after) if after is not None else None
        most = size(limit) + 1
        owner = wanted.workspace_id is not None or wanted.key_id is not None
        narrowed = wanted.node is not None or (owner and (wanted.model is not None or _failing(wanted)))

        def read(connection: Connection) -> list[CallRecord]:
            if not narrowed:
                return [_record(row) for row in connection.execute(_query(wanted, position).limit(most))]
            found: list[CallRecord] = []
            for first_ms, last_ms in _spans(connection, wanted, position):
                since_ms = max(first_ms, wanted.since_ms or 0)
                until_ms = last_ms if wanted.until_ms is None else min(last_ms, wanted.until_ms)
                span = _query(replace(wanted, since_ms=since_ms, until_ms=until_ms), position)
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
        # An attempt begins when its call does, or while that runs.
        several = (
            select(attempt.c.request_id, attempt.c.cost_nanocredits)
            .join(call, call.c.request_id == attempt.c.request_id)
            .where(
                attempt.c.node == node,
                attempt.c.started_at_ms >= since_ms,
                attempt.c.started_at_ms < until_ms + LONGEST_CALL_MS,
                *began,
            )
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
        (call.c.client_request_id, wanted.client_request_id),
        (call.c.status, wanted.status),
    ):
        if value is not None:
            query = query.where(column == value)
    if _failing(wanted):
        query = query.where(text(FAILED))
    elif wanted.failed is not None:
        query = query.where(text(f"NOT {FAILED}"))
    if wanted.since_ms is not None:
        query = query.where(call.c.started_at_ms >= wanted.since_ms)
    until_ms = wanted.until_ms
    if position is not None:
        started_ms, request_id = position
        # One bound on each side: of two SQLite seeks by the first and only filters by the other.
        until_ms = started_ms + 1 if until_ms is None else min(until_ms, started_ms + 1)
        query = query.where(or_(call.c.started_at_ms < started_ms, call.c.request_id < request_id))
    if until_ms is not None:
        query = query.where(call.c.started_at_ms < until_ms)
    return query


def _failing(wanted: Wanted) -> bool:
    """Whether only calls are wanted that the sums count as failed."""
    return bool(wanted.failed) or (wanted.status is not None and wanted.status >= 400)


def _spans(connection: Connection, wanted: Wanted, position: tuple[int, str] | None) -> list[tuple[int, int]]:
    """The days, newest first, in which there are calls that may be wanted; days side by side are one span."""
    sums = usage_day.c
    query = select(sums.begins_ms).distinct().order_by(sums.begins_ms.desc())
    for column, value in (
        (sums.workspace_id, wanted.workspace_id),
        (sums.key_id, wanted.key_id),
        (sums.model, wanted.model),
        (sums.node, wanted.node),
    ):
        if value is not None:
            query = query.where(column == value)
    if _failing(wanted):
        query = query.where(sums.failed > 0)
    until_ms = min(wanted.until_ms if wanted.until_ms is not None else 2**62, position[0] + 1 if position else 2**62)
    query = query.where(sums.begins_ms < until_ms, sums.begins_ms > (wanted.since_ms or 0) - DAY_MS)
    spans: list[tuple[int, int]] = []
    for day_ms in connection.execute(query).scalars():
        if spans and spans[-1][0] == day_ms + DAY_MS:
            spans[-1] = day_ms, spans[-1][1]
        else:
            spans.append((day_ms, day_ms + DAY_MS))
    return spans


def _position(cursor: str) -> tuple[int, str]:
    started, dot, request_id = cursor.partition(".")
    if not (dot and started.isascii() and started.isdigit() and len(started) < 17):
        raise wrong_cursor()
    return int(started), request_id


def _record(row: Row[Any]) -> CallRecord:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    usage = Usage(**{name: values.pop(name) for name in Usage.__struct_fields__})
    return CallRecord(**values, usage=usage)
