"""The body of a model request: JSON as it is sent, up to a size."""

from mira.collaborators import Exchange
from mira.errors import Kind, MiraError

MAX_BODY_BYTES = 32 * 2**20


async def json_body(exchange: Exchange) -> bytes:
    """The whole body; MiraError BAD_MEDIA_TYPE, before it is read, where its head calls it something else than JSON."""
    encoding = exchange.header(b"content-encoding")
    if encoding and encoding.lower() != "identity":
        raise MiraError(Kind.BAD_MEDIA_TYPE, f"content-encoding {encoding[:20]!r} is not accepted; send plain JSON")
    content_type = (exchange.header(b"content-type") or "").lower()
    if content_type.startswith(("multipart/", "image/", "audio/", "video/")):
        raise MiraError(Kind.BAD_MEDIA_TYPE, "this route takes a JSON body; send content-type: application/json")
    return await exchange.body(MAX_BODY_BYTES)
