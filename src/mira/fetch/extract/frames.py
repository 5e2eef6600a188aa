"""What the gateway and its extraction workers say to each other: MessagePack behind a four-byte length."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from mira.fetch.extract.shapes import Extracted, Options, Source

LENGTH_BYTES = 4

#: `unsupported`: no text can be made of this type; `office_missing`: of this type only with the extra `office`;
#: `bad_option`: a selector or page range cannot be read; `too_large`: more than is converted; `unreadable`: the bytes
#: are not what their type says; `failed`: memory ran out, or a library gave up.
Refusal: TypeAlias = Literal["unsupported", "office_missing", "bad_option", "too_large", "unreadable", "failed"]


class Job(Struct, frozen=True, kw_only=True):
    """Asks for one extraction within `cpu_s` seconds of processor time."""

    source: Source
    options: Options
    cpu_s: int


class Done(Struct, frozen=True, tag="done"):
    """An extraction, and the memory that the worker holds afterwards."""

    extracted: Extracted
    resident_bytes: int


class Refused(Struct, frozen=True, tag="refused"):
    """Why there is no extraction; `param` names the option at fault. Never a word of the page."""

    reason: Refusal
    param: str | None = None
    resident_bytes: int = 0


Reply: TypeAlias = Done | Refused

decode_job: Callable[[bytes], Job] = msgspec.msgpack.Decoder(Job).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode


def frame(message: Job | Reply) -> bytes:
    """The message with its length in front. UnicodeEncodeError where a text holds half a surrogate pair."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body
