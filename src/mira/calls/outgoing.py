"""What goes out: the request as its node reads it, and the head of the answer as its client reads it."""

import asyncio
import re
from collections.abc import Iterable
from math import ceil

from mira.calls.call import Call
from mira.codecs.carried import without_reasoning
from mira.codecs.codec import Codec, Context, NodeCodec, Target
from mira.collaborators import ClientLeft, Headers, Loader, Node
from mira.core.caller import Face
from mira.core.capabilities import needs_responses
from mira.core.conversation import Conversation
from mira.core.fleet import Offer
from mira.core.money import credits_text
from mira.errors import MiraError

#: What is told of fields that were left out, whatever a client names its own: a header of moderate length.
MOST_DROPPED_CHARS = 1000
MORE = "..."
_UNPRINTABLE = re.compile(r"[^!-+\--~]")


def codec_for(call: Call, node: Node) -> NodeCodec:
    """The protocol in which the node is asked: the client's own where it can be."""
    return node.codec_for(call.surface.codec, responses=_needs_responses(call))


async def render(loader: Loader, call: Call, offer: Offer, codec: NodeCodec) -> tuple[bytes, Conversation | None]:
    """The body for the node, and the conversation where it had to be translated; else the answer passes through."""
    node: Node = offer.node
    envelope = call.envelope
    target = Target(
        model=offer.upstream_model,
        output_cap=call.output_cap,
        cap_field=node.cap_field,
        dialect=node.dialect,
        capabilities=call.capabilities,
    )
    client = call.surface.codec
    if codec is client and node.adapter is None:
        if call.forgets and client.forget is not None:
            envelope, call.dropped = client.forget(envelope), named(client, ("reasoning",))
        return client.pass_request(envelope, target), None
    conversation = client.parse_request(envelope)
    seen = await _with_data(loader, call, conversation, codec.needs_data(target))
    if node.adapter is not None:
        seen = node.adapter.prepare(seen)
    body, dropped = codec.render_request(without_reasoning(seen) if call.forgets else seen, target)
    if call.forgets:
        dropped = (*dropped, "reasoning")
    call.dropped = named(client, dropped) if dropped else ()
    return body, conversation


def named(client: Codec, dropped: Iterable[str]) -> tuple[str, ...]:
    """The fields that were left out in the client's own words, fit for a header; `...` where there are too many."""
    told = sorted({_UNPRINTABLE.sub("?", client.words.get(name, name)[:100]) for name in dropped})
    left = MOST_DROPPED_CHARS
    for place, name in enumerate(told):
        left -= len(name) + 1
        if left < 0:
            return (*told[:place], MORE)
    return tuple(told)


def context_of(call: Call, conversation: Conversation | None) -> Context:
    """What the client's codec needs to write an answer: ids, time, and the request where it was translated."""
    return Context(
        answer_id=f"{call.surface.answer_prefix}{call.record.request_id}",
        created_s=call.record.started_at_ms // 1000,
        request_id=call.record.request_id,
        strip_provider=call.surface.face is Face.INFERENCE,
        include_usage=call.envelope.include_usage,
        request=conversation,
    )


def answer_headers(call: Call, content_type: bytes, *, early: bool = False) -> Headers:
    """The head of an answer; an `early` one, sent before a node has said anything, names none."""
    record = call.record
    headers = [
        (b"content-type", content_type),
        *((name, record.request_id.encode()) for name in call.surface.request_id_headers),
        (b"x-mira-model", record.model.encode()),
    ]
    if record.node and not early:
        headers.append((b"x-mira-node", record.node.encode()))
    if call.dropped:
        headers.append((b"x-mira-dropped", ",".join(call.dropped).encode()))
    if call.clamped:
        headers.append((b"x-mira-max-tokens", str(call.output_cap).encode()))
    return headers


def whole_headers(call: Call, billed_nanocredits: int) -> Headers:
    """The head of an answer that is sent whole, with its cost."""
    return [*answer_headers(call, b"application/json"), (b"x-mira-cost", credits_text(billed_nanocredits).encode())]


def error_headers(
    error: MiraError, request_id: str, request_id_headers: tuple[bytes, ...] = (b"x-request-id",)
) -> Headers:
    """The headers that go with an error body."""
    headers = [(b"content-type", b"application/json"), *((name, request_id.encode()) for name in request_id_headers)]
    if error.kind.value.retry is not None:
        headers.append((b"x-should-retry", b"true" if error.kind.value.retry else b"false"))
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, ceil(error.retry_after_s))).encode()))
    return headers


async def _with_data(loader: Loader, call: Call, conversation: Conversation, kinds: frozenset[str]) -> Conversation:
    """The conversation with the data of media that it links to, where the node takes only those."""
    if not kinds:
        return conversation
    exchange = call.exchange
    exchange.on_gone = exchange.cancel
    try:
        if exchange.gone:
            raise ClientLeft
        return await loader.inlined(conversation, kinds, call.envelope.fields, call.loaded)
    except asyncio.CancelledError:
        # No node was asked yet: there is nothing to pay.
        if exchange.gone:
            raise ClientLeft from None
        raise
    finally:
        exchange.on_gone = None


def _needs_responses(call: Call) -> bool:
    """Whether the model takes the request under Responses alone; it is only read whole where that may be so."""
    can, envelope, client = call.capabilities, call.envelope, call.surface.codec
    if client.passes_only or not (can.responses_only or (envelope.uses_tools and not can.chat_tools_with_thinking)):
        return False
    return needs_responses(can, client.parse_request(envelope).thinking, uses_tools=envelope.uses_tools)
