"""Time limits of each phase, flow control, and what a cancelled or abandoned exchange leaves behind: nothing."""

import asyncio
import random
import socket

import pytest
from raw_upstream import OK, always, descriptors, until

from mira.transport.client import Limits, Timeouts, TransportError

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
HELLO = b"5\r\nhello\r\n"


async def open_stream(peer):
    """Answers every request with a head and one chunk, and no more."""
    while await peer.request():
        peer.send(HEAD + HELLO)


async def failure(awaitable):
    with pytest.raises(TransportError) as caught:
        async with asyncio.timeout(120):
            await awaitable
    return caught.value


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_an_upstream_that_does_not_answer_runs_into_the_head_time_out(answer, upstream, pool):
    up = await upstream(always(answer))
    client = pool(up.url, timeouts=Timeouts(head_s=0.05))
    error = await failure(client.request(b"POST", "/", [], b"x"))
    assert (error.phase, error.reached) == ("timeout-head", True)
    await up.peers[0].ended()


async def test_a_silent_reused_connection_is_late_and_not_stale(upstream, pool):
    async def script(peer):
        await peer.request()
        peer.send(OK)
        await peer.gone()

    up = await upstream(script)
    client = pool(up.url)
    await client.request(b"GET", "/", [])
    late = client.request(b"GET", "/", [], timeouts=Timeouts(head_s=0.05))
    assert (await failure(late)).phase == "timeout-head"
    assert len(up.peers) == 1


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_body_that_falls_silent_runs_into_the_idle_time_out(streamed, upstream, pool):
    up = await upstream(open_stream)
    response = await pool(up.url, timeouts=Timeouts(idle_s=0.05)).request(b"GET", "/", [])
    got = []
    error = await failure(response.stream(got.append) if streamed else response.read(100))
    assert (error.phase, error.reached) == ("timeout-idle", True)
    assert got == ([b"hello"] if streamed else [])
    await up.peers[0].ended()


async def test_the_idle_time_out_spares_a_reader_that_paused_by_itself(upstream, pool):
    up = await upstream(open_stream)
    client = pool(up.url, timeouts=Timeouts(idle_s=0.01))
    response = await client.request(b"GET", "/", [])
    done = response.stream(lambda data: None)
    response.pause()
    for _ in range(3):
        swept = client._timer
        await until(lambda swept=swept: client._timer is not swept)
    assert not done.done()
    response.close()
    assert (await failure(done)).phase == "closed"


async def test_after_a_pause_the_idle_time_begins_anew(upstream, pool):
    up = await upstream(open_stream)
    response = await pool(up.url, timeouts=Timeouts(idle_s=0.01)).request(b"GET", "/", [])
    done = response.stream(lambda data: None)
    response.pause()
    response.pause()
    response.resume()
    response.resume()
    assert (await failure(done)).phase == "timeout-idle"


async def test_an_endless_stream_ends_with_the_total_time_out(upstream, pool):
    async def script(peer):
        await peer.request()
        peer.send(HEAD)
        while not peer.writer.is_closing():
            peer.send(HELLO)
            await asyncio.sleep(0.01)

    async def whole():
        response = await pool(up.url).request(b"GET", "/", [], timeouts=Timeouts(total_s=0.2))
        await response.stream(lambda data: None)

    up = await upstream(script)
    assert (await failure(whole())).phase == "timeout-total"
    await up.peers[0].ended()


async def test_without_a_head_limit_only_the_total_counts(upstream, pool):
    up = await upstream(always(b""))
    client = pool(up.url, timeouts=Timeouts(head_s=None, idle_s=0.01, total_s=0.3))
    assert (await failure(client.request(b"GET", "/", []))).phase == "timeout-total"


async def test_an_upload_that_nobody_takes_runs_into_the_idle_time_out(upstream, pool):
    async def script(peer):
        peer.writer.transport.pause_reading()
        await over.wait()

    over = asyncio.Event()
    up = await upstream(script)
    client = pool(up.url, timeouts=Timeouts(idle_s=0.05))
    error = await failure(client.request(b"POST", "/", [], b"x" * 100_000_000))
    over.set()
    assert (error.phase, error.reached) == ("timeout-idle", True)


async def test_a_peer_that_never_accepts_runs_into_the_connect_time_out(pool):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        client = pool(f"http://127.0.0.1:{listener.getsockname()[1]}", timeouts=Timeouts(connect_s=0.1))
        error = await failure(client.request(b"GET", "/", []))
        for filler in fillers:
            filler.close()
    assert (error.phase, error.reached) == ("timeout-connect", False)
    assert client._slots == 0


async def test_a_slow_look_up_counts_as_connecting(pool):
    async def lookup(host, port):
        await asyncio.Event().wait()

    client = pool("http://node.example", lookup=lookup, timeouts=Timeouts(connect_s=0.05))
    assert (await failure(client.request(b"GET", "/", []))).phase == "timeout-connect"


async def test_an_unread_body_is_held_within_bounds(upstream, pool):
    sent = 0

    async def script(peer):
        nonlocal sent
        await peer.request()
        peer.send(HEAD)
        for _ in range(2000):
            peer.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
            sent += 0x8000
            await peer.writer.drain()
        peer.send(b"0\r\n\r\n")

    up = await upstream(script)
    client = pool(up.url, limits=Limits(buffer_bytes=10_000))
    response = await client.request(b"GET", "/", [])
    await until(lambda: response._size > 10_000)
    connection = next(iter(client._live))
    assert connection._paused
    assert response._size < 1_000_000
    assert len(await response.read(1 << 30)) == 2000 * 0x8000 == sent


async def test_a_paused_stream_slows_the_upstream_and_loses_nothing(upstream, pool):
    async def script(peer):
        await peer.request()
        peer.send(HEAD)
        for i in range(500):
            peer.send(b"8000\r\n" + bytes([i % 256]) * 0x8000 + b"\r\n")
            await peer.writer.drain()
        peer.send(b"0\r\n\r\n")

    up = await upstream(script)
    response = await pool(up.url).request(b"GET", "/", [])
    loop = asyncio.get_running_loop()
    got = []

    def on_data(data):
        got.append(data)
        response.pause()
        loop.call_soon(response.resume)

    await response.stream(on_data)
    assert b"".join(got) == b"".join(bytes([i % 256]) * 0x8000 for i in range(500))


async def test_a_connection_that_ends_paused_reads_again_in_the_pool(upstream, pool):
    up = await upstream(always(OK))
    client = pool(up.url)
    for _ in range(3):
        response = await client.request(b"GET", "/", [])
        response.pause()
        await response.stream(lambda data: None)
    up.peers[0].close()
    await until(lambda: not client._live)


async def test_what_came_before_stream_is_delivered_at_once(upstream, pool):
    up = await upstream(open_stream)
    response = await pool(up.url).request(b"GET", "/", [])
    await until(lambda: response._size)
    got = []
    done = response.stream(got.append)
    assert got == [b"hello"]
    assert not done.done()


async def test_a_complete_answer_needs_no_suspension(upstream, pool):
    up = await upstream(always(OK))
    client = pool(up.url)
    response = await client.request(b"GET", "/", [])
    with pytest.raises(StopIteration) as caught:
        response.read(10).send(None)
    assert caught.value.value == b"{}"
    response = await client.request(b"GET", "/", [])
    got = []
    assert response.stream(got.append).done()
    assert got == [b"{}"]


async def test_a_cut_stream_ends_in_an_error_after_all_that_came(upstream, pool):
    async def script(peer):
        await peer.request()
        peer.send(HEAD + HELLO)

    response = await pool((await upstream(script)).url).request(b"GET", "/", [])
    got = []
    error = await failure(response.stream(got.append))
    assert (error.phase, got) == ("body", [b"hello"])


async def test_closing_an_open_stream_hangs_up_at_once(upstream, pool):
    up = await upstream(open_stream)
    client = pool(up.url)
    response = await client.request(b"GET", "/", [])
    done = response.stream(lambda data: None)
    response.close()
    response.close()
    assert (await failure(done)).phase == "closed"
    await up.peers[0].ended()
    assert client._slots == 0


async def test_closing_a_complete_answer_keeps_its_connection(upstream, pool):
    up = await upstream(always(OK))
    client = pool(up.url)
    for _ in range(3):
        response = await client.request(b"GET", "/", [])
        response.close()
        response.close()
    assert len(up.peers) == 1


async def test_a_stream_may_be_closed_from_inside_its_own_consumer(upstream, pool):
    up = await upstream(open_stream)
    response = await pool(up.url).request(b"GET", "/", [])
    done = response.stream(lambda data: response.close())
    assert (await failure(done)).phase == "closed"
    await up.peers[0].ended()


@pytest.mark.parametrize("answer", [OK, HEAD + HELLO])
async def test_a_consumer_that_raises_gets_its_own_error_back(answer, upstream, pool):
    up = await upstream(always(answer))
    client = pool(up.url)
    response = await client.request(b"GET", "/", [])

    def on_data(data):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await response.stream(on_data)
    if answer is not OK:
        await up.peers[0].ended()
    assert not any(connection.exchange for connection in client._live)


async def test_a_cancelled_request_hangs_up_at_once(upstream, pool):
    up = await upstream(always(b""))
    client = pool(up.url)
    task = asyncio.ensure_future(client.request(b"POST", "/", [], b"x"))
    await until(lambda: up.peers and up.peers[0].requests)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await up.peers[0].ended()
    assert client._slots == 0


async def test_a_cancelled_read_hangs_up_at_once(upstream, pool):
    up = await upstream(open_stream)
    client = pool(up.url)
    response = await client.request(b"GET", "/", [])
    task = asyncio.ensure_future(response.read(100))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await up.peers[0].ended()
    assert client._slots == 0


async def test_three_hundred_aborted_requests_leave_no_task_and_no_descriptor(upstream, pool):
    chance = random.Random(7)

    async def script(peer):
        while await peer.request():
            match chance.randrange(6):
                case 0:
                    peer.send(OK)
                case 1:
                    peer.send(HEAD + HELLO)
                case 2:
                    return
                case 3:
                    peer.abort()
                case 4:
                    peer.send(HEAD + HELLO + b"0\r\n\r\n")
                case _:
                    await asyncio.sleep(0.002)
                    peer.send(OK[:20])

    async def one():
        body = b"x" * chance.choice([1, 1, 1, 3_000_000])
        response = await client.request(b"POST", "/", [], body)
        if chance.random() < 0.5:
            await response.read(100)
        elif chance.random() < 0.7:
            await response.stream(lambda data: None)
        else:
            response.close()

    up = await upstream(script)
    settled = descriptors()
    tasks_before = len(asyncio.all_tasks())
    client = pool(up.url, limits=Limits(max_connections=30), timeouts=Timeouts(connect_s=0.5, idle_s=0.3, head_s=0.3))
    tasks = [asyncio.ensure_future(one()) for _ in range(300)]
    for task in chance.sample(tasks, 200):
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        task.cancel()
    async with asyncio.timeout(120):
        await asyncio.wait(tasks)
    failures = {type(t.exception()) for t in tasks if not t.cancelled()}
    assert failures <= {type(None), TransportError}
    assert not client._waiters
    assert client._slots == len(client._live)
    await client.close()
    assert client._slots == 0
    await until(lambda: len(asyncio.all_tasks()) <= tasks_before)
    await until(lambda: descriptors() <= settled)
