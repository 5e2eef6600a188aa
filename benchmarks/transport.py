"""Client CPU per request and per streamed chunk against a trivial server in another process.

    uv run python benchmarks/transport.py [--requests 20000] [--rounds 5]

Three clients on uvloop, 16 at a time, interleaved round by round: `raw` writes fixed bytes and counts the answer's
bytes (what the kernel and the loop cost), `pool` is Mira's transport, `streams` is StreamReader with a minimal
parser. Figures are µs of CPU of this process, median (minimum); the machine matters, so read them as ratios.
"""

import argparse
import asyncio
import multiprocessing
import os
import socket
import statistics
import time

import uvloop

from mira.transport.client import Pool

BODY = b'{"id":"x","choices":[{"message":{"content":"' + b"a" * 1075 + b'"}}],"usage":{}}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nserver: bench\r\ncontent-length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)
CHUNK = b"data: " + b"x" * 186 + b"\n\n"
CHUNKS = 60
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
REQUEST_BODY = b'{"model":"m","messages":[{"role":"user","content":"' + b"q" * 750 + b'"}]}'
HEADERS = [
    (b"authorization", b"Bearer sk-0123456789abcdef0123456789abcdef"),
    (b"content-type", b"application/json"),
    (b"accept", b"application/json"),
    (b"user-agent", b"mira"),
]
RAW_REQUEST = (
    b"POST /json HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    + b"".join(n + b": " + v + b"\r\n" for n, v in HEADERS)
    + b"content-length: %d\r\n\r\n" % len(REQUEST_BODY)
    + REQUEST_BODY
)
CLIENTS = 16


class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.seen = b""

    def data_received(self, data):
        self.seen += data
        if not self.seen.endswith(b'"}]}'):
            return
        if self.seen.startswith(b"POST /stream"):
            self.transport.write(STREAM_HEAD)
            self.left = CHUNKS
            self.step()
        else:
            self.transport.write(ANSWER)
        self.seen = b""

    def step(self):
        if self.left:
            self.left -= 1
            self.transport.write(b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK))
            asyncio.get_running_loop().call_later(0.005, self.step)
        else:
            self.transport.write(b"0\r\n\r\n")


def serve(listener):
    async def main():
        server = await asyncio.get_running_loop().create_server(Server, sock=listener)
        await server.serve_forever()

    if os.cpu_count() > 1:
        os.sched_setaffinity(0, {1})
    uvloop.run(main())


class Raw(asyncio.Protocol):
    def __init__(self):
        self.waiter = None
        self.left = 0

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.left -= len(data)
        if self.left <= 0:
            self.waiter.set_result(None)

    async def call(self):
        self.left = len(ANSWER)
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(RAW_REQUEST)
        await self.waiter


async def raw(port, count):
    loop = asyncio.get_running_loop()

    async def worker():
        transport, client = await loop.create_connection(Raw, "127.0.0.1", port)
        for _ in range(count // CLIENTS):
            await client.call()
        transport.close()

    await asyncio.gather(*(worker() for _ in range(CLIENTS)))


async def streams(port, count):
    async def worker():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count // CLIENTS):
            writer.write(RAW_REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
            await reader.readexactly(int(headers[b"content-length"]))
        writer.close()

    await asyncio.gather(*(worker() for _ in range(CLIENTS)))


async def pooled(port, count):
    pool = Pool(f"http://127.0.0.1:{port}")

    async def worker():
        for _ in range(count // CLIENTS):
            response = await pool.request(b"POST", "/json", HEADERS, REQUEST_BODY)
            assert len(await response.read(1 << 20)) == len(BODY)

    await asyncio.gather(*(worker() for _ in range(CLIENTS)))
    await pool.close()


async def chunks(port, count):
    """Paced streams, 100 at a time: µs per chunk."""
    pool = Pool(f"http://127.0.0.1:{port}")

    async def worker():
        for _ in range(max(1, count // CHUNKS // 100)):
            response = await pool.request(b"POST", "/stream", HEADERS, REQUEST_BODY)
            got = []
            await response.stream(got.append)
            assert sum(map(len, got)) == CHUNKS * len(CHUNK)

    await asyncio.gather(*(worker() for _ in range(100)))
    await pool.close()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--requests", type=int, default=20000)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    port = listener.getsockname()[1]
    process = multiprocessing.get_context("fork").Process(target=serve, args=(listener,), daemon=True)
    process.start()
    os.sched_setaffinity(0, {0})
    figures = {}
    try:
        for _ in range(options.rounds):
            for client in (raw, pooled, streams, chunks):
                before = time.process_time()
                uvloop.run(client(port, options.requests))
                figures.setdefault(client.__name__, []).append((time.process_time() - before) / options.requests * 1e6)
    finally:
        process.terminate()
        process.join()
    for name, values in figures.items():
        print(f"{name:8s} {statistics.median(values):6.1f} ({min(values):.1f}) us")


if __name__ == "__main__":
    main()
