"""Provider-opaque data on a ride through a protocol that has a field for something like it, but not for this.

Thinking that another provider signed or encrypted must come back to it byte for byte in the next request. Where the
client's protocol has only room for its own vendor's signature or ciphertext, Mira puts one of its own there: `mira1:`
and base64 of what it is. It is no secret and proves nothing: whatever comes back goes only to a node of the format that
it names, and that node checks its own signature.
"""

import base64
import binascii
from typing import Literal

import msgspec
from msgspec.structs import replace

from mira.core.conversation import AssistantTurn, Conversation, Reasoning, Turn

PREFIX = "mira1:"


class _Load(msgspec.Struct, omit_defaults=True, kw_only=True):
    kind: Literal["text", "summary", "encrypted", "call"] = "text"
    text: str = ""
    signature: str | None = None
    data: str | None = None
    format: str | None = None
    id: str | None = None


_LOAD = msgspec.json.Decoder(_Load)


def carry(block: Reasoning) -> str:
    """A block of thinking as one opaque string, the same for the same block."""
    return _packed(
        _Load(
            kind=block.kind,
            text=block.text,
            signature=block.signature,
            data=block.data,
            format=block.format,
            id=block.id,
        )
    )


def carry_signature(call_id: str, signature: str) -> str:
    """The thought signature of a tool call (Gemini's) as one opaque string."""
    return _packed(_Load(kind="call", id=call_id, signature=signature))


def uncarry(told: str) -> Reasoning | None:
    """The block that `carry` packed; None where the string is no such thing."""
    load = _unpacked(told)
    if load is None or load.kind == "call":
        return None
    return Reasoning(
        kind=load.kind, text=load.text, signature=load.signature, data=load.data, format=load.format, id=load.id
    )


def uncarry_signature(told: str) -> tuple[str, str] | None:
    """The call's id and its signature that `carry_signature` packed; None where the string is no such thing."""
    load = _unpacked(told)
    if load is None or load.kind != "call" or load.id is None or load.signature is None:
        return None
    return load.id, load.signature


def _packed(load: _Load) -> str:
    return PREFIX + base64.b64encode(msgspec.json.encode(load)).decode()


def _unpacked(told: str) -> _Load | None:
    if not told.startswith(PREFIX):
        return None
    try:
        return _LOAD.decode(base64.b64decode(told[len(PREFIX) :], validate=True))
    except (binascii.Error, msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def without_reasoning(conversation: Conversation) -> Conversation:
    """The conversation without the model's earlier thinking: for one more try where a node cannot read it."""
    turns: list[Turn] = []
    for turn in conversation.turns:
        if isinstance(turn, AssistantTurn):
            parts = tuple(part for part in turn.parts if not isinstance(part, Reasoning))
            if not parts:
                continue
            turn = replace(turn, parts=parts)  # noqa: PLW2901 - the same turn, less its thinking
        turns.append(turn)
    return replace(conversation, turns=tuple(turns))
