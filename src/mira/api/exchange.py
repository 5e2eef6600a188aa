"""The relay's exchange over ASGI, on Mira's own subclass of uvicorn's HTTP protocol.

Writing a piece of a stream costs no task and no suspension: uvicorn's `send` suspends only while the client is slow,
and that is asked for before each call. What is written meanwhile waits here, bounded because the relay pauses the node.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

from mira.api.wire import WireProtocol
from mira.collaborators import ClientLeft, Headers
from mira.errors import Kind, MiraError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Coroutine[Any, Any, None]]

#: A body may take this long to arrive; a client that stops reading is given up after the same time.
BODY_TIMEOUT_S = 60.0
STALLED_CLIENT_S = 60.0


class AsgiExchange:
    """One request and its answer (see `mira.relay.Exchange`)."""

    __slots__ = (
        "_body_read",
        "_headers",
        "_pending",
        "_receive",
        "_send",
        "_stall_timer",
        "gone",
        "on_gone",
        "on_resume",
        "wire",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.wire: WireProtocol = scope["mira.wire"]
        self._headers = dict(scope["headers"])
        self._receive = receive
        self._send = send
        self._pending: list[bytes] = []
        self._stall_timer: asyncio.TimerHandle | None = None
        self._body_read = False
        self.gone = self.wire.lost
        self.on_gone: Callable[[], object] | None = None
        self.on_resume: Callable[[], object] | None = None
        self.wire.exchange = self

    @property
    def paused(self) -> bool:
        """Whether the client reads more slowly than the node sends."""
        return self.wire.flow.write_paused

    def header(self, name: bytes) -> str | None:
        """A request header by its lower-case name; the last one where it was sent twice."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def body(self, limit_bytes: int) -> bytes:
        """The whole body, refused as soon as it is known to be too large."""
        declared = self._headers.get(b"content-length")
        if declared is not None and declared.isdigit() and int(declared) > limit_bytes:
            raise _too_large(limit_bytes)
        message = await self._receive()
        if message["type"] == "http.request" and not message["more_body"]:
            self._body_read = True
            return message["body"]  # type: ignore[no-any-return]
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return await self._rest_of_body(message, limit_bytes)
        except TimeoutError:
            raise MiraError(Kind.BAD_REQUEST, f"the body did not arrive within {BODY_TIMEOUT_S:.0f} s") from None

    async def _rest_of_body(self, message: MutableMapping[str, Any], limit_bytes: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                self.gone = True
                raise ClientLeft
            pieces.append(message["body"])
            size += len(message["body"])
            if size > limit_bytes:
                raise _too_large(limit_bytes)
            if not message["more_body"]:
                self._body_read = True
                return b"".join(pieces)
            message = await self._receive()

    def start(self, status: int, headers: Headers) -> None:
        """Sends the head of a streamed answer."""
        self._send_now({"type": "http.response.start", "status": status, "headers": headers})

    def write(self, data: bytes) -> None:
        """Sends a piece of a streamed answer, or keeps it until the client reads again."""
        if self.gone:
            return
        if self._pending or self.wire.flow.write_paused:
            self._pending.append(data)
        else:
            self._send_now({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        """Sends the last piece; waits for a slow client, not for ever."""
        while self._pending and not self.gone:
            await self.wire.flow.drain()
            self.resumed()
        if not self.gone:
            await self._send({"type": "http.response.body", "body": data, "more_body": False})
        self._finish()

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Sends a whole answer. A request body that was not read ends the connection after it."""
        if self.gone:
            return
        headers.append((b"content-length", str(len(body)).encode()))
        if not self._body_read:
            headers.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
        self._finish()

    def stalled(self) -> None:
        """The client stopped reading: its connection is cut unless it goes on in time."""
        if self._stall_timer is None:
            self._stall_timer = asyncio.get_running_loop().call_later(STALLED_CLIENT_S, self.wire.transport.abort)

    def resumed(self) -> None:
        """The client reads again: what waited is sent, then the node goes on."""
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        if self._pending and not self.gone and not self.wire.flow.write_paused:
            data = b"".join(self._pending)
            self._pending.clear()
            self._send_now({"type": "http.response.body", "body": data, "more_body": True})
        if self.on_resume is not None and not self.wire.flow.write_paused:
            self.on_resume()

    def lost(self) -> None:
        """The connection is gone."""
        self.gone = True
        self._pending.clear()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        if self.on_gone is not None:
            self.on_gone()

    def _finish(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        self.on_gone = self.on_resume = None
        if self.wire.exchange is self:
            self.wire.exchange = None

    def _send_now(self, message: MutableMapping[str, Any]) -> None:
        if self.gone:
            return
        step = self._send(message)
        try:
            step.send(None)
        except StopIteration:
            return
        step.close()
        raise RuntimeError("the server suspended a write that was not paused")


def _too_large(limit_bytes: int) -> MiraError:
    return MiraError(Kind.TOO_LARGE, f"the body is larger than {limit_bytes // 2**20} MiB")
