"""Puts the media behind a conversation's links into it, for nodes that take only the data itself."""

import asyncio
import base64
import logging
from collections.abc import Mapping, Sequence

from msgspec import Raw

from mira.core.conversation import Conversation, Inline
from mira.core.links import Linked, links_of, path_of, with_data
from mira.core.media_types import HEAD_BYTES, binary_type
from mira.errors import Kind, MiraError
from mira.fetch.egress import Egress, Limits, Loaded

#: What one request may have loaded: links, bytes of all together, seconds for all together, links at a time.
MAX_LINKS = 20
MAX_BYTES = 20 * 2**20
MAX_S = 20.0
AT_ONCE = 4
#: Links that all requests together load at a time; more wait, and their time runs.
ALL_AT_ONCE = 32
#: A text has many more tokens to the byte than other media.
MAX_TEXT_BYTES = 2**20
_TEXTS = ("application/json", "application/xml")

log = logging.getLogger("mira.fetch")


class Loader:
    """Loads links through the one guard that stands before all addresses which clients name.

    `total_s` bounds the time that all links of one request take together.
    """

    def __init__(self, egress: Egress, *, total_s: float = MAX_S) -> None:
        self._egress = egress
        self._total_s = total_s
        self._all = asyncio.Semaphore(ALL_AT_ONCE)

    async def inlined(
        self,
        conversation: Conversation,
        kinds: frozenset[str],
        fields: Mapping[str, Raw],
        loaded: dict[Linked, Inline],
    ) -> Conversation:
        """The conversation with data for every link to media of these kinds.

        `fields` are the client's own, to name the wrong one. `loaded` holds what an earlier attempt for the same
        request found, and is added to. MiraError BAD_REQUEST (`url_not_loaded`), which tells nothing of the other side.
        """
        wanted = links_of(conversation, kinds)
        if len(wanted) > MAX_LINKS:
            raise _refused(
                f"This model needs the data itself; at most {MAX_LINKS} URLs are loaded.", wanted[-1], fields
            )
        missing = [link for link in wanted if link not in loaded]
        if missing:
            loaded.update(zip(missing, await self._load(missing, fields), strict=True))
        return with_data(conversation, loaded) if wanted else conversation

    async def load(self, url: str, field: str) -> bytes:
        """What is behind one address, of at most `MAX_BYTES`; `field` is where a client named it.

        MiraError BAD_REQUEST (`url_not_loaded`), which tells nothing of the other side.
        """
        try:
            async with self._all:
                found = await self._egress.load(url, limits=Limits(total_s=self._total_s, body_bytes=MAX_BYTES))
        except MiraError as error:
            log.info("a linked file was not loaded: %s", error.code)
            message = _TOO_LARGE if error.kind is Kind.TOO_LARGE else _NOT_LOADED
            raise MiraError(Kind.BAD_REQUEST, message, param=field or None, code="url_not_loaded") from None
        return found.data

    async def _load(self, links: Sequence[Linked], fields: Mapping[str, Raw]) -> list[Inline]:
        turn = asyncio.Semaphore(AT_ONCE)
        left_bytes = MAX_BYTES

        async def load(link: Linked) -> Inline:
            nonlocal left_bytes
            async with turn, self._all:
                try:
                    found = await self._egress.load(
                        link[1], limits=Limits(total_s=self._total_s, body_bytes=left_bytes)
                    )
                except MiraError as error:
                    log.info("a linked %s was not loaded: %s", link[0], error.code)
                    large = error.kind is Kind.TOO_LARGE
                    raise _refused(_TOO_LARGE if large else _NOT_LOADED, link, fields) from None
            left_bytes -= len(found.data)
            if left_bytes < 0:
                raise _refused(_TOO_LARGE, link, fields)
            mime_type = _type_of(link[0], found)
            if mime_type is None:
                raise _refused(f"This URL does not give {_EXPECTED[link[0]]}.", link, fields)
            return Inline(mime_type=mime_type, data=base64.b64encode(found.data).decode())

        try:
            async with asyncio.timeout(self._total_s), asyncio.TaskGroup() as group:
                tasks = [group.create_task(load(link)) for link in links]
        except TimeoutError:
            late = (link for link, task in zip(links, tasks, strict=True) if task.cancelled())
            raise _refused(_NOT_LOADED, next(late, links[-1]), fields) from None
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in tasks]


_NOT_LOADED = "This URL could not be loaded; send the data itself instead."
_TOO_LARGE = f"What the URLs give is larger than {MAX_BYTES // 2**20} MiB; send less, or smaller data."
_EXPECTED = {"image": "an image", "document": "a PDF, an image or a text in UTF-8 of at most 1 MiB"}


def _refused(message: str, link: Linked, fields: Mapping[str, Raw]) -> MiraError:
    return MiraError(Kind.BAD_REQUEST, message, param=path_of(fields, link[1]), code="url_not_loaded")


def _type_of(kind: str, found: Loaded) -> str | None:
    """What the data are, by how they begin; texts by what they are declared to be. None where they are not wanted."""
    mime_type = binary_type(found.data[:HEAD_BYTES])
    if mime_type is not None:
        wanted = mime_type.startswith("image/") or (kind == "document" and mime_type == "application/pdf")
        return mime_type if wanted else None
    if kind != "document" or not (found.mime_type.startswith("text/") or found.mime_type in _TEXTS):
        return None
    try:
        found.data.decode()
    except UnicodeDecodeError:
        return None
    return found.mime_type if len(found.data) <= MAX_TEXT_BYTES else None
