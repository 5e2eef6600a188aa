"""Streams between Messages and Chat Completions: known ways to corrupt agents, by row.

The numbers are those of the reference's table of known bugs (`wire.md`, section 6).
"""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generators.conversations import splits
from tests.grammar.chat import check_chat_stream
from tests.grammar.messages import check_messages_stream, content_of
from tests.support.crossing import (
    CHAT_GOLDEN,
    DONE,
    MESSAGES_GOLDEN,
    ROLE,
    SECRET,
    SIGNED,
    TWO_CALLS,
    USAGE,
    assistant,
    call,
    chunk,
    frame,
    from_chat,
    from_messages,
    in_chat,
    in_messages,
    result,
    through,
    to_chat,
    to_messages,
    tool_delta,
    use,
    user,
    whole_in_chat,
    whole_in_messages,
)

from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec, Target
from mira.codecs.messages import MESSAGES
from mira.core.usage import Usage
from mira.errors import Kind


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
