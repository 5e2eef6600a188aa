"""What a key can ask beside models: its credits, its usage, the tokens of a text."""

from typing import Any

from starlette.responses import Response

from mira.api.bodies import (
    MAX_TOKEN_COUNT_BYTES,
    CountedTokens,
    Credits,
    TokenCount,
    answer,
    number,
    page_limit,
    read,
    read_raw,
)
from mira.api.services import Asked, Services
from mira.codecs.messages import open_count
from mira.core.caller import Caller
from mira.core.money import credits_text
from mira.errors import Kind, MiraError


async def credits_of(services: Services, asked: Asked) -> Response:
    """The credits of the key's workspace."""
    posted, held = await services.ledger.balance(_caller(asked).workspace_id)
    return answer(credits_body(posted, held))


async def usage(services: Services, asked: Asked) -> Response:
    """The workspace's calls, newest first, filtered by time, model and key."""
    return answer(await usage_page(services, asked, _caller(asked).workspace_id))


async def token_count(services: Services, asked: Asked) -> Response:
    """Counts the tokens of a text or of a request, without sending it anywhere."""
    body = await read(asked, TokenCount, MAX_TOKEN_COUNT_BYTES)
    if (body.text is None) == (body.messages is None):
        raise MiraError(Kind.BAD_REQUEST, "send either `text` or `messages`", param="text")
    model = body.model
    if model is not None:
        # A name that the fleet does not serve is counted all the same: the encoding follows from the name.
        try:
            model = services.fleet.catalog.find(model).model
        except MiraError:
            model = body.model
    fields: dict[str, Any] = (
        {"text": body.text}
        if body.text is not None
        else {"messages": body.messages, "system": body.system, "tools": body.tools}
    )
    counted = await services.counter.count(model, fields)
    return answer(CountedTokens(body.model, counted.tokens, counted.tokens, counted.method, counted.tokenizer))


async def count_messages(services: Services, asked: Asked) -> Response:
    """Counts the input of a Messages request, as Anthropic's route of the same name does; an estimate, and free."""
    body = await read_raw(asked, MAX_TOKEN_COUNT_BYTES)
    envelope = open_count(body)
    model = services.fleet.catalog.find(envelope.model).model
    tokens = await services.counter.count_request(model, envelope.fields)
    return answer({"input_tokens": tokens})


def credits_body(posted: int, held: int) -> Credits:
    """Balances in nano-credits as decimal credits."""
    return Credits(credits_text(posted), credits_text(held), credits_text(posted - held))


async def usage_page(services: Services, asked: Asked, workspace_id: str | None) -> dict[str, Any]:
    """One page of call records; `next` is the cursor of the following page or None."""
    query = asked.request.query_params
    page = await services.calls.page(
        workspace_id,
        after=query.get("cursor"),
        limit=page_limit(asked),
        since_ms=number(asked, "since_ms", 0, 0, 2**53),
        until_ms=number(asked, "until_ms", 2**53, 0, 2**53),
        model=query.get("model"),
        key_id=query.get("key"),
    )
    return {"object": "list", "data": [call_body(row) for row in page.rows], "next": page.next}


def call_body(row: Any) -> dict[str, Any]:
    """A call record as the API tells it: counts, money as decimal credits, no content."""
    spent = row.usage
    return {
        "id": row.request_id,
        "client_request_id": row.client_request_id,
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
            "estimated": spent.estimated,
        },
        "cost": credits_text(row.billed_nanocredits),
        "held": credits_text(row.held_nanocredits),
        "computed_cost": credits_text(row.computed_nanocredits),
        "reported_cost": None if row.reported_nanocredits is None else credits_text(row.reported_nanocredits),
    }


def _caller(asked: Asked) -> Caller:
    if asked.caller is None:
        raise MiraError(Kind.BAD_KEY, "this route needs a key")
    return asked.caller
