"""Asks a node what a request's input counts, where its kind has a counter of its own."""

import asyncio
import logging

from mira.codecs.codec import Codec, Envelope, NodeCodec, Target
from mira.core.capabilities import Capabilities
from mira.core.links import links_of
from mira.core.models import default_output_cap
from mira.errors import MiraError
from mira.nodes.node import Node, RequestHead

#: A count is worth waiting for this long; then the local one has to do.
COUNT_S = 2.0
#: Counts that one node is asked at a time, and how much it is sent for one: they cost the client nothing.
AT_ONCE = 8
MOST_BYTES = 8 * 2**20
_ANSWER_BYTES = 64 * 1024

log = logging.getLogger("mira.nodes")


async def count_at(
    node: Node,
    client: Codec,
    envelope: Envelope,
    *,
    model: str,
    upstream_model: str,
    capabilities: Capabilities,
    request_id: str,
    passed: RequestHead,
) -> int | None:
    """The tokens of a request's input in the node's own words; None where it cannot say, or not in time.

    `model` is the canonical id, `upstream_model` the node's spelling, `passed` the client's head. Never raises for what
    the request or the node is like.
    """
    counter = node.kind.counter
    if counter is None or node.counts_running >= AT_ONCE or envelope.input_bytes > MOST_BYTES:
        return None
    target = Target(
        model=upstream_model,
        output_cap=envelope.output_cap or default_output_cap(model),
        cap_field=node.cap_field,
        dialect=node.dialect,
        capabilities=capabilities,
    )
    node.counts_running += 1
    try:
        rendered = _rendered(counter.codec, client, envelope, target)
        if rendered is None:
            return None
        body = counter.counting.body(rendered, upstream_model)
        async with asyncio.timeout(COUNT_S):
            own = passed if counter.codec is client else None
            response = await node.post(counter.path, body, request_id, model=upstream_model, passed=own)
            try:
                answer = await response.read(_ANSWER_BYTES)
            finally:
                response.close()
    except MiraError:
        return None  # what it cannot express, it cannot count
    except Exception as broken:  # noqa: BLE001 - whatever the transport says, the local count stands in
        log.info("node %s does not count: %s", node.name, type(broken).__name__)
        return None
    finally:
        node.counts_running -= 1
    if response.status != 200:
        log.info("node %s does not count: status %d", node.name, response.status)
        return None
    return counter.counting.read(answer)


def _rendered(codec: NodeCodec, client: Codec, envelope: Envelope, target: Target) -> bytes | None:
    """The request as the node would get it; None where media would have to be loaded first."""
    if codec is client:
        return client.pass_request(envelope, target)
    conversation = client.parse_request(envelope)
    if links_of(conversation, codec.needs_data(target)):
        return None
    return codec.render_request(conversation, target)[0]
