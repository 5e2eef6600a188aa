"""Messages and Chat Completions through each other: every known way in which gateways corrupt agents, by its row.

The numbers are those of the reference's table of known bugs (`wire.md`, section 6).
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from openai.types.chat import ChatCompletion
from pydantic import TypeAdapter
from tests.generators.conversations import NAMES, pieces, splits
from tests.grammar.chat import check_chat_stream
from tests.grammar.messages import check_messages_stream, content_of

from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec, Context, Target
from mira.codecs.messages import MESSAGES
from mira.codecs.restoring import Restorer, renamed_tools
from mira.codecs.translation import TranslatedStream
from mira.core import conversation as c
from mira.core import events as e
from mira.core.capabilities import UNKNOWN, Capabilities
from mira.core.conversation import Conversation
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

VECTORS = Path(__file__).parents[1] / "vectors"
CHAT_GOLDEN = (VECTORS / "chat/golden.sse").read_bytes()
MESSAGES_GOLDEN = (VECTORS / "messages/golden.sse").read_bytes()
ADAPTIVE = Capabilities(
    sampling=False, thinking_budget=False, thinking_adaptive=True, effort=True, mid_system=True, prefill=False
)
SDK_EVENT = TypeAdapter(RawMessageStreamEvent)
SIGNED = {
    "type": "reasoning.text",
    "text": "hm é\n",
    "signature": "EqQB+/==",
    "format": "anthropic-claude-v1",
    "index": 0,
}
SECRET = {"type": "reasoning.encrypted", "data": "Em8K+/==", "format": "anthropic-claude-v1", "index": 1}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
OWN_TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 8},
}


def from_chat(*messages: dict[str, Any], **more: Any) -> Conversation:
    body = json.dumps({"model": "m", "messages": messages, **more}).encode()
    return CHAT.parse_request(CHAT.open_request(body))


def from_messages(*messages: dict[str, Any], **more: Any) -> Conversation:
    body = json.dumps({"model": "m", "max_tokens": 100, "messages": messages, **more}).encode()
    return MESSAGES.parse_request(MESSAGES.open_request(body))


def to_messages(
    told: Conversation, can: Capabilities = UNKNOWN, cap: int = 64000
) -> tuple[dict[str, Any], tuple[str, ...]]:
    body, dropped = MESSAGES.render_request(told, Target(model="claude", output_cap=cap, capabilities=can))
    return json.loads(body), dropped


def to_chat(told: Conversation, dialect: str = "", cap: int = 100) -> dict[str, Any]:
    return json.loads(CHAT.render_request(told, Target(model="gpt", output_cap=cap, dialect=dialect))[0])


def user(content: Any = "x") -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def call(call_id: str, arguments: str | None = "{}", name: str = "f", **more: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def use(call_id: str, told: Any = None, name: str = "f") -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": told or {}}


def result(call_id: str, content: Any = "1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **more}


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    told = {"id": "up-1", "object": "chat.completion.chunk", "created": 1, "model": "up/m", "choices": [choice], **more}
    return b"data: " + json.dumps(told, ensure_ascii=False).encode() + b"\n\n"


ROLE = chunk({"role": "assistant", "content": ""})
DONE = b"data: [DONE]\n\n"


def tool_delta(index: int, arguments: str, call_id: str | None = None, name: str | None = None) -> bytes:
    head = {"id": call_id, "type": "function"} if call_id else {}
    body = {"name": name} if name else {}
    return chunk({"tool_calls": [{"index": index, **head, "function": {**body, "arguments": arguments}}]})


def frame(kind: str, **told: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **told})}\n\n".encode()


def through(
    stream: bytes, node: Codec, client: Codec, cuts: list[int] | None = None, request: Conversation | None = None
) -> tuple[bytes, TranslatedStream]:
    """What a client gets of a node's stream, as the relay does it."""
    context = Context(answer_id="answer_1", created_s=1, request=request)
    machine = TranslatedStream(node, client, context, [Restorer(renamed_tools(request))] if request else [])
    out = b"".join([machine.feed(piece) for piece in pieces(stream, cuts or [])]) + machine.close()
    if machine.failed is not None:
        return out + machine.abort(machine.failed), machine
    return out + machine.finish(machine.usage or Usage(), 42), machine


def in_messages(stream: bytes, request: Conversation | None = None) -> list[dict[str, Any]]:
    """The events that a Messages client gets of a Chat Completions stream."""
    events = check_messages_stream(through(stream, CHAT, MESSAGES, request=request)[0])
    for event in events:
        if event["type"] not in ("ping", "error"):
            SDK_EVENT.validate_python(event)
    return events


def in_chat(stream: bytes) -> list[dict[str, Any]]:
    """The chunks that a Chat Completions client gets of a Messages stream."""
    return check_chat_stream(through(stream, MESSAGES, CHAT)[0], include_usage=True)


def whole_in_messages(message: dict[str, Any], finish: str = "stop", **more: Any) -> dict[str, Any]:
    """The body that a Messages client gets of a Chat Completions answer."""
    told = {"id": "x", "model": "m", "choices": [{"message": message, "finish_reason": finish}], **more}
    answer = CHAT.parse_answer(json.dumps(told).encode())
    body = MESSAGES.render_answer(answer, Context(answer_id="msg_1", created_s=1), None)
    Message.model_validate_json(body)
    return json.loads(body)


def whole_in_chat(*content: dict[str, Any], stop_reason: str = "end_turn", **more: Any) -> dict[str, Any]:
    """The body that a Chat Completions client gets of a Messages answer."""
    told = {"id": "x", "model": "m", "content": content, "stop_reason": stop_reason, **more}
    body = CHAT.render_answer(
        MESSAGES.parse_answer(json.dumps(told).encode()), Context(answer_id="c", created_s=1), None
    )
    ChatCompletion.model_validate_json(body)
    return json.loads(body)


TWO_CALLS = tool_delta(0, "", "a", "f") + tool_delta(1, "", "b", "g")


def test_bug_02_parallel_calls_stay_apart() -> None:
    stream = (
        ROLE + tool_delta(0, '{"x":1}', "a", "f") + tool_delta(1, '{"y":2}', "b", "g") + chunk({}, "tool_calls") + DONE
    )
    told = [block for block in content_of(in_messages(stream)) if block["type"] == "tool_use"]
    assert [(block["id"], block["name"], block["input"]) for block in told] == [
        ("a", "f", '{"x":1}'),
        ("b", "g", '{"y":2}'),
    ]
    calls = [call("a", '{"x":1}'), call("b", '{"y":2}', "g")]
    body = whole_in_messages({"content": None, "tool_calls": calls}, "tool_calls")
    assert [block["input"] for block in body["content"]] == [{"x": 1}, {"y": 2}]


def test_bug_03_interleaved_fragments_find_their_blocks() -> None:
    stream = (
        ROLE + TWO_CALLS + tool_delta(0, '{"x":') + tool_delta(1, '{"y":') + tool_delta(0, "1}") + tool_delta(1, "2}")
    )
    blocks = content_of(in_messages(stream + chunk({}, "tool_calls") + DONE))
    assert [block["input"] for block in blocks] == ['{"x":1}', '{"y":2}']


def test_bug_04_a_turn_of_tools_alone_has_no_text_and_ends_in_tool_use() -> None:
    stream = ROLE + chunk({"content": ""}) + tool_delta(0, "{}", "a", "f") + chunk({}, "stop") + DONE
    events = in_messages(stream)
    assert [block["type"] for block in content_of(events)] == ["tool_use"]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    body = whole_in_messages({"content": "", "tool_calls": [call("a")]})
    assert [block["type"] for block in body["content"]] == ["tool_use"]
    assert body["stop_reason"] == "tool_use"


def test_bug_05_thinking_has_a_block_of_its_own() -> None:
    stream = ROLE + chunk({"content": "a"}) + chunk({"reasoning_content": "b"}) + chunk({"content": "c"}) + ROLE
    blocks = content_of(in_messages(stream + chunk({}, "stop") + DONE))
    assert [(block["type"], block.get("text") or block.get("thinking")) for block in blocks] == [
        ("text", "a"),
        ("thinking", "b"),
        ("text", "c"),
    ]


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (tool_delta(0, "{}", "a", "f"), "tool_use"),
        (chunk({"reasoning": "hm"}), "thinking"),
        (chunk({"content": "x"}), "text"),
    ],
)
def test_bug_09_whatever_comes_first_has_index_0(first: bytes, kind: str) -> None:
    events = in_messages(first + chunk({}, "stop") + DONE)
    assert events[1]["index"] == 0
    assert events[1]["content_block"]["type"] == kind


def test_bug_11_calls_without_a_usable_index_or_id_stay_apart() -> None:
    calls = [
        {"index": 0, "function": {"name": "f", "arguments": '{"a":1}'}},
        {"index": -1, "function": {"name": "g", "arguments": "{}"}},
    ]
    stream = ROLE + b"".join(chunk({"tool_calls": [one]}) for one in calls) + chunk({}, "stop") + DONE
    told = content_of(in_messages(stream))
    assert [block["name"] for block in told] == ["f", "g"]
    assert len({block["id"] for block in told}) == 2


def test_bug_12_block_indexes_have_no_gaps() -> None:
    stream = ROLE + tool_delta(3, "{}", "a", "f") + chunk({"content": "x"}) + tool_delta(9, "{}", "b", "g")
    starts = [
        event["index"]
        for event in in_messages(stream + chunk({}, "stop") + DONE)
        if event["type"] == "content_block_start"
    ]
    assert starts == list(range(len(starts)))


def test_bug_13_cached_tokens_are_counted_once() -> None:
    usage = whole_in_messages({"content": "x"}, usage=USAGE)["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (
        60,
        30,
        10,
    )
    assert usage["output_tokens"] == 20
    told = {
        "input_tokens": 60,
        "cache_read_input_tokens": 30,
        "cache_creation_input_tokens": 10,
        "output_tokens": 20,
        "output_tokens_details": {"thinking_tokens": 8},
    }
    back = whole_in_chat({"type": "text", "text": "x"}, usage=told)["usage"]
    assert (back["prompt_tokens"], back["completion_tokens"], back["total_tokens"]) == (100, 20, 120)
    assert back["prompt_tokens_details"]["cached_tokens"] == 30
    assert back["prompt_tokens_details"]["cache_write_tokens"] == 10
    assert back["completion_tokens_details"]["reasoning_tokens"] == 8


def test_bug_14_repeated_usage_is_not_added_up() -> None:
    _, machine = through(MESSAGES_GOLDEN, MESSAGES, CHAT)
    assert machine.usage == Usage(input_tokens=6, cache_read_tokens=4, output_tokens=5)
    assert in_chat(MESSAGES_GOLDEN)[-1]["usage"]["prompt_tokens"] == 10


def test_bug_15_the_start_counts_the_prompt() -> None:
    asked = from_messages(user("how many words are these?"))
    start = in_messages(CHAT_GOLDEN, asked)[0]["message"]["usage"]
    assert start["input_tokens"] > 0
    out, _ = through(MESSAGES_GOLDEN, MESSAGES, MESSAGES)
    start = check_messages_stream(out)[0]["message"]["usage"]
    assert (start["input_tokens"], start["cache_read_input_tokens"]) == (6, 4)


def test_bug_16_usage_has_the_shape_that_clients_read() -> None:
    usage = in_messages(CHAT_GOLDEN)[-2]["usage"]
    for name in ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"):
        assert isinstance(usage[name], int)
    assert usage["cost"] == 42e-9


@pytest.mark.parametrize(
    ("stream", "node", "client"), [(CHAT_GOLDEN, CHAT, MESSAGES), (MESSAGES_GOLDEN, MESSAGES, CHAT)]
)
def test_bug_17_a_cut_stream_never_ends_cleanly(stream: bytes, node: Codec, client: Codec) -> None:
    finish = stream.rindex(b'"finish_reason":"') if node is CHAT else stream.rindex(b"event: message_delta")
    for cut in range(finish):
        out, machine = through(stream[:cut], node, client)
        assert machine.failed is not None
        assert not machine.ended
        if client is MESSAGES:
            assert check_messages_stream(out)[-1]["type"] == "error"
        else:
            check_chat_stream(out, include_usage=True)


@pytest.mark.parametrize(
    "failure",
    [
        b'data: {"error":{"message":"no","code":502}}\n\n',
        chunk({"content": ""}, "error", error={"code": 502, "message": "x"}),
        chunk({}, "error"),
    ],
)
def test_bug_18_an_error_in_the_stream_is_an_error(failure: bytes) -> None:
    assert in_messages(ROLE + chunk({"content": "x"}) + failure + DONE)[-1]["type"] == "error"


ERRORS = [
    (400, Kind.BAD_REQUEST, "invalid_request_error", "invalid_request_error"),
    (401, Kind.UPSTREAM_AUTH, "server_error", "api_error"),
    (429, Kind.RATE_LIMITED, "rate_limit_error", "rate_limit_error"),
    (500, Kind.UPSTREAM_FAILED, "server_error", "api_error"),
    (529, Kind.UNAVAILABLE, "server_error", "overloaded_error"),
    (504, Kind.UPSTREAM_TIMEOUT, "server_error", "timeout_error"),
]


@pytest.mark.parametrize(("status", "kind", "openai", "anthropic"), ERRORS)
def test_bug_19_every_error_is_told_in_the_clients_own_shape(
    status: int, kind: Kind, openai: str, anthropic: str
) -> None:
    body = b'{"type":"error","error":{"type":"x_error","message":"no"}}'
    for node in (CHAT, MESSAGES):
        error = node.parse_error(status, body)
        assert error.kind is kind
        assert json.loads(CHAT.render_error(error, "r"))["error"]["type"] == openai
        assert json.loads(MESSAGES.render_error(error, "r"))["error"]["type"] == anthropic
    frame_in = frame("error", error={"type": "overloaded_error", "message": "x"})
    assert in_chat(frame("message_start", message={"model": "m"}) + frame_in)[-1]["error"]["code"] == "overloaded"


def test_bug_21_cache_marks_survive_both_ways() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    short = {"type": "ephemeral"}
    told = from_chat(
        {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": mark}]},
        user("x"),
        assistant(None, tool_calls=[call("a", cache_control=short)]),
        {"role": "tool", "tool_call_id": "a", "content": "1", "cache_control": short},
        tools=[{**TOOL, "cache_control": mark}],
    )
    body, _ = to_messages(told)
    assert body["system"][0]["cache_control"] == mark
    assert body["tools"][0]["cache_control"] == mark
    assert body["messages"][1]["content"][0]["cache_control"] == short
    assert body["messages"][2]["content"][0]["cache_control"] == short
    back = to_chat(MESSAGES.parse_request(MESSAGES.open_request(json.dumps(body).encode())), "openrouter")
    assert back["messages"][0]["content"][0]["cache_control"] == mark
    assert back["tools"][0]["cache_control"] == mark


def test_bug_22_no_mark_is_ever_null() -> None:
    text = {"type": "text", "text": "x", "cache_control": None}
    told = from_messages(user([text, text]), tools=[{**OWN_TOOL, "cache_control": None}])
    assert "null" not in json.dumps(to_chat(told, "openrouter")) + json.dumps(to_messages(told)[0])


def test_bug_23_a_thought_signature_comes_back_with_its_call() -> None:
    signed = call("a", extra_content={"google": {"thought_signature": "sig+/="}})
    stream = ROLE + chunk({"tool_calls": [{"index": 0, **signed}]}) + chunk({}, "tool_calls") + DONE
    blocks = content_of(in_messages(stream))
    for block in blocks:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block["input"])
    assert blocks == whole_in_messages({"content": None, "tool_calls": [signed]})["content"]
    told = from_messages(user(), assistant(blocks), user([result("a")]))
    back = to_chat(told, "google")["messages"][1]["tool_calls"][0]
    assert back["extra_content"] == {"google": {"thought_signature": "sig+/="}}
    assert "sig" not in json.dumps(to_messages(told)[0])


def test_bug_24_signatures_come_back_byte_for_byte() -> None:
    content = [
        {"type": "thinking", "thinking": "hm é\n ", "signature": "EqQB+/=="},
        {"type": "redacted_thinking", "data": "Em8K+/=="},
        {"type": "thinking", "thinking": "", "signature": "omitted="},
        {"type": "text", "text": "t"},
        use("a", {"x": 1}),
    ]
    message = whole_in_chat(*content, stop_reason="tool_use")["choices"][0]["message"]
    told = from_chat(user(), message, {"role": "tool", "tool_call_id": "a", "content": "1"})
    assert to_messages(told)[0]["messages"][1]["content"] == content
    deltas = [
        frame("message_start", message={"model": "m", "id": "i", "usage": {"input_tokens": 1, "output_tokens": 1}}),
        frame("content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""}),
        frame("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm é\n "}),
        frame("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "EqQB+/=="}),
        frame("content_block_stop", index=0),
        frame("content_block_start", index=1, content_block=content[1]),
        frame("content_block_stop", index=1),
        frame("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 1}),
    ]
    details: list[dict[str, Any]] = []
    for told_chunk in in_chat(b"".join(deltas)):
        for choice in told_chunk["choices"]:
            for detail in choice["delta"].get("reasoning_details", ()):
                if detail["index"] == len(details):
                    details.append(detail)
                else:
                    details[-1] = {**details[-1], **{name: value for name, value in detail.items() if value}}
    told = from_chat(user(), assistant("t", reasoning_details=details), user())
    assert to_messages(told)[0]["messages"][1]["content"][:2] == content[:2]


def test_bug_25_the_same_conversation_is_the_same_prefix() -> None:
    turns = [
        {"role": "system", "content": "s"},
        user(),
        assistant("a", tool_calls=[call("call:1", '{"b": 1, "a": [1.50]}')], reasoning_details=[SIGNED]),
        {"role": "tool", "tool_call_id": "call:1", "content": "1"},
        assistant("done"),
        user("more"),
    ]
    first, _ = MESSAGES.render_request(from_chat(*turns[:4], tools=[TOOL]), Target(model="c", output_cap=9))
    again, _ = MESSAGES.render_request(from_chat(*turns, tools=[TOOL]), Target(model="c", output_cap=9))
    start = first[: first.index(b'"tool_result"')]
    assert again.startswith(start)
    assert MESSAGES.render_request(from_chat(*turns, tools=[TOOL]), Target(model="c", output_cap=9))[0] == again


def test_bug_26_unsigned_or_foreign_thinking_never_reaches_anthropic() -> None:
    foreign = {"type": "reasoning.encrypted", "data": "gAAA", "format": "openai-responses-v1", "index": 0}
    unsigned = {**SIGNED, "signature": None}
    for message in (
        assistant("t", reasoning_content="hm"),
        assistant("t", reasoning="hm"),
        assistant("t", reasoning_details=[foreign, unsigned]),
    ):
        assert to_messages(from_chat(user(), message, user()))[0]["messages"][1] == assistant("t")
    blocks = whole_in_messages({"content": "t", "reasoning_content": "hm"})["content"]
    assert blocks[0]["thinking"] == "hm"
    assert to_messages(from_messages(user(), assistant(blocks), user()))[0]["messages"][1] == assistant("t")
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [user(), assistant(blocks), user()]}).encode()
    passed = json.loads(MESSAGES.pass_request(MESSAGES.open_request(body), Target(model="c", output_cap=9)))
    assert [block["type"] for block in passed["messages"][1]["content"]] == ["text"]


def test_bug_27_thinking_and_calls_keep_their_order() -> None:
    content = [
        {"type": "thinking", "thinking": "1", "signature": "s1"},
        use("a"),
        {"type": "thinking", "thinking": "2", "signature": "s2"},
        {"type": "text", "text": "t"},
        use("b"),
    ]
    told = from_messages(user(), assistant(content), user([result("a"), result("b")]))
    assert to_messages(told)[0]["messages"][1]["content"] == content


def test_bug_28_reasoning_details_are_echoed_and_go_back() -> None:
    message = whole_in_chat(
        {"type": "thinking", "thinking": SIGNED["text"], "signature": SIGNED["signature"]},
        {"type": "redacted_thinking", "data": SECRET["data"]},
        {"type": "text", "text": "t"},
    )["choices"][0]["message"]
    assert message["reasoning_details"] == [SIGNED, SECRET]
    assert message["reasoning_content"] == SIGNED["text"]
    body = to_messages(from_chat(user(), message, user()))[0]
    assert [block["type"] for block in body["messages"][1]["content"]] == ["thinking", "redacted_thinking", "text"]


def test_bug_29_a_clients_thinking_settings_pass_as_they_are() -> None:
    raw = b'{"type": "adaptive" ,"display":"omitted","new":[1.0]}'
    body = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}],"thinking":' + raw + b"}"
    assert raw in MESSAGES.pass_request(MESSAGES.open_request(body), Target(model="c", output_cap=9))


def test_bug_32_a_model_without_sampling_is_told_none() -> None:
    asked = from_chat(user(), temperature=0.2, top_p=0.9)
    body, dropped = to_messages(asked, ADAPTIVE)
    assert "temperature" not in body
    assert dropped == ("temperature", "top_p")
    assert to_messages(asked)[0]["temperature"] == 0.2


@pytest.mark.parametrize("arguments", ["", None, "{}", " "])
def test_bug_35_a_call_without_arguments_is_an_empty_object_both_ways(arguments: str | None) -> None:
    told = from_chat(
        user(),
        assistant(None, tool_calls=[call("a", arguments)]),
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    )
    assert to_messages(told)[0]["messages"][1]["content"][0]["input"] == {}
    body = whole_in_messages({"content": None, "tool_calls": [call("a", arguments)]})
    assert body["content"][0]["input"] == {}
    stream = ROLE + tool_delta(0, (arguments or "").strip(), "a", "f") + chunk({}, "stop") + DONE
    assert json.loads(content_of(in_messages(stream))[0]["input"]) == {}
    assert whole_in_chat(use("a"))["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == "{}"


FORCED = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize("choice", ["required", FORCED])
def test_bug_36_a_forced_tool_rules_out_thinking(choice: Any) -> None:
    asked = from_chat(user(), tools=[TOOL], tool_choice=choice, reasoning_effort="high")
    body, _ = to_messages(asked)
    assert "thinking" not in body
    assert body["tool_choice"]["type"] in ("any", "tool")
    body, _ = to_messages(asked, replace(ADAPTIVE, forced_tools=False))
    assert body["thinking"] == {"type": "adaptive"}
    assert body["tool_choice"] == {"type": "auto"}


def test_bug_37_thinking_that_gives_way_is_told() -> None:
    asked = from_chat(user(), tools=[TOOL], tool_choice="required", reasoning_effort="high")
    assert to_messages(asked)[1] == ("reasoning_effort",)
    assert to_messages(asked, replace(ADAPTIVE, forced_tools=False))[1] == ("tool_choice",)


PIXEL = {"type": "base64", "media_type": "image/png", "data": "AAAA"}


def test_bug_38_an_image_in_a_result_stays_an_image() -> None:
    content = [{"type": "text", "text": "see"}, {"type": "image", "source": PIXEL}]
    told = from_messages(user(), assistant([use("a")]), user([result("a", content)]))
    messages = to_chat(told)["messages"]
    assert messages[3]["content"][0]["image_url"]["url"] == "data:image/png;base64,AAAA"
    assert to_messages(told)[0]["messages"][2]["content"][0]["content"] == content


def test_bug_39_documents_survive_or_are_refused() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}
    told = from_messages(user([{"type": "document", "source": pdf, "title": "a.pdf"}]))
    part = to_chat(told)["messages"][0]["content"][0]
    assert part["file"] == {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}
    back = to_messages(from_chat(user([part])))[0]["messages"][0]["content"][0]
    assert back == {"type": "document", "source": pdf, "title": "a.pdf"}
    with pytest.raises(MiraError) as caught:
        to_chat(from_messages(user([{"type": "document", "source": {"type": "file", "file_id": "f"}}])))
    assert caught.value.kind is Kind.UNSUPPORTED


def test_bug_40_a_node_that_wants_its_reasoning_back_gets_it() -> None:
    stream = (
        ROLE + chunk({"reasoning_content": "because"}) + tool_delta(0, "{}", "a", "f") + chunk({}, "tool_calls") + DONE
    )
    blocks = content_of(in_messages(stream))
    blocks[1]["input"] = json.loads(blocks[1]["input"])
    told = from_messages(user(), assistant(blocks), user([result("a")]))
    assert to_chat(told, "deepseek")["messages"][1]["reasoning_content"] == "because"
    assert "reasoning_content" not in to_chat(told)["messages"][1]


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_bug_41_reasoning_is_read_under_both_names(name: str) -> None:
    assert content_of(in_messages(ROLE + chunk({name: "hm"}) + chunk({}, "stop") + DONE))[0]["thinking"] == "hm"
    assert whole_in_messages({"content": "x", name: "hm"})["content"][0]["thinking"] == "hm"


@pytest.mark.parametrize("name", ["stop_reason", "matched_stop"])
def test_bug_42_a_named_stop_sequence_is_named(name: str) -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", name: "END"}
    events = in_messages(ROLE + chunk({"content": "x"}) + chunk({}, choices=[choice]) + DONE)
    assert (events[-2]["delta"]["stop_reason"], events[-2]["delta"]["stop_sequence"]) == ("stop_sequence", "END")
    assert (
        whole_in_chat({"type": "text", "text": "x"}, stop_reason="stop_sequence", stop_sequence="END")["choices"][0][
            "finish_reason"
        ]
        == "stop"
    )


@pytest.mark.parametrize("kind", [Kind.BAD_KEY, Kind.MODEL_NOT_FOUND, Kind.TOO_LARGE, Kind.RATE_LIMITED, Kind.INTERNAL])
def test_bug_46_errors_of_messages_have_anthropics_envelope(kind: Kind) -> None:
    body = json.loads(MESSAGES.render_error(MiraError(kind, "No."), "req_1"))
    assert body == {
        "type": "error",
        "error": {"type": kind.value.anthropic_type, "message": "No."},
        "request_id": "req_1",
    }


WIDE = ROLE + chunk({"content": "漢字🙂é"}) + chunk({}, "stop") + DONE


def test_bug_51_a_character_may_be_cut_anywhere() -> None:
    expected, _ = through(WIDE, CHAT, MESSAGES)
    assert "漢字🙂é".encode() in expected
    for cut in range(len(WIDE)):
        assert through(WIDE, CHAT, MESSAGES, [cut])[0] == expected


@given(st.data())
def test_bug_51_any_split_of_the_golden_streams_gives_the_same_bytes(data: st.DataObject) -> None:
    for stream, node, client in ((CHAT_GOLDEN, CHAT, MESSAGES), (MESSAGES_GOLDEN, MESSAGES, CHAT)):
        cuts = data.draw(splits(len(stream)))
        assert through(stream, node, client, cuts)[0] == through(stream, node, client)[0]


def test_bug_52_strange_ids_are_told_in_plain_letters_and_come_back() -> None:
    strange = "functions.Bash:0"
    chat = [
        user(),
        assistant(None, tool_calls=[call(strange)]),
        {"role": "tool", "tool_call_id": strange, "content": "1"},
    ]
    messages = to_messages(from_chat(*chat))[0]["messages"]
    told = messages[1]["content"][0]["id"]
    assert set(told) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert messages[2]["content"][0]["tool_use_id"] == told
    blocks = content_of(in_messages(ROLE + tool_delta(0, "{}", strange, "f") + chunk({}, "tool_calls") + DONE))
    assert blocks[0]["id"] == told
    back = to_chat(from_messages(user(), assistant([use(told)]), user([result(told)])))["messages"]
    assert (back[1]["tool_calls"][0]["id"], back[2]["tool_call_id"]) == (strange, strange)


CHOICES = [
    ("none", None, {"type": "none"}),
    ("none", False, {"type": "none"}),
    ("auto", False, {"type": "auto", "disable_parallel_tool_use": True}),
    ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
    ("required", True, {"type": "any"}),
    (FORCED, False, {"type": "tool", "name": "f", "disable_parallel_tool_use": True}),
    (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
    (None, None, None),
]


@pytest.mark.parametrize(("choice", "parallel", "told"), CHOICES)
def test_bug_53_no_flag_stands_where_no_tool_is_called(choice: Any, parallel: bool | None, told: Any) -> None:
    asked = from_chat(user(), tools=[TOOL], tool_choice=choice, parallel_tool_calls=parallel)
    body = to_messages(asked)[0]
    assert body.get("tool_choice") == told
    without = from_chat(user(), tool_choice=choice, parallel_tool_calls=parallel)
    assert "tool_choice" not in to_messages(without)[0]


@pytest.mark.parametrize("capable", [True, False])
def test_bug_54_instructions_in_mid_conversation_stay_in_their_place(capable: bool) -> None:
    asked = from_chat(
        {"role": "system", "content": "s"}, user("a"), {"role": "system", "content": "now"}, assistant("b"), user("c")
    )
    body = to_messages(asked, ADAPTIVE if capable else UNKNOWN)[0]
    assert body["system"] == "s"
    if capable:
        assert [message["role"] for message in body["messages"]] == ["user", "system", "assistant", "user"]
    else:
        assert [part["text"] for part in body["messages"][0]["content"]] == ["a", "<system>\nnow\n</system>"]
    back = from_messages(user("a"), {"role": "system", "content": "now"}, assistant("b"), user("c"))
    assert [message["role"] for message in to_chat(back)["messages"]] == ["user", "system", "assistant", "user"]


@pytest.mark.parametrize(("mode", "told"), [("auto", "auto"), ("required", "any")])
def test_bug_55_allowed_tools_are_the_only_ones_told(mode: str, told: str) -> None:
    other = {"type": "function", "function": {"name": "g"}}
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [FORCED]}}
    body = to_messages(from_chat(user(), tools=[TOOL, other], tool_choice=allowed))[0]
    assert [tool["name"] for tool in body["tools"]] == ["f"]
    assert body["tool_choice"] == {"type": told}
    back = to_chat(
        from_messages(user(), tools=[OWN_TOOL], tool_choice={"type": "any", "disable_parallel_tool_use": True})
    )
    assert (back["tool_choice"], back["parallel_tool_calls"]) == ("required", False)


def test_bug_56_a_chunk_of_usage_alone_is_the_usage() -> None:
    last = chunk({}, choices=[], usage=USAGE)
    events = in_messages(ROLE + chunk({"content": "x"}) + chunk({}, "stop") + last + DONE)
    assert events[-2]["usage"]["cache_read_input_tokens"] == 30


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_bug_58_comments_and_line_ends_do_not_matter(ends: bytes) -> None:
    noisy = CHAT_GOLDEN.replace(b"data: {", b": OPENROUTER PROCESSING\n\ndata: {").replace(b"\n", ends)
    assert through(noisy, CHAT, MESSAGES)[0] == through(CHAT_GOLDEN, CHAT, MESSAGES)[0]
    noisy = MESSAGES_GOLDEN.replace(b"event: ", b": hi\n\nevent: ").replace(b"\n", ends)
    assert through(noisy, MESSAGES, CHAT)[0] == through(MESSAGES_GOLDEN, MESSAGES, CHAT)[0]


def tool_message(call_id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": call_id}


IDS = st.sampled_from(["a", "b", "c"])
CHAT_TURNS = st.lists(
    st.just(user())
    | st.lists(IDS, min_size=1, max_size=2).map(lambda ids: assistant(None, tool_calls=[call(one) for one in ids]))
    | IDS.map(tool_message)
    | st.just(assistant("t"))
    | st.just({"role": "system", "content": "s"}),
    min_size=1,
    max_size=8,
).map(lambda turns: [*turns, user("last")])


@given(CHAT_TURNS, st.sampled_from([UNKNOWN, ADAPTIVE]))
def test_bug_63_every_call_has_its_result_directly_behind_it(turns: list[dict[str, Any]], can: Capabilities) -> None:
    messages = to_messages(from_chat(*turns), can)[0]["messages"]
    for index, message in enumerate(messages):
        blocks = message["content"] if isinstance(message["content"], list) else []
        calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        before = messages[index - 1]["content"] if index else []
        open_calls = {block["id"] for block in before if isinstance(block, dict) and block["type"] == "tool_use"}
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert sorted(results) == sorted(open_calls)
        assert [block["type"] for block in blocks[: len(results)]] == ["tool_result"] * len(results)
        assert len(calls) == len(set(calls))
    everything = json.dumps(messages)
    for turn in turns:
        if turn["role"] == "tool":
            assert f'"{turn["content"]}"' in everything


LONG = "mcp__server__" + "x" * 70


def test_bug_64_long_names_are_told_short_and_come_back() -> None:
    asked = from_chat(
        user(),
        tools=[{"type": "function", "function": {"name": LONG}}],
        tool_choice={"type": "function", "function": {"name": LONG}},
    )
    body = to_messages(asked)[0]
    short = body["tools"][0]["name"]
    assert len(short) <= 64
    assert body["tool_choice"]["name"] == short
    stream = (
        frame("message_start", message={"model": "m", "id": "i", "usage": {"input_tokens": 1, "output_tokens": 1}})
        + frame(
            "content_block_start", index=0, content_block={"type": "tool_use", "id": "a", "name": short, "input": {}}
        )
        + frame("content_block_stop", index=0)
        + frame("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 1})
    )
    out, _ = through(stream, MESSAGES, CHAT, request=asked)
    assert LONG.encode() in out


def test_bug_65_empty_text_is_left_out() -> None:
    empty = {"type": "text", "text": ""}
    told = from_messages(
        user([empty, {"type": "text", "text": "x"}]), assistant([empty, use("a")]), user([result("a"), empty])
    )
    messages = to_messages(told)[0]["messages"]
    assert messages[0] == user("x")
    assert [block["type"] for block in messages[1]["content"]] == ["tool_use"]
    assert [block["type"] for block in messages[2]["content"]] == ["tool_result"]
    assert to_chat(told)["messages"][0]["content"] == "x"


def test_bug_66_thinking_switched_off_is_off() -> None:
    assert to_chat(from_messages(user(), thinking={"type": "disabled"}))["reasoning_effort"] == "none"
    assert to_messages(from_chat(user(), reasoning_effort="none"), ADAPTIVE)[0]["thinking"] == {"type": "disabled"}


def test_bug_69_a_billing_nonce_does_not_reach_other_vendors() -> None:
    def asked(nonce: str) -> Conversation:
        blocks = [
            {"type": "text", "text": f"x-anthropic-billing-header: cch={nonce};"},
            {"type": "text", "text": "be good"},
        ]
        return from_messages(user(), system=blocks)

    first, _ = CHAT.render_request(asked("a1"), Target(model="m", output_cap=9))
    assert first == CHAT.render_request(asked("b2"), Target(model="m", output_cap=9))[0]
    assert b"be good" in first
    body = b'{"model":"m","max_tokens":9,"system":"x-anthropic-billing-header: cch=a1;","messages":[{"role":"user","content":"x"}]}'
    assert b"cch=a1" in MESSAGES.pass_request(MESSAGES.open_request(body), Target(model="c", output_cap=9))


def test_bug_71_a_prompt_that_is_too_long_is_told_in_the_clients_words() -> None:
    words = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
    error = CHAT.parse_error(400, json.dumps({"error": {"message": words, "code": "context_length_exceeded"}}).encode())
    assert (
        json.loads(MESSAGES.render_error(error, "r"))["error"]["message"]
        == "prompt is too long: 9000 tokens > 8192 maximum"
    )
    told = b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 5 maximum"}}'
    assert (
        json.loads(CHAT.render_error(MESSAGES.parse_error(400, told), "r"))["error"]["code"]
        == "context_length_exceeded"
    )


FINISHES = [
    ("stop", "end_turn"),
    ("length", "max_tokens"),
    ("content_filter", "refusal"),
    ("tool_calls", "end_turn"),
]


@pytest.mark.parametrize(("finish", "reason"), FINISHES)
def test_reasons_of_chat_become_those_of_messages(finish: str, reason: str) -> None:
    assert whole_in_messages({"content": "x"}, finish)["stop_reason"] == reason
    assert in_messages(ROLE + chunk({"content": "x"}) + chunk({}, finish) + DONE)[-2]["delta"]["stop_reason"] == reason


REASONS = [
    ("end_turn", "stop"),
    ("stop_sequence", "stop"),
    ("pause_turn", "stop"),
    ("max_tokens", "length"),
    ("model_context_window_exceeded", "length"),
    ("refusal", "content_filter"),
]


@pytest.mark.parametrize(("reason", "finish"), REASONS)
def test_reasons_of_messages_become_those_of_chat(reason: str, finish: str) -> None:
    assert whole_in_chat({"type": "text", "text": "x"}, stop_reason=reason)["choices"][0]["finish_reason"] == finish


def test_the_golden_streams_translate_into_each_other() -> None:
    blocks = content_of(in_messages(CHAT_GOLDEN))
    calls = [block for block in blocks if block["type"] == "tool_use"]
    assert all(isinstance(json.loads(block["input"]), dict) for block in calls)
    chunks = in_chat(MESSAGES_GOLDEN)
    text = "".join(choice["delta"].get("content") or "" for one in chunks for choice in one["choices"])
    assert text == "Hi ✓"
    assert chunks[-1]["usage"]["completion_tokens"] == 5
    first = through(CHAT_GOLDEN, CHAT, MESSAGES)[0]
    assert msgspec.json.decode(through(first, MESSAGES, CHAT)[0].split(b"\n\n")[0][6:])["id"] == "answer_1"


def test_a_request_of_claude_code_reaches_a_chat_node() -> None:
    told = from_messages(
        user([{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]),
        assistant([{"type": "thinking", "thinking": "t", "signature": "s"}, use("toolu_1", {"a": 1})]),
        user([result("toolu_1", is_error=True), {"type": "text", "text": "go"}]),
        system=[{"type": "text", "text": "be good"}],
        tools=[{**OWN_TOOL, "defer_loading": True, "strict": True}],
        thinking={"type": "enabled", "budget_tokens": 5000},
        metadata={"user_id": "u"},
        stop_sequences=["END"],
        stream=True,
    )
    body = to_chat(told, "openai")
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "tool", "user"]
    assert body["messages"][3]["content"] == "Error: 1"
    assert body["messages"][2]["tool_calls"][0]["function"]["arguments"] == '{"a":1}'
    assert body["tools"][0]["function"]["strict"] is True
    assert (body["reasoning_effort"], body["stop"], body["stream"]) == ("medium", ["END"], True)
    assert body["stream_options"] == {"include_usage": True}
    assert len(body["safety_identifier"]) == 64


def essence(told: Conversation) -> list[tuple[str, ...]]:
    """What must survive any translation: who said what, which calls with which input, which results to which call."""
    out: list[tuple[str, ...]] = []
    for turn in told.turns:
        match turn:
            case c.ToolTurn():
                out += [("result", one.call_id, "".join(part.text for part in one.parts)) for one in turn.results]
            case c.AssistantTurn():
                out += [("call", part.id, part.name, part.input) for part in turn.parts if isinstance(part, c.ToolCall)]
                out.append(("assistant", "".join(part.text for part in turn.parts if isinstance(part, c.Text))))
            case c.UserTurn() | c.SystemTurn():
                role = "system" if isinstance(turn, c.SystemTurn) else "user"
                out.append((role, "".join(part.text for part in turn.parts)))
    return out


SAID = st.text(st.characters(codec="utf-8"), max_size=8).map(lambda text: f"w{text}w")
EXCHANGES = st.lists(
    st.tuples(SAID, st.lists(st.dictionaries(NAMES, SAID, max_size=2), max_size=3), SAID), min_size=1, max_size=3
)


def conversation(exchanges: list[tuple[str, list[dict[str, str]], str]]) -> Conversation:
    turns: list[c.Turn] = [c.SystemTurn(parts=(c.Text(text="system"),))]
    for number, (asked, inputs, answered) in enumerate(exchanges):
        turns.append(c.UserTurn(parts=(c.Text(text=asked),)))
        if inputs:
            calls = [
                c.ToolCall(id=f"{number}:{place}", name="f", input=msgspec.json.encode(given).decode())
                for place, given in enumerate(inputs)
            ]
            turns.append(c.AssistantTurn(parts=(c.Text(text="calling"), *calls)))
            results = [c.ToolResult(call_id=call.id, parts=(c.Text(text=call.id),)) for call in reversed(calls)]
            turns.append(c.ToolTurn(results=tuple(results)))
        turns.append(c.AssistantTurn(parts=(c.Text(text=answered),)))
    return Conversation(model="m", turns=(*turns, c.UserTurn(parts=(c.Text(text="last"),))))


@given(EXCHANGES, st.booleans())
def test_there_and_back_again_keeps_text_calls_ids_and_results(
    exchanges: list[tuple[str, list[dict[str, str]], str]], chat_first: bool
) -> None:
    told = conversation(exchanges)
    expected = essence(told)
    for codec in (CHAT, MESSAGES, CHAT) if chat_first else (MESSAGES, CHAT, MESSAGES):
        body, dropped = codec.render_request(told, Target(model="n", output_cap=9))
        assert dropped == ()
        told = codec.parse_request(codec.open_request(body))
        assert essence(told) == expected


PARTS = st.lists(
    st.builds(c.Text, text=SAID)
    | st.builds(c.Reasoning, text=SAID, signature=st.none() | NAMES, format=st.just("anthropic-claude-v1"))
    | st.builds(c.Reasoning, kind=st.just("encrypted"), data=NAMES, format=st.just("openai-responses-v1"))
    | st.builds(c.ToolCall, id=NAMES, name=NAMES, input=st.just('{"a":1.50}'), signature=st.none() | NAMES)
    | st.builds(c.ToolCall, id=NAMES, name=NAMES, input=SAID, kind=st.just("custom")),
    max_size=5,
    unique_by=lambda part: getattr(part, "id", None) or object(),
)


def steps(parts: list[c.AssistantPart]) -> list[e.Event]:
    """The events that say these parts one after the other."""
    events: list[e.Event] = [e.Start(model="m")]
    calls = thoughts = 0
    for place, part in enumerate(parts):
        match part:
            case c.Text():
                events.append(e.TextDelta(text=part.text, block=place))
            case c.Reasoning():
                said = {"text": part.text, "signature": part.signature or "", "data": part.data or ""}
                events.append(e.ReasoningDelta(block=thoughts, kind=part.kind, format=part.format, **said))
                thoughts += 1
            case c.ToolCall():
                head = {"id": part.id, "name": part.name, "kind": part.kind, "signature": part.signature}
                events += [e.ToolCallStart(index=calls, **head), e.ToolCallDelta(index=calls, fragment=part.input)]
                calls += 1
    return [*events, e.Finish(reason=c.FinishReason.TOOL_CALLS if calls else c.FinishReason.STOP)]


@given(PARTS)
def test_a_stream_adds_up_to_the_whole_answer(parts: list[c.AssistantPart]) -> None:
    context = Context(answer_id="msg_1", created_s=1)
    encoder = MESSAGES.encoder(context)
    out = b"".join([encoder.feed(event) for event in steps(parts)]) + encoder.finish(Usage(), None)
    events = check_messages_stream(out)
    blocks = content_of(events)
    calls = any(isinstance(part, c.ToolCall) for part in parts)
    finish = c.FinishReason.TOOL_CALLS if calls else c.FinishReason.STOP
    answer = c.Answer(id="x", model="m", choices=(c.Choice(parts=tuple(parts), finish=finish),))
    body = json.loads(MESSAGES.render_answer(answer, context, None))
    for block in blocks:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block["input"])
    assert blocks == [
        {name: value for name, value in block.items() if name != "citations"} for block in body["content"]
    ]
    assert events[-2]["delta"]["stop_reason"] == body["stop_reason"]
    assert events[-2]["usage"] == body["usage"]


def test_the_prompts_counts_of_a_cut_stream_are_kept() -> None:
    _, machine = through(MESSAGES_GOLDEN[:700], MESSAGES, CHAT)
    assert machine.usage is None
    assert machine.tally().prompt is not None
    assert machine.tally().prompt.cache_read_tokens == 4
