"""The list of models with both vendors' SDKs: one body, and pages for clients of Anthropic only."""

import pytest
from anthropic import Anthropic
from openai import OpenAI
from tests.support.gateway import PROXY_KEY, openai_node, price

NAMES = [f"model-{number}" for number in range(5)]
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
        ("?after_id=openai%2Fmodel-1-that-went&limit=1", IDS[2:3], True),
        (f"?before_id={IDS[0]}", [], False),
        (f"?before_id={IDS[2]}&limit=2", IDS[:2], False),
    ],
)
def test_a_page_goes_on_where_the_last_one_ended(gateway, query, expected, more):
    told = page(gateway, query)
    assert (ids(told), told["has_more"]) == (expected, more)
    assert (told["first_id"], told["last_id"]) == ((expected[0], expected[-1]) if expected else (None, None))


@pytest.mark.parametrize(
    ("query", "param"),
    [("?limit=0", "limit"), ("?limit=1001", "limit"), ("?limit=x", "limit"), ("?after_id=a&before_id=b", "before_id")],
)
def test_a_wrong_page_is_refused(gateway, query, param):
    assert param in page(gateway, query, 400)["error"]["message"]
