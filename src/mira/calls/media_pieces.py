"""A node's streamed answer, piece by piece, read no faster than the client takes it."""

import asyncio
from collections import deque

from mira.collaborators import Response

#: So much waits here at most, beside what one read of the socket brings.
MOST_WAITING_BYTES = 256 * 1024


class Pieces:
    """Hands out the body of a response. It must be read to its end or closed."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._over = response.stream(self._take)
        self._over.add_done_callback(lambda _: self._news.set())

    async def next(self) -> bytes | None:
        """The next piece, None at the end; what broke the transport is raised."""
        while not self._waiting:
            if self._over.done():
                self._over.result()
                return None
            self._news.clear()
            await self._news.wait()
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        self._response.resume()
        return data

    def close(self) -> None:
        """Gives the connection back if the answer is complete, else cuts it at once."""
        self._response.close()

    def _take(self, data: bytes) -> None:
        self._waiting.append(data)
        self._bytes += len(data)
        self._news.set()
        if self._bytes >= MOST_WAITING_BYTES:
            self._response.pause()
