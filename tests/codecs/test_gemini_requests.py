"""What the Gemini codec promises of requests: nothing is lost in translation but what is reported or refused."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from tests.generators.conversations import THOROUGHLY, conversations
from tests.support.gemini_requests import read_request

from mira.codecs.chat import CHAT
from mira.codecs.codec import Target
from mira.codecs.gemini import GEMINI, request_path
from mira.codecs.gemini.dialects import DIALECTS, dialect_of
from mira.codecs.gemini.express import express
from mira.codecs.gemini.schemas import openapi_schema
from mira.core import conversation as c
from mira.core.capabilities import Capabilities
from mira.errors import Kind, MiraError

CAPABILITIES = st.builds(
    Capabilities,
    sampling=st.booleans(),
    reasoning=st.booleans(),
    efforts=st.sampled_from([("low", "medium", "high"), ("minimal", "low", "high", "xhigh"), ("none",), ()]),
)


def target(dialect: str = "gemini-3", **more: Any) -> Target:
    return Target(model="gemini-x", output_cap=77, dialect=dialect, **more)


def told(conversation: c.Conversation, where: Target) -> tuple[c.Conversation, tuple[str, ...]]:
    try:
        return express(conversation, where, dialect_of(where.dialect, where.model))
    except MiraError as error:
        refused = error
    assert refused.kind is Kind.UNSUPPORTED
    assert refused.param in {"messages", "response_format"}
    with pytest.raises(MiraError):
        GEMINI.render_request(conversation, where)
    return reject()


def rendered(conversation: c.Conversation, where: Target) -> dict[str, Any]:
    return json.loads(GEMINI.render_request(conversation, where)[0])


TARGETS = st.builds(target, st.sampled_from(sorted(DIALECTS)), capabilities=CAPABILITIES)


@st.composite
def tellable(draw: st.DrawFn) -> c.Conversation:
    """Conversations without the two settings that are refused outright, which would leave few others."""
    conversation = draw(conversations())
    return msgspec.structs.replace(
        conversation, sampling=msgspec.structs.replace(conversation.sampling, n=None, logprobs=None)
    )


@THOROUGHLY
@given(tellable(), TARGETS)
def test_what_is_rendered_is_what_can_be_expressed(conversation: c.Conversation, where: Target) -> None:
    expected, dropped = told(conversation, where)
    body, reported = GEMINI.render_request(conversation, where)
    assert reported == dropped
    assert read_request(body, model=where.model, stream=conversation.stream) == expected


@given(tellable(), TARGETS)
def test_expressing_twice_changes_nothing(conversation: c.Conversation, where: Target) -> None:
    once, _ = told(conversation, where)
    twice, dropped = express(once, where, dialect_of(where.dialect, where.model))
    assert twice == once
    assert dropped == ()


@given(tellable(), TARGETS)
def test_row_25_rendering_twice_gives_the_same_bytes(conversation: c.Conversation, where: Target) -> None:
    told(conversation, where)
    assert GEMINI.render_request(conversation, where) == GEMINI.render_request(conversation, where)


@given(tellable(), TARGETS)
def test_row_63_every_call_is_answered_in_the_content_behind_it(conversation: c.Conversation, where: Target) -> None:
    told(conversation, where)
    contents = rendered(conversation, where)["contents"]
    assert contents[0]["role"] == "user"
    open_calls: list[tuple[str, str]] = []
    for content, role in zip(contents, ["user", "model"] * len(contents), strict=False):
        assert content["role"] == role, "users and models take turns"
        assert content["parts"]
        results = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        assert sorted((result["id"], result["name"]) for result in results) == sorted(open_calls)
        assert all("functionResponse" in part for part in content["parts"][: len(results)]), "results come first"
        calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        open_calls = [(call["id"], call["name"]) for call in calls]
    assert not open_calls


def chat(**body: Any) -> c.Conversation:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **body}
    return CHAT.parse_request(CHAT.open_request(json.dumps(body).encode()))


PARALLEL = [
    {"role": "user", "content": "both"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'},
             "extra_content": {"google": {"thought_signature": "c2ln"}}},
            {"id": "call_b", "type": "function", "function": {"name": "g", "arguments": ""}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_b", "content": "B"},
    {"role": "tool", "tool_call_id": "call_a", "content": "A"},
    {"role": "user", "content": "go on"},
]  # fmt: skip


def test_row_2_parallel_tools_become_one_content_each_way() -> None:
    assert rendered(chat(messages=PARALLEL), target())["contents"] == [
        {"role": "user", "parts": [{"text": "both"}]},
        {
            "role": "model",
            "parts": [
                {"functionCall": {"id": "call_a", "name": "f", "args": {"x": 1}}, "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "call_b", "name": "g", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "call_b", "name": "g", "response": {"output": "B"}}},
                {"functionResponse": {"id": "call_a", "name": "f", "response": {"output": "A"}}},
                {"text": "go on"},
            ],
        },
    ]


def conversation(*turns: c.Turn, **more: Any) -> c.Conversation:
    return c.Conversation(model="m", turns=turns, **more)


def call(call_id: str, **more: Any) -> c.ToolCall:
    return c.ToolCall(id=call_id, name="f", input='{"a":1}', **more)


def result(call_id: str, *parts: c.ResultPart, **more: Any) -> c.ToolResult:
    return c.ToolResult(call_id=call_id, parts=parts or (c.Text(text="ok"),), **more)


USER = c.UserTurn(parts=(c.Text(text="hi"),))


def signatures(body: dict[str, Any]) -> list[list[str | None]]:
    return [
        [part.get("thoughtSignature") for part in content["parts"]]
        for content in body["contents"]
        if content["role"] == "model"
    ]


def test_row_23_a_call_of_another_model_carries_googles_word_for_it_on_each_step() -> None:
    turns = (
        USER,
        c.AssistantTurn(parts=(c.Text(text="so"), call("a"), call("b"))),
        c.ToolTurn(results=(result("a"), result("b"))),
        c.AssistantTurn(parts=(call("c", signature="real"),)),
        c.ToolTurn(results=(result("c"),)),
        c.AssistantTurn(parts=(call("d"),)),
        c.ToolTurn(results=(result("d"),)),
    )
    sentinel = "skip_thought_signature_validator"
    assert signatures(rendered(conversation(*turns), target())) == [[None, sentinel, None], ["real"], [sentinel]]
    assert signatures(rendered(conversation(*turns), target("gemini-2.5"))) == [[None, None, None], ["real"], [None]]


def test_row_23_a_signature_comes_back_from_reasoning_details() -> None:
    def block(data: str, owner: str | None) -> c.Reasoning:
        return c.Reasoning(kind="encrypted", data=data, id=owner, format="google-gemini-v1")

    said = (block("s1", "a"), block("s2", None), c.Text(text="x"), call("a"))
    body = rendered(conversation(USER, c.AssistantTurn(parts=said), c.ToolTurn(results=(result("a"),))), target())
    assert signatures(body) == [["s2", "s1"]]
    behind = (c.Text(text="x"), block("s2", None))
    assert signatures(rendered(conversation(USER, c.AssistantTurn(parts=behind)), target())) == [["s2"]]


def test_row_24_signatures_and_arguments_keep_their_bytes() -> None:
    signed = c.ToolCall(id="a", name="f", input='{ "z": 1.50,\n "a": [1e3, "\\u00e9"] }', signature="a+/=\u00fc")
    body, _ = GEMINI.render_request(
        conversation(USER, c.AssistantTurn(parts=(signed,)), c.ToolTurn(results=(result("a"),))), target()
    )
    assert signed.input.encode() in body
    assert '"thoughtSignature":"a+/=ü"'.encode() in body


def test_row_26_foreign_and_unsigned_thinking_never_goes_to_google() -> None:
    thoughts = (
        c.Reasoning(text="secret1", signature="s", format="anthropic-claude-v1"),
        c.Reasoning(text="secret2"),
        c.Reasoning(kind="encrypted", data="secret3", format="openai-responses-v1"),
        c.Reasoning(text="secret4", format="google-gemini-v1"),
    )
    body, _ = GEMINI.render_request(conversation(USER, c.AssistantTurn(parts=(*thoughts, c.Text(text="x")))), target())
    assert b"secret" not in body
    assert b"thought" not in body


def test_row_27_signed_thoughts_texts_and_calls_keep_their_order() -> None:
    thought = c.Reasoning(text="t", signature="s", format="google-gemini-v1")
    said = (c.Text(text="a"), thought, call("x", signature="s2"), c.Text(text="b"))
    parts = rendered(conversation(USER, c.AssistantTurn(parts=said), c.ToolTurn(results=(result("x"),))), target())[
        "contents"
    ][1]["parts"]
    assert [sorted(part) for part in parts] == [
        ["text"],
        ["text", "thought", "thoughtSignature"],
        ["functionCall", "thoughtSignature"],
        ["text"],
    ]


@pytest.mark.parametrize(
    ("told_input", "args"),
    [
        ("", {}),
        (" ", {}),
        ("null", {"_raw": "null"}),
        ('{"a":', {"_raw": '{"a":'}),
        ("[1]", {"_raw": "[1]"}),
        ("{}", {}),
    ],
)
def test_row_35_arguments_are_always_an_object(told_input: str, args: dict[str, Any]) -> None:
    turn = c.AssistantTurn(parts=(c.ToolCall(id="a", name="f", input=told_input),))
    parts = rendered(conversation(USER, turn), target())["contents"][1]["parts"]
    assert parts[0]["functionCall"]["args"] == args


def test_results_answer_in_the_form_that_loses_nothing() -> None:
    def response(text: str, **more: Any) -> Any:
        turns = (
            USER,
            c.AssistantTurn(parts=(call("a"),)),
            c.ToolTurn(results=(result("a", c.Text(text=text), **more),)),
        )
        return rendered(conversation(*turns), target())["contents"][2]["parts"][0]["functionResponse"]["response"]

    assert response('{"a": [1.5]}') == {"a": [1.5]}
    assert response("plain") == {"output": "plain"}
    assert response("[1]") == {"output": "[1]"}
    assert response('{"output": 1}') == {"output": '{"output": 1}'}
    assert response('{"id": 12345678901234567890}') == {"output": '{"id": 12345678901234567890}'}
    assert response("{broken") == {"output": "{broken"}
    assert response("it broke", is_error=True) == {"error": "it broke"}


PICTURE = c.Image(source=c.Inline("image/png", "AAAA"))


def test_row_38_a_picture_that_a_tool_answered_with_stays_a_picture() -> None:
    turns = (
        USER,
        c.AssistantTurn(parts=(call("a"),)),
        c.ToolTurn(results=(result("a", c.Text(text="see"), PICTURE),)),
        USER,
    )
    blob = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    inside = rendered(conversation(*turns), target())["contents"][2]["parts"]
    assert inside[0]["functionResponse"]["parts"] == [blob]
    behind = rendered(conversation(*turns), target("gemini-2.5"))["contents"][2]["parts"]
    assert behind[0]["functionResponse"]["response"] == {"output": "see\n[image attached below]"}
    assert behind[1:] == [blob, {"text": "hi"}]


def test_row_39_documents_survive_or_are_refused() -> None:
    parts = (
        c.Document(source=c.Inline("application/pdf", "AAAA"), title="a.pdf"),
        c.Document(source=c.PlainText("words"), title="T"),
        c.Document(source=c.Link("https://example.com/x.csv?y=1")),
        c.Document(source=c.Link("https://example.com/x"), media="video"),
        c.Image(source=c.Link("https://example.com/x.PNG#z")),
        c.Audio(data="AAAA", encoding="wav"),
    )
    body, dropped = GEMINI.render_request(conversation(c.UserTurn(parts=parts)), target())
    assert dropped == ("title",)
    assert json.loads(body)["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}},
        {"text": "T\n\nwords"},
        {"fileData": {"mimeType": "text/csv", "fileUri": "https://example.com/x.csv?y=1"}},
        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://example.com/x"}},
        {"fileData": {"mimeType": "image/png", "fileUri": "https://example.com/x.PNG#z"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
    ]
    for owner in ("openai", "anthropic", "mira"):
        foreign = c.Document(source=c.FileRef(file_id="f", format=owner))
        with pytest.raises(MiraError) as caught:
            GEMINI.render_request(conversation(c.UserTurn(parts=(foreign,))), target())
        assert caught.value.kind is Kind.UNSUPPORTED


def test_row_54_later_instructions_stay_where_they_were_said() -> None:
    def system(text: str) -> c.SystemTurn:
        return c.SystemTurn(parts=(c.Text(text=text),))

    body = rendered(conversation(system("one"), system("two"), USER, system("three")), target())
    assert body["systemInstruction"] == {"parts": [{"text": "one"}, {"text": "two"}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "hi"}, {"text": "<system>\nthree\n</system>"}]}]


def test_ids_that_begin_anew_each_turn_find_their_own_calls() -> None:
    turns = (
        USER,
        c.AssistantTurn(parts=(call("call_0"),)),
        c.ToolTurn(results=(result("call_0", c.Text(text="1")),)),
        c.AssistantTurn(parts=(call("call_0"),)),
        c.ToolTurn(results=(result("call_0", c.Text(text="2")),)),
    )
    contents = rendered(conversation(*turns), target())["contents"]
    assert [content["parts"][0]["functionResponse"]["response"] for content in contents[2::2]] == [
        {"output": "1"},
        {"output": "2"},
    ]


def test_calls_of_one_turn_with_one_id_are_answered_in_their_order() -> None:
    twins = (c.ToolCall(id="x", name="f", input="{}"), c.ToolCall(id="x", name="g", input="{}"))
    answers = c.ToolTurn(results=(result("x", c.Text(text="1")), result("x", c.Text(text="2"))))
    told_results = rendered(conversation(USER, c.AssistantTurn(parts=twins), answers), target())["contents"][2]["parts"]
    assert [
        (part["functionResponse"]["name"], part["functionResponse"]["response"]["output"]) for part in told_results
    ] == [("f", "1"), ("g", "2")]


def test_long_histories_cost_no_more_than_their_length() -> None:
    turns: list[c.Turn] = []
    for number in range(5_000):
        turns += [c.AssistantTurn(parts=(call(f"c{number}"),)), c.ToolTurn(results=(result("orphan"),)), USER]
    body, _ = GEMINI.render_request(conversation(*turns), target())
    assert body.count(b"functionResponse") == 5_000


def choice_of(choice: c.ToolChoice, *names: str) -> tuple[dict[str, Any] | None, list[str]]:
    tools = tuple(c.FunctionTool(name=name) for name in names)
    body = rendered(conversation(USER, tools=tools, tool_choice=choice), target())
    shown = [tool["name"] for tool in body["tools"][0]["functionDeclarations"]] if "tools" in body else []
    return body.get("toolConfig", {}).get("functionCallingConfig"), shown


def test_row_55_every_tool_choice_has_its_mode() -> None:
    one, two = c.NamedTool("f"), c.NamedTool("g")
    assert choice_of(c.ToolMode.AUTO, "f") == ({"mode": "AUTO"}, ["f"])
    assert choice_of(c.ToolMode.NONE, "f") == ({"mode": "NONE"}, ["f"])
    assert choice_of(c.ToolMode.REQUIRED, "f") == ({"mode": "ANY"}, ["f"])
    assert choice_of(one, "f", "g") == ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ["f", "g"])
    assert choice_of(c.AllowedTools("required", (one, two)), "f", "g", "h") == (
        {"mode": "ANY", "allowedFunctionNames": ["f", "g"]},
        ["f", "g", "h"],
    )
    assert choice_of(c.AllowedTools("auto", (two,)), "f", "g") == ({"mode": "AUTO"}, ["g"])
    assert choice_of(c.ToolMode.REQUIRED) == (None, [])


def test_row_53_parallel_calls_cannot_be_forbidden_and_that_is_said_only_where_it_matters() -> None:
    tools = (c.FunctionTool(name="f"),)
    for choice, expected in ((None, ("parallel_tool_calls",)), (c.ToolMode.NONE, ())):
        asked = conversation(USER, tools=tools, tool_choice=choice, parallel_tool_calls=False)
        assert GEMINI.render_request(asked, target())[1] == expected


def thinking_of(dialect: str, capabilities: Capabilities | None = None, **thinking: Any) -> tuple[Any, tuple[str, ...]]:
    where = target(dialect, capabilities=capabilities or Capabilities())
    body, dropped = GEMINI.render_request(conversation(USER, thinking=c.Thinking(**thinking)), where)
    return json.loads(body)["generationConfig"].get("thinkingConfig"), dropped


def level(name: str, *, shown: bool = True) -> dict[str, Any]:
    return {"includeThoughts": shown, "thinkingLevel": name}


def budget(tokens: int, *, shown: bool = True) -> dict[str, Any]:
    return {"includeThoughts": shown, "thinkingBudget": tokens}


def test_thinking_is_told_in_the_way_of_the_models_generation() -> None:
    minimal = Capabilities(efforts=("minimal", "low", "high"))
    assert thinking_of("gemini-3", effort="medium") == (level("MEDIUM"), ())
    assert thinking_of("gemini-3", effort="max") == (level("HIGH"), ())
    assert thinking_of("gemini-3", effort="minimal") == (level("LOW"), ())
    assert thinking_of("gemini-3", minimal, effort="minimal") == (level("MINIMAL"), ())
    assert thinking_of("gemini-3", mode="enabled", budget_tokens=20_000) == (level("HIGH"), ())
    assert thinking_of("gemini-3", mode="adaptive") == ({"includeThoughts": True}, ())
    assert thinking_of("gemini-3", effort="low", display="omitted") == (level("LOW", shown=False), ())
    assert thinking_of("gemini-2.5", effort="low") == (budget(1024), ())
    assert thinking_of("gemini-2.5", effort="medium") == (budget(8192), ())
    assert thinking_of("gemini-2.5", effort="high") == (budget(24_576), ())
    assert thinking_of("gemini-2.5", mode="enabled", budget_tokens=3000) == (budget(3000), ())
    assert thinking_of("gemini-2.5", mode="adaptive") == (budget(-1), ())
    assert thinking_of("gemini-2", effort="low") == (None, ("reasoning_effort",))
    assert thinking_of("gemini-2", effort="none") == (None, ())
    assert thinking_of("gemini-3") == (None, ())


def test_row_66_thinking_is_off_where_it_can_be_and_as_low_as_it_goes_elsewhere() -> None:
    assert thinking_of("gemini-2.5", effort="none") == (budget(0, shown=False), ())
    assert thinking_of("gemini-2.5", mode="disabled") == (budget(0, shown=False), ())
    assert thinking_of("gemini-2.5-pro", mode="disabled") == (budget(128, shown=False), ("reasoning_effort",))
    assert thinking_of("gemini-3", effort="none") == (level("LOW", shown=False), ("reasoning_effort",))


def test_row_32_a_model_without_sampling_gets_none_and_the_client_is_told() -> None:
    asked = conversation(USER, sampling=c.Sampling(temperature=1, top_p=0.5, top_k=3, seed=1, stop=("x",)))
    body, dropped = GEMINI.render_request(asked, target(capabilities=Capabilities(sampling=False)))
    assert dropped == ("seed", "temperature", "top_k", "top_p")
    assert json.loads(body)["generationConfig"] == {"maxOutputTokens": 77, "stopSequences": ["x"]}


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "x", "format": "wav"}}, "audio"),
    ],
)
def test_what_would_change_the_answers_structure_is_refused_by_name(more: dict[str, Any], param: str) -> None:
    with pytest.raises(MiraError) as caught:
        GEMINI.render_request(chat(**more), target())
    assert (caught.value.kind, caught.value.param) == (Kind.UNSUPPORTED, param)


def test_what_only_tunes_is_left_out_and_reported() -> None:
    asked = chat(n=1, logprobs=False, logit_bias={"1": 5}, seed=2**40, stop=list("abcd"), prediction={"type": "content"},
                 user="u", store=True, verbosity="low", service_tier="flex", x_new=1)  # fmt: skip
    assert GEMINI.render_request(asked, target())[1] == ("logit_bias", "prediction", "seed", "x_new")


def test_pictures_are_asked_for_in_googles_words() -> None:
    config = rendered(chat(modalities=["image", "text"]), target())["generationConfig"]
    assert config["responseModalities"] == ["TEXT", "IMAGE"]


SCHEMA = {"type": "object", "properties": {"a": {"const": "x"}}, "$schema": "s", "additionalProperties": False}


def test_a_response_format_goes_as_it_came_or_is_refused_beside_tools() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
    tools = [{"type": "function", "function": {"name": "f"}}]
    config = rendered(chat(response_format=form, tools=tools), target())["generationConfig"]
    assert (config["responseMimeType"], config["responseJsonSchema"]) == ("application/json", SCHEMA)
    assert "responseJsonSchema" in rendered(chat(response_format=form), target("gemini-2.5"))["generationConfig"]
    with pytest.raises(MiraError) as caught:
        GEMINI.render_request(chat(response_format=form, tools=tools), target("gemini-2.5"))
    assert caught.value.param == "response_format"
    old = rendered(chat(response_format=form), target("gemini-2"))["generationConfig"]
    assert old["responseSchema"] == {"type": "object", "properties": {"a": {"type": "string", "enum": ["x"]}}}


TREE = {
    "type": "object",
    "properties": {"child": {"$ref": "#/$defs/node"}},
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "v": {"type": "integer"}}}},
}
CORPUS = [
    ({"type": ["string", "null"]}, {"nullable": True, "type": "string"}),
    ({"type": ["string", "integer"]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"nullable": True, "type": "integer"}),
    ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
    ({"const": "a"}, {"type": "string", "enum": ["a"]}),
    ({"type": "integer", "enum": [1, 2]}, {"type": "integer"}),
    ({"enum": ["a", None]}, {"nullable": True, "type": "string", "enum": ["a"]}),
    ({"type": "number", "exclusiveMinimum": 0, "multipleOf": 2, "minimum": 1.5}, {"type": "number", "minimum": 1.5}),
    ({"type": "string", "format": "uri", "pattern": "^x"}, {"type": "string", "pattern": "^x"}),
    ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
    ({"type": "array", "items": {"$ref": "#/definitions/a"}, "definitions": {"a": {"type": "string"}}},
     {"type": "array", "items": {"type": "string"}}),
    ({"allOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b", "z"]}]},
     {"properties": {"a": {}, "b": {}}, "required": ["a", "b"]}),
    ({"type": "object", "patternProperties": {"x": {}}, "if": {}, "then": {}, "not": {}, "$id": "q", "$comment": "w"},
     {"type": "object"}),
    (TREE, {"type": "object", "properties": {"child": {"type": "object", "properties": {
        "next": {"type": "object"}, "v": {"type": "integer"}}}}}),
    ({"$ref": "https://elsewhere.test/schema"}, {}),
    (True, {"type": "object"}),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "expected"), CORPUS)
def test_row_67_old_models_get_only_the_keywords_that_they_know(schema: Any, expected: Any) -> None:
    once = openapi_schema(msgspec.Raw(json.dumps(schema).encode()))
    assert json.loads(bytes(once)) == expected
    assert openapi_schema(once) == once


def test_row_67_newer_models_get_the_schema_byte_for_byte() -> None:
    raw = msgspec.Raw(json.dumps(TREE, indent=1).encode())
    body, _ = GEMINI.render_request(
        conversation(USER, tools=(c.FunctionTool(name="f", parameters=raw),)), target("gemini-2.5")
    )
    assert b'"parametersJsonSchema":' + bytes(raw) in body


def test_row_67_a_schema_that_grows_without_end_is_bounded() -> None:
    names = [f"n{depth}" for depth in range(40)]
    inner = [{"properties": {side: {"$ref": f"#/$defs/{after}"} for side in "ab"}} for after in names[1:]]
    schema = {"$ref": "#/$defs/n0", "$defs": dict(zip(names, [*inner, {"type": "string"}], strict=True))}
    assert len(bytes(openapi_schema(msgspec.Raw(json.dumps(schema).encode())))) < 2_000_000
    long = {"enum": ["word" * 100] * 100, "description": "long" * 1000, "properties": {"name" * 100: {"type": "null"}}}
    often = {"properties": {f"p{n}": {"$ref": "#/$defs/long"} for n in range(4000)}, "$defs": {"long": long}}
    assert len(bytes(openapi_schema(msgspec.Raw(json.dumps(often).encode())))) < 10_000_000
    chain = {f"n{depth}": {"properties": {"a": {"$ref": f"#/$defs/n{depth + 1}"}}} for depth in range(4000)}
    assert openapi_schema(msgspec.Raw(json.dumps({"$ref": "#/$defs/n0", "$defs": chain}).encode()))


def test_an_object_without_properties_is_no_parameter_for_old_models() -> None:
    tools = (c.FunctionTool(name="f", parameters=msgspec.Raw(b'{"type":"object","properties":{}}')),)
    body = rendered(conversation(USER, tools=tools), target("gemini-2"))
    assert body["tools"] == [{"functionDeclarations": [{"name": "f"}]}]


@pytest.mark.parametrize("name", ["x" * 80, "Bash:0", "ü"])
def test_row_64_names_fit_everywhere_in_the_same_form(name: str) -> None:
    turns = (
        USER,
        c.AssistantTurn(parts=(c.ToolCall(id="a", name=name, input="{}"),)),
        c.ToolTurn(results=(result("a"),)),
    )
    body = rendered(conversation(*turns, tools=(c.FunctionTool(name=name),), tool_choice=c.NamedTool(name)), target())
    sent = body["tools"][0]["functionDeclarations"][0]["name"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", sent)
    assert body["contents"][1]["parts"][0]["functionCall"]["name"] == sent
    assert body["contents"][2]["parts"][0]["functionResponse"]["name"] == sent
    assert body["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"] == [sent]


def test_a_free_form_tool_becomes_a_function_with_one_text() -> None:
    tool = c.CustomTool(name="sh", description="Runs.", grammar=c.Grammar("regex", "a+"))
    turns = (USER, c.AssistantTurn(parts=(c.ToolCall(id="a", name="sh", input="ls", kind="custom"),)))
    body = rendered(conversation(*turns, tools=(tool,)), target())
    assert body["contents"][1]["parts"][0]["functionCall"]["args"] == {"input": "ls"}
    declared = body["tools"][0]["functionDeclarations"][0]
    assert declared["parametersJsonSchema"]["required"] == ["input"]
    assert declared["description"] == "Runs.\n\nThe input must match this regex grammar:\na+"


def test_row_65_empty_texts_are_not_sent_and_a_silent_conversation_still_has_a_user() -> None:
    empty = c.Text(text="")
    turns = (c.SystemTurn(parts=(empty,)), c.UserTurn(parts=(empty,)), c.AssistantTurn(parts=(empty,)))
    assert rendered(conversation(*turns), target())["contents"] == [{"role": "user", "parts": [{"text": " "}]}]


def test_what_belongs_to_this_protocol_goes_back_as_it_came() -> None:
    code = c.Opaque(format="gemini", data=msgspec.Raw(b'{"executableCode":{"code":"1",  "language":"PYTHON"}}'))
    foreign = c.Opaque(format="anthropic", data=msgspec.Raw(b'{"secret":1}'))
    search = c.ProviderTool(format="gemini", name="googleSearch", data=msgspec.Raw(b'{"googleSearch": {}}'))
    asked = conversation(USER, c.AssistantTurn(parts=(code, foreign)), tools=(search,))
    body, dropped = GEMINI.render_request(asked, target())
    assert bytes(code.data) in body
    assert b'"tools":[{"googleSearch": {}}]' in body
    assert b"secret" not in body
    assert dropped == ("content",)


@pytest.mark.parametrize(
    ("model", "row"),
    [
        ("gemini-2.0-flash", "gemini-2"),
        ("gemini-1.5-pro", "gemini-2"),
        ("gemma-3-27b-it", "gemini-2"),
        ("gemini-2.5-flash-lite", "gemini-2.5"),
        ("gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini-2.5-pro-preview-06-05", "gemini-2.5-pro"),
        ("gemini-3.1-pro-preview", "gemini-3"),
        ("gemini-flash-latest", "gemini-3"),
        ("gemini-4-argon", "gemini-3"),
    ],
)
def test_a_model_is_spoken_to_in_the_way_of_its_generation(model: str, row: str) -> None:
    assert dialect_of("", model) is DIALECTS[row]
    assert dialect_of("gemini-2", model) is DIALECTS["gemini-2"]


def test_the_address_names_the_model_and_the_stream() -> None:
    assert request_path("gemini-x", stream=False) == "/v1beta/models/gemini-x:generateContent"
    assert request_path("tunedModels/a", stream=True) == "/v1beta/tunedModels/a:streamGenerateContent?alt=sse"
