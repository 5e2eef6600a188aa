"""What Messages promises of requests: nothing is lost in translation, and what passes through stays as it was."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.generators.conversations import conversations

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
    if isinstance(turns[-1], c.AssistantTurn):
        turns = (*turns, c.UserTurn(parts=(c.Text(text="and?"),)))
    return replace(told, turns=turns, tools=sayable(told.tools), sampling=sayable(told.sampling))


TARGETS = st.builds(target, st.sampled_from(list(MODELS.values())), st.sampled_from([100, 2000, 9000, 64000]))


def reparsed(body: bytes) -> c.Conversation:
    return MESSAGES.parse_request(MESSAGES.open_request(body))


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
