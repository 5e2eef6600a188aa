"""A workspace's usage, credits and overview."""

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import msgspec
from msgspec import Struct
from starlette.responses import Response, StreamingResponse

from mira.api.bodies import answer, page_limit
from mira.api.portal import shapes_calls as shapes
from mira.api.portal.calls import shown_transfer
from mira.api.portal.keys import MANAGED
from mira.api.portal.session import workspace_of
from mira.api.portal.spans import DAY_MS, bars, before, percentile, span_of, totals
from mira.api.services import Asked, Services
from mira.api.usage import groups_of, sums_body, wanted
from mira.core.ledger import workspace_account
from mira.core.limits import period_start_ms
from mira.core.money import credits_text
from mira.store.calls import Wanted
from mira.store.usage import Group

#: How many lines of a download are read at once.
LINES_AT_ONCE = 1000
FORMULA = re.compile(r"[=+\-@\t\r]")
NUMBER = re.compile(r"-?\d+(\.\d+)?")
TOP_MODELS, TOP_KEYS = 8, 5
#: What a spending rate is taken from.
RATE_DAYS = 7
MOST_DAYS = 40
GROUPS: tuple[Group, ...] = ("model", "key", "node", "day", "hour")


async def get_usage(services: Services, asked: Asked) -> Response:
    """Sums by groups, perhaps beside those of the span before; or the same as a table to download."""
    workspace_id, query = workspace_of(asked), asked.request.query_params
    since_ms, until_ms = span_of(services, asked)
    sought = msgspec.structs.replace(wanted(asked, workspace_id), since_ms=since_ms, until_ms=until_ms)
    by = groups_of(asked, GROUPS)
    names = await services.glances.names_of_keys(workspace_id)
    if query.get("format") == "csv":
        return _usage_csv(services, sought, by, names)
    page = await services.usage.page(sought, by, after=query.get("cursor"), limit=page_limit(asked))
    previous = None
    if query.get("compare") == "previous":
        earlier = before(sought)
        rows = (await services.usage.page(earlier, by, limit=page_limit(asked))).rows
        previous = await _span(services, earlier, rows, names)
    span = await _span(services, sought, page.rows, names)
    told = shapes.Usage(
        since_ms=span.since_ms,
        until_ms=span.until_ms,
        totals=span.totals,
        data=span.data,
        next=page.next,
        previous=previous,
    )
    return answer(told)


async def get_credits(services: Services, asked: Asked) -> Response:
    """The workspace's credits, and for how long they last."""
    return answer(await credits_of(services, workspace_of(asked)))


async def list_transfers(services: Services, asked: Asked) -> Response:
    """The statement of the workspace, newest first, or the same as a table to download."""
    workspace_id, query = workspace_of(asked), asked.request.query_params
    account = workspace_account(workspace_id)
    if query.get("format") == "csv":
        return _statement_csv(services, workspace_id, account)
    page = await services.glances.statement(workspace_id, after=query.get("cursor"), limit=page_limit(asked))
    data = [shown_transfer(line.transfer, account, line.balance_nanocredits) for line in page.rows]
    return answer(shapes.Statement(data=data, next=page.next))


async def get_overview(services: Services, asked: Asked) -> Response:
    """What a member wants to see first."""
    workspace_id = workspace_of(asked)
    since_ms, until_ms = span_of(services, asked)
    sought = Wanted(workspace_id=workspace_id, since_ms=since_ms, until_ms=until_ms)
    # Side by side: each is a look of its own at the database.
    (names, timings, credit, done), ((step, series), whole, earlier), (models, top) = await asyncio.gather(
        asyncio.gather(
            services.glances.names_of_keys(workspace_id),
            services.glances.timings(workspace_id, since_ms, until_ms),
            credits_of(services, workspace_id),
            _checklist(services, workspace_id),
        ),
        asyncio.gather(bars(services, sought), totals(services, sought), totals(services, before(sought))),
        asyncio.gather(
            services.usage.page(sought, ("model",), limit=TOP_MODELS),
            services.usage.page(sought, ("key",), limit=TOP_KEYS),
        ),
    )
    waits = [each.first_content_ms for each in timings if each.first_content_ms is not None and not each.failed]
    return answer(
        shapes.Overview(
            since_ms=since_ms,
            until_ms=until_ms,
            credits=credit,
            totals=whole,
            previous=earlier,
            p50_first_content_ms=percentile(waits, 0.5),
            p95_first_content_ms=percentile(waits, 0.95),
            sampled_calls=len(waits),
            series=series,
            step=step,
            by_model=[
                shapes.ModelSpend(
                    model=row.groups["model"],
                    calls=row.calls,
                    failed=row.failed,
                    total_tokens=row.prompt_tokens + row.completion_tokens,
                    cost=credits_text(row.billed_nanocredits),
                )
                for row in models.rows
            ],
            top_keys=[
                shapes.KeySpend(
                    key_id=row.groups["key"],
                    key_name=names.get(row.groups["key"]),
                    calls=row.calls,
                    cost=credits_text(row.billed_nanocredits),
                )
                for row in top.rows
            ],
            checklist=done,
        )
    )


async def credits_of(services: Services, workspace_id: str) -> shapes.Credits:
    """The credits of a workspace, what is spent of them, and for how long they last at that rate."""
    posted, held = await services.ledger.balance(workspace_id)
    now_ms = services.now_ms()
    today_ms, month_ms = period_start_ms("day", now_ms), period_start_ms("month", now_ms)
    week_ms = today_ms - (RATE_DAYS - 1) * DAY_MS
    sought = Wanted(workspace_id=workspace_id, since_ms=min(week_ms, month_ms))
    days = (await services.usage.page(sought, ("day",), limit=MOST_DAYS)).rows

    def since(at_ms: int) -> int:
        return sum(row.billed_nanocredits for row in days if row.groups["day"] >= at_ms)

    per_day = since(week_ms) // RATE_DAYS
    return shapes.Credits(
        balance=credits_text(posted),
        held=credits_text(held),
        available=credits_text(posted - held),
        currency="credit",
        spend_per_day=credits_text(per_day),
        days_left=round((posted - held) / per_day, 1) if per_day > 0 else None,
        spent_today=credits_text(since(today_ms)),
        spent_this_month=credits_text(since(month_ms)),
    )


async def _checklist(services: Services, workspace_id: str) -> shapes.Checklist:
    posted, held = await services.ledger.balance(workspace_id)
    keys = await services.keys.list(workspace_id)
    first = await services.glances.first_call(workspace_id=workspace_id)
    return shapes.Checklist(
        has_credits=posted - held > 0,
        has_key=any(key.revoked_at_ms is None and not key.id.startswith(MANAGED) for key in keys),
        has_model=any(
            offer.price is not None and offer.node.obstacle is None
            for route in services.fleet.catalog.routes.values()
            for offer in route.offers
        ),
        first_request_at_ms=first[1] if first is not None else None,
    )


async def _span(services: Services, sought: Wanted, rows: Iterable[Any], names: dict[str, str]) -> shapes.UsageSpan:
    return shapes.UsageSpan(
        since_ms=sought.since_ms or 0,
        until_ms=sought.until_ms or 0,
        totals=await totals(services, sought),
        data=[_row(row, names) for row in rows],
    )


def _row(row: Any, names: dict[str, str]) -> shapes.UsageRow:
    groups = {
        {"day": "day_ms", "hour": "hour_ms", "key": "key_id"}.get(name, name): value
        for name, value in row.groups.items()
    }
    return shapes.UsageRow(**groups, key_name=names.get(groups.get("key_id", "")), **sums_body(row))


def _usage_csv(services: Services, sought: Wanted, by: tuple[Group, ...], names: dict[str, str]) -> Response:
    async def read(cursor: str | None) -> tuple[list[Struct], str | None]:
        page = await services.usage.page(sought, by, after=cursor, limit=LINES_AT_ONCE)
        return [_row(row, names) for row in page.rows], page.next

    groups = {"key": ["key_id", "key_name"], "day": ["day_ms"], "hour": ["hour_ms"]}
    columns = [name for group in by for name in groups.get(group, [group])]
    return table("usage.csv", [*shapes.UsageSums.__struct_fields__, *columns], read)


def _statement_csv(services: Services, workspace_id: str, account: str) -> Response:
    async def read(cursor: str | None) -> tuple[list[Struct], str | None]:
        page = await services.glances.statement(workspace_id, after=cursor, limit=LINES_AT_ONCE)
        return [shown_transfer(line.transfer, account, line.balance_nanocredits) for line in page.rows], page.next

    return table("statement.csv", ["created_at_ms", "kind", "reference", "amount", "balance"], read)


def table(
    filename: str, columns: list[str], read: Callable[[str | None], Awaitable[tuple[list[Struct], str | None]]]
) -> Response:
    """Rows as a file of comma-separated values, all of them, however many: `read` gives one page after the other.

    What a spreadsheet would take for a formula is made text.
    """
    headers = {"content-disposition": f'attachment; filename="{filename}"', "x-content-type-options": "nosniff"}
    return StreamingResponse(_lines(columns, read), headers=headers, media_type="text/csv; charset=utf-8")


async def _lines(
    columns: list[str], read: Callable[[str | None], Awaitable[tuple[list[Struct], str | None]]]
) -> AsyncIterator[str]:
    cursor: str | None = None
    head = [columns]
    while True:
        rows, cursor = await read(cursor)
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerows(head)
        writer.writerows([_plain(getattr(row, name)) for name in columns] for row in rows)
        yield text.getvalue()
        if cursor is None:
            return
        head = []


def _plain(value: Any) -> Any:
    if isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value):
        return f"'{value}"
    return "" if value is None else value
