"""Requests and whole answers between Messages and Chat Completions: known ways to corrupt agents, by row.

The numbers are those of the reference's table of known bugs (`wire.md`, section 6).
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.crossing import (
    ADAPTIVE,
    OWN_TOOL,
    SIGNED,
    TOOL,
    assistant,
    call,
    from_chat,
    from_messages,
    result,
    to_chat,
    to_messages,
    use,
    user,
)

from mira.codecs.chat import CHAT
from mira.codecs.codec import Target
from mira.codecs.messages import MESSAGES
from mira.core.capabilities import UNKNOWN, Capabilities
from mira.core.conversation import Conversation
from mira.errors import Kind, MiraError


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


@pytest.mark.parametrize("kind", [Kind.BAD_KEY, Kind.MODEL_NOT_FOUND, Kind.TOO_LARGE, Kind.RATE_LIMITED, Kind.INTERNAL])
def test_bug_46_errors_of_messages_have_anthropics_envelope(kind: Kind) -> None:
    body = json.loads(MESSAGES.render_error(MiraError(kind, "No."), "req_1"))
    assert body == {
        "type": "error",
        "error": {"type": kind.value.anthropic_type, "message": "No."},
        "request_id": "req_1",
    }


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
