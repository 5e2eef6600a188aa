"""Requests for media at the edge: from a request to `mira.calls.media` and back, whole or as a stream."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from hashlib import blake2b

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mira.api.bodies import decode
from mira.api.services import Asked, Services
from mira.calls.media_call import Reply
from mira.calls.media_wish import Wish
from mira.codecs.media.images import Picture
from mira.core.attachments import file_id
from mira.core.caller import Caller
from mira.core.media_types import HEAD_BYTES, binary_type
from mira.errors import Kind, MiraError

#: The data that one request may bring in its references, all together.
MAX_REFERENCES_BYTES = 50 * 2**20
MOST_SURPLUS = 20
#: What may stand in a header as it is.
_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*;base64,(.*)", re.DOTALL)


class Asking:
    """Who asks (see `mira.calls.media_wish.Asking`)."""

    def __init__(self, asked: Asked) -> None:
        assert asked.caller is not None
        self.caller: Caller = asked.caller
        self.request_id = asked.request_id
        self._asked = asked
        self._headers: Mapping[str, str] = asked.request.headers

    def header(self, name: bytes) -> str | None:
        """A request header by its lower-case name."""
        return self._headers.get(name.decode())

    async def left(self) -> None:
        """Returns when the client has left."""
        await self._asked.left()


async def answer(services: Services, asked: Asked, protocol: str, read: Callable[[], Awaitable[Wish]]) -> Response:
    """Serves a request for media from its body to its last byte."""
    reply = await services.media.answer(Asking(asked), protocol, read)
    if reply.flow is not None:
        return _Flowing(reply)
    response = Response(reply.body, reply.status)
    response.raw_headers = [*reply.headers, (b"content-length", b"%d" % len(reply.body))]
    return response


class _Flowing(Response):
    """An answer that is written as it is made. The call itself notices that its client leaves."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(status_code=reply.status)
        self.raw_headers = list(reply.headers)
        self._reply = reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        """Sends the head, then what comes."""
        assert self._reply.flow is not None

        async def write(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if not await self._reply.flow(write):
            # Without its last chunk, so that the client sees that the answer was cut.
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def digest(request: object, *more: object) -> bytes:
    """What an Idempotency-Key stands for: the request as it was understood, not the boundaries of its form."""
    return blake2b(msgspec.json.encode([request, *more], order="deterministic"), digest_size=32).digest()


def surplus(names: Iterable[str], *shapes: type[msgspec.Struct], more: Collection[str] = ()) -> tuple[str, ...]:
    """The fields of a body that nothing here knows, to be named in `x-mira-dropped`; as many as fit a header."""
    known = {field.encode_name for shape in shapes for field in msgspec.structs.fields(shape)}
    unknown = [name for name in dict.fromkeys(names) if name not in known and name not in more]
    return tuple(name for name in unknown if _NAME.fullmatch(name))[:MOST_SURPLUS]


def names_of(body: bytes | bytearray) -> Iterable[str]:
    """The names of the fields of a JSON body; MiraError BAD_REQUEST."""
    return decode(body, dict[str, msgspec.Raw])


async def picture(services: Services, asked: Asked, reference: str, field: str) -> Picture:
    """The picture that a client refers to: an upload's id or address, a data URL, or any URL by the guarded way out.

    MiraError NOT_FOUND, BAD_REQUEST, TOO_LARGE with the field.
    """
    assert asked.caller is not None
    name = file_id(reference)
    if name:
        try:
            file = await services.uploads.find(asked.caller.workspace_id, name)
        except MiraError as error:
            raise MiraError(error.kind, f"{field}: {error.message}", param=field) from None
        data = await services.uploads.data(file)
    elif reference.startswith("data:"):
        data = _inline(reference, field)
    elif reference.startswith(("http://", "https://")):
        data = await services.relay.loader.load(reference, field)
    else:
        data = _base64(reference, field)
    return as_picture(data, field)


def as_picture(data: bytes, field: str) -> Picture:
    """Bytes as a picture, judged by how they begin; MiraError BAD_MEDIA_TYPE where they are none."""
    mime_type = binary_type(data[:HEAD_BYTES])
    if mime_type is None or not mime_type.startswith("image/"):
        raise MiraError(Kind.BAD_MEDIA_TYPE, f"{field}: this is not a picture in PNG, JPEG, WebP or GIF", param=field)
    if len(data) > MAX_REFERENCES_BYTES:
        raise MiraError(Kind.TOO_LARGE, f"{field}: larger than {MAX_REFERENCES_BYTES // 2**20} MiB", param=field)
    return Picture(mime_type, data)


def _inline(reference: str, field: str) -> bytes:
    found = _DATA_URL.fullmatch(reference)
    if found is None:
        raise MiraError(Kind.BAD_REQUEST, f"{field}: write a data URL as data:image/png;base64,…", param=field)
    return _base64(found[2], field)


def _base64(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        message = f"{field}: must be an upload's id or address, a URL, a data URL or base64"
        raise MiraError(Kind.BAD_REQUEST, message, param=field) from None
