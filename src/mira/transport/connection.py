"""One connection to an upstream: an asyncio protocol that carries one exchange after the other.

No task and no timer belongs to it: the pool's sweep calls `check`. Per read of the socket there is one call of the
parser and one of the consumer; the body's pieces in between are collected by a method of list, not by Python code. The
parser finds where a head ends, its lines are looked at as bytes (see `mira.transport.answer_head`).
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from mira.transport.answer_head import (
    check_framing,
    check_size,
    framing_of,
    unsuspicious_bytes,
    values_of,
    without_coding,
)
from mira.transport.errors import Phase, StaleConnectionError, TransportError
from mira.transport.inflate import inflater_for
from mira.transport.outflow import Outflow
from mira.transport.response import Response
from mira.transport.settings import Limits, Timeouts
from mira.transport.tls import is_closed_by_peer

_ONE_LENGTH = [b"content-length"]


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

    `served` tells whether an exchange has ended well. `expires_s` and `usable_until_s` are times of the event loop
    `loop` that the pool sets and reads: when the connection is too old for another exchange, and when it is that or
    was unused for too long.
    """

    __slots__ = (
        "_answer", "_bodyless", "_done", "_feed", "_head_data", "_heard", "_keep", "_limits", "_outflow", "_owner",
        "_parser", "_parts", "_paused", "_quiet_bytes", "_quiet_since_s", "_sent", "_sink", "_started_s", "_timeouts",
        "_to_eof", "_transport", "_unsuspicious_bytes", "closed", "exchange", "expires_s", "loop", "on_body", "served",
        "usable_until_s",
    )  # fmt: skip

    def __init__(self, owner: Owner, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._limits = limits
        self._unsuspicious_bytes = unsuspicious_bytes(limits)
        self.loop = loop
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self.on_body = self._parts.append
        self._renew_parser()
        self.exchange: asyncio.Future[Response] | None = None
        #: `_answer` and `_sink` are set as long as the body of an answer is awaited
        self._answer: Response | None = None
        self._sink: Callable[[bytes], None] | None = None
        #: what came of the head that is awaited
        self._head_data = b""
        self._outflow = Outflow()
        self._timeouts = Timeouts()
        self._paused = self.closed = self.served = False
        self._bodyless = self._to_eof = self._done = self._keep = self._heard = False
        self._sent = True
        self._quiet_bytes = 0
        self._started_s = self._quiet_since_s = self.expires_s = self.usable_until_s = 0.0

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
        self.exchange = exchange = self.loop.create_future()
        # All the rest is as a new connection has it, or this one would not have been kept.
        self._bodyless = bodyless
        self._sent = whole
        self._heard = False
        self._quiet_bytes = 0
        self._timeouts = timeouts
        self._started_s = started_s
        self._quiet_since_s = now_s
        transport.write(data)
        return exchange

    async def upload(self, body: bytes) -> None:
        """Write a large body in slices as the upstream takes them; ends early when an answer or a failure is there."""
        assert self._transport is not None
        assert self.exchange is not None
        if await self._outflow.send(self._transport, body, self.exchange):
            self._sent = True
            self._quiet_since_s = self.loop.time()

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
            if self._transport is not None and self._outflow.has_moved(self._transport):
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
        if self._sink is None:
            if self.exchange is None:
                # Bytes that nobody asked for could only be taken for the next answer.
                self.discard()
                return
            # Like the parser: line ends in front of a head are none of its lines.
            self._head_data = (self._head_data + data).lstrip(b"\r\n")
        self._heard = True
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self._done:
                self._damaged(error)
                return
            self._keep = False
        parts = self._parts
        if parts:
            piece = parts.pop()
            if parts:
                parts.append(piece)
                piece = b"".join(parts)
                parts.clear()
            self._quiet_bytes = 0
            try:
                self._sink(piece)  # type: ignore[misc]  # set with the answer
            except Exception as error:  # noqa: BLE001 - a consumer's own error must reach whoever waits for the body
                self._fail(error)
        elif not self._done:
            self._got_no_body(len(data))
        if self._done:
            self._finish()

    def eof_received(self) -> None:
        """Part of asyncio's protocol: the upstream has ended its side; asyncio closes ours."""
        self._ended(clean=self._is_closed_by_peer())

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio's protocol."""
        clean = exc is None and self._is_closed_by_peer()
        self._transport = None
        self._ended(clean=clean)
        self._owner.lost(self)

    def pause_writing(self) -> None:
        """Part of asyncio's protocol."""
        self._outflow.pause()

    def resume_writing(self) -> None:
        """Part of asyncio's protocol."""
        self._outflow.resume()

    # Called by the parser

    def on_message_begin(self) -> None:
        """Part of httptools' protocol; a message after the answer's end was not asked for and is not read."""
        if self._done:
            raise TransportError("protocol", reached=True, detail="bytes after the answer")

    def on_headers_complete(self) -> None:
        """Part of httptools' protocol: a head is complete, perhaps an interim one."""
        data = self._head_data
        end = data.find(b"\r\n\r\n") + 2
        lines = data[:end]
        if end > self._unsuspicious_bytes:
            check_size(lines, self._limits)
        lower = lines.lower()
        framing = framing_of(lower)
        self._head_data = b""
        if framing == _ONE_LENGTH and lower.startswith(b"http/1.1 200") and not self._bodyless:
            answer = self._answer = Response(self, 200, lines, lower, None, self._limits.buffer_bytes)
            self._sink = answer.feed
        else:
            status: int = self._parser.get_status_code()
            if status < 200:
                self._pass_over(status, data, end + 2)
                return
            answer = self._answer = self._framed_otherwise(status, lines, lower, framing)
        exchange = self.exchange
        if exchange is not None and not exchange.done():
            exchange.set_result(answer)

    def on_message_complete(self) -> None:
        """Part of httptools' protocol; interim answers are messages of their own."""
        if self._answer is not None:
            self._done = True
            self._keep = self._parser.should_keep_alive()

    # Inside

    def _renew_parser(self) -> None:
        self._parser: Any = HttpResponseParser(self)
        self._feed: Callable[[bytes], None] = self._parser.feed_data

    def _pass_over(self, status: int, data: bytes, end: int) -> None:
        """An interim answer, which is a head and nothing else: the head that is awaited follows."""
        if status < 100 or status == 101:
            raise TransportError("protocol", reached=True, detail="a status that was not asked for")
        self._head_data = data[end:].lstrip(b"\r\n")

    def _framed_otherwise(self, status: int, lines: bytes, lower: bytes, framing: list[bytes]) -> Response:
        """The answer whose body comes in chunks, coded, up to the end of the connection, or not at all."""
        check_framing(lower, framing)
        empty = self._bodyless or status in {204, 304}
        self._to_eof = not (empty or b"content-length" in framing or b"transfer-encoding" in framing)
        inflater = None
        if self._limits.decode and b"content-encoding" in framing and not empty:
            inflater = inflater_for(values_of(lower, b"content-encoding"))
            if inflater is not None:
                lines = without_coding(lines)
                lower = lines.lower()
        answer = Response(self, status, lines, lower, inflater, self._limits.buffer_bytes)
        if self._bodyless:
            self._done = True
            self._keep = self._parser.should_keep_alive()
            self._sink = self._refuse_body
        else:
            self._sink = answer.feed if inflater is None else answer.feed_coded
        return answer

    def _refuse_body(self, _: bytes) -> None:
        """What follows the answer to HEAD is none of its body, and the connection is not used again."""
        self._keep = False

    def _got_no_body(self, size: int) -> None:
        """Bound what nobody else counts: heads that never end, then chunk extensions and trailers."""
        self._quiet_bytes += size
        if self._answer is None:
            if self._quiet_bytes > self._limits.head_bytes:
                self._fail(TransportError("protocol", reached=True, detail="the head is too large"))
        elif self._quiet_bytes > 2 * self._limits.head_bytes:
            self._fail(TransportError("protocol", reached=True, detail="framing without content"))

    def _damaged(self, error: Exception) -> None:
        """The parser refused the bytes, or one of our callbacks did."""
        cause = error.__context__
        if not isinstance(cause, TransportError):
            cause = TransportError("protocol", reached=True)
        cause.__context__ = None
        if self._parts and self._sink is not None:
            try:
                self._sink(b"".join(self._parts))
            except Exception as own:  # noqa: BLE001 - as in `data_received`
                cause = own
        self._fail(cause)

    def _finish(self) -> None:
        """The answer is complete."""
        answer = self._answer
        self.exchange = self._answer = self._sink = None
        self._done = False
        self.served = True
        if self._bodyless:
            self._renew_parser()
        if not self._keep or not self._sent:
            self.discard()
        elif not self.closed:
            if self._paused:
                self.resume()
            self._owner.release(self)
        if answer is not None:
            answer.finish()

    def _is_closed_by_peer(self) -> bool:
        """Whether an end of file that ends an answer is the upstream's own word."""
        return not self._to_eof or self._transport is None or is_closed_by_peer(self._transport)

    def _ended(self, *, clean: bool) -> None:
        """The upstream is gone, by end of file or with an error."""
        if self.exchange is None:
            self.discard()
        elif self._to_eof and clean:
            self._done, self._keep = True, False
            self._finish()
        elif self._answer is not None:
            self._fail(TransportError("body", reached=True))
        elif self.served and not self._heard:
            self._fail(StaleConnectionError())
        else:
            self._fail(TransportError("head" if self._sent else "write", reached=True))

    def _fail(self, error: Exception) -> None:
        """End the exchange, if there is one, with an error, and the connection with it."""
        answer, exchange = self._answer, self.exchange
        self._forget()
        if answer is not None:
            answer.detach()
            answer.fail(error)
        elif exchange is not None and not exchange.done():
            exchange.set_exception(error)
            # Marks the failure as seen: the caller may have been cancelled in the same moment.
            exchange.exception()
        self.discard()

    def _forget(self) -> None:
        """No exchange is under way any more."""
        self.exchange = self._answer = self._sink = None
        self._done = False
        self._parts.clear()
