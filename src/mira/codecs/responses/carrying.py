"""Thinking of other providers inside Responses: it rides in `encrypted_content` under a prefix of Mira's own.

Clients of this protocol give reasoning items back untouched, and read only the summary. So a block that no field of
the protocol fits (Anthropic's signed or redacted thinking, DeepSeek's plain text, Gemini's signature on a call) is
packed whole into the ciphertext's place, and comes back byte for byte. No other node is ever given it.
"""

import binascii
from typing import Literal

import msgspec
from msgspec import Struct

from mira.core.conversation import Reasoning

#: Whose ciphertext the protocol itself carries.
FORMAT = "openai-responses-v1"
PREFIX = "mira1:"


class _Packed(Struct, omit_defaults=True):
    """A block of thinking, or the signature of the call `call`."""

    kind: Literal["text", "summary", "encrypted"] = "text"
    text: str = ""
    signature: str | None = None
    data: str | None = None
    format: str | None = None
    id: str | None = None
    call: str | None = None


class CallSignature(Struct, frozen=True):
    """A provider's signature on a tool call."""

    call_id: str
    signature: str


_PACKED = msgspec.json.Decoder(_Packed)


def is_native(block: Reasoning) -> bool:
    """Whether the protocol itself can say this block."""
    return block.format == FORMAT


def carry(block: Reasoning) -> str:
    """The block as an `encrypted_content`."""
    return _pack(
        _Packed(
            kind=block.kind,
            text=block.text,
            signature=block.signature,
            data=block.data,
            format=block.format,
            id=block.id,
        )
    )


def carry_signature(call_id: str, signature: str) -> str:
    """A call's signature as an `encrypted_content`."""
    return _pack(_Packed(signature=signature, call=call_id))


def carried(content: str | None) -> Reasoning | CallSignature | None:
    """What an `encrypted_content` carries; None where it is none of Mira's or was damaged."""
    if content is None or not content.startswith(PREFIX):
        return None
    try:
        told = _PACKED.decode(binascii.a2b_base64(content[len(PREFIX) :].encode("ascii"), strict_mode=True))
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None
    if told.call is not None:
        return CallSignature(told.call, told.signature or "")
    return Reasoning(
        kind=told.kind, text=told.text, signature=told.signature, data=told.data, format=told.format, id=told.id
    )


def _pack(told: _Packed) -> str:
    return PREFIX + binascii.b2a_base64(msgspec.json.encode(told), newline=False).decode()
