"""Which connection carries a request, what is retried, and how a full pool queues."""

import asyncio

import pytest
from raw_upstream import OK, always, until

from mira.transport.client import Limits, Timeouts, TransportError


async def ask(client, target="/", method=b"POST", body=b"x"):
    return await (await client.request(method, target, [], body)).read(1 << 20)


async def test_one_connection_serves_one_request_after_the_other(upstream, pool):
    up = await upstream(always(OK))
    client = pool(up.url)
    for _ in range(5):
        await ask(client)
    assert len(up.peers) == 1


async def test_the_connection_used_last_is_used_next(upstream, pool):
    up = await upstream(always(OK))
    client = pool(up.url)
    await asyncio.gather(*(ask(client) for _ in range(3)))
    assert len(up.peers) == 3
    last = list(client._idle)[-1]
    for _ in range(3):
        await ask(client)
        assert list(client._idle)[-1] is last
    assert len(up.peers) == 3


async def test_a_stale_connection_is_replaced_unseen(upstream, pool):
    async def script(peer):
        await peer.request()
        peer.send(OK)
        # The second request meets a hang-up, as if the upstream's keep-alive had run out in that moment.
        if await peer.request() and peer.number == 0:
            return
        peer.send(OK)
        await peer.gone()

    up = await upstream(script)
    client = pool(up.url)
    assert [await ask(client), await ask(client)] == [b"{}", b"{}"]
    assert len(up.peers) == 2


async def test_a_stale_connection_is_replaced_for_a_large_body_too(upstream, pool):
    async def script(peer):
        await peer.request()
        peer.send(OK)
        if peer.number == 0:
            await peer.reader.readuntil(b"\r\n\r\n")
            peer.abort()
        await peer.gone()

    up = await upstream(script)
    client = pool(up.url)
    await ask(client)
    assert await ask(client, body=b"x" * 20_000_000) == b"{}"


async def test_many_stale_connections_cost_one_retry(upstream, pool):
    async def script(peer):
        await peer.request()
        peer.send(OK)
        if peer.number >= 3:
            await peer.gone()
        await peer.request()

    up = await upstream(script)
    client = pool(up.url)
    await asyncio.gather(*(ask(client) for _ in range(3)))
    assert await ask(client) == b"{}"
    assert len(up.peers) == 4


async def test_a_stale_connection_in_a_full_pool_is_replaced_too(upstream, pool):
    async def script(peer):
        await peer.request()
        peer.send(OK)
        if peer.number < 2:
            await peer.request()
        else:
            await peer.gone()

    up = await upstream(script)
    client = pool(up.url, limits=Limits(max_connections=2))
    await asyncio.gather(ask(client), ask(client))
    assert await ask(client) == b"{}"
    assert client._slots == len(client._live) <= 2


async def test_a_fresh_connection_that_fails_is_not_retried(upstream, pool):
    async def script(peer):
        await peer.request()

    up = await upstream(script)
    with pytest.raises(TransportError) as caught:
        await ask(pool(up.url))
    assert (caught.value.phase, caught.value.reached) == ("head", True)
    assert len(up.peers) == 1


@pytest.mark.parametrize("start", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n"])
async def test_nothing_is_retried_after_a_byte_of_an_answer(start, upstream, pool):
    async def script(peer):
        await peer.request()
        peer.send(OK)
        await peer.request()
        peer.send(start)

    up = await upstream(script)
    client = pool(up.url)
    await ask(client)
    with pytest.raises(TransportError) as caught:
        await ask(client)
    assert caught.value.phase == "head"
    assert len(up.peers) == 1


async def test_a_connection_that_the_upstream_closes_while_idle_is_dropped(upstream, pool):
    up = await upstream(always(OK))
    client = pool(up.url)
    await ask(client)
    up.peers[0].close()
    await until(lambda: not client._idle)
    assert client._slots == 0
    await ask(client)
    assert len(up.peers) == 2


async def test_bytes_on_an_idle_connection_kill_it(upstream, pool):
    up = await upstream(always(OK))
    client = pool(up.url)
    await ask(client)
    up.peers[0].send(OK)
    await until(lambda: not client._idle)
    await up.peers[0].ended()


async def test_a_server_that_speaks_first_is_not_spoken_to(upstream, pool):
    async def script(peer):
        peer.send(b"220 mail.example ESMTP\r\n")
        await peer.gone()

    with pytest.raises(TransportError):
        await ask(pool((await upstream(script)).url))


async def test_unused_connections_are_closed_after_their_time(upstream, pool):
    up = await upstream(always(OK))
    client = pool(up.url, limits=Limits(idle_pool_s=0.05))
    await asyncio.gather(ask(client), ask(client))
    await asyncio.gather(*(peer.ended() for peer in up.peers))
    assert client._slots == 0
    await until(lambda: client._timer is None)


@pytest.mark.parametrize("found", ["in the pool", "when it is released"])
async def test_a_connection_over_its_age_is_not_used_again(found, upstream, pool):
    up = await upstream(always(OK))
    client = pool(up.url, limits=Limits(max_age_s=100))
    held = asyncio.ensure_future(ask(client))
    await until(lambda: client._live if found == "when it is released" else client._idle)
    connection = next(iter(client._live))
    connection.expires_s -= 101
    connection.usable_until_s -= 101
    assert [await held, await ask(client)] == [b"{}", b"{}"]
    await up.peers[0].ended()
    assert len(up.peers) == 2


async def test_the_sweep_runs_only_while_something_is_under_way(upstream, pool):
    up = await upstream(always(OK))
    client = pool(up.url, limits=Limits(idle_pool_s=100))
    assert client._timer is None
    await ask(client)
    assert client._sweeping
    await until(lambda: not client._sweeping)
    await ask(client)
    assert client._sweeping


async def test_a_full_pool_serves_its_queue_in_order(upstream, pool):
    async def script(peer):
        while got := await peer.request():
            order.append(got[0].split()[1])
            peer.send(OK)

    order = []
    up = await upstream(script)
    client = pool(up.url, limits=Limits(max_connections=1))
    await asyncio.gather(*(ask(client, f"/{i:02}") for i in range(40)))
    assert order == [b"/%02d" % i for i in range(40)]
    assert len(up.peers) == 1


async def test_waiting_for_a_full_pool_ends_with_the_connect_time_out(upstream, pool):
    async def script(peer):
        await peer.request()
        await peer.gone()

    up = await upstream(script)
    client = pool(up.url, limits=Limits(max_connections=1))
    first = asyncio.ensure_future(client.request(b"GET", "/", []))
    await up.connected(1)
    with pytest.raises(TransportError) as caught:
        await client.request(b"GET", "/", [], timeouts=Timeouts(connect_s=0.05))
    assert (caught.value.phase, caught.value.reached) == ("timeout-connect", False)
    assert not client._waiters
    first.cancel()
    await asyncio.wait([first])


async def test_a_place_that_becomes_free_by_a_failure_goes_to_the_first_in_the_queue(upstream, pool):
    async def script(peer):
        await peer.request()
        if peer.number == 0:
            await go.wait()
            return
        peer.send(OK)
        await peer.gone()

    go = asyncio.Event()
    up = await upstream(script)
    client = pool(up.url, limits=Limits(max_connections=1))
    first = asyncio.ensure_future(ask(client))
    await up.connected(1)
    second = asyncio.ensure_future(ask(client))
    await until(lambda: client._waiters)
    go.set()
    assert await second == b"{}"
    with pytest.raises(TransportError):
        await first


@pytest.mark.parametrize("moment", ["queued", "given a connection", "given a place"])
async def test_a_cancelled_place_in_the_queue_is_passed_on(moment, upstream, pool):
    async def script(peer):
        while await peer.request():
            await gate.wait()
            peer.send(OK)

    gate = asyncio.Event()
    up = await upstream(script)
    client = pool(up.url, limits=Limits(max_connections=1))
    tasks = [asyncio.ensure_future(ask(client)) for _ in range(3)]
    await up.connected(1)
    await until(lambda: len(client._waiters) == 2)
    waiter = client._waiters[0]
    if moment == "given a connection":
        gate.set()
        await asyncio.wait([waiter])
    elif moment == "given a place":
        next(iter(client._live)).shut()
        assert waiter.done()
    tasks[1].cancel()
    gate.set()
    await asyncio.wait(tasks)
    assert tasks[2].result() == b"{}"
    assert client._slots == len(client._live) == 1


async def test_closing_the_pool_fails_what_is_under_way_and_what_waits(upstream, pool):
    async def script(peer):
        await peer.request()
        await peer.gone()

    up = await upstream(script)
    client = pool(up.url, limits=Limits(max_connections=1))
    first = asyncio.ensure_future(ask(client))
    await up.connected(1)
    second = asyncio.ensure_future(ask(client))
    await until(lambda: client._waiters)
    await client.close()
    await client.close()
    for task in (first, second):
        with pytest.raises(TransportError) as caught:
            await task
        assert caught.value.phase == "closed"
    with pytest.raises(TransportError):
        await ask(client)
    assert client._slots == 0
    await up.peers[0].ended()


async def test_a_refused_connection_was_not_reached(upstream, pool):
    up = await upstream(always(OK))
    await up.stop()
    with pytest.raises(TransportError) as caught:
        await ask(pool(up.url))
    assert (caught.value.phase, caught.value.reached) == ("connect", False)
    assert str(up.port) not in str(caught.value)


async def test_the_next_address_is_tried_and_remembered(upstream, pool):
    up = await upstream(always(OK))
    asked = []

    async def lookup(host, port):
        asked.append((host, port))
        return ["127.0.0.2", "127.0.0.1"]

    client = pool(f"http://node.example:{up.port}", lookup=lookup)
    await asyncio.gather(*(ask(client) for _ in range(4)))
    assert asked == [("node.example", up.port)]
    assert client._dialer._resolver._addresses == ["127.0.0.1", "127.0.0.2"]
    assert up.peers[0].requests[0][0].split(b"\r\n")[1] == b"host: node.example:%d" % up.port


async def test_a_change_of_addresses_is_followed_when_the_look_up_is_stale(upstream, pool):
    up = await upstream(always(OK))
    answers = [["127.0.0.2"], ["127.0.0.1"]]

    async def lookup(host, port):
        return answers.pop(0)

    client = pool(f"http://node.example:{up.port}", lookup=lookup)
    with pytest.raises(TransportError):
        await ask(client)
    assert await ask(client) == b"{}"


async def test_an_unknown_name_is_a_failed_connect(pool):
    async def lookup(host, port):
        raise OSError

    for client in (pool("http://node.example", lookup=lookup), pool("http://nothing.invalid")):
        with pytest.raises(TransportError) as caught:
            await ask(client)
        assert (caught.value.phase, caught.value.reached) == ("connect", False)


async def test_the_system_looks_up_localhost(upstream, pool):
    up = await upstream(always(OK))
    assert await ask(pool(f"http://localhost:{up.port}")) == b"{}"
