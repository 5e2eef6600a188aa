"""The object store: a local folder or an S3 bucket, read and written piece by piece."""

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from mira.errors import ConfigError, Kind, MiraError

PIECE_BYTES = 5 * 2**20
#: Pieces of one object that are on their way at a time: what a large one takes of memory.
PIECES_AT_ONCE = 2
READ_BYTES = 512 * 1024


class Objects:
    """Keeps objects under random keys. Every failure of the store is MiraError STORE_DOWN; its words stay inside."""

    def __init__(self, store: Any, prefix: str = "") -> None:
        self._store = store
        self._prefix = prefix

    @classmethod
    def open(cls, url: str) -> "Objects":
        """A store by its URL: `file:///folder` or `s3://bucket/prefix`; ConfigError for anything else.

        S3 takes its credentials, region and endpoint from the usual `AWS_…` variables.
        """
        parts = urlsplit(url)
        if parts.scheme == "file" and not parts.netloc and parts.path:
            folder = Path(unquote(parts.path))
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise ConfigError(f"files_url: the folder {folder} cannot be used: {error.strerror}") from error
            return cls(LocalStore(folder))
        if parts.scheme == "s3" and parts.netloc:
            prefix = parts.path.strip("/")
            try:
                # A store that the operator runs beside Mira rarely has a certificate.
                store = S3Store(parts.netloc, client_options={"allow_http": True})
            except (BaseError, ValueError) as error:
                raise ConfigError(f"files_url: {parts.netloc} cannot be used: {type(error).__name__}") from error
            return cls(store, f"{prefix}/" if prefix else "")
        raise ConfigError("files_url: write file:///absolute/folder or s3://bucket/prefix")

    async def put(self, key: str, pieces: AsyncIterator[bytes]) -> None:
        """Stores an object from its pieces; what `pieces` raises goes through, and nothing is kept."""
        raised: list[BaseException] = []

        async def watched() -> AsyncIterator[bytes]:
            try:
                async for piece in pieces:
                    yield piece
            except BaseException as error:
                raised.append(error)
                raise

        try:
            await obstore.put_async(
                self._store, self._prefix + key, watched(), chunk_size=PIECE_BYTES, max_concurrency=PIECES_AT_ONCE
            )
        except BaseException as error:
            if raised:
                raise raised[0] from None
            if isinstance(error, BaseError | OSError):
                raise _down() from error
            raise

    async def stream(self, key: str) -> AsyncGenerator[bytes, None]:
        """An object in pieces; MiraError NOT_FOUND where it is gone. The first piece is asked for at once."""
        try:
            found = await obstore.get_async(self._store, self._prefix + key)
            async for piece in found.stream(min_chunk_size=READ_BYTES):
                yield bytes(piece)
        except FileNotFoundError:
            raise MiraError(Kind.NOT_FOUND, "there is no such file") from None
        except (BaseError, OSError) as error:
            raise _down() from error

    async def part(self, key: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to `end` of an object, in pieces; errors as in `stream`."""
        try:
            found = await obstore.get_async(self._store, self._prefix + key, options={"range": (start, end)})
            async for piece in found.stream(min_chunk_size=READ_BYTES):
                yield bytes(piece)
        except FileNotFoundError:
            raise MiraError(Kind.NOT_FOUND, "there is no such file") from None
        except (BaseError, OSError) as error:
            raise _down() from error

    async def read(self, key: str) -> bytes:
        """A whole object."""
        return b"".join([piece async for piece in self.stream(key)])

    async def remove(self, key: str) -> None:
        """Removes an object; one that is not there is no error."""
        try:
            await obstore.delete_async(self._store, self._prefix + key)
        except FileNotFoundError:
            pass
        except (BaseError, OSError) as error:
            raise _down() from error

    async def older_than(self, age: timedelta) -> AsyncIterator[str]:
        """The keys of objects that were last written before then."""
        before = datetime.now(UTC) - age
        try:
            async for batch in obstore.list(self._store, self._prefix or None):
                for each in batch:
                    if each["last_modified"] < before:
                        yield each["path"].removeprefix(self._prefix)
        except (BaseError, OSError) as error:
            raise _down() from error


def _down() -> MiraError:
    return MiraError(Kind.STORE_DOWN, "the file store does not answer; try again", retry_after_s=5)
