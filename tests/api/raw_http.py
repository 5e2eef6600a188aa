"""HTTP by hand: what a client sends is what the test wrote, what it gets is taken apart as the bytes came."""

import asyncio
import contextlib
import json
from typing import Any

PATIENCE_S = 120.0


class Answer:
    """One answer: status, headers by lower-case name, body with its chunks put together."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def sent(self, data: bytes) -> None:
        """Sends and waits until it is on its way; a server that hangs up is fine."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            async with asyncio.timeout(PATIENCE_S):
                await self.writer.drain()

    async def answer(self, *, bodyless: bool = False) -> Answer:
        """The next answer, interim ones passed over."""
        async with asyncio.timeout(PATIENCE_S):
            head = b"HTTP/1.1 100"
            while head.startswith(b"HTTP/1.1 1"):
                head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head[:-4].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            return Answer(int(first.split()[1]), headers, b"" if bodyless else await self._body(headers))

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            assert await self.reader.readline() == b"\r\n"
            return body
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        return await self.reader.read()

    async def closed(self) -> bytes:
        """What comes until the server has hung up."""
        rest = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                while data := await self.reader.read(65536):
                    rest += data
        return rest

    async def close(self) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def connected(port: int, **limits: int):
    """A connection to a server on this machine."""
    client = RawClient(*await asyncio.open_connection("127.0.0.1", port, **limits))
    try:
        yield client
    finally:
        await client.close()


def request(method: str = "POST", path: str = "/", body: bytes = b"", *lines: str, version: str = "1.1") -> bytes:
    """A request with a length, and more header lines as given."""
    head = [f"{method} {path} HTTP/{version}", "host: test", *lines]
    head += [f"content-length: {len(body)}"] if method == "POST" else []
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def chunked(path: str, pieces: list[bytes], *lines: str) -> bytes:
    """A request whose body comes in chunks."""
    head = [f"POST {path} HTTP/1.1", "host: test", "transfer-encoding: chunked", *lines, "", ""]
    return "\r\n".join(head).encode() + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
