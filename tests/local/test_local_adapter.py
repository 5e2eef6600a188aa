"""What the local model is shown, and how its words become tool calls."""

import json
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.core.conversation import (
    AllowedTools,
    Answer,
    AssistantTurn,
    Audio,
    Choice,
    Conversation,
    CustomTool,
    Document,
    FinishReason,
    FunctionTool,
    Image,
    Inline,
    JsonSchema,
    Link,
    NamedTool,
    Opaque,
    PlainText,
    ProviderTool,
    Reasoning,
    SearchResult,
    SystemTurn,
    Text,
    ToolCall,
    ToolMode,
    ToolResult,
    ToolTurn,
    UserTurn,
)
from mira.core.events import (
    ErrorEvent,
    Event,
    Finish,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageEvent,
)
from mira.core.usage import Usage
from mira.errors import Kind, MiraError
from mira.nodes.local.adapter import AFTER_RESULTS, DEFAULT_SYSTEM_PROMPT, prepare
from mira.nodes.local.interpreter import Interpreter, interpret

WEATHER = FunctionTool(
    name="weather",
    description="The weather at a place",
    parameters=msgspec.Raw(
        b'{"type":"object","properties":{"place":{"type":"string"},"days":{"type":"integer"}},"required":["place"]}'
    ),
)
CLOCK = FunctionTool(name="clock", namespace="time")
NOTE = CustomTool(name="note")
CALL = '{"name": "weather", "arguments": {"place": "Paris"}}'
CALL_2 = '{"name":"time__clock","arguments":{}}'
HELLO = UserTurn(parts=(Text(text="Hello"),))


def talk(*turns, **fields) -> Conversation:
    return Conversation(model="mira/local", turns=turns or (HELLO,), **fields)


def texts(conversation: Conversation) -> list[tuple[str, str]]:
    roles = {SystemTurn: "system", UserTurn: "user", AssistantTurn: "assistant"}
    return [(roles[type(turn)], "|".join(part.text for part in turn.parts)) for turn in conversation.turns]


# What the model is shown


def test_a_conversation_without_instructions_gets_the_default_ones():
    assert texts(prepare(talk())) == [("system", DEFAULT_SYSTEM_PROMPT), ("user", "Hello")]


def test_instructions_of_the_client_stand_alone():
    system = SystemTurn(parts=(Text(text="Speak French."),))
    more = SystemTurn(parts=(Text(text="Be brief."),), developer=True)
    assert texts(prepare(talk(system, more, HELLO))) == [("system", "Speak French.\nBe brief."), ("user", "Hello")]


def test_instructions_in_mid_conversation_stay_where_they_are():
    later = SystemTurn(parts=(Text(text="Now be brief."),))
    assert [role for role, _ in texts(prepare(talk(HELLO, later, HELLO)))] == ["system", "user", "system", "user"]


def test_tools_become_lines_of_the_system_message_and_are_removed():
    prepared = prepare(talk(tools=(WEATHER, CLOCK), parallel_tool_calls=True))
    assert prepared.tools == ()
    assert prepared.tool_choice is None
    assert prepared.parallel_tool_calls is None
    assert prepared.response_format is None
    system = texts(prepared)[0][1]
    described = [json.loads(line) for line in system.splitlines() if line.startswith("{")]
    assert [tool["name"] for tool in described] == ["weather", "time__clock"]
    assert described[0]["parameters"]["required"] == ["place"]
    assert system.startswith(DEFAULT_SYSTEM_PROMPT)


def test_tools_that_may_not_be_called_are_not_shown():
    assert texts(prepare(talk(tools=(WEATHER,), tool_choice=ToolMode.NONE)))[0][1] == DEFAULT_SYSTEM_PROMPT
    only = AllowedTools("auto", (NamedTool("weather"),))
    assert "clock" not in texts(prepare(talk(tools=(WEATHER, CLOCK), tool_choice=only)))[0][1]


def test_what_belongs_to_a_provider_is_left_to_the_codec():
    tool = ProviderTool(format="anthropic", name="web_search", data=msgspec.Raw(b"{}"))
    block = Opaque("anthropic", msgspec.Raw(b"{}"))
    thought = Reasoning(text="Hm.")
    turns = (UserTurn(parts=(block,)), AssistantTurn(parts=(thought,)))
    prepared = prepare(talk(*turns, tools=(tool,)))
    assert prepared.tools == (tool,)
    assert prepared.turns[1:] == turns


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (ToolMode.REQUIRED, ["weather", "time__clock", "note"]),
        (NamedTool("clock"), ["time__clock"]),
        (NamedTool("note", kind="custom"), ["note"]),
        (AllowedTools("required", (NamedTool("weather"), NamedTool("time__clock"))), ["weather", "time__clock"]),
    ],
)
def test_a_forced_choice_leaves_no_answer_but_a_call(choice, names):
    prepared = prepare(talk(tools=(WEATHER, CLOCK, NOTE), tool_choice=choice))
    assert isinstance(prepared.response_format, JsonSchema)
    assert prepared.response_format.schema is not None
    schema = json.loads(bytes(prepared.response_format.schema))
    assert [way["properties"]["name"]["const"] for way in schema["anyOf"]] == names
    assert all(way["required"] == ["name", "arguments"] for way in schema["anyOf"])
    assert all(way["additionalProperties"] is False for way in schema["anyOf"])


def test_references_inside_a_tools_schema_still_point_at_their_target():
    inner = {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"type": "string"}}}
    tool = FunctionTool(name="f", parameters=msgspec.Raw(json.dumps(inner).encode()))
    prepared = prepare(talk(tools=(tool,), tool_choice=ToolMode.REQUIRED))
    assert isinstance(prepared.response_format, JsonSchema)
    assert prepared.response_format.schema is not None
    schema = json.loads(bytes(prepared.response_format.schema))
    reference = schema["$defs"]["tool0"]["properties"]["a"]["$ref"]
    target = schema
    for step in reference.removeprefix("#/").split("/"):
        target = target[step]
    assert target == {"type": "string"}


@pytest.mark.parametrize("choice", [NamedTool("other"), AllowedTools("auto", (NamedTool("other"),))])
def test_a_choice_of_a_tool_that_is_not_there_is_refused(choice):
    with pytest.raises(MiraError) as refused:
        prepare(talk(tools=(WEATHER,), tool_choice=choice))
    assert refused.value.param == "tool_choice"


def test_a_required_call_without_tools_is_refused():
    with pytest.raises(MiraError) as refused:
        prepare(talk(tool_choice=ToolMode.REQUIRED))
    assert refused.value.param == "tool_choice"


def test_calls_and_results_of_the_past_become_words():
    calls = AssistantTurn(
        parts=(
            Text(text="Let me look."),
            ToolCall(id="a", name="weather", input='{"place":"Paris"}'),
            ToolCall(id="b", name="clock", namespace="time", input=""),
            ToolCall(id="c", name="note", input="plain", kind="custom"),
        )
    )
    results = ToolTurn(
        results=(
            ToolResult(call_id="a", parts=(Text(text="sunny"),)),
            ToolResult(call_id="b", parts=(Text(text="no clock"),), is_error=True),
            ToolResult(call_id="x", parts=(), name="other"),
        )
    )
    shown = texts(prepare(talk(HELLO, calls, results, HELLO, tools=(WEATHER,))))
    assert shown[2][1].splitlines() == [
        "Let me look.",
        '{"name":"weather","arguments":{"place":"Paris"}}',
        '{"name":"time__clock","arguments":{}}',
        '{"name":"note","arguments":{"input":"plain"}}',
    ]
    assert shown[3][0] == "user"
    assert shown[3][1].split("|") == [
        "The function weather returned:\nsunny",
        "The function time__clock failed with:\nno clock",
        "The function other returned:\n",
        "Hello",
    ]
    assert len(shown) == 4


def test_after_a_fresh_result_the_model_is_asked_for_words_unless_a_call_is_forced():
    asked = (
        HELLO,
        AssistantTurn(parts=(ToolCall(id="a", name="weather", input="{}"),)),
        ToolTurn(results=(ToolResult(call_id="a", parts=(Text(text="sunny"),)),)),
    )
    assert texts(prepare(talk(*asked, tools=(WEATHER,))))[-1][1].endswith(AFTER_RESULTS)
    forced = talk(*asked, tools=(WEATHER,), tool_choice=ToolMode.REQUIRED)
    assert texts(prepare(forced))[-1][1].endswith("sunny")


def test_arguments_of_the_past_that_are_no_json_are_shown_as_text():
    turn = AssistantTurn(parts=(ToolCall(id="a", name="f", input="{oops"),))
    assert texts(prepare(talk(HELLO, turn)))[2][1] == '{"name":"f","arguments":"{oops"}'


@pytest.mark.parametrize(
    "part",
    [
        Image(source=Link("https://example.org/a.png")),
        Audio(data="", encoding="wav"),
        Document(source=Inline("application/pdf", "")),
    ],
    ids=["image", "audio", "file"],
)
def test_what_the_model_cannot_read_is_refused_with_the_fields_name(part):
    result = ToolTurn(results=(ToolResult(call_id="a", parts=(part,)),))
    for turn in (UserTurn(parts=(part,)), result):
        with pytest.raises(MiraError) as refused:
            prepare(talk(turn))
        assert refused.value.kind is Kind.UNSUPPORTED
        assert refused.value.param == "messages"


def test_documents_and_passages_of_text_are_read():
    parts = (
        Document(source=PlainText("The text"), title="notes.txt"),
        SearchResult(source="https://example.org", title="A page", content=("one", "two")),
    )
    shown = texts(prepare(talk(UserTurn(parts=parts))))
    assert shown[1][1] == "notes.txt:\nThe text|A page (https://example.org):\none\ntwo"


# How its words become calls


def told(text: str, cuts: list[int], conversation: Conversation, reason: FinishReason = FinishReason.STOP):
    """The events of a stream whose text comes in pieces, neighbouring pieces of text joined."""
    reader = Interpreter(conversation, seed="s")
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(text)}), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges) if b > a]
    events: list[Event] = []
    for event in (Start(model="m"), *(TextDelta(text=piece) for piece in pieces), Finish(reason=reason)):
        events += reader.feed(event)
    return joined([*events, *reader.close()])


def joined(events: list[Event]) -> list[Event]:
    out: list[Event] = []
    for event in events:
        if isinstance(event, TextDelta):
            assert event.text, "no delta is empty"
            if out and isinstance(out[-1], TextDelta):
                out[-1] = TextDelta(text=out[-1].text + event.text)
                continue
        out.append(event)
    return out


def said(events: list[Event]) -> list[str | tuple[str, str]]:
    """Texts, and calls as (name, input)."""
    out: list[str | tuple[str, str]] = []
    for event in events:
        if isinstance(event, TextDelta):
            out.append(event.text)
        elif isinstance(event, ToolCallStart):
            out.append((event.name, ""))
        elif isinstance(event, ToolCallDelta):
            name, before = out[-1]
            out[-1] = (name, before + event.fragment)
    return out


PARIS = ("weather", '{"place": "Paris"}')
OFFER = talk(tools=(WEATHER, CLOCK, NOTE))

SAYINGS = {
    CALL: [PARIS],
    f"\n  {CALL}\n": [PARIS],
    f"```json\n{CALL}\n```": [PARIS],
    f"```\n{CALL}\n```\n": [PARIS],
    f"<tool_call>\n{CALL}\n</tool_call>": [PARIS],
    f"<tool_call>{CALL}": [PARIS],
    f"{CALL}\n{CALL_2}": [PARIS, ("clock", "{}")],
    f"{CALL}, {CALL_2}": [PARIS, ("clock", "{}")],
    f"<tool_call>{CALL}</tool_call><tool_call>{CALL_2}</tool_call>": [PARIS, ("clock", "{}")],
    f"```json\n{CALL}\n```\n```json\n{CALL_2}\n```": [PARIS, ("clock", "{}")],
    f"{CALL}\nThis asks for the weather.": [PARIS, "This asks for the weather."],
    f"```json\n{CALL}\n```\nDone: `x`": [PARIS, "Done: `x`"],
    f"{CALL}\n```python\nprint()\n```": [PARIS, "```python\nprint()\n```"],
    f'{CALL}\n{{"name": "other"}} and more': [PARIS, '{"name": "other"} and more'],
    '{"name":"weather","parameters":{"place":"a \\"}{ b"}}': [("weather", '{"place":"a \\"}{ b"}')],
    '{"name":"weather","arguments":"{\\"place\\":\\"Rome\\"}"}': [("weather", '{"place":"Rome"}')],
    '{"arguments":{},"name":"time__clock"}': [("clock", "{}")],
    '{"name":"time__clock"}': [("clock", "{}")],
    '{"name":"note","arguments":{"input":"free text"}}': [("note", "free text")],
    '{"name":"note","arguments":{"input":""}}': [("note", "")],
}

NO_CALLS = [
    "Hello there.",
    "",
    " \n ",
    f"I would call {CALL}",
    "{",
    "{}",
    '{"na',
    '{"title": "A story", "pages": 3}',
    '{"name": "other", "arguments": {}}',
    '{"name": "weather", "arguments": {}}',
    '{"name": "weather", "arguments": {"place": 3}}',
    '{"name": "weather", "arguments": {"place": "Paris", "days": "three"}}',
    '{"name": "weather", "arguments": ["Paris"]}',
    '{"name": "weather", "arguments": {"place": "Paris"}, "note": 1}',
    '{"name": "weather", "arguments": "oops"}',
    '{"name": "note", "arguments": {"input": 3}}',
    '{"name": 3, "arguments": {}}',
    '{"name": "weather", "arguments": {place}}',
    '{"arguments": {"place": "Paris"}}',
    '{"name":"weather","arguments":' + "[" * 5000 + "]" * 5000 + "}",
    CALL[:-3],
    "```python\nprint('{')\n```",
    "```",
    "```jso",
    "<tool_",
    "<tool_call> hm",
    "<b>bold</b>",
]


@pytest.mark.parametrize("text", SAYINGS)
def test_a_leading_object_that_names_a_tool_becomes_a_call(text):
    events = told(text, [], OFFER)
    assert said(events) == SAYINGS[text]
    assert events[-1] == Finish(reason=FinishReason.TOOL_CALLS)


@pytest.mark.parametrize("text", NO_CALLS, ids=range(len(NO_CALLS)))
def test_text_that_is_no_call_is_unchanged(text):
    for cuts in ([], list(range(len(text)))):
        events = told(text, cuts, OFFER)
        assert said(events) == ([text] if text else [])
        assert events[-1] == Finish(reason=FinishReason.STOP)


PIECES = st.sampled_from(
    [CALL, CALL_2, "```json", "```", "<tool_call>", "</tool_call>", "{", "}", '"', "\\", '{"name": "', ",", " ", "\n"]
)
SPEECH = st.one_of(
    st.sampled_from([*SAYINGS, *NO_CALLS]),
    st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=8).map("".join),
)


@given(text=SPEECH, cuts=st.lists(st.integers(1, 200), max_size=12))
def test_any_split_of_the_text_gives_the_same_events(text, cuts):
    whole = told(text, [], OFFER)
    assert told(text, cuts, OFFER) == whole
    assert told(text, list(range(len(text))), OFFER) == whole


@given(text=SPEECH)
def test_a_whole_answer_means_what_its_stream_means(text):
    parts = (Text(text=text),) if text else ()
    answer = Answer(id="a", model="m", choices=(Choice(parts=parts),))
    (choice,) = interpret(answer, OFFER, seed="s").choices
    events = told(text, [], OFFER)
    assert [part.text if isinstance(part, Text) else (part.name, part.input) for part in choice.parts] == said(events)
    assert [part.id for part in choice.parts if isinstance(part, ToolCall)] == [
        event.id for event in events if isinstance(event, ToolCallStart)
    ]
    assert events[-1] == Finish(reason=choice.finish)


@given(text=SPEECH)
def test_without_tools_every_text_is_text(text):
    for offer in (talk(), talk(tools=(WEATHER,), tool_choice=ToolMode.NONE)):
        assert said(told(text, [], offer)) == ([text] if text else [])


@given(text=SPEECH)
def test_the_arguments_of_every_call_are_valid_json(text):
    for piece in said(told(text, [], talk(tools=(WEATHER, CLOCK)))):
        if isinstance(piece, tuple):
            assert isinstance(json.loads(piece[1]), dict)


def test_text_that_cannot_become_a_call_is_not_held_back():
    reader = Interpreter(OFFER, seed="s")
    assert reader.feed(TextDelta(text=' {"na')) == []
    assert reader.feed(TextDelta(text='rrator": ')) == [TextDelta(text=' {"narrator": ')]
    assert reader.feed(TextDelta(text="{")) == [TextDelta(text="{")]


def test_ids_come_from_the_seed_and_number_the_calls():
    starts = [event for event in told(f"{CALL}\n{CALL_2}", [], OFFER) if isinstance(event, ToolCallStart)]
    assert [(start.index, start.id, start.namespace) for start in starts] == [
        (0, "call_s_0_0", None),
        (1, "call_s_0_1", "time"),
    ]


def test_a_second_call_is_text_where_calls_may_not_be_parallel():
    single = talk(tools=(WEATHER, CLOCK), parallel_tool_calls=False)
    assert said(told(f"{CALL}\n{CALL_2}", [], single)) == [PARIS, CALL_2]


def test_a_forced_call_is_taken_as_the_grammar_made_it_and_a_cut_one_is_text():
    forced = talk(tools=(WEATHER,), tool_choice=ToolMode.REQUIRED)
    assert said(told('{"name":"weather","arguments":{}}', [], forced)) == [("weather", "{}")]
    events = told(CALL[:-4], [], forced, FinishReason.LENGTH)
    assert said(events) == [CALL[:-4]]
    assert events[-1] == Finish(reason=FinishReason.LENGTH)


def test_a_cut_answer_keeps_its_reason_even_after_a_call():
    assert told(CALL, [], OFFER, FinishReason.LENGTH)[-1] == Finish(reason=FinishReason.LENGTH)


def test_held_text_comes_out_before_an_error_and_at_the_end_of_a_cut_stream():
    error = ErrorEvent(MiraError(Kind.UPSTREAM_FAILED, "cut"))
    reader = Interpreter(OFFER, seed="s")
    assert reader.feed(TextDelta(text='{"name')) == []
    assert reader.feed(error) == [TextDelta(text='{"name'), error]
    assert reader.close() == []
    reader.feed(TextDelta(text="{"))
    assert reader.close() == [TextDelta(text="{")]


def test_choices_are_read_apart_and_other_events_pass():
    reader = Interpreter(OFFER, seed="s")
    usage = UsageEvent(Usage(output_tokens=3))
    thought = ReasoningDelta(text="Hm.")
    events = []
    for event in (
        thought,
        TextDelta(text=CALL[:9]),
        TextDelta(text="Hello", choice=1),
        TextDelta(text=CALL[9:]),
        Finish(reason=FinishReason.STOP, choice=1),
        Finish(reason=FinishReason.STOP),
        usage,
    ):
        events += reader.feed(event)
    assert events == [
        thought,
        TextDelta(text="Hello", choice=1),
        ToolCallStart(index=0, id="call_s_0_0", name="weather"),
        ToolCallDelta(index=0, fragment='{"place": "Paris"}'),
        Finish(reason=FinishReason.STOP, choice=1),
        Finish(reason=FinishReason.TOOL_CALLS),
        usage,
    ]
