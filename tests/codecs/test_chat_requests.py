"""What Chat Completions promises of requests: nothing is lost in translation, and what passes through stays as it was."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generators.conversations import CAPABILITIES, THOROUGHLY, conversations

from mira.codecs.chat import CHAT
from mira.codecs.chat.dialects import DIALECTS, dialect_of
from mira.codecs.chat.express import express
from mira.codecs.codec import Target
from mira.core import conversation as c
from mira.core.capabilities import UNKNOWN, Capabilities
from mira.errors import Kind, MiraError


def target(dialect: str = "", cap_field: str = "max_tokens", capabilities: Capabilities = UNKNOWN) -> Target:
    return Target(model="node-model", output_cap=77, cap_field=cap_field, dialect=dialect, capabilities=capabilities)


@THOROUGHLY
@given(conversations(), st.sampled_from(sorted(DIALECTS)), CAPABILITIES)
def test_what_is_rendered_is_what_can_be_expressed(
    conversation: c.Conversation, dialect: str, capabilities: Capabilities
) -> None:
    node = target(dialect, capabilities=capabilities)
    told, dropped = express(conversation, node, dialect_of(dialect))
    body, reported = CHAT.render_request(conversation, node)
    assert reported == dropped
    assert CHAT.parse_request(CHAT.open_request(body)) == told


@given(conversations(), st.sampled_from(sorted(DIALECTS)), CAPABILITIES)
def test_expressing_twice_changes_nothing(
    conversation: c.Conversation, dialect: str, capabilities: Capabilities
) -> None:
    node = target(dialect, capabilities=capabilities)
    once, _ = express(conversation, node, dialect_of(dialect))
    twice, dropped = express(once, node, dialect_of(dialect))
    assert twice == once
    assert dropped == ()


@given(conversations())
def test_rendering_twice_gives_the_same_bytes(conversation: c.Conversation) -> None:
    assert CHAT.render_request(conversation, target("mira")) == CHAT.render_request(conversation, target("mira"))


BODY = (
    b'{ "temperature": 1.0, "model":"openai/gpt-4o", "messages" : [ {"role":"user","content":"h\\u0069"} ],'
    b' "max_completion_tokens": 5, "x_new": {"b":1,  "a":[1.50]}, "stream": true,'
    b' "stream_options": {"include_obfuscation":false}, "seed": 1, "seed": 2, "mira_note": 1}'
)


def test_a_passed_request_changes_only_what_it_must() -> None:
    out = CHAT.pass_request(CHAT.open_request(BODY), target())
    assert out == (
        b'{"temperature":1.0,"model":"node-model","messages":[ {"role":"user","content":"h\\u0069"} ],'
        b'"x_new":{"b":1,  "a":[1.50]},"stream":true,'
        b'"stream_options":{"include_obfuscation":false,"include_usage":true},"seed":2,"max_tokens":77}'
    )


def test_a_passed_request_leaves_its_envelope_for_the_next_node() -> None:
    envelope = CHAT.open_request(BODY)
    first = CHAT.pass_request(envelope, target())
    other = CHAT.pass_request(envelope, target(cap_field="max_completion_tokens"))
    assert b'"max_completion_tokens":77' in other
    assert b'"max_tokens"' not in other
    assert CHAT.pass_request(envelope, target()) == first


def test_a_request_without_stream_gets_no_stream_options() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
    assert CHAT.pass_request(CHAT.open_request(body), target()) == (
        b'{"model":"node-model","messages":[{"role":"user","content":"x"}],"max_tokens":77}'
    )


SIGNED = (
    b'{"model":"m","messages":[{"role":"assistant","content":null,"reasoning_content":"Hm.","reasoning_details":'
    b'[{"type":"reasoning.text","text":"Hm.","signature":"c2ln","format":"anthropic-claude-v1","index":0}],"tool_calls":'
    b'[{"id":"c","type":"function","function":{"name":"f","arguments":"{ }"},'
    b'"extra_content":{"google":{"thought_signature":"Z29v"}}}]},{"role":"tool","tool_call_id":"c","content":"1.50"}]}'
)


@pytest.mark.parametrize(
    ("dialect", "thinking", "calls"),
    [
        ("", False, False),
        ("vllm", False, False),
        ("openrouter", True, False),
        ("google", False, True),
        ("mira", True, True),
    ],
)
def test_what_was_signed_passes_only_to_nodes_that_take_it_back(dialect: str, thinking: bool, calls: bool) -> None:
    out = CHAT.pass_request(CHAT.open_request(SIGNED), target(dialect))
    assert (b'"signature":"c2ln"' in out) == thinking
    assert (b'"thought_signature":"Z29v"' in out) == calls
    assert b'"reasoning_content":"Hm."' in out
    assert b'"function":{"name":"f","arguments":"{ }"}' in out
    assert b'{"role":"tool","tool_call_id":"c","content":"1.50"}' in out


def test_an_opened_request_tells_what_admission_needs() -> None:
    envelope = CHAT.open_request(BODY)
    assert (envelope.model, envelope.stream, envelope.include_usage) == ("openai/gpt-4o", True, False)
    assert (envelope.output_cap, envelope.choices, envelope.media_parts, envelope.uses_tools) == (5, 1, 0, False)
    assert envelope.input_bytes == len(BODY)


def test_the_smaller_of_two_caps_counts() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":9,"max_completion_tokens":7}'
    assert CHAT.open_request(body).output_cap == 7


def test_media_are_counted_apart_from_the_text() -> None:
    data = "A" * 10_000
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + data}},
        {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64," + data}},
    ]
    envelope = CHAT.open_request(json.dumps({"model": "m", "messages": [{"role": "user", "content": parts}]}).encode())
    assert envelope.media_parts == 4
    assert 100 < envelope.input_bytes < 1000


def test_nesting_of_64_levels_is_taken_and_brackets_in_strings_do_not_count() -> None:
    deep = "[" * 63 + "]" * 63
    text = json.dumps("[{" * 500 + '\\"' * 9)
    body = f'{{"model":"m","messages":[{{"role":"user","content":{text}}}],"x":{deep}}}'.encode()
    assert CHAT.open_request(body).model == "m"


def test_legacy_functions_become_tools() -> None:
    body = json.dumps(
        {
            "model": "m",
            "messages": [
                {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
                {"role": "function", "name": "f", "content": "4"},
            ],
            "functions": [{"name": "f", "parameters": {"type": "object"}}],
            "function_call": {"name": "f"},
        }
    ).encode()
    told = CHAT.parse_request(CHAT.open_request(body))
    assert told.legacy_functions
    assert told.tool_choice == c.NamedTool("f")
    assert [tool.name for tool in told.tools] == ["f"]
    call = told.turns[0].parts[0]
    assert call.input == "{}"
    assert told.turns[1].results[0].call_id == call.id


def test_parallel_tools_keep_their_ids_order_and_pairing() -> None:
    messages = [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                {"id": "call_b", "type": "function", "function": {"name": "g", "arguments": ""}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_b", "content": "B"},
        {"role": "tool", "tool_call_id": "call_a", "content": "A"},
        {"role": "user", "content": "go on"},
    ]
    told = CHAT.parse_request(CHAT.open_request(json.dumps({"model": "m", "messages": messages}).encode()))
    assert [type(turn) for turn in told.turns] == [c.AssistantTurn, c.ToolTurn, c.UserTurn]
    assert [result.call_id for result in told.turns[1].results] == ["call_b", "call_a"]
    assert [call.input for call in told.turns[0].parts] == ['{"x":1}', "{}"]


def test_an_unset_cache_mark_is_never_written_as_null() -> None:
    told = c.Conversation(model="m", turns=(c.UserTurn(parts=(c.Text(text="a"), c.Text(text="b"))),))
    body, _ = CHAT.render_request(told, target("mira"))
    assert b"null" not in body


def test_a_mark_on_a_message_is_read_as_a_mark_on_its_last_part() -> None:
    message = {"role": "user", "content": "x", "cache_control": {"type": "ephemeral"}}
    told = CHAT.parse_request(CHAT.open_request(json.dumps({"model": "m", "messages": [message]}).encode()))
    assert told.turns[0].parts[-1].cache == c.CacheMark()


def test_what_a_node_cannot_take_is_reported() -> None:
    told = c.Conversation(
        model="m",
        turns=(c.UserTurn(parts=(c.Text(text="a"),)),),
        sampling=c.Sampling(top_k=3),
        tools=(c.ProviderTool(format="anthropic", name="web_search", data=msgspec.Raw(b"{}")),),
        tool_choice=c.ToolMode.REQUIRED,
        parallel_tool_calls=False,
        origin="messages",
        extras={"context_management": msgspec.Raw(b"{}")},
    )
    body, dropped = CHAT.render_request(told, target())
    assert dropped == ("context_management", "tools.web_search", "top_k")
    assert b"parallel_tool_calls" not in body
    assert b"tool_choice" not in body


def test_a_file_of_another_provider_is_refused() -> None:
    part = c.Document(source=c.FileRef(file_id="file_1", format="anthropic"))
    with pytest.raises(MiraError) as caught:
        CHAT.render_request(c.Conversation(model="m", turns=(c.UserTurn(parts=(part,)),)), target())
    assert caught.value.kind is Kind.UNSUPPORTED


def test_media_in_a_tool_result_move_behind_it() -> None:
    image = c.Image(source=c.Inline("image/png", "AAAA"))
    told = c.Conversation(
        model="m",
        turns=(
            c.AssistantTurn(parts=(c.ToolCall(id="a", name="f", input="{}"),)),
            c.ToolTurn(results=(c.ToolResult(call_id="a", parts=(image,)),)),
            c.UserTurn(parts=(c.Text(text="and?"),)),
        ),
    )
    messages = json.loads(CHAT.render_request(told, target())[0])["messages"]
    assert messages[1]["content"] == "[image attached below]"
    assert messages[2]["content"][0]["type"] == "image_url"
    assert messages[2]["content"][1]["text"] == "and?"
