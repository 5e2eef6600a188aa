"""Mira's server around a small application, in the test's own loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mira.api.exchange import WireExchange
from mira.api.peers import Peers
from mira.api.routes import Routes
from mira.api.server import ListenConfig, Server, listen
from mira.api.wire import WireProtocol


class Served:
    """A server: its port, and its clients' connections as it sees them."""

    def __init__(self, server: Server, port: int) -> None:
        self.port = port
        self.state = server.server_state


async def not_here(scope: Any, receive: Any, send: Any) -> None:
    """Answers 404."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def serve() -> Any:
    """Serves POST to `/` with a handler of its exchange, and everything else with an ASGI application."""

    @asynccontextmanager
    async def serving(
        handle: Callable[[WireExchange], Coroutine[Any, Any, None]],
        *,
        app: Callable[[Any, Any, Any], Awaitable[None]] = not_here,
        protocol: type[WireProtocol] = WireProtocol,
        most_per_peer: int = 0,
        peers: type[Peers] = Peers,
    ) -> AsyncIterator[Served]:
        config = ListenConfig(app, Routes({"/": handle}), {})
        config.http = protocol
        config.peers = peers(most_per_peer)
        server = Server(config, on_drain=lambda: None, on_reload=lambda: asyncio.sleep(0))
        listener = listen("127.0.0.1", 0)
        port = listener.getsockname()[1]
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield Served(server, port)
        finally:
            server.should_exit = server.force_exit = True
            await running

    return serving
