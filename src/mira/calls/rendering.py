"""The request as its node reads it: in the client's own protocol where the node speaks that, else translated."""

import asyncio
import re
from collections.abc import Iterable

from mira.calls.call import Call
from mira.codecs.carried import without_reasoning
from mira.codecs.codec import Codec, Envelope, NodeCodec, Target
from mira.collaborators import ClientLeft, Loader, Node
from mira.core.capabilities import needs_responses
from mira.core.conversation import Conversation
from mira.core.fleet import Offer

#: What is told of fields that were left out, whatever a client names its own: a header of moderate length.
MOST_DROPPED_CHARS = 1000
MORE = "..."
_UNPRINTABLE = re.compile(r"[^!-+\--~]")


def codec_for(call: Call, node: Node) -> NodeCodec:
    """The protocol in which the node is asked: the client's own where it can be."""
    can = call.capabilities
    doubtful = can.responses_only or (call.envelope.uses_tools and not can.chat_tools_with_thinking)
    return node.codec_for(call.surface.codec, responses=doubtful and _needs_responses(call))


def target_of(call: Call, offer: Offer) -> Target:
    """The node side of the request."""
    node: Node = offer.node
    return Target(
        model=offer.upstream_model,
        output_cap=call.output_cap,
        cap_field=node.cap_field,
        dialect=node.dialect,
        capabilities=call.capabilities,
    )


def forgotten(call: Call) -> Envelope:
    """The request without the model's earlier reasoning, as far as the client's protocol can leave that out."""
    client = call.surface.codec
    if client.forget is None:
        return call.envelope
    call.dropped = named(client, ("reasoning",))
    return client.forget(call.envelope)


async def translated(
    loader: Loader, call: Call, node: Node, codec: NodeCodec, target: Target
) -> tuple[bytes, Conversation]:
    """The body for a node that speaks another protocol or needs an adapter, and the conversation it is made of."""
    client = call.surface.codec
    conversation = client.parse_request(call.envelope)
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
    if client.passes_only:
        return False
    return needs_responses(can, client.parse_request(envelope).thinking, uses_tools=envelope.uses_tools)
