"""One answer of an upstream: its head, and its body either whole or as it arrives."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from mira.transport.errors import AnswerTooLargeError, TransportError
from mira.transport.inflate import Inflater


class Flow(Protocol):
    """What an answer needs of the connection that it comes from."""

    def pause(self) -> None:
        """Stop reading from the upstream."""

    def resume(self) -> None:
        """Read on."""

    def deliver_to(self, sink: Callable[[bytes], None]) -> None:
        """Hand every further piece of the body to `sink`."""

    def abandon(self) -> None:
        """Close the connection at once."""


class Response:
    """An answer whose final head is in.

    `headers` are in the upstream's order with lower-case names; where the body was compressed, it is handed out plain
    and `content-encoding` and `content-length` are left out. Exactly one of `read` and `stream` may be called, once.
    `feed`, `finish` and `fail` are for the connection.
    """

    __slots__ = (
        "_buffer_bytes",
        "_by_name",
        "_chunks",
        "_error",
        "_flow",
        "_inflater",
        "_limit_bytes",
        "_on_data",
        "_size",
        "_taken",
        "_waiter",
        "headers",
        "status",
    )

    def __init__(
        self,
        flow: Flow,
        status: int,
        headers: list[tuple[bytes, bytes]],
        by_name: dict[bytes, bytes],
        inflater: Inflater | None,
        *,
        buffer_bytes: int,
    ) -> None:
        self.status = status
        self.headers = headers
        self._by_name = by_name
        self._flow: Flow | None = flow
        self._inflater = inflater
        self._buffer_bytes = buffer_bytes
        self._limit_bytes = 0
        self._chunks: list[bytes] = []
        self._size = 0
        self._taken = False
        self._on_data: Callable[[bytes], None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None

    def header(self, name: bytes) -> str | None:
        """The value of a header by its lower-case name; the last one where it came more than once."""
        value = self._by_name.get(name)
        return None if value is None else value.decode("latin-1")

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body; does not suspend if it is all here already.

        AnswerTooLargeError where it is larger than `limit_bytes` (the connection is closed then), TransportError where
        it is cut. A cancelled read closes the connection.
        """
        self._take()
        if self._error is None and self._size > limit_bytes:
            self._error = AnswerTooLargeError(limit_bytes)
            self._let_go()
        if self._error is None and self._flow is not None:
            self._limit_bytes = limit_bytes
            self._waiter = asyncio.get_running_loop().create_future()
            self._flow.resume()
            try:
                await self._waiter
            except asyncio.CancelledError:
                self.close()
                raise
            except Exception:
                # This answer and the error's traceback hold each other: the collector may be long in coming.
                self._chunks.clear()
                raise
        chunks, self._chunks = self._chunks, []
        if self._error is not None:
            raise self._error
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def stream(self, on_data: Callable[[bytes], None]) -> asyncio.Future[None]:
        """Hand the body to `on_data` as it arrives, once per read of the socket and synchronously.

        What is here already is handed over before this returns. The future resolves at the clean end and fails with a
        TransportError at a cut, a time-out or `close`; if `on_data` raises, it fails with that error and the
        connection is closed.
        """
        self._take()
        done = self._waiter = asyncio.get_running_loop().create_future()
        self._on_data = on_data
        if self._flow is not None:
            self._flow.deliver_to(on_data if self._inflater is None else self.feed)
            self._flow.resume()
        if self._chunks:
            data = b"".join(self._chunks)
            self._chunks.clear()
            try:
                on_data(data)
            except Exception as error:  # noqa: BLE001 - whatever the consumer raises is told to whoever waits
                self.fail(error)
                self._let_go()
        if not done.done() and self._flow is None:
            self._settle(done)
        return done

    def pause(self) -> None:
        """Stop reading from the upstream; its own flow control then slows it down."""
        if self._flow is not None:
            self._flow.pause()

    def resume(self) -> None:
        """Read on after `pause`."""
        if self._flow is not None:
            self._flow.resume()

    def close(self) -> None:
        """Be done with the answer; may be called at any time and again.

        A complete answer has given its connection back already; the connection of an incomplete one is closed at once.
        """
        if self._flow is not None:
            self.fail(TransportError("closed", reached=True))
            self._let_go()
        self._chunks.clear()
        self._on_data = None  # whose owner has this answer: each would keep the other for the collector

    def feed(self, data: bytes) -> None:
        """Take a piece of the body from the connection; may raise, and the connection fails the answer then."""
        if self._inflater is not None:
            data = self._inflater.feed(data)
            if not data:
                return
        if self._on_data is not None:
            self._on_data(data)
            return
        self._chunks.append(data)
        self._size += len(data)
        if self._taken:
            if self._size > self._limit_bytes:
                raise AnswerTooLargeError(self._limit_bytes)
        elif self._size > self._buffer_bytes and self._flow is not None:
            self._flow.pause()

    def finish(self) -> None:
        """The connection has seen the clean end of the body."""
        self._flow = None
        if self._inflater is not None:
            try:
                self._inflater.finish()
            except TransportError as error:
                self._error = error
        if self._waiter is not None:
            self._settle(self._waiter)

    def fail(self, error: Exception) -> None:
        """The connection has failed or the caller gave up."""
        if self._error is None:
            self._error = error
        if self._waiter is not None:
            self._settle(self._waiter)

    def detach(self) -> None:
        """The connection is closed already."""
        self._flow = None

    def _take(self) -> None:
        if self._taken:
            raise RuntimeError("the body of this answer was taken before")
        self._taken = True

    def _let_go(self) -> None:
        flow, self._flow = self._flow, None
        if flow is not None:
            flow.abandon()

    def _settle(self, waiter: "asyncio.Future[None]") -> None:
        if waiter.done():
            return
        if self._error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(self._error)
            # Marks the failure as seen: a caller that has gone away needs no line in the log.
            waiter.exception()
