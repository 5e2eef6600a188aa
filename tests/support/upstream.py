"""A scripted OpenAI-compatible upstream: a small HTTP/1.1 server on a real socket, in a thread with its own event loop.

Tests say per model what happens, byte for byte, and wait on what did happen:

    upstream.script("gpt-4o-mini", stream([*frames(chunk({"role": "assistant", "content": "Hi"})), gate, FIN]))
    request = upstream.received(1)[0]
    request.closed.wait()

A script is `async def script(turn)`, run in the upstream's own loop for one request.
"""

import asyncio
import concurrent.futures
import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from enum import Enum
from typing import Any

PATIENCE_S = 120.0
USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
CREATED_S = 1_700_000_000
DONE = b"data: [DONE]\n\n"


class Moment:
    """Something that happens once; any thread and any event loop can wait for it. `at_s` is the steady clock."""

    def __init__(self) -> None:
        self._future: concurrent.futures.Future[None] = concurrent.futures.Future()
        # A running future cannot be cancelled, so one waiter that gives up does not take it from the others.
        self._future.set_running_or_notify_cancel()
        self._lock = threading.Lock()
        self.at_s: float | None = None

    def happen(self) -> None:
        with self._lock:
            if self.at_s is None:
                self.at_s = time.monotonic()
                self._future.set_result(None)

    @property
    def happened(self) -> bool:
        return self._future.done()

    def wait(self, timeout_s: float = PATIENCE_S) -> None:
        self._future.result(timeout_s)

    def __await__(self) -> Generator[Any, None, None]:
        return asyncio.shield(asyncio.wrap_future(self._future)).__await__()


class Cut(Enum):
    """How an upstream leaves before its answer is whole."""

    FIN = "fin"
    RST = "rst"


FIN, RST = Cut.FIN, Cut.RST
Piece = bytes | Moment | Cut


class Request:
    """One request as it came. `closed` happens when the gateway closes its connection, `answered` when the script ends."""

    def __init__(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.method = method
        self.path = path
        self.header_list = headers
        self.headers = dict(headers)
        self.body = body
        self.at_s = time.monotonic()
        self.closed = Moment()
        self.answered = Moment()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def model(self) -> str | None:
        """The model that is asked for: in the body, or in the path as Gemini has it."""
        _, in_path, rest = self.path.partition("/models/")
        if in_path and ":" in rest:
            return rest.partition(":")[0]
        if self.headers.get("content-type", "").startswith("multipart/"):
            return self.form.get("model", b"").decode()
        return self.json.get("model") if self.body else None

    @property
    def form(self) -> dict[str, bytes]:
        """The parts of a form by their names; of several files of one name the last."""
        boundary = self.headers["content-type"].partition("boundary=")[2].encode()
        parts = {}
        for part in self.body.split(b"--" + boundary)[1:-1]:
            head, _, data = part.partition(b"\r\n\r\n")
            parts[head.partition(b'name="')[2].partition(b'"')[0].decode()] = data.removesuffix(b"\r\n")
        return parts


class Turn:
    """A script's hands on the wire, for one request."""

    def __init__(self, connection: "_Connection", request: Request) -> None:
        self._connection = connection
        self.request = request
        self._chunked = False

    async def head(
        self,
        status: int = 200,
        content_type: str | None = "application/json",
        headers: Iterable[tuple[str, str]] = (),
        length: int | None = None,
    ) -> None:
        """Sends the head; without a length the body is chunked, each piece a chunk of its own."""
        lines = [f"HTTP/1.1 {status} Whatever"]
        lines += [f"content-type: {content_type}"] if content_type else []
        lines += [f"{name}: {value}" for name, value in headers]
        self._chunked = length is None
        lines.append("transfer-encoding: chunked" if length is None else f"content-length: {length}")
        await self.raw("\r\n".join([*lines, "", ""]).encode())

    async def raw(self, data: bytes) -> None:
        await self._connection.write(data)

    async def send(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    async def end(self) -> None:
        if self._chunked:
            await self.raw(b"0\r\n\r\n")

    def cut(self, how: Cut) -> None:
        self._connection.cut(how)

    async def play(self, pieces: Iterable[Piece]) -> None:
        """Sends pieces, waits at moments; ends the body unless a cut comes."""
        for piece in pieces:
            if isinstance(piece, Moment):
                await piece
            elif isinstance(piece, Cut):
                self.cut(piece)
                return
            else:
                await self.send(piece)
        await self.end()


Script = Callable[[Turn], Awaitable[None]]


class Upstream:
    """Listens on a free loopback port from `start` to `stop`. Unscripted models get a short whole or streamed answer."""

    def __init__(self, models: Sequence[str] = ("gpt-4o-mini",)) -> None:
        self.models: list[str | dict[str, Any]] = list(models)
        self.requests: list[Request] = []
        self.faults: list[BaseException] = []
        self._scripts: dict[str, list[Script]] = {}
        self._arrived = threading.Condition()
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="scripted-upstream")
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> "Upstream":
        self._thread.start()
        self._server = self._run(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        assert not self.faults, self.faults

    def script(self, model: str, *scripts: Script) -> None:
        """What happens to requests for a model: one script after the other, the last one for all that follow."""
        self._scripts[model] = list(scripts)

    def reset(self) -> None:
        """Forgets scripts and requests."""
        with self._arrived:
            self._scripts.clear()
            self.requests.clear()

    def received(self, count: int, model: str | None = None, timeout_s: float = PATIENCE_S) -> list[Request]:
        """The chat requests so far (for a model), once there are as many."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.chats(model)) >= count, timeout_s), (
                f"{len(self.chats(model))} of {count} requests came"
            )
            return self.chats(model)

    def chats(self, model: str | None = None) -> list[Request]:
        """The chat requests so far (for a model)."""
        chats = [request for request in list(self.requests) if request.method == "POST"]
        return [request for request in chats if model is None or request.model == model]

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=2048)

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for connection in list(self._connections):
            connection.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _take(self, connection: "_Connection", request: Request) -> None:
        with self._arrived:
            self.requests.append(request)
            script = _list_models(self.models) if request.method == "GET" else self._next(request.model or "")
            self._arrived.notify_all()
        task = self._loop.create_task(self._play(script, Turn(connection, request)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _next(self, model: str) -> Script:
        scripts = self._scripts.get(model)
        if not scripts:
            return answers_as_asked()
        return scripts.pop(0) if len(scripts) > 1 else scripts[0]

    async def _play(self, script: Script, turn: Turn) -> None:
        try:
            await script(turn)
        except (ConnectionError, asyncio.CancelledError):
            pass
        except Exception as fault:  # noqa: BLE001 - whatever a script does wrong fails the test
            self.faults.append(fault)
            turn.cut(RST)
        finally:
            turn.request.answered.happen()


class _Connection(asyncio.Protocol):
    """Takes requests apart, one at a time, and notices when the gateway leaves."""

    transport: asyncio.Transport

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._buffer = bytearray()
        self._requests: list[Request] = []
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._upstream._connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (request := self._parse()) is not None:
            self._requests.append(request)
            self._upstream._take(self, request)

    def eof_received(self) -> bool:
        self._gone()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._upstream._connections.discard(self)
        self._writable.set()
        self._gone()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def write(self, data: bytes) -> None:
        if self.transport.is_closing():
            raise ConnectionResetError
        self.transport.write(data)
        await self._writable.wait()

    def cut(self, how: Cut) -> None:
        if how is FIN:
            self.transport.close()
            return
        sock = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _gone(self) -> None:
        for request in self._requests:
            request.closed.happen()

    def _parse(self) -> Request | None:
        head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not found:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        length = int(dict(headers).get("content-length", "0"))
        assert "transfer-encoding" not in dict(headers), "the gateway sends its requests with a length"
        if len(rest) < length:
            return None
        self._buffer[:] = rest[length:]
        return Request(method, path, headers, rest[:length])


# What an upstream says


def completion(
    content: str | None = "Hello there.",
    *,
    model: str = "gpt-4o-mini",
    finish: str = "stop",
    usage: dict[str, Any] | None = USAGE,
    **message: Any,
) -> dict[str, Any]:
    """A whole answer; `message` adds fields to it (`tool_calls`, `refusal`, `reasoning_content`, …)."""
    body: dict[str, Any] = {
        "id": "chatcmpl-upstream",
        "object": "chat.completion",
        "created": CREATED_S,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "logprobs": None,
                "finish_reason": finish,
            }
        ],
    }
    return body if usage is None else {**body, "usage": usage}


def chunk(
    delta: dict[str, Any] | None = None, *, finish: str | None = None, model: str = "gpt-4o-mini", **more: Any
) -> dict[str, Any]:
    """One chunk of a stream; without a delta and a finish it has no choices (the usage chunk)."""
    choices = [] if delta is None and finish is None else [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    return {
        "id": "chatcmpl-upstream",
        "object": "chat.completion.chunk",
        "created": CREATED_S,
        "model": model,
        "choices": choices,
        **more,
    }


def chunks(
    *texts: str, model: str = "gpt-4o-mini", usage: dict[str, Any] | None = USAGE, finish: str = "stop"
) -> list[dict[str, Any]]:
    """The chunks of a plain streamed answer: the role first, one chunk per text, the finish, the usage."""
    body = [
        chunk({"role": "assistant", "content": ""}, model=model),
        *(chunk({"content": text}, model=model) for text in texts),
        chunk({}, finish=finish, model=model),
    ]
    return body if usage is None else [*body, chunk(model=model, usage=usage)]


def frame(value: Any) -> bytes:
    """One SSE frame."""
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def frames(*values: Any) -> list[bytes]:
    """One piece per chunk, without `[DONE]`."""
    return [frame(value) for value in values]


# Scripts


def answers(
    body: Any,
    status: int = 200,
    *,
    headers: Iterable[tuple[str, str]] = (),
    content_type: str | None = "application/json",
    hold: Moment | None = None,
) -> Script:
    """A whole answer (bytes as they are, else JSON); with `hold` nothing is said before that moment."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def script(turn: Turn) -> None:
        if hold is not None:
            await hold
        await turn.head(status, content_type, headers, len(data))
        await turn.send(data)

    return script


def streams(
    pieces: Iterable[Piece],
    *,
    content_type: str | None = "text/event-stream",
    headers: Iterable[tuple[str, str]] = (),
    hold: Moment | None = None,
) -> Script:
    """A streamed answer, piece by piece as given (no `[DONE]` is added): bytes, moments to wait for, a cut."""
    played = list(pieces)

    async def script(turn: Turn) -> None:
        if hold is not None:
            await hold
        await turn.head(200, content_type, headers)
        await turn.play(played)

    return script


def answers_as_asked(text: str = "Hello there.", usage: dict[str, Any] | None = USAGE) -> Script:
    """A short answer, streamed in words where the request wants a stream."""

    async def script(turn: Turn) -> None:
        asked = turn.request.json
        if not asked.get("stream"):
            await answers(completion(text, model=asked["model"], usage=usage))(turn)
            return
        words = [word if index == 0 else f" {word}" for index, word in enumerate(text.split(" "))]
        told = usage if (asked.get("stream_options") or {}).get("include_usage") else None
        await streams([*frames(*chunks(*words, model=asked["model"], usage=told)), DONE])(turn)

    return script


def hangs() -> Script:
    """Takes the request and says nothing until the gateway leaves."""

    async def script(turn: Turn) -> None:
        await turn.request.closed

    return script


def _list_models(models: Sequence[str | dict[str, Any]]) -> Script:
    rows = [{"id": model, "object": "model", "created": 1, "owned_by": "upstream"} if isinstance(model, str) else model
            for model in models]  # fmt: skip
    return answers({"object": "list", "data": rows})
