"""Call records: usage as lists and sums. The ledger writes them together with their settlement."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, Select, func, or_, select

from mira.core.call import CallRecord, Tried
from mira.core.reconciliation import Entry
from mira.core.usage import Usage
from mira.store.database import Database
from mira.store.ledger_sql import USAGE_FIELDS
from mira.store.pages import Page, size, wrong_cursor
from mira.store.schema import attempt, call

#: Ids that one statement looks up.
LOOKED_UP_AT_ONCE = 500


class Summary(Struct, frozen=True, kw_only=True):
    """Sums over calls, by model. Tokens are all input or all output classes together."""

    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    billed_nanocredits: int


_PROMPT = (
    call.c.input_tokens
    + call.c.cache_read_tokens
    + call.c.cache_write_5m_tokens
    + call.c.cache_write_1h_tokens
    + call.c.audio_input_tokens
    + call.c.image_input_tokens
)
_COMPLETION = call.c.output_tokens + call.c.reasoning_tokens + call.c.audio_output_tokens + call.c.image_output_tokens


class Calls:
    """Reads call records. `workspace_id` narrows to a workspace; None, all of them, is for operators."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        workspace_id: str | None,
        *,
        after: str | None = None,
        limit: int = 100,
        since_ms: int | None = None,
        until_ms: int | None = None,
        model: str | None = None,
        key_id: str | None = None,
    ) -> Page[CallRecord]:
        """A page of calls, newest first, started in [since, until); MiraError BAD_REQUEST for a wrong cursor.

        Over all workspaces the order is that of the request ids, which grow with time, since that is the table's own.
        """
        query = _filtered(select(call), workspace_id, since_ms, until_ms).limit(size(limit) + 1)
        if model is not None:
            query = query.where(call.c.model == model)
        if key_id is not None:
            query = query.where(call.c.key_id == key_id)
        position = _position(after) if after is not None else None
        if workspace_id is None:
            query = query.order_by(call.c.request_id.desc())
            if position is not None:
                query = query.where(call.c.request_id < position[1])
        else:
            query = query.order_by(call.c.started_at_ms.desc(), call.c.request_id.desc())
            if position is not None:
                started, request_id = position
                query = query.where(
                    call.c.started_at_ms <= started,
                    or_(call.c.started_at_ms < started, call.c.request_id < request_id),
                )
        rows = await self._database.read(lambda connection: [_record(row) for row in connection.execute(query)])
        shown = rows[: size(limit)]
        last = shown[-1] if len(rows) > len(shown) else None
        return Page(shown, f"{last.started_at_ms}.{last.request_id}" if last is not None else None)

    async def get(self, request_id: str, workspace_id: str | None = None) -> CallRecord | None:
        """One call by its request id, with its attempts; None where the workspace has none of it."""
        query = _filtered(select(call).where(call.c.request_id == request_id), workspace_id, None, None)
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

    async def summary(
        self, workspace_id: str | None, *, since_ms: int | None = None, until_ms: int | None = None
    ) -> list[Summary]:
        """Sums by model over the calls started in [since, until), the dearest first."""
        billed = func.sum(call.c.billed_nanocredits)
        query = _filtered(
            select(call.c.model, func.count(), func.sum(_PROMPT), func.sum(_COMPLETION), billed),
            workspace_id,
            since_ms,
            until_ms,
        )
        query = query.group_by(call.c.model).order_by(billed.desc(), call.c.model)

        def rows(connection: Any) -> list[Summary]:
            return [
                Summary(
                    model=model,
                    calls=count,
                    prompt_tokens=int(prompt),
                    completion_tokens=int(completion),
                    billed_nanocredits=int(spent),
                )
                for model, count, prompt, completion, spent in connection.execute(query)
            ]

        return await self._database.read(rows)


def _filtered(query: Select[Any], workspace_id: str | None, since_ms: int | None, until_ms: int | None) -> Select[Any]:
    if workspace_id is not None:
        query = query.where(call.c.workspace_id == workspace_id)
    if since_ms is not None:
        query = query.where(call.c.started_at_ms >= since_ms)
    if until_ms is not None:
        query = query.where(call.c.started_at_ms < until_ms)
    return query


def _position(cursor: str) -> tuple[int, str]:
    started, dot, request_id = cursor.partition(".")
    if not (dot and started.isascii() and started.isdigit() and len(started) < 17):
        raise wrong_cursor()
    return int(started), request_id


def _record(row: Row[Any]) -> CallRecord:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    usage = Usage(**{name: values.pop(name) for name in USAGE_FIELDS})
    return CallRecord(**values, usage=usage)
