"""The gateway's end of the extraction workers: started when needed, killed when late, ended when idle.

A worker is a process of its own (executed, never forked) that does one page at a time under limits of processor time
and memory. Whatever a page does to it, the gateway stays as it was: a worker that is late is killed, one that dies is
replaced, one that has grown or done many pages is ended after its answer. While nobody fetches there is no worker.
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from mira.errors import Kind, MiraError
from mira.fetch.extract.frames import LENGTH_BYTES, Job, Refused, Reply, decode_reply, frame
from mira.fetch.extract.shapes import Extracted, Options, Source

#: bytes of one reply; a worker that says more is not ours any more
_MAX_REPLY_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024
#: what a worker may know of this process's environment: how to find Python and its packages, no secret
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LANG", "LC_ALL", "TZ")


class Extractor:
    """Extractions in worker processes. Belongs to one event loop; `close` when done.

    At most `workers` pages are converted at once and `max_waiting` wait, the next is refused. A worker is given
    `cpu_s` of processor time a page, replaced after `pages` pages or beyond `resident_bytes`, and ended after `idle_s`
    without a page.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        max_waiting: int = 32,
        cpu_s: int = 5,
        pages: int = 500,
        resident_bytes: int = 400 * 1024 * 1024,
        idle_s: float = 60.0,
    ) -> None:
        self._slots = asyncio.Semaphore(workers)
        self._workers = workers
        self._max_waiting = max_waiting
        self._waiting = 0
        self._cpu_s = cpu_s
        self._pages = pages
        self._resident_bytes = resident_bytes
        self._idle_s = idle_s
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._warming: asyncio.Task[None] | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._farewells: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that live at this moment."""
        return [worker.pid for worker in (*self._idle, *self._busy) if worker.alive]

    def warm(self) -> None:
        """Starts a worker in the background if there is none, so that it gets ready while the page is loaded."""
        if self._closed or self._idle or self._busy or self._warming is not None:
            return
        self._warming = asyncio.create_task(self._warm())

    async def convert(self, source: Source, options: Options, *, deadline_s: float) -> Extracted:
        """The content of what was loaded, at most `deadline_s` from now, the wait for a worker included.

        MiraError: BAD_MEDIA_TYPE (`unsupported_content_type`) where no text can be made of the type, TOO_LARGE
        (`response_too_large`), BAD_REQUEST naming a selector or page range that cannot be read, UPSTREAM_TIMEOUT
        (`timeout`) where the page took too long, UPSTREAM_FAILED (`fetch_failed`) where it cannot be read, UNAVAILABLE
        where too many wait.
        """
        if self._closed or self._waiting >= self._max_waiting:
            raise MiraError(Kind.UNAVAILABLE, "Too many pages are being converted; try again.", retry_after_s=1)
        data = frame(Job(source=source, options=options, cpu_s=self._cpu_s))
        try:
            async with asyncio.timeout(deadline_s), self._slot(), self._worker() as worker:
                reply = await worker.ask(data)
        except TimeoutError:
            raise _late() from None
        except EOFError:
            raise MiraError(
                Kind.UPSTREAM_FAILED, "The page took too much memory or time to convert.", code="fetch_failed"
            ) from None
        if isinstance(reply, Refused):
            raise _refusal(reply)
        return reply.extracted

    async def close(self) -> None:
        """Ends every worker; extractions that run fail, later ones are refused."""
        self._closed = True
        if self._ending is not None:
            self._ending.cancel()
        if self._warming is not None:
            self._warming.cancel()
            with suppress(asyncio.CancelledError):
                await self._warming
        for worker in (*self._idle, *self._busy):
            await worker.kill()
        self._idle.clear()
        await asyncio.gather(*self._farewells)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator["_Worker"]:
        """A worker of one's own; it lives on only if the page was answered and it is still small."""
        if self._warming is not None and not self._idle:
            await asyncio.wait([self._warming])
        self._idle = [worker for worker in self._idle if worker.alive]
        worker = self._idle.pop() if self._idle else _Worker(await _spawn())
        self._busy.add(worker)
        try:
            yield worker
        finally:
            self._busy.discard(worker)
            if worker.ready and worker.pages < self._pages and worker.resident_bytes < self._resident_bytes:
                self._idle.append(worker)
                self._end_later()
            else:
                # A task of its own: a caller that is cancelled must not leave the process behind.
                farewell = asyncio.create_task(worker.kill())
                self._farewells.add(farewell)
                farewell.add_done_callback(self._farewells.discard)

    async def _warm(self) -> None:
        try:
            self._idle.append(_Worker(await _spawn()))
        finally:
            self._warming = None
        self._end_later()

    def _end_later(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.get_running_loop().call_later(self._idle_s, self._end_idle)

    def _end_idle(self) -> None:
        self._ending = None
        while self._idle:
            farewell = asyncio.create_task(self._idle.pop().kill())
            self._farewells.add(farewell)
            farewell.add_done_callback(self._farewells.discard)


class _Worker:
    """One process. `ready` is true between pages, and never again after a page was cut."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.ready = True
        self.pages = 0
        self.resident_bytes = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def ask(self, data: bytes) -> Reply:
        """The reply; EOFError where the process died of the page."""
        writer, reader = self._process.stdin, self._process.stdout
        assert writer is not None
        assert reader is not None
        self.ready = False
        try:
            # In pieces, so that a large page does not keep the event loop from its other work.
            for start in range(0, len(data), _CHUNK_BYTES):
                writer.write(data[start : start + _CHUNK_BYTES])
                await writer.drain()
            size = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
            if size > _MAX_REPLY_BYTES:
                raise EOFError
            reply = decode_reply(await reader.readexactly(size))
        except OSError:
            raise EOFError from None
        self.ready = True
        self.pages += 1
        self.resident_bytes = reply.resident_bytes
        return reply

    async def kill(self) -> None:
        """Ends the process, which keeps nothing that could be lost, and waits for its end."""
        self.ready = False
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


async def _spawn() -> Process:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # One thread: more would only take memory for pages this small.
    environment["OPENBLAS_NUM_THREADS"] = environment["OMP_NUM_THREADS"] = "1"
    # -P: a folder named mira in the working directory must not be taken for this package.
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "mira.fetch.extract.worker",
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env=environment,
    )


def _late() -> MiraError:
    return MiraError(Kind.UPSTREAM_TIMEOUT, "The page could not be converted in time.", code="timeout")


def _refusal(refused: Refused) -> MiraError:
    match refused.reason:
        case "unsupported":
            message = "No text can be made of what the URL gives; ask for format raw to get a picture."
            return MiraError(Kind.BAD_MEDIA_TYPE, message, code="unsupported_content_type")
        case "office_missing":
            message = "Office documents need the extra `office` of this gateway (mira[office])."
            return MiraError(Kind.BAD_MEDIA_TYPE, message, code="unsupported_content_type")
        case "bad_option":
            return MiraError(Kind.BAD_REQUEST, f"`{refused.param}` cannot be read.", param=refused.param)
        case "too_large":
            return MiraError(Kind.TOO_LARGE, "What the URL gives is too large.", code="response_too_large")
        case "unreadable" | "failed":
            return MiraError(Kind.UPSTREAM_FAILED, "What the URL gives cannot be read.", code="fetch_failed")
