"""Which requests a connection answers itself, and that they and all others keep their order on it."""

import asyncio

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_http import chunked, connected, request

from mira.api.routes import Routes, path_of, without
from mira.api.wire import WireProtocol
from mira.collaborators import ClientLeft

LIMIT = 1_000_000


async def ours(exchange):
    """Tells that the relay's way was taken."""
    try:
        body = await exchange.body(LIMIT)
    except ClientLeft:
        return
    await exchange.respond(200, [], b"ours " + body)


async def theirs(scope, receive, send):
    """Tells that ASGI's way was taken, and what it saw."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    said = b"theirs %s %s " % (scope["path"].encode(), dict(scope["headers"]).get(b"x-told", b"-")) + body
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


# Finding


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/v1/chat", True),
        ("/v1/chat?beta=true", True),
        ("/v1/ch%61t", True),
        ("/v1%2fchat", True),
        ("http://elsewhere/v1/chat", True),
        ("/mira/v1/chat", True),
        ("/mira/v1/ch%61t?x", True),
        ("/v1/chat/", False),
        ("/v1//chat", False),
        ("//v1/chat", False),
        ("/V1/chat", False),
        ("/mira", False),
        ("/mira/mira/v1/chat", False),
        ("/v1/chat%2525", False),
        ("/", False),
    ],
)
def test_a_route_is_found_however_its_path_is_written(target, found):
    routes = Routes({"/v1/chat": ours}, "/mira")
    assert (routes.find(b"POST", target.encode()) is ours) is found
    assert routes.find(b"GET", target.encode()) is None


def test_a_prefix_that_a_route_begins_with_is_cut_first():
    routes = Routes({"/v1/chat": ours}, "/v1")
    assert routes.find(b"POST", b"/v1/chat") is None
    assert routes.find(b"POST", b"/v1/v1/chat") is ours


@given(
    st.sampled_from(["", "/mira", "/v1", "/"]), st.lists(st.sampled_from(["/v1", "/mira", "/chat", "/", "%2f", "?q"]))
)
def test_the_short_way_finds_what_the_long_way_finds(prefix, parts):
    routes = Routes({"/v1/chat": ours, "/chat": theirs}, prefix)
    target = "".join(["/", *parts]).encode()
    try:
        path = without(prefix, path_of(target))
    except httptools.HttpParserInvalidURLError:
        return
    assert routes.find(b"POST", target) is {"/v1/chat": ours, "/chat": theirs}.get(path)


# One connection, two ways


@pytest.mark.parametrize("kinds", ["oa", "ao", "oao", "aoa", "oaoa", "aaoo", "ooaa", "oaaoaoo"])
async def test_pipelined_requests_of_both_kinds_are_answered_in_order(serve, kinds):
    paths = {"o": "/", "a": "/other"}
    async with serve(ours, app=theirs) as server, connected(server.port) as client:
        client.send(b"".join(request("POST", paths[kind], b"%d" % place) for place, kind in enumerate(kinds)))
        for place, kind in enumerate(kinds):
            said = b"ours %d" if kind == "o" else b"theirs /other - %d"
            assert (await client.answer()).body == said % place
        client.send(request("POST", "/", b"after"))
        assert (await client.answer()).body == b"ours after"


@pytest.mark.parametrize("slow", ["/", "/other"])
async def test_a_request_waits_for_a_slower_one_of_the_other_kind_before_it(serve, slow):
    go_on, is_slow, began = asyncio.Event(), asyncio.Event(), []

    async def first(path):
        began.append(path)
        if path == slow:
            is_slow.set()
            await go_on.wait()

    async def handle(exchange):
        await first("/")
        await ours(exchange)

    async def app(scope, receive, send):
        await first("/other")
        await theirs(scope, receive, send)

    other = "/other" if slow == "/" else "/"
    async with serve(handle, app=app) as server, connected(server.port) as client:
        client.send(request("POST", slow, b"1") + request("POST", other, b"2") + request("POST", slow, b"3"))
        async with asyncio.timeout(120):
            await is_slow.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        assert began == [slow]
        go_on.set()
        assert [(await client.answer()).body[-1:] for _ in range(3)] == [b"1", b"2", b"3"]
        assert began == [slow, other, slow]


async def test_what_goes_through_asgi_has_its_head_and_body_whole(serve):
    body = b"x" * 200_000
    async with serve(ours, app=theirs) as server, connected(server.port) as client:
        client.send(request("POST", "/a%20b?q=1", body, "X-Told: yes"))
        assert (await client.answer()).body == b"theirs /a b yes " + body
        client.send(chunked("/", [body, body]))
        assert (await client.answer()).body == b"ours " + body * 2
        client.send(request("GET", "/", b"", "x-told: no"))
        assert (await client.answer()).body == b"theirs / no "


async def test_a_client_that_waits_for_100_continue_gets_it_through_asgi_too(serve):
    async with serve(ours, app=theirs) as server, connected(server.port) as client:
        client.send(request("POST", "/other", b"12345")[:-5].replace(b"host:", b"expect: 100-continue\r\nhost:"))
        async with asyncio.timeout(120):
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"12345")
        assert (await client.answer()).body == b"theirs /other - 12345"


async def test_a_body_that_has_come_needs_no_100_continue(serve):
    async with serve(ours) as server, connected(server.port) as client:
        client.send(request("POST", "/", b"12345", "expect: 100-continue"))
        async with asyncio.timeout(120):
            assert (await client.reader.readline()).startswith(b"HTTP/1.1 200 ")


async def test_large_answers_to_pipelined_requests_all_reach_a_client_that_reads_late(serve):
    body = b"y" * LIMIT
    async with serve(ours) as server, connected(server.port, limit=65_536) as client:
        sending = asyncio.create_task(client.sent(request(body=body) * 4))
        for _ in range(4):
            assert (await client.answer()).body == b"ours " + body
        await sending


async def test_no_more_is_read_while_requests_wait_that_came_before(serve):
    waiting, count = [], 10_000

    async def handle(exchange):
        (connection,) = server.state.connections
        waiting.append(len(connection.pipeline))
        await exchange.respond(200, [], b"")

    async with serve(handle) as server, connected(server.port) as client:
        sending = asyncio.create_task(client.sent(request() * count))
        for _ in range(count):
            assert (await client.answer()).status == 200
        await sending
    assert len(waiting) == count
    assert 0 < max(waiting) < 7_000


@pytest.mark.parametrize("line", ["connection: keep-alive", "connection: close", "x-none: 1"])
async def test_a_connection_of_http_1_0_ends_whatever_its_client_asks_for(serve, line):
    async with serve(ours) as server, connected(server.port) as client:
        client.send(request("POST", "/", b"hi", line, version="1.0"))
        answer = await client.answer()
        assert (answer.body, answer.headers["connection"]) == (b"ours hi", "close")
        assert await client.closed() == b""


async def test_who_asks_for_another_protocol_is_answered_in_this_one(serve):
    async with serve(ours, app=theirs) as server, connected(server.port) as client:
        for path, said in (("/", b"ours "), ("/other", b"theirs /other - ")):
            client.send(request("POST", path, b"", "connection: upgrade", "upgrade: websocket"))
            assert (await client.answer()).body == said


@pytest.mark.parametrize("path", ["/", "/other"])
async def test_a_body_that_comes_with_an_upgrade_never_passes_for_a_request(serve, path):
    hidden = request("POST", path, b"hidden")
    async with serve(ours, app=theirs) as server, connected(server.port) as client:
        head = request("POST", path, hidden, "connection: upgrade", "upgrade: h2c")[: -len(hidden)]
        client.send(head)
        await asyncio.sleep(0)
        client.send(hidden)
        answer = await client.answer()
        assert answer.headers["connection"] == "close"
        assert await client.closed() == b""


async def test_what_comes_after_a_body_in_chunks_is_no_header_of_the_request(serve):
    async def handle(exchange):
        body = await exchange.body(LIMIT)
        told = exchange.header(b"authorization") or ""
        await exchange.respond(200, [], body + told.encode())

    async with serve(handle) as server, connected(server.port) as client:
        client.send(chunked("/", [b"hi"])[:-2] + b"authorization: Bearer late\r\n\r\n")
        assert (await client.answer()).body == b"hi"


# Handlers that do not answer


@pytest.mark.parametrize("failure", [ValueError("broken"), RuntimeError("broken"), None])
async def test_a_handler_that_fails_is_a_500_that_ends_the_connection(serve, caplog, failure):
    async def handle(exchange):
        await exchange.body(LIMIT)
        if failure is not None:
            raise failure

    async with serve(handle) as server, connected(server.port) as client:
        client.send(request(body=b"hi"))
        answer = await client.answer()
        assert (answer.status, answer.body, answer.headers["connection"]) == (500, b"Internal Server Error", "close")
        assert await client.closed() == b""
        async with connected(server.port) as other:
            other.send(request(body=b"hi"))
            assert (await other.answer()).status == 500
    assert [record.name for record in caplog.records if record.levelname == "ERROR"] == ["mira.api", "mira.api"]


async def test_a_handler_that_fails_within_its_answer_cuts_it(serve):
    async def handle(exchange):
        await exchange.body(LIMIT)
        exchange.start(200, [])
        exchange.write(b"one")
        raise ValueError("broken")

    async with serve(handle) as server, connected(server.port) as client:
        client.send(request())
        assert (await client.closed()).endswith(b"3\r\none\r\n")


# Idle connections


class Brief(WireProtocol):
    """Keeps idle connections for a moment only."""

    def connection_made(self, transport):
        super().connection_made(transport)
        self.timeout_keep_alive = 0.05


@pytest.mark.parametrize("path", ["/", "/other"])
async def test_a_connection_that_is_idle_for_long_is_closed(serve, path):
    async with serve(ours, app=theirs, protocol=Brief) as server, connected(server.port) as client:
        for _ in range(3):
            client.send(request("POST", path, b"hi"))
            assert (await client.answer()).body.endswith(b"hi")
        assert await client.closed() == b""


async def test_a_connection_that_is_at_work_is_not_idle(serve):
    async def handle(exchange):
        await exchange.body(LIMIT)
        passed = asyncio.Event()
        asyncio.get_running_loop().call_later(5 * 0.05, passed.set)
        await passed.wait()
        await ours(exchange)

    async with serve(handle, protocol=Brief) as server, connected(server.port) as client:
        client.send(request("POST", "/", b"1") + request("POST", "/", b"2"))
        assert (await client.answer()).body == b"ours "
        assert (await client.answer()).body == b"ours "
        assert await client.closed() == b""
