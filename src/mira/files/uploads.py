"""Uploads: taken in piece by piece, judged by their content, counted against a quota, shown to their owner alone."""

import codecs
import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Protocol

from mira.core.file import ID, File
from mira.core.media_types import ACTIVE_TYPES, HEAD_BYTES, TEXT_TYPES, binary_type, family, plain
from mira.errors import Kind, MiraError
from mira.files.objects import Objects

MAX_NAME = 200
ORPHAN_AGE = timedelta(hours=1)
SWEEP_BATCH = 500


class Rows(Protocol):
    """Where the rows of files are kept."""

    async def add(self, file: File, quota_bytes: int) -> bool:
        """Adds a row; False, with nothing added, where the workspace's files would be larger than the quota."""

    async def get(self, workspace_id: str, file_id: str) -> File | None:
        """A file of the workspace's, None where it has none of this id."""

    async def page(self, workspace_id: str, after: str | None, limit: int, *, newest_first: bool) -> list[File]:
        """The workspace's files by age, those after the one named `after`."""

    async def used_bytes(self, workspace_id: str) -> int:
        """The size of all files of a workspace."""

    async def remove(self, workspace_id: str, file_id: str) -> bool:
        """Forgets a file; whether there was one."""

    async def known(self, ids: list[str]) -> set[str]:
        """Those of the ids that have a row."""


class Uploads:
    """Keeps files. `new_id` makes unguessable ids, `now_ms` is Unix milliseconds."""

    def __init__(
        self,
        objects: Objects,
        rows: Rows,
        *,
        max_bytes: int,
        quota_bytes: int,
        new_id: Callable[[], str],
        now_ms: Callable[[], int],
    ) -> None:
        self.max_bytes = max_bytes
        self._objects = objects
        self._rows = rows
        self._quota_bytes = quota_bytes
        self._new_id = new_id
        self._now_ms = now_ms

    async def keep(
        self, workspace_id: str, pieces: AsyncIterator[bytes], *, declared_type: str, filename: str | None
    ) -> File:
        """Takes a file in. MiraError TOO_LARGE, BAD_MEDIA_TYPE where the content is not what it is said to be.

        Nothing is kept of a file that is refused.
        """
        if await self._rows.used_bytes(workspace_id) >= self._quota_bytes:
            raise self._over_quota()
        intake = _Intake(pieces, plain(declared_type), self.max_bytes)
        file_id = self._new_id()
        await self._objects.put(file_id, intake.pieces())
        file = File(
            id=file_id,
            workspace_id=workspace_id,
            filename=clean_name(filename, intake.mime_type),
            mime_type=intake.mime_type,
            size_bytes=intake.size_bytes,
            sha256=intake.sha256,
            created_at_ms=self._now_ms(),
        )
        try:
            kept = await self._rows.add(file, self._quota_bytes)
        except BaseException:
            await self._objects.remove(file_id)
            raise
        if not kept:
            await self._objects.remove(file_id)
            raise self._over_quota()
        return file

    async def find(self, workspace_id: str, file_id: str) -> File:
        """A file of the workspace's; MiraError NOT_FOUND, the same for another workspace's."""
        file = await self._rows.get(workspace_id, file_id)
        if file is None:
            raise MiraError(Kind.NOT_FOUND, "there is no such file")
        return file

    async def page(self, workspace_id: str, after: str | None, limit: int, *, newest_first: bool) -> list[File]:
        """The workspace's files by age, those after the one named `after`."""
        return await self._rows.page(workspace_id, after, limit, newest_first=newest_first)

    def content(self, file: File) -> AsyncIterator[bytes]:
        """A file's bytes in pieces."""
        return self._objects.stream(file.id)

    async def data(self, file: File) -> bytes:
        """A file's bytes as a whole."""
        return await self._objects.read(file.id)

    async def remove(self, workspace_id: str, file_id: str) -> None:
        """Removes a file; MiraError NOT_FOUND. The row goes first: a file without a row is swept, not served."""
        if not await self._rows.remove(workspace_id, file_id):
            raise MiraError(Kind.NOT_FOUND, "there is no such file")
        await self._objects.remove(file_id)

    async def sweep(self, older_than: timedelta = ORPHAN_AGE) -> int:
        """Removes objects that have lain without a row for so long, as a crash may leave; returns how many."""
        removed = 0
        batch: list[str] = []
        async for key in self._objects.older_than(older_than):
            batch.append(key)
            if len(batch) == SWEEP_BATCH:
                removed += await self._remove_unknown(batch)
                batch.clear()
        return removed + await self._remove_unknown(batch)

    async def _remove_unknown(self, keys: list[str]) -> int:
        # Whatever else lies in the folder or bucket is not ours to remove.
        ours = [key for key in keys if ID.fullmatch(key)]
        unknown = set(ours) - await self._rows.known(ours) if ours else set()
        for key in unknown:
            await self._objects.remove(key)
        return len(unknown)

    def _over_quota(self) -> MiraError:
        mib = self._quota_bytes // 2**20
        return MiraError(Kind.TOO_LARGE, f"the files of this workspace may have {mib} MiB together; delete some first")


class _Intake:
    """A file on its way in: its size, its hash and its type are known when the last piece has gone through."""

    def __init__(self, pieces: AsyncIterator[bytes], declared_type: str, max_bytes: int) -> None:
        self.size_bytes = 0
        self.mime_type = ""
        self._pieces = pieces
        self._declared = declared_type
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self._text = codecs.getincrementaldecoder("utf-8")()

    @property
    def sha256(self) -> str:
        """Hexadecimal."""
        return self._hash.hexdigest()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The pieces, checked as they pass."""
        head = b""
        async for piece in self._pieces:
            self.size_bytes += len(piece)
            if self.size_bytes > self._max_bytes:
                raise MiraError(Kind.TOO_LARGE, f"the file is larger than {self._max_bytes // 2**20} MiB")
            self._hash.update(piece)
            if not self.mime_type:
                head += piece
                if len(head) < HEAD_BYTES:
                    continue
                piece, head = head, b""  # noqa: PLW2901 - what was held back goes on as one piece
                self._judge(piece)
            else:
                self._check_text(piece)
            yield piece
        if not self.mime_type:
            if not head:
                raise MiraError(Kind.BAD_REQUEST, "data: the file is empty", param="data")
            self._judge(head)
            yield head
        self._check_text(b"", final=True)

    def _judge(self, head: bytes) -> None:
        declared = self._declared
        if declared in ACTIVE_TYPES:
            raise _wrong_type(f"files of type {declared} are not taken; send text as text/plain", "mime_type")
        found = binary_type(head)
        if found is None:
            self.mime_type = declared if declared in TEXT_TYPES else "text/plain"
            self._check_text(head)
        else:
            self.mime_type = found
        if declared and declared != "application/octet-stream" and family(declared) != family(self.mime_type):
            raise _wrong_type(f"the content is {self.mime_type}, not {declared[:100]!r}", "mime_type")

    def _check_text(self, piece: bytes, *, final: bool = False) -> None:
        if family(self.mime_type) != "text":
            return
        try:
            said = self._text.decode(piece, final)
        except UnicodeDecodeError:
            said = "\0"
        if "\0" in said:
            raise _wrong_type("the content is neither text in UTF-8 nor of a type that is known here", "data")


def clean_name(name: str | None, mime_type: str) -> str:
    """A name to show and to download under: the last part of a path, without control characters and quotes."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    kept = "".join(each for each in last if each.isprintable() and each not in '"<>:|?*').strip(" .")[:MAX_NAME]
    return kept or f"file.{mime_type.rpartition('/')[2].rpartition('.')[2].removeprefix('x-')}"


def _wrong_type(message: str, param: str) -> MiraError:
    return MiraError(Kind.BAD_MEDIA_TYPE, message, param=param)
