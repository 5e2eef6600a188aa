"""Opens connections to one origin: addresses in order, through a proxy and under TLS where asked for."""

import asyncio
import ssl
from collections.abc import Callable

from mira.transport.connection import Connection
from mira.transport.errors import TransportError
from mira.transport.origin import Origin
from mira.transport.proxy import Proxy, Tunnel
from mira.transport.resolver import Resolver

_SHARE_S = 0.25


class Dialer:
    """How one origin is reached.

    With several addresses each attempt but the last gets an equal share of the time that is left, so one that
    swallows packets does not use up the others' time.
    """

    __slots__ = ("_context", "_origin", "_port", "_proxy", "_resolver")

    def __init__(
        self, origin: Origin, *, context: ssl.SSLContext | None, proxy: Proxy | None, resolver: Resolver
    ) -> None:
        self._origin = origin
        self._context = context
        self._proxy = proxy
        self._resolver = resolver
        self._port = proxy.port if proxy is not None else origin.port

    async def dial(self, make: Callable[[], Connection], until_s: float) -> Connection:
        """A connection that is ready to carry requests; `until_s` is the event loop's time when the caller gives up.

        TransportError("connect" or "tls"), never reached, where no address works.
        """
        try:
            addresses = await self._resolver.addresses()
        except OSError:
            raise TransportError("connect", reached=False, detail="the name has no address") from None
        for left in range(len(addresses), 0, -1):
            address = addresses[-left]
            now_s = asyncio.get_running_loop().time()
            share_s = max((until_s - now_s) / left, _SHARE_S) if left > 1 else None
            connection = make()
            try:
                async with asyncio.timeout(share_s):
                    await self._connect(connection, address)
            except ssl.SSLError:
                connection.discard()
                raise TransportError("tls", reached=False) from None
            except (OSError, TimeoutError):
                connection.discard()
            except BaseException:
                connection.discard()
                raise
            else:
                self._resolver.worked(address)
                return connection
        self._resolver.failed()
        raise TransportError("connect", reached=False)

    async def _connect(self, connection: Connection, address: str) -> None:
        loop = asyncio.get_running_loop()
        origin = self._origin
        if self._proxy is not None and origin.secure:
            await self._tunnel(self._proxy, connection, address)
        elif origin.secure:
            await loop.create_connection(
                lambda: connection, address, origin.port, ssl=self._context, server_hostname=origin.host
            )
        else:
            await loop.create_connection(lambda: connection, address, self._port)

    async def _tunnel(self, proxy: Proxy, connection: Connection, address: str) -> None:
        """TLS inside a tunnel that the proxy opens."""
        loop = asyncio.get_running_loop()
        origin = self._origin
        assert self._context is not None
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        transport, tunnel = await loop.create_connection(
            lambda: Tunnel(f"{host}:{origin.port}", proxy.credential), address, proxy.port
        )
        try:
            await tunnel.ready
            secure = await loop.start_tls(transport, connection, self._context, server_hostname=origin.host)
        except BaseException:
            transport.abort()
            raise
        if secure is None:
            raise OSError("the tunnel was closed")
        connection.connection_made(secure)
