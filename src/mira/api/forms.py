"""Bodies that are forms (`multipart/form-data`), as files come in."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser

from mira.api.bodies import in_time
from mira.api.services import Asked
from mira.errors import Kind, MiraError


def is_form(asked: Asked) -> bool:
    """Whether the body is said to be a form."""
    return str(asked.request.headers.get("content-type", "")).lower().startswith("multipart/form-data")


@asynccontextmanager
async def form_of(
    asked: Asked, limit_bytes: int, *, most_files: int = 1, most_fields: int = 40, part_bytes: int
) -> AsyncIterator[FormData]:
    """The parts of a form, whose files are gone after the context; `part_bytes` bounds a part that is no file.

    MiraError BAD_REQUEST where it cannot be read or comes too slowly, TOO_LARGE beyond `limit_bytes`.
    """
    parser = MultiPartParser(
        asked.request.headers,
        _bounded(in_time(asked.request.stream()), limit_bytes),
        max_files=most_files,
        max_fields=most_fields,
        max_part_size=part_bytes,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        said = error.message if isinstance(error, MultiPartException) else "it has no boundary"
        raise MiraError(Kind.BAD_REQUEST, f"the form cannot be read: {said}") from None
    try:
        yield form
    finally:
        await form.close()


async def _bounded(stream: AsyncIterator[bytes], limit_bytes: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for piece in stream:
        size += len(piece)
        if size > limit_bytes:
            raise MiraError(Kind.TOO_LARGE, f"the form is larger than {limit_bytes // 2**20} MiB")
        yield piece
