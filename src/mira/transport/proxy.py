"""Proxies on the way to an upstream: which one the environment names, and the tunnel through it."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import cast
from urllib.parse import unquote

import msgspec

from mira.transport.errors import TransportError
from mira.transport.origin import ascii_host, is_loopback, parse_origin, split_url

_REPLY_BYTES = 16 * 1024


class Proxy(msgspec.Struct, frozen=True):
    """A plain HTTP proxy; `credential` is a whole `proxy-authorization` line or empty."""

    host: str
    port: int
    credential: bytes


def parse_proxy(url: str) -> Proxy:
    """Parse `http://user:password@host:port` (scheme optional); ValueError, without the URL's text, for other kinds."""
    parts = split_url(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("only proxies that are reached over plain HTTP (http://host:port) can be used")
    credential = b""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        credential = b"proxy-authorization: Basic " + b64encode(pair) + b"\r\n"
    return Proxy(ascii_host(parts.hostname), parts.port or 80, credential)


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY name for this URL, unless NO_PROXY excludes it.

    The lower-case spelling of a variable wins. A loopback target never uses the environment's proxy.
    """
    origin = parse_origin(url)
    if is_loopback(origin.host) or _excluded(origin.host, origin.port, _variable(environ, "no_proxy")):
        return None
    return _variable(environ, f"{origin.scheme}_proxy") or _variable(environ, "all_proxy") or None


def _variable(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name)
    return (environ.get(name.upper(), "") if value is None else value).strip()


def _excluded(host: str, port: int, no_proxy: str) -> bool:
    return any(_matches(host, port, entry) for entry in no_proxy.lower().replace(",", " ").split())


def _matches(host: str, port: int, entry: str) -> bool:
    """One entry of NO_PROXY: `*`, a name and all below it, an address, a network, each perhaps with a port."""
    if entry == "*":
        return True
    name, separator, last = entry.rpartition(":")
    if separator and last.isdigit() and (":" not in name or name.endswith("]")):
        if int(last) != port:
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*").strip(".")
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return bool(entry) and (host == entry or host.endswith("." + entry))


class Tunnel(asyncio.Protocol):
    """Asks a proxy for a tunnel; `ready` resolves when the proxy has opened it."""

    __slots__ = ("_reply", "_request", "ready", "transport")

    def __init__(self, authority: str, credential: bytes) -> None:
        name = authority.encode("ascii")
        self._request = b"CONNECT " + name + b" HTTP/1.1\r\nhost: " + name + b"\r\n" + credential + b"\r\n"
        self._reply = b""
        self.transport: asyncio.Transport | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio's protocol."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Part of asyncio's protocol: wait for the end of the proxy's head."""
        self._reply += data
        head, end, rest = self._reply.partition(b"\r\n\r\n")
        if end:
            words = head.split(b"\r\n", 1)[0].split(b" ")
            opened = words[0] in {b"HTTP/1.1", b"HTTP/1.0"} and len(words) > 1 and words[1] == b"200" and not rest
            self._settle(None if opened else "the proxy refused the tunnel")
        elif len(self._reply) > _REPLY_BYTES:
            self._settle("the proxy's reply is too large")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Part of asyncio's protocol."""
        self._settle("the proxy hung up")

    def _settle(self, refusal: str | None) -> None:
        if self.ready.done():
            return
        if refusal is None:
            self.ready.set_result(None)
        else:
            self.ready.set_exception(TransportError("connect", reached=False, detail=refusal))
            self.ready.exception()
