"""A process that drains answers what is on its way to it, and only then hangs up."""

import asyncio
import socket
from functools import partial

from raw_http import connected, request

from mira.api.routes import Routes
from mira.api.server import ListenConfig, Server, listen
from mira.api.wire import WireProtocol

HEADERS = [(b"content-type", b"text/plain")]


class Impatient(WireProtocol):
    leave_s = 0.02


async def says_hello(exchange):
    await exchange.body(100)
    await exchange.respond(200, list(HEADERS), b"hello")


def drain(served):
    """What the server does to its connections when it is told to stop."""
    (connection,) = served.state.connections
    connection.shutdown()


async def test_a_request_on_its_way_to_a_draining_process_is_answered_and_told_that_the_connection_ends(serve):
    async with serve(says_hello) as served, connected(served.port) as client:
        client.send(request())
        assert "connection" not in (await client.answer()).headers
        drain(served)
        client.send(request())
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await client.closed() == b""


async def test_a_first_request_that_meets_a_draining_process_is_answered(serve):
    async with serve(says_hello) as served, connected(served.port) as client:
        async with asyncio.timeout(120):
            while not served.state.connections:  # noqa: ASYNC110 - the server accepts when it does
                await asyncio.sleep(0)
        drain(served)
        client.send(request())
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")


async def test_whoever_has_connected_and_was_not_accepted_when_the_listening_ends_is_answered():
    config = ListenConfig(None, Routes({"/": says_hello}), {})
    config.load()
    server = Server(config, on_drain=lambda: None, on_reload=lambda: asyncio.sleep(0))
    server.lifespan = config.lifespan_class(config)
    listener = listen("127.0.0.1", 0)
    await server.startup([listener])
    # All of this without a turn of the loop, so that nothing is accepted meanwhile.
    clients = [socket.create_connection(listener.getsockname(), timeout=120) for _ in range(3)]
    for client in clients:
        client.sendall(request())
    config.draining = True
    await server.shutdown([listener])
    for client in clients:
        with client:
            answer = b"".join(iter(partial(client.recv, 65536), b""))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"hello")


async def test_a_client_that_asks_no_more_is_let_go(serve):
    async with serve(says_hello, protocol=Impatient) as served, connected(served.port) as client:
        client.send(request())
        await client.answer()
        drain(served)
        assert await client.closed() == b""


async def test_a_stream_that_had_begun_ends_in_order_and_its_client_may_ask_once_more(serve):
    go_on = asyncio.Event()

    async def streams(exchange):
        await exchange.body(100)
        exchange.start(200, list(HEADERS))
        exchange.write(b"one")
        await go_on.wait()
        await exchange.end(b" two")

    async with serve(streams) as served, connected(served.port) as client:
        client.send(request())
        async with asyncio.timeout(120):
            head = await client.reader.readuntil(b"\r\n\r\n")
            drain(served)
            go_on.set()
            body = await client.reader.readuntil(b"0\r\n\r\n")
        client.send(request())
        second = await client.answer()
        # It was not told that its connection would end, so it may use it again.
        assert b"connection" not in head
        assert body == b"3\r\none\r\n4\r\n two\r\n0\r\n\r\n"
        assert (second.body, second.headers["connection"]) == (b"one two", "close")


async def test_a_stream_that_outlasts_the_patience_of_a_drain_is_not_cut(serve):
    go_on = asyncio.Event()

    async def streams(exchange):
        await exchange.body(100)
        exchange.start(200, list(HEADERS))
        await go_on.wait()
        await exchange.end(b"whole")

    async with serve(streams, protocol=Impatient) as served, connected(served.port) as client:
        client.send(request())
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        drain(served)
        (connection,) = served.state.connections
        left = asyncio.Event()
        asyncio.get_running_loop().call_later(5 * Impatient.leave_s, left.set)
        await left.wait()
        assert not connection.transport.is_closing()
        go_on.set()
        assert await client.closed() == b"5\r\nwhole\r\n0\r\n\r\n"
