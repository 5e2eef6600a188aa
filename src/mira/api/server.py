"""Mira's subclass of uvicorn's server: signals that drain and reload, several listening sockets, one exit status.

SIGTERM and SIGINT drain. First the process only says that it is not ready, so that a load balancer can look elsewhere
(SIGTERM; a person who presses Ctrl-C need not wait for that), and every answer ends its connection. Then it takes no
connections any more, running answers finish, and what has not finished in time is cancelled and writes its bill. The
exit status is 0. A second SIGINT stops waiting. SIGHUP reloads the configuration. Plain uvicorn would exit with 143
after SIGTERM and die of SIGHUP.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from mira.api.peers import Peers
from mira.api.routes import Routes
from mira.api.wire import WireProtocol
from mira.errors import ConfigError

FAREWELL_S = 5.0
#: Who was connected a moment before the listening ended gets this long to send a request.
LAST_REQUESTS_S = 0.25
LISTEN_BACKLOG = 2048


class ListenConfig(uvicorn.Config):
    """Uvicorn's configuration with Mira's protocol, the name of each listening socket, and what connections share.

    `routes` are answered by the connections themselves, all else by `app`. `most_per_peer` is how many connections one
    address may have, 0 for any number; `drain_s` how long calls may go on once nothing more is accepted. While
    `draining`, every answer is the last of its connection.
    """

    def __init__(
        self, app: Any, routes: Routes, listeners: dict[Any, str], *, most_per_peer: int = 0, drain_s: int = 120
    ) -> None:
        super().__init__(
            app,
            http=WireProtocol,
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=LISTEN_BACKLOG,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=drain_s,
        )
        self._listeners = listeners
        self.routes = routes
        self.draining = False
        self.peers = Peers(most_per_peer)

    def listener_of(self, address: Any) -> str:
        """`public`, `admin` or `socket`, from the local address of a connection."""
        if isinstance(address, tuple):
            return self._listeners.get(address[1], "public")
        return "socket"


class Server(uvicorn.Server):
    """The process's HTTP server. `on_drain` is called once when the drain begins, `on_reload` on each SIGHUP.

    After SIGTERM it goes on for `unready_s`.
    """

    def __init__(
        self,
        config: ListenConfig,
        *,
        on_drain: Callable[[], None],
        on_reload: Callable[[], Awaitable[None]],
        unready_s: float = 0.0,
    ) -> None:
        super().__init__(config)
        self._listening = config
        self._unready_s = unready_s
        self._on_drain = on_drain
        self._on_reload = on_reload
        self._reloads: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Nothing: who starts the server handles its signals from before it is announced (`signals`)."""
        yield

    @contextlib.contextmanager
    def signals(self) -> Generator[None, None, None]:
        """Handles signals on the loop, and does not raise them again at the end as uvicorn would."""
        loop = asyncio.get_running_loop()
        handled = {signal.SIGTERM: self._terminate, signal.SIGINT: self._interrupt, signal.SIGHUP: self._reload}
        for number, handler in handled.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drains; what is left then (out of time, or told to hurry) is cancelled and may still write its bills."""
        listening = [each.dup() for each in sockets or ()]
        for server in self.servers:
            server.close()
        await self._take_in(listening)
        if self.server_state.connections and not self.force_exit:
            await asyncio.sleep(LAST_REQUESTS_S)
        await super().shutdown(sockets)
        left = tuple(self.server_state.tasks)
        for task in left:
            if not task.cancelling():
                task.cancel()
        if left:
            await asyncio.wait(left, timeout=FAREWELL_S)

    async def _take_in(self, listening: list[socket.socket]) -> None:
        """Takes whoever has connected and was not accepted yet: the end of the listening would reset them."""
        connected: list[socket.socket] = []
        for each in listening:
            with each, contextlib.suppress(OSError):  # BlockingIOError once nobody waits
                while True:
                    connected.append(each.accept()[0])
        loop = asyncio.get_running_loop()
        protocol = partial(WireProtocol, self._listening, self.server_state, self.lifespan.state)
        for connection in connected:
            connection.setblocking(False)
            with contextlib.suppress(OSError):  # one that has left already
                await loop.connect_accepted_socket(protocol, connection)

    def _terminate(self) -> None:
        if not self._listening.draining:
            self._begin_drain()
            asyncio.get_running_loop().call_later(self._unready_s, self._stop)

    def _interrupt(self) -> None:
        if self._listening.draining:
            self.force_exit = True
        else:
            self._begin_drain()
        self._stop()

    def _begin_drain(self) -> None:
        self._listening.draining = True
        self._on_drain()

    def _stop(self) -> None:
        self.should_exit = True

    def _reload(self) -> None:
        task = asyncio.ensure_future(self._on_reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)


def listen(host: str | None, port: int) -> socket.socket:
    """A listening TCP socket; `host` None means all interfaces, IPv6 included where the machine has it."""
    try:
        if host is None:
            if socket.has_dualstack_ipv6():
                with contextlib.suppress(OSError):
                    return _bound(("::", port), socket.AF_INET6, dualstack=True)
            return _bound(("0.0.0.0", port), socket.AF_INET)  # noqa: S104 - the contract's default
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return _bound(address, family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"cannot listen on {host or 'all interfaces'}, port {port}: {reason}; choose another port with --port"
        ) from None


def listen_unix(path: Path) -> socket.socket:
    """A listening Unix socket that only the owner can open; a stale one is replaced, since the lock is held."""
    path.unlink(missing_ok=True)
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        unix.bind(str(path))
        path.chmod(0o600)
        unix.listen(16)
    except OSError as error:
        unix.close()
        raise ConfigError(f"cannot make the command socket {path}: {error.strerror}") from None
    return unix


def _bound(address: Any, family: int, *, dualstack: bool = False) -> socket.socket:
    tcp = socket.create_server(address, family=family, backlog=LISTEN_BACKLOG, dualstack_ipv6=dualstack)
    tcp.setblocking(False)
    return tcp
