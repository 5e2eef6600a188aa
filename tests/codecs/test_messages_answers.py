"""What Messages promises of whole answers, usage and errors."""

import json
from typing import Any

import msgspec
import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.generators.conversations import NAMES, REASONING, SOME_TEXT, USAGES

from mira.codecs.codec import Context
from mira.codecs.messages import MESSAGES
from mira.codecs.messages.usage import Running, read_usage, usage_body
from mira.core import conversation as c
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

CONTEXT = Context(answer_id="msg_mira", created_s=1_700_000_000)
ANSWER = (
    b'{"id":"msg_1", "type":"message","role":"assistant","model":"anthropic/m","content":[ {"type":"thinking",'
    b'"thinking":"h\\u006d","signature":"c2ln+/=="},{"type":"text","text":"hi","x":1.50}],"stop_reason":"end_turn",'
    b'"stop_sequence":null,"usage":{"input_tokens":10,"cache_read_input_tokens":4,"output_tokens":5,"y":[1.0]}}'
)


def test_a_passed_answer_changes_only_its_cost() -> None:
    answer = MESSAGES.pass_answer(ANSWER, CONTEXT)
    assert answer.usage == Usage(input_tokens=10, cache_read_tokens=4, output_tokens=5)
    expected = ANSWER.replace(b'"msg_1", ', b'"msg_1",')
    assert answer.render(Usage(), None) == expected
    answer = MESSAGES.pass_answer(ANSWER, CONTEXT)
    assert answer.render(Usage(), 42) == expected.replace(b"[1.0]}", b'[1.0],"cost":0.000000042}')
    assert answer.tally().text == ["hm", "hi"]


def test_a_passed_answer_loses_its_providers_prefix_where_asked() -> None:
    answer = MESSAGES.pass_answer(ANSWER, replace(CONTEXT, strip_provider=True))
    assert json.loads(answer.render(Usage(), None))["model"] == "m"


def test_an_answer_without_usage_gets_what_mira_counted() -> None:
    content = b'[{"type":"tool_use","id":"a","name":"f","input":{"a": 1.50}}]'
    answer = MESSAGES.pass_answer(b'{"type":"message","content":' + content + b"}", CONTEXT)
    assert answer.usage is None
    assert answer.tally().text == ["f", '{"a":1.50}']
    usage = json.loads(answer.render(Usage(input_tokens=3, output_tokens=1, estimated=True), 5))["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["cost"]) == (3, 1, 5e-9)


NO_ANSWERS = [
    (b"", Kind.UPSTREAM_FAILED),
    (b"<html>", Kind.UPSTREAM_FAILED),
    (b"[]", Kind.UPSTREAM_FAILED),
    (b"{}", Kind.UPSTREAM_FAILED),
    (b'{"content":7}', Kind.UPSTREAM_FAILED),
    (b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}', Kind.UNAVAILABLE),
    (b'{"type":"error","error":{"type":"rate_limit_error","message":"x"}}', Kind.RATE_LIMITED),
    (b'{"type":"error","error":{"type":"authentication_error","message":"x"}}', Kind.UPSTREAM_AUTH),
    (b'{"error":"boom","content":[]}', Kind.UPSTREAM_FAILED),
    (b"[" * 5000, Kind.UPSTREAM_FAILED),
]


@pytest.mark.parametrize(("body", "kind"), NO_ANSWERS)
def test_what_is_no_answer_is_a_failure(body: bytes, kind: Kind) -> None:
    for take in (lambda: MESSAGES.pass_answer(body, CONTEXT), lambda: MESSAGES.parse_answer(body)):
        with pytest.raises(MiraError) as caught:
            take()
        assert caught.value.kind is kind


CALLS = st.builds(c.ToolCall, id=NAMES, name=NAMES, input=st.just('{"a":1.0}'))
OPAQUE = st.just(c.Opaque(format="anthropic", data=msgspec.Raw(b'{"type":"container_upload","file_id":"f"}')))
TEXT = st.builds(c.Text, text=SOME_TEXT)
#: Anthropic's own thinking has no ids.
THOUGHTS = REASONING.map(lambda block: replace(block, id=None) if block.format == "anthropic-claude-v1" else block)
PARTS = st.lists(THOUGHTS | TEXT | CALLS | OPAQUE, max_size=6).map(tuple)


@given(PARTS, USAGES, st.none() | st.integers(0, 10**12))
def test_what_is_rendered_is_parsed_again(parts: tuple[c.AssistantPart, ...], usage: Usage, cost: int | None) -> None:
    calls = any(isinstance(part, c.ToolCall) for part in parts)
    finish = c.FinishReason.TOOL_CALLS if calls else c.FinishReason.STOP
    answer = c.Answer(id=CONTEXT.answer_id, model="m", choices=(c.Choice(parts=parts, finish=finish),), usage=usage)
    body = MESSAGES.render_answer(answer, CONTEXT, cost)
    Message.model_validate_json(body)
    told = replace(
        usage,
        input_tokens=usage.input_tokens + usage.audio_input_tokens + usage.image_input_tokens,
        output_tokens=usage.completion_tokens - usage.reasoning_tokens,
        audio_input_tokens=0,
        image_input_tokens=0,
        audio_output_tokens=0,
        image_output_tokens=0,
        reported_cost_nanocredits=cost,
    )
    assert MESSAGES.parse_answer(body) == replace(answer, usage=told)


FINISHES = [
    ("end_turn", c.FinishReason.STOP),
    ("max_tokens", c.FinishReason.LENGTH),
    ("stop_sequence", c.FinishReason.STOP_SEQUENCE),
    ("tool_use", c.FinishReason.TOOL_CALLS),
    ("pause_turn", c.FinishReason.PAUSE),
    ("refusal", c.FinishReason.REFUSAL),
    ("model_context_window_exceeded", c.FinishReason.CONTEXT_FULL),
]


@pytest.mark.parametrize(("reason", "finish"), FINISHES)
def test_every_reason_survives(reason: str, finish: c.FinishReason) -> None:
    block = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    told = {"content": [block] if reason == "tool_use" else [], "stop_reason": reason, "stop_sequence": "END"}
    answer = MESSAGES.parse_answer(json.dumps(told).encode())
    assert answer.choices[0].finish is finish
    back = json.loads(MESSAGES.render_answer(answer, CONTEXT, None))
    assert back["stop_reason"] == reason
    assert back["stop_sequence"] == ("END" if reason == "stop_sequence" else None)


def test_a_refusal_is_explained_both_ways() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    told = {"content": [], "stop_reason": "refusal", "stop_details": details}
    answer = MESSAGES.parse_answer(json.dumps(told).encode())
    assert answer.choices[0].parts == (c.Refusal("No."),)
    answer = replace(answer, choices=(replace(answer.choices[0], finish=c.FinishReason.STOP),))
    back = json.loads(MESSAGES.render_answer(answer, CONTEXT, None))
    assert (back["stop_reason"], back["stop_details"]["explanation"]) == ("refusal", "No.")
    Message.model_validate(back)


def test_citations_with_an_address_are_told_in_the_shared_form() -> None:
    found = {
        "type": "web_search_result_location",
        "url": "https://x",
        "title": "X",
        "cited_text": "c",
        "encrypted_index": "e",
    }
    place = {
        "type": "page_location",
        "cited_text": "c",
        "document_index": 0,
        "start_page_number": 1,
        "end_page_number": 2,
    }
    blocks = [
        {"type": "text", "text": "abc", "citations": None},
        {"type": "text", "text": "de", "citations": [found]},
        {"type": "text", "text": "f", "citations": [place]},
    ]
    parts = MESSAGES.parse_answer(json.dumps({"content": blocks}).encode()).choices[0].parts
    assert [(part.format, len(part.annotations)) for part in parts] == [(None, 0), ("chat", 1), ("anthropic", 1)]
    assert json.loads(bytes(parts[1].annotations[0]))["url_citation"] == {
        "start_index": 3,
        "end_index": 5,
        "url": "https://x",
        "title": "X",
    }


@given(USAGES)
def test_usage_classes_are_disjoint_and_none_is_lost(usage: Usage) -> None:
    body = usage_body(usage, None)
    total = body["input_tokens"] + body["cache_creation_input_tokens"] + body["cache_read_input_tokens"]
    assert total == usage.prompt_tokens
    assert body["output_tokens"] == usage.completion_tokens
    back = read_usage(msgspec.json.encode(body))
    assert back is not None
    assert (back.prompt_tokens, back.completion_tokens) == (usage.prompt_tokens, usage.completion_tokens)
    for name in (
        "cache_read_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
        "reasoning_tokens",
        "web_searches",
    ):
        assert getattr(back, name) == getattr(usage, name)


USAGE_BODIES: list[tuple[dict[str, Any], Usage]] = [
    ({"input_tokens": 10, "output_tokens": 5}, Usage(input_tokens=10, output_tokens=5)),
    (
        {"input_tokens": 1, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 3, "output_tokens": 4},
        Usage(input_tokens=1, cache_read_tokens=2, cache_write_5m_tokens=3, output_tokens=4),
    ),
    (
        {
            "cache_creation_input_tokens": 9,
            "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5},
        },
        Usage(cache_write_5m_tokens=4, cache_write_1h_tokens=5),
    ),
    ({"cache_creation": {"ephemeral_1h_input_tokens": 5}}, Usage(cache_write_1h_tokens=5)),
    (
        {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 7}},
        Usage(output_tokens=2, reasoning_tokens=7),
    ),
    ({"output_tokens": 3, "output_tokens_details": {"thinking_tokens": 7}}, Usage(reasoning_tokens=3)),
    ({"output_tokens": 1, "server_tool_use": {"web_search_requests": 2}}, Usage(output_tokens=1, web_searches=2)),
    ({"input_tokens": None, "output_tokens": "x", "cache_creation": None, "cache_read_input_tokens": -3}, Usage()),
    ({"output_tokens": 1, "cost": 0.000000042}, Usage(output_tokens=1, reported_cost_nanocredits=42)),
]


@pytest.mark.parametrize(("body", "usage"), USAGE_BODIES)
def test_usage_is_read_whatever_nodes_write(body: dict[str, Any], usage: Usage) -> None:
    assert read_usage(json.dumps(body).encode()) == usage


def test_a_later_report_overwrites_and_is_never_added() -> None:
    running = Running()
    first = {
        "input_tokens": 6,
        "cache_creation_input_tokens": 9,
        "cache_read_input_tokens": 4,
        "output_tokens": 1,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 7},
    }
    running.take(first)
    last = {"input_tokens": 6, "cache_creation_input_tokens": 9, "cache_read_input_tokens": None, "output_tokens": 5}
    expected = Usage(
        input_tokens=6, cache_read_tokens=4, cache_write_5m_tokens=2, cache_write_1h_tokens=7, output_tokens=5
    )
    assert running.take(last) == expected
    assert running.take({"output_tokens": 6}) == replace(expected, output_tokens=6)
    assert running.take(None) is None


def anthropic(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_x"}).encode()


ERRORS = [
    (400, anthropic("invalid_request_error", "bad"), Kind.BAD_REQUEST),
    (400, anthropic("invalid_request_error", "prompt is too long: 9 tokens > 5 maximum"), Kind.CONTEXT_TOO_LONG),
    (400, anthropic("invalid_request_error", "Your credit balance is too low"), Kind.UPSTREAM_CREDITS),
    (401, anthropic("authentication_error", "invalid x-api-key"), Kind.UPSTREAM_AUTH),
    (402, anthropic("billing_error", "pay"), Kind.UPSTREAM_CREDITS),
    (403, anthropic("permission_error", "no"), Kind.UPSTREAM_AUTH),
    (404, anthropic("not_found_error", "model: claude-x"), Kind.MODEL_NOT_FOUND),
    (413, anthropic("request_too_large", "x"), Kind.TOO_LARGE),
    (429, anthropic("rate_limit_error", "x"), Kind.RATE_LIMITED),
    (500, anthropic("api_error", "x"), Kind.UPSTREAM_FAILED),
    (504, anthropic("timeout_error", "x"), Kind.UPSTREAM_TIMEOUT),
    (529, anthropic("overloaded_error", "x"), Kind.UNAVAILABLE),
    (502, b"<html>", Kind.UPSTREAM_FAILED),
]


@pytest.mark.parametrize(("status", "body", "kind"), ERRORS)
def test_a_nodes_error_becomes_what_the_client_may_know(status: int, body: bytes, kind: Kind) -> None:
    assert MESSAGES.parse_error(status, body).kind is kind


def test_an_error_is_rendered_in_anthropics_shape() -> None:
    error = MiraError(Kind.NO_CREDITS, "Empty.", details={"balance": "0", "needed": "1"})
    assert json.loads(MESSAGES.render_error(error, "req_1")) == {
        "type": "error",
        "error": {"type": "billing_error", "message": "Empty.", "details": {"balance": "0", "needed": "1"}},
        "request_id": "req_1",
    }
    assert json.loads(MESSAGES.render_error(error, ""))["request_id"] is None


TOO_LONG = [
    ("prompt is too long: 205000 tokens > 200000 maximum", "prompt is too long: 205000 tokens > 200000 maximum"),
    (
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
    ),
    (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        "prompt is too long: 9000 tokens > 8192 maximum",
    ),
    ("maximum context length is 8192", "prompt is too long: the model takes at most 8192 tokens"),
    ("the context window is full", "prompt is too long"),
]


@pytest.mark.parametrize(("node", "client"), TOO_LONG)
def test_a_prompt_that_is_too_long_is_told_in_the_words_that_clients_look_for(node: str, client: str) -> None:
    error = MESSAGES.parse_error(400, anthropic("invalid_request_error", node))
    told = json.loads(MESSAGES.render_error(error, "r"))["error"]
    assert (told["type"], told["message"]) == ("invalid_request_error", client)
