"""Heads of requests: how large they may be, and what is no request at all."""

import contextlib

import pytest
from raw_http import chunked, connected, request

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


async def flooded(client, piece):
    """Whether the server hangs up on a client that sends on and on. What the sockets between the two hold is not its."""
    for _ in range(18_000_000 // len(piece)):
        await client.sent(piece)
        if client.writer.is_closing() or client.reader.at_eof():
            return True
    return False


@pytest.mark.parametrize("cut", [0, 100, 30 * KIB])
async def test_a_head_within_the_cap_passes_in_any_pieces(serve, cut):
    data = head_of(60 * KIB)
    async with serve(hello) as server, connected(server.port) as client:
        for _ in range(3):
            await client.sent(data[:cut])
            await client.sent(data[cut:])
            assert (await client.answer()).status == 200


@pytest.mark.parametrize("size", [10, 70 * KIB, 200 * KIB])
async def test_a_head_that_begins_behind_much_else_is_no_large_one(serve, size):
    async with serve(hello) as server, connected(server.port) as client:
        for _ in range(5):
            client.send(request(body=b"x" * 900) * (size // 1000 + 1) + request(body=b"y")[:30])
            for _ in range(size // 1000 + 1):
                assert (await client.answer()).status == 200
            client.send(request(body=b"y")[30:])
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
    async with serve(hello) as server, connected(server.port) as client:
        client.send(start)
        assert await flooded(client, b"x" * 64 * KIB)
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


@pytest.mark.parametrize("path", ["/", "/other"])
@pytest.mark.parametrize("piece", [b"x" * 64 * KIB, b"x-trailer: 1\r\n" * 4096])
async def test_trailers_that_never_end_are_cut_early(serve, path, piece):
    async def reads(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass

    async with serve(hello, app=reads) as server, connected(server.port) as client:
        client.send(chunked(path, [b"hi"])[:-2] + b"x-trailer: ")
        assert await flooded(client, piece)
        assert b" 200 " not in await client.closed()


async def test_a_body_in_many_small_chunks_whose_heads_come_alone_is_taken(serve):
    async with serve(hello) as server, connected(server.port) as client:
        client.send(chunked("/", [])[:-5])
        for _ in range(100):
            await client.sent(b"1;%b\r\n" % (b"x" * KIB))
            await client.sent(b"x\r\n")
        await client.sent(b"0\r\n\r\n")
        assert (await client.answer()).status == 200
