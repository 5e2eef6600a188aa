"""The gateway's end of the side process: token counts and list prices without their libraries in this process.

The process is started when it is first asked, does one request at a time, is replaced when it dies or takes too long,
and is stopped when nobody has asked for a minute, which gives its memory back.
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct

from mira.core.pricing import Price
from mira.errors import Kind, MiraError
from mira.workers.frames import (
    LENGTH_BYTES,
    Counts,
    CountTokens,
    Failed,
    ListPrices,
    PriceList,
    Reply,
    decode_reply,
    frame,
)

ENCODINGS = frozenset({"o200k_base", "cl100k_base", "o200k_harmony"})
#: texts of one count; more is refused rather than copied through a pipe
MAX_TEXT_CHARS = 16 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024

#: what the child may know of this process's environment: how to find Python and its packages, no secret
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LANG", "LC_ALL", "TZ")


class _Job(Struct, frozen=True):
    frame: bytes
    reply: asyncio.Future[Reply]


class SideProcess:
    """Calls into the side process. Belongs to one event loop; `close` when done.

    At most `max_waiting` calls wait, the next is refused at once. `timeout_s` bounds a call, its wait included.
    `idle_s` without a call stops the process.
    """

    def __init__(self, *, max_waiting: int = 64, timeout_s: float = 10.0, idle_s: float = 60.0) -> None:
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue(max_waiting)
        self._timeout_s = timeout_s
        self._idle_s = idle_s
        self._child: Process | None = None
        self._server: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is none."""
        return self._child.pid if self._child and self._child.returncode is None else None

    async def count(self, texts: Sequence[str], encoding: str) -> list[int]:
        """Tokens of each text. Half a surrogate pair counts as a question mark.

        MiraError: TOO_LARGE for more than `MAX_TEXT_CHARS` characters, UNAVAILABLE where the process is busy or late.
        """
        if encoding not in ENCODINGS:
            raise ValueError(f"{encoding!r} is not one of {', '.join(sorted(ENCODINGS))}")
        if sum(map(len, texts)) > MAX_TEXT_CHARS:
            raise MiraError(Kind.TOO_LARGE, f"At most {MAX_TEXT_CHARS} characters can be counted in one call.")
        if not texts:
            return []
        try:
            data = frame(CountTokens(list(texts), encoding))
        except UnicodeEncodeError:
            whole = [text.encode("utf-8", "replace").decode() for text in texts]
            data = frame(CountTokens(whole, encoding))
        reply = await self._call(data)
        assert isinstance(reply, Counts)
        return reply.tokens

    async def prices(self, model_ids: Sequence[str]) -> dict[str, Price | None]:
        """The list price of each canonical model id at this moment, None where none is known.

        Prices change by date: ask again at least daily. MiraError UNAVAILABLE where the process is busy or late.
        """
        reply = await self._call(frame(ListPrices(list(model_ids))))
        assert isinstance(reply, PriceList)
        return reply.prices

    async def close(self) -> None:
        """Ends the process; calls that wait, and later ones, are refused."""
        self._closed = True
        if self._server is not None:
            self._server.cancel()
            with suppress(asyncio.CancelledError):
                await self._server
        await self._stop()
        while not self._jobs.empty():
            job = self._jobs.get_nowait()
            if not job.reply.done():
                job.reply.set_exception(_unavailable())

    async def _call(self, data: bytes) -> Reply:
        job = _Job(data, asyncio.get_running_loop().create_future())
        try:
            if self._closed:
                raise _unavailable()
            self._jobs.put_nowait(job)
        except asyncio.QueueFull:
            raise _unavailable() from None
        if self._server is None or self._server.done():
            self._server = asyncio.create_task(self._serve())
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await job.reply
        except TimeoutError:
            raise _unavailable() from None
        if isinstance(reply, Failed):
            raise MiraError(Kind.INTERNAL, "This could not be computed.")
        return reply

    async def _serve(self) -> None:
        """Does the jobs one after the other; a job whose caller has left is skipped."""
        while True:
            try:
                async with asyncio.timeout(self._idle_s):
                    job = await self._jobs.get()
            except TimeoutError:
                await self._stop()
                # A job that came meanwhile found this task alive, so it must not end.
                if self._jobs.empty():
                    return
                continue
            if job.reply.done():
                continue
            try:
                reply = await self._exchange(job.frame)
            except MiraError as error:
                if not job.reply.done():
                    job.reply.set_exception(error)
            except asyncio.CancelledError:
                if not job.reply.done():
                    job.reply.set_exception(_unavailable())
                raise
            else:
                if not job.reply.done():
                    job.reply.set_result(reply)

    async def _exchange(self, data: bytes) -> Reply:
        # A child that was killed while idle is noticed only now; a request that kills it twice is at fault itself.
        for _ in range(2):
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._ask(data)
            except TimeoutError:
                await self._stop()
                break
            except (OSError, asyncio.IncompleteReadError):
                await self._stop()
        raise _unavailable()

    async def _ask(self, data: bytes) -> Reply:
        if self._child is None or self._child.returncode is not None:
            self._child = await _spawn()
        writer, reader = self._child.stdin, self._child.stdout
        assert writer is not None
        assert reader is not None
        # In pieces, so that a long text does not keep the event loop from its other work.
        for start in range(0, len(data), _CHUNK_BYTES):
            writer.write(data[start : start + _CHUNK_BYTES])
            await writer.drain()
        size = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
        return decode_reply(await reader.readexactly(size))

    async def _stop(self) -> None:
        """Kills the child, which keeps nothing that could be lost, and waits for its end."""
        child = self._child
        if child is None:
            return
        assert child.stdin is not None
        child.stdin.close()
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        # Not before: `close` may interrupt the wait, and must find the child to wait for it again.
        self._child = None


async def _spawn() -> Process:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # -P: a folder named mira in the working directory must not be taken for this package.
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "mira.workers.main", stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment
    )


def _unavailable() -> MiraError:
    return MiraError(Kind.UNAVAILABLE, "Token counts and prices are busy at the moment; try again.", retry_after_s=1)
