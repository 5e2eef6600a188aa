"""Two Miras in a row: the first is a client of the second's Inference Service, and both ledgers say the same."""

import asyncio
import sqlite3
from contextlib import closing
from decimal import Decimal

import httpx2
import pytest
from tests.grammar.chat import check_chat_stream
from tests.support.gateway import ADMIN_KEY, INFERENCE_KEY, PROXY_KEY, Gateway, eventually, openai_node, price
from tests.support.upstream import DONE, FIN, USAGE, Moment, chunk, chunks, frames, streams
from wire_client import WireClient

MODEL = "openai/gpt-4o-mini"


@pytest.fixture(scope="module")
def first(gateway, make_gateway):
    """The first Mira; the module's gateway is the second one."""
    node = {"name": "second", "kind": "mira", "base_url": f"{gateway.url}/inference/v1", "api_key": INFERENCE_KEY}
    first = make_gateway(nodes=[node])
    first.admin("POST", "/nodes/second/probe")
    return first


def spent(gateway):
    return Decimal(10) - Decimal(gateway.balance()["balance"])


def test_the_first_serves_what_the_second_lists_at_the_seconds_prices(first):
    row = first.get(f"/v1/models/{MODEL}").json()
    assert row["pricing"]["prompt"] == "0.000001"
    assert row["pricing"]["completion"] == "0.000002"
    assert row["pricing"]["source"] == "node"
    assert first.admin("GET", "/nodes/second")["models"] == [
        "openai/gpt-4o",
        "openai/gpt-4o-mini",
        "openai/o4-mini",
        "openai/whisper-like",
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_costs_the_same_on_both_ledgers(first, gateway, upstream, stream):
    before = spent(first), spent(gateway)
    answer = first.chat(MODEL, stream=stream)
    assert answer.status_code == 200
    assert "Hello" in answer.text
    call = first.call(answer.headers["x-request-id"])
    request = upstream.received(1)[0]
    inner = gateway.call(request.headers["x-request-id"])
    assert call["cost"] == call["reported_cost"] == inner["cost"] == "0.000017"
    assert inner["client_request_id"] == answer.headers["x-request-id"] == call["id"]
    assert call["upstream_request_id"] == inner["id"]
    assert spent(first) - before[0] == spent(gateway) - before[1] == Decimal("0.000017")
    if not stream:
        assert answer.headers["x-mira-cost"] == "0.000017"
        assert answer.json()["usage"]["cost"] == 0.000017


def test_the_seconds_real_charge_wins_over_the_firsts_reckoning(first, gateway, upstream):
    usage = {**USAGE, "prompt_tokens": 1000, "total_tokens": 1003, "prompt_tokens_details": {"cached_tokens": 900}}
    upstream.script("gpt-4o-mini", streams([*frames(*chunks("Hello", usage=usage)), DONE]))
    answer = first.chat(MODEL, stream=True, stream_options={"include_usage": True})
    told = check_chat_stream(answer.content, include_usage=True)[-1]["usage"]
    call = first.call(answer.headers["x-request-id"])
    inner = gateway.call(upstream.received(1)[0].headers["x-request-id"])
    assert call["cost"] == inner["cost"]
    assert Decimal(str(told["cost"])) == Decimal(inner["cost"])
    assert told["prompt_tokens_details"]["cached_tokens"] == 900


def test_a_stream_that_is_cut_at_the_end_of_the_chain_is_an_error_at_its_beginning(first, gateway, upstream):
    arrived = Moment()
    words = frames(*chunks(*["word"] * 9, usage=None))
    upstream.script("gpt-4o-mini", streams([*words[:6], arrived, FIN]))
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    with first.http.stream(
        "POST", "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {PROXY_KEY}"}
    ) as response:
        told = b""
        for data in response.iter_raw():
            told += data
            arrived.happen()
    read = check_chat_stream(told, include_usage=False)
    assert read[-1]["error"]["code"] == "upstream_error"
    call = first.call(response.headers["x-request-id"])
    inner = gateway.call(upstream.received(1)[0].headers["x-request-id"])
    assert call["cost"] == inner["cost"]


def test_a_streamed_call_of_a_tool_passes_through_both(first, gateway, upstream):
    begins = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": piece}} for piece in ('{"city": "', 'Gent"}')]
    steps = [chunk({"role": "assistant", "tool_calls": [begins]}), *(chunk({"tool_calls": [each]}) for each in pieces)]
    steps += [chunk({}, finish="tool_calls"), chunk(usage=USAGE)]
    upstream.script("gpt-4o-mini", streams([*frames(*steps), DONE]))
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    answer = first.chat(MODEL, stream=True, tools=[tool])
    read = check_chat_stream(answer.content, include_usage=False)
    calls = [call for event in read for choice in event["choices"] for call in choice["delta"].get("tool_calls", ())]
    assert calls[0]["function"]["name"] == "weather"
    assert "".join(call["function"].get("arguments", "") for call in calls) == '{"city": "Gent"}'
    inner = gateway.call(upstream.received(1)[0].headers["x-request-id"])
    assert first.call(answer.headers["x-request-id"])["cost"] == inner["cost"] == "0.000017"


@pytest.mark.parametrize("begun", [False, True])
async def test_a_client_that_leaves_closes_the_far_upstream(first, gateway, upstream, begun):
    stay = Moment()
    words = frames(*chunks("word", usage=None)[:2]) if begun else []
    upstream.script("gpt-4o-mini", streams([*words, stay]))
    client = await WireClient.ask(
        first, {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    )
    request = (await asyncio.to_thread(upstream.received, 1))[0]
    if begun:
        await client.until(1, b"word")
    await client.leave()
    await asyncio.to_thread(request.closed.wait)
    stay.happen()
    said = request.headers["x-request-id"]
    record = await asyncio.to_thread(
        eventually, lambda: next((line for line in gateway.admin("GET", "/calls")["data"] if line["id"] == said), None)
    )
    assert record["status"] == 499
    for each in (first, gateway):
        await asyncio.to_thread(eventually, lambda each=each: float(each.balance()["held"]) == 0)


def test_two_miras_that_are_each_others_nodes_tell_of_the_loop(tmp_path):
    ring = [Gateway(tmp_path / name) for name in ("a", "b")]
    for here, there in (ring, ring[::-1]):
        node = {"name": "other", "kind": "mira", "base_url": f"{there.url}/inference/v1", "api_key": INFERENCE_KEY}
        here.write_config(nodes=[{**node, "models": [MODEL]}], prices=[price(MODEL)])
    try:
        for each in ring:
            each.start()
        answer = ring[0].chat(MODEL)
        assert answer.status_code == 508
        assert answer.json()["error"]["code"] == "loop_detected"
        assert answer.headers["x-should-retry"] == "false"
        assert [spent(each) for each in ring] == [0, 0]
    finally:
        for each in ring:
            each.close()


def test_a_way_round_is_no_fault_of_the_node_and_another_is_tried(upstream, scripted, tmp_path):
    ring = [Gateway(tmp_path / name) for name in ("a", "b")]
    for here, there in (ring, ring[::-1]):
        node = {"name": "other", "kind": "mira", "base_url": f"{there.url}/inference/v1", "api_key": INFERENCE_KEY}
        own = [openai_node(scripted.url, name="own", weight=0.001)] if here is ring[1] else []
        here.write_config(nodes=[{**node, "models": [MODEL], "weight": 1000}, *own], prices=[price(MODEL)])
    try:
        for each in ring:
            each.start()
        for _ in range(4):
            answer = ring[0].chat(MODEL)
            assert answer.status_code == 200
            call = ring[1].call(ring[0].call(answer.headers["x-request-id"])["upstream_request_id"])
            assert (call["node"], call["attempts"]) == ("own", 2)
        assert ring[1].admin("GET", "/nodes/other")["consecutive_faults"] == 0
        ring[1].check_ledger()
    finally:
        for each in ring:
            each.close()


def test_only_miras_are_told_of_miras(first, upstream):
    first.chat(MODEL)
    assert "x-mira-via" not in upstream.received(1)[0].headers


def test_a_markup_is_what_the_first_earns(make_gateway, gateway, upstream):
    node = {
        "name": "second",
        "kind": "mira",
        "base_url": f"{gateway.url}/inference/v1",
        "api_key": INFERENCE_KEY,
        "markup": "1.5",
    }
    dearer = make_gateway(nodes=[node])
    dearer.admin("POST", "/nodes/second/probe")
    answer = dearer.chat(MODEL)
    inner = gateway.call(upstream.received(1)[0].headers["x-request-id"])
    assert inner["cost"] == "0.000017"
    assert answer.headers["x-mira-cost"] == "0.0000255"
    dearer.check_ledger()
    dearer.stop()


def test_a_chain_whose_end_has_no_credits_is_a_fault_of_the_operator_not_of_the_client(make_gateway, gateway, upstream):
    workspace = gateway.new_workspace(None)
    _, key = gateway.new_key(workspace, kind="inference")
    poor = make_gateway(
        nodes=[{"name": "second", "kind": "mira", "base_url": f"{gateway.url}/inference/v1", "api_key": key}],
        prices=[price(MODEL)],
    )
    poor.admin("POST", "/nodes/second/probe")
    answer = poor.chat(MODEL)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_auth"
    assert upstream.chats() == []
    assert spent(poor) == 0
    poor.stop()


def test_both_ledgers_are_well(first, gateway):
    for one in (first, gateway):
        one.check_ledger()
        assert float(one.balance()["held"]) == 0


def test_a_chain_of_faces_serves_its_own_inference_service(first, gateway, upstream):
    answer = first.chat(MODEL, key=INFERENCE_KEY, path="/inference/v1/chat/completions")
    assert answer.status_code == 200
    assert answer.json()["model"] == "gpt-4o-mini"


def test_a_stream_whose_gateway_is_killed_costs_what_the_node_charged_for_it(gateway, upstream, make_gateway):
    """The dead process knew its last checkpoint alone; the one after it asks the node, another Mira."""
    node = {"name": "second", "kind": "mira", "base_url": f"{gateway.url}/inference/v1", "api_key": INFERENCE_KEY}
    first = make_gateway(nodes=[node])
    first.admin("POST", "/nodes/second/probe")
    never = Moment()
    upstream.script("gpt-4o-mini", streams([*frames(*chunks(*["word"] * 40, usage=None))[:30], never]))
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "stream": True, "max_tokens": 100}
    key = {"authorization": f"Bearer {PROXY_KEY}"}
    with first.http.stream("POST", "/v1/chat/completions", json=body, headers=key) as response:
        request_id = response.headers["x-request-id"]
        pieces = response.iter_raw()
        next(pieces)
        eventually(lambda: written(first, request_id))
        first.kill()
        with pytest.raises(httpx2.HTTPError):
            list(pieces)
    first.start()
    operator = {"authorization": f"Bearer {ADMIN_KEY}"}
    eventually(lambda: first.http.get(f"/admin/v1/calls/{request_id}", headers=operator).status_code == 200)
    lost = first.call(request_id)
    inner = gateway.call(upstream.received(1)[0].headers["x-request-id"])
    assert (lost["error"], lost["node"]) == ("lost", "second")
    assert lost["cost"] == lost["reported_cost"] == inner["cost"]
    assert Decimal(inner["cost"]) > 0
    assert spent(first) == Decimal(inner["cost"])
    assert first.check_ledger()["ok"]


def written(gateway, request_id):
    """Whether the ledger has a checkpoint of the call."""
    with closing(sqlite3.connect(f"file:{gateway.home}/mira.db?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT node FROM hold WHERE id = ?", (request_id,)).fetchone() == ("second",)
