"""Keeps the local model running: fetches its pack, starts the runtime, restarts it when it dies, ends it with Mira."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from mira.errors import Kind, MiraError
from mira.nodes.local.child import start
from mira.nodes.local.lending import State, borrowed
from mira.nodes.local.packs import GGUF_MODEL_ID, GGUF_N_CTX, SLOTS, Pack
from mira.nodes.local.progress import Report
from mira.nodes.local.pull import PullError, end, pull
from mira.nodes.local.runtime import Hello, UnusableError

RESTART_FIRST_S = 0.5
RESTART_MOST_S = 60.0
STABLE_AFTER_S = 60.0
REFETCH_FIRST_S = 30.0
REFETCH_MOST_S = 900.0
STARTING_ABOUT_S = 5.0
BORROW_S = 0.5

_log = logging.getLogger(__name__)


class TokenizeTarget(msgspec.Struct, frozen=True):
    """Where the model counts tokens: POST `tokenize_body(text)` to `url` with `headers`, read with `tokens_counted`."""

    url: str
    headers: dict[str, str]


class _Tokens(msgspec.Struct):
    tokens: list[int]


def tokenize_body(text: str) -> bytes:
    """The body for a `TokenizeTarget`; words that look like control tokens count as the text they are."""
    return msgspec.json.encode({"content": text, "add_special": False, "parse_special": False})


def tokens_counted(answer: bytes) -> int:
    """The number of tokens in the answer of a `TokenizeTarget`; raises msgspec.DecodeError where it is none."""
    return len(msgspec.json.decode(answer, type=_Tokens).tokens)


class LocalNode:
    """The embedded node.

    `state` and `detail` (one line for people) say how it is; `progress` is bytes done and bytes in all of a fetch.
    `base_url` and `api_key` are of use while `state` is "ready" and change with every start of the runtime.
    `context_tokens` is what one request may use, prompt and answer together. `on_change` is called, in the event loop,
    after each change of any of them. A problem that no waiting cures (no runtime installed, not a model file) is not
    tried again; everything else is, less and less often. Where another process runs the model, `lent` is the file in
    which it says so (see `lending`).
    """

    def __init__(
        self,
        model: Pack | Path,
        cache_dir: Path,
        on_change: Callable[["LocalNode"], None] = lambda _node: None,
        *,
        lent: Path | None = None,
    ) -> None:
        self.state: State = "stopped"
        self.detail = "not started"
        self.progress = (0, 0)
        self.base_url = ""
        self.api_key = ""
        self.slots = model.slots if isinstance(model, Pack) else SLOTS
        self.model_id = model.model_id if isinstance(model, Pack) else GGUF_MODEL_ID
        self.context_tokens = model.context_tokens if isinstance(model, Pack) else GGUF_N_CTX // SLOTS
        self.on_change = on_change
        self._model = model
        self._cache_dir = cache_dir
        self._n_ctx = model.n_ctx if isinstance(model, Pack) else GGUF_N_CTX
        self._task: asyncio.Task[None] | None = None
        self._retry_at_s = 0.0
        self._fetch_began_s = 0.0
        self._lent = lent

    def start(self) -> None:
        """Starts fetching and serving in the background; needs a running event loop and does not wait."""
        if self._task is None:
            work = self._run() if self._lent is None else self._borrow(self._lent)
            self._task = asyncio.create_task(work, name="local-node")

    async def stop(self) -> None:
        """Ends the child process, whichever it is, and returns when it is gone."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._change("stopped", "stopped")

    @property
    def retry_after_s(self) -> int:
        """Whole seconds after which a refused call is worth repeating, an estimate between 1 and 900."""
        if self.state == "fetching":
            done, total = self.progress
            spent_s = time.monotonic() - self._fetch_began_s
            left_s = spent_s * (total - done) / done if done else 30.0
            return round(min(max(left_s + STARTING_ABOUT_S, STARTING_ABOUT_S), 120.0))
        if self.state == "failed":
            return round(min(max(self._retry_at_s - time.monotonic(), 1.0), REFETCH_MOST_S))
        return round(STARTING_ABOUT_S)

    @property
    def tokenize_target(self) -> TokenizeTarget:
        """Where to count tokens; raises `refusal()` while the model is not ready."""
        if self.state != "ready":
            raise self.refusal()
        url = self.base_url.removesuffix("/v1") + "/tokenize"
        return TokenizeTarget(url, {"authorization": f"Bearer {self.api_key}", "content-type": "application/json"})

    def refusal(self) -> MiraError:
        """The error for a call that arrives while the model is not ready: 503 with `retry-after`."""
        message = f"The local model {self.model_id} is not ready: {self.detail.rstrip('.')}."
        return MiraError(Kind.UNAVAILABLE, message, code="model_not_ready", retry_after_s=self.retry_after_s)

    async def _run(self) -> None:
        path = self._model if isinstance(self._model, Path) else await self._fetch(self._model)
        wait_s = RESTART_FIRST_S
        while True:
            began_s = time.monotonic()
            try:
                code = await self._serve_until_it_ends(path)
                problem = f"the runtime ended with code {code}"
            except UnusableError as error:
                _log.error("the local model cannot be served: %s", error)
                self._fail(str(error), REFETCH_MOST_S)
                return
            except OSError as error:
                problem = f"the runtime cannot be started: {error.strerror}"
            if time.monotonic() - began_s >= STABLE_AFTER_S:
                wait_s = RESTART_FIRST_S
            _log.warning("the local model: %s; starting it again in %.1f s", problem, wait_s)
            self._fail(problem, wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, RESTART_MOST_S)

    async def _borrow(self, path: Path) -> None:
        """Follows what the process says that runs the model."""
        known = None
        while True:
            loan = borrowed(path)
            if loan != known:
                known = loan
                self.progress, self.base_url, self.api_key = loan.progress, loan.base_url, loan.api_key
                self.context_tokens = loan.context_tokens or self.context_tokens
                self._change(loan.state, loan.detail)
            await asyncio.sleep(BORROW_S)

    async def _fetch(self, pack: Pack) -> Path:
        told = ""

        def follow(report: Report) -> None:
            nonlocal told
            if report.detail not in {"", told} and report.state != "failed":
                told = report.detail
                _log.info("fetching %s: %s", pack.name, " ".join(filter(None, (report.source, report.detail))))
            self.progress = (report.done, report.total)
            verb = "checking" if report.state == "verifying" else "fetching"
            size = f", {report.done / 1e6:.0f} of {report.total / 1e6:.0f} MB" if report.total else ""
            self._change("fetching", f"{verb} {pack.name}{size}")

        wait_s = REFETCH_FIRST_S
        while not pack.is_complete(self._cache_dir):
            self._fetch_began_s = time.monotonic()
            self.progress = (0, pack.download_bytes)
            self._change("fetching", f"fetching {pack.name}")
            try:
                await pull(pack, self._cache_dir, follow)
                continue
            except PullError as error:
                problem = str(error)
            except OSError as error:
                problem = f"the fetch cannot be started: {error.strerror}"
            _log.warning("%s; trying again in %.0f s", problem, wait_s)
            self._fail(problem, wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, REFETCH_MOST_S)
        return pack.model_path(self._cache_dir)

    async def _serve_until_it_ends(self, path: Path) -> int:
        """Runs the child once and returns its exit code; raises UnusableError where the child says so."""
        self._change("starting", f"loading {path.name}")
        process, key = await start("mira.nodes.local.runtime", str(path), self.model_id, str(self._n_ctx))
        assert process.stdout is not None
        try:
            line = await process.stdout.readline()
            hello = msgspec.json.decode(line, type=Hello) if line else Hello()
            if hello.error:
                raise UnusableError(hello.error)
            if hello.address:
                self.base_url, self.api_key = f"{hello.address}/v1", key
                self.context_tokens = hello.context_tokens
                self._change("ready", f"{self.model_id} answers")
            return await process.wait()
        finally:
            await end(process)

    def _fail(self, problem: str, wait_s: float) -> None:
        self._retry_at_s = time.monotonic() + wait_s
        self._change("failed", problem)

    def _change(self, state: State, detail: str) -> None:
        self.state, self.detail = state, detail
        self.on_change(self)
