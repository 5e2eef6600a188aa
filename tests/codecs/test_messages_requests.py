"""What Messages promises of requests: nothing is lost in translation, and what passes through stays as it was."""

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.generators.conversations import THOROUGHLY, conversations

from mira.codecs.chat import CHAT
from mira.codecs.codec import Target
from mira.codecs.messages import MESSAGES
from mira.codecs.messages.express import express
from mira.codecs.messages.names import own_id, wire_id
from mira.core import conversation as c
from mira.core.capabilities import UNKNOWN, Capabilities
from mira.errors import Kind, MiraError

#: Models of four generations: budget only, budget or adaptive, adaptive only, always thinking.
BUDGET = Capabilities(thinking_budget=True)
BOTH = Capabilities(
    thinking_budget=True, thinking_adaptive=True, effort=True, efforts=("low", "medium", "high", "max"), prefill=False
)
ADAPTIVE = Capabilities(
    sampling=False,
    thinking_budget=False,
    thinking_adaptive=True,
    effort=True,
    efforts=("low", "medium", "high", "xhigh", "max"),
    mid_system=True,
    prefill=False,
)
ALWAYS = replace(ADAPTIVE, thinking_always_on=True, forced_tools=False)
OLD = Capabilities(reasoning=False, structured_output=False)
MODELS = {"unknown": UNKNOWN, "budget": BUDGET, "both": BOTH, "adaptive": ADAPTIVE, "always": ALWAYS, "old": OLD}

SERVER_TOOL = msgspec.Raw(b'{ "type":"web_search_20250305", "name":"web_search","max_uses":5}')
SERVER_BLOCK = msgspec.Raw(b'{"type":"server_tool_use", "id":"srvtoolu_1","name":"web_search","input":{"query":"x"}}')


def target(capabilities: Capabilities = UNKNOWN, output_cap: int = 9000) -> Target:
    return Target(model="node-model", output_cap=output_cap, capabilities=capabilities)


def sayable(value: Any) -> Any:
    """A generated value without what Messages refuses, and with blocks and tools that Anthropic could have written."""
    match value:
        case c.Audio():
            return c.Text(text="sound")
        case c.Document(source=c.FileRef()):
            return replace(value, source=c.FileRef(file_id="file_1", format="anthropic"))
        case c.Document(source=c.Inline(mime_type="audio/wav")):
            return replace(value, source=c.Inline("application/pdf", value.source.data))
        case c.Opaque():
            return c.Opaque(format="anthropic", data=SERVER_BLOCK)
        case c.ProviderTool():
            return replace(value, data=SERVER_TOOL, name="web_search")
        case c.Sampling():
            return replace(value, n=None, logprobs=None)
        case tuple():
            return tuple(sayable(part) for part in value)
        case c.UserTurn() | c.AssistantTurn() | c.ToolResult():
            return replace(value, parts=sayable(value.parts))
        case c.ToolTurn():
            return c.ToolTurn(results=sayable(value.results))
        case _:
            return value


@st.composite
def said(draw: st.DrawFn) -> c.Conversation:
    told = draw(conversations())
    turns = sayable(told.turns)
    if not isinstance(turns[-1], c.ToolTurn):
        turns = (*turns, c.UserTurn(parts=(c.Text(text="and?"),)))
    return replace(told, turns=turns, tools=sayable(told.tools), sampling=sayable(told.sampling))


TARGETS = st.builds(target, st.sampled_from(list(MODELS.values())), st.sampled_from([100, 2000, 9000, 64000]))


def reparsed(body: bytes) -> c.Conversation:
    return MESSAGES.parse_request(MESSAGES.open_request(body))


@THOROUGHLY
@given(said(), TARGETS)
def test_what_is_rendered_is_what_can_be_expressed(conversation: c.Conversation, node: Target) -> None:
    told, dropped = express(conversation, node)
    body, reported = MESSAGES.render_request(conversation, node)
    assert reported == dropped
    assert reparsed(body) == told


@given(said(), TARGETS)
def test_expressing_twice_changes_nothing(conversation: c.Conversation, node: Target) -> None:
    once, _ = express(conversation, node)
    twice, dropped = express(once, node)
    assert twice == once
    assert dropped == ()


@given(said(), TARGETS)
def test_rendering_twice_gives_the_same_bytes(conversation: c.Conversation, node: Target) -> None:
    assert MESSAGES.render_request(conversation, node) == MESSAGES.render_request(conversation, node)


def check_request(body: dict[str, Any]) -> None:
    """What Anthropic demands of a request: roles in turn, results behind their calls, few marks, no empty text."""
    messages = body["messages"]
    assert messages[0]["role"] == "user"
    for before, after in itertools.pairwise(message["role"] for message in messages):
        assert before != after
    ids: list[str] = []
    for index, message in enumerate(messages):
        blocks = (
            message["content"]
            if isinstance(message["content"], list)
            else [{"type": "text", "text": message["content"]}]
        )
        assert blocks
        assert all(block["text"].strip() for block in blocks if block["type"] == "text")
        if message["role"] == "assistant":
            assert blocks[-1]["type"] not in ("thinking", "redacted_thinking")
            assert all(block["signature"] for block in blocks if block["type"] == "thinking")
            calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
            ids += calls
            if calls:
                behind = messages[index + 1]["content"]
                found = [block.get("tool_use_id") for block in behind[: len(calls)]]
                assert sorted(found) == sorted(calls)
        if message["role"] == "user":
            kinds = [block["type"] == "tool_result" for block in blocks]
            assert kinds == sorted(kinds, reverse=True)
            results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
            assert results <= set(ids)
        if message["role"] == "system":
            assert messages[index - 1]["role"] == "user"
    assert len(ids) == len(set(ids))
    assert all(set(one) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") for one in ids)
    text = json.dumps(body)
    assert '"cache_control": null' not in text
    assert text.count('"cache_control": {') <= 4
    assert all(tool["input_schema"] for tool in body.get("tools", ()) if "input_schema" in tool)
    thinking = body.get("thinking", {})
    if thinking.get("type") == "enabled":
        assert 1024 <= thinking["budget_tokens"] < body["max_tokens"]
    if thinking.get("type") in ("enabled", "adaptive", "between_tools"):
        assert not {"temperature", "top_p", "top_k"} & body.keys()
        assert body.get("tool_choice", {}).get("type") not in ("any", "tool")


@given(said(), TARGETS)
def test_whatever_is_rendered_is_what_anthropic_takes(conversation: c.Conversation, node: Target) -> None:
    check_request(json.loads(MESSAGES.render_request(conversation, node)[0]))


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=9), min_size=2, max_size=2, unique=True))
def test_ids_of_calls_are_encoded_without_loss(ids: list[str]) -> None:
    told = [wire_id(one) for one in ids]
    assert [own_id(one) for one in told] == ids
    assert told[0] != told[1]
    assert own_id(wire_id(told[0])) == told[0]


BODY = (
    b'{ "model":"anthropic/claude-x", "max_tokens": 500, "temperature": 1.0, "x_new": {"b":1,  "a":[1.50]},'
    b' "messages" : [ {"role":"user","content":"h\\u0069"}, {"role":"assistant","content":[ {"type":"thinking",'
    b'"thinking":"hm ", "signature":"EqQB/+=="},{"type":"redacted_thinking","data":"x+/="},{"type":"new_block","q":[ 1]}]},'
    b' {"role":"user","content":[{"type":"text","text":"go","cache_control":{"type":"ephemeral" }}]}], "stream":true,'
    b' "mira_note": 1}'
)


def test_a_passed_request_changes_only_what_it_must() -> None:
    out = MESSAGES.pass_request(MESSAGES.open_request(BODY), target(output_cap=77))
    expected = BODY.replace(b"anthropic/claude-x", b"node-model").replace(b'"max_tokens": 500', b'"max_tokens":77')
    expected = expected.replace(b', "mira_note": 1', b"").replace(b'{ "model"', b'{"model"')
    for name in (b"messages", b"max_tokens", b"temperature", b"x_new", b"stream"):
        expected = expected.replace(b', "' + name, b',"' + name)
    expected = expected.replace(b'"temperature": ', b'"temperature":').replace(b'"x_new": ', b'"x_new":')
    assert out == expected.replace(b'"messages" : ', b'"messages":')


def test_a_passed_request_leaves_its_envelope_for_the_next_node() -> None:
    envelope = MESSAGES.open_request(BODY)
    first = MESSAGES.pass_request(envelope, target())
    MESSAGES.pass_request(envelope, target(output_cap=1))
    assert MESSAGES.pass_request(envelope, target()) == first


def request(*messages: dict[str, Any], **more: Any) -> c.Conversation:
    return reparsed(json.dumps({"model": "m", "max_tokens": 100, "messages": messages, **more}).encode())


def rendered(conversation: c.Conversation, capabilities: Capabilities = UNKNOWN, cap: int = 9000) -> dict[str, Any]:
    body = json.loads(MESSAGES.render_request(conversation, target(capabilities, cap))[0])
    check_request(body)
    return body


def dropped(conversation: c.Conversation, capabilities: Capabilities = UNKNOWN, cap: int = 9000) -> tuple[str, ...]:
    return MESSAGES.render_request(conversation, target(capabilities, cap))[1]


def ask(**more: Any) -> c.Conversation:
    return c.Conversation(model="m", turns=(c.UserTurn(parts=(c.Text(text="hi"),)),), origin="chat", **more)


TOOL = c.FunctionTool(name="f", parameters=msgspec.Raw(b'{"type":"object"}'))


def test_a_warming_request_stays_one() -> None:
    body = b'{"model":"m","max_tokens":0,"messages":[{"role":"user","content":"x"}]}'
    assert b'"max_tokens":0' in MESSAGES.pass_request(MESSAGES.open_request(body), target())
    assert rendered(reparsed(body))["max_tokens"] == 0


def test_thinking_that_mira_carried_does_not_reach_anthropic() -> None:
    block = {"type": "thinking", "thinking": "hm", "signature": "mira1:e30="}
    hidden = {"type": "redacted_thinking", "data": "mira1:e30="}
    text = {"type": "text", "text": 'a "mira1: quote'}
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [block, hidden, text]},
        {"role": "assistant", "content": [hidden]},
        {"role": "user", "content": '"mira1:'},
    ]
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": messages}).encode()
    told = json.loads(MESSAGES.pass_request(MESSAGES.open_request(body), target()))["messages"]
    assert told == [messages[0], {"role": "assistant", "content": [text]}, messages[3]]


@pytest.mark.parametrize(
    ("cap", "thinking"),
    [
        (9000, {"type": "enabled", "budget_tokens": 8000}),
        (4000, {"type": "enabled", "budget_tokens": 3000}),
        (500, {"type": "disabled"}),
    ],
)
def test_a_budget_above_a_lowered_cap_is_lowered_on_the_way_through(cap: int, thinking: dict[str, Any]) -> None:
    told = {"type": "enabled", "budget_tokens": 8000}
    messages = [{"role": "user", "content": "x"}]
    body = json.dumps({"model": "m", "max_tokens": 9000, "messages": messages, "thinking": told}).encode()
    assert (
        json.loads(MESSAGES.pass_request(MESSAGES.open_request(body), target(output_cap=cap)))["thinking"] == thinking
    )


EFFORTS = [
    (UNKNOWN, "low", 64000, {"type": "enabled", "budget_tokens": 2048}, None),
    (BUDGET, "high", 64000, {"type": "enabled", "budget_tokens": 16384}, None),
    (BUDGET, "max", 64000, {"type": "enabled", "budget_tokens": 32768}, None),
    (BUDGET, "high", 8000, {"type": "enabled", "budget_tokens": 6000}, None),
    (BUDGET, "high", 1000, None, None),
    (BUDGET, "none", 9000, {"type": "disabled"}, None),
    (BOTH, "medium", 9000, {"type": "adaptive"}, "medium"),
    (BOTH, "xhigh", 9000, {"type": "adaptive"}, "high"),
    (ADAPTIVE, "xhigh", 9000, {"type": "adaptive"}, "xhigh"),
    (ADAPTIVE, "minimal", 9000, {"type": "adaptive"}, "low"),
    (ADAPTIVE, "none", 9000, {"type": "disabled"}, None),
    (ALWAYS, "none", 9000, None, None),
    (ALWAYS, "max", 9000, {"type": "adaptive"}, "max"),
    (OLD, "high", 9000, None, None),
]


@pytest.mark.parametrize(("model", "effort", "cap", "thinking", "told_effort"), EFFORTS)
def test_an_effort_becomes_what_the_model_takes(
    model: Capabilities, effort: str, cap: int, thinking: dict[str, Any] | None, told_effort: str | None
) -> None:
    asked = ask(thinking=c.Thinking(effort=effort))
    body = rendered(asked, model, cap)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == told_effort
    assert ("reasoning_effort" in dropped(asked, model, cap)) == (thinking is None)


def test_a_budget_becomes_an_effort_where_the_model_takes_no_budget() -> None:
    asked = replace(ask(thinking=c.Thinking(mode="enabled", budget_tokens=5000)), origin="messages")
    body = rendered(asked, ADAPTIVE)
    assert body["thinking"] == {"type": "adaptive"}
    assert body["output_config"] == {"effort": "medium"}


def test_an_effort_without_thinking_is_left_so_for_its_own_protocol() -> None:
    asked = replace(ask(thinking=c.Thinking(effort="low")), origin="messages")
    body = rendered(asked, ADAPTIVE)
    assert "thinking" not in body
    assert body["output_config"] == {"effort": "low"}


def test_a_budget_needs_the_thinking_that_led_to_the_calls() -> None:
    call = c.AssistantTurn(parts=(c.ToolCall(id="a", name="f", input="{}"),))
    result = c.ToolTurn(results=(c.ToolResult(call_id="a", parts=(c.Text(text="1"),)),))
    asked = ask(thinking=c.Thinking(effort="high"), tools=(TOOL,))
    asked = replace(asked, turns=(*asked.turns, call, result))
    assert "thinking" not in rendered(asked, BUDGET, 64000)
    assert "reasoning_effort" in dropped(asked, BUDGET, 64000)
    assert rendered(asked, ADAPTIVE)["thinking"] == {"type": "adaptive"}
    thought = c.Reasoning(text="hm", signature="sig", format="anthropic-claude-v1")
    signed = replace(asked, turns=(asked.turns[0], c.AssistantTurn(parts=(thought, *call.parts)), result))
    assert rendered(signed, BUDGET, 64000)["thinking"]["type"] == "enabled"


def test_sampling_is_clamped_or_left_out_and_told() -> None:
    hot = ask(sampling=c.Sampling(temperature=1.7, top_p=0.5, top_k=4, seed=1, stop=("END", " \n")))
    body = rendered(hot)
    assert (body["temperature"], body["top_k"], body["stop_sequences"]) == (1.0, 4, ["END"])
    assert "top_p" not in body
    assert dropped(hot) == ("seed", "stop", "temperature", "top_p")
    assert not {"temperature", "top_p", "top_k"} & rendered(hot, ADAPTIVE).keys()
    assert dropped(hot, ADAPTIVE) == ("seed", "stop", "temperature", "top_k", "top_p")


REFUSED = [
    (ask(sampling=c.Sampling(n=2)), "n"),
    (ask(sampling=c.Sampling(logprobs=True)), "logprobs"),
    (ask(extras={"modalities": msgspec.Raw(b'["text","audio"]')}), "modalities"),
    (replace(ask(), turns=(c.UserTurn(parts=(c.Audio(data="AAAA", encoding="wav"),)),)), "messages"),
    (
        replace(ask(), turns=(c.UserTurn(parts=(c.Document(source=c.FileRef(file_id="f", format="openai")),)),)),
        "messages",
    ),
    (replace(ask(), turns=(c.UserTurn(parts=(c.Image(source=c.FileRef(file_id="f", format="openai")),)),)), "messages"),
    (
        replace(ask(), turns=(c.UserTurn(parts=(c.Document(source=c.Link("http://x"), media="video"),)),)),
        "messages",
    ),
    (
        replace(ask(), turns=(c.UserTurn(parts=(c.Document(source=c.Inline("application/zip", "AAAA")),)),)),
        "messages",
    ),
]


@pytest.mark.parametrize(("conversation", "param"), REFUSED)
def test_what_would_change_the_answer_is_refused(conversation: c.Conversation, param: str) -> None:
    with pytest.raises(MiraError) as caught:
        MESSAGES.render_request(conversation, target())
    assert (caught.value.kind, caught.value.param) == (Kind.UNSUPPORTED, param)


def test_words_of_the_model_at_the_end_are_continued_or_refused() -> None:
    asked = replace(ask(), turns=(*ask().turns, c.AssistantTurn(parts=(c.Text(text="It is \n"),))))
    assert rendered(asked)["messages"][-1] == {"role": "assistant", "content": "It is"}
    with pytest.raises(MiraError) as caught:
        MESSAGES.render_request(asked, target(ADAPTIVE))
    assert caught.value.kind is Kind.UNSUPPORTED
    server = c.Opaque(format="anthropic", data=SERVER_BLOCK)
    paused = replace(asked, turns=(*ask().turns, c.AssistantTurn(parts=(server,))))
    assert rendered(paused, ADAPTIVE)["messages"][-1]["content"] == [json.loads(bytes(SERVER_BLOCK))]


def test_the_example_of_parallel_calls_translates_as_written() -> None:
    chat = [
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
    told = CHAT.parse_request(CHAT.open_request(json.dumps({"model": "m", "messages": chat}).encode()))
    assert rendered(told)["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "call_a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "call_b", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_b", "content": "B"},
                {"type": "tool_result", "tool_use_id": "call_a", "content": "A"},
                {"type": "text", "text": "go on"},
            ],
        },
    ]


def test_calls_without_results_and_results_without_calls_are_repaired() -> None:
    turns = (
        c.UserTurn(parts=(c.Text(text="x"),)),
        c.AssistantTurn(parts=(c.ToolCall(id="a", name="f", input="{}"), c.ToolCall(id="b", name="f", input="[1]"))),
        c.ToolTurn(
            results=(
                c.ToolResult(call_id="z", parts=(c.Text(text="lost"),), is_error=True),
                c.ToolResult(call_id="b", parts=()),
            )
        ),
        c.AssistantTurn(parts=(c.ToolCall(id="a", name="f", input="{}"),)),
        c.SystemTurn(parts=(c.Text(text="be brief"),)),
        c.ToolTurn(results=(c.ToolResult(call_id="a", parts=(c.Text(text="1"),)),)),
    )
    told = replace(ask(tools=(TOOL,)), turns=turns)
    messages = rendered(told)["messages"]
    assert [block["id"] for block in messages[1]["content"]] == ["a", "b"]
    assert messages[1]["content"][1]["input"] == {"_raw": "[1]"}
    assert "arguments" in dropped(told)
    assert [block["type"] for block in messages[2]["content"]] == ["tool_result", "tool_result", "text", "text"]
    assert messages[2]["content"][1]["is_error"] is True
    assert messages[3]["content"][0]["id"] != "a"
    assert messages[4]["content"][0]["tool_use_id"] == messages[3]["content"][0]["id"]
    assert messages[4]["content"][1] == {"type": "text", "text": "<system>\nbe brief\n</system>"}


def test_a_conversation_without_a_user_gets_one() -> None:
    only_system = replace(ask(), turns=(c.SystemTurn(parts=(c.Text(text="be"),)),))
    body = rendered(only_system)
    assert (body["system"], len(body["messages"])) == ("be", 1)
    turns = (c.AssistantTurn(parts=(c.Text(text="hello"),)), c.UserTurn(parts=(c.Text(text="hi"),)))
    assert [message["role"] for message in rendered(replace(ask(), turns=turns))["messages"]] == [
        "user",
        "assistant",
        "user",
    ]


def test_a_schema_is_closed_and_an_older_model_is_asked_in_words() -> None:
    schema = msgspec.Raw(
        b'{"type":"object","properties":{"a":{"type":["object","null"]},"b":{"const":{"type":"object"}}}}'
    )
    asked = ask(response_format=c.JsonSchema(name="n", schema=schema))
    told = rendered(asked)["output_config"]["format"]["schema"]
    assert told["additionalProperties"] is False
    assert told["properties"]["a"]["additionalProperties"] is False
    assert told["properties"]["b"] == {"const": {"type": "object"}}
    assert "output_config" not in rendered(asked, OLD)
    assert bytes(schema).decode() in rendered(asked, OLD)["system"]
    assert dropped(asked, OLD) == ("response_format",)
    assert "JSON" in rendered(ask(response_format=c.JsonObject()))["system"]


def test_marks_beyond_four_fall_away_from_the_front_and_the_long_come_first() -> None:
    mark, long = c.CacheMark(), c.CacheMark("1h")
    tools = tuple(replace(TOOL, name=f"f{i}", cache=long) for i in range(3))
    parts = tuple(c.Text(text=f"{i}", cache=long if i == 5 else mark) for i in range(6))
    told = replace(ask(tools=tools), turns=(c.UserTurn(parts=parts),))
    body = rendered(told)
    assert [tool.get("cache_control") for tool in body["tools"]] == [None, *[{"type": "ephemeral", "ttl": "1h"}] * 2]
    kept = [block.get("cache_control") for block in body["messages"][0]["content"]]
    assert kept == [None] * 4 + [{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "5m"}]
    assert "cache_control" in dropped(told)


def test_a_users_id_reaches_another_party_as_a_hash() -> None:
    asked = request({"role": "user", "content": "x"}, metadata={"user_id": "ann@example.com"})
    assert asked.notes.safety_identifier is not None
    assert len(asked.notes.safety_identifier) == 64
    body = rendered(ask(notes=c.Notes(user="ann@example.com")))
    assert body["metadata"] == {"user_id": asked.notes.safety_identifier}


def test_documents_and_results_keep_their_kind() -> None:
    parts = (
        c.Document(source=c.Inline("application/pdf", "JVBE"), title="a.pdf"),
        c.Document(source=c.Inline("text/csv", "YSxi"), title="a.csv"),
        c.Document(source=c.Inline("image/jpg", "AAAA")),
        c.Document(source=c.Link("https://x/a.pdf")),
        c.SearchResult(source="s", title="t", content=("c",), citations=True),
    )
    told = rendered(replace(ask(), turns=(c.UserTurn(parts=parts),)))["messages"][0]["content"]
    assert [block["source"] for block in told] == [
        {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
        {"type": "text", "media_type": "text/plain", "data": "a,b"},
        {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"},
        {"type": "url", "url": "https://x/a.pdf"},
        "s",
    ]
    assert told[4] == {
        "type": "search_result",
        "source": "s",
        "title": "t",
        "content": [{"type": "text", "text": "c"}],
        "citations": {"enabled": True},
    }


def test_blocks_of_anthropic_alone_are_kept_as_they_came() -> None:
    reference = {"type": "tool_reference", "tool_name": "g"}
    content = [
        {"type": "tool_result", "tool_use_id": "a", "content": [reference]},
        {"type": "container_upload", "file_id": "f"},
    ]
    images = {"type": "document", "source": {"type": "content", "content": [{"type": "hologram", "of": "a cat"}]}}
    texts = {
        "type": "document",
        "source": {"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    }
    told = request(
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
        {"role": "user", "content": [*content, images, texts]},
    )
    assert json.loads(bytes(told.turns[2].results[0].parts[0].data)) == reference
    assert [type(part) for part in told.turns[3].parts] == [c.Opaque, c.Opaque, c.Document]
    assert told.turns[3].parts[2].source == c.PlainText("a\n\nb")
    last = rendered(told)["messages"][2]["content"]
    assert last[:3] == [*content, images]


def test_extras_of_the_protocol_stay_and_others_are_told() -> None:
    extra = {"context_management": {"edits": []}, "x_new": 1, "output_config": {"effort": "low", "task_budget": 5}}
    told = request({"role": "user", "content": "x"}, **extra)
    assert rendered(told)["context_management"] == {"edits": []}
    assert dropped(told, ADAPTIVE) == ("output_config.task_budget", "x_new")
    assert dropped(ask(extras={"prediction": msgspec.Raw(b"{}")})) == ("prediction",)
