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
    read,
    read_raw,
)
from mira.api.services import Asked, Services
from mira.api.usage import usage_page
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


def _caller(asked: Asked) -> Caller:
    if asked.caller is None:
        raise MiraError(Kind.BAD_KEY, "this route needs a key")
    return asked.caller
