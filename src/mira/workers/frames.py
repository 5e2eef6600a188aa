"""What the gateway and its side process say to each other: MessagePack behind a four-byte length."""

from collections.abc import Callable

import msgspec
from msgspec import Struct

from mira.core.pricing import Price

LENGTH_BYTES = 4


class CountTokens(Struct, frozen=True, tag="count"):
    """Asks for the tokens of each text in one encoding."""

    texts: list[str]
    encoding: str


class ListPrices(Struct, frozen=True, tag="prices"):
    """Asks for the list price of each canonical model id."""

    model_ids: list[str]


class Counts(Struct, frozen=True, tag="counts"):
    """Tokens per text, in the order of the texts."""

    tokens: list[int]


class PriceList(Struct, frozen=True, tag="price_list"):
    """Price per model id, None where none is known."""

    prices: dict[str, Price | None]


class Failed(Struct, frozen=True, tag="failed"):
    """The request could not be done; `error` is the name of an exception's class and never its text."""

    error: str


Request = CountTokens | ListPrices
Reply = Counts | PriceList | Failed

decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode


def frame(message: Request | Reply) -> bytes:
    """The message with its length in front. UnicodeEncodeError where a text holds half a surrogate pair."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body
