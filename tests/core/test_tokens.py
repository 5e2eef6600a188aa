"""How tokens are counted and bounded, by rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.core.tokens import (
    MEDIA_BOUND_TOKENS,
    MEDIA_TOKENS,
    countable,
    delivered_tokens,
    input_bound_tokens,
    plan,
    total_tokens,
)
from mira.errors import Kind, MiraError


@pytest.mark.parametrize(
    ("model", "encoding", "method"),
    [
        ("openai/gpt-4o-mini", "o200k_base", "exact"),
        ("openai/gpt-4.1-nano", "o200k_base", "exact"),
        ("openai/gpt-5.4-2026-03-05", "o200k_base", "exact"),
        ("openai/o3-mini", "o200k_base", "exact"),
        ("openai/gpt-4", "cl100k_base", "exact"),
        ("openai/gpt-4-1106-preview", "cl100k_base", "exact"),
        ("openai/gpt-3.5-turbo", "cl100k_base", "exact"),
        ("openai/text-embedding-3-small", "cl100k_base", "exact"),
        ("groq/openai/gpt-oss-120b", "o200k_harmony", "exact"),
        ("openai/gpt-6-sol", "o200k_base", "estimate"),
        ("google/gemini-2.5-pro", "o200k_base", "estimate"),
        ("mistral/mistral-large-latest", "o200k_base", "estimate"),
    ],
)
def test_a_model_is_counted_with_its_encoding(model, encoding, method):
    found = plan(model)
    assert (found.encoding, found.method) == (encoding, method)


@pytest.mark.parametrize(
    ("model", "percent"),
    [
        ("anthropic/claude-sonnet-4.5", 130),
        ("anthropic/claude-sonnet-4-5-20250929", 130),
        ("anthropic/claude-3-5-haiku-20241022", 130),
        ("anthropic/claude-opus-4-20250514", 130),
        ("anthropic/claude-opus-4-6", 130),
        ("anthropic/claude-opus-4.7", 170),
        ("anthropic/claude-sonnet-5", 170),
        ("anthropic/claude-mythos-preview", 170),
        ("google/gemini-2.5-flash", 105),
        ("x-ai/grok-4", 100),
        ("openai/gpt-4o", 100),
    ],
)
def test_a_foreign_tokenizer_is_estimated_by_its_factor(model, percent):
    found = plan(model)
    assert found.factor[0] * 100 == percent * found.factor[1]
    assert (found.method == "exact") == (model == "openai/gpt-4o")


def test_the_factor_rounds_up_and_leaves_the_fixed_tokens_alone():
    assert total_tokens([1, 2], 7, (13, 10)) == 4 + 7
    assert total_tokens([], 3, (17, 10)) == 3


def test_a_text_is_counted_as_it_stands():
    found = countable({"text": "hello"})
    assert (found.texts, found.fixed_tokens, found.plain) == (["hello"], 0, True)


def test_messages_cost_three_tokens_each_and_three_for_the_reply():
    found = countable({"system": "Be brief.", "messages": [{"role": "user", "content": "hi"}]})
    assert found.texts == ["Be brief.", "user", "hi"]
    assert (found.fixed_tokens, found.plain) == (3 * 2 + 3, True)


def test_tools_images_and_results_are_counted_and_make_it_an_estimate():
    body = {
        "tools": [{"name": "look", "input_schema": {"type": "object"}}],
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "see"}, {"type": "image", "source": {"data": "A" * 99}}],
            },
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "look", "input": {"x": 1}}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "a cat"}]}
                ],
            },
        ],
    }
    found = countable(body)
    assert found.texts == [
        "user", "see",
        "assistant", '{"name":"look","input":{"x":1}}',
        "user", "a cat",
        '[{"name":"look","input_schema":{"type":"object"}}]',
    ]  # fmt: skip
    assert (found.fixed_tokens, found.plain) == (3 * 3 + 3 + MEDIA_TOKENS, False)


def test_tool_calls_and_thinking_are_counted():
    message = {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    texts = countable({"messages": [message]}).texts
    assert "hm" in texts
    assert any('"arguments":"{}"' in text for text in texts)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"text": 5}, "text"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages"),
        ({"tools": {}}, "tools"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [], "system": 5}, "system.content"),
    ],
)
def test_what_cannot_be_counted_is_named(body, param):
    with pytest.raises(MiraError) as raised:
        countable(body)
    assert (raised.value.kind, raised.value.param) == (Kind.BAD_REQUEST, param)


@pytest.mark.parametrize(
    ("body", "texts", "fixed"),
    [
        ({"input": "a cat"}, ["a cat"], 0),
        ({"input": ["a", "b"]}, ["a", "b"], 0),
        ({"input": [1, 2, 3]}, [], 3),
        ({"input": [[1, 2], [3]]}, [], 3),
        ({"input": "a cat", "instructions": "Be brief."}, ["a cat", "Be brief."], 3 + 3),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]}, ["user", "hi"], 3 + 3),
    ],
)
def test_the_input_of_embeddings_and_responses_is_counted(body, texts, fixed):
    found = countable(body)
    assert (found.texts, found.fixed_tokens, found.plain) == (texts, fixed, True)


def test_what_tools_said_in_responses_is_counted():
    found = countable({"input": [{"type": "function_call_output", "call_id": "c", "output": "rain"}]})
    assert "rain" in found.texts[0]
    assert not found.plain


def test_deeply_nested_content_is_no_danger():
    content = "deep"
    for _ in range(100_000):
        content = [content]
    assert countable({"messages": [{"role": "user", "content": content}]}).texts == ["user", "deep"]


def test_the_input_is_bounded_by_its_bytes_and_media():
    assert input_bound_tokens(1000, 2) == 1000 + 2 * MEDIA_BOUND_TOKENS
    assert input_bound_tokens(-1, -1) == 0


@pytest.mark.parametrize(
    ("deltas", "text_tokens", "delivered"),
    [(0, 0, 0), (100, 90, 100), (100, 300, 100), (100, 301, 301), (1, 500, 500), (0, 7, 7)],
)
def test_a_cut_stream_is_charged_by_its_deltas_or_its_text(deltas, text_tokens, delivered):
    assert delivered_tokens(deltas, text_tokens) == delivered


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_a_cut_stream_never_has_fewer_than_no_tokens(deltas, text_tokens):
    assert delivered_tokens(deltas, text_tokens) >= 0
