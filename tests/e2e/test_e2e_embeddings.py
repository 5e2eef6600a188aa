"""Embeddings with OpenAI's own SDK: what passes, what it costs, and who cannot serve them."""

import base64
import struct

import pytest
from openai import OpenAI
from tests.e2e.protocols import BEHIND_ANTHROPIC, BEHIND_GEMINI
from tests.e2e.protocols import nodes as every_kind
from tests.e2e.protocols import prices as every_price
from tests.support.gateway import INFERENCE_KEY, PROXY_KEY, UPSTREAM_KEY, openai_node, price
from tests.support.upstream import answers

SMALL = "text-embedding-3-small"
MODEL = f"openai/{SMALL}"
VECTOR = [0.5, -0.25, 0.125]
USAGE = {"prompt_tokens": 8, "total_tokens": 8}


@pytest.fixture(scope="module")
def gateway(scripted, make_gateway):
    """The module's gateway: nodes of every kind, and one of kind openai with a model for embeddings."""
    nodes = [*every_kind(scripted), openai_node(scripted.url, models=[SMALL])]
    return make_gateway(nodes=nodes, prices=[*every_price(), price(MODEL, "0.02", "0.02")])


@pytest.fixture(scope="module")
def sdk(gateway):
    with OpenAI(api_key=PROXY_KEY, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        yield client


def embeds(vectors=1, *, packed=False, usage=USAGE):
    vector = base64.b64encode(struct.pack("<3f", *VECTOR)).decode() if packed else VECTOR
    rows = [{"object": "embedding", "index": index, "embedding": vector} for index in range(vectors)]
    told = {"object": "list", "data": rows, "model": SMALL}
    return answers(told if usage is None else {**told, "usage": usage})


@pytest.mark.parametrize("packed", [False, True], ids=["float", "base64"])
def test_the_sdk_gets_its_vectors_and_they_cost_their_input(gateway, upstream, sdk, packed):
    upstream.script(SMALL, embeds(2, packed=packed))
    # The SDK asks for base64 by itself and unpacks it.
    more = {} if packed else {"encoding_format": "float"}
    raw = sdk.embeddings.with_raw_response.create(model=MODEL, input=["a cat", "a dog"], dimensions=3, user="u", **more)
    answer = raw.parse()
    assert [row.embedding for row in answer.data] == [VECTOR, VECTOR]
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (8, 8)
    (request,) = upstream.received(1)
    assert request.path == "/v1/embeddings"
    assert request.headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    form = "base64" if packed else "float"
    asked = {"input": ["a cat", "a dog"], "encoding_format": form, "dimensions": 3, "user": "u"}
    assert request.json == {"model": SMALL, **asked}
    record = gateway.call(raw.headers["x-request-id"])
    assert raw.headers["x-mira-cost"] == record["cost"] == "0.00000016"
    assert float(answer.usage.cost) == 0.00000016
    assert (record["protocol"], record["usage"]["prompt_tokens"], record["usage"]["completion_tokens"]) == (
        "embeddings",
        8,
        0,
    )
    gateway.check_ledger()


@pytest.mark.parametrize(
    ("given", "tokens"), [("a cat", 2), (["a cat", "a dog"], 4), ([1, 2, 3], 3), ([[1, 2], [3, 4, 5]], 5)]
)
def test_a_node_that_tells_no_usage_is_counted_for(gateway, upstream, given, tokens):
    upstream.script(SMALL, embeds(usage=None))
    response = gateway.post("/v1/embeddings", {"model": SMALL, "input": given})
    assert response.status_code == 200
    usage = response.json()["usage"]
    assert (usage["prompt_tokens"], usage["total_tokens"]) == (tokens, tokens)
    record = gateway.call(response.headers["x-request-id"])
    assert record["usage"]["estimated"]
    assert record["usage"]["prompt_tokens"] == tokens


def test_the_inference_service_embeds_and_shows_the_bare_model(gateway, upstream):
    upstream.script(SMALL, answers({"object": "list", "data": [{"embedding": VECTOR}], "model": MODEL, "usage": USAGE}))
    response = gateway.post("/inference/v1/embeddings", {"model": MODEL, "input": "a cat"}, key=INFERENCE_KEY)
    assert response.status_code == 200
    assert response.json()["model"] == SMALL


@pytest.mark.parametrize("behind", [BEHIND_ANTHROPIC, BEHIND_GEMINI], ids=lambda behind: behind.kind)
def test_a_model_of_a_node_without_embeddings_is_refused_and_nobody_is_asked(gateway, upstream, behind):
    response = gateway.post("/v1/embeddings", {"model": behind.model, "input": "a cat"})
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == ("model", "unsupported_parameter")
    assert "openai-compatible" in error["message"]
    assert not upstream.chats()
    assert gateway.balance()["held"] == "0"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": 5}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [-1]}, "input"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "user": 5}, "user"),
        ({"input": "a", "stream": True}, "stream"),
    ],
)
def test_a_wrong_field_is_named(gateway, upstream, fields, param):
    response = gateway.post("/v1/embeddings", {"model": MODEL, **fields})
    assert response.status_code == 400
    assert response.json()["error"]["param"].partition("[")[0] == param
    assert not upstream.chats()


@pytest.mark.parametrize("body", [b"oops", {"object": "list", "data": []}, {"error": {"message": "no"}}, {"x": 1}])
def test_an_answer_without_embeddings_fails_and_costs_nothing(gateway, upstream, body):
    upstream.script(SMALL, answers(body))
    before = gateway.balance()
    response = gateway.post("/v1/embeddings", {"model": MODEL, "input": "a cat"})
    assert response.status_code == 502
    assert gateway.balance()["balance"] == before["balance"]
