"""What comes back for every way in which an answer can be framed, coded, cut or malformed."""

import asyncio
import gzip
import zlib

import pytest
from raw_upstream import OK, always, until

from mira.transport.client import AnswerTooLargeError, Limits, TransportError

LINE = b"HTTP/1.1 200 OK\r\n"
CHUNKED = LINE + b"Transfer-Encoding: chunked\r\n\r\n"
LONG = b'{"answer": "' + b"abc " * 100 + b'"}'
GZIPPED = gzip.compress(LONG)


def with_length(body, *lines):
    return LINE + b"".join(line + b"\r\n" for line in lines) + b"content-length: %d\r\n\r\n" % len(body) + body


def in_chunks(body, size, *lines):
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return LINE + b"".join(line + b"\r\n" for line in lines) + b"transfer-encoding: chunked\r\n\r\n" + chunks


# name: (bytes, end of file after them, status or failing phase, body, connection kept)
WHOLE = {
    "length": (with_length(b"hello"), False, 200, b"hello", True),
    "empty": (with_length(b""), False, 200, b"", True),
    "chunked": (in_chunks(b"hello world", 4) + b"0\r\n\r\n", False, 200, b"hello world", True),
    "trailers": (in_chunks(b"hello", 4) + b"0\r\nx-sum: 1\r\ny: 2\r\n\r\n", False, 200, b"hello", True),
    "extensions": (CHUNKED + b"5;a=b\r\nhello\r\n0;c\r\n\r\n", False, 200, b"hello", True),
    "to the end": (LINE + b"\r\nhello", True, 200, b"hello", False),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: a\r\n\r\n" + with_length(b"hi"),
        False,
        200,
        b"hi",
        True,
    ),
    "line ends before it": (b"\r\n\r\n\n" + with_length(b"hi"), False, 200, b"hi", True),
    "line ends between": (b"HTTP/1.1 103 Hints\r\n\r\n\r\n\r\n" + with_length(b"hi"), False, 200, b"hi", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", False, 204, b"", True),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\n\r\n", False, 304, b"", True),
    "version 1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi", False, 200, b"hi", False),
    "kept version 1.0": (
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi",
        False,
        200,
        b"hi",
        True,
    ),
    "connection close": (with_length(b"hi", b"connection: close"), False, 200, b"hi", False),
    "bytes after it": (with_length(b"hi") + b"HTTP/1.1 200 OK\r\n", False, 200, b"hi", False),
    "a second answer": (with_length(b"hi") + with_length(b"evil"), False, 200, b"hi", False),
    "gzip": (with_length(GZIPPED, b"content-encoding: gzip"), False, 200, LONG, True),
    "gzip in chunks": (in_chunks(GZIPPED, 7, b"content-encoding: gzip") + b"0\r\n\r\n", False, 200, LONG, True),
    "two gzip members": (with_length(GZIPPED * 2, b"content-encoding: x-gzip"), False, 200, LONG * 2, True),
    "deflate": (with_length(zlib.compress(LONG), b"content-encoding: deflate"), False, 200, LONG, True),
    "raw deflate": (
        with_length(zlib.compress(LONG, wbits=-15), b"content-encoding: deflate"),
        False,
        200,
        LONG,
        True,
    ),
    "gzip to the end": (LINE + b"content-encoding: gzip\r\n\r\n" + GZIPPED, True, 200, LONG, False),
    "identity": (with_length(b"hi", b"content-encoding: identity"), False, 200, b"hi", True),
    "upgrade offered": (with_length(b"hi", b"connection: upgrade", b"upgrade: h2c"), False, 200, b"hi", True),
}
BROKEN = {
    "cut length": (LINE + b"content-length: 9\r\n\r\nhello", True, "body"),
    "cut chunk": (CHUNKED + b"9\r\nhello", True, "body"),
    "cut before the last chunk": (CHUNKED + b"5\r\nhello\r\n", True, "body"),
    "cut head": (LINE + b"content-le", True, "head"),
    "no answer": (b"", True, "head"),
    "only an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n", True, "head"),
    "cut gzip": (with_length(GZIPPED[:-9], b"content-encoding: gzip"), False, "body"),
    "cut gzip to the end": (LINE + b"content-encoding: gzip\r\n\r\n" + GZIPPED[:-9], True, "body"),
    "damaged gzip": (with_length(b"\x1f\x8b\x08" + b"\xff" * 40, b"content-encoding: gzip"), False, "protocol"),
    "bytes after deflate": (
        with_length(zlib.compress(LONG) + b"xx", b"content-encoding: deflate"),
        False,
        "protocol",
    ),
    "length and chunked": (LINE + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", False, "protocol"),
    "chunked and length": (LINE + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n", False, "protocol"),
    "two lengths": (LINE + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd", False, "protocol"),
    "a list of lengths": (LINE + b"content-length: 3, 3\r\n\r\nabc", False, "protocol"),
    "negative length": (LINE + b"content-length: -3\r\n\r\nabc", False, "protocol"),
    "huge length": (LINE + b"content-length: 99999999999999999999999\r\n\r\n", False, "protocol"),
    "gzip, chunked": (LINE + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", False, "protocol"),
    "transfer coding gzip": (LINE + b"transfer-encoding: gzip\r\n\r\n", False, "protocol"),
    "chunked twice": (
        LINE + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        False,
        "protocol",
    ),
    "chunks in version 1.0": (
        b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        False,
        "protocol",
    ),
    "version 2.0": (b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n", False, "protocol"),
    "another protocol": (b"RTSP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", False, "protocol"),
    "an interim answer with a body": (
        b"HTTP/1.1 103 Hints\r\ncontent-length: 2\r\n\r\nhi" + with_length(b"hi"),
        False,
        "protocol",
    ),
    "version 0.9": (b"HTTP/0.9 200 OK\r\ncontent-length: 0\r\n\r\n", False, "protocol"),
    "folded header": (LINE + b"a: b\r\n c\r\ncontent-length: 0\r\n\r\n", False, "protocol"),
    "bare line feeds": (b"HTTP/1.1 200 OK\ncontent-length: 0\n\n", False, "protocol"),
    "bare carriage return": (LINE + b"a: b\rc: d\r\ncontent-length: 0\r\n\r\n", False, "protocol"),
    "NUL in a value": (LINE + b"a: b\0\r\ncontent-length: 0\r\n\r\n", False, "protocol"),
    "space before the colon": (LINE + b"content-length : 0\r\n\r\n", False, "protocol"),
    "garbage": (b"SSH-2.0-OpenSSH_9.2\r\n", False, "protocol"),
    "a bad chunk size": (CHUNKED + b"zz\r\n", False, "protocol"),
    "an overflowing chunk size": (CHUNKED + b"fffffffffffffffff\r\n", False, "protocol"),
    "no line end after a chunk": (CHUNKED + b"2\r\nhixx", False, "protocol"),
    "status below 100": (b"HTTP/1.1 099 X\r\ncontent-length: 0\r\n\r\n", False, "protocol"),
    "switching protocols": (
        b"HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        False,
        "protocol",
    ),
    "brotli": (with_length(b"abc", b"content-encoding: br"), False, "protocol"),
    "gzip twice": (with_length(GZIPPED, b"content-encoding: gzip, gzip"), False, "protocol"),
}


async def silent(peer):
    await peer.gone()


async def fed(pool, pieces, *, eof, method=b"POST", streamed=False):
    """The result of an exchange whose answer is handed to the connection in exactly these pieces."""
    exchange = asyncio.ensure_future(pool.request(method, "/", [], b""))
    await until(lambda: any(connection.exchange for connection in pool._live))
    connection = next(iter(pool._live))
    for piece in pieces:
        if connection.exchange is not None:
            connection.data_received(piece)
    if eof and connection.exchange is not None:
        connection.eof_received()
    try:
        async with asyncio.timeout(120):
            response = await exchange
            if streamed:
                parts = []
                await response.stream(parts.append)
                body = b"".join(parts)
            else:
                body = await response.read(1 << 20)
        result = response.status, response._lines, body, not connection.closed
    except TransportError as error:
        result = error.phase, error.reached, connection.closed
    connection.discard()
    return result


def splits(data):
    """Whole, in single bytes, and cut in two at every place."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    for i in range(1, len(data)):
        yield [data[:i], data[i:]]


@pytest.mark.parametrize("name", WHOLE)
async def test_every_split_of_an_answer_gives_the_same_result(name, upstream, pool):
    data, eof, status, body, kept = WHOLE[name]
    client = pool((await upstream(silent)).url)
    results = [await fed(client, pieces, eof=eof) for pieces in splits(data)]
    results.append(await fed(client, [data], eof=eof, streamed=True))
    assert {(r[0], r[2]) for r in results} == {(status, body)}
    assert all(r[1] == results[0][1] for r in results)
    if kept:
        assert all(r[3] for r in results)
    else:
        assert not results[0][3]


@pytest.mark.parametrize("name", BROKEN)
async def test_every_split_of_a_broken_answer_fails_in_the_same_phase(name, upstream, pool):
    data, eof, phase = BROKEN[name]
    client = pool((await upstream(silent)).url)
    results = [await fed(client, pieces, eof=eof) for pieces in splits(data)]
    results.append(await fed(client, [data], eof=eof, streamed=True))
    assert {r[:2] for r in results} == {(phase, True)}
    framed_well = name == "cut gzip"
    assert all(closed != framed_well for *_, closed in results)


@pytest.mark.parametrize(
    "head", [b"content-length: 500", b"transfer-encoding: chunked", b"content-encoding: br\r\ncontent-length: 7"]
)
async def test_the_answer_to_head_has_no_body_and_its_connection_serves_on(head, upstream, pool):
    up = await upstream(always(LINE + head + b"\r\n\r\n"))
    client = pool(up.url)
    for _ in range(3):
        response = await client.request(b"HEAD", "/", [])
        assert (response.status, await response.read(10)) == (200, b"")
    assert len(up.peers) == 1


async def test_a_body_behind_the_answer_to_head_is_not_taken_for_anything(upstream, pool):
    client = pool((await upstream(silent)).url)
    assert (await fed(client, [with_length(b"hello")], eof=False, method=b"HEAD"))[2:] == (b"", False)


@pytest.mark.parametrize(
    ("lines", "limits"),
    [
        ([b"x-%d: y" % i for i in range(200)], Limits()),
        ([b"x: " + b"y" * 20_000], Limits()),
        ([b"x-%d: " % i + b"y" * 10_000 for i in range(10)], Limits()),
        ([b"x: yyyyyyyyyy"], Limits(header_count=1)),
    ],
)
async def test_a_head_over_the_limits_is_refused(lines, limits, upstream, pool):
    client = pool((await upstream(silent)).url, limits=limits)
    data = with_length(b"hi", *lines)
    for pieces in ([data], [data[i : i + 1000] for i in range(0, len(data), 1000)]):
        assert await fed(client, pieces, eof=False) == ("protocol", True, True)


async def test_a_head_that_never_ends_is_refused(upstream, pool):
    async def script(peer):
        await peer.request()
        while True:
            peer.send(b"HTTP/1.1 103 Hints\r\nlink: a\r\n\r\n" * 100)
            await peer.writer.drain()

    up = await upstream(script)
    with pytest.raises(TransportError) as caught:
        await pool(up.url).request(b"GET", "/", [])
    assert caught.value.phase == "protocol"


@pytest.mark.parametrize(
    "flood", [b"\r\n" * 400, b"HTTP/1.1 103 Hints\r\nlink: a\r\n\r\n" * 20, b"x: " + b"y" * 900 + b"\r\n"]
)
async def test_what_comes_instead_of_a_head_is_bounded_by_its_limit(flood, upstream, pool):
    client = pool((await upstream(silent)).url)
    start, end = (b"HTTP/1.1 200 OK\r\n", b"\r\n") if flood.startswith(b"x") else (b"", LINE + b"\r\n")
    within = [start, *[flood] * (65_000 // len(flood))]
    assert (await fed(client, [*within, end, b"hi"], eof=True))[::2] == (200, b"hi")
    assert await fed(client, [*within, *[flood] * 3, end, b"hi"], eof=True) == ("protocol", True, True)


@pytest.mark.parametrize("flood", [b"x" * 70_000, b"a: b\r\n" * 12_000])
async def test_trailers_without_end_are_refused(flood, upstream, pool):
    client = pool((await upstream(silent)).url)
    pieces = [in_chunks(b"hello", 5) + b"0\r\n", flood, flood, flood]
    assert await fed(client, pieces, eof=False) == ("protocol", True, True)


async def test_a_body_over_the_limit_is_an_error_and_closes_the_connection(upstream, pool):
    up = await upstream(always(with_length(b"x" * 1000)))
    client = pool(up.url)
    response = await client.request(b"GET", "/", [])
    assert len(await response.read(1000)) == 1000
    response = await client.request(b"GET", "/", [])
    with pytest.raises(AnswerTooLargeError):
        await response.read(999)


async def test_an_endless_body_is_cut_at_the_limit(upstream, pool):
    async def script(peer):
        await peer.request()
        peer.send(LINE + b"\r\n")
        while True:
            peer.send(b"x" * 65536)
            await peer.writer.drain()

    up = await upstream(script)
    response = await pool(up.url).request(b"GET", "/", [])
    with pytest.raises(AnswerTooLargeError):
        await response.read(1_000_000)
    await up.peers[0].ended()


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_compression_bomb_is_refused(streamed, upstream, pool):
    bomb = gzip.compress(b"\0" * 50_000_000)
    up = await upstream(always(with_length(bomb, b"content-encoding: gzip")))
    response = await pool(up.url).request(b"GET", "/", [])
    with pytest.raises(TransportError) as caught:
        await (response.stream(lambda data: None) if streamed else response.read(1 << 30))
    assert caught.value.phase == "protocol"


async def test_a_compressed_stream_is_handed_over_as_it_comes(upstream, pool):
    pack = zlib.compressobj(wbits=31)
    go = asyncio.Event()

    async def script(peer):
        await peer.request()
        peer.send(LINE + b"content-encoding: gzip\r\n\r\n")
        peer.send(pack.compress(b"data: 1\n\n") + pack.flush(zlib.Z_SYNC_FLUSH))
        await go.wait()
        peer.send(pack.compress(b"data: 2\n\n") + pack.flush())

    up = await upstream(script)
    response = await pool(up.url).request(b"GET", "/", [])
    assert response.header(b"content-encoding") is None
    got = []

    def on_data(data):
        got.append(data)
        go.set()

    await response.stream(on_data)
    assert got == [b"data: 1\n\n", b"data: 2\n\n"]


async def test_a_header_is_found_by_its_name_in_any_case_and_the_last_one_counts(upstream, pool):
    up = await upstream(always(with_length(b"", b"X-B: 1", b"x-a:  two \t", b"X-b: 3", b"x-c: x-b: 4", b"X-D:")))
    response = await pool(up.url).request(b"GET", "/", [])
    found = [response.header(name) for name in (b"x-a", b"x-b", b"x-c", b"x-d", b"content-length", b"none", b"b")]
    assert found == ["two", "3", "x-b: 4", "", "0", None, None]


async def test_a_json_document_is_decoded(upstream, pool):
    client = pool((await upstream(always(with_length(b'{"data": [1]}')))).url)
    assert await client.get_json("/models", []) == (200, {"data": [1]})


async def test_an_error_page_that_is_not_json_keeps_its_status(upstream, pool):
    client = pool((await upstream(always(b"HTTP/1.1 404 No\r\ncontent-length: 4\r\n\r\n<hi>"))).url)
    assert await client.get_json("/models", []) == (404, None)


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000])
async def test_a_page_in_place_of_json_is_an_error(body, upstream, pool):
    client = pool((await upstream(always(with_length(body)))).url)
    with pytest.raises(TransportError, match="not JSON") as caught:
        await client.get_json("/models", [])
    assert caught.value.phase == "protocol"


async def test_a_body_can_be_taken_only_once(upstream, pool):
    response = await pool((await upstream(always(OK))).url).request(b"GET", "/", [])
    assert await response.read(10) == b"{}"
    with pytest.raises(RuntimeError):
        await response.read(10)
