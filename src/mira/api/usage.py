"""Usage and calls as the API tells them: records one by one, sums by group, and the transfers behind one call."""

import re
from typing import Any, cast

from starlette.responses import Response

from mira.api.bodies import answer, number, page_limit
from mira.api.services import Asked, Services
from mira.core.call import ANSWERED, CLIENT_LEFT_STATUS, Tried
from mira.core.money import credits_text
from mira.errors import Kind, MiraError
from mira.store.calls import Wanted
from mira.store.transfers import Transfer
from mira.store.usage import GROUPS, Group


async def usage(services: Services, asked: Asked) -> Response:
    """Usage of every workspace or of one (`workspace`): sums with `group_by`, else call records, newest first."""
    return answer(await usage_page(services, asked, asked.request.query_params.get("workspace")))


async def get_call(services: Services, asked: Asked) -> Response:
    """One call by its request id, with its attempts at nodes and the transfers that make up its price."""
    call_id = asked.request.path_params["id"]
    row = await services.calls.get(call_id)
    if row is None:
        raise MiraError(Kind.NOT_FOUND, "there is no such call")
    transfers = await services.transfers.of_call(call_id)
    return answer(
        {
            **call_body(row),
            "tried": attempts_body(row),
            "transfers": [transfer_body(line) for line in transfers],
        }
    )


async def usage_page(services: Services, asked: Asked, workspace_id: str | None) -> dict[str, Any]:
    """One page of sums where `group_by` names groups, else of call records."""
    by = asked.request.query_params.get("group_by")
    if by is None:
        return await calls_page(services, asked, workspace_id)
    names = groups_of(asked, GROUPS)
    query = asked.request.query_params
    page = await services.usage.page(
        wanted(asked, workspace_id),
        names,
        after=query.get("cursor"),
        limit=page_limit(asked),
    )
    return {"object": "list", "data": [_sum_body(row) for row in page.rows], "next": page.next}


def groups_of(asked: Asked, known: tuple[Group, ...]) -> tuple[Group, ...]:
    """The groups that the query names in `group_by`, of those that are known here; MiraError BAD_REQUEST."""
    by = asked.request.query_params.get("group_by", "")
    names = tuple(dict.fromkeys(name for name in by.split(",") if name))
    for name in names:
        if name not in known:
            message = f"group_by: {name[:40]!r} is not one of {', '.join(known)}; several are written with commas"
            raise MiraError(Kind.BAD_REQUEST, message, param="group_by")
    return cast("tuple[Group, ...]", names)


async def calls_page(services: Services, asked: Asked, workspace_id: str | None) -> dict[str, Any]:
    """One page of call records; `next` is the cursor of the following page or None."""
    page = await services.calls.page(
        wanted(asked, workspace_id), after=asked.request.query_params.get("cursor"), limit=page_limit(asked)
    )
    return {"object": "list", "data": [call_body(row) for row in page.rows], "next": page.next}


def call_body(row: Any) -> dict[str, Any]:
    """A call record as the API tells it: counts, money as decimal credits, no content."""
    spent = row.usage
    return {
        "id": row.request_id,
        "client_request_id": row.client_request_id,
        "upstream_request_id": row.upstream_request_id,
        "workspace_id": row.workspace_id,
        "key_id": row.key_id,
        "face": row.face,
        "protocol": row.protocol,
        "model": row.model,
        "node": row.node,
        "stream": row.stream,
        "started_at_ms": row.started_at_ms,
        "first_content_ms": row.first_content_ms,
        "duration_ms": row.duration_ms,
        "attempts": row.attempts,
        "status": row.status,
        "error": row.error,
        "usage": {
            "prompt_tokens": spent.prompt_tokens,
            "completion_tokens": spent.completion_tokens,
            "total_tokens": spent.prompt_tokens + spent.completion_tokens,
            "cache_read_tokens": spent.cache_read_tokens,
            "cache_write_tokens": spent.cache_write_5m_tokens + spent.cache_write_1h_tokens,
            "reasoning_tokens": spent.reasoning_tokens,
            "images": spent.images,
            "seconds": spent.media_ms / 1000,
            "characters": spent.characters,
            "pages": spent.pages,
            "estimated": spent.estimated,
        },
        "cost": credits_text(row.billed_nanocredits),
        "held": credits_text(row.held_nanocredits),
        "computed_cost": credits_text(row.computed_nanocredits),
        "reported_cost": None if row.reported_nanocredits is None else credits_text(row.reported_nanocredits),
    }


def attempts_body(row: Any) -> list[dict[str, Any]]:
    """The attempts of a call in their order; a single one follows from its row."""
    tried = row.tried
    if not tried and row.attempts == 1 and row.node is not None:
        outcome = row.error or ("client_left" if row.status == CLIENT_LEFT_STATUS else ANSWERED)
        tried = (Tried(row.node, outcome, row.started_at_ms, row.duration_ms, row.charged_nanocredits),)
    return [
        {
            "number": number,
            "node": one.node,
            "outcome": one.outcome,
            "started_at_ms": one.started_at_ms,
            "duration_ms": one.duration_ms,
            "cost": credits_text(one.cost_nanocredits),
        }
        for number, one in enumerate(tried, 1)
    ]


def transfer_body(line: Transfer) -> dict[str, Any]:
    """A transfer as the API tells it."""
    return {
        "id": str(line.id),
        "reference": line.idem,
        "debit": line.debit,
        "credit": line.credit,
        "amount": credits_text(line.amount_nanocredits),
        "created_at_ms": line.created_at_ms,
    }


def sums_body(row: Any) -> dict[str, Any]:
    """The sums of a row of `mira.store.usage`, as its customer is told them."""
    return {
        "calls": row.calls,
        "failed": row.failed,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "total_tokens": row.prompt_tokens + row.completion_tokens,
        "cache_read_tokens": row.cache_read_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "cost": credits_text(row.billed_nanocredits),
    }


def _sum_body(row: Any) -> dict[str, Any]:
    groups = {
        {"day": "day_ms", "hour": "hour_ms", "key": "key_id", "workspace": "workspace_id"}.get(name, name): value
        for name, value in row.groups.items()
    }
    return {
        **groups,
        **sums_body(row),
        "computed_cost": credits_text(row.computed_nanocredits),
        "reported_cost": credits_text(row.reported_nanocredits),
        "overrun": credits_text(row.overrun_nanocredits),
        "attempt_cost": credits_text(row.attempt_cost_nanocredits),
        "drifted_calls": row.drifted,
        "drift": credits_text(row.drift_nanocredits),
    }


def wanted(asked: Asked, workspace_id: str | None) -> Wanted:
    """The calls that the query asks for, of a workspace; MiraError BAD_REQUEST."""
    query = asked.request.query_params
    status = query.get("status")
    if status is not None and not (status in ("ok", "failed") or re.fullmatch(r"[1-5]\d\d", status)):
        raise MiraError(Kind.BAD_REQUEST, "status: write a status such as 429, or ok, or failed", param="status")
    return Wanted(
        workspace_id=workspace_id,
        key_id=query.get("key"),
        model=query.get("model"),
        node=query.get("node"),
        client_request_id=query.get("client_request_id"),
        status=int(status) if status is not None and status.isdigit() else None,
        failed=None if status is None or status.isdigit() else status == "failed",
        since_ms=number(asked, "since_ms", 0, 0, 2**53) if "since_ms" in query else None,
        until_ms=number(asked, "until_ms", 2**53, 0, 2**53) if "until_ms" in query else None,
    )
