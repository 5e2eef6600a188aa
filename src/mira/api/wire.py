"""Mira's subclass of uvicorn's HTTP protocol: caps on the head, deadlines for clients, and word of one that leaves."""

import asyncio
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from mira.core.octets import CR, LF

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


class Watcher(Protocol):
    """What wants to hear of a connection while it answers a request."""

    def stalled(self) -> None:
        """The client stopped reading."""

    def resumed(self) -> None:
        """The client reads again."""

    def lost(self) -> None:
        """The connection is gone."""


class WireProtocol(HttpToolsProtocol):
    """One client connection.

    `scope["mira.wire"]` is this object, `scope["mira.listener"]` the name of the listening socket it came in by
    (`public`, `admin` or `socket`).
    """

    #: Uvicorn types them as its own configuration and as ASGI's scope: ours have more.
    config: Any
    scope: Any

    head_timeout_s = HEAD_TIMEOUT_S
    linger_s = LINGER_S
    whole_request_s = WHOLE_REQUEST_S
    stalled_client_s = STALLED_CLIENT_S
    leave_s = LEAVE_S
    exchange: Watcher | None = None
    lost = False
    listener = "public"
    _in_head = False
    _in_body = False
    _head_bytes = 0
    _read_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _task: asyncio.Task[None] | None = None
    #: The request whose task began last. It is not told in the scope: each would keep the other for the collector.
    answering: RequestResponseCycle | None = None
    _lingering = False
    _body_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _peer: str | None = None
    _draining = False

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
        self.lost = True
        if self._peer is not None:
            self.config.peers.left(self._peer)
        self._stop_head_timer()
        for timer in (self._body_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        if self.exchange is not None:
            self.exchange.lost()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        super().pause_writing()
        if self.exchange is not None:
            self.exchange.stalled()
        elif self._stall_timer is None:
            self._stall_timer = self.loop.call_later(self.stalled_client_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        if self.exchange is not None:
            self.exchange.resumed()

    def on_message_begin(self) -> None:
        """A new request head begins."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; uvicorn's own, without the step through it."""
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole: the request's task starts."""
        self._in_head = False
        self._in_body = True
        self._stop_head_timer()
        if len(self.headers) > HEADER_LIMIT_COUNT or (
            # Only a head that came with more than the cap can be larger than it.
            self._head_bytes + self._read_bytes > HEAD_LIMIT_BYTES
            and len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEAD_LIMIT_BYTES
        ):
            self._refuse_head()
        if self.transport.is_closing():
            return
        scope = self.scope
        scope["mira.wire"] = self
        scope["mira.listener"] = self.listener
        super().on_headers_complete()
        if self._draining or self.config.draining:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of the body; nothing is left to take it once the connection closes."""
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_body = False
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
        if not self.transport.is_closing():
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes of a client. A head that does not end is capped in size and time before the parser has all of it."""
        if self._lingering:
            return
        self._read_bytes = len(data)
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_LIMIT_BYTES:
                self._refuse_head()
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(self.head_timeout_s, self._give_up)
        elif self._in_body and self._body_timer is None:
            self._body_timer = self.loop.call_later(self.whole_request_s, self._give_up)

    def shutdown(self) -> None:
        """The process drains. Nobody can tell an idle client without a race with its next request, so that is awaited.

        The request that comes is answered with `connection: close`; a connection on which none comes is closed.
        """
        self._draining = True
        idle = self._is_idle()
        if not idle and not self.cycle.response_started:
            self.cycle.keep_alive = False
        self.loop.call_later(self.leave_s, self._leave, idle)

    def _leave(self, was_idle: bool) -> None:
        idle = self._is_idle()
        if idle and was_idle:
            self.loop.call_later(GLANCE_S, self._leave_unless_asked)
        else:
            self.loop.call_later(self.leave_s, self._leave, idle)

    def _leave_unless_asked(self) -> None:
        if self._is_idle():
            self._give_up()
        else:
            self.loop.call_later(self.leave_s, self._leave, False)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # None at first

    def _unsupported_upgrade_warning(self) -> None:
        """Says nothing: any client can ask for another protocol, and is answered in this one."""

    def task_of(self, cycle: RequestResponseCycle) -> asyncio.Task[None] | None:
        """The task that answers a request, while it does."""
        return self._task if cycle is self.answering else None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # As uvicorn does, but the task is kept by name: whoever answers a client that leaves must be able to stop.
        self.answering = cycle
        task = self._task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def head(self, cycle: RequestResponseCycle, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        """The bytes of an answer's head. Values that could end a header early are refused (ValueError)."""
        lines = [name + b": " + value for name, value in (*self.server_state.default_headers, *headers)]
        if not cycle.keep_alive:
            lines.append(b"connection: close")
        head = b"".join(lines)
        if CR in head or LF in head:
            raise ValueError("a header must not hold a line break")
        return STATUS_LINE[status] + b"\r\n".join(lines) + b"\r\n\r\n"

    def finished(self, cycle: RequestResponseCycle) -> None:
        """An answer was written to its end past uvicorn's `send`: its cycle ends as if it had gone through there."""
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            if cycle.more_body and self.transport.can_write_eof():
                self._linger()
            else:
                self.transport.close()
        cycle.on_response()

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

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
