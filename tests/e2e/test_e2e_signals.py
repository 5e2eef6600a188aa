"""Signals: a drain that finishes what it began, a reload whole or not at all, and an end for the impatient."""

import asyncio
import json
import signal
from decimal import Decimal

import httpx2
import pytest
from tests.support.gateway import PATIENCE_S, eventually, openai_node, price
from tests.support.upstream import DONE, Moment, chunks, frames, streams
from wire_client import WireClient

MODEL = "openai/gpt-4o-mini"
STREAM = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
#: what the first words are billed as
WORDS = frames(*chunks("one", " two", usage=None)[:3])


@pytest.fixture
def gateway(scripted, make_gateway):
    return make_gateway(nodes=[openai_node(scripted.url)], prices=[price(MODEL)])


async def begun(gateway, upstream, *rest):
    """A stream that has begun and waits for a moment."""
    go_on = Moment()
    upstream.script("gpt-4o-mini", streams([*WORDS, go_on, *rest]))
    client = await WireClient.ask(gateway, STREAM)
    await client.until(1, b" two")
    return client, go_on


def call_after_restart(gateway, request_id):
    """A record that a stopped gateway left."""
    gateway.start()
    gateway.check_ledger()
    assert Decimal(gateway.balance()["held"]) == 0
    return gateway.call(request_id)


async def test_a_drain_finishes_the_stream_that_runs_and_takes_no_new_calls(gateway, upstream):
    client, go_on = await begun(gateway, upstream, *frames(*chunks(" three")[1:]), DONE)
    gateway.terminate()
    await asyncio.to_thread(eventually, lambda: refuses(gateway))
    go_on.happen()
    await client.until(1, b"0\r\n\r\n")
    assert b"[DONE]" in client.seen
    assert await asyncio.to_thread(gateway.wait) == 0
    await client.leave()
    assert "Traceback" not in gateway.log
    call = await asyncio.to_thread(call_after_restart, gateway, client.request_id)
    assert (call["status"], call["error"], Decimal(call["cost"])) == (200, None, Decimal("0.000017"))


def refuses(gateway):
    try:
        httpx2.get(f"{gateway.url}/health", timeout=PATIENCE_S, trust_env=False)
    except httpx2.TransportError:
        return True
    return False


async def test_a_drain_says_so_before_it_takes_nothing_more(make_gateway, scripted, upstream):
    tables = {"server": {"unready_s": 600}}
    gateway = make_gateway(nodes=[openai_node(scripted.url)], prices=[price(MODEL)], tables=tables)
    assert "connection" not in gateway.get("/ready").headers
    gateway.terminate()
    eventually(lambda: gateway.get("/ready").status_code == 503)
    for _ in range(3):
        answer = gateway.chat(MODEL)
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    assert gateway.get("/health").headers["connection"] == "close"
    gateway.process.send_signal(signal.SIGINT)
    assert gateway.wait() == 0


async def test_what_does_not_finish_in_time_ends_in_an_error_and_pays_for_what_it_got(make_gateway, scripted, upstream):
    tables = {"server": {"drain_s": 1, "unready_s": 0}}
    gateway = make_gateway(nodes=[openai_node(scripted.url)], prices=[price(MODEL)], tables=tables)
    client, _ = await begun(gateway, upstream)
    upstream.script("gpt-4o-mini", streams([], hold=Moment()))
    waiting = await WireClient.ask(gateway, {**STREAM, "stream": False})
    await asyncio.to_thread(upstream.received, 2)
    gateway.terminate()
    await client.until(1, b"0\r\n\r\n")
    await waiting.until(1, b"request_id")
    assert await asyncio.to_thread(gateway.wait) == 0
    assert b"[DONE]" not in client.seen
    assert json.loads(client.seen.split(b"data: ")[-1].split(b"\r\n")[0])["error"]["code"] == "overloaded"
    assert waiting.seen.startswith(b"HTTP/1.1 503 ")
    assert b"x-should-retry: true" in waiting.seen
    await client.leave()
    await waiting.leave()
    assert "Traceback" not in gateway.log
    call = await asyncio.to_thread(call_after_restart, gateway, client.request_id)
    assert (call["status"], call["error"], call["usage"]["completion_tokens"]) == (200, "unavailable", 2)
    assert Decimal(call["cost"]) > 0
    unanswered = gateway.call(waiting.request_id)
    assert (unanswered["status"], Decimal(unanswered["cost"])) == (503, 0)


async def test_no_call_fails_while_a_gateway_drains_under_load(gateway, upstream):
    outcomes: list[str] = []
    refused = asyncio.Event()

    async def ask_for_ever():
        while not refused.is_set():
            try:
                client = await WireClient.ask(gateway, {**STREAM, "stream": False})
            except OSError:
                refused.set()
                return
            try:
                await client.until(1, b'"usage"')
                outcomes.append(client.seen.split(b" ", 2)[1].decode())
            except (AssertionError, ConnectionError):
                outcomes.append(f"cut after {client.seen!r}")
            await client.leave()

    clients = [asyncio.create_task(ask_for_ever()) for _ in range(4)]
    await asyncio.to_thread(eventually, lambda: len(outcomes) > 20)
    gateway.terminate()
    await asyncio.gather(*clients)
    assert await asyncio.to_thread(gateway.wait) == 0
    assert set(outcomes) == {"200"}


async def test_a_second_interrupt_stops_at_once_and_still_writes_the_bill(gateway, upstream):
    client, _ = await begun(gateway, upstream)
    hanging = Moment()
    upstream.script("gpt-4o-mini", streams([], hold=hanging))
    waiting = await WireClient.ask(gateway, {**STREAM, "stream": False})
    await asyncio.to_thread(upstream.received, 2)
    gateway.process.send_signal(signal.SIGINT)
    await asyncio.to_thread(eventually, lambda: refuses(gateway))
    assert gateway.process.poll() is None, "one interrupt waits for what runs"
    gateway.process.send_signal(signal.SIGINT)
    await client.until(1, b"0\r\n\r\n")
    assert await asyncio.to_thread(gateway.wait) == 0
    assert b"[DONE]" not in client.seen
    last = client.seen.split(b"data: ")[-1].split(b"\r\n")[0]
    assert json.loads(last)["error"]["code"] == "overloaded"
    await waiting.until(1, b"request_id")
    assert waiting.seen.startswith(b"HTTP/1.1 503 ")
    await client.leave()
    await waiting.leave()
    assert "Traceback" not in gateway.log
    call = await asyncio.to_thread(call_after_restart, gateway, client.request_id)
    assert (call["status"], call["error"]) == (200, "unavailable")
    assert call["usage"]["completion_tokens"] == 2
    assert Decimal(call["cost"]) > 0


async def test_a_gateway_that_is_idle_stops_at_once(gateway, upstream):
    assert gateway.chat(MODEL).status_code == 200
    gateway.stop()
    assert gateway.log.endswith("Mira has stopped.")


def test_a_reload_swaps_nodes_and_prices(gateway, upstream, scripted):
    assert gateway.chat(MODEL).headers["x-mira-cost"] == "0.000017"
    gateway.write_config(
        nodes=[openai_node(scripted.url, name="another", models=("gpt-4o-mini", "gpt-4o"))],
        prices=[price(MODEL, "10", "20"), price("openai/gpt-4o")],
    )
    reload(gateway, "was reloaded")
    answer = gateway.chat(MODEL)
    assert (answer.headers["x-mira-cost"], answer.headers["x-mira-node"]) == ("0.00017", "another")
    assert gateway.chat("openai/gpt-4o").status_code == 200
    assert [node["name"] for node in gateway.admin("GET", "/nodes")["data"]] == ["another"]


def test_an_operator_reloads_over_the_api_and_hears_what_is_wrong(gateway, upstream, scripted):
    gateway.write_config(nodes=[openai_node(scripted.url, name="another")], prices=[price(MODEL, "10", "20")])
    assert gateway.admin("POST", "/reload") == {"reloaded": True, "nodes": 1}
    answer = gateway.chat(MODEL)
    assert (answer.headers["x-mira-cost"], answer.headers["x-mira-node"]) == ("0.00017", "another")
    gateway.config_path.write_text("misspelt = 1")
    told = gateway.admin("POST", "/reload", status=400)["error"]["message"]
    assert "misspelt" in told
    assert gateway.chat(MODEL).headers["x-mira-node"] == "another"
    assert gateway.post("/admin/v1/reload").status_code == 401
    changes = [line["action"] for line in gateway.admin("GET", "/audit")["data"]]
    assert changes.count("configuration.reload") == 1


async def test_a_stream_that_runs_keeps_its_node_and_price_over_a_reload(gateway, upstream, scripted):
    client, go_on = await begun(gateway, upstream, *frames(*chunks(" three")[1:]), DONE)
    gateway.write_config(nodes=[openai_node(scripted.url, name="another")], prices=[price(MODEL, "10", "20")])
    await asyncio.to_thread(reload, gateway, "was reloaded")
    go_on.happen()
    await client.until(1, b"[DONE]")
    await client.leave()
    call = gateway.call(client.request_id)
    assert (call["node"], Decimal(call["cost"])) == ("scripted", Decimal("0.000017"))


def settings_of_nodes(gateway):
    """What is told of the nodes, but for how they are doing."""
    passing = ("state", "reason", "returns_in_s", "latency_ms")
    listed = gateway.admin("GET", "/nodes")["data"]
    return [{name: value for name, value in node.items() if name not in passing} for node in listed]


@pytest.mark.parametrize(
    "text",
    [
        "this is no TOML",
        "misspelt = 1",
        '[[nodes]]\nname = "x"\nkind = "openai"\nbase_url = "ftp://x"',
        '[[nodes]]\nname = "x"\nkind = "openai"\nbase_url = "http://x"\nmarkup = "0"',
        '[[nodes]]\nname = "x"\nkind = "openai"\nbase_url = "http://x"\napi_key = "env:NOT_SET_ANYWHERE"',
        '[[prices]]\nmodel = "openai/gpt-4o-mini"\ninput = "-1"\noutput = "1"',
        '[[prices]]\ninput = "1"\noutput = "1"',
    ],
)
def test_a_reload_of_a_file_that_is_wrong_changes_nothing(gateway, upstream, text):
    before = settings_of_nodes(gateway)
    gateway.config_path.write_text(text)
    reload(gateway, "was not reloaded")
    assert settings_of_nodes(gateway) == before
    assert gateway.chat(MODEL).headers["x-mira-cost"] == "0.000017"
    assert "Traceback" not in gateway.log


def reload(gateway, word):
    """Tells it to read its configuration again, and waits for what it says."""
    told = len(gateway.log.splitlines())
    gateway.process.send_signal(signal.SIGHUP)
    gateway.says(lambda line: word in line, since=told)
