"""Mira's subclass of uvicorn's HTTP protocol: caps on the head, deadlines for clients, and word of one that leaves.

Requests of its own routes (`mira.api.routes`) it answers itself, all others by uvicorn's way through ASGI, in the order
in which they came.
"""

import asyncio
from enum import IntEnum
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mira.api.arrival import BODY_TIMEOUT_S, LEAST_BYTES_PER_S
from mira.api.exchange import PlainExchange, WireExchange, has_body, waits_to_continue
from mira.api.routes import Handler

INVALID = "Invalid HTTP request received."
HEAD_LIMIT_BYTES = 64 * 1024
HEADER_LIMIT_COUNT = 128
HEAD_TIMEOUT_S = 10.0
#: How long a client that was answered early may go on sending its body.
LINGER_S = 10.0
#: Whoever reads a body has a deadline of its own (`mira.api.arrival`); this is for bodies that nobody reads.
WHOLE_REQUEST_S = 75.0
#: A client that does not read its answer is given up after this.
STALLED_CLIENT_S = 60.0
#: How long an idle connection stays open when the process drains: its client may be sending a request at this moment.
LEAVE_S = 1.0
#: A process that stood still hears that a time is over before what came meanwhile, which it reads in this one.
GLANCE_S = 0.01
TOO_LARGE_HEAD = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%s"
)
TOO_MANY_CONNECTIONS = (
    b"HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\ncontent-type: application/json\r\nretry-after: 5\r\n"
    b"content-length: %d\r\n\r\n%s"
)
TOO_MANY_BODY = (
    b'{"error":{"message":"there are too many connections from this address; close some or reuse them",'
    b'"type":"rate_limit_error","param":null,"code":"too_many_connections"}}'
)
TOO_LARGE_BODY = (
    b'{"error":{"message":"the request head is larger than 64 KiB or has more than 128 headers",'
    b'"type":"invalid_request_error","param":null,"code":"request_head_too_large"}}'
)


class Stage(IntEnum):
    """What is coming: nothing yet, a head, a body; and whether there was some of the body in the last read."""

    BETWEEN = 0
    HEAD = 1
    BODY = 2
    MORE_BODY = 3


BETWEEN, HEAD, BODY, MORE_BODY = Stage


class WireProtocol(HttpToolsProtocol):
    """One client connection.

    `scope["mira.listener"]` is the name of the listening socket it came in by (`public`, `admin` or `socket`).
    """

    #: Uvicorn types them as its own configuration, ASGI's scope and its own requests: ours have more.
    config: Any
    scope: Any
    pipeline: Any

    head_timeout_s = HEAD_TIMEOUT_S
    body_timeout_s = BODY_TIMEOUT_S
    linger_s = LINGER_S
    whole_request_s = WHOLE_REQUEST_S
    stalled_client_s = STALLED_CLIENT_S
    leave_s = LEAVE_S
    #: The request that is being answered, through ASGI or not.
    answering: RequestResponseCycle | WireExchange | None = None
    #: The request of our own whose body has not come as a whole.
    incoming: WireExchange | None = None
    listener = "public"
    _stage = BETWEEN
    #: What has come at least of a head that is in several reads, or since the last piece of a body.
    _head_bytes = 0
    #: What came with the last read.
    _read_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _lingering = False
    _body_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _unread_bytes = 0
    _idle_timer: asyncio.TimerHandle | None = None
    _idle_since_s = 0.0
    _peer: str | None = None
    _draining = False

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        """A client connected; its first request head must arrive in time."""
        super().connection_made(transport)
        self.listener = self.config.listener_of(transport.get_extra_info("sockname"))
        self._peer = self.config.peers.name_of(self.client)
        if self._peer is not None and not self.config.peers.came(self._peer):
            self._peer = None
            transport.write(TOO_MANY_CONNECTIONS % (len(TOO_MANY_BODY), TOO_MANY_BODY))
            transport.close()
            return
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: whoever answers it hears of it at once."""
        if self._peer is not None:
            self.config.peers.left(self._peer)
        for timer in (self._head_timer, self._body_timer, self._stall_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        answering = self.answering
        # Each would keep the other for the collector.
        self.answering = self.incoming = None
        self.pipeline.clear()
        if isinstance(answering, WireExchange):
            answering.lost()

    def pause_writing(self) -> None:
        """The client reads too slowly: its connection is cut unless it goes on in time."""
        super().pause_writing()
        self._start_stall_timer()
        if isinstance(self.answering, WireExchange):
            self.answering.stalled()

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        self._stop_stall_timer()
        if isinstance(self.answering, WireExchange):
            self.answering.resumed()

    def data_received(self, data: bytes) -> None:
        """Bytes of a client. A head that does not end is capped in size and time before the parser has all of it."""
        if self._lingering:
            return
        self._read_bytes = len(data)
        try:
            self.parser.feed_data(data)
        except HttpParserError:
            self.logger.warning(INVALID)
            self.send_400_response(INVALID)
            return
        except HttpParserUpgrade:
            # Any client can ask for another protocol, and is answered in this one. The parser takes such a request to
            # have no body, and what comes of one must not pass for the next request.
            if has_body(self.headers):
                self._end_with_last()
        if self._stage:
            self._await_rest()

    def _await_rest(self) -> None:
        """Part of a request has come; the rest has to come in time, and what is no body must have an end."""
        if self.transport.is_closing():
            return
        if self._stage is MORE_BODY:
            self._stage = BODY
            self._head_bytes = 0
        elif self._head_bytes:
            self._head_bytes += self._read_bytes
        else:
            self._head_bytes = 1  # it began within this read, which may have much else
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self._refuse_head()
        elif self._stage is BODY:
            if self._body_timer is None:
                self._body_timer = self.loop.call_later(self.whole_request_s, self._give_up)
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout_s, self._give_up)

    # Requests, as the parser tells them

    def on_message_begin(self) -> None:
        """A new request head begins."""
        self._stage = HEAD
        self._head_bytes = 0
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole: the request's task starts, or waits for those before it."""
        self._stage = BODY
        headers = self.headers
        if len(headers) > HEADER_LIMIT_COUNT or (
            # Only a head that came with more than the cap, or in several reads, can be larger than it.
            (self._read_bytes > HEAD_LIMIT_BYTES or self._head_bytes)
            and len(self.url) + sum(len(name) + len(value) + 4 for name, value in headers) > HEAD_LIMIT_BYTES
        ):
            self._refuse_head()
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
            self._head_bytes = 0
        if self.transport.is_closing():
            return
        parser = self.parser
        handler: Handler | None = self.config.routes.find(parser.get_method(), self.url)
        if handler is None:
            self._pass_on()
            return
        kind, keep_alive = WireExchange, parser.should_keep_alive()
        if parser.get_http_version() == "1.0":
            kind, keep_alive = PlainExchange, False
        if self._draining or self.config.draining:
            keep_alive = False
        exchange = self.incoming = kind(self, headers, keep_alive)
        if self.answering is None:
            self._begin(exchange, handler)
        else:
            self._queue(exchange, handler)

    def on_body(self, body: bytes) -> None:
        """A piece of the body; nothing is left to take it once the connection closes."""
        self._stage = MORE_BODY
        if self.incoming is not None:
            self.incoming.take(body)
        elif not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._stage = BETWEEN
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
        incoming = self.incoming
        if incoming is not None:
            self.incoming = None
            incoming.more_body = False
            if incoming.arrival is not None:
                incoming.look()
        elif not self.transport.is_closing():
            super().on_message_complete()

    def _pass_on(self) -> None:
        """A request goes uvicorn's way, which makes what belongs to it when the head begins."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        self.headers += headers
        self.expect_100_continue = waits_to_continue(headers)
        self.scope["mira.listener"] = self.listener
        super().on_headers_complete()
        if self._draining or self.config.draining:
            self.cycle.keep_alive = False

    # Answers, one after the other

    def _begin(self, exchange: WireExchange, handler: Handler) -> None:
        self.answering = exchange
        if self.flow.write_paused:
            exchange.stalled()
            self._start_stall_timer()
        task = exchange.task = self.loop.create_task(handler(exchange))
        self.tasks.add(task)
        task.add_done_callback(exchange.over)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # Uvicorn knows only its own requests: one of ours may be before this one.
        if self.answering is None:
            self.answering = cycle
            super()._start_asgi_task(cycle, app)
        else:
            self._queue(cycle, app)

    def _queue(self, request: Any, answer: Any) -> None:
        self.flow.pause_reading()
        self.pipeline.appendleft((request, answer))

    def finished(self, exchange: WireExchange) -> None:
        """An answer of our own was written to its end."""
        exchange.response_complete = True
        if not exchange.keep_alive:
            if exchange.more_body and self.transport.can_write_eof():
                self._linger()
            else:
                self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """An answer was written to its end: the next request's turn, or a time to wait for one."""
        self.server_state.total_requests += 1
        self.answering = None
        self._idle_since_s = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._on_idle)
        if self.pipeline or self.flow.read_paused:
            self._go_on()

    def _go_on(self) -> None:
        """The next request's turn; more are read once none waits."""
        if self.transport.is_closing():
            return
        if self.pipeline:
            request, answer = self.pipeline.pop()
            start = self._begin if isinstance(request, WireExchange) else self._start_asgi_task
            start(request, answer)
        if not self.pipeline:
            self.flow.resume_reading()

    def _on_idle(self) -> None:
        """Closes what was idle for long; the timer is set once for many requests, so that it may have to wait on."""
        if self.transport.is_closing():
            return
        left_s = self._idle_since_s + self.timeout_keep_alive - self.loop.time()
        if self.answering is not None or self._stage:
            left_s = self.timeout_keep_alive
        if left_s > 0:
            self._idle_timer = self.loop.call_later(left_s, self._on_idle)
        else:
            self.transport.close()

    # Endings

    def shutdown(self) -> None:
        """The process drains. Nobody can tell an idle client without a race with its next request, so that is awaited.

        The request that comes is answered with `connection: close`; a connection on which none comes is closed.
        """
        self._draining = True
        self._end_with_last()
        self.loop.call_later(self.leave_s, self._leave, self.answering is None)

    def _end_with_last(self) -> None:
        """The answer to the newest request ends the connection, unless it has begun."""
        last = self.pipeline[0][0] if self.pipeline else self.answering
        if last is not None and not last.response_started:
            last.keep_alive = False

    def _leave(self, was_idle: bool) -> None:
        idle = self.answering is None
        if idle and was_idle:
            self.loop.call_later(GLANCE_S, self._leave_unless_asked)
        else:
            self.loop.call_later(self.leave_s, self._leave, idle)

    def _leave_unless_asked(self) -> None:
        if self.answering is None:
            self._give_up()
        else:
            self.loop.call_later(self.leave_s, self._leave, False)

    def _linger(self) -> None:
        """Says no more, but reads on: closing on unread bytes resets the connection, and the answer could be lost."""
        self._lingering = True
        self.transport.write_eof()
        self.loop.call_later(self.linger_s, self._give_up)

    def _refuse_head(self) -> None:
        self.transport.write(TOO_LARGE_HEAD % (len(TOO_LARGE_BODY), TOO_LARGE_BODY))
        self.transport.close()

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _start_stall_timer(self) -> None:
        if self._stall_timer is None:
            self._unread_bytes = self.transport.get_write_buffer_size()
            self._stall_timer = self.loop.call_later(self.stalled_client_s, self._on_stall)

    def _on_stall(self) -> None:
        """Gives up a client that has not read in time; one that goes on with a large answer gets the same time anew."""
        self._stall_timer = None
        read_bytes = self._unread_bytes - self.transport.get_write_buffer_size()
        if read_bytes < LEAST_BYTES_PER_S * self.stalled_client_s:
            self.transport.abort()
        else:
            self._start_stall_timer()

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
