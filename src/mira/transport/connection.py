"""One connection to an upstream: an asyncio protocol that carries one exchange after the other.

No task and no timer belongs to it: the pool's sweep calls `check`. Per read of the socket there is one call of the
parser and one of the consumer; the body's pieces in between are collected by a method of list, not by Python code.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from mira.transport.errors import Phase, StaleConnectionError, TransportError
from mira.transport.inflate import inflater_for
from mira.transport.response import Response
from mira.transport.settings import Limits, Timeouts

SLICE_BYTES = 256 * 1024


class Owner(Protocol):
    """What the connection tells its pool."""

    def release(self, connection: "Connection") -> None:
        """The exchange has ended well and the connection can be used again."""

    def gone(self, connection: "Connection") -> None:
        """The connection will not be used again; called once, as soon as that is known."""

    def lost(self, connection: "Connection") -> None:
        """Its descriptor is closed."""


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 on one transport; at most one exchange at a time.

    `served` counts finished exchanges, `born_s` and `idle_since_s` are times of the event loop that the pool sets and
    reads.
    """

    __slots__ = (
        "_answer",
        "_bodyless",
        "_done",
        "_drained",
        "_feed",
        "_foreign",
        "_head",
        "_head_bytes",
        "_headers",
        "_heard",
        "_keep",
        "_limits",
        "_outgoing_bytes",
        "_owner",
        "_parser",
        "_parts",
        "_paused",
        "_quiet_bytes",
        "_quiet_since_s",
        "_sent",
        "_sink",
        "_started_s",
        "_timeouts",
        "_to_eof",
        "_transport",
        "_write_paused",
        "born_s",
        "closed",
        "exchange",
        "idle_since_s",
        "on_body",
        "served",
    )

    def __init__(self, owner: Owner, limits: Limits) -> None:
        self._owner = owner
        self._limits = limits
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self.on_body = self._parts.append
        self._renew_parser()
        self.exchange: asyncio.Future[Response] | None = None
        self._head: asyncio.Future[Response] | None = None
        self._answer: Response | None = None
        self._sink: Callable[[bytes], None] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._drained: asyncio.Future[None] | None = None
        self._timeouts = Timeouts()
        self._write_paused = self._paused = self.closed = False
        self._bodyless = self._to_eof = self._done = self._keep = self._foreign = self._heard = False
        self._sent = True
        self._head_bytes = self._quiet_bytes = self._outgoing_bytes = self.served = 0
        self._started_s = self._quiet_since_s = self.born_s = self.idle_since_s = 0.0

    def begin(
        self, data: bytes, *, bodyless: bool, whole: bool, timeouts: Timeouts, started_s: float, now_s: float
    ) -> asyncio.Future[Response]:
        """Write `data` and expect an answer; the future gets it when its final head is in.

        `bodyless`: the answer has no body whatever its head says (HEAD). `whole`: `data` is the complete request; if
        not, `upload` follows.
        """
        transport = self._transport
        assert transport is not None
        assert self.exchange is None
        self._head = self.exchange = head = asyncio.get_running_loop().create_future()
        self._bodyless = bodyless
        self._to_eof = self._done = self._keep = self._foreign = self._heard = False
        self._sent = whole
        self._head_bytes = self._quiet_bytes = 0
        self._timeouts = timeouts
        self._started_s = started_s
        self._quiet_since_s = now_s
        if self._headers:
            self._headers = []
        transport.write(data)
        return head

    async def upload(self, body: bytes) -> None:
        """Write a large body in slices as the upstream takes them; ends early when an answer or a failure is there."""
        head = self.exchange
        loop = asyncio.get_running_loop()
        view = memoryview(body)
        for start in range(0, len(view), SLICE_BYTES):
            while self._write_paused and self._head is not None and self._head is head:
                self._drained = loop.create_future()
                await self._drained
            if self._head is None or self._head is not head or self._transport is None:
                return
            self._transport.write(view[start : start + SLICE_BYTES])
        self._sent = True
        self._quiet_since_s = loop.time()

    def forsake(self, exchange: asyncio.Future[Response]) -> None:
        """The caller of this exchange was cancelled: close the connection, unless the exchange is over."""
        if self.exchange is exchange:
            self.abandon()

    def check(self, now_s: float) -> None:
        """Fail the exchange if a time limit has passed; called by the pool's sweep while one is under way."""
        limits = self._timeouts
        late: Phase | None = None
        if now_s - self._started_s > limits.total_s:
            late = "timeout-total"
        elif self._answer is not None:
            if self._heard or self._paused:
                self._heard = False
                self._quiet_since_s = now_s
            elif now_s - self._quiet_since_s > limits.idle_s:
                late = "timeout-idle"
        elif not self._sent:
            waiting = self._transport.get_write_buffer_size() if self._transport is not None else 0
            if waiting != self._outgoing_bytes:
                self._outgoing_bytes = waiting
                self._quiet_since_s = now_s
            elif now_s - self._quiet_since_s > limits.idle_s:
                late = "timeout-idle"
        elif limits.head_s is not None and now_s - self._quiet_since_s > limits.head_s:
            late = "timeout-head"
        if late is not None:
            self._fail(TransportError(late, reached=True))

    def shut(self) -> None:
        """The pool is closed: end whatever is under way."""
        self._fail(TransportError("closed", reached=True))

    def discard(self) -> None:
        """Close the connection at once; the pool is told, once."""
        if not self.closed:
            self.closed = True
            if self._transport is not None:
                self._transport.abort()
            self._owner.gone(self)

    # Called by the answer

    def pause(self) -> None:
        """Stop reading."""
        if not self._paused and self._transport is not None and not self.closed:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused and self._transport is not None and not self.closed:
            self._paused = False
            self._heard = True
            self._transport.resume_reading()

    def deliver_to(self, sink: Callable[[bytes], None]) -> None:
        """Hand the rest of the body to `sink`."""
        self._sink = sink

    def abandon(self) -> None:
        """Nobody wants the rest of the answer."""
        if self._answer is not None:
            self._answer.detach()
        self._forget()
        self.discard()

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio's protocol."""
        self._transport = cast("asyncio.Transport", transport)
        if self.closed:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Part of asyncio's protocol: feed the parser, then hand over what came."""
        if self.exchange is None:
            # Bytes that nobody asked for could only be taken for the next answer.
            self.discard()
            return
        self._heard = True
        if self._head is not None:
            self._head_bytes += len(data)
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._foreign = True
            if not self._done:
                self._damaged(error)
                return
        if self._head is not None and not self._head_is_in(self._head):
            return
        if self._parts:
            answer, self._quiet_bytes = self._answer, 0
            if not self._deliver() or self._answer is not answer:
                return
        elif not self._done:
            # Chunk extensions and trailers are not counted by anybody else.
            self._quiet_bytes += len(data)
            if self._quiet_bytes > 2 * self._limits.head_bytes:
                self._fail(TransportError("protocol", reached=True, detail="framing without content"))
                return
        if self._done:
            self._finish()

    def eof_received(self) -> None:
        """Part of asyncio's protocol: the upstream has ended its side; asyncio closes ours."""
        self._ended(clean=self._tls_is_closed())

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio's protocol."""
        clean = exc is None and self._tls_is_closed()
        self._transport = None
        self._ended(clean=clean)
        self._owner.lost(self)

    def pause_writing(self) -> None:
        """Part of asyncio's protocol."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Part of asyncio's protocol."""
        self._write_paused = False
        self._wake_upload()

    # Called by the parser

    def on_message_begin(self) -> None:
        """Part of httptools' protocol; a message after the answer's end was not asked for and is not read."""
        if self._done:
            raise TransportError("protocol", reached=True, detail="bytes after the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Part of httptools' protocol; also called for trailers, which nobody reads."""
        self._headers.append((name.lower(), value.rstrip()))

    def on_headers_complete(self) -> None:
        """Part of httptools' protocol: a head is complete, perhaps an interim one."""
        headers, self._headers = self._headers, []
        if self._answer is not None:
            return
        self._check_size(headers)
        status: int = self._parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101:
                raise TransportError("protocol", reached=True, detail="a status that was not asked for")
            return
        by_name = dict(headers)
        chunked = b"transfer-encoding" in by_name
        if chunked or not self.served:
            self._check_framing(headers, chunked=chunked)
        empty = self._bodyless or status in {204, 304}
        sized = chunked or b"content-length" in by_name
        inflater = None
        if self._limits.decode and b"content-encoding" in by_name and not empty:
            inflater = inflater_for(headers)
            if inflater is not None:
                headers = [h for h in headers if h[0] not in {b"content-encoding", b"content-length"}]
                by_name = dict(headers)
        buffer_bytes = self._limits.buffer_bytes
        self._answer = answer = Response(self, status, headers, by_name, inflater, buffer_bytes=buffer_bytes)
        self._sink = answer.feed
        if self._bodyless:
            self._done = True
            self._keep = self._parser.should_keep_alive()
        else:
            self._to_eof = not (empty or sized)

    def on_message_complete(self) -> None:
        """Part of httptools' protocol; interim answers are messages of their own."""
        if self._answer is not None and not self._done:
            self._done = True
            self._keep = self._parser.should_keep_alive()

    # Inside

    def _renew_parser(self) -> None:
        self._parser: Any = HttpResponseParser(self)
        self._feed: Callable[[bytes], None] = self._parser.feed_data

    def _check_size(self, headers: list[tuple[bytes, bytes]]) -> None:
        limits = self._limits
        if len(headers) > limits.header_count:
            raise TransportError("protocol", reached=True, detail="too many header lines")
        if self._head_bytes > limits.line_bytes:
            sizes = [len(name) + len(value) + 4 for name, value in headers]
            if sizes and (max(sizes) > limits.line_bytes or sum(sizes) > limits.head_bytes):
                raise TransportError("protocol", reached=True, detail="the head is too large")

    def _check_framing(self, headers: list[tuple[bytes, bytes]], *, chunked: bool) -> None:
        """What llhttp lets pass: other versions, codings of the transfer besides `chunked`, chunks in HTTP/1.0."""
        version = self._parser.get_http_version()
        if version != "1.1" and (version != "1.0" or chunked):
            raise TransportError("protocol", reached=True, detail="a version of HTTP that was not asked for")
        if chunked and [v.lower() for n, v in headers if n == b"transfer-encoding"] != [b"chunked"]:
            raise TransportError("protocol", reached=True, detail="an unknown transfer coding")

    def _head_is_in(self, head: asyncio.Future[Response]) -> bool:
        """Hand over the head if it is complete; else bound its size."""
        if self._answer is None:
            if self._head_bytes > self._limits.head_bytes:
                self._fail(TransportError("protocol", reached=True, detail="the head is too large"))
            return False
        self._head = None
        if self._drained is not None:
            self._wake_upload()
        if not head.done():
            head.set_result(self._answer)
        return True

    def _deliver(self) -> bool:
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        if self._bodyless:
            self._foreign = True
            return True
        try:
            self._sink(data)  # type: ignore[misc]  # set with the answer
        except Exception as error:  # noqa: BLE001 - a consumer's own error must reach whoever waits for the body
            self._fail(error)
            return False
        return True

    def _damaged(self, error: Exception) -> None:
        """The parser refused the bytes, or one of our callbacks did."""
        cause = error.__context__
        if not isinstance(cause, TransportError):
            cause = TransportError("protocol", reached=True)
        cause.__context__ = None
        if self._head is not None and self._answer is not None:
            self._head_is_in(self._head)
        if self._parts and self._answer is not None and not self._deliver():
            return
        self._fail(cause)

    def _finish(self) -> None:
        """The answer is complete."""
        answer = self._answer
        keep = self._keep and self._sent and not self._foreign
        if self._bodyless:
            self._renew_parser()
        self._forget()
        self.served += 1
        if not keep:
            self.discard()
        elif not self.closed:
            if self._paused:
                self.resume()
            self._owner.release(self)
        if answer is not None:
            answer.finish()

    def _tls_is_closed(self) -> bool:
        """Whether the end of file is the upstream's own word: under TLS anybody on the way can cut the connection.

        The event loops do not tell the two apart, but the TLS object knows whether it has seen the closing alert.
        """
        if not self._to_eof or self._transport is None:
            return True
        tls = self._transport.get_extra_info("ssl_object")
        if tls is None:
            return True
        try:
            return not tls.read(1)
        except ssl.SSLZeroReturnError:
            return True
        except ssl.SSLError:
            return False

    def _ended(self, *, clean: bool) -> None:
        """The upstream is gone, by end of file or with an error."""
        if self.exchange is None:
            self.discard()
        elif self._to_eof and clean:
            self._done, self._keep = True, False
            self._finish()
        elif self._answer is not None:
            self._fail(TransportError("body", reached=True))
        elif self.served and not self._head_bytes:
            self._fail(StaleConnectionError())
        else:
            self._fail(TransportError("head" if self._sent else "write", reached=True))

    def _fail(self, error: Exception) -> None:
        """End the exchange, if there is one, with an error, and the connection with it."""
        answer, head = self._answer, self._head
        self._forget()
        if answer is not None:
            answer.detach()
            answer.fail(error)
        if head is not None and not head.done():
            head.set_exception(error)
            # Marks the failure as seen: the caller may have been cancelled in the same moment.
            head.exception()
        self.discard()

    def _forget(self) -> None:
        """No exchange is under way any more."""
        self.exchange = self._head = self._answer = self._sink = None
        self._parts.clear()
        if self._drained is not None:
            self._wake_upload()

    def _wake_upload(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)
