"""A scripted upstream on a real socket: each test says, byte by byte, what it answers."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
PATIENCE_S = 120


class Peer:
    """The upstream's end of one connection."""

    def __init__(self, reader, writer, number):
        self.reader, self.writer, self.number = reader, writer, number
        self.requests = []
        self.over = asyncio.Event()

    async def request(self):
        """The next request as (head, body); None when the client has hung up."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await self.reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b""
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        self.requests.append((head, body))
        return head, body

    def send(self, data):
        self.writer.write(data)

    async def ended(self):
        """For tests: wait until the script is over, as all scripts are once the client has hung up."""
        async with asyncio.timeout(PATIENCE_S):
            await self.over.wait()

    async def gone(self):
        """For scripts: wait until the client has closed the connection."""
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass

    def close(self):
        self.writer.close()

    def abort(self):
        self.writer.transport.abort()


class Upstream:
    """Listens on a free loopback port and runs `script(peer)` for every connection; closes it when the script ends."""

    def __init__(self, script: Callable[[Peer], Awaitable[None]]):
        self.script = script
        self.peers: list[Peer] = []
        self.tasks: set[asyncio.Task] = set()
        self.changed = asyncio.Event()

    async def start(self, tls: ssl.SSLContext | None = None, port=0):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=tls)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        return self

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        peer = Peer(reader, writer, len(self.peers))
        self.peers.append(peer)
        self.changed.set()
        try:
            await self.script(peer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            peer.over.set()
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
                await writer.wait_closed()

    async def connected(self, count):
        async with asyncio.timeout(PATIENCE_S):
            while len(self.peers) < count:
                self.changed.clear()
                await self.changed.wait()

    async def stop(self):
        self.server.close()
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        for peer in self.peers:
            if not peer.writer.is_closing():
                peer.writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.server.wait_closed()


def always(*answers):
    """A script that gives these answers to every request."""

    async def script(peer):
        while await peer.request():
            for data in answers:
                peer.send(data)

    return script


async def until(condition):
    """Let the event loop run until the condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        turns = 0
        while not condition():
            turns += 1
            await asyncio.sleep(0 if turns < 100 else 0.001)


def descriptors():
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
