"""What Responses promises of requests: nothing is lost in translation, and what passes through stays as it was."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generators.conversations import CAPABILITIES, THOROUGHLY, conversations

from mira.codecs.carried import carry
from mira.codecs.codec import Target
from mira.codecs.responses import RESPONSES
from mira.codecs.responses.dialects import DIALECTS, dialect_of
from mira.codecs.responses.express import express
from mira.core import conversation as c
from mira.core.capabilities import Capabilities
from mira.errors import Kind, MiraError

NATIVE = "openai-responses-v1"


def target(dialect: str = "", capabilities: Capabilities = Capabilities()) -> Target:  # noqa: B008
    return Target(model="node-model", output_cap=77, dialect=dialect, capabilities=capabilities)


def parsed(body: dict[str, Any]) -> c.Conversation:
    return RESPONSES.parse_request(RESPONSES.open_request(json.dumps({"model": "m", **body}).encode()))


def items(*told: dict[str, Any], **more: Any) -> c.Conversation:
    return parsed({"input": list(told), **more})


def silent(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(part for part in parts if not isinstance(part, c.Audio))


@st.composite
def native_thoughts(draw: st.DrawFn) -> tuple[c.Reasoning, ...]:
    """Reasoning as OpenAI's own items hold it."""
    own = {"format": NATIVE, "id": draw(st.none() | st.sampled_from(["rs_1", "rs_2"]))}
    kinds = draw(st.lists(st.sampled_from(["summary", "text"]), max_size=3))
    blocks = [c.Reasoning(kind=kind, text="t", **own) for kind in kinds]
    return (*blocks, *([c.Reasoning(kind="encrypted", data="gAAA", **own)] if draw(st.booleans()) else []))


@st.composite
def sayable(draw: st.DrawFn, dialect: str) -> c.Conversation:
    """Any conversation but for what this protocol refuses by name."""
    told = draw(conversations())
    sampling = msgspec.structs.replace(told.sampling, n=None, logprobs=None, top_logprobs=None, stop=())
    turns: list[c.Turn] = []
    for turn in told.turns:
        match turn:
            case c.UserTurn() if not dialect_of(dialect).carries:
                turns.append(msgspec.structs.replace(turn, parts=silent(turn.parts)))
            case c.ToolTurn() if not dialect_of(dialect).carries:
                results = tuple(msgspec.structs.replace(each, parts=silent(each.parts)) for each in turn.results)
                turns.append(c.ToolTurn(results=results))
            case c.AssistantTurn():
                place = draw(st.integers(0, len(turn.parts)))
                own = draw(native_thoughts())
                turns.append(c.AssistantTurn(parts=(*turn.parts[:place], *own, *turn.parts[place:])))
            case _:
                turns.append(turn)
    return msgspec.structs.replace(told, turns=tuple(turns), sampling=sampling)


@THOROUGHLY
@given(st.data(), st.sampled_from(sorted(DIALECTS)))
def test_what_is_rendered_is_what_can_be_expressed(data: st.DataObject, dialect: str) -> None:
    conversation, node = data.draw(sayable(dialect)), target(dialect, data.draw(CAPABILITIES))
    told, dropped = express(conversation, node, dialect_of(dialect))
    body, reported = RESPONSES.render_request(conversation, node)
    assert reported == dropped
    assert RESPONSES.parse_request(RESPONSES.open_request(body)) == told


@given(st.data(), st.sampled_from(sorted(DIALECTS)))
def test_expressing_twice_changes_nothing(data: st.DataObject, dialect: str) -> None:
    node = target(dialect, data.draw(CAPABILITIES))
    once, _ = express(data.draw(sayable(dialect)), node, dialect_of(dialect))
    twice, dropped = express(once, node, dialect_of(dialect))
    assert twice == once
    assert dropped == ()


@given(st.data())
def test_rendering_twice_gives_the_same_bytes(data: st.DataObject) -> None:
    conversation = data.draw(sayable("openai"))
    first = RESPONSES.render_request(conversation, target("openai"))
    assert first == RESPONSES.render_request(conversation, target("openai"))


@given(conversations(), st.sampled_from(sorted(DIALECTS)))
def test_a_conversation_is_rendered_or_refused_by_the_fields_name(conversation: c.Conversation, dialect: str) -> None:
    sampling = conversation.sampling
    refused = (sampling.n or 1) > 1 or sampling.logprobs or sampling.top_logprobs or sampling.stop
    if refused:
        with pytest.raises(MiraError) as caught:
            RESPONSES.render_request(conversation, target(dialect))
        assert caught.value.kind is Kind.UNSUPPORTED
        assert caught.value.param in ("n", "logprobs", "stop", "stop_sequences", "messages")


BODY = (
    b'{ "temperature": 1.0, "model":"openai/gpt-5", "input" : [ {"type":"message","role":"user","content":"h\\u0069"} ],'
    b' "max_output_tokens": 5, "x_new": {"b":1,  "a":[1.50]}, "stream": true, "store": false, "store": true,'
    b' "mira_note": 1}'
)


def test_a_passed_request_changes_only_what_it_must() -> None:
    assert RESPONSES.pass_request(RESPONSES.open_request(BODY), target()) == (
        b'{"temperature":1.0,"model":"node-model","input":[ {"type":"message","role":"user","content":"h\\u0069"} ],'
        b'"max_output_tokens":77,"x_new":{"b":1,  "a":[1.50]},"stream":true,"store":true}'
    )


def test_a_passed_request_leaves_what_mira_packed_for_others() -> None:
    packed = carry(c.Reasoning(text="hm", signature="sig", format="anthropic-claude-v1"))
    own = b'{"type":"reasoning","summary":[],"encrypted_content":"gAAA"}'
    other = b'{"type":"reasoning","summary":[],"encrypted_content":"%b"}' % packed.encode()
    said = b'{"role":"user","content":"x"}'
    body = b'{"model":"m","input":[%b,%b, %b]}' % (own, other, said)
    envelope = RESPONSES.open_request(body)
    assert json.loads(RESPONSES.pass_request(envelope, target("openai")))["input"] == [
        json.loads(own),
        json.loads(said),
    ]
    assert packed.encode() in RESPONSES.pass_request(envelope, target("mira"))


def test_an_opened_request_tells_what_admission_needs() -> None:
    envelope = RESPONSES.open_request(BODY)
    assert (envelope.model, envelope.stream, envelope.include_usage) == ("openai/gpt-5", True, True)
    assert (envelope.output_cap, envelope.choices, envelope.media_parts, envelope.uses_tools) == (16, 1, 0, False)
    assert envelope.input_bytes == len(BODY)


def test_media_are_counted_apart_from_the_text() -> None:
    data = "A" * 10_000
    parts = [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": "data:image/png;base64," + data},
        {"type": "input_image", "image_url": "https://example.com/x.png"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64," + data},
    ]
    body = [{"role": "user", "content": parts}, {"type": "function_call_output", "call_id": "a", "output": parts[1:2]}]
    envelope = RESPONSES.open_request(json.dumps({"model": "m", "input": body}).encode())
    assert envelope.media_parts == 4
    assert 100 < envelope.input_bytes < 1000


def test_consecutive_items_of_the_model_are_one_turn() -> None:
    told = items(
        {"role": "user", "content": "go"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
         "encrypted_content": "gAAA"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "let me"}]},
        {"type": "function_call", "call_id": "call_a", "name": "f", "arguments": '{"x":1}', "namespace": "ns"},
        {"type": "custom_tool_call", "call_id": "call_b", "name": "patch", "input": "*** go"},
        {"type": "custom_tool_call_output", "call_id": "call_b", "output": "B"},
        {"type": "function_call_output", "call_id": "call_a", "output": [{"type": "input_text", "text": "A"}]},
        {"role": "user", "content": "on"},
        instructions="be brief",
    )  # fmt: skip
    assert told.turns == (
        c.SystemTurn(parts=(c.Text(text="be brief"),)),
        c.UserTurn(parts=(c.Text(text="go"),)),
        c.AssistantTurn(
            parts=(
                c.Reasoning(kind="summary", text="hm", format=NATIVE, id="rs_1"),
                c.Reasoning(kind="encrypted", data="gAAA", format=NATIVE, id="rs_1"),
                c.Text(text="let me"),
                c.ToolCall(id="call_a", name="f", input='{"x":1}', namespace="ns"),
                c.ToolCall(id="call_b", name="patch", input="*** go", kind="custom"),
            )
        ),
        c.ToolTurn(
            results=(
                c.ToolResult(call_id="call_b", parts=(c.Text(text="B"),), kind="custom"),
                c.ToolResult(call_id="call_a", parts=(c.Text(text="A"),)),
            )
        ),
        c.UserTurn(parts=(c.Text(text="on"),)),
    )


def test_a_later_definition_takes_the_place_of_the_earlier() -> None:
    first = {"type": "function", "name": "f", "description": "old", "parameters": {}, "strict": None}
    told = items(
        {"type": "additional_tools", "role": "developer", "tools": [{**first, "description": "new"}]},
        {"role": "user", "content": "x"},
        tools=[first, {**first, "name": "g"}],
    )
    assert [(tool.name, tool.description) for tool in told.tools] == [("f", "new"), ("g", "old")]


def test_thinking_of_others_comes_back_byte_for_byte_and_only_then() -> None:
    block = c.Reasoning(text="höm\n", signature="sig+/=", format="anthropic-claude-v1", id="x")
    redacted = c.Reasoning(kind="encrypted", data="zzz", format="anthropic-claude-v1")
    packed = {"type": "reasoning", "id": "rs_9", "summary": [{"type": "summary_text", "text": "edited"}]}
    told = items(
        {**packed, "encrypted_content": carry(block)},
        {**packed, "encrypted_content": carry(redacted)},
        {**packed, "encrypted_content": "mira1:damaged"},
    )
    blocks = told.turns[0].parts
    assert blocks[:2] == (block, redacted)
    assert blocks[2] == c.Reasoning(kind="summary", text="edited", format=NATIVE, id="rs_9")
    body, _ = RESPONSES.render_request(told, target("openai"))
    assert b"reasoning" not in body.replace(b"reasoning.encrypted_content", b"")


def test_a_signed_call_is_restored_from_the_item_before_it() -> None:
    call = c.ToolCall(id="call_a", name="f", input="{}", signature="thought")
    said = c.Conversation(model="m", turns=(c.AssistantTurn(parts=(call,)),))
    body, _ = RESPONSES.render_request(said, target("mira"))
    assert RESPONSES.parse_request(RESPONSES.open_request(body)).turns == said.turns


def test_a_tool_is_never_strict_unless_the_client_said_so() -> None:
    tools = (c.FunctionTool(name="f"), c.FunctionTool(name="g", strict=True))
    said = c.Conversation(model="m", turns=(), tools=tools)
    told = json.loads(RESPONSES.render_request(said, target())[0])["tools"]
    assert [tool["strict"] for tool in told] == [False, True]
    assert told[0]["parameters"] == {"type": "object", "properties": {}}


def test_no_node_keeps_anything() -> None:
    said = c.Conversation(model="m", turns=(), notes=c.Notes(store=True))
    assert json.loads(RESPONSES.render_request(said, target("openai"))[0])["store"] is False


ALWAYS = Capabilities(thinking_always_on=True)
NEVER = Capabilities(reasoning=False)
UNKNOWN = Capabilities()


@pytest.mark.parametrize(
    ("dialect", "thinking", "model", "asked"),
    [
        ("", "high", ALWAYS, False),
        ("openai", None, UNKNOWN, False),
        ("openai", "none", UNKNOWN, False),
        ("openai", "low", UNKNOWN, True),
        ("openai", None, ALWAYS, True),
        ("openai", "low", NEVER, False),
    ],
)
def test_encrypted_reasoning_is_asked_for_where_the_model_thinks(
    dialect: str, thinking: str | None, model: Capabilities, asked: bool
) -> None:
    said = c.Conversation(model="m", turns=(), thinking=c.Thinking(effort=thinking))
    place = msgspec.structs.replace(target(dialect), capabilities=model)
    body, dropped = RESPONSES.render_request(said, place)
    assert (b"reasoning.encrypted_content" in body) is asked
    assert dropped == (("reasoning_effort",) if model is NEVER else ())


def test_a_model_that_refuses_sampling_is_not_told_any() -> None:
    place = msgspec.structs.replace(target("openai"), capabilities=Capabilities(sampling=False))
    said = c.Conversation(model="m", turns=(), sampling=c.Sampling(temperature=0.5, top_p=0.9))
    body, dropped = RESPONSES.render_request(said, place)
    assert dropped == ("temperature", "top_p")
    assert b"temperature" not in body


REFUSED = [
    ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"include": ["message.output_text.logprobs"]}, "include"),
    ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].id"),
    ({"input": [{"id": "msg_1"}]}, "input[0].id"),
    ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
    ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].file_data"),
    ({"input": [{"role": "system", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input[0].content"),
    ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
]


@pytest.mark.parametrize(("more", "param"), REFUSED, ids=[str(more)[:40] for more, _ in REFUSED])
def test_what_no_other_protocol_can_say_is_refused_by_name(more: dict[str, Any], param: str) -> None:
    with pytest.raises(MiraError) as caught:
        parsed({"input": "x", **more})
    assert caught.value.param == param


def test_what_a_node_cannot_take_is_reported() -> None:
    told = c.Conversation(
        model="m",
        turns=(c.UserTurn(parts=(c.Text(text="a"),), name="bob"),),
        sampling=c.Sampling(top_k=3, seed=1, logit_bias={"1": 1.0}, presence_penalty=0.5),
        tools=(c.ProviderTool(format="anthropic", name="web_search", data=msgspec.Raw(b"{}")),),
        tool_choice=c.ToolMode.REQUIRED,
        parallel_tool_calls=False,
        origin="messages",
        extras={"context_management": msgspec.Raw(b"{}")},
    )
    body, dropped = RESPONSES.render_request(told, target())
    assert dropped == (
        "context_management", "logit_bias", "name", "presence_penalty", "seed", "tools.web_search", "top_k",
    )  # fmt: skip
    assert b"parallel_tool_calls" not in body
    assert b"tool_choice" not in body


def test_items_of_the_protocols_own_come_through_in_their_place() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    shell = {"type": "local_shell_call_output", "id": "x", "output": "1.50"}
    told = items({"role": "user", "content": "a"}, search, shell, {"type": "compaction", "encrypted_content": "e"})
    assert [type(turn).__name__ for turn in told.turns] == ["UserTurn", "AssistantTurn", "UserTurn", "AssistantTurn"]
    body, dropped = RESPONSES.render_request(told, target("openai"))
    assert dropped == ()
    assert json.loads(body)["input"][1:3] == [search, shell]
