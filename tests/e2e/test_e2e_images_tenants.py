"""Images between tenants, limits, Miras and restarts: who pays, once, and what is said where nobody can draw."""

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from tests.support.gateway import INFERENCE_KEY, PROXY_KEY, eventually, openai_node, price
from tests.support.pictures import B64, PNG, check_bill, draws
from tests.support.upstream import hangs

#: 20 tokens of words at 5 and 1,000 of a picture at 40 credits a million.
COST = Decimal("0.0401")
EACH = {"*": "0.04", "high": "0.17", "high/1024x1536": "0.25"}


@pytest.fixture(scope="module")
def gateway(scripted, make_gateway):
    return make_gateway(
        nodes=[openai_node(scripted.url, models=["gpt-image-1", "gpt-image-each"])],
        prices=[price("openai/gpt-image-1", "5", "40"), {"model": "openai/gpt-image-each", "image": EACH}],
        tables={"defaults": {"image": "openai/gpt-image-1"}},
    )


def test_the_same_idempotency_key_is_charged_once(gateway, upstream):
    upstream.script("gpt-image-1", draws())
    form = {"data": {"prompt": "x", "model": "gpt-image-1"}, "files": {"image": ("a.png", PNG, "image/png")}}
    headers = {"idempotency-key": "edit-1"}
    first = gateway.request("POST", "/v1/images/edits", headers=headers, **form)
    again = gateway.request("POST", "/v1/images/edits", headers=headers, **form)
    check_bill(gateway, first, COST)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert len(upstream.chats()) == 1
    form["data"]["prompt"] = "y"
    assert gateway.request("POST", "/v1/images/edits", headers=headers, **form).status_code == 422


def test_a_stream_is_repeated_as_it_was(gateway, upstream):
    upstream.script("gpt-image-1", draws())
    body = {"model": "gpt-image-1", "prompt": "x", "stream": True}
    headers = {"idempotency-key": "stream-1"}
    first = gateway.post("/v1/images/generations", body, headers=headers)
    again = gateway.post("/v1/images/generations", body, headers=headers)
    assert first.content == again.content
    assert again.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert len(upstream.chats()) == 1


def test_two_workspaces_pay_for_themselves(gateway, upstream):
    upstream.script("gpt-image-1", draws())
    poor = gateway.new_workspace("0.01")
    _, key = gateway.new_key(poor)
    answer = gateway.post("/v1/image", {"prompt": "x"}, key=key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "insufficient_quota")
    assert upstream.chats() == []
    _, narrow = gateway.new_key(models=["openai/gpt-4o-mini"])
    assert gateway.post("/v1/image", {"prompt": "x"}, key=narrow).status_code == 403
    assert gateway.post("/v1/image", {"prompt": "x"}, key="sk-mira-wrong-key-of-nobody-at-all").status_code == 401


def test_images_count_against_the_limits_of_a_key(gateway, upstream):
    upstream.script("gpt-image-1", draws())
    body = {"prompt": "x", "quality": "medium", "size": "1024x1024"}
    _, slow = gateway.new_key(rpm=1)
    assert [gateway.post("/v1/image", body, key=slow).status_code for _ in range(2)] == [200, 429]
    _, few_tokens = gateway.new_key(tpm=1200)
    told = [gateway.post("/v1/image", body, key=few_tokens) for _ in range(2)]
    assert [answer.status_code for answer in told] == [200, 429]
    assert int(told[1].headers["retry-after"]) > 1
    _, thrifty = gateway.new_key(budget={"amount": "0.5", "period": "day"})
    assert gateway.post("/v1/image", body, key=thrifty).status_code == 200
    poor = gateway.post("/v1/image", {**body, "n": 10}, key=thrifty)
    assert (poor.status_code, poor.json()["error"]["code"]) == (402, "budget_exceeded")
    gateway.check_ledger()


def test_the_inference_service_makes_images_without_the_prefix(gateway, upstream):
    upstream.script("gpt-image-1", draws())
    answer = gateway.post("/inference/v1/images/generations", {"prompt": "x"}, key=INFERENCE_KEY)
    check_bill(gateway, answer, COST)
    assert answer.json()["model"] == "gpt-image-1"


def test_a_mira_makes_images_at_another(gateway, upstream, make_gateway):
    upstream.script("gpt-image-1", draws())
    upstream.script("gpt-image-each", draws(usage=None))
    near = make_gateway(
        nodes=[{
            "name": "far", "kind": "mira", "base_url": f"{gateway.url}/inference/v1", "api_key": INFERENCE_KEY,
            "markup": "2",
        }]
    )  # fmt: skip
    eventually(lambda: near.get("/v1/models/openai/gpt-image-1").status_code == 200)
    answer = near.post("/v1/images/generations", {"model": "openai/gpt-image-1", "prompt": "x"})
    check_bill(near, answer, 2 * COST)
    answer = near.post(
        "/v1/image",
        {"model": "openai/gpt-image-each", "prompt": "x", "image": B64, "quality": "high", "size": "1024x1536"},
    )
    check_bill(near, answer, 2 * Decimal("0.25"))
    with near.http.stream(
        "POST",
        "/v1/images/generations",
        json={"model": "openai/gpt-image-1", "prompt": "x", "stream": True},
        headers={"authorization": f"Bearer {PROXY_KEY}"},
    ) as stream:
        events = stream.read().decode().strip().split("\n\n")
    last = json.loads(events[-1].partition("data: ")[2], parse_float=Decimal)
    assert last["usage"]["cost"] == 2 * COST


def test_without_an_image_node_the_line_is_named_that_adds_one(make_gateway, scripted):
    bare = make_gateway(nodes=[openai_node(scripted.url)], prices=[price("openai/gpt-4o-mini")])
    answer = bare.post("/v1/image", {"prompt": "a lighthouse at dusk"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (404, "no_image_node")
    assert "no node serves image models" in error["message"]
    assert "[[nodes]]" in error["message"]


def test_the_only_model_is_the_default_and_of_several_none_is(make_gateway, scripted, upstream):
    upstream.script("gpt-image-1", draws())
    home = make_gateway(nodes=[openai_node(scripted.url, models=["gpt-4o-mini", "gpt-image-1"])])
    assert home.post("/v1/image", {"prompt": "x"}).json()["model"] == "openai/gpt-image-1"
    home.write_config(nodes=[openai_node(scripted.url, models=["gpt-image-1", "gpt-image-1.5"])])
    home.process.send_signal(1)
    error = eventually(
        lambda: (
            answer.json()["error"] if (answer := home.post("/v1/image", {"prompt": "x"})).status_code == 400 else None
        )
    )
    assert "[defaults] image" in error["message"]
    home.write_config(
        nodes=[openai_node(scripted.url, models=["gpt-image-1"])], tables={"defaults": {"image": "gone/painter"}}
    )
    home.process.send_signal(1)
    error = eventually(
        lambda: (
            answer.json()["error"] if (answer := home.post("/v1/image", {"prompt": "x"})).status_code == 404 else None
        )
    )
    assert '[defaults] image = "gone/painter"' in error["message"]


def test_a_stop_that_cannot_wait_gives_the_hold_back(make_gateway, scripted, upstream):
    upstream.script("gpt-image-1", hangs())
    home = make_gateway(
        nodes=[openai_node(scripted.url, models=["gpt-image-1"])],
        prices=[price("openai/gpt-image-1", "5", "40")],
        tables={"server": {"drain_s": 1}},
    )
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(home.post, "/v1/image", {"prompt": "x"})
        upstream.received(1)
        home.terminate()
        answer = waiting.result()
    assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "true")
    assert home.wait() == 0
    home.start()
    assert Decimal(home.balance()["balance"]) == 10
    assert Decimal(home.balance()["held"]) == 0
    assert home.call(answer.headers["x-request-id"])["status"] == 503
