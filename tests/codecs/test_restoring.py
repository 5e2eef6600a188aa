"""Tools that a node knows under other names come back under the client's own."""

import json
import sys
from types import FrameType
from typing import Any

from mira.codecs.chat import CHAT
from mira.codecs.codec import Target
from mira.codecs.restoring import Restorer, renamed_tools, restored
from mira.core import conversation as c
from mira.core import events as e

LONG = "x" * 70
REQUEST = c.Conversation(
    model="m",
    turns=(c.UserTurn(parts=(c.Text(text="go"),)),),
    tools=(
        c.CustomTool(name="apply_patch"),
        c.FunctionTool(name="search", namespace="mcp__web"),
        c.FunctionTool(name=LONG),
        c.FunctionTool(name="plain"),
    ),
)


def sent_names() -> list[str]:
    body = json.loads(CHAT.render_request(REQUEST, Target(model="m", output_cap=5))[0])
    assert {tool["type"] for tool in body["tools"]} == {"function"}
    return [tool["function"]["name"] for tool in body["tools"]]


def test_names_and_kinds_come_back_in_a_whole_answer() -> None:
    calls = tuple(c.ToolCall(id=name, name=name, input='{"input":"*** a"}') for name in sent_names())
    answer = c.Answer(id="a", model="m", choices=(c.Choice(parts=calls),))
    told = [
        (part.name, part.namespace, part.kind, part.input)
        for part in restored(answer, renamed_tools(REQUEST)).choices[0].parts
    ]
    wrapped = '{"input":"*** a"}'
    assert told == [
        ("apply_patch", None, "custom", "*** a"),
        ("search", "mcp__web", "function", wrapped),
        (LONG, None, "function", wrapped),
        ("plain", None, "function", wrapped),
    ]


def test_a_free_form_call_in_a_stream_is_told_once_it_is_whole() -> None:
    machine = Restorer(renamed_tools(REQUEST))
    steps = [
        e.ToolCallStart(index=0, id="a", name="apply_patch"),
        e.ToolCallDelta(index=0, fragment='{"input":"l1'),
        e.ToolCallStart(index=1, id="b", name="plain"),
        e.ToolCallDelta(index=1, fragment="{}"),
        e.ToolCallDelta(index=0, fragment='\\nl2"}'),
        e.Finish(reason=c.FinishReason.TOOL_CALLS),
    ]
    told = [event for step in steps for event in machine.feed(step)]
    assert told == [
        e.ToolCallStart(index=0, id="a", name="apply_patch", kind="custom"),
        e.ToolCallStart(index=1, id="b", name="plain"),
        e.ToolCallDelta(index=1, fragment="{}"),
        e.ToolCallDelta(index=0, fragment="l1\nl2"),
        e.Finish(reason=c.FinishReason.TOOL_CALLS),
    ]


def test_a_native_free_form_call_is_left_as_it_is() -> None:
    machine = Restorer(renamed_tools(REQUEST))
    start = e.ToolCallStart(index=0, id="a", name="apply_patch", kind="custom")
    delta = e.ToolCallDelta(index=0, fragment='{"input":"x"}')
    assert [*machine.feed(start), *machine.feed(delta)] == [start, delta]


def steps_of(choices: int) -> tuple[int, list[e.Event]]:
    """How many lines of the restorer run for an answer of so many choices with a free-form call each, and what is told."""
    machine = Restorer(renamed_tools(REQUEST))
    starts = [e.ToolCallStart(index=0, id=f"c{n}", name="apply_patch", choice=n) for n in range(choices)]
    pieces = [
        e.ToolCallDelta(index=0, fragment=piece, choice=n) for n in range(choices) for piece in ('{"input"', ':"x"}')
    ]
    ends = [e.Finish(reason=c.FinishReason.TOOL_CALLS, choice=n) for n in range(choices)]
    steps = 0

    def count(frame: FrameType, kind: str, _: Any) -> Any:
        nonlocal steps
        steps += kind == "line" and frame.f_globals["__name__"] == "mira.codecs.restoring"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        told = [event for step in (*starts, *pieces, *ends) for event in machine.feed(step)]
    finally:
        sys.settrace(before)
    return steps, told


def test_the_end_of_a_choice_costs_nothing_for_the_other_choices() -> None:
    few, _ = steps_of(50)
    many, told = steps_of(500)
    assert many <= 10 * few
    ended = [event for event in told if isinstance(event, e.ToolCallDelta | e.Finish)]
    assert ended == [
        event
        for n in range(500)
        for event in (
            e.ToolCallDelta(index=0, fragment="x", choice=n),
            e.Finish(reason=c.FinishReason.TOOL_CALLS, choice=n),
        )
    ]
