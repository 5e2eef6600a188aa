"""Nodes of kind openai under the protocol that the model must have, and once more where old reasoning is unreadable."""

import json
import signal
from typing import Any

import pytest
from tests.e2e.protocols import PRICES, cost_nanocredits
from tests.e2e.surfaces import CHAT, MESSAGES, RESPONSES
from tests.support.gateway import openai_node
from tests.support.said import Called, Counts, Said
from tests.support.upstream import answers
from tests.support.wires_openai import CHAT_WIRE, RESPONSES_WIRE

from mira.core.money import credits_text

NEW, OLD, ONLY, ODD = "gpt-5.6-sol", "gpt-4o-mini", "gpt-5.3-codex", "gpt-7-odd"
CHATTY, TERSE = "chatty", "terse"
CALL = Called("call_1", "weather", '{"city":"Oslo"}')
SAID = Said(calls=(CALL,), counts=Counts(input=40, output=22, cache_read=8, reasoning=5))
UNREADABLE = {
    "error": {
        "message": "The encrypted content could not be verified.",
        "type": "invalid_request_error",
        "code": "invalid_encrypted_content",
    }
}

streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def gateway(scripted, make_gateway):
    models = (NEW, OLD, ONLY)
    return make_gateway(
        nodes=[
            openai_node(scripted.url, "auto", models),
            openai_node(scripted.url, CHATTY, [f"{CHATTY}-5"], endpoint="chat"),
            openai_node(scripted.url, TERSE, [f"{TERSE}-5"], endpoint="responses"),
            openai_node(scripted.url, "odd", [ODD]),
        ],
        prices=[{"model": f"openai/{model}", **PRICES} for model in (*models, f"{CHATTY}-5", f"{TERSE}-5", ODD)],
        models=[{"id": f"openai/{ODD}", "responses_only": True, "max_output_tokens": 777}],
    )


def ask(gateway, surface, body) -> Any:
    response = gateway.post(surface.path, body)
    assert response.status_code == 200, response.text
    seen = surface.read(response.content, stream=body["stream"])
    return seen, gateway.call(response.headers["x-request-id"]), response.headers


@streamed
@pytest.mark.parametrize("effort", ["low", None])
def test_bug_62_tools_with_reasoning_go_to_responses_and_come_back_as_chat(gateway, upstream, stream, effort):
    upstream.script(NEW, *RESPONSES_WIRE.says(SAID))
    body = CHAT.with_tools(CHAT.ask(f"openai/{NEW}", stream))
    if effort:
        body["reasoning_effort"] = effort
    seen, record, _ = ask(gateway, CHAT, body)
    (request,) = upstream.received(1)
    assert request.path == "/v1/responses"
    assert request.json["tools"][0]["name"] == "weather"
    assert request.json.get("reasoning", {}).get("effort") == effort
    assert request.json["include"] == ["reasoning.encrypted_content"]
    assert request.json["store"] is False
    assert seen.calls == (CALL,)
    assert seen.finish == "tool_calls"
    assert seen.counts == SAID.counts
    assert record["cost"] == credits_text(cost_nanocredits(SAID.counts))
    assert float(seen.cost) == float(record["cost"])


@streamed
def test_bug_62_thinking_of_messages_goes_to_responses_as_well(gateway, upstream, stream):
    upstream.script(NEW, *RESPONSES_WIRE.says(SAID))
    body = MESSAGES.with_thinking(MESSAGES.with_tools(MESSAGES.ask(f"openai/{NEW}", stream)))
    seen, _, _ = ask(gateway, MESSAGES, body)
    assert upstream.received(1)[0].path == "/v1/responses"
    assert seen.calls == (CALL,)


@streamed
@pytest.mark.parametrize(
    ("model", "tools", "effort"), [(NEW, False, "low"), (NEW, True, "none"), (OLD, True, None)], ids=str
)
def test_what_chat_completions_takes_stays_there(gateway, upstream, stream, model, tools, effort):
    said = Said(texts=("Hello.",), counts=Counts(input=7, output=2))
    upstream.script(model, *CHAT_WIRE.says(said))
    body = CHAT.ask(f"openai/{model}", stream)
    body = CHAT.with_tools(body) if tools else body
    seen, _, _ = ask(gateway, CHAT, {**body, "reasoning_effort": effort} if effort else body)
    assert upstream.received(1)[0].path == "/v1/chat/completions"
    assert seen.text == "Hello."


@pytest.mark.parametrize("model", [ONLY, ODD, f"{TERSE}-5"])
def test_a_model_of_responses_alone_is_reached_from_chat(gateway, upstream, model):
    said = Said(texts=("Hello.",), counts=Counts(input=7, output=2))
    upstream.script(model, *RESPONSES_WIRE.says(said))
    seen, _, _ = ask(gateway, CHAT, CHAT.ask(f"openai/{model}", False))
    assert upstream.received(1)[0].path == "/v1/responses"
    assert (seen.text, seen.counts) == ("Hello.", said.counts)


def test_the_operators_limits_of_a_model_hold(gateway):
    row = gateway.get(f"/v1/models/openai/{ODD}").json()
    assert row["max_output_tokens"] == 777


def test_a_client_of_responses_passes_through(gateway, upstream):
    upstream.script(OLD, *RESPONSES_WIRE.says(Said(texts=("Hello.",), counts=Counts(input=7, output=2))))
    ask(gateway, RESPONSES, RESPONSES.ask(f"openai/{OLD}", False))
    assert upstream.received(1)[0].path == "/v1/responses"


def test_a_node_that_is_to_speak_chat_is_spoken_to_so(gateway, upstream):
    model = f"{CHATTY}-5"
    upstream.script(model, *CHAT_WIRE.says(Said(texts=("Hello.",), counts=Counts(input=7, output=2))))
    seen, _, _ = ask(gateway, RESPONSES, RESPONSES.ask(f"openai/{model}", False))
    assert upstream.received(1)[0].path == "/v1/chat/completions"
    assert seen.text == "Hello."


# Reasoning that a node cannot read


def with_reasoning(stream):
    """A request of Responses that gives reasoning back."""
    body = RESPONSES.ask(f"openai/{OLD}", stream)
    old = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "of-another-account"}
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hm."}]}
    more = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]}
    return {**body, "input": [*body["input"], old, said, more]}


def refused():
    return answers(UNREADABLE, status=400)


@streamed
def test_bug_31_reasoning_that_cannot_be_read_is_left_out_and_the_node_asked_once_more(gateway, upstream, stream):
    said = Said(texts=("Hello.",), counts=Counts(input=7, output=2))
    upstream.script(OLD, refused(), *RESPONSES_WIRE.says(said))
    seen, record, headers = ask(gateway, RESPONSES, with_reasoning(stream))
    first, second = upstream.received(2)
    assert b"of-another-account" in first.body
    assert b"of-another-account" not in second.body
    assert [item for item in first.json["input"] if item.get("type") != "reasoning"] == second.json["input"]
    assert headers["x-mira-dropped"] == "reasoning"
    assert seen.text == "Hello."
    assert record["cost"] == credits_text(cost_nanocredits(said.counts))
    assert record["node"] == "auto"


def test_bug_31_there_is_exactly_one_more_try(gateway, upstream):
    upstream.script(OLD, refused(), refused(), refused())
    response = gateway.post(RESPONSES.path, with_reasoning(stream=False))
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_encrypted_content"
    assert len(upstream.received(2)) == 2
    assert gateway.call(response.headers["x-request-id"])["cost"] in (None, "0")


def test_bug_31_reasoning_that_came_through_chat_is_left_out_too(gateway, upstream):
    said = Said(calls=(CALL,), counts=Counts(input=7, output=2))
    upstream.script(NEW, refused(), *RESPONSES_WIRE.says(said))
    body = CHAT.with_tools(CHAT.ask(f"openai/{NEW}", False))
    detail = {
        "type": "reasoning.encrypted", "data": "of-another-account", "id": "rs_1", "format": "openai-responses-v1",
        "index": 0,
    }  # fmt: skip
    body["messages"] += [
        {"role": "assistant", "content": "Hm.", "reasoning_details": [detail]},
        {"role": "user", "content": "Go on."},
    ]
    seen, _, headers = ask(gateway, CHAT, body)
    first, second = upstream.received(2)
    assert b"of-another-account" in first.body
    assert b"of-another-account" not in second.body
    assert "reasoning" in headers["x-mira-dropped"].split(",")
    assert seen.calls == (CALL,)


# Settings


def test_models_are_reloaded_with_the_configuration(upstream, make_gateway):
    node, cost = openai_node(upstream.url, models=[OLD]), [{"model": f"openai/{OLD}", **PRICES}]
    gateway = make_gateway(nodes=[node], prices=cost)
    upstream.script(OLD, *CHAT_WIRE.says(Said(texts=("A.",), counts=Counts(input=7, output=2))))
    ask(gateway, CHAT, CHAT.ask(f"openai/{OLD}", False))
    assert upstream.received(1)[0].path == "/v1/chat/completions"
    gateway.write_config(nodes=[node], prices=cost, models=[{"id": f"openai/{OLD}", "responses_only": True}])
    reload(gateway, "was reloaded")
    upstream.script(OLD, *RESPONSES_WIRE.says(Said(texts=("B.",), counts=Counts(input=7, output=2))))
    ask(gateway, CHAT, CHAT.ask(f"openai/{OLD}", False))
    assert upstream.received(2)[1].path == "/v1/responses"
    gateway.write_config(nodes=[node], prices=cost, models=[{"id": f"openai/{OLD}", "responses_only": "yes"}])
    reload(gateway, "models[0].responses_only: must be true or false")
    ask(gateway, CHAT, CHAT.ask(f"openai/{OLD}", False))
    assert upstream.received(3)[2].path == "/v1/responses"


def reload(gateway, words):
    """Asks for a reload and waits for what the log says of it."""
    since = len(gateway.log.splitlines())
    gateway.process.send_signal(signal.SIGHUP)
    gateway.says(lambda line: words in line, since=since)


def test_a_node_of_the_api_has_its_endpoint_too(upstream, gateway):
    settings = {"name": "later", "kind": "openai", "base_url": upstream.url, "models": ["later-1"]}
    made = gateway.admin("POST", "/nodes", {**settings, "endpoint": "responses"})
    assert made["endpoint"] == "responses"
    assert gateway.admin("PATCH", "/nodes/later", {"endpoint": "chat"})["endpoint"] == "chat"
    wrong = {**settings, "name": "wrong", "kind": "openai-compatible", "provider": "x", "endpoint": "chat"}
    error = gateway.admin("POST", "/nodes", wrong, status=400)
    assert "`endpoint`" in json.dumps(error)
