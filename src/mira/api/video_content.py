"""The finished video: from the file store, or handed on from its node, never whole in memory and never run."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Any

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from mira.api.files import INERT
from mira.api.services import Asked, Services
from mira.api.videos import find
from mira.core.jobs import Job, State
from mira.errors import Kind, MiraError
from mira.jobs.content import DEFAULT_TYPE, open_content

_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


class _Streamed(StreamingResponse):
    """A stream whose source is let go of however it ends, also where its client was gone before it began."""

    def __init__(self, pieces: AsyncIterator[bytes], stack: AsyncExitStack, **more: Any) -> None:
        super().__init__(pieces, **more)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        async with self._stack:
            await super().__call__(scope, receive, send)


async def content(services: Services, asked: Asked) -> Response:
    """The bytes of a finished video, as a download; ranges where it lies in the file store."""
    job = await find(services, asked)
    if asked.request.query_params.get("variant", "video") != "video":
        raise MiraError(Kind.UNSUPPORTED, "variant: there is the video alone", param="variant")
    if job.state is not State.COMPLETED:
        why = "this video is not finished yet" if not job.ended else "there is no video: its job did not succeed"
        raise MiraError(Kind.CONFLICT, f"{why}; GET /v1/videos/{job.id} says how it stands")
    if job.size_bytes is not None:
        try:
            return await _kept(services, asked, job)
        except MiraError as error:
            # Another host's folder, say; its node may still have it.
            if error.kind is not Kind.NOT_FOUND:
                raise
    return await _handed_on(services, job)


async def _kept(services: Services, asked: Asked, job: Job) -> Response:
    size = job.size_bytes or 0
    store, span = services.videos.store, _span(asked.request.headers.get("range"), size)
    headers = {**_head(job), "accept-ranges": "bytes"}
    if span is None:
        pieces, length, status = store.stream(job.id), size, 200
    else:
        start, end = span
        if start >= end:
            return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
        pieces, length, status = store.part(job.id, start, end), end - start, 206
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    stack = AsyncExitStack()
    await stack.enter_async_context(aclosing(pieces))
    # The first piece is read before the head goes out, so that a video that is gone is no empty one.
    first = await anext(pieces, b"")
    headers["content-length"] = str(length)
    return _Streamed(_after(first, pieces), stack, status_code=status, headers=headers, media_type=job.mime_type)


async def _handed_on(services: Services, job: Job) -> Response:
    node = services.videos.worker.node_of(job)
    if node is None or job.content is None:
        raise MiraError(Kind.NOT_FOUND, "the node that made this video is gone, and the video with it")
    async with AsyncExitStack() as stack:
        found = await stack.enter_async_context(open_content(node, job.content, services.videos.way_out))
        first = await found.pieces.next()
        headers = _head(job)
        if found.size_bytes is not None:
            headers["content-length"] = str(found.size_bytes)

        async def rest() -> AsyncIterator[bytes]:
            piece = first
            while piece is not None:
                yield piece
                piece = await found.pieces.next()

        return _Streamed(rest(), stack.pop_all(), headers=headers, media_type=found.mime_type)


def _head(job: Job) -> dict[str, str]:
    suffix = (job.mime_type or DEFAULT_TYPE).rpartition("/")[2]
    return {**INERT, "content-disposition": f'attachment; filename="{job.id}.{suffix}"', "etag": f'"{job.id}"'}


def _span(header: str | None, size: int) -> tuple[int, int] | None:
    """The one range that is asked for, as start and end; None for the whole, an empty one where it lies outside."""
    found = _RANGE.fullmatch((header or "").replace(" ", ""))
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:
        return max(size - int(last), 0), size
    start = int(first)
    end = min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    return (start, end) if start < size else (size, size)


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
