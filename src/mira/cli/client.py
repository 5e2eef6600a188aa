"""Speaks the operator API: through the socket of a running gateway, else to the application opened in this process."""

import asyncio
import http.client
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from mira.cli.options import CommandError
from mira.cli.program import Asgi, Message, Program
from mira.config import Config

API = "/admin/v1"
#: The longest answer waited for is a probe of a slow node.
TIMEOUT_S = 120.0
CONNECT_TIMEOUT_S = 5.0


class Reply(Struct, frozen=True):
    """An answer of Mira: its status and its body as it came."""

    status: int
    body: bytes

    @property
    def value(self) -> Any:
        """The decoded body, None where there is none; CommandError where it is not JSON."""
        if not self.body:
            return None
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise CommandError(f"Mira answered with status {self.status} and no JSON") from None


class Exchange(Protocol):
    """One request and its answer, whichever way it goes."""

    async def __call__(self, method: str, target: str, body: bytes) -> Reply:
        """Sends a request for `target` (path and query)."""


class Client:
    """The operator API. `running` tells whether a gateway answers, or the store was opened in this process."""

    def __init__(self, exchange: Exchange, *, running: bool) -> None:
        self._exchange = exchange
        self.running = running

    async def request(
        self, method: str, path: str, body: Any = None, query: Mapping[str, str | int | None] | None = None
    ) -> Reply:
        """Sends a request and returns the answer, whatever its status. None in `query` is left out."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        target = f"{path}?{urlencode(given)}" if given else path
        return await self._exchange(method, target, b"" if body is None else msgspec.json.encode(body))

    async def call(
        self, method: str, path: str, body: Any = None, query: Mapping[str, str | int | None] | None = None
    ) -> Reply:
        """Sends a request below `/admin/v1`; CommandError with the API's own words where it is refused."""
        reply = await self.request(method, API + path, body, query)
        if not 200 <= reply.status < 300:
            raise CommandError(_refusal(reply))
        return reply

    async def nodes(self) -> Reply:
        """The fleet. Where no gateway runs nobody has asked the nodes for their models yet, so they are asked first."""
        reply = await self.call("GET", "/nodes")
        names = [node["name"] for node in reply.value["data"] if not node["disabled"]]
        if self.running or not names:
            return reply
        await asyncio.gather(*(self.call("POST", f"/nodes/{quote(name, safe='')}/probe") for name in names))
        return await self.call("GET", "/nodes")


@asynccontextmanager
async def connect(config: Config, program: Program) -> AsyncIterator[Client]:
    """A client of the gateway that runs in this data folder, or of the application opened here under the same lock.

    ConfigError where neither is possible.
    """
    if is_running(config.socket_path):
        yield Client(unix_exchange(config.socket_path), running=True)
        return
    async with program.application(config) as application:
        yield Client(memory_exchange(application), running=False)


def is_running(path: Path) -> bool:
    """Whether a gateway accepts connections on the socket `path`; CommandError where it may not be opened."""
    try:
        _connected(path).close()
    except PermissionError:
        raise CommandError(
            f"the command socket {path} belongs to another user; run this command as the user who runs the gateway"
        ) from None
    except OSError:
        return False
    return True


def unix_exchange(path: Path) -> Exchange:
    """Speaks HTTP over a Unix socket, one connection per request."""

    async def exchange(method: str, target: str, body: bytes) -> Reply:
        # Blocking is fine: nothing else runs in a command's event loop.
        connection = _UnixConnection(path)
        headers = {"content-type": "application/json", "connection": "close"}
        try:
            connection.request(method, target, body or None, headers)
            answer = connection.getresponse()
            return Reply(answer.status, answer.read())
        except TimeoutError:
            raise CommandError(f"the gateway did not answer within {TIMEOUT_S:.0f} s") from None
        except (OSError, http.client.HTTPException):
            raise CommandError("the gateway ended the connection before it answered; does it still run?") from None
        finally:
            connection.close()

    return exchange


def http_exchange(base_url: str, key: str) -> Exchange:
    """Speaks HTTP or HTTPS to a gateway at an address that the person named, with a key; one connection per request."""
    parts = urlsplit(base_url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection

    async def exchange(method: str, target: str, body: bytes) -> Reply:
        connection = kind(parts.hostname or "", parts.port, timeout=CONNECT_TIMEOUT_S)
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "connection": "close"}
        try:
            connection.request(method, parts.path.rstrip("/") + target, body or None, headers)
            answer = connection.getresponse()
            return Reply(answer.status, answer.read())
        except (OSError, http.client.HTTPException, UnicodeError):
            # UnicodeError: a key or a host that no header can carry.
            raise CommandError(f"nothing answered at {base_url}; does the gateway run there?") from None
        finally:
            connection.close()

    return exchange


def memory_exchange(application: Asgi) -> Exchange:
    """Calls an ASGI application in this process, as the owner of the data folder."""

    async def exchange(method: str, target: str, body: bytes) -> Reply:
        call = _MemoryCall(body)
        await application(_scope(method, target), call.receive, call.send)
        if call.status is None:
            raise CommandError("Mira did not answer this request")
        return Reply(call.status, bytes(call.body))

    return exchange


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = _connected(self._path)
        self.sock.settimeout(TIMEOUT_S)


class _MemoryCall:
    """The two ends of one ASGI call: the whole request first, then silence; the answer is gathered."""

    def __init__(self, body: bytes) -> None:
        self._request: bytes | None = body
        self.status: int | None = None
        self.body = bytearray()

    async def receive(self) -> Message:
        if self._request is None:
            await asyncio.get_running_loop().create_future()
        body, self._request = self._request, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


def _scope(method: str, target: str) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "client": None,
        "server": None,
        "mira.listener": "socket",
    }


def _connected(path: Path) -> socket.socket:
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        unix.settimeout(CONNECT_TIMEOUT_S)
        unix.connect(os.fspath(path))
    except BaseException:
        unix.close()
        raise
    return unix


def _refusal(reply: Reply) -> str:
    """The API's own words, on one line."""
    value = reply.value if reply.body.startswith(b"{") else None
    error = value.get("error") if isinstance(value, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return " ".join(str(message).split()) if message else f"Mira refused with status {reply.status}"
