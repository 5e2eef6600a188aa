"""One connection at a time: bodies in every form, answers in order, slow and leaving clients."""

import asyncio
import gc
import weakref

import pytest
from raw_http import chunked, connected, request

from mira.api.wire import WireProtocol
from mira.collaborators import ClientLeft
from mira.errors import MiraError

LIMIT = 1_000_000
JSON = (b"content-type", b"application/json")


async def echo(exchange):
    """Answers with the body that came, or with the error that it makes."""
    try:
        body = await exchange.body(LIMIT)
    except MiraError as error:
        await exchange.respond(error.status, [JSON], error.message.encode())
        return
    await exchange.respond(200, [JSON], body)


async def test_answers_come_in_order_on_a_connection_that_stays(serve):
    async with serve(echo) as server, connected(server.port) as client:
        for body in (b"one", b"", b"three"):
            client.send(request(body=body))
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, body)
            assert "connection" not in answer.headers
            assert answer.headers["date"]


async def test_pipelined_requests_are_answered_in_order(serve):
    async with serve(echo) as server, connected(server.port) as client:
        bodies = [b"%d" % number * 1000 for number in range(20)]
        client.send(b"".join(request(body=body) for body in bodies))
        assert [(await client.answer()).body for _ in bodies] == bodies


@pytest.mark.parametrize("size", [1, 1000, 65_536, 65_537, 300_000, LIMIT])
async def test_a_body_arrives_whole_in_whatever_pieces_it_comes(serve, size):
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    async with serve(echo) as server, connected(server.port) as client:
        client.send(chunked("/", [body[start : start + 70_000] for start in range(0, size, 70_000)]))
        assert (await client.answer()).body == body
        whole = request(body=body)
        for start in range(0, len(whole), 50_000):
            await client.sent(whole[start : start + 50_000])
        assert (await client.answer()).body == body


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_limit_is_refused_and_its_answer_arrives(serve, declared):
    body = b"x" * (LIMIT + 1)
    data = request(body=body) if declared else chunked("/", [body[:600_000], body[600_000:]])
    async with serve(echo) as server, connected(server.port) as client:
        await client.sent(data)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert await client.closed() == b""


async def test_a_declared_body_over_the_limit_is_refused_before_it_comes(serve):
    async with serve(echo) as server, connected(server.port) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 99999999999\r\n\r\n")
        assert (await client.answer()).status == 413


async def test_a_client_that_waits_for_100_continue_gets_it(serve):
    async with serve(echo) as server, connected(server.port) as client:
        client.send(request(body=b"12345")[:-5].replace(b"host:", b"expect: 100-continue\r\nhost:"))
        async with asyncio.timeout(120):
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"12345")
        assert (await client.answer()).body == b"12345"


async def test_a_client_that_waits_with_too_much_is_told_so_instead(serve):
    async with serve(echo) as server, connected(server.port) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 99999999\r\n\r\n")
        async with asyncio.timeout(120):
            assert (await client.reader.readline()).startswith(b"HTTP/1.1 413 ")


async def test_a_body_that_does_not_come_is_given_up(serve):
    class Hasty(WireProtocol):
        body_timeout_s = 0.05

    async with serve(echo, protocol=Hasty) as server, connected(server.port) as client:
        client.send(request(body=b"12345")[:-1])
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (400, "close")


async def test_a_client_that_leaves_while_it_sends_is_noticed(serve):
    seen = asyncio.get_running_loop().create_future()

    async def handle(exchange):
        try:
            await exchange.body(LIMIT)
        except ClientLeft:
            seen.set_result(exchange.gone)

    async with serve(handle) as server:
        async with connected(server.port) as client:
            client.send(request(body=b"12345")[:-1])
            await client.writer.drain()
        async with asyncio.timeout(120):
            assert await seen


@pytest.mark.parametrize("size", [10, 500_000])
@pytest.mark.parametrize("form", ["length", "chunks"])
async def test_a_client_that_leaves_while_it_waits_is_noticed_after_any_body(serve, size, form):
    waiting, left = asyncio.Event(), asyncio.Event()

    async def handle(exchange):
        await exchange.body(LIMIT)
        exchange.on_gone = exchange.cancel
        waiting.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            assert exchange.gone
            left.set()

    async with serve(handle) as server:
        async with connected(server.port) as client:
            body = b"x" * size
            await client.sent(request(body=body) if form == "length" else chunked("/", [body]))
            async with asyncio.timeout(120):
                await waiting.wait()
        async with asyncio.timeout(120):
            await left.wait()


async def test_a_stream_arrives_piece_by_piece(serve):
    go_on = asyncio.Event()

    async def handle(exchange):
        await exchange.body(LIMIT)
        exchange.start(200, [(b"content-type", b"text/event-stream")])
        exchange.write(b"one")
        await go_on.wait()
        exchange.write(b" two")
        await exchange.end(b" three")

    async with serve(handle) as server, connected(server.port) as client:
        client.send(request())
        async with asyncio.timeout(120):
            assert (await client.reader.readuntil(b"one\r\n")).endswith(b"\r\n\r\n3\r\none\r\n")
            go_on.set()
            assert await client.reader.readuntil(b"0\r\n\r\n") == b"4\r\n two\r\n6\r\n three\r\n0\r\n\r\n"
        client.send(request())
        assert (await client.answer()).body == b"one two three"


async def test_a_stream_to_an_old_client_has_no_chunks_and_ends_with_its_connection(serve):
    async def handle(exchange):
        await exchange.body(LIMIT)
        exchange.start(200, [(b"content-type", b"text/event-stream")])
        exchange.write(b"one")
        await exchange.end(b" two")

    async with serve(handle) as server, connected(server.port) as client:
        client.send(request(version="1.0"))
        answer = await client.answer()
        assert answer.body == b"one two"
        assert "transfer-encoding" not in answer.headers
        assert answer.headers["connection"] == "close"


async def test_a_whole_answer_to_an_old_client_ends_its_connection(serve):
    async with serve(echo) as server, connected(server.port) as client:
        client.send(request(body=b"hi", version="1.0"))
        assert (await client.answer()).body == b"hi"
        assert await client.closed() == b""


async def test_a_client_that_asks_to_close_is_let_go(serve):
    async with serve(echo) as server, connected(server.port) as client:
        client.send(request("POST", "/", b"hi", "connection: close"))
        answer = await client.answer()
        assert (answer.body, answer.headers["connection"]) == (b"hi", "close")
        assert await client.closed() == b""


async def test_a_slow_reader_pauses_the_writer_and_misses_nothing(serve):
    paused, resumed = asyncio.Event(), asyncio.Event()
    piece = b"0123456789abcdef" * 4096

    async def handle(exchange):
        await exchange.body(LIMIT)
        exchange.on_resume = resumed.set
        exchange.start(200, [])
        count = 0
        while not exchange.paused:
            exchange.write(piece)
            count += 1
        paused.set()
        exchange.write(b"kept")
        await resumed.wait()
        assert not exchange.paused
        await exchange.end(b"%d" % count)

    async with serve(handle) as server, connected(server.port, limit=65_536) as client:
        client.send(request())
        async with asyncio.timeout(120):
            await paused.wait()
        answer = await client.answer()
    content, _, count = answer.body.rpartition(b"kept")
    assert content == piece * int(count)


async def test_a_client_that_stops_reading_is_given_up(serve):
    gone = asyncio.Event()

    class Impatient(WireProtocol):
        stalled_client_s = 0.05

    async def handle(exchange):
        await exchange.body(LIMIT)
        exchange.on_gone = gone.set
        exchange.start(200, [])
        while not exchange.paused:
            exchange.write(b"x" * 65_536)
        await gone.wait()
        assert exchange.gone
        await exchange.end(b"nobody reads this")

    async with serve(handle, protocol=Impatient) as server, connected(server.port, limit=65_536) as client:
        client.send(request())
        async with asyncio.timeout(120):
            await gone.wait()
            while server.state.connections or server.state.tasks:  # noqa: ASYNC110 - uvicorn announces neither
                await asyncio.sleep(0)


async def test_a_header_that_could_forge_another_is_not_sent(serve):
    async def handle(exchange):
        await exchange.body(LIMIT)
        for value in (b"a\r\nx-evil: 1", b"a\nb"):
            with pytest.raises(ValueError, match="line break"):
                await exchange.respond(200, [(b"x-model", value)], b"")
        await exchange.respond(200, [], b"good")

    async with serve(handle) as server, connected(server.port) as client:
        client.send(request())
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"good")
        assert "x-evil" not in answer.headers


async def test_cancelling_reaches_only_the_request_itself(serve):
    cancels = []

    async def handle(exchange):
        await exchange.body(LIMIT)
        await exchange.respond(200, [], b"done")
        cancels.append(exchange.cancel)

    async def first_cancels(exchange):
        if cancels:
            cancels[0]()
            await asyncio.sleep(0)
        await handle(exchange)

    async with serve(first_cancels) as server, connected(server.port) as client:
        for _ in range(2):
            client.send(request())
            assert (await client.answer()).body == b"done"


class HastyProtocol(WireProtocol):
    """Gives a head very little time."""

    head_timeout_s = 0.05


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nhost: te"])
async def test_a_head_that_does_not_come_is_given_up(serve, start):
    async with serve(echo, protocol=HastyProtocol) as server, connected(server.port) as client:
        client.send(start)
        assert await client.closed() == b""


async def test_a_second_head_that_does_not_come_is_given_up(serve):
    async with serve(echo, protocol=HastyProtocol) as server, connected(server.port) as client:
        client.send(request(body=b"hi") + b"POST / HTTP/1.1\r\nho")
        assert (await client.answer()).body == b"hi"
        assert await client.closed() == b""


async def test_a_client_that_goes_on_sending_after_its_answer_is_cut_in_the_end(serve):
    class Short(WireProtocol):
        linger_s = 0.05

    async with serve(echo, protocol=Short) as server, connected(server.port) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 99999999\r\n\r\n")
        assert (await client.answer()).status == 413
        async with asyncio.timeout(120):
            while server.state.connections:
                await client.sent(b"x" * 1000)
                await asyncio.sleep(0)


async def test_a_request_that_was_answered_is_freed_without_the_collector(serve):
    requests = []

    async def remembered(exchange):
        requests.append(weakref.ref(exchange))
        await echo(exchange)

    gc.disable()
    try:
        async with serve(remembered) as server, connected(server.port) as client:
            for body in (b"one", b"two", b"three"):
                client.send(request(body=body))
                assert (await client.answer()).body == body
            assert [known() is None for known in requests[:-1]] == [True, True]
    finally:
        gc.enable()
