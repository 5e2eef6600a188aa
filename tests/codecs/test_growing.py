"""Long arguments and signatures in many pieces cost time by their length, and are known to be whole at the right moment."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generators.conversations import OBJECTS, pieces, splits

from mira.codecs.growing import Arguments, Thought
from mira.core.events import ReasoningDelta


def grown(*told: str) -> Arguments:
    arguments = Arguments()
    for piece in told:
        arguments.add(piece)
    return arguments


@given(OBJECTS, st.data())
def test_an_object_is_whole_with_its_last_brace_and_not_before(value: dict[str, Any], data: st.DataObject) -> None:
    # ASCII, so that bytes and characters are cut in the same places.
    text = json.dumps(value)
    parts = [part.decode() for part in pieces(text.encode(), data.draw(splits(len(text)))) if part]
    arguments = Arguments()
    said = ""
    for part in parts:
        arguments.add(part)
        said += part
        assert arguments.is_whole() is (said == text)
    assert arguments.text() == text
    assert len(arguments) == len(parts)


@pytest.mark.parametrize(
    "told",
    [
        (),
        ("{",),
        ('{"a":"}',),
        ('{"a":"\\', '"}'),
        ('{"a":"\\"', "}"),
        ("[1]",),
        ('"x"',),
        ("{}", "{}"),
        ("{} x",),
        ("{}", " ", "x"),
        ("{]",),
        ("}",),
        ("{a}",),
        ("\\{}",),
    ],
)
def test_what_is_no_object_or_not_yet_is_not_whole(told: tuple[str, ...]) -> None:
    assert not grown(*told).is_whole()


@pytest.mark.parametrize("told", [("{}",), ("{", "}"), (" {} ", "\n"), ('{"a":"\\', '\\"}'), ('{"a":"\\', '""', "}")])
def test_blanks_and_escapes_are_seen_through(told: tuple[str, ...]) -> None:
    assert grown(*told).is_whole()


def test_what_came_behind_the_end_is_never_forgotten() -> None:
    arguments = grown('{"a":1}', " ")
    assert arguments.is_whole()
    arguments.add("{}")
    assert not arguments.is_whole()
    arguments.add(" ")
    assert not arguments.is_whole()


def test_a_thought_keeps_what_its_deltas_said_of_it() -> None:
    deltas = [
        ReasoningDelta(kind="text", text="hm", id="rs_1"),
        ReasoningDelta(kind="text", signature="a", format="f"),
        ReasoningDelta(kind="text", signature="b", format="g", id="rs_2"),
    ]
    thought = Thought(deltas[0])
    for delta in deltas:
        thought.add(delta)
    block = thought.block("hm")
    assert (block.text, block.signature, block.format, block.id, block.data) == ("hm", "ab", "f", "rs_1", None)
