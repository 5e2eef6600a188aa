"""What Chat Completions promises of whole answers, usage and errors."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion
from tests.generators.conversations import NAMES, REASONING, SOME_TEXT, USAGES

from mira.codecs.chat import CHAT
from mira.codecs.chat.usage import read_usage, usage_body
from mira.codecs.codec import Context
from mira.core import conversation as c
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

CONTEXT = Context(answer_id="chatcmpl-mira", created_s=1_700_000_000)
ANSWER = (
    b'{"id":"up-1", "object":"chat.completion","created":1,"model":"openai/m","choices":[ {"index":0,"message":'
    b'{"role":"assistant","content":"h\\u0069","x":1.50},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"cost":1e-7,"y":[1.0]}}'
)


def test_a_passed_answer_changes_only_its_cost() -> None:
    answer = CHAT.pass_answer(ANSWER, CONTEXT)
    assert answer.usage == Usage(input_tokens=10, output_tokens=5, reported_cost_nanocredits=100)
    assert answer.render(Usage(), 42) == ANSWER.replace(b'"up-1", ', b'"up-1",').replace(b"1e-7", b"0.000000042")
    assert answer.tally().text == ["hi"]


def test_a_passed_answer_loses_its_providers_prefix_where_asked() -> None:
    answer = CHAT.pass_answer(ANSWER, msgspec.structs.replace(CONTEXT, strip_provider=True))
    assert json.loads(answer.render(Usage(), None))["model"] == "m"


def test_an_answer_without_usage_gets_what_mira_counted() -> None:
    answer = CHAT.pass_answer(b'{"choices":[{"index":0,"message":{"content":"x"}}]}', CONTEXT)
    assert answer.usage is None
    usage = json.loads(answer.render(Usage(input_tokens=3, output_tokens=1, estimated=True), 5))["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (3, 1, 4)
    assert usage["cost"] == 5e-9


NO_ANSWERS = [
    (b"", Kind.UPSTREAM_FAILED),
    (b"<html>", Kind.UPSTREAM_FAILED),
    (b"[]", Kind.UPSTREAM_FAILED),
    (b"{}", Kind.UPSTREAM_FAILED),
    (b'{"choices":[]}', Kind.UPSTREAM_FAILED),
    (b'{"choices":null}', Kind.UPSTREAM_FAILED),
    (b'{"choices":7}', Kind.UPSTREAM_FAILED),
    (b'{"error":{"message":"x","code":429}}', Kind.RATE_LIMITED),
    (b'{"error":{"message":"no credits","code":402},"choices":[]}', Kind.UPSTREAM_CREDITS),
    (b'{"error":"boom","choices":[{}]}', Kind.UPSTREAM_FAILED),
    (b"[" * 5000, Kind.UPSTREAM_FAILED),
]


@pytest.mark.parametrize(("body", "kind"), NO_ANSWERS)
def test_what_is_no_answer_is_a_failure(body: bytes, kind: Kind) -> None:
    for take in (lambda: CHAT.pass_answer(body, CONTEXT), lambda: CHAT.parse_answer(body)):
        with pytest.raises(MiraError) as caught:
            take()
        assert caught.value.kind is kind


CALLS = st.builds(c.ToolCall, id=NAMES, name=NAMES, input=st.just('{"a":1.0}'), signature=st.none() | NAMES)
PARTS = st.tuples(
    st.lists(REASONING, max_size=2),
    st.lists(st.builds(c.Text, text=SOME_TEXT), max_size=1),
    st.lists(st.builds(c.Refusal, text=SOME_TEXT), max_size=1),
    st.lists(CALLS, max_size=3),
).map(lambda groups: tuple(part for group in groups for part in group))


@given(st.lists(PARTS, min_size=1, max_size=2), USAGES, st.none() | st.integers(0, 10**12))
def test_what_is_rendered_is_parsed_again(
    choices: list[tuple[c.AssistantPart, ...]], usage: Usage, cost: int | None
) -> None:
    answer = c.Answer(
        id=CONTEXT.answer_id,
        model="m",
        choices=tuple(
            c.Choice(
                index=index,
                parts=parts,
                finish=c.FinishReason.TOOL_CALLS
                if any(isinstance(part, c.ToolCall) for part in parts)
                else c.FinishReason.STOP,
            )
            for index, parts in enumerate(choices)
        ),
        usage=usage,
    )
    body = CHAT.render_answer(answer, CONTEXT, cost)
    ChatCompletion.model_validate_json(body)
    told = msgspec.structs.replace(answer, usage=msgspec.structs.replace(usage, reported_cost_nanocredits=cost))
    assert CHAT.parse_answer(body) == told


def test_stop_with_calls_means_calls() -> None:
    body = b'{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":0.10}}}]},"finish_reason":"stop"}]}'
    choice = CHAT.parse_answer(body).choices[0]
    assert choice.finish is c.FinishReason.TOOL_CALLS
    assert choice.parts[0].input == '{"a":0.10}'
    assert choice.parts[0].id.startswith("call_")


def test_a_legacy_call_is_read_and_given_back_in_its_form() -> None:
    body = b'{"id":"x","model":"m","choices":[{"message":{"function_call":{"name":"f","arguments":"{}"}},"finish_reason":"function_call"}]}'
    answer = CHAT.parse_answer(body)
    request = c.Conversation(model="m", turns=(), legacy_functions=True)
    told = json.loads(CHAT.render_answer(answer, msgspec.structs.replace(CONTEXT, request=request), None))
    assert told["choices"][0]["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert told["choices"][0]["finish_reason"] == "function_call"


@given(USAGES)
def test_usage_classes_are_disjoint_and_none_is_lost(usage: Usage) -> None:
    body = usage_body(usage, None)
    assert body["prompt_tokens"] == usage.prompt_tokens
    assert body["completion_tokens"] == usage.completion_tokens
    assert read_usage(msgspec.json.encode(body)) == usage


USAGE_BODIES = [
    ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 4}}, Usage(input_tokens=6, cache_read_tokens=4)),
    ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}, Usage(cache_read_tokens=4)),
    ({"prompt_tokens": 10, "prompt_cache_hit_tokens": 8}, Usage(input_tokens=2, cache_read_tokens=8)),
    (
        {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 3, "audio_tokens": 1}},
        Usage(input_tokens=3, cache_read_tokens=2, cache_write_5m_tokens=3, audio_input_tokens=1),
    ),
    (
        {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 1}},
        Usage(output_tokens=3, reasoning_tokens=5, audio_output_tokens=1),
    ),
    (
        {
            "prompt_tokens": 10,
            "completion_tokens": 2,
            "total_tokens": 17,
            "completion_tokens_details": {"reasoning_tokens": 5},
        },
        Usage(input_tokens=10, output_tokens=2, reasoning_tokens=5),
    ),
    ({"prompt_tokens": None, "completion_tokens": "x", "prompt_tokens_details": None}, Usage()),
    ({"prompt_tokens": -4, "completion_tokens": 2.0, "cost": None}, Usage(output_tokens=2)),
    ({"prompt_tokens": 1, "cost": 0.000000042}, Usage(input_tokens=1, reported_cost_nanocredits=42)),
    ({"prompt_tokens": 1, "cost": "0.1"}, Usage(input_tokens=1, reported_cost_nanocredits=100_000_000)),
    ({"prompt_tokens": 1, "cost": 1.0000000001}, Usage(input_tokens=1, reported_cost_nanocredits=1_000_000_001)),
    ({"prompt_tokens": 1, "cost": -1}, Usage(input_tokens=1)),
    ({"prompt_tokens": 1, "cost": "much"}, Usage(input_tokens=1)),
    ({"prompt_tokens": 1, "cost": True}, Usage(input_tokens=1)),
    ({"prompt_tokens": 1, "cost": 1e30}, Usage(input_tokens=1)),
    ({"prompt_tokens": 1, "cost": {"total": 1}}, Usage(input_tokens=1)),
]


@pytest.mark.parametrize(("body", "usage"), USAGE_BODIES)
def test_usage_is_read_whatever_nodes_write(body: dict[str, object], usage: Usage) -> None:
    assert read_usage(json.dumps(body).encode()) == usage


def oai(message: str, **more: object) -> bytes:
    return json.dumps({"error": {"message": message, "type": "t", "param": None, "code": None} | more}).encode()


ERRORS = [
    (401, oai("Incorrect API key provided: sk-abc123def"), Kind.UPSTREAM_AUTH),
    (402, oai("pay"), Kind.UPSTREAM_CREDITS),
    (403, b"<html>forbidden</html>", Kind.UPSTREAM_AUTH),
    (429, oai("slow down", code="rate_limit_exceeded"), Kind.RATE_LIMITED),
    (429, oai("You exceeded your current quota", code="insufficient_quota"), Kind.UPSTREAM_CREDITS),
    (429, b"", Kind.RATE_LIMITED),
    (400, oai("bad thing", param="temperature"), Kind.BAD_REQUEST),
    (400, oai("no", code="unsupported_parameter", param="max_tokens"), Kind.UNSUPPORTED),
    (400, oai("x", code="context_length_exceeded"), Kind.CONTEXT_TOO_LONG),
    (
        400,
        oai("This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."),
        Kind.CONTEXT_TOO_LONG,
    ),
    (
        400,
        b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 205000 tokens > 200000 maximum"}}',
        Kind.CONTEXT_TOO_LONG,
    ),
    (
        400,
        b'{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_ctx":512}}',
        Kind.CONTEXT_TOO_LONG,
    ),
    (400, b'{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}', Kind.UPSTREAM_AUTH),
    (
        400,
        b'{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}',
        Kind.UPSTREAM_CREDITS,
    ),
    (400, b'{"object":"error","message":"flat vllm","type":"BadRequestError","code":400}', Kind.BAD_REQUEST),
    (400, b'{"error":"just text"}', Kind.BAD_REQUEST),
    (422, b'{"detail":[{"loc":["body"],"msg":"field required"}]}', Kind.BAD_REQUEST),
    (400, b'[{"error":{"code":400,"message":"gemini list","status":"INVALID_ARGUMENT"}}]', Kind.BAD_REQUEST),
    (400, b"plain words", Kind.BAD_REQUEST),
    (400, b"<!doctype html><p>nginx", Kind.BAD_REQUEST),
    (404, oai("The model `x` does not exist", code="model_not_found"), Kind.MODEL_NOT_FOUND),
    (404, b'{"detail":"Not Found"}', Kind.UPSTREAM_FAILED),
    (405, b"", Kind.UPSTREAM_FAILED),
    (408, b"", Kind.UPSTREAM_TIMEOUT),
    (413, b"", Kind.TOO_LARGE),
    (500, oai("internal"), Kind.UPSTREAM_FAILED),
    (502, b"<html>", Kind.UPSTREAM_FAILED),
    (503, b"", Kind.UNAVAILABLE),
    (504, b"", Kind.UPSTREAM_TIMEOUT),
    (529, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', Kind.UNAVAILABLE),
    (302, b"", Kind.UPSTREAM_FAILED),
    (400, b"[" * 9000, Kind.BAD_REQUEST),
]


@pytest.mark.parametrize(("status", "body", "kind"), ERRORS)
def test_a_nodes_error_becomes_what_the_client_may_know(status: int, body: bytes, kind: Kind) -> None:
    error = CHAT.parse_error(status, body)
    assert error.kind is kind
    assert error.status not in (401, 402, 403)


SECRETS = [
    "sk-proj-abcdef123456",
    "Bearer abc.def",
    "https://node.internal:8443/v1?key=x",
    "AIzaSyA1234567890",
    "10.0.0.7:8000",
    "x" * 60,
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500, 503])
def test_no_secret_of_a_node_reaches_the_client(secret: str, status: int) -> None:
    error = CHAT.parse_error(status, oai(f"wrong {secret} given", param=secret))
    body = CHAT.render_error(error, "req_1").decode()
    assert secret.removeprefix("Bearer ") not in body
    assert len(error.message) <= 300


def test_the_words_of_a_400_reach_the_client() -> None:
    error = CHAT.parse_error(400, oai("temperature must be 1", param="temperature"))
    assert (error.message, error.param) == ("temperature must be 1", "temperature")


def test_a_context_error_tells_the_nodes_figures() -> None:
    error = CHAT.parse_error(400, oai("prompt is too long: 205000 tokens > 200000 maximum"))
    assert error.details == {"input_tokens": "205000", "maximum_tokens": "200000"}
    assert "205000" in error.message


def test_a_wait_in_words_is_read() -> None:
    assert CHAT.parse_error(429, oai("Please try again in 1.5s.")).retry_after_s == 1.5
    assert CHAT.parse_error(429, oai("try again in 20ms")).retry_after_s == 0.02


def test_an_error_is_rendered_in_openais_shape() -> None:
    error = MiraError(Kind.NO_CREDITS, "Empty.", details={"balance": "0", "needed": "1"})
    assert json.loads(CHAT.render_error(error, "req_1")) == {
        "error": {
            "message": "Empty.",
            "type": "insufficient_quota",
            "param": None,
            "code": "insufficient_quota",
            "details": {"balance": "0", "needed": "1"},
        },
        "request_id": "req_1",
    }
