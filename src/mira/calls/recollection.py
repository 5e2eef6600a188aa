"""What clients may refer to: earlier answers put into a request, and this answer kept for later ones."""

import logging
from collections.abc import Mapping

from msgspec import Raw

from mira.calls.attaching import attach
from mira.calls.call import Call
from mira.codecs.codec import Envelope, Recall
from mira.collaborators import Files, Memory
from mira.core.attachments import MARK
from mira.errors import MiraError

log = logging.getLogger("mira.relay")


async def complete(memory: Memory, files: Files, call: Call, body: bytes) -> None:
    """Puts in what the request only refers to: earlier answers, and files; MiraError where that is not there."""
    envelope = call.envelope
    if call.surface.recall is not None:
        call.envelope = await _recalled(memory, call, call.surface.recall, envelope)
    if body.find(MARK) >= 0 or call.envelope is not envelope:
        await attach(files, call)


async def _recalled(memory: Memory, call: Call, rules: Recall, envelope: Envelope) -> Envelope:
    """The request with what it refers to put in; MiraError where that is not remembered."""
    call.keeps = rules.keeps(envelope)
    asked = rules.references(envelope)
    context: tuple[Raw, ...] | None = None
    items: Mapping[str, Raw] = {}
    if asked.response_id is not None or asked.item_ids:
        context, items = await memory.find(call.caller.workspace_id, asked.response_id, asked.item_ids)
    can = call.capabilities
    return rules.resolved(envelope, context, items, can.thinking_always_on or can.thinks_unasked)


async def remember(memory: Memory, call: Call, sent: bytes) -> None:
    """Keeps an answer that its client may refer to; `sent` is the body, or the end of the stream."""
    rules = call.surface.recall
    if rules is not None:
        kept = rules.remembered(call.asked or call.envelope, sent)
        if kept is not None:
            try:
                await memory.keep(call.caller.workspace_id, kept.response_id, kept.context, kept.items)
            except MiraError:
                log.warning("the answer of %s is not remembered: the store does not answer", call.record.request_id)
