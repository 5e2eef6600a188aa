"""The list of models with both vendors' SDKs: one body, and pages for clients of Anthropic only."""

import pytest
from anthropic import Anthropic, BadRequestError
from anthropic.types import ModelInfo
from openai import OpenAI
from openai.types import Model
from tests.support.gateway import PROXY_KEY, openai_node, price

NAMES = ["gpt-5.6", *(f"model-{number}" for number in range(4))]
IDS = [f"openai/{name}" for name in NAMES]
VERSION = {"anthropic-version": "2023-06-01"}


@pytest.fixture(scope="module")
def gateway(scripted, make_gateway):
    """The module's gateway: five models."""
    return make_gateway(nodes=[openai_node(scripted.url, models=NAMES)], prices=[price(name) for name in IDS])


@pytest.fixture(scope="module")
def anthropic(gateway):
    with Anthropic(auth_token=PROXY_KEY, base_url=gateway.url, max_retries=0) as client:
        yield client


def page(gateway, query, status=200):
    response = gateway.get(f"/v1/models{query}", headers=VERSION)
    assert response.status_code == status
    return response.json()


def ids(told):
    return [row["id"] for row in told["data"]]


def test_the_sdk_of_openai_lists_everything_and_finds_one(gateway):
    with OpenAI(api_key=PROXY_KEY, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == IDS
        assert client.models.retrieve(IDS[2]).id == IDS[2]
    # Only who speaks Anthropic's protocol asks in pages.
    assert ids(gateway.get("/v1/models?limit=2").json()) == IDS


def test_the_sdk_of_anthropic_turns_the_pages_by_itself(gateway, anthropic):
    first = anthropic.models.list(limit=2)
    assert [model.id for model in first.data] == IDS[:2]
    assert (first.has_more, first.first_id, first.last_id) == (True, IDS[0], IDS[1])
    assert [model.id for model in anthropic.models.list(limit=2)] == IDS
    assert [model.id for model in anthropic.models.list()] == IDS
    found = anthropic.models.retrieve(IDS[3])
    assert (found.id, found.type, found.display_name) == (IDS[3], "model", NAMES[3])


def test_the_sdk_of_anthropic_turns_the_pages_backwards(anthropic):
    last = anthropic.models.list(limit=2, before_id=IDS[4])
    assert [model.id for model in last.data] == IDS[2:4]
    assert last.has_more
    assert {model.id for model in last} == set(IDS[:4])


@pytest.mark.parametrize(
    ("query", "expected", "more"),
    [
        ("", IDS, False),
        ("?limit=1000", IDS, False),
        ("?limit=5", IDS, False),
        ("?limit=4", IDS[:4], True),
        (f"?after_id={IDS[2]}", IDS[3:], False),
        (f"?after_id={IDS[4]}", [], False),
        ("?after_id=openai%2Fmodel-0-that-went&limit=1", IDS[2:3], True),
        (f"?before_id={IDS[0]}", [], False),
        (f"?before_id={IDS[2]}&limit=2", IDS[:2], False),
    ],
)
def test_a_page_goes_on_where_the_last_one_ended(gateway, query, expected, more):
    told = page(gateway, query)
    assert (ids(told), told["has_more"]) == (expected, more)
    assert (told["first_id"], told["last_id"]) == ((expected[0], expected[-1]) if expected else (None, None))


def test_both_sdks_find_what_a_model_takes(gateway, anthropic):
    told = {row["id"]: row for row in gateway.get("/v1/models").json()["data"]}
    for row in told.values():
        ModelInfo.model_validate(row)
        Model.model_validate(row)
    takes = anthropic.models.retrieve("openai/gpt-5.6").capabilities
    assert takes.thinking.supported
    assert takes.thinking.types.disabled.supported
    assert (takes.effort.xhigh.supported, takes.effort.max.supported) == (True, False)
    assert takes.image_input.supported
    assert told["openai/gpt-5.6"]["capabilities"]["sampling"] == {"supported": False}
    assert "temperature" not in told["openai/gpt-5.6"]["supported_parameters"]
    assert "reasoning_effort" in told["openai/gpt-5.6"]["supported_parameters"]
    assert told["openai/gpt-5.6"]["max_tokens"] == told["openai/gpt-5.6"]["max_output_tokens"] == 128_000
    # Of what nobody knows nothing is claimed.
    assert told[IDS[1]]["capabilities"] is None


def test_clients_of_anthropic_get_errors_in_their_own_shape(gateway):
    def error(path, headers):
        response = gateway.http.get(path, headers=headers)
        told = response.json()
        if told.get("type") == "error":
            assert told["request_id"] == response.headers["request-id"]
        return response.status_code, told.get("type"), told["error"]["type"]

    key = {"authorization": f"Bearer {PROXY_KEY}"}
    own = (400, "error", "invalid_request_error")
    assert error("/v1/models?limit=0", {**key, **VERSION}) == own
    assert error("/v1/models?limit=0", {"x-api-key": PROXY_KEY, **VERSION}) == own
    assert error("/v1/models/x/none", {"x-api-key": PROXY_KEY}) == (404, "error", "not_found_error")
    assert error("/v1/models", {"x-api-key": "sk-mira-wrong"}) == (401, "error", "authentication_error")
    assert error("/v1/nothing", VERSION) == (404, "error", "not_found_error")
    assert error("/v1/models/x/none", key) == (404, None, "invalid_request_error")
    assert error("/v1/models", {"authorization": "Bearer sk-mira-wrong"}) == (401, None, "invalid_request_error")
    assert error("/v1/models/x/none", {**key, "x-api-key": PROXY_KEY}) == (404, None, "invalid_request_error")


def test_the_sdk_of_anthropic_reads_a_wrong_page(anthropic):
    with pytest.raises(BadRequestError) as raised:
        anthropic.models.list(limit=5000)
    assert raised.value.body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("query", "param"),
    [("?limit=0", "limit"), ("?limit=1001", "limit"), ("?limit=x", "limit"), ("?after_id=a&before_id=b", "before_id")],
)
def test_a_wrong_page_is_refused(gateway, query, param):
    assert param in page(gateway, query, 400)["error"]["message"]
