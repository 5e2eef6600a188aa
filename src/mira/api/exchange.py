"""The relay's exchange over ASGI, on Mira's own subclass of uvicorn's HTTP protocol.

Requests come by ASGI's `receive`. Answers are written to the connection directly: a whole answer in one piece, a piece
of a stream in one call without a task or a suspension, which uvicorn's `send` cannot do. While the client is slow,
pieces wait here; they are bounded because the relay pauses the node.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from mira.api.arrival import BODY_TIMEOUT_S, deadline_s, too_slow
from mira.api.wire import STALLED_CLIENT_S, WireProtocol
from mira.collaborators import ClientLeft, Headers
from mira.errors import Kind, MiraError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

CHUNKED = (b"transfer-encoding", b"chunked")
#: Lists that clients may send in several headers of one name (Anthropic's previews).
LISTS = frozenset((b"anthropic-beta",))


class AsgiExchange:
    """One request and its answer (see `mira.collaborators.Exchange`). `more_headers` go with every answer."""

    __slots__ = (
        "_cycle",
        "_more_headers",
        "_pending",
        "_receive",
        "_sent",
        "_stall_timer",
        "_wire",
        "gone",
        "head",
        "on_gone",
        "on_resume",
        "paused",
    )

    body_timeout_s = BODY_TIMEOUT_S
    stalled_client_s = STALLED_CLIENT_S

    def __init__(self, scope: Scope, receive: Receive, more_headers: Headers) -> None:
        self._wire: WireProtocol = scope["mira.wire"]
        assert self._wire.answering is not None
        self._cycle: RequestResponseCycle = self._wire.answering
        self._sent: Headers = scope["headers"]
        self.head: Mapping[bytes, bytes] = dict(self._sent)
        self._more_headers = more_headers
        self._receive = receive
        self._pending: list[bytes] = []
        self._stall_timer: asyncio.TimerHandle | None = None
        self.gone = self._wire.lost
        self.paused = self._wire.flow.write_paused
        self.on_gone: Callable[[], object] | None = None
        self.on_resume: Callable[[], object] | None = None
        self._wire.exchange = self

    def header(self, name: bytes) -> str | None:
        """A request header by its lower-case name; the last one where it was sent twice, unless it is a list."""
        value = self.head.get(name)
        if value is not None and name in LISTS:
            value = b",".join(each for sent, each in self._sent if sent == name)
        return None if value is None else value.decode("latin-1")

    async def body(self, limit_bytes: int) -> bytes:
        """The whole body, refused as soon as it is known to be too large."""
        declared = self.head.get(b"content-length")
        if declared is not None and declared.isdigit() and int(declared) > limit_bytes:
            raise self._too_large(limit_bytes)
        if not self._cycle.more_body:
            self._read_whole()
            return bytes(self._cycle.body)
        pieces: list[bytes] = []
        size = 0
        began_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(deadline_s(began_s, 0, self.body_timeout_s)) as limit:
                while True:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        self.gone = True
                        raise ClientLeft
                    pieces.append(message["body"])
                    size += len(message["body"])
                    if size > limit_bytes:
                        raise self._too_large(limit_bytes)
                    limit.reschedule(deadline_s(began_s, size, self.body_timeout_s))
                    if not message["more_body"]:
                        self._read_whole()
                        return b"".join(pieces)
        except TimeoutError:
            raise too_slow(self.body_timeout_s) from None

    def start(self, status: int, headers: Headers) -> None:
        """Sends the head of a streamed answer."""
        headers.append(CHUNKED)
        headers += self._more_headers
        self._cycle.response_started = True
        self._write(self._wire.head(self._cycle, status, headers))

    def write(self, data: bytes) -> None:
        """Sends a piece of a streamed answer, or keeps it until the client reads again."""
        if self.paused or self.gone:
            self._write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self._wire.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self, data: bytes) -> None:
        """Sends the last piece; waits for a slow client, not for ever."""
        self._write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n")
        while self._pending and not self.gone:
            await self._wire.flow.drain()
        self._finish()

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Sends a whole answer. A request body that has not come ends the connection after it."""
        if self.gone:
            return
        headers.append((b"content-length", b"%d" % len(body)))
        headers += self._more_headers
        if self._cycle.more_body:
            self._cycle.keep_alive = False
        self._write(self._wire.head(self._cycle, status, headers) + body)
        self._finish()

    def cancel(self) -> None:
        """Cancels the task that answers this request."""
        task = self._wire.task_of(self._cycle)
        if task is not None:
            task.cancel()

    def stalled(self) -> None:
        """The client stopped reading: its connection is cut unless it goes on in time."""
        self.paused = True
        if self._stall_timer is None:
            self._stall_timer = asyncio.get_running_loop().call_later(self.stalled_client_s, self._wire.transport.abort)

    def resumed(self) -> None:
        """The client reads again: what waited is sent, then the node goes on."""
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        self.paused = False
        if self._pending and not self.gone:
            data = b"".join(self._pending)
            self._pending.clear()
            self._wire.transport.write(data)  # may pause again
        if self.on_resume is not None and not self.paused:
            self.on_resume()

    def lost(self) -> None:
        """The connection is gone."""
        self.gone = True
        self._pending.clear()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        if self.on_gone is not None:
            self.on_gone()

    def _too_large(self, limit_bytes: int) -> MiraError:
        self._cycle.keep_alive = False
        return MiraError(Kind.TOO_LARGE, f"the body is larger than {limit_bytes // 2**20} MiB")

    def _read_whole(self) -> None:
        # A large body stops the reading, and only a connection that is read shows that its client leaves.
        if self._wire.flow.read_paused and not self._wire.pipeline:
            self._wire.flow.resume_reading()

    def _write(self, data: bytes) -> None:
        if self.gone:
            return
        if self.paused:
            self._pending.append(data)
        else:
            self._wire.transport.write(data)

    def _finish(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        self.on_gone = self.on_resume = None
        if self._wire.exchange is self:
            self._wire.exchange = None
        if not self.gone:
            self._wire.finished(self._cycle)


class PlainExchange(AsgiExchange):
    """For clients of HTTP/1.0, which knows no chunks: a stream ends with its connection."""

    __slots__ = ()

    def start(self, status: int, headers: Headers) -> None:
        """Sends the head of a streamed answer."""
        headers += self._more_headers
        self._cycle.response_started = True
        self._write(self._wire.head(self._cycle, status, headers))

    def write(self, data: bytes) -> None:
        """Sends a piece of a streamed answer, or keeps it until the client reads again."""
        self._write(data)

    async def end(self, data: bytes) -> None:
        """Sends the last piece; waits for a slow client, not for ever."""
        self._write(data)
        while self._pending and not self.gone:
            await self._wire.flow.drain()
        self._finish()
