"""Clients that drip, hold connections or never read: each is given up in time, and the others do not notice."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_http import connected, request

from mira.api.arrival import BODY_TIMEOUT_S, GRACE_S, LEAST_BYTES_PER_S, deadline_s
from mira.api.peers import Peers
from mira.api.wire import WireProtocol
from mira.collaborators import ClientLeft
from mira.errors import MiraError

LIMIT = 1_000_000


async def echo(exchange):
    try:
        body = await exchange.body(LIMIT)
    except MiraError as error:
        await exchange.respond(error.status, [], error.message.encode())
        return
    except ClientLeft:
        return
    await exchange.respond(200, [], body)


# Bodies


@given(st.integers(0, 40 * 2**20), st.floats(0, 1e6))
def test_a_body_has_time_for_what_came_and_never_more_than_the_whole(size, began_s):
    until_s = deadline_s(began_s, size) - began_s
    assert GRACE_S - 1e-3 <= until_s <= BODY_TIMEOUT_S + 1e-3
    assert deadline_s(began_s, size + LEAST_BYTES_PER_S) >= deadline_s(began_s, size)


def test_a_sender_below_the_rate_runs_out_of_time_and_one_above_it_does_not():
    for rate, passes in ((LEAST_BYTES_PER_S // 2, False), (LEAST_BYTES_PER_S, True)):
        in_time = all(second <= deadline_s(0.0, rate * second) for second in range(1, 50))
        assert in_time is passes


async def test_a_body_that_drips_is_refused_although_something_always_comes(serve):
    class Hasty(WireProtocol):
        body_timeout_s = 0.2

    async with serve(echo, protocol=Hasty) as server, connected(server.port) as client:
        client.send(request(body=b"x" * LIMIT)[: -LIMIT + 1])

        async def drip():
            while True:
                await client.sent(b"x")
                await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        answer = await client.answer()
        dripping.cancel()
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert b"too slowly" in answer.body


async def test_a_body_that_nobody_reads_does_not_keep_its_connection(serve):
    class Hasty(WireProtocol):
        whole_request_s = 0.05

    async def ignore(exchange):
        exchange.on_gone = gone.set
        await gone.wait()

    gone = asyncio.Event()
    async with serve(ignore, protocol=Hasty) as server, connected(server.port) as client:
        client.send(request(body=b"12345")[:-1])
        assert await client.closed() == b""


async def test_a_refusal_keeps_the_connection_where_the_body_has_come(serve):
    async def refuse(exchange):
        await exchange.respond(503, [], b"")

    async with serve(refuse) as server, connected(server.port) as client:
        for _ in range(3):
            client.send(request(body=b"12345"))
            answer = await client.answer()
            assert answer.status == 503
            assert "connection" not in answer.headers
        client.send(request(body=b"12345")[:-1])
        assert (await client.answer()).headers["connection"] == "close"


# Answers that nobody reads, on routes without an exchange of the relay's


async def test_a_client_that_does_not_read_a_plain_answer_is_given_up(serve):
    class Impatient(WireProtocol):
        stalled_client_s = 0.05

    gone = asyncio.Event()

    async def stream(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        leaving = asyncio.create_task(left(receive))
        while not gone.is_set():
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        await leaving

    async def left(receive):
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async with (
        serve(echo, app=stream, protocol=Impatient) as server,
        connected(server.port, limit=65_536) as client,
    ):
        client.send(request("GET"))
        async with asyncio.timeout(120):
            await client.reader.readuntil(b"\r\n\r\n")
            while server.state.connections:  # noqa: ASYNC110 - uvicorn does not announce it
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("streams", [False, True])
async def test_a_client_that_does_not_read_an_answer_is_given_up_although_nothing_more_is_to_be_written(serve, streams):
    class Impatient(WireProtocol):
        stalled_client_s = 0.05

    async def answer_much(exchange):
        much = b"x" * (32 * 2**20)
        if streams:
            exchange.start(200, [])
            await exchange.end(much)
        else:
            await exchange.respond(200, [], much)

    async with (
        serve(answer_much, protocol=Impatient) as server,
        connected(server.port, limit=65_536) as client,
    ):
        client.send(request())
        async with asyncio.timeout(20):
            await client.reader.readuntil(b"\r\n\r\n")
            while server.state.connections:  # noqa: ASYNC110 - uvicorn does not announce it
                await asyncio.sleep(0.01)


# Connections of one address


class EveryoneCounts(Peers):
    """Counts loopback connections too, since a test has no other address."""

    def name_of(self, client):
        return client[0]


async def test_one_address_has_so_many_connections_and_gets_places_back(serve):
    async with serve(echo, peers=EveryoneCounts, most_per_peer=2) as server, connected(server.port) as first:
        async with connected(server.port) as second, connected(server.port) as third:
            for client in (first, second):
                client.send(request(body=b"hi"))
                assert (await client.answer()).body == b"hi"
            answer = await third.answer()
            assert (answer.status, answer.json["error"]["code"]) == (429, "too_many_connections")
            assert await third.closed() == b""
        async with asyncio.timeout(120):
            while len(server.state.connections) > 1:  # noqa: ASYNC110 - uvicorn does not announce it
                await asyncio.sleep(0.01)
        async with connected(server.port) as fourth:
            fourth.send(request(body=b"hi"))
            assert (await fourth.answer()).body == b"hi"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("127.0.0.1", None),
        ("127.8.9.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not an address", None),
    ],
)
def test_an_address_counts_under_one_name(address, name):
    assert Peers(5).name_of((address, 1234)) == name
    assert Peers(0).name_of((address, 1234)) is None
    assert Peers(5).name_of(None) is None
