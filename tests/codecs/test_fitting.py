"""What a model does not take is not sent to it by either protocol of OpenAI, and the client is told."""

import json
from typing import Any

import pytest

from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec, Target
from mira.codecs.fitting import EFFORTS, nearest_effort
from mira.codecs.messages import MESSAGES
from mira.codecs.responses import RESPONSES
from mira.core import conversation as c
from mira.core.capabilities import Capabilities, capabilities_of

NODES = pytest.mark.parametrize("node", [CHAT, RESPONSES])
TOOL = c.FunctionTool(name="f")
HI = (c.UserTurn(parts=(c.Text(text="hi"),)),)


def rendered(node: Codec, can: Capabilities, **asked: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    place = Target(model="m", output_cap=77, dialect="openai", capabilities=can)
    body, dropped = node.render_request(c.Conversation(model="m", turns=HI, **asked), place)
    return json.loads(body), dropped


def effort_in(body: dict[str, Any]) -> str | None:
    told: str | None = body.get("reasoning_effort") or body.get("reasoning", {}).get("effort")
    return told


@NODES
@pytest.mark.parametrize("model", ["openai/gpt-5.6", "openai/gpt-5-mini", "openai/o4-mini", "anthropic/claude-opus-5"])
def test_a_model_without_sampling_is_told_none(node: Codec, model: str) -> None:
    body, dropped = rendered(node, capabilities_of(model), sampling=c.Sampling(temperature=0.2, top_p=0.5))
    assert dropped == ("temperature", "top_p")
    assert not {"temperature", "top_p"} & body.keys()


def test_a_temperature_of_a_messages_client_does_not_reach_a_model_that_refuses_it() -> None:
    sent = {"model": "m", "max_tokens": 9, "temperature": 0.2, "messages": [{"role": "user", "content": "hi"}]}
    told = MESSAGES.parse_request(MESSAGES.open_request(json.dumps(sent).encode()))
    place = Target(model="m", output_cap=9, dialect="openai", capabilities=capabilities_of("openai/gpt-5.6"))
    body, dropped = CHAT.render_request(told, place)
    assert dropped == ("temperature",)
    assert b"temperature" not in body


def test_chat_completions_drops_all_that_steers_the_drawing_of_tokens_but_the_seed() -> None:
    tuned = c.Sampling(
        temperature=1.0, top_p=1.0, presence_penalty=1.0, frequency_penalty=1.0, logit_bias={"1": 2}, seed=3
    )
    body, dropped = rendered(CHAT, Capabilities(sampling=False), sampling=tuned)
    assert dropped == ("frequency_penalty", "logit_bias", "presence_penalty", "temperature", "top_p")
    assert body["seed"] == 3


@NODES
@pytest.mark.parametrize(("effort", "kept"), [(None, True), ("none", True), ("low", False)])
def test_a_model_that_samples_only_without_thinking_is_told_so_far(node: Codec, effort: str | None, kept: bool) -> None:
    asked = {"sampling": c.Sampling(temperature=0.2), "thinking": c.Thinking(effort=effort)}
    body, dropped = rendered(node, capabilities_of("openai/gpt-5.1"), **asked)
    assert ("temperature" in body) is kept
    assert dropped == (() if kept else ("temperature",))


@NODES
@pytest.mark.parametrize(
    ("model", "asked", "told"),
    [
        ("openai/gpt-5", "none", "minimal"),
        ("openai/gpt-5", "minimal", "minimal"),
        ("openai/gpt-5", "max", "high"),
        ("openai/gpt-5.1", "minimal", "low"),
        ("openai/gpt-5.2", "max", "xhigh"),
        ("openai/gpt-5.6", "none", "none"),
        ("openai/gpt-6-sol", "max", "max"),
        ("openai/gpt-6-astra", "none", "low"),
        ("openai/o3", "xhigh", "high"),
        ("openai/gpt-5.5-pro", "low", "medium"),
        ("openai/chat-latest", "high", "medium"),
        ("acme/unheard-of", "xhigh", "xhigh"),
        ("acme/unheard-of", "none", "none"),
    ],
)
def test_an_effort_becomes_the_nearest_that_the_model_knows(node: Codec, model: str, asked: str, told: str) -> None:
    body, dropped = rendered(node, capabilities_of(model), thinking=c.Thinking(effort=asked))
    assert effort_in(body) == told
    assert dropped == (() if asked == told else ("reasoning_effort",))


@NODES
@pytest.mark.parametrize(("effort", "dropped"), [("high", ("reasoning_effort",)), ("none", ())])
def test_a_model_that_cannot_think_is_told_no_effort(node: Codec, effort: str, dropped: tuple[str, ...]) -> None:
    body, reported = rendered(node, capabilities_of("openai/gpt-4o-mini"), thinking=c.Thinking(effort=effort))
    assert effort_in(body) is None
    assert reported == dropped


@pytest.mark.parametrize("levels", [("none", "high"), ("none",), ("low", "max")])
def test_thinking_that_was_asked_for_is_not_switched_off(levels: tuple[str, ...]) -> None:
    for effort in EFFORTS[1:]:
        told = nearest_effort(effort, levels)
        assert told != "none"
        assert told in levels or told == effort


@NODES
@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (c.ToolMode.REQUIRED, "auto"),
        (c.NamedTool("f"), "auto"),
        (c.ToolMode.AUTO, "auto"),
        (c.ToolMode.NONE, "none"),
        (c.AllowedTools("required", (c.NamedTool("f"),)), None),
    ],
)
def test_a_model_that_takes_no_forced_tool_is_left_to_choose(
    node: Codec, choice: c.ToolChoice, told: str | None
) -> None:
    can = capabilities_of("anthropic/claude-sonnet-5-5")
    body, dropped = rendered(node, can, tools=(TOOL,), tool_choice=choice)
    if told is None:
        assert '"mode": "auto"' in json.dumps(body["tool_choice"])
    else:
        assert body["tool_choice"] == told
    assert dropped == (("tool_choice",) if choice not in (c.ToolMode.AUTO, c.ToolMode.NONE) else ())
    assert rendered(node, capabilities_of("openai/gpt-5"), tools=(TOOL,), tool_choice=choice)[1] == ()
