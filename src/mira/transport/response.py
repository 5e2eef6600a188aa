"""One answer of an upstream: its head, and its body either whole or as it arrives."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

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


class Response(Struct, eq=False):
    """An answer whose final head is in.

    Where the body was compressed, it is handed out plain and `content-encoding` and `content-length` are left out of
    the head (see `mira.transport.answer_head` for its form). Exactly one of `read` and `stream` may be called, once.
    `feed`, `feed_coded`, `finish`, `fail` and `detach` are for the connection.
    """

    _flow: Flow | None
    status: int
    _lines: bytes
    _lower: bytes
    _inflater: Inflater | None
    #: what may be held of the body: of one that nobody reads yet, then of the whole
    _most_bytes: int
    _chunks: list[bytes] = []
    _size: int = 0
    _taken: bool = False
    _on_data: Callable[[bytes], None] | None = None
    _waiter: asyncio.Future[None] | None = None
    _error: Exception | None = None

    def __repr__(self) -> str:
        """The status alone: head and body may hold what belongs in no log."""
        return f"Response({self.status})"

    def header(self, name: bytes) -> str | None:
        """The value of a header by its lower-case name; the last one where it came more than once."""
        at = self._lower.rfind(b"\r\n%b:" % name)
        if at < 0:
            return None
        at += len(name) + 3
        return self._lines[at : self._lines.find(b"\r\n", at)].strip().decode("latin-1")

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body; does not suspend if it is all here already.

        AnswerTooLargeError where it is larger than `limit_bytes` (the connection is closed then), TransportError where
        it is cut. A cancelled read closes the connection.
        """
        self._take()
        if self._flow is not None or self._error is not None or self._size > limit_bytes:
            await self._rest(limit_bytes)
        chunks, self._chunks = self._chunks, []
        return b"".join(chunks)

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
            self._flow.deliver_to(on_data if self._inflater is None else self.feed_coded)
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
        self._chunks.append(data)
        self._size += len(data)
        if self._size > self._most_bytes:
            if self._taken:
                raise AnswerTooLargeError(self._most_bytes)
            if self._flow is not None:
                self._flow.pause()

    def feed_coded(self, data: bytes) -> None:
        """`feed` for a body that is to be inflated."""
        assert self._inflater is not None
        plain = self._inflater.feed(data)
        if not plain:
            return
        if self._on_data is not None:
            self._on_data(plain)
        else:
            self.feed(plain)

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

    async def _rest(self, limit_bytes: int) -> None:
        """Wait for what is not here yet of a body that is read; raises what went wrong with it."""
        if self._error is None and self._size > limit_bytes:
            self._error = AnswerTooLargeError(limit_bytes)
            self._let_go()
        if self._error is None and self._flow is not None:
            self._most_bytes = limit_bytes
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
        if self._error is not None:
            self._chunks.clear()
            raise self._error

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
