"""What Responses promises of whole answers, usage, errors and what is remembered of them."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response
from tests.codecs.responses_streams import CONTEXT, Node, encoded, response, whole
from tests.codecs.test_responses_requests import native_thoughts
from tests.generators.conversations import NAMES, REASONING, SOME_TEXT, USAGES, event_streams

from mira.codecs.codec import Envelope, Target
from mira.codecs.responses import RESPONSES
from mira.codecs.responses.memory import References, Remembered, keeps, references, remembered, resolved
from mira.codecs.responses.shaping import grouped
from mira.codecs.responses.usage import usage_body, usage_of
from mira.core import conversation as c
from mira.core import events as e
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

TARGET = Target(model="m", output_cap=50, dialect="openai")
ANSWER = (
    b'{"id":"resp_1", "object":"response","created_at":1,"model":"openai/m","status":"completed","error":null,"output":[ '
    b'{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"h\\u0069","x":1.50}]}],'
    b'"usage":{"input_tokens":10,"output_tokens":5,"total_tokens":15,"cost":1e-7,"y":[1.0]}}'
)


def test_a_passed_answer_changes_only_its_cost() -> None:
    answer = RESPONSES.pass_answer(ANSWER, CONTEXT)
    assert answer.usage == Usage(input_tokens=10, output_tokens=5, reported_cost_nanocredits=100)
    assert answer.render(Usage(), 42) == ANSWER.replace(b'"resp_1", ', b'"resp_1",').replace(b"1e-7", b"0.000000042")
    assert answer.tally().text == ["hi"]


def test_a_passed_answer_loses_its_providers_prefix_where_asked() -> None:
    answer = RESPONSES.pass_answer(ANSWER, msgspec.structs.replace(CONTEXT, strip_provider=True))
    assert json.loads(answer.render(Usage(), None))["model"] == "m"


def test_an_answer_without_usage_gets_what_mira_counted() -> None:
    answer = RESPONSES.pass_answer(b'{"output":[]}', CONTEXT)
    assert answer.usage is None
    usage = json.loads(answer.render(Usage(input_tokens=3, output_tokens=1, estimated=True), 5))["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (3, 1, 4)
    assert usage["cost"] == 5e-9


def test_the_tally_counts_all_that_an_answer_says() -> None:
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}], "content": [{"text": "b"}]},
        {"type": "function_call", "call_id": "x", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "y", "name": "g", "input": "in"},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"type": "message", "role": 7},
        {"type": "new"},
    ]
    tally = RESPONSES.pass_answer(json.dumps(response("completed", output)).encode(), CONTEXT).tally()
    assert tally.text == ["a", "b", "f", "{}", "g", "in", "no"]


NO_ANSWERS = [
    (b"", Kind.UPSTREAM_FAILED),
    (b"<html>", Kind.UPSTREAM_FAILED),
    (b"[]", Kind.UPSTREAM_FAILED),
    (b"{}", Kind.UPSTREAM_FAILED),
    (b'{"output":null}', Kind.UPSTREAM_FAILED),
    (b'{"output":7}', Kind.UPSTREAM_FAILED),
    (b'{"output":[],"status":"failed","error":null}', Kind.UPSTREAM_FAILED),
    (b'{"output":[],"status":"queued"}', Kind.UPSTREAM_FAILED),
    (b'{"error":{"message":"x","code":"rate_limit_exceeded"},"status":"failed"}', Kind.RATE_LIMITED),
    (b'{"error":{"message":"no credits","code":402},"output":[]}', Kind.UPSTREAM_CREDITS),
    (b'{"error":"boom","output":[]}', Kind.UPSTREAM_FAILED),
    (b"[" * 5000, Kind.UPSTREAM_FAILED),
]


@pytest.mark.parametrize(("body", "kind"), NO_ANSWERS)
def test_what_is_no_answer_is_a_failure(body: bytes, kind: Kind) -> None:
    for take in (lambda: RESPONSES.pass_answer(body, CONTEXT), lambda: RESPONSES.parse_answer(body)):
        with pytest.raises(MiraError) as caught:
            take()
        assert caught.value.kind is kind


def test_an_item_that_cannot_be_read_is_a_failure() -> None:
    with pytest.raises(MiraError) as caught:
        RESPONSES.parse_answer(b'{"output":[{"type":"function_call","name":7}]}')
    assert caught.value.kind is Kind.UPSTREAM_FAILED


CALLS = st.builds(
    c.ToolCall,
    id=NAMES,
    name=NAMES,
    input=st.just('{"a":1.0}'),
    namespace=st.none() | st.just("ns"),
    signature=st.none() | NAMES,
)
NOTE = msgspec.Raw(b'{"type":"file_citation","file_id":"f","filename":"n","index":1}')
TEXTS = st.builds(c.Text, text=SOME_TEXT) | st.builds(
    c.Text, text=SOME_TEXT, annotations=st.just((NOTE,)), format=st.just("responses")
)


@st.composite
def spoken(draw: st.DrawFn) -> tuple[c.AssistantPart, ...]:
    parts: list[c.AssistantPart] = []
    for _ in range(draw(st.integers(0, 5))):
        parts += draw(
            st.one_of(
                REASONING.filter(lambda block: block.format != "openai-responses-v1").map(lambda block: (block,)),
                native_thoughts(),
                TEXTS.map(lambda part: (part,)),
                st.builds(c.Refusal, text=SOME_TEXT).map(lambda part: (part,)),
                CALLS.map(lambda part: (part,)),
            )
        )
    return tuple(parts)


def ordered(parts: tuple[c.AssistantPart, ...]) -> tuple[c.AssistantPart, ...]:
    """The parts with the summaries of each reasoning item before its words, as the item holds them."""
    told: list[c.AssistantPart] = []
    for group in grouped(parts):
        native = isinstance(group[0], c.Reasoning)
        told += sorted(group, key=lambda part: ("summary", "text", "encrypted").index(part.kind)) if native else group
    return tuple(told)


@given(spoken(), USAGES, st.none() | st.integers(0, 10**12))
def test_what_is_rendered_is_parsed_again(parts: tuple[c.AssistantPart, ...], usage: Usage, cost: int | None) -> None:
    calls = any(isinstance(part, c.ToolCall) for part in parts)
    finish = c.FinishReason.TOOL_CALLS if calls else c.FinishReason.STOP
    answer = c.Answer(
        id=CONTEXT.answer_id, model="m", choices=(c.Choice(parts=ordered(parts), finish=finish),), usage=usage
    )
    body = RESPONSES.render_answer(answer, CONTEXT, cost)
    Response.model_validate_json(body)
    told = msgspec.structs.replace(answer, usage=msgspec.structs.replace(usage, reported_cost_nanocredits=cost))
    assert plain(RESPONSES.parse_answer(body)) == plain(told)


def plain(answer: c.Answer) -> c.Answer:
    """The answer without what cannot be told apart: signatures of two calls of one id, the id of an item without one."""
    parts: list[c.AssistantPart] = []
    for part in answer.choices[0].parts:
        match part:
            case c.ToolCall():
                parts.append(msgspec.structs.replace(part, signature=None))
            case c.Reasoning(format="openai-responses-v1"):
                parts.append(msgspec.structs.replace(part, id=None))
            case _:
                parts.append(part)
    return msgspec.structs.replace(answer, choices=(msgspec.structs.replace(answer.choices[0], parts=tuple(parts)),))


@given(USAGES)
def test_usage_classes_are_disjoint_and_none_is_lost(usage: Usage) -> None:
    body = usage_body(usage, None)
    assert body["input_tokens"] == usage.prompt_tokens
    assert body["output_tokens"] == usage.completion_tokens
    assert usage_of(body) == usage


USAGE_BODIES: list[tuple[Any, Usage | None]] = [
    ({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}}, Usage(input_tokens=6, cache_read_tokens=4)),
    ({"input_tokens": 3, "input_tokens_details": {"cached_tokens": 4}}, Usage(cache_read_tokens=4)),
    ({"input_tokens": None, "output_tokens": "x", "output_tokens_details": None}, Usage()),
    ({"input_tokens": 1, "cost": "0.1"}, Usage(input_tokens=1, reported_cost_nanocredits=100_000_000)),
    ({"input_tokens": 1, "cost": True}, Usage(input_tokens=1)),
    ({}, None),
    (None, None),
    ([], None),
]


@pytest.mark.parametrize(("body", "usage"), USAGE_BODIES)
def test_usage_is_read_whatever_nodes_write(body: Any, usage: Usage | None) -> None:
    assert usage_of(body) == usage


def test_an_error_is_rendered_in_openais_shape() -> None:
    error = MiraError(Kind.NO_CREDITS, "Empty.", details={"balance": "0", "needed": "1"})
    assert json.loads(RESPONSES.render_error(error, "req_1")) == {
        "error": {
            "message": "Empty.",
            "type": "insufficient_quota",
            "param": None,
            "code": "insufficient_quota",
            "details": {"balance": "0", "needed": "1"},
        },
        "request_id": "req_1",
    }


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500, 503])
@pytest.mark.parametrize("secret", ["sk-proj-abcdef123456", "https://node.internal:8443/v1?key=x", "10.0.0.7:8000"])
def test_no_secret_of_a_node_reaches_the_client(secret: str, status: int) -> None:
    body = json.dumps({"error": {"message": f"wrong {secret} given", "param": secret, "code": None}}).encode()
    error = RESPONSES.parse_error(status, body)
    assert error.status not in (401, 402, 403)
    assert secret not in RESPONSES.render_error(error, "req_1").decode()
    encoder = RESPONSES.encoder(CONTEXT)
    assert secret not in (encoder.feed(e.Start(model="m")) + encoder.abort(error)).decode()


# What is remembered


def opened(**body: Any) -> Envelope:
    return RESPONSES.open_request(json.dumps({"model": "m", **body}).encode())


def kept(envelope: Envelope, output: list[dict[str, Any]]) -> Remembered:
    told = remembered(envelope, json.dumps(response("completed", output)).encode())
    assert told is not None
    return told


MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
           "content": [{"type": "output_text", "text": "hi", "annotations": []}]}  # fmt: skip
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_a", "name": "f", "arguments": "{}"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
BARE = {"type": "reasoning", "id": "rs_2", "summary": []}


def test_an_answer_is_remembered_with_all_that_led_to_it() -> None:
    first = resolved(opened(input="hello"), None, {}, False)
    told = kept(first, [THOUGHT, BARE, MESSAGE, CALL])
    assert told.response_id == "resp_up"
    assert set(told.items) == {"rs_1", "rs_2", "msg_1", "fc_1"}
    result = {"type": "function_call_output", "call_id": "call_a", "output": "ok"}
    asked = opened(input=[result], previous_response_id="resp_up")
    assert references(asked) == References("resp_up", ())
    second = resolved(asked, told.context, {}, True)
    body = json.loads(RESPONSES.pass_request(second, TARGET))
    nameless = [{name: value for name, value in item.items() if name != "id"} for item in (MESSAGE, CALL)]
    assert body["input"] == [{"type": "message", "role": "user", "content": "hello"}, THOUGHT, *nameless, result]
    assert "previous_response_id" not in body
    assert (body["store"], body["include"]) == (False, ["reasoning.encrypted_content"])
    assert len(kept(second, [MESSAGE]).context) == 6


def test_references_to_items_are_replaced_in_their_place() -> None:
    told = kept(opened(input="hello"), [THOUGHT, MESSAGE])
    user = {"role": "user", "content": "go on"}
    asked = opened(input=[{"type": "item_reference", "id": "rs_1"}, {"id": "msg_1"}, user])
    assert references(asked) == References(None, ("rs_1", "msg_1"))
    whole_request = resolved(asked, None, told.items, False)
    turns = RESPONSES.parse_request(whole_request).turns
    assert [type(turn).__name__ for turn in turns] == ["AssistantTurn", "UserTurn"]
    assert turns[0].parts[1] == c.Text(text="hi")


def test_what_is_not_remembered_is_the_protocols_error() -> None:
    with pytest.raises(MiraError) as caught:
        resolved(opened(input="x", previous_response_id="resp_no"), None, {}, False)
    assert (caught.value.status, caught.value.code) == (400, "previous_response_not_found")
    assert caught.value.param == "previous_response_id"
    with pytest.raises(MiraError) as caught:
        resolved(opened(input=[{"type": "item_reference", "id": "msg_no"}]), None, {}, False)
    assert (caught.value.status, caught.value.param) == (404, "input[0].id")
    assert "store" in caught.value.message


def test_a_reference_that_nobody_resolved_never_leaves() -> None:
    for asked in (opened(input="x", previous_response_id="resp_1"), opened(input=[{"id": "msg_1"}])):
        with pytest.raises(MiraError):
            RESPONSES.pass_request(asked, TARGET)
        with pytest.raises(MiraError):
            RESPONSES.parse_request(asked)


def test_an_earlier_answer_alone_is_enough_input() -> None:
    told = kept(opened(input="hello"), [MESSAGE])
    asked = resolved(opened(previous_response_id="resp_up", input=[]), told.context, {}, False)
    assert len(RESPONSES.parse_request(asked).turns) == 2


def test_a_client_can_forbid_to_be_remembered() -> None:
    assert keeps(opened(input="x"))
    assert keeps(opened(input="x", store=True))
    assert not keeps(opened(input="x", store=False))


@given(event_streams())
def test_the_last_bytes_of_any_stream_tell_what_to_remember(events: list[e.Event]) -> None:
    asked = opened(input="hello")
    stream = encoded(events)
    output = json.loads(stream.split(b"data: ")[-1])["response"]["output"]
    told = remembered(asked, stream)
    assert told is not None
    assert told.response_id == CONTEXT.answer_id
    assert [json.loads(bytes(raw)) for raw in told.context[1:]] == output
    assert remembered(asked, whole(stream, [])[0]) is not None


@pytest.mark.parametrize(
    "sent", [b"", b"{}", b"{", b'{"id":7,"output":[]}', b"event: error\ndata: {}\n\n", Node().begin().stream]
)
def test_what_is_no_answer_is_not_remembered(sent: bytes) -> None:
    assert remembered(opened(input="x"), sent) is None
