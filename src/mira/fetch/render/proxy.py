"""The proxy through which a browser reaches the web: each of its connections is judged and dialled by the egress.

It listens on loopback for one page and ends with it. `CONNECT` becomes a tunnel (https, WebSockets), everything else is
one request per connection.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeAlias

from mira.errors import MiraError
from mira.fetch.egress import Egress, Permit
from mira.fetch.urls import Destination, parse_url

#: Stands in answers of this proxy itself.
REFUSED_HEADER = "x-mira-refused"
_HEAD_BYTES = 64 * 1024
_HEAD_S = 10.0
_CONNECT_S = 5.0
_CHUNK_BYTES = 64 * 1024
#: Headers between the browser and its proxy, or about this connection alone.
_OURS = (b"host", b"connection", b"proxy-connection", b"proxy-authorization", b"keep-alive", b"upgrade")

#: Both ends of a connection.
Ends: TypeAlias = tuple[StreamReader, StreamWriter]


class BrowserProxy:
    """Serves one page of a browser; at most `most_bytes` come in for it."""

    def __init__(self, egress: Egress, permit: Permit, *, most_bytes: int) -> None:
        self._egress = egress
        self._permit = permit
        self._left_bytes = most_bytes
        self._serving: set[asyncio.Task[None]] = set()
        self._writers: set[StreamWriter] = set()
        self._server: asyncio.Server | None = None
        #: how many connections were refused
        self.refused = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_HEAD_BYTES)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._writers.add(writer)
        try:
            async with asyncio.timeout(_HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
            method, _, rest = head.partition(b" ")
            target = rest.partition(b" ")[0].decode("latin-1")
            tunnel = method == b"CONNECT"
            destination = parse_url(f"https://{target}/" if tunnel else target)
            site = await self._egress.tunnel(destination, connect_s=_CONNECT_S, permit=self._permit)
            self._writers.add(site[1])
            if tunnel:
                await self._tunnel((reader, writer), site)
            else:
                await self._exchange(head, destination, (reader, writer), site)
            _end(site[1])
        except MiraError as error:
            self._refuse(writer, error)
        except (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError):
            pass
        finally:
            _end(writer)

    def _refuse(self, writer: StreamWriter, error: MiraError) -> None:
        self.refused += error.code == "url_not_allowed"
        status = "403 Forbidden" if error.code == "url_not_allowed" else "502 Bad Gateway"
        writer.write(
            f"HTTP/1.1 {status}\r\n{REFUSED_HEADER}: {error.code}\r\n"
            "content-length: 0\r\nconnection: close\r\n\r\n".encode()
        )

    async def _tunnel(self, browser: Ends, site: Ends) -> None:
        (reader, writer), (site_reader, site_writer) = browser, site
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        ways = (
            asyncio.create_task(_copy(reader, site_writer)),
            asyncio.create_task(self._copy_in(site_reader, writer)),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _exchange(self, head: bytes, destination: Destination, browser: Ends, site: Ends) -> None:
        """One request: what is behind it on the same connection is not read, and never meant for this site."""
        (reader, writer), (site_reader, site_writer) = browser, site
        method = head.partition(b" ")[0]
        lines = [line for line in head.split(b"\r\n")[1:-2] if _name(line) not in _OURS]
        length = next((line.partition(b":")[2] for line in lines if _name(line) == b"content-length"), b"0")
        authority = destination.origin.partition("://")[2]
        start = b"%b %b HTTP/1.1" % (method, destination.target.encode("ascii"))
        site_writer.write(b"\r\n".join([start, b"host: " + authority.encode(), *lines, b"connection: close", b"", b""]))
        body = asyncio.create_task(_copy(reader, site_writer, int(length)))
        try:
            answer = await site_reader.readuntil(b"\r\n\r\n")
            first, *more = answer.split(b"\r\n")[:-2]
            kept = [line for line in more if _name(line) not in _OURS]
            writer.write(b"\r\n".join([first, *kept, b"connection: close", b"", b""]))
            await self._copy_in(site_reader, writer)
        finally:
            body.cancel()
            await asyncio.gather(body, return_exceptions=True)

    async def _copy_in(self, source: StreamReader, sink: StreamWriter) -> None:
        while data := await source.read(_CHUNK_BYTES):
            self._left_bytes -= len(data)
            if self._left_bytes < 0:
                return
            sink.write(data)
            await sink.drain()


async def _copy(source: StreamReader, sink: StreamWriter, most_bytes: int | None = None) -> None:
    left = most_bytes
    while left is None or left > 0:
        data = await source.read(_CHUNK_BYTES if left is None else min(left, _CHUNK_BYTES))
        if not data:
            return
        if left is not None:
            left -= len(data)
        sink.write(data)
        await sink.drain()


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].strip().lower()


def _end(writer: StreamWriter) -> None:
    if writer.can_write_eof():
        with suppress(OSError, RuntimeError):
            writer.write_eof()
    writer.close()
