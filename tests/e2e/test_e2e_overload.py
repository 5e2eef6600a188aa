"""More calls than may run: who waits is served, who is sent away is told so in its protocol's shape, at no cost."""

import asyncio
import contextlib
import json

import pytest
from tests.support.gateway import PROXY_KEY, eventually, openai_node, price
from tests.support.upstream import Moment, streams
from wire_client import WireClient

MODEL = "openai/gpt-4o-mini"
HI = [{"role": "user", "content": "Hi"}]
WHOLE = {"model": MODEL, "messages": HI}


@pytest.fixture(scope="module")
def gateway(scripted, make_gateway):
    return make_gateway(nodes=[openai_node(scripted.url)], prices=[price(MODEL)], tables={"server": {"max_streams": 1}})


@contextlib.asynccontextmanager
async def occupied(gateway, upstream):
    """While a call has the only place."""
    release = Moment()
    upstream.script("gpt-4o-mini", streams([], hold=release))
    running = await WireClient.ask(gateway, WHOLE)
    try:
        await asyncio.to_thread(upstream.received, 1)
        yield
    finally:
        release.happen()
        await running.until(1, b"HTTP/1.1 ")
        await running.leave()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", WHOLE),
        ("/v1/messages", {**WHOLE, "max_tokens": 5}),
        ("/v1/responses", {"model": MODEL, "input": "Hi"}),
    ],
)
async def test_who_finds_no_place_is_told_so_in_its_protocol_before_the_body_is_sent_and_pays_nothing(
    gateway, upstream, path, body
):
    head = (
        f"POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {PROXY_KEY}\r\n"
        f"content-length: {len(json.dumps(body))}\r\n\r\n"
    )
    async with occupied(gateway, upstream):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(head.encode())  # without the body
        async with asyncio.timeout(120):
            told = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            refusal = json.loads(await reader.read())
        writer.close()
        await writer.wait_closed()
        assert len(upstream.chats()) == 1
    lines = told.split("\r\n")
    assert lines[0].split()[1] == ("529" if path == "/v1/messages" else "503")
    assert {"retry-after: 1", "x-should-retry: true"} <= set(lines)
    if path == "/v1/messages":
        assert (refusal["type"], refusal["error"]["type"]) == ("error", "overloaded_error")
    else:
        assert refusal["error"]["code"] == "overloaded"
    request_id = told.partition("x-request-id: ")[2].partition("\r\n")[0]
    gateway.says(lambda line: request_id in line and '"error":"unavailable"' in line)
    await asyncio.to_thread(eventually, lambda: gateway.balance()["held"] == "0")
    gateway.admin("GET", f"/calls/{request_id}", status=404)


async def test_what_does_not_take_a_place_is_answered_all_the_same(gateway, upstream):
    async with occupied(gateway, upstream):
        for path in ("/health", "/ready", "/v1/models", "/v1/extras/credits"):
            assert (await asyncio.to_thread(gateway.get, path)).status_code == 200


async def test_who_is_sent_away_frees_no_place_whatever_is_asked_for(gateway, upstream):
    async with occupied(gateway, upstream):
        for path, body in (("/v1/videos", {"prompt": "x"}), ("/v1/images/generations", {"prompt": "x"})) * 2:
            refusal = await asyncio.to_thread(gateway.post, path, body)
            assert (refusal.status_code, refusal.json()["error"]["code"]) == (503, "overloaded")
            request_id = refusal.headers["x-request-id"]
            await asyncio.to_thread(gateway.admin, "GET", f"/calls/{request_id}", status=404)
