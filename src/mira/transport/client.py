"""Mira's HTTP client for upstream nodes: a pool of connections to one origin.

`Pool` is all that callers need; the names re-exported here are its arguments and results.
"""

import asyncio
import ssl
from collections import deque
from contextlib import suppress
from typing import Any

import msgspec

from mira.transport.connection import Connection
from mira.transport.dialer import Dialer
from mira.transport.errors import AnswerTooLargeError, Phase, StaleConnectionError, TransportError
from mira.transport.head import Headers, HeadWriter
from mira.transport.origin import parse_origin
from mira.transport.outflow import SLICE_BYTES
from mira.transport.proxy import parse_proxy, proxy_for
from mira.transport.resolver import Lookup, Resolver
from mira.transport.response import Response
from mira.transport.settings import Limits, Timeouts
from mira.transport.tls import system_tls

__all__ = [
    "AnswerTooLargeError",
    "Limits",
    "Phase",
    "Pool",
    "Response",
    "Timeouts",
    "TransportError",
    "proxy_for",
    "system_tls",
]

SWEEP_S = 0.25


class Pool:
    """All connections to one node; belongs to the event loop of its first request.

    `base_url` may have a path, which every target is put behind. `ssl_context` is for https; without one the pool
    loads the system's trust store itself (share `system_tls()` among pools instead). `proxy` is a URL; the environment
    is never read, see `proxy_for`. `lookup` replaces the operating system's name look-up.
    """

    def __init__(
        self,
        base_url: str,
        *,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        origin = parse_origin(base_url)
        via = parse_proxy(proxy) if proxy else None
        self._limits = limits or Limits()
        self._timeouts = timeouts or Timeouts()
        host, port = (via.host, via.port) if via is not None else (origin.host, origin.port)
        self._dialer = Dialer(
            origin,
            context=(ssl_context or system_tls()) if origin.secure else None,
            proxy=via,
            resolver=Resolver(host, port, refresh_s=self._limits.resolve_s, lookup=lookup),
        )
        if via is not None and not origin.secure:
            # A plain request through a proxy names the whole URL.
            self._writer = HeadWriter(origin.authority, f"http://{origin.authority}{origin.path}", via.credential)
        else:
            self._writer = HeadWriter(origin.authority, origin.path)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slots = 0
        self._live: set[Connection] = set()
        self._sockets: set[Connection] = set()
        self._idle: dict[Connection, None] = {}
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._sweeping = False
        self._closed = False
        #: seconds that the last new connection took, name look-up and TLS included
        self.dial_s = 0.0
        self._empty: asyncio.Future[None] | None = None

    async def request(
        self,
        method: bytes | str,
        target: str,
        headers: Headers,
        body: bytes = b"",
        *,
        request_id: bytes = b"",
        timeouts: Timeouts | None = None,
    ) -> Response:
        """Send one request and return its answer when the final head is in.

        `target` is a path with an optional query; `headers` leave out framing, `host` and `connection`. Headers that
        are the same each time cost nothing; `request_id`, which never is, becomes `x-request-id`.
        TransportError where it fails; a failure of a reused connection before any byte of an answer is retried on a
        fresh one. ValueError for a head that cannot be sent. A cancelled request closes its connection. The caller
        reads, streams or closes the answer.
        """
        loop = self._loop or self._bind()
        limits = timeouts or self._timeouts
        started_s = now_s = loop.time()
        data = self._writer.write(method, target, headers, len(body), request_id)
        whole = len(body) <= SLICE_BYTES
        if whole:
            data += body
        bodyless = method in {b"HEAD", "HEAD"}
        connection = self._pop(now_s)
        if connection is None:
            connection = await self._obtain(limits, fresh=False)
            now_s = loop.time()
        while True:
            if not self._sweeping:
                self._sweep_soon(loop)
            exchange = connection.begin(
                data, bodyless=bodyless, whole=whole, timeouts=limits, started_s=started_s, now_s=now_s
            )
            try:
                if not whole:
                    await connection.upload(body)
                return await exchange
            except asyncio.CancelledError:
                connection.forsake(exchange)
                raise
            except StaleConnectionError:
                connection = await self._obtain(limits, fresh=True)
                now_s = loop.time()

    async def get_json(
        self, target: str, headers: Headers, *, timeouts: Timeouts | None = None, limit_bytes: int = 4 * 1024 * 1024
    ) -> tuple[int, Any]:
        """GET a JSON document: its status and the decoded object (None for an error page that is not JSON).

        TransportError("protocol") where a 2xx answer is not JSON.
        """
        response = await self.request(b"GET", target, headers, timeouts=timeouts)
        body = await response.read(limit_bytes)
        try:
            return response.status, msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            if 200 <= response.status < 300:
                raise TransportError("protocol", reached=True, detail="the body is not JSON") from None
            return response.status, None

    async def close(self) -> None:
        """Close every connection, also those in use, and return when their descriptors are closed."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(TransportError("closed", reached=False))
                waiter.exception()
        self._waiters.clear()
        for connection in tuple(self._live):
            connection.shut()
        if self._sockets:
            self._empty = self._empty or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._empty)

    # Told by the connections

    def release(self, connection: Connection) -> None:
        """A connection is free again: for the first who waits, else for the next request."""
        now_s = connection.loop.time()
        until_s = min(now_s + self._limits.idle_pool_s, connection.expires_s)
        if now_s > until_s or self._closed:
            connection.discard()
        elif not self._waiters or not self._hand_over(connection):
            connection.usable_until_s = until_s
            self._idle[connection] = None

    def gone(self, connection: Connection) -> None:
        """A connection will not be used again: its place is free."""
        if connection in self._live:
            self._live.remove(connection)
            self._idle.pop(connection, None)
            self._free_slot()

    def lost(self, connection: Connection) -> None:
        """A descriptor is closed."""
        self._sockets.discard(connection)
        if self._empty is not None and not self._sockets and not self._empty.done():
            self._empty.set_result(None)

    # Inside

    def _bind(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        return self._loop

    def _pop(self, now_s: float) -> Connection | None:
        """The connection that was used last, if it is young enough."""
        idle = self._idle
        while idle:
            connection, _ = idle.popitem()
            if now_s <= connection.usable_until_s:
                return connection
            connection.discard()
        return None

    async def _obtain(self, timeouts: Timeouts, *, fresh: bool) -> Connection:
        """A connection to begin on: new where there is room, else the next that becomes free, first come first served.

        `fresh` (after a stale one) prefers a new one to those in the pool, and waits in front of the others.
        """
        assert self._loop is not None
        until_s = self._loop.time() + timeouts.connect_s
        try:
            async with asyncio.timeout_at(until_s):
                while not self._closed:
                    if fresh and self._idle and self._slots >= self._limits.max_connections:
                        next(iter(self._idle)).discard()
                    if self._slots < self._limits.max_connections:
                        self._slots += 1
                        return await self._dial(until_s)
                    connection = await self._wait(front=fresh)
                    if connection is None:
                        return await self._dial(until_s)
                    if not connection.closed:
                        return connection
                    fresh = True
        except TimeoutError:
            raise TransportError("timeout-connect", reached=False) from None
        raise TransportError("closed", reached=False)

    async def _dial(self, until_s: float) -> Connection:
        """Open a connection in a slot that the caller holds."""
        loop = self._loop
        assert loop is not None
        began_s = loop.time()
        try:
            connection = await self._dialer.dial(lambda: Connection(self, self._limits, loop), until_s)
            if self._closed or connection.closed:
                connection.discard()
                raise TransportError("closed" if self._closed else "connect", reached=False)
        except BaseException:
            self._free_slot()
            raise
        now_s = loop.time()
        connection.expires_s = now_s + self._limits.max_age_s
        self.dial_s = now_s - began_s
        self._live.add(connection)
        self._sockets.add(connection)
        return connection

    async def _wait(self, *, front: bool) -> Connection | None:
        """Queue for a connection, or for a slot (None)."""
        assert self._loop is not None
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        if front:
            self._waiters.appendleft(waiter)
        else:
            self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            with suppress(ValueError):
                self._waiters.remove(waiter)
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # Handed over in the moment of the cancellation: pass it on.
                connection = waiter.result()
                if connection is None:
                    self._free_slot()
                elif not connection.closed:
                    self.release(connection)
            raise

    def _hand_over(self, connection: Connection | None) -> bool:
        """Give a connection or a free slot to the first who waits."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _free_slot(self) -> None:
        if not self._hand_over(None):
            self._slots -= 1

    def _sweep_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._sweeping = True
        self._timer = loop.call_later(SWEEP_S, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Check every exchange under way and drop connections unused for too long.

        Runs every quarter of a second while anything is under way; afterwards once when the pool's oldest unused
        connection has reached its time.
        """
        now_s = loop.time()
        self._timer = None
        self._sweeping = False
        for connection in tuple(self._live):
            if connection.exchange is not None:
                self._sweeping = True
                connection.check(now_s)
        until_s = now_s
        while self._idle:
            connection = next(iter(self._idle))
            until_s = connection.usable_until_s
            if now_s < until_s:
                break
            connection.discard()
        if self._closed:
            return
        if self._sweeping:
            self._timer = loop.call_later(SWEEP_S, self._sweep, loop)
        elif self._idle:
            self._timer = loop.call_later(max(until_s - now_s, SWEEP_S), self._sweep, loop)
