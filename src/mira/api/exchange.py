"""The relay's exchange, straight from a connection and to it.

A request is taken as the parser tells it; its answer is written in one piece where it is whole, and in one call without
a task or a suspension for each piece of a stream. While the client is slow, pieces wait here; they are bounded because
the relay pauses the node.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from mira.api.arrival import deadline_s, too_slow
from mira.collaborators import ClientLeft, Headers
from mira.core.octets import CR, LF
from mira.errors import Kind, MiraError

if TYPE_CHECKING:
    from mira.api.wire import WireProtocol

Fixed = tuple[tuple[bytes, bytes], ...]

CHUNKED = (b"transfer-encoding", b"chunked")
CLOSE = (b"connection", b"close")
#: Lists that clients may send in several headers of one name (Anthropic's previews).
LISTS = (b"anthropic-beta",)
PLAIN_TEXT = (b"content-type", b"text/plain; charset=utf-8")
FAILED = b"Internal Server Error"
log = logging.getLogger("mira.api")


class WireExchange:
    """One request and its answer (see `mira.collaborators.Exchange`).

    `sent` are the request's headers with lower-case names, `more_headers` go with every answer. While `more_body`, the
    connection has not read all of the request; without `keep_alive` it ends with the answer.
    """

    # What most requests never change stands here, so that none has to set it.
    gone = False
    paused = False
    on_gone: Callable[[], object] | None = None
    on_resume: Callable[[], object] | None = None
    more_headers: Fixed = ()
    #: How it is told where a stream ends.
    framing: Fixed = (CHUNKED,)
    more_body = True
    response_started = False
    response_complete = False
    #: Done once whoever waits for the body should look at it again.
    arrival: asyncio.Future[None] | None = None
    task: asyncio.Task[None] | None = None
    _body: bytes | bytearray = b""
    #: With more of the body than this, somebody has to act.
    _most_bytes = HIGH_WATER_LIMIT
    _arrival_timer: asyncio.TimerHandle | None = None
    _pending: list[bytes] | None = None

    def __init__(self, wire: "WireProtocol", sent: Headers, keep_alive: bool) -> None:
        self._wire = wire
        self.sent = sent
        self.keep_alive = keep_alive
        # Where an answer's bytes go now: to the client, to what waits for it, or nowhere once it is gone.
        self._send: Callable[[bytes], object] = wire.transport.write
        head = dict(sent)
        self.head: Mapping[bytes, bytes] = head
        if len(head) != len(sent):
            for name in LISTS:
                if name in head:
                    head[name] = b",".join(value for each, value in sent if each == name)

    # The request

    def header(self, name: bytes) -> str | None:
        """A request header by its lower-case name; the last one where it was sent twice, unless it is a list."""
        value = self.head.get(name)
        return None if value is None else value.decode("latin-1")

    def scope(self) -> dict[str, Any]:
        """The head as ASGI has it, for what reads heads in that form; it does not tell the path."""
        wire = self._wire
        return {
            "type": "http",
            "method": "POST",
            "scheme": wire.scheme,
            "server": wire.server,
            "client": wire.client,
            "root_path": "",
            "path": "/",
            "query_string": b"",
            "headers": self.sent,
            "mira.listener": wire.listener,
        }

    async def body(self, limit_bytes: int) -> bytes:
        """The whole body, refused as soon as it is known to be too large."""
        if self.more_body:
            await self._arrive(limit_bytes)
        elif len(self._body) > limit_bytes:
            raise self._too_large(limit_bytes)
        # A large body stops the reading, and only a connection that is read shows that its client leaves.
        if self._wire.flow.read_paused and not self._wire.pipeline:
            self._wire.flow.resume_reading()
        body, self._body = self._body, b""
        return body if isinstance(body, bytes) else bytes(body)

    def take(self, piece: bytes) -> None:
        """A piece of the body has come, nearly always the only one."""
        if self._body or len(piece) > self._most_bytes:
            self._take_more(piece)
        else:
            self._body = piece

    def _take_more(self, piece: bytes) -> None:
        """Until somebody waits for the body, not much of it is read; then no more than may be."""
        if self.response_complete:
            return
        body = self._body
        if not isinstance(body, bytearray):
            body = self._body = bytearray(body)
        body += piece
        if len(body) <= self._most_bytes:
            return
        if self.arrival is None:
            self._wire.flow.pause_reading()
        else:
            self.look()

    def look(self) -> None:
        """Whoever waits for the body shall look: it is whole, too large or late, or its client has gone."""
        if self.arrival is not None and not self.arrival.done():
            self.arrival.set_result(None)

    async def _arrive(self, limit_bytes: int) -> None:
        """Waits until the body is whole. MiraError TOO_LARGE, BAD_REQUEST where it is late; ClientLeft."""
        declared = self.head.get(b"content-length")
        told_bytes = int(declared) if declared is not None and declared.isdigit() else 0
        if max(told_bytes, len(self._body)) > limit_bytes:
            raise self._too_large(limit_bytes)
        if self.gone:
            raise ClientLeft
        wire = self._wire
        if waits_to_continue(self.sent) and not wire.transport.is_closing():
            wire.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._most_bytes = limit_bytes
        wire.flow.resume_reading()
        self.arrival = wire.loop.create_future()
        self._hurry(wire.loop.time())
        try:
            await self.arrival
        finally:
            self.arrival = None
            if self._arrival_timer is not None:
                self._arrival_timer.cancel()
                self._arrival_timer = None
        if self.gone:
            raise ClientLeft
        if len(self._body) > limit_bytes:
            raise self._too_large(limit_bytes)
        if self.more_body:
            raise too_slow(wire.body_timeout_s)

    def _hurry(self, began_s: float) -> None:
        """Looks again when the time is over that the body has for what has come of it."""
        loop = self._wire.loop
        until_s = deadline_s(began_s, len(self._body), self._wire.body_timeout_s)
        if loop.time() >= until_s:
            self.look()
        else:
            self._arrival_timer = loop.call_at(until_s, self._hurry, began_s)

    def _too_large(self, limit_bytes: int) -> MiraError:
        self.keep_alive = False
        return MiraError(Kind.TOO_LARGE, f"the body is larger than {limit_bytes // 2**20} MiB")

    # The answer

    def start(self, status: int, headers: Headers) -> None:
        """Sends the head of a streamed answer."""
        head = self._answer(status, headers, self.framing, b"")
        self.response_started = True
        self._send(head)

    def write(self, data: bytes) -> None:
        """Sends a piece of a streamed answer, or keeps it until the client reads again."""
        self._send(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self, data: bytes) -> None:
        """Sends the last piece; waits for a slow client, not for ever."""
        await self._end(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n")

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Sends a whole answer. A request body that has not come ends the connection after it."""
        if self.gone:
            return
        if self.more_body:
            self.keep_alive = False
        self._send(self._answer(status, headers, ((b"content-length", b"%d" % len(body)),), body))
        if self._pending:
            await self._wait()
        if not self.gone:
            self._wire.finished(self)

    def cancel(self) -> None:
        """Cancels the task that answers this request."""
        if self.task is not None:
            self.task.cancel()

    def stalled(self) -> None:
        """The client stopped reading: what is written waits here."""
        self.paused = True
        if self._pending is None:
            self._pending = []
        self._send = self._pending.append

    def resumed(self) -> None:
        """The client reads again: what waited is sent, then the node goes on."""
        self.paused = False
        self._send = self._wire.transport.write
        if self._pending:
            data = b"".join(self._pending)
            self._pending.clear()
            self._send(data)  # may pause again
        if self.on_resume is not None and not self.paused:
            self.on_resume()

    def lost(self) -> None:
        """The connection is gone."""
        self.gone = True
        self._pending = None
        self._send = _to_nobody
        self.look()
        if self.on_gone is not None:
            self.on_gone()

    def over(self, task: asyncio.Task[None]) -> None:
        """The task has ended, which should have answered."""
        # What they belong to knows the exchange: each would keep the other for the collector.
        self.on_gone = self.on_resume = None
        self._wire.tasks.discard(task)
        if task.cancelled() or task.exception() is not None or not self.response_complete:
            self._fail(task)

    def _fail(self, task: asyncio.Task[None]) -> None:
        failure = None if task.cancelled() else task.exception()
        if failure is not None or not self.gone:
            log.error("a request ended without its answer", exc_info=failure)
        if self.gone:
            return
        if self.response_started or self.response_complete:
            self._wire.transport.close()
        else:
            self.keep_alive = False
            self._send(self._answer(500, [PLAIN_TEXT], ((b"content-length", b"%d" % len(FAILED)),), FAILED))
            self._wire.finished(self)

    def _answer(self, status: int, headers: Headers, framing: Fixed, body: bytes) -> bytes:
        """The bytes of a head, and a body. Values that could end a header early are refused (ValueError)."""
        lines = [*self._wire.server_state.default_headers, *headers, *framing, *self.more_headers]
        if not self.keep_alive:
            lines.append(CLOSE)
        head = b"\r\n".join(map(b": ".join, lines))
        breaks = len(lines) - 1
        if head.count(CR) != breaks or head.count(LF) != breaks:
            raise ValueError("a header must not hold a line break")
        return b"".join((STATUS_LINE[status], head, b"\r\n\r\n", body))

    async def _end(self, data: bytes) -> None:
        self._send(data)
        if self._pending:
            await self._wait()
        if not self.gone:
            self._wire.finished(self)

    async def _wait(self) -> None:
        """Until the client has read so much that nothing waits here."""
        while self._pending:
            await self._wire.flow.drain()


class PlainExchange(WireExchange):
    """For clients of HTTP/1.0, which knows no chunks: a stream ends with its connection."""

    framing = ()

    def write(self, data: bytes) -> None:
        """Sends a piece of a streamed answer, or keeps it until the client reads again."""
        self._send(data)

    async def end(self, data: bytes) -> None:
        """Sends the last piece; waits for a slow client, not for ever."""
        await self._end(data)


def waits_to_continue(headers: Headers) -> bool:
    """Whether a client sends its body only when it is told to."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def has_body(headers: Headers) -> bool:
    """Whether a head announces a body."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0") != b"")
        for name, value in headers
    )


def _to_nobody(_: bytes) -> None:
    """Where the bytes go that are written to a client that has gone."""
