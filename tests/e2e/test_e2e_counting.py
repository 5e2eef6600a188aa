"""Tokens are counted by the model's own provider where it can, else by Mira, and the answer says by whom."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest
from tests.e2e.protocols import BEHIND_ANTHROPIC, BEHIND_CHAT, BEHIND_GEMINI, BEHIND_OPENAI, nodes, prices
from tests.support.gateway import UPSTREAM_KEY, Gateway
from tests.support.upstream import RST, Moment, Turn, Upstream, answers

COUNT = "/v1/messages/count_tokens"
EXTRAS = "/v1/extras/token-count"
METHOD = "x-mira-token-method"
TOOL = {"name": "look", "description": "Looks", "input_schema": {"type": "object", "properties": {}}}
BODY = {
    "system": "Be brief.",
    "messages": [{"role": "user", "content": "Hello, world!"}],
    "tools": [TOOL],
    "thinking": {"type": "enabled", "budget_tokens": 2000},
}
COUNTERS = [
    (BEHIND_ANTHROPIC, "/v1/messages/count_tokens", {"input_tokens": 4711}),
    (BEHIND_GEMINI, f"/v1beta/models/{BEHIND_GEMINI.bare}:countTokens", {"totalTokens": 4711}),
    (BEHIND_OPENAI, "/v1/responses/input_tokens", {"object": "response.input_tokens", "input_tokens": 4711}),
]
counters = pytest.mark.parametrize(("behind", "path", "told"), COUNTERS, ids=[behind.kind for behind, _, _ in COUNTERS])


@pytest.fixture(scope="module")
def gateway(scripted: Upstream, make_gateway: Callable[..., Gateway]) -> Gateway:
    return make_gateway(nodes=nodes(scripted), prices=prices())


def count(gateway: Gateway, model: str, **more) -> tuple[int, str]:
    response = gateway.post(COUNT, {"model": model, **BODY, **more})
    assert response.status_code == 200, response.text
    assert response.json().keys() == {"input_tokens"}
    return response.json()["input_tokens"], response.headers[METHOD]


@counters
def test_the_models_own_provider_counts(gateway, upstream, behind, path, told):
    upstream.script(behind.bare, answers(told))
    before = gateway.balance()
    assert count(gateway, behind.model) == (4711, "upstream")
    extras = gateway.post(EXTRAS, {"model": behind.model, **BODY}).json()
    assert (extras["tokens"], extras["input_tokens"], extras["method"]) == (4711, 4711, "upstream")
    for request in upstream.received(2):
        assert request.path == path
        name, value = behind.key
        assert request.headers[name] == value
        assert "sk-mira-" not in str(request.header_list)
        assert "Hello, world!" in request.body.decode()
        assert "Be brief." in request.body.decode()
        assert '"look"' in request.body.decode()
    assert gateway.balance() == before


def test_anthropic_is_asked_only_what_counts(gateway, upstream):
    upstream.script(BEHIND_ANTHROPIC.bare, answers({"input_tokens": 9}))
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "context-management-2025-06-27"}
    body = {"model": BEHIND_ANTHROPIC.model, **BODY, "max_tokens": 50, "temperature": 1, "stream": True}
    assert gateway.post(COUNT, body, headers=headers).json() == {"input_tokens": 9}
    (request,) = upstream.chats()
    assert request.json == {"model": BEHIND_ANTHROPIC.bare, **BODY}
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.headers["anthropic-beta"] == "context-management-2025-06-27"
    assert request.headers["x-api-key"] == UPSTREAM_KEY


def test_chat_requests_are_counted_too(gateway, upstream):
    upstream.script(BEHIND_ANTHROPIC.bare, answers({"input_tokens": 9}))
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    body = {"model": BEHIND_ANTHROPIC.model, "messages": messages, "tools": [tool]}
    assert gateway.post(EXTRAS, body).json()["method"] == "upstream"
    (request,) = upstream.chats()
    assert request.json.keys() == {"model", "messages", "system", "tools"}


def test_a_bare_text_goes_to_the_provider_only_where_nobody_here_counts_it_exactly(gateway, upstream):
    upstream.script(BEHIND_ANTHROPIC.bare, answers({"input_tokens": 11}))
    told = gateway.post(EXTRAS, {"model": BEHIND_ANTHROPIC.model, "text": "Hello, world!"}).json()
    assert (told["tokens"], told["method"]) == (11, "upstream")
    assert upstream.chats()[0].json["messages"] == [{"role": "user", "content": "Hello, world!"}]
    told = gateway.post(EXTRAS, {"model": BEHIND_OPENAI.model, "text": "Hello, world!"}).json()
    assert (told["tokens"], told["method"]) == (4, "exact")
    assert len(upstream.chats()) == 1


@counters
def test_a_provider_that_cannot_count_is_replaced_by_an_estimate(gateway, upstream, behind, path, told):
    async def cut(turn: Turn) -> None:
        turn.cut(RST)

    bad = [
        answers({"error": {"message": f"secret {UPSTREAM_KEY}"}}, 401),
        answers({"input_tokens": "many", "totalTokens": None}),
        answers(b"not JSON"),
        answers([1]),
        cut,
    ]
    for script in bad:
        upstream.script(behind.bare, script)
        tokens, method = count(gateway, behind.model)
        assert 0 < tokens < 500
        assert method == "estimate"
    assert gateway.chat(behind.model).status_code in (502, 504)
    upstream.script(behind.bare, answers(told))
    assert count(gateway, behind.model) == (4711, "upstream")


def test_a_slow_provider_is_not_waited_for(gateway, upstream):
    never = Moment()
    upstream.script(BEHIND_ANTHROPIC.bare, answers({"input_tokens": 9}, hold=never))
    tokens, method = count(gateway, BEHIND_ANTHROPIC.model)
    assert method == "estimate"
    assert tokens > 0
    upstream.chats()[0].closed.wait()
    never.happen()


def test_one_provider_is_asked_eight_things_at_a_time(gateway, upstream):
    hold = Moment()
    upstream.script(BEHIND_GEMINI.bare, answers({"totalTokens": 4711}, hold=hold))

    with ThreadPoolExecutor(9) as pool:
        asked = [pool.submit(count, gateway, BEHIND_GEMINI.model) for _ in range(9)]
        first = next(as_completed(asked))
        assert first.result()[1] == "estimate"
        hold.happen()
    assert len(upstream.chats()) <= 8


def test_nodes_without_a_counter_and_links_to_load_are_counted_here(gateway, upstream):
    assert count(gateway, BEHIND_CHAT.model)[1] == "estimate"
    image = {"type": "image", "source": {"type": "url", "url": "http://127.0.0.1:9/cat.png"}}
    assert count(gateway, BEHIND_GEMINI.model, messages=[{"role": "user", "content": [image]}])[1] == "estimate"
    assert not upstream.chats()


def test_a_key_without_the_model_does_not_reach_its_provider(gateway, upstream):
    _, narrow = gateway.new_key(models=[BEHIND_CHAT.model])
    response = gateway.post(EXTRAS, {"model": BEHIND_ANTHROPIC.model, "text": "Hi"}, key=narrow)
    assert response.json()["method"] == "estimate"
    assert gateway.post(EXTRAS, {"model": BEHIND_ANTHROPIC.model, "text": "Hi"}, key=None).status_code == 401
    assert not upstream.chats()
