"""What a model takes is found under every spelling of its name, and an operator's word stands above the tables."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from mira.core import capabilities, models
from mira.core.capabilities import UNKNOWN, Capabilities, Family, capabilities_of, needs_responses
from mira.core.conversation import Thinking
from mira.core.model_rows import WORDS, model_row
from mira.core.models import limits

DATA = Path(models.__file__).parent / "data"


def flags(model, *names, own=models.NO_ROWS):
    told = capabilities_of(model, own)
    return tuple(getattr(told, name) for name in names)


@pytest.mark.parametrize(
    ("model", "sampling", "budget", "adaptive", "always", "prefill"),
    [
        ("anthropic/claude-3-5-haiku-20241022", True, True, False, False, True),
        ("anthropic/claude-3-7-sonnet-latest", True, True, False, False, True),
        ("anthropic/claude-opus-4-20250514", True, True, False, False, True),
        ("anthropic/claude-sonnet-4-5-20250929", True, True, False, False, True),
        ("anthropic/claude-haiku-4.5", True, True, False, False, True),
        ("anthropic/claude-opus-4.6", True, True, True, False, False),
        ("openrouter/anthropic/claude-sonnet-4-6:thinking", True, True, True, False, False),
        ("anthropic/claude-opus-4-7", False, False, True, False, False),
        ("anthropic/claude-opus-4.8", False, False, True, False, False),
        ("anthropic/claude-sonnet-5", False, False, True, False, False),
        ("anthropic/claude-opus-5-5", False, False, True, True, False),
        ("anthropic/claude-fable-5-1", False, False, True, True, False),
        ("anthropic/claude-mythos-preview", False, False, True, True, False),
        ("bedrock/claude-opus-7", False, False, True, False, False),
    ],
)
def test_bug_32_a_generation_of_claude_takes_what_it_takes(model, sampling, budget, adaptive, always, prefill):
    names = ("sampling", "thinking_budget", "thinking_adaptive", "thinking_always_on", "prefill")
    assert flags(model, *names) == (sampling, budget, adaptive, always, prefill)


@pytest.mark.parametrize(
    ("model", "flag", "value"),
    [
        ("anthropic/claude-3-haiku", "reasoning", False),
        ("anthropic/claude-3-7-sonnet", "reasoning", True),
        ("anthropic/claude-3-7-sonnet", "structured_output", False),
        ("anthropic/claude-sonnet-4-5", "structured_output", True),
        ("anthropic/claude-opus-4-7", "mid_system", False),
        ("anthropic/claude-opus-4-8-20260916", "mid_system", True),
        ("anthropic/claude-sonnet-5-5", "forced_tools", False),
        ("anthropic/claude-haiku-5-5", "forced_tools", True),
        ("anthropic/claude-opus-4-6", "efforts", ("low", "medium", "high", "max")),
        ("anthropic/claude-opus-5", "efforts", ("low", "medium", "high", "xhigh", "max")),
        ("google/gemini-3.7-flash", "sampling", False),
        ("google/gemini-2.5-pro", "sampling", True),
        ("openai/gpt-5", "thinking_always_on", True),
        ("openai/gpt-5-chat-latest", "thinking_always_on", False),
        ("openai/gpt-5.1-2025-11-13", "efforts", ("none", "low", "medium", "high")),
        ("openai/gpt-5.6", "sampling", False),
        ("openai/gpt-5", "sampling", False),
        ("openai/gpt-5-mini-2025-08-07", "sampling", False),
        ("openai/gpt-5-chat-latest", "sampling", True),
        ("openai/gpt-5-chat-latest", "reasoning", False),
        ("openai/gpt-5.1", "sampling", True),
        ("openai/gpt-5.2", "sampling_with_thinking", False),
        ("openai/gpt-5.6", "sampling_with_thinking", True),
        ("openai/o3-mini", "sampling", False),
        ("openai/o4-mini-2025-04-16", "efforts", ("low", "medium", "high")),
        ("openai/gpt-5.1-codex-max", "efforts", ("low", "medium", "high", "xhigh")),
        ("openai/gpt-5-codex", "efforts", ("low", "medium", "high")),
        ("openai/gpt-4o-mini", "reasoning", False),
        ("openai/gpt-4.1", "reasoning", False),
        ("openrouter/openai/gpt-oss-120b", "efforts", ("low", "medium", "high")),
        ("acme/ago3-mini", "sampling", True),
        ("openai/gpt-5.6", "thinks_unasked", True),
        ("openai/gpt-5.4", "thinks_unasked", False),
        ("openai/gpt-5-codex", "responses_only", True),
        ("openai/o3-pro-2025-06-10", "responses_only", True),
        ("openai/gpt-5.4", "responses_only", False),
        ("openai/gpt-4o-mini-2024-07-18", "responses_only", False),
    ],
)
def test_what_the_source_tells_of_a_model_is_known(model, flag, value):
    assert flags(model, flag) == (value,)


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("gpt-4o", True),
        ("gpt-4.1", True),
        ("gpt-35-turbo", True),
        ("o3", True),
        ("gpt-5", True),
        ("gpt-5-2025-08-07", True),
        ("gpt-5.2", True),
        ("gpt-5.4", False),
        ("gpt-5.4-mini-2026-03-17", False),
        ("gpt-5.6-sol", False),
        ("gpt-5-6", False),
        ("gpt-5.12", False),
        ("gpt-6-luna", False),
        ("gpt-6.1-terra", False),
    ],
)
def test_bug_62_which_models_refuse_tools_with_thinking_on_chat_completions(model, takes):
    assert flags(f"openai/{model}", "chat_tools_with_thinking") == (takes,)


OLD, NEW, NEWER, ONLY, ALWAYS = (
    capabilities_of(f"openai/{name}") for name in ("gpt-4o", "gpt-5.4", "gpt-5.6", "gpt-5.3-codex", "gpt-6-astra")
)


@pytest.mark.parametrize(
    ("can", "thinking", "uses_tools", "needs"),
    [
        (OLD, Thinking(effort="high"), True, False),
        (NEW, Thinking(), True, False),
        (NEW, Thinking(effort="low"), True, True),
        (NEW, Thinking(effort="low"), False, False),
        (NEW, Thinking(effort="none"), True, False),
        (NEW, Thinking(mode="enabled", budget_tokens=2000), True, True),
        (NEW, Thinking(mode="disabled"), True, False),
        (NEWER, Thinking(), True, True),
        (NEWER, Thinking(), False, False),
        (NEWER, Thinking(effort="none"), True, False),
        (ALWAYS, Thinking(effort="none"), True, True),
        (ALWAYS, Thinking(mode="disabled"), True, True),
        (ALWAYS, Thinking(effort="none"), False, False),
        (ONLY, Thinking(), False, True),
        (ONLY, Thinking(effort="none"), True, True),
    ],
)
def test_bug_62_which_requests_responses_alone_takes(can, thinking, uses_tools, needs):
    assert needs_responses(can, thinking, uses_tools=uses_tools) is needs


@pytest.mark.parametrize("model", ["", "/", "acme/unheard-of", "plain/words-1", "openai/-latest-latest"])
def test_a_model_of_which_nothing_is_known_has_the_common_ground(model):
    assert capabilities_of(model) == UNKNOWN


def test_every_row_of_the_tables_is_in_the_words_of_the_flags():
    rows = msgspec.json.decode((DATA / "models.json").read_bytes(), type=dict[str, models.Facts])
    families = msgspec.json.decode((DATA / "families.json").read_bytes(), type=list[Family])
    for told in [*(row.flags for row in rows.values()), *(family.flags for family in families)]:
        msgspec.convert(told, Capabilities)
    for family in families:
        assert re.compile(family.models)
        assert family.source
    documented = (DATA / "README.md").read_text()
    told = {flag for row in rows.values() for flag in row.flags}
    assert {flag for flag in told if f"`{flag}`" not in documented} == set()


def table(*rows):
    return dict(model_row(row, f"models[{number}]") for number, row in enumerate(rows))


def test_the_operators_row_stands_above_the_tables_and_leaves_the_rest():
    own = table({"id": "openai/GPT-5.6", "sampling": True, "chat_tools_with_thinking": True, "max_output_tokens": 9})
    for model in ("openai/gpt-5.6", "openai/gpt-5-6", "openai/gpt-5.6-2026-09-01", "openrouter/openai/gpt-5.6"):
        assert flags(model, "sampling", "chat_tools_with_thinking", "thinks_unasked", own=own) == (True, True, True)
        assert limits(model, own).max_output_tokens == 9
    assert limits("openai/gpt-5.6", own).max_input_tokens == 922_000
    assert capabilities_of("openai/gpt-5.6-sol", own) == capabilities_of("openai/gpt-5.6-sol")


def test_the_operator_may_tell_of_a_model_that_nobody_knows():
    own = table({"id": "acme/one", "reasoning": False, "efforts": ["low"], "max_input_tokens": 4000})
    assert flags("acme/one", "reasoning", "efforts", own=own) == (False, ("low",))
    assert limits("acme/one", own) == models.ModelLimits(4000, None)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"sampling": False}, "models[0].id: is missing"),
        ({"id": ""}, "models[0].id: is missing"),
        ({"id": "a/b", "samplng": False}, "models[0].samplng: unknown field; known are id, max_input_tokens,"),
        ({"id": "a/b", "sampling": "no"}, "models[0].sampling: must be true or false"),
        ({"id": "a/b", "efforts": ["much"]}, "models[0].efforts: must be a list of none, minimal, low,"),
        ({"id": "a/b", "max_output_tokens": 0}, "models[0].max_output_tokens: must be a whole number of tokens"),
        ({"id": "a/b", "max_input_tokens": True}, "models[0].max_input_tokens: must be a whole number of tokens"),
    ],
)
def test_a_wrong_row_is_refused_with_the_name_of_its_field(row, words):
    with pytest.raises(ValueError, match=f"^{re.escape(words)}"):
        model_row(row, "models[0]")


def test_every_word_of_a_row_is_a_limit_or_a_flag():
    assert set(WORDS) == {
        "outputs",
        *models.ModelLimits.__struct_fields__,
        *capabilities.Capabilities.__struct_fields__,
    }


def test_the_tables_are_small():
    assert len(json.dumps(json.loads((DATA / "models.json").read_text()))) < 16_000
