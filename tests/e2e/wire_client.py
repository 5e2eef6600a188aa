"""A client on a bare socket, which can leave whenever a test wants it to."""

import asyncio
import contextlib
import json
from typing import Any

from tests.support.gateway import PROXY_KEY, Gateway

PATIENCE_S = 120.0


class WireClient:
    """One request on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.seen = b""

    @classmethod
    async def ask(
        cls, gateway: Gateway, body: dict[str, Any], key: str = PROXY_KEY, path: str = "/v1/chat/completions"
    ) -> "WireClient":
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        data = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        )
        writer.write(head.encode() + data)
        await writer.drain()
        return cls(reader, writer)

    async def until(self, count: int, what: bytes) -> None:
        """Reads until something was seen so many times."""
        async with asyncio.timeout(PATIENCE_S):
            while self.seen.count(what) < count:
                data = await self._reader.read(65536)
                assert data, self.seen
                self.seen += data

    async def leave(self) -> None:
        """Closes the connection, as a client that was stopped does."""
        self._writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    @property
    def request_id(self) -> str:
        """The id in the head of the answer."""
        return self.seen.split(b"x-request-id: ")[1].split(b"\r\n")[0].decode()
