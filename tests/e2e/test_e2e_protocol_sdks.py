"""The official SDKs of Anthropic and of OpenAI's Responses through the gateway, over nodes of their own kind and others."""

from collections.abc import Callable

import anthropic
import httpx2
import openai
import pytest
from tests.e2e.asking import PARAMETERS, QUESTION, TOOL
from tests.e2e.protocols import (
    BEHIND_ANTHROPIC,
    BEHIND_CHAT,
    BEHIND_GEMINI,
    BEHIND_OPENAI,
    MODELS,
    cost_nanocredits,
    nodes,
    prices,
)
from tests.support.gateway import PROXY_KEY, Gateway
from tests.support.said import SIGNATURE, Called, Counts, Said
from tests.support.upstream import Upstream, answers

from mira.core.money import credits_text

CALLS = (Called("call_1", "weather", '{"city":"Zürich"}'), Called("call_2", "weather", '{"city":"Oslo"}'))
MESSAGES = [{"role": "user", "content": QUESTION}]
MESSAGES_TOOLS = [{"name": "weather", "description": TOOL["description"], "input_schema": PARAMETERS}]
RESPONSES_TOOLS = [{"type": "function", "strict": False, **TOOL}]


def over(*nodes_behind):
    return pytest.mark.parametrize("behind", nodes_behind, ids=lambda behind: behind.kind)


everywhere = over(BEHIND_CHAT, BEHIND_ANTHROPIC, BEHIND_GEMINI, BEHIND_OPENAI)


@pytest.fixture(scope="module")
def gateway(scripted: Upstream, make_gateway: Callable[..., Gateway]) -> Gateway:
    """The module's gateway: one node of every kind in front of the upstream."""
    return make_gateway(nodes=nodes(scripted), prices=prices())


@pytest.fixture
def claude(gateway):
    """Makes a client of Anthropic's SDK with a key."""
    clients = []

    def make(key=PROXY_KEY):
        http = httpx2.Client(trust_env=False, timeout=120)
        clients.append(anthropic.Anthropic(api_key=key, base_url=gateway.url, max_retries=0, http_client=http))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def gpt(gateway):
    """A client of OpenAI's SDK."""
    http = httpx2.Client(trust_env=False, timeout=120)
    with openai.OpenAI(api_key=PROXY_KEY, base_url=f"{gateway.url}/v1", max_retries=0, http_client=http) as client:
        yield client


# Anthropic's


@everywhere
def test_a_message_is_made_with_its_usage_and_the_ids_of_its_request(claude, gateway, upstream, behind):
    said = Said(texts=("Grüezi.",), counts=Counts(input=101, cache_read=50, output=7))
    upstream.script(behind.bare, *behind.wire.says(said))
    message = claude().messages.create(model=behind.model, max_tokens=100, messages=MESSAGES)
    assert message.content[0].text == "Grüezi."
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens) == (
        101,
        50,
        7,
    )
    assert gateway.call(message._request_id)["cost"] == credits_text(cost_nanocredits(said.counts))
    behind.check(upstream.received(1)[0], stream=False)


@everywhere
def test_the_stream_helper_puts_a_thinking_tool_loop_together(claude, gateway, upstream, behind):
    first = Said(
        thinking="Let me see …", texts=("I ", "look."), calls=CALLS, counts=Counts(input=20, output=9, reasoning=5)
    )
    upstream.script(behind.bare, *behind.wire.says(first, Said(texts=("Sun ", "and rain."))))
    asked = {
        "model": behind.model,
        "max_tokens": 4000,
        "tools": MESSAGES_TOOLS,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
    }
    client = claude()
    with client.messages.stream(messages=MESSAGES, **asked) as stream:
        assert "".join(stream.text_stream) == "I look."
        told = stream.get_final_message()
    assert told.stop_reason == "tool_use"
    # The signature of a Gemini call travels in a block of its own.
    shown = [block for block in told.content if block.type != "redacted_thinking"]
    assert [block.type for block in shown] == ["thinking", "text", "tool_use", "tool_use"]
    assert shown[0].thinking == "Let me see …"
    assert [(block.id, block.input["city"]) for block in shown[2:]] == [("call_1", "Zürich"), ("call_2", "Oslo")]
    assert told.usage.output_tokens == 14
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "fine"} for call in CALLS]
    turns = [*MESSAGES, {"role": "assistant", "content": told.content}, {"role": "user", "content": results}]
    with client.messages.stream(messages=turns, **asked) as stream:
        assert stream.get_final_text() == "Sun and rain."
    request = upstream.received(2)[1]
    behind.check(request, stream=True)
    assert behind.calls(request.json) == [("call_1", "weather"), ("call_2", "weather")]
    assert behind.results(request.json) == [("call_1", "fine"), ("call_2", "fine")]
    if behind is not BEHIND_CHAT:
        assert SIGNATURE in request.body.decode()
    gateway.check_ledger()


def test_tokens_are_counted_for_free_and_models_are_listed(claude, gateway, upstream):
    before = gateway.balance()["balance"]
    asked = {"model": BEHIND_CHAT.model, "messages": MESSAGES}
    bare = claude().messages.count_tokens(**asked).input_tokens
    assert 0 < bare < claude().messages.count_tokens(**asked, tools=MESSAGES_TOOLS).input_tokens
    assert gateway.balance()["balance"] == before
    assert upstream.chats() == []
    listed = claude().models.list().data
    assert {model.id for model in listed} == {f"{provider}/{model}" for provider, model in MODELS.items()}
    assert {model.type for model in listed} == {"model"}
    assert claude().models.retrieve(BEHIND_GEMINI.model).id == BEHIND_GEMINI.model


@everywhere
def test_errors_are_raised_as_what_they_are(claude, gateway, upstream, behind):
    asked = {"model": behind.model, "max_tokens": 100, "messages": MESSAGES}
    with pytest.raises(anthropic.AuthenticationError):
        claude("sk-mira-wrong").messages.create(**asked)
    _, key = gateway.new_key(gateway.new_workspace(None))
    with pytest.raises(anthropic.APIStatusError) as poor:
        claude(key).messages.create(**asked)
    assert poor.value.status_code == 402
    assert poor.value.body["error"]["type"] == "billing_error"
    with pytest.raises(anthropic.NotFoundError):
        claude().messages.create(**{**asked, "model": "nobody/nothing"})
    with pytest.raises(anthropic.BadRequestError, match=r"messages\[0\]\.role") as wrong:
        claude().messages.create(**{**asked, "messages": [{"role": "nobody", "content": "Hi"}]})
    assert wrong.value.request_id.startswith("req")
    assert upstream.chats() == []
    upstream.script(behind.bare, answers({"error": {"message": "slow down"}}, 429))
    with pytest.raises(anthropic.RateLimitError):
        claude().messages.create(**asked)


# OpenAI's Responses


@everywhere
def test_a_response_is_made_with_its_usage(gpt, gateway, upstream, behind):
    said = Said(texts=("Grüezi.",), counts=Counts(input=101, cache_read=50, output=7, reasoning=2))
    upstream.script(behind.bare, *behind.wire.says(said))
    response = gpt.responses.create(model=behind.model, input=QUESTION)
    assert response.output_text == "Grüezi."
    assert response.status == "completed"
    assert (response.usage.input_tokens, response.usage.output_tokens) == (151, 9)
    assert response.usage.input_tokens_details.cached_tokens == 50
    assert gateway.call(response._request_id)["cost"] == credits_text(cost_nanocredits(said.counts))
    behind.check(upstream.received(1)[0], stream=False)


@everywhere
def test_the_stream_helper_of_responses_puts_a_tool_loop_together(gpt, upstream, behind):
    first = Said(texts=("I ", "look."), calls=CALLS, counts=Counts(input=20, output=9))
    upstream.script(behind.bare, *behind.wire.says(first, Said(texts=("Sun ", "and rain."))))
    asked = {"model": behind.model, "tools": RESPONSES_TOOLS, "store": False}
    with gpt.responses.stream(input=MESSAGES, **asked) as stream:
        told = stream.get_final_response()
    assert told.output_text == "I look."
    calls = [item for item in told.output if item.type == "function_call"]
    assert [(call.call_id, call.arguments) for call in calls] == [(call.id, call.arguments) for call in CALLS]
    turn = [item.model_dump(exclude={"parsed_arguments"}, exclude_none=True, warnings=False) for item in told.output]
    results = [{"type": "function_call_output", "call_id": call.id, "output": "fine"} for call in CALLS]
    with gpt.responses.stream(input=[*MESSAGES, *turn, *results], **asked) as stream:
        assert stream.get_final_response().output_text == "Sun and rain."
    request = upstream.received(2)[1]
    assert behind.calls(request.json) == [("call_1", "weather"), ("call_2", "weather")]
    assert behind.results(request.json) == [("call_1", "fine"), ("call_2", "fine")]


@everywhere
def test_an_answer_that_nobody_kept_cannot_be_gone_on_with(gpt, upstream, behind):
    with pytest.raises(openai.BadRequestError) as refused:
        gpt.responses.create(model=behind.model, input="Hi", previous_response_id="resp_nobody_kept")
    assert refused.value.code == "previous_response_not_found"
    assert refused.value.param == "previous_response_id"
    assert upstream.chats() == []
