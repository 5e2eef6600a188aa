"""Nodes that fail in every way, before a gateway in a process of its own: each way once. `make faults` measures them."""

import json
from itertools import pairwise

import pytest
from tests.grammar.chat import check_chat_stream
from tests.support.faulty import FaultyFleet, FaultyNode
from tests.support.gateway import UPSTREAM_KEY, eventually, price

#: fails before any content, so that another node answers
BEFORE_CONTENT = ("refuse", "reset", "500", "garbage", "partial", "error-in-200", "wrong-type", "endless")
#: is about the operator's account or about what the node serves, and leads to another node as well
NOT_OURS = ("401", "402", "404")
MODELS = (*BEFORE_CONTENT, *NOT_OURS, "429", "mid-stream", "drip")
GOOD = len(MODELS)


@pytest.fixture(scope="module")
def fleet():
    """A node for each way to fail, which serves a model of that name, and a good one that serves them all."""
    fleet = FaultyFleet([FaultyNode(f"bad-{model}", model) for model in MODELS] + [FaultyNode("good")]).start()
    yield fleet
    fleet.stop()


@pytest.fixture(scope="module")
def gateway(fleet, make_gateway):
    """Asks a bad node first wherever it may, since the good one has next to no weight."""
    rows = [
        {
            "name": node.name,
            "kind": "openai-compatible",
            "provider": "x",
            "base_url": node.url,
            "api_key": UPSTREAM_KEY,
            "models": list(MODELS) if node.name == "good" else [node.model],
            "weight": 0.001 if node.name == "good" else 100,
        }
        for node in fleet.nodes
    ]
    return make_gateway(nodes=rows, prices=[price(f"x/{model}") for model in MODELS])


def bad(fleet, model, **behaviour):
    """The bad node of a model, which from now on behaves badly."""
    index = MODELS.index(model)
    fleet.become(index, **behaviour)
    return fleet.nodes[index]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", BEFORE_CONTENT)
def test_a_failure_before_content_is_answered_by_another_node(gateway, fleet, fault, stream):
    node = bad(fleet, fault, fault=fault)
    answer = gateway.chat(f"x/{fault}", stream=stream, max_tokens=64)
    assert answer.status_code == 200
    assert "word3" in answer.text
    assert answer.headers["x-mira-node"] == "good"
    call = gateway.call(answer.headers["x-request-id"])
    assert (call["attempts"], call["error"]) == (2, None)
    assert fault == "refuse" or node.seen[-1].stream == stream


@pytest.mark.parametrize("fault", NOT_OURS)
def test_a_refusal_that_is_not_the_clients_is_answered_by_another_node(gateway, fleet, fault):
    node = bad(fleet, fault, fault=fault)
    answer = gateway.chat(f"x/{fault}", max_tokens=64)
    assert (answer.status_code, answer.headers["x-mira-node"], len(node.seen)) == (200, "good", 1)


def test_a_reset_after_content_ends_in_an_error_and_is_asked_of_nobody_else(gateway, fleet):
    bad(fleet, "mid-stream", fault="reset", after_words=2)
    before = len(fleet.nodes[GOOD].seen)
    answer = gateway.chat("x/mid-stream", stream=True, max_tokens=64)
    read = check_chat_stream(answer.content, include_usage=False)
    assert "error" in read[-1]
    assert "word1" in answer.text
    assert len(fleet.nodes[GOOD].seen) == before
    call = gateway.call(answer.headers["x-request-id"])
    assert (call["attempts"], call["usage"]["completion_tokens"] > 0) == (1, True)


def test_a_node_that_asks_for_patience_is_left_alone_so_long_and_then_asked_again(gateway, fleet):
    node = bad(fleet, "429", fault="429", retry_after_s=1)
    for _ in range(5):
        assert gateway.chat("x/429", max_tokens=64).headers["x-mira-node"] == "good"
    bad(fleet, "429")
    eventually(lambda: gateway.chat("x/429", max_tokens=64).headers["x-mira-node"] == "bad-429")
    asked = [(before, after) for before, after in pairwise(node.seen) if before.status == 429]
    assert asked
    assert all(after.at_s - before.answered_at_s >= 1 for before, after in asked)


def test_a_slow_drip_arrives_whole(gateway, fleet):
    bad(fleet, "drip", fault="drip", drip_s=0.0005)
    answer = gateway.chat("x/drip", max_tokens=64)
    assert (answer.headers["x-mira-node"], answer.json()["usage"]["completion_tokens"]) == ("bad-drip", 3)
    answer = gateway.chat("x/drip", stream=True, max_tokens=64)
    assert "word3" in answer.text
    check_chat_stream(answer.content, include_usage=False)


def test_a_node_can_be_told_over_http_what_to_do_wrong(fleet, gateway):
    node = fleet.nodes[GOOD]
    address = f"http://127.0.0.1:{node.port}/control"
    told = gateway.http.post(address, content=json.dumps({"words": 2}))
    assert told.json()["words"] == 2
    assert gateway.http.get(address).json()["behaviour"]["words"] == 2
    gateway.http.post(address, content="{}")


def test_the_ledger_is_well(gateway):
    gateway.check_ledger()
    assert float(gateway.balance()["held"]) == 0
