"""A small web on loopback: a site that answers as told, a canary that nobody may touch, and a guard between."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from mira.fetch.egress import PORTS, Egress
from mira.transport.pinned import PinnedOpener, open_tunnel

#: Stands for a public host: the opener below takes it to the site on loopback.
PUBLIC = "93.184.216.34"


class Server:
    """Answers every request on a free port with `answer(path)`, or does nothing but count connections."""

    def __init__(self, answer: Callable[[str], bytes]) -> None:
        self.answer = answer
        self.connections = 0
        self.heads: list[str] = []
        #: Somebody sent a request; somebody who had sent one has gone.
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        #: Answers to paths that begin so wait for it.
        self.held: tuple[str, asyncio.Event] | None = None
        self._came = asyncio.Condition()

    async def start(self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> "Server":
        self.server = await asyncio.start_server(self._serve, host, port, ssl=tls)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            self.asked.set()
            async with self._came:
                self._came.notify_all()
            path = head.split(" ")[1]
            if self.held is not None and path.startswith(self.held[0]):
                await self.held[1].wait()
            writer.write(self.answer(path))
            await writer.drain()
            while await reader.read(65536):
                pass
        self.left.set()
        writer.close()

    def paths(self, *prefixes: str) -> list[str]:
        """What was asked for and begins so."""
        return [path for head in self.heads if (path := head.split(" ")[1]).startswith(prefixes)]

    async def came(self, prefix: str, number: int) -> None:
        """Waits until so many have asked for paths that begin so."""
        async with asyncio.timeout(120), self._came:
            await self._came.wait_for(lambda: len(self.paths(prefix)) >= number)

    async def stop(self) -> None:
        self.server.close()


class Web:
    """`names` maps host names to what the resolver answers, one list a look-up, the last one from then on."""

    def __init__(self, site: Server, canary: Server, trusted: ssl.SSLContext | None = None) -> None:
        self.site = site
        self.canary = canary
        self.names: dict[str, list[list[str]]] = {}
        self.lookups: list[str] = []
        self.dialled: list[str] = []
        self._open = PinnedOpener(trusted or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def egress(self, **more: Any) -> Egress:
        """A guard for which the ports of this web are open like those of web servers."""
        ports = PORTS | {self.site.port, self.canary.port}
        return Egress(self.open, self.lookup, **{"ports": ports, **more})

    async def lookup(self, host: str, _port: int) -> list[str]:
        self.lookups.append(host)
        answers = self.names.get(host)
        if not answers:
            raise OSError("unknown")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def open(self, origin: str, target: str, headers: Any, addresses: Sequence[str], **more: Any) -> Any:
        self.dialled += addresses
        assert set(addresses) <= {PUBLIC, "127.0.0.1"}, "no test may send packets elsewhere"
        return self._open(origin, target, headers, ["127.0.0.1"] * len(addresses), **more)

    async def tunnel(self, addresses: Sequence[str], port: int, *, connect_s: float) -> Any:
        self.dialled += addresses
        assert set(addresses) == {PUBLIC}, "no test may send packets elsewhere"
        return await open_tunnel(["127.0.0.1"], port, connect_s=connect_s)


def ok(body: bytes, *lines: str, mime: str = "image/png") -> bytes:
    head = ["HTTP/1.1 200 OK", f"content-type: {mime}", f"content-length: {len(body)}", *lines]
    return "\r\n".join([*head, "", ""]).encode() + body


def redirect(location: str, status: int = 302, *lines: str) -> bytes:
    head = [f"HTTP/1.1 {status} Elsewhere", f"location: {location}", "content-length: 0", *lines]
    return "\r\n".join([*head, "", ""]).encode()
