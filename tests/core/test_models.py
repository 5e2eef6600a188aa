"""Limits of models are found under every spelling of their name."""

import pytest

from mira.core.models import DEFAULT_OUTPUT_CAP, ModelLimits, default_output_cap, limits


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("openai/gpt-4o-mini", (128_000, 16_384)),
        ("openai/gpt-4o-mini-2024-07-18", (128_000, 16_384)),
        ("openai/gpt-4o-2024-05-13", (128_000, 4_096)),
        ("anthropic/claude-sonnet-4-5", (200_000, 64_000)),
        ("anthropic/claude-sonnet-4.5", (200_000, 64_000)),
        ("anthropic/claude-sonnet-4-5-20250929", (200_000, 64_000)),
        ("anthropic/claude-sonnet-4-5@20250929", (200_000, 64_000)),
        ("openrouter/anthropic/claude-opus-4.6:thinking", (1_000_000, 128_000)),
        ("google/gemini-2.5-pro", (1_048_576, 65_536)),
        ("OpenAI/GPT-4o", (128_000, 16_384)),
    ],
)
def test_a_model_is_known_by_any_of_its_names(model, known):
    assert limits(model) == ModelLimits(*known)


@pytest.mark.parametrize("model", ["", "/", "acme/unheard-of", "openai/gpt-4o-unheard-of", "openai/-latest-latest"])
def test_an_unknown_model_has_no_limits_and_the_default_cap(model):
    assert limits(model) == ModelLimits()
    assert default_output_cap(model) == DEFAULT_OUTPUT_CAP == 4096


def test_the_default_cap_of_a_known_model_is_its_maximum():
    assert default_output_cap("anthropic/claude-haiku-4.5") == 64_000
