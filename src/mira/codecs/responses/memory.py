"""What is remembered of answers, and how a request that refers to them is made whole. Pure: the store is elsewhere.

The protocol lets a client say "the answer before this one" (`previous_response_id`) or "that item" (`item_reference`)
instead of sending everything again. Nodes never see such references: an id of one tenant must not reach another's
account, and another node could not resolve it. So whoever holds the store

1. asks `references` what a request refers to, looks it up among the workspace's own, and calls `resolved`;
2. after the answer calls `remembered` with what was sent to the client, and keeps that unless it is None.

Codecs refuse what was not resolved (`refuse_unresolved`), with the protocol's own errors.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from mira.codecs.codec import Envelope, Recall, References, Remembered
from mira.codecs.responses import wire
from mira.codecs.responses.opening import open_request
from mira.codecs.sse import Frames, read
from mira.errors import Kind, MiraError

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_ENCRYPTED = "reasoning.encrypted_content"
#: Items whose ids only their node knows; without the id they say the same.
_PLAIN = ("message", "function_call", "custom_tool_call")


def references(envelope: Envelope) -> References:
    """What the request refers to; both empty for a request that says everything itself."""
    opened: wire.Opened = envelope.wire
    ids = [item.id for item in opened.items if isinstance(item, wire.ItemReference)]
    return References(opened.request.previous_response_id, tuple(dict.fromkeys(ids)))


def keeps(envelope: Envelope) -> bool:
    """Whether the client lets its answer be remembered (`store`, by default yes)."""
    opened: wire.Opened = envelope.wire
    return opened.request.store is not False


def resolved(envelope: Envelope, context: tuple[Raw, ...] | None, items: Mapping[str, Raw], reasons: bool) -> Envelope:
    """The request as one that says everything itself and is kept by no node.

    `context` is that of the referred answer (None where it is unknown), `items` the referred ones that are known.
    `reasons`: the model gives its reasoning in encrypted form, without which it could not be given back. Reasoning that
    only points to what a node would have kept is left out. MiraError where a reference leads nowhere.
    """
    asked = references(envelope)
    if asked.response_id is not None and context is None:
        raise no_response()
    opened: wire.Opened = envelope.wire
    fields = dict(envelope.fields)
    if asked.response_id is not None or asked.item_ids:
        recalled = [_nameless(raw) for raw in context or () if asked.response_id is not None]
        fields["input"] = Raw(msgspec.json.encode(recalled + _input(opened, fields, items)))
        fields.pop("previous_response_id", None)
        envelope = open_request(msgspec.json.encode(fields))
        fields, opened = envelope.fields, envelope.wire
    without(fields, opened, _is_bare)
    fields["store"] = Raw(b"false")
    include = opened.request.include or []
    if reasons and _ENCRYPTED not in include:
        fields["include"] = Raw(msgspec.json.encode([*include, _ENCRYPTED]))
    return open_request(msgspec.json.encode(fields))


def remembered(envelope: Envelope, sent: bytes) -> Remembered | None:
    """What to keep of an answer; None where nothing was answered.

    `envelope` is the request after `resolved`; whether the client lets it be kept is told by the one before (`keeps`).
    `sent` is the whole body, or the last bytes of a stream, which end in its terminal event.
    """
    response = _response(sent)
    if response is None:
        return None
    try:
        response_id = msgspec.json.decode(response["id"], type=str)
        output = _LIST.decode(response["output"])
    except (KeyError, msgspec.DecodeError):
        return None
    ids = {item_id: raw for raw in output if (item_id := _id_of(raw)) is not None}
    own = _input(envelope.wire, envelope.fields, {})
    return Remembered(response_id, (*own, *output), ids)


def refuse_unresolved(envelope: Envelope) -> None:
    """Raises the protocol's error for a reference that nobody resolved."""
    opened: wire.Opened = envelope.wire
    if opened.request.previous_response_id is not None:
        raise no_response()
    for index, item in enumerate(opened.items):
        if isinstance(item, wire.ItemReference):
            raise no_item(index)


def no_response() -> MiraError:
    """The protocol's error for an answer that is not remembered."""
    return MiraError(
        Kind.BAD_REQUEST,
        "The previous response was not found: it was not stored, or is no longer kept. Send the whole input instead.",
        param="previous_response_id",
        code="previous_response_not_found",
    )


def no_item(index: int) -> MiraError:
    """The protocol's error for an item that is not remembered."""
    return MiraError(
        Kind.NOT_FOUND,
        "The referred item was not found: it was not stored, or is no longer kept. Send the item itself, as clients do"
        " with 'store' set to false.",
        param=f"input[{index}].id",
        code="item_not_found",
    )


def without_reasoning(envelope: Envelope) -> Envelope:
    """The request without the model's earlier reasoning: for one more try where a node cannot read it."""
    fields = dict(envelope.fields)
    without(fields, envelope.wire, lambda item: isinstance(item, wire.ReasoningItem))
    return open_request(msgspec.json.encode(fields))


def without(fields: dict[str, Raw], opened: wire.Opened, leaves: Callable[[object], bool]) -> None:
    """Takes the items that should leave out of `input`, which stays byte for byte as it was where there are none."""
    if isinstance(opened.request.input, list) and any(leaves(item) for item in opened.items):
        raws = _LIST.decode(fields["input"])
        kept = [raw for raw, item in zip(raws, opened.items, strict=True) if not leaves(item)]
        fields["input"] = Raw(msgspec.json.encode(kept))


def _is_bare(item: object) -> bool:
    return isinstance(item, wire.ReasoningItem) and not item.encrypted_content


def _input(opened: wire.Opened, fields: dict[str, Raw], items: Mapping[str, Raw]) -> list[Raw]:
    """The request's own items, references replaced by what they refer to."""
    told = opened.request.input
    if told is None:
        return []
    if isinstance(told, str):
        return [Raw(msgspec.json.encode({"type": "message", "role": "user", "content": told}))]
    own: list[Raw] = []
    for index, (raw, item) in enumerate(zip(_LIST.decode(fields["input"]), opened.items, strict=True)):
        if isinstance(item, wire.ItemReference):
            found = items.get(item.id)
            if found is None:
                raise no_item(index)
            own.append(_nameless(found))
        else:
            own.append(raw)
    return own


def _nameless(raw: Raw) -> Raw:
    """A remembered item without the id by which only its node knows it."""
    fields = _FIELDS.decode(raw)
    if "id" not in fields or fields.get("type") not in [Raw(b'"%b"' % kind.encode()) for kind in _PLAIN]:
        return raw
    del fields["id"]
    return Raw(msgspec.json.encode(fields))


def _id_of(raw: Raw) -> str | None:
    try:
        told: Any = msgspec.json.decode(_FIELDS.decode(raw)["id"])
    except (KeyError, msgspec.DecodeError):
        return None
    return told if isinstance(told, str) else None


def _response(sent: bytes) -> dict[str, Raw] | None:
    try:
        if sent.startswith(b"{"):
            return _FIELDS.decode(sent)
        frames = Frames()
        for frame in reversed(frames.feed(sent)):
            message = read(frame)
            fields = _FIELDS.decode(message.data) if message is not None else {}
            if message is not None and message.event in ("response.completed", "response.incomplete"):
                return _FIELDS.decode(fields["response"])
    except (KeyError, msgspec.DecodeError, MiraError):
        return None
    return None


RECALL = Recall(references=references, keeps=keeps, resolved=resolved, remembered=remembered)
