"""The body of a model request: JSON as it is sent, up to a size."""

from collections.abc import Awaitable

from mira.collaborators import Exchange
from mira.errors import Kind, MiraError

MAX_BODY_BYTES = 32 * 2**20


def json_body(exchange: Exchange) -> Awaitable[bytes]:
    """The whole body; MiraError BAD_MEDIA_TYPE, before it is read, where its head calls it something else than JSON."""
    head = exchange.head
    if b"content-encoding" in head:
        _check_encoding(exchange.header(b"content-encoding") or "")
    if head.get(b"content-type") != b"application/json":
        _check_type(exchange.header(b"content-type") or "")
    return exchange.body(MAX_BODY_BYTES)


def _check_encoding(encoding: str) -> None:
    if encoding and encoding.lower() != "identity":
        raise MiraError(Kind.BAD_MEDIA_TYPE, f"content-encoding {encoding[:20]!r} is not accepted; send plain JSON")


def _check_type(content_type: str) -> None:
    if content_type.lower().startswith(("multipart/", "image/", "audio/", "video/")):
        raise MiraError(Kind.BAD_MEDIA_TYPE, "this route takes a JSON body; send content-type: application/json")
