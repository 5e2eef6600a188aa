"""What a node made, as a stream: from the node itself with its key, or through the guard from where it points to.

An address that a node names is never sent a key unless it lies under the node's own base URL, and every other host goes
through the way out for addresses that Mira did not choose.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from msgspec import Struct

from mira.calls.media_pieces import Pieces
from mira.core.deadlines import Timeouts
from mira.core.media_types import plain
from mira.errors import Kind, MiraError

TOTAL_S = 1800.0
TIMEOUTS = Timeouts(head_s=60.0, idle_s=60.0, total_s=TOTAL_S)
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
DEFAULT_TYPE = "video/mp4"


class Page(Protocol):
    """An answer whose head is in."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    def header(self, name: bytes) -> str | None:
        """A header by its lower-case name."""


class WayOut(Protocol):
    """The guarded way to addresses that Mira did not choose (see `mira.fetch.egress`)."""

    def open(self, url: str, *, total_s: float) -> AbstractAsyncContextManager[Any]:
        """What is at a URL, to be read piece by piece; MiraError."""

    async def judge(self, url: str, *, total_s: float) -> None:
        """MiraError where the URL may never be opened, as far as its name is known now."""

    async def post(self, url: str, headers: list[tuple[bytes, bytes]], body: bytes, *, total_s: float) -> int:
        """Sends a body and returns the status; MiraError."""


class Content(Struct, frozen=True):
    """A result on its way: its type, its size where that was told, and its bytes."""

    mime_type: str
    size_bytes: int | None
    pieces: Pieces


@asynccontextmanager
async def open_content(node: Any, reference: str, way_out: WayOut) -> AsyncIterator[Content]:
    """The result of a job at its node; MiraError UPSTREAM_FAILED and others where it cannot be had."""
    url: str | None = reference
    path = reference if reference.startswith("/") else node.path_of(reference)
    if path is not None:
        try:
            response = await node.get(path, timeouts=TIMEOUTS)
        except Exception as broken:  # noqa: BLE001 - whatever the transport says
            raise node.fault(broken) from None
        try:
            if 200 <= response.status < 300:
                yield _content(response)
                return
            url = response.header(b"location") if response.status in _REDIRECTS else None
        finally:
            response.close()
        if url is None:
            raise MiraError(Kind.UPSTREAM_FAILED, "the upstream does not hand out the video")
    assert url is not None
    async with way_out.open(url, total_s=TOTAL_S) as page:
        yield _content(page)


def _content(page: Any) -> Content:
    length = page.header(b"content-length") or ""
    size_bytes = int(length) if length.isascii() and length.isdecimal() and len(length) < 16 else None
    if page.header(b"content-encoding"):
        size_bytes = None
    mime_type = plain(page.header(b"content-type") or "")
    return Content(mime_type if mime_type.startswith("video/") else DEFAULT_TYPE, size_bytes, Pieces(page))
