"""Uploads: taken as base64 in JSON or as a form, given back to their owner, and removed."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct
from starlette.datastructures import UploadFile
from starlette.responses import Response, StreamingResponse

from mira.api.bodies import answer, decode, number, read_into
from mira.api.forms import form_of, is_form
from mira.api.services import Asked, Services
from mira.core.call import CallRecord
from mira.core.file import File
from mira.errors import Kind, MiraError

#: How much base64 becomes bytes at a time; a multiple of four characters.
TEXT_PIECE = 1_048_576
FORM_PIECE = 512 * 1024
#: Room beside the data: names, types, the form's own lines.
SURPLUS_BYTES = 64 * 1024
#: A file must never run in a browser that opens its address, whatever is in it.
INERT = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "private, no-store",
}


#: What OpenAI's clients say that a file is for, as far as there is anything here that takes files.
PURPOSES = ("user_data", "vision", "assistants", "evals")
PURPOSE = PURPOSES[0]
#: Files of one page; OpenAI's clients may ask for more.
MOST_LISTED, OPENAIS_MOST_LISTED = 1000, 10_000


class Upload(Struct, forbid_unknown_fields=True):
    """`POST /v1/upload`: `data` is base64 in the standard alphabet with its padding."""

    data: Raw
    mime_type: str
    filename: str | None = None


class Uploaded(Struct):
    """The answer to an upload. `id` and `url` are taken wherever an image or a document is."""

    id: str
    url: str
    mime_type: str
    bytes: int
    sha256: str
    created_at: int
    filename: str
    object: str = "file"


T = TypeVar("T", bound=Uploaded)


class FileObject(Uploaded, kw_only=True):
    """The same as OpenAI's SDKs read it. Whatever `purpose` a file came with, it serves as any other."""

    purpose: str = "user_data"
    status: str = "processed"


class FileObjects(Struct):
    """A page of files."""

    data: list[FileObject]
    has_more: bool
    first_id: str | None = None
    last_id: str | None = None
    object: str = "list"


async def upload(services: Services, asked: Asked) -> Response:
    """Keeps a file: JSON with base64, or a form with the part `file`."""
    if is_form(asked):
        file = await _from_form(services, asked)
    else:
        file = await _from_json(services, asked)
    await asyncio.shield(_record(services, asked))
    return answer(_told(services, file), 201)


async def create(services: Services, asked: Asked) -> Response:
    """Keeps a file as OpenAI's SDKs send it: a form with `file` and `purpose`."""
    if not is_form(asked):
        raise MiraError(Kind.BAD_MEDIA_TYPE, "this route takes a form (multipart/form-data) with `file` and `purpose`")
    file = await _from_form(services, asked, judge=_judge_fields)
    await asyncio.shield(_record(services, asked))
    return answer(_object(services, file))


async def listing(services: Services, asked: Asked) -> Response:
    """The files of the caller's workspace, a page at a time."""
    query = asked.request.query_params
    limit = number(asked, "limit", MOST_LISTED, 1, OPENAIS_MOST_LISTED)
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise MiraError(Kind.BAD_REQUEST, "order: must be asc or desc", param="order")
    if query.get("purpose", PURPOSE) != PURPOSE:
        return answer(FileObjects([], has_more=False))
    limit = min(limit, MOST_LISTED)
    files = await services.uploads.page(_workspace(asked), query.get("after"), limit + 1, newest_first=order == "desc")
    page = [_object(services, file) for file in files[:limit]]
    first, last = (page[0].id, page[-1].id) if page else (None, None)
    return answer(FileObjects(page, len(files) > limit, first, last))


async def get_file(services: Services, asked: Asked) -> Response:
    """A file of the caller's workspace as a download; what is known of it where the client takes JSON alone."""
    types = {part.partition(";")[0].strip() for part in asked.request.headers.get("accept", "").lower().split(",")}
    if types == {"application/json"}:
        file = await services.uploads.find(_workspace(asked), asked.request.path_params["id"])
        response = answer(_object(services, file))
    else:
        response = await content(services, asked)
    response.headers["vary"] = "accept"
    return response


async def content(services: Services, asked: Asked) -> Response:
    """The bytes of a file of the caller's workspace, as a download that no browser runs."""
    file = await services.uploads.find(_workspace(asked), asked.request.path_params["id"])
    headers = {
        **INERT,
        "content-length": str(file.size_bytes),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(file.filename, safe='')}",
        "etag": f'"{file.sha256}"',
    }
    pieces = services.uploads.content(file)
    # The first piece is read before the head goes out, so that a file that is gone is a 404.
    first = await anext(pieces, b"")
    return StreamingResponse(_after(first, pieces), headers=headers, media_type=file.mime_type)


async def describe_file(services: Services, asked: Asked) -> Response:
    """What is known of a file, without its bytes."""
    return answer(_told(services, await services.uploads.find(_workspace(asked), asked.request.path_params["id"])))


async def delete_file(services: Services, asked: Asked) -> Response:
    """Removes a file of the caller's workspace."""
    file_id = asked.request.path_params["id"]
    await services.uploads.remove(_workspace(asked), file_id)
    return answer({"id": file_id, "object": "file", "deleted": True})


async def _from_json(services: Services, asked: Asked) -> File:
    limit = services.uploads.max_bytes
    body = await read_into(asked, -(-limit // 3) * 4 + SURPLUS_BYTES)
    said = decode(body, Upload)
    text = memoryview(said.data)
    if not (len(text) >= 2 and text[0] == text[-1] == 0x22):
        raise MiraError(Kind.BAD_REQUEST, "data: must be text in base64", param="data")
    text = text[1:-1]
    if b"\\" in body:
        # Some encoders write every slash with a backslash before it.
        text = memoryview(msgspec.json.decode(said.data, type=str).encode())
    pieces = _decoded(text)
    return await services.uploads.keep(_workspace(asked), pieces, declared_type=said.mime_type, filename=said.filename)


async def _from_form(
    services: Services, asked: Asked, judge: Callable[[Mapping[str, object]], None] = lambda _: None
) -> File:
    limit = services.uploads.max_bytes + SURPLUS_BYTES
    async with form_of(asked, limit, most_fields=8, part_bytes=SURPLUS_BYTES) as parts:
        part = parts.get("file")
        if not isinstance(part, UploadFile):
            raise MiraError(Kind.BAD_REQUEST, "file: the form needs a part of this name with the file", param="file")
        judge(parts)
        declared = str(parts.get("mime_type") or part.content_type or "")
        return await services.uploads.keep(
            _workspace(asked), _read(part), declared_type=declared, filename=part.filename
        )


def _judge_fields(parts: Mapping[str, object]) -> None:
    """MiraError for what is promised to nobody here: work over files, and files that end by themselves."""
    if parts.get("purpose") not in PURPOSES:
        message = f"purpose: must be one of {', '.join(PURPOSES)}; there are no batches and no fine-tuning here"
        raise MiraError(Kind.BAD_REQUEST, message, param="purpose")
    if any(name.startswith("expires_after") for name in parts):
        message = "expires_after: files are kept until they are deleted; leave it out"
        raise MiraError(Kind.UNSUPPORTED, message, param="expires_after")


async def _decoded(text: memoryview) -> AsyncIterator[bytes]:
    if len(text) % 4:
        raise _not_base64()
    for start in range(0, len(text), TEXT_PIECE):
        piece = text[start : start + TEXT_PIECE]
        try:
            data = base64.b64decode(piece, validate=True)
        except (binascii.Error, ValueError):
            raise _not_base64() from None
        if start + TEXT_PIECE < len(text) and len(data) != TEXT_PIECE // 4 * 3:
            raise _not_base64()  # padding in the middle
        yield data


async def _read(part: UploadFile) -> AsyncIterator[bytes]:
    while piece := await part.read(FORM_PIECE):
        yield piece


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _record(services: Services, asked: Asked) -> asyncio.Future[None]:
    """Uploads are free, and on the list of calls all the same."""
    caller = asked.caller
    assert caller is not None
    return services.ledger.record(
        CallRecord(
            request_id=asked.request_id,
            client_request_id=None,
            workspace_id=caller.workspace_id,
            key_id=caller.key_id,
            face=caller.face.value,
            protocol="upload",
            model="",
            started_at_ms=services.now_ms(),
            status=201,
        )
    )


def _told(services: Services, file: File) -> Uploaded:
    return _as(Uploaded, services, file)


def _object(services: Services, file: File) -> FileObject:
    return _as(FileObject, services, file)


def _as(shape: type[T], services: Services, file: File) -> T:
    return shape(
        id=file.id,
        url=f"{services.config.base_url}/v1/files/{file.id}",
        mime_type=file.mime_type,
        bytes=file.size_bytes,
        sha256=file.sha256,
        created_at=file.created_at_ms // 1000,
        filename=file.filename,
    )


def _workspace(asked: Asked) -> str:
    assert asked.caller is not None
    return asked.caller.workspace_id


def _not_base64() -> MiraError:
    return MiraError(
        Kind.BAD_REQUEST,
        "data: must be base64 in the standard alphabet, with padding and without line breaks",
        param="data",
    )
