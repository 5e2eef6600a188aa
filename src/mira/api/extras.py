"""What a key can ask beside models: its credits, its usage, the tokens of a text."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import replace
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
from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec, Envelope
from mira.codecs.messages import MESSAGES, open_count
from mira.core.caller import Caller
from mira.core.fleet import Route
from mira.core.money import credits_text
from mira.errors import Kind, MiraError
from mira.nodes.counting import count_at


async def credits_of(services: Services, asked: Asked) -> Response:
    """The credits of the key's workspace."""
    posted, held = await services.ledger.balance(_caller(asked).workspace_id)
    return answer(credits_body(posted, held))


async def usage(services: Services, asked: Asked) -> Response:
    """The workspace's calls, newest first, filtered by time, model and key."""
    return answer(await usage_page(services, asked, _caller(asked).workspace_id))


async def token_count(services: Services, asked: Asked) -> Response:
    """Counts the tokens of a text or of a request: by the model's own node where that can, else here."""
    body = await read(asked, TokenCount, MAX_TOKEN_COUNT_BYTES)
    if (body.text is None) == (body.messages is None):
        raise MiraError(Kind.BAD_REQUEST, "send either `text` or `messages`", param="text")
    model, route = body.model, None
    if model is not None:
        # A name that the fleet does not serve is counted all the same: the encoding follows from the name.
        with suppress(MiraError):
            route = services.fleet.catalog.find(model)
            model = route.model
    fields: dict[str, Any] = (
        {"text": body.text}
        if body.text is not None
        else {"messages": body.messages, "system": body.system, "tools": body.tools}
    )
    counted = await services.counter.count(model, fields)
    # A bare text that is counted exactly needs no second opinion, which would add what a message takes.
    if route is not None and not (body.text is not None and counted.method == "exact"):
        for client, envelope in _requests(body):
            told = await _count_upstream(services, asked, route, client, envelope)
            if told is not None:
                return answer(CountedTokens(body.model, told, told, "upstream", route.model))
    return answer(CountedTokens(body.model, counted.tokens, counted.tokens, counted.method, counted.tokenizer))


async def count_messages(services: Services, asked: Asked) -> Response:
    """Counts the input of a Messages request, as Anthropic's route of the same name does, and is free.

    The header `x-mira-token-method` says who counted, since the body has no place for it.
    """
    body = await read_raw(asked, MAX_TOKEN_COUNT_BYTES)
    envelope = open_count(body)
    route = services.fleet.catalog.find(envelope.model)
    tokens, method = await _count_upstream(services, asked, route, MESSAGES, envelope), "upstream"
    if tokens is None:
        counted = await services.counter.count_fields(route.model, envelope.fields)
        tokens, method = counted.tokens, counted.method
    response = answer({"input_tokens": tokens})
    response.headers["x-mira-token-method"] = method
    return response


def _requests(body: TokenCount) -> Iterator[tuple[Codec, Envelope]]:
    """The request that is to be counted, in the protocol in which it can be read."""
    messages = [{"role": "user", "content": body.text}] if body.text is not None else body.messages
    fields = {"model": body.model, "messages": messages, "tools": body.tools, "system": body.system}
    raw = msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
    # Chat Completions has no instructions of their own.
    readers: list[tuple[Codec, Callable[[bytes], Envelope]]] = [(MESSAGES, open_count)]
    if body.system is None:
        readers.insert(0, (CHAT, CHAT.open_request))
    for codec, opened in readers:
        try:
            envelope = opened(raw)
        except MiraError:
            continue
        yield codec, envelope
        return


async def _count_upstream(
    services: Services, asked: Asked, route: Route, client: Codec, envelope: Envelope
) -> int | None:
    """What the model's own node counts; None where no node can, or none should be asked for this key."""
    caller = _caller(asked)
    offers = tuple(offer for offer in route.offers if offer.node.kind.counter is not None)
    if not offers or not caller.may_use(route.model):
        return None
    try:
        offer = services.relay.balancer.choose(replace(route, offers=offers), (), services.monotonic_s())
    except MiraError:
        return None
    return await count_at(
        offer.node,
        client,
        envelope,
        model=route.model,
        upstream_model=offer.upstream_model,
        capabilities=route.capabilities,
        request_id=asked.request_id,
        passed=_Head(asked.request.headers),
    )


class _Head:
    """The head of a request as nodes read it."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def header(self, name: bytes) -> str | None:
        """A header by its lower-case name."""
        return self._headers.get(name.decode())


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
