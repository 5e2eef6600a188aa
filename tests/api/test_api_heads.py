"""Heads of requests: how large they may be, and what is no request at all."""

import contextlib

import pytest
from raw_http import connected, request

from mira.errors import MiraError

KIB = 1024


async def hello(exchange):
    with contextlib.suppress(MiraError):
        await exchange.body(1000)
    await exchange.respond(200, [], b"hello")


def head_of(size, lines=10):
    """A request whose head has about so many bytes."""
    piece = size // lines - 20
    return request("POST", "/", b"", *(f"x-filler-{number:02}: {'x' * piece}" for number in range(lines)))


@pytest.mark.parametrize("cut", [0, 100, 30 * KIB])
async def test_a_head_within_the_cap_passes_in_any_pieces(serve, cut):
    data = head_of(60 * KIB)
    async with serve(hello) as server, connected(server.port) as client:
        for _ in range(3):
            await client.sent(data[:cut])
            await client.sent(data[cut:])
            assert (await client.answer()).status == 200


@pytest.mark.parametrize("cut", [0, 100, 60 * KIB])
async def test_a_head_over_the_cap_is_refused_in_json(serve, cut):
    data = head_of(80 * KIB)
    async with serve(hello) as server, connected(server.port) as client:
        await client.sent(data[:cut])
        await client.sent(data[cut:])
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (431, "close")
        assert answer.json["error"]["code"] == "request_head_too_large"


async def test_more_than_128_headers_are_refused(serve):
    lines = [f"x-{number}: 1" for number in range(126)]
    async with serve(hello) as server, connected(server.port) as client:
        client.send(request("POST", "/", b"", *lines))
        assert (await client.answer()).status == 200
        client.send(request("POST", "/", b"", *lines, "x-one-more: 1"))
        assert (await client.answer()).status == 431


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nx-endless: ", b"GET / HTTP/1.1\r\nx-", b"POST /?"])
async def test_a_head_that_never_ends_is_cut_early(serve, start):
    piece = b"x" * 64 * KIB
    taken = 0
    async with serve(hello) as server, connected(server.port) as client:
        client.send(start)
        while server.state.connections or not taken:
            await client.sent(piece)
            taken += len(piece)
            if client.writer.is_closing() or client.reader.at_eof():
                break
        # What the sockets between the two hold is not the server's.
        assert taken < 18_000_000
        assert b" 200 " not in await client.closed()


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nbad header: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1, 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"GET / HTTP/1.1\r\nx-nul: a\x00b\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused_and_let_go(serve, data):
    async with serve(hello) as server, connected(server.port) as client:
        await client.sent(data)
        said = await client.closed()
        assert said.startswith(b"HTTP/1.1 400 ")
        async with connected(server.port) as other:
            other.send(request())
            assert (await other.answer()).status == 200
