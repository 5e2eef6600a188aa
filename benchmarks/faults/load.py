"""A client that asks a gateway many times at once over bare sockets, and looks at every answer to its end."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec

#: What a request can become: answered whole, refused before content, ended in a typed error after it, cut without a
#: word, or never taken.
ANSWERED, REFUSED, BROKEN, CUT, UNREACHED = "answered", "refused", "broken", "cut", "unreached"

#: What every answer of the fleet begins with (`FaultyNode.answer`).
FIRST_WORD = b"word0"


class Outcome(msgspec.Struct, kw_only=True):
    """What became of one request. Times are the steady clock; `first_s` is the first content."""

    asked_s: float
    kind: str = CUT
    status: int = 0
    headers: dict[str, str] = {}
    body: bytes = b""
    first_s: float | None = None
    ended_s: float = 0.0

    @property
    def node(self) -> str:
        """The node that answered."""
        return self.headers.get("x-mira-node", "")

    @property
    def code(self) -> str:
        """The code of a typed error."""
        start = self.body.rfind(b'{"error"')
        try:
            error = msgspec.json.decode(self.body[start:].partition(b"\n")[0].partition(b"\r")[0])["error"]
            return str(error.get("code") or error["type"])
        except (msgspec.DecodeError, KeyError, TypeError):
            return ""

    @property
    def took_s(self) -> float:
        """From the request sent to the last byte."""
        return self.ended_s - self.asked_s


class Client:
    """Asks one gateway; connections are kept and used again."""

    def __init__(self, port: int, key: str, path: str = "/v1/chat/completions") -> None:
        self.port = port
        self.head = (
            f"POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n"
            "content-type: application/json\r\n"
        )
        self._idle: list[_Connection] = []

    async def ask(self, body: dict[str, Any], more: str = "") -> Outcome:
        """One request; whatever happens is an outcome. `more` are header lines."""
        data = msgspec.json.encode(body)
        request = f"{self.head}{more}content-length: {len(data)}\r\n\r\n".encode() + data
        outcome = Outcome(asked_s=time.monotonic())
        try:
            connection = self._idle.pop() if self._idle else await self._open()
        except OSError:
            outcome.kind = UNREACHED
        else:
            await connection.ask(request, outcome)
            if not connection.closed:
                self._idle.append(connection)
        outcome.ended_s = time.monotonic()
        return outcome

    def close(self) -> None:
        """Lets go of every connection."""
        for connection in self._idle:
            connection.transport.abort()
        self._idle.clear()

    async def _open(self) -> "_Connection":
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self), "127.0.0.1", self.port
        )
        return connection

    def forget(self, connection: "_Connection") -> None:
        """The gateway closed an idle connection."""
        if connection in self._idle:
            self._idle.remove(connection)


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    transport: asyncio.Transport

    def __init__(self, client: Client) -> None:
        self._client = client
        self._outcome: Outcome | None = None
        self._buffer = b""
        self._length: int | None = None
        self._done: asyncio.Future[None] | None = None
        self.closed = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    async def ask(self, request: bytes, outcome: Outcome) -> None:
        self._outcome, self._buffer = outcome, b""
        self._done = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        try:
            await self._done
        except asyncio.CancelledError:
            self.closed = True
            self.transport.abort()
            raise

    def data_received(self, data: bytes) -> None:
        outcome = self._outcome
        if outcome is None:
            return
        self._buffer += data
        if not outcome.status:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            first, *lines = head.decode("latin-1").split("\r\n")
            outcome.status = int(first.split(" ")[1])
            outcome.headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            self.closed = outcome.headers.get("connection") == "close"
            length = outcome.headers.get("content-length")
            self._length = int(length) if length is not None else None
            self._buffer = rest
        if outcome.first_s is None and FIRST_WORD in self._buffer:
            outcome.first_s = time.monotonic()
        whole = len(self._buffer) >= self._length if self._length is not None else self._buffer.endswith(b"0\r\n\r\n")
        if whole:
            outcome.kind = self._judged(outcome)
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._client.forget(self)
        self._finish()

    def _judged(self, outcome: Outcome) -> str:
        if outcome.status != 200:
            return REFUSED
        if self._length is not None:
            return ANSWERED if outcome.first_s is not None else CUT
        if b'"error"' in self._buffer:
            return BROKEN if outcome.first_s is not None else REFUSED
        return ANSWERED if b"data: [DONE]" in self._buffer and outcome.first_s is not None else CUT

    def _finish(self) -> None:
        if self._outcome is not None:
            self._outcome.body = self._buffer
            self._outcome = None
        if self._done is not None and not self._done.done():
            self._done.set_result(None)


def chat(
    model: str, *, stream: bool = False, text: str = "Say something.", cap: int = 64, **fields: Any
) -> dict[str, Any]:
    """A chat request's body."""
    return {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "stream": stream,
        "max_tokens": cap,
        **fields,
    }


async def in_turns(count: int, at_once: int, ask: Callable[[int], Awaitable[Outcome]]) -> list[Outcome]:
    """Asks `count` times, `at_once` at a time, each next as soon as one is over."""
    numbers = iter(range(count))

    async def worker() -> list[Outcome]:
        return [await ask(number) for number in numbers]

    return [outcome for found in await asyncio.gather(*(worker() for _ in range(at_once))) for outcome in found]


async def at_rate(per_s: float, seconds: float, ask: Callable[[int], Awaitable[Outcome]]) -> list[Outcome]:
    """Asks at a fixed rate whatever happens to earlier requests; returns when all are over, in the order asked."""
    began_s = time.monotonic()
    tasks: list[asyncio.Future[Outcome]] = []
    for number in range(int(per_s * seconds)):
        due_s = began_s + number / per_s
        if (wait_s := due_s - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)
        tasks.append(asyncio.ensure_future(ask(number)))
    return list(await asyncio.gather(*tasks))


def count(outcomes: Iterable[Outcome], kind: str) -> int:
    """How many became this."""
    return sum(1 for outcome in outcomes if outcome.kind == kind)


def percentile_s(times_s: Iterable[float], share: float) -> float:
    """The time that this share of all stays under; 0 where there are none."""
    ordered = sorted(times_s)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0
