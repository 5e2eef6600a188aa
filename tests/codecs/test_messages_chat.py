"""What translation between Messages and Chat Completions promises of any conversation and any answer."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.generators.conversations import NAMES
from tests.grammar.messages import check_messages_stream, content_of
from tests.support.crossing import (
    MESSAGES_GOLDEN,
    through,
)

from mira.codecs.chat import CHAT
from mira.codecs.codec import Context, Target
from mira.codecs.messages import MESSAGES
from mira.core import conversation as c
from mira.core import events as e
from mira.core.conversation import Conversation
from mira.core.usage import Usage


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
