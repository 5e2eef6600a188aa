"""Metrics and logs of a running gateway: who may see them, what they tell, and what never stands in them."""

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.gateway import (
    ADMIN_KEY,
    INFERENCE_KEY,
    PROXY_KEY,
    UPSTREAM_KEY,
    eventually,
    openai_node,
    price,
)
from tests.support.ports import free_port
from tests.support.upstream import answers

MODEL = "openai/gpt-4o-mini"


@pytest.fixture(scope="module")
def gateway(scripted, make_gateway):
    return make_gateway(nodes=[openai_node(scripted.url)], prices=[price(MODEL)])


def scrape(gateway, **more):
    answer = gateway.get("/metrics", key=None, **more)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def figure(found, name, **labels):
    """The sum of a figure over the series that have these labels."""
    return sum(value for (one, of), value in found.items() if one == name and labels.items() <= dict(of).items())


def lines(gateway):
    return [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]


def line_of(gateway, request_id):
    gateway.says(lambda line: request_id in line and '"mira.calls"' in line)
    found = [line for line in lines(gateway) if line.get("request_id") == request_id and line["logger"] == "mira.calls"]
    assert len(found) == 1
    return found[0]


def test_a_call_shows_in_the_metrics_with_its_tokens_and_its_cost(gateway, upstream):
    before = scrape(gateway)
    for stream in (False, True):
        assert gateway.chat(MODEL, stream=stream, stream_options={"include_usage": True}).status_code == 200
    after = scrape(gateway)
    pair = {"model": MODEL, "node": "scripted"}

    def grown(name, **labels):
        return figure(after, name, **labels) - figure(before, name, **labels)

    assert grown("mira_requests_total", surface="proxy", protocol="chat", status="2xx", **pair) == 2
    assert grown("mira_tokens_total", **{"class": "input"}, **pair) == 22
    assert grown("mira_tokens_total", **{"class": "output"}, **pair) == 6
    assert grown("mira_cost_credits_total", **pair) == pytest.approx(0.000034)
    assert grown("mira_first_content_seconds_count", **pair) == 2
    assert grown("mira_request_duration_seconds_count", **pair) == 2
    assert grown("mira_attempts_total", node="scripted") == 2
    assert grown("mira_ledger_batch_operations_sum") >= 4
    assert grown("mira_ledger_commit_seconds_count") >= 2
    assert figure(after, "mira_holds") == figure(after, "mira_requests_in_flight") == 0
    assert figure(after, "mira_node_state", node="scripted") == 1
    eventually(lambda: figure(scrape(gateway), "mira_event_loop_lag_seconds_count") > 0)
    assert figure(after, "process_open_fds") > 0


def test_refusals_show_by_their_kind(gateway, upstream):
    before = scrape(gateway)
    gateway.chat(MODEL, key="sk-mira-wrong")
    gateway.chat("openai/made-up-by-a-client")
    upstream.script("gpt-4o-mini", answers({"error": {"message": "no"}}, 500))
    assert gateway.chat(MODEL).status_code == 502
    after = scrape(gateway)
    for kind in ("bad_key", "model_not_found", "upstream_failed"):
        assert figure(after, "mira_refusals_total", kind=kind) - figure(before, "mira_refusals_total", kind=kind) == 1
    assert not any("made-up" in value for _, labels in after for _, value in labels)


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip", "via"])
def test_what_comes_through_a_proxy_on_this_machine_is_not_local(gateway, header):
    through = {"headers": {header: "127.0.0.1"}}
    assert gateway.get("/metrics", key=None, **through).status_code == 401
    assert gateway.get("/metrics", key=PROXY_KEY, **through).status_code == 401
    assert gateway.get("/metrics", key=ADMIN_KEY, **through).status_code == 200


def test_metrics_keep_to_the_operators_address_where_there_is_one(make_gateway, scripted):
    port = free_port()
    gateway = make_gateway(nodes=[openai_node(scripted.url)], MIRA_ADMIN_LISTEN=f"127.0.0.1:{port}")
    for key in (None, ADMIN_KEY):
        assert gateway.get("/metrics", key=key).status_code == 404
    there = gateway.http.get(f"http://127.0.0.1:{port}/metrics")
    assert there.status_code == 200
    assert "mira_build_info" in there.text


def test_a_call_is_one_line_of_the_log_under_the_id_that_client_and_node_see(gateway, upstream):
    answer = gateway.chat(MODEL)
    request_id = answer.headers["x-request-id"]
    line = line_of(gateway, request_id)
    assert upstream.chats()[-1].headers["x-request-id"] == request_id
    assert (line["model"], line["node"], line["status"], line["attempts"]) == (MODEL, "scripted", 200, 1)
    assert line["tokens"] == {"input": 11, "output": 3}
    assert line["cost"] == answer.headers["x-mira-cost"]
    row = gateway.call(request_id)
    for name in ("workspace_id", "key_id", "protocol", "stream", "error", "first_content_ms", "duration_ms"):
        assert line[name] == row[name], name


def test_what_is_said_of_a_request_on_its_way_carries_its_id(gateway, upstream):
    upstream.script("gpt-4o-mini", answers(b"", 200))
    request_id = gateway.chat(MODEL).headers["x-request-id"]
    line = line_of(gateway, request_id)
    assert line["error"] == "upstream_failed"
    said = [one for one in lines(gateway) if one.get("request_id") == request_id]
    assert all(one["logger"].startswith("mira") for one in said)


def test_a_node_that_left_shows_why_in_the_metrics_and_to_clients(make_gateway, scripted, upstream):
    gateway = make_gateway(nodes=[openai_node(scripted.url, name="sick")], prices=[price(MODEL)])
    upstream.script("gpt-4o-mini", answers({"error": {"message": "no"}}, 500))
    for _ in range(3):
        assert gateway.chat(MODEL).status_code >= 500
    found = scrape(gateway)
    (state,) = [dict(labels) for name, labels in found if name == "mira_node_state"]
    (shown,) = gateway.get("/v1/extras/nodes").json()["data"]
    assert state == {"node": "sick", "state": "ejected", "reason": "upstream_failed"}
    assert (shown["state"], shown["reason"]) == ("ejected", "upstream_failed")
    assert figure(found, "mira_attempts_total", node="sick") >= 3


def test_the_nodes_are_told_to_a_key_without_secrets_and_addresses(gateway, scripted):
    answer = gateway.get("/v1/extras/nodes")
    assert answer.status_code == 200
    (node,) = answer.json()["data"]
    (known,) = gateway.admin("GET", "/nodes")["data"]
    assert (node["name"], node["state"], node["models"]) == ("scripted", known["state"], [MODEL])
    assert node.keys() == {"name", "state", "reason", "latency_ms", "models"}
    for secret in (UPSTREAM_KEY, scripted.url, scripted.url.rpartition(":")[2], "base_url"):
        assert secret not in answer.text
    assert gateway.get("/v1/extras/nodes", key=INFERENCE_KEY).status_code == 403
    _, scoped = gateway.new_key(models=["openai/another"])
    assert gateway.get("/v1/extras/nodes", key=scoped).json()["data"] == []


# Canaries

CANARY = "canary-7f3a"


def test_no_canary_in_any_place_reaches_log_metrics_or_error(make_gateway, scripted, upstream):
    gateway = make_gateway(nodes=[openai_node(scripted.url)], prices=[price(MODEL)], tables={"log": {"level": "debug"}})
    told = {"error": {"message": CANARY, "type": CANARY, "code": CANARY}}
    headers = {"user-agent": CANARY, "x-title": CANARY, "cookie": CANARY, "idempotency-key": CANARY, "referer": CANARY}
    seen = []
    for script in (answers(told, 500), answers(told, 401), answers(CANARY.encode()), answers(told), answers(told, 429)):
        for stream in (False, True):
            upstream.script("gpt-4o-mini", script)
            seen.append(gateway.chat(MODEL, CANARY, stream=stream, user=CANARY, metadata={CANARY: CANARY}))
    body = {"model": MODEL, "messages": [{"role": "user", "content": CANARY}]}
    seen += [
        gateway.post("/v1/chat/completions", body, headers=headers),
        gateway.post("/v1/chat/completions", body, key=f"sk-mira-{CANARY}"),
        gateway.post(f"/v1/messages?{CANARY}={CANARY}", {**body, "max_tokens": 5}),
        gateway.post("/v1/responses", {"model": MODEL, "input": CANARY, "previous_response_id": "resp_none"}),
        gateway.post("/v1/embeddings", {"model": MODEL, "input": CANARY}),
        gateway.request("POST", "/v1/chat/completions", content=f'{{"model": {CANARY}'.encode()),
        gateway.get("/admin/v1/nodes", key=f"operator-{CANARY}"),
        gateway.get("/metrics", key=None),
        gateway.get("/v1/extras/nodes"),
    ]
    gateway.chat(f"openai/{CANARY}")  # whose error names the model to whoever asked for it
    for answer in seen:
        assert CANARY not in answer.text or answer.status_code == 200, answer.text
        assert CANARY not in str(answer.headers)
    metrics = gateway.get("/metrics", key=None).text
    gateway.stop()
    for text in (metrics, gateway.log):
        for secret in (CANARY, PROXY_KEY, INFERENCE_KEY, ADMIN_KEY, UPSTREAM_KEY):
            assert secret not in text
    assert len(re.findall('"logger":"mira.calls"', gateway.log)) >= 10
