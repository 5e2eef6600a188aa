"""List prices become exact integers, and what has no expressible price has none."""

import math
import random
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage as ListedUsage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import TimeOfDateConstraint

from mira.core.money import picocredits_per_token as mtok
from mira.core.pricing import cost_nanocredits
from mira.core.usage import Usage
from mira.workers.list_prices import prices
from mira.workers.side import SideProcess


async def test_the_side_process_tells_prices_of_every_class_and_tier():
    side = SideProcess()
    try:
        found = await side.prices(["anthropic/claude-sonnet-4.5", "acme/unheard-of"])
    finally:
        await side.close()
    assert found["acme/unheard-of"] is None
    price = found["anthropic/claude-sonnet-4.5"]
    assert (price.input_picocredits, price.output_picocredits) == (mtok("3"), mtok("15"))
    assert price.cache_read_picocredits == mtok("0.3")
    assert (price.cache_write_5m_picocredits, price.cache_write_1h_picocredits) == (mtok("3.75"), mtok("6"))
    assert price.web_search_picocredits == 10**10
    (tier,) = price.tiers
    assert (tier.above_prompt_tokens, tier.price.input_picocredits) == (200_000, mtok("6"))
    assert price.source == "genai-prices"


@pytest.mark.parametrize(
    ("model", "same"),
    [
        ("anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4.5"),
        ("anthropic/claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4.5"),
        ("openrouter/anthropic/claude-sonnet-4-5", "openrouter/anthropic/claude-sonnet-4.5"),
        ("openai/gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini"),
        ("xai/grok-4", "x-ai/grok-4"),
        ("gemini/gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("OpenAI/GPT-4o", "openai/gpt-4o"),
    ],
)
def test_a_model_has_one_price_under_all_its_names(model, same):
    found = prices([model, same])
    assert found[model] is not None
    assert found[model] == found[same]


@pytest.mark.parametrize(
    "model",
    [
        "mistral/mistral-ocr-latest",  # pages
        "perplexity/sonar",  # calls
        "google/gemini-omni-1.1-flash",  # video
        "openai/gpt-4o-unheard-of",
        "my-openai-proxy/gpt-4o",  # another seller, whatever its name contains
        "openrouter/auto",
        "gpt-4o",
        "openai/",
        "",
    ],
)
def test_what_cannot_be_priced_exactly_has_no_price(model):
    assert prices([model]) == {model: None}


def test_what_is_sold_by_the_piece_has_the_price_of_one_piece():
    found = prices(["openai/tts-1", "openai/tts-1-hd", "openai/whisper-1"])
    assert found["openai/tts-1"].character_picocredits == 15_000_000
    assert found["openai/tts-1-hd"].character_picocredits == 30_000_000
    assert found["openai/whisper-1"].second_picocredits == 100_000_000
    assert not any(price.prices_tokens for price in found.values())


def test_a_price_is_never_zero_throughout_nor_free():
    everything = [f"{provider.id}/{model.id}" for provider in get_snapshot().providers for model in provider.models]
    found = [price for price in prices(everything).values() if price is not None]
    assert len(found) > 1500
    assert not any(price.is_zero or price.free for price in found)


def test_an_embedding_without_an_output_price_is_priced_by_its_input():
    price = prices(["openai/text-embedding-3-small"])["openai/text-embedding-3-small"]
    assert price.input_picocredits == price.output_picocredits == mtok("0.02")


def test_a_price_by_the_hour_is_the_dearest_of_the_day():
    price = prices(["deepseek/deepseek-chat"])["deepseek/deepseek-chat"]
    assert (price.input_picocredits, price.output_picocredits) == (mtok("0.27"), mtok("1.1"))


def test_the_cost_equals_that_of_the_library_for_every_model():
    """Random usages of every model that has a price, against genai-prices' own arithmetic."""
    chance = random.Random(7)
    now = datetime.now(tz=UTC)
    compared = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            by_hour = isinstance(model.prices, list) and any(
                isinstance(price.constraint, TimeOfDateConstraint) for price in model.prices
            )
            name = f"{provider.id}/{model.id}"
            price = None if by_hour else prices([name])[name]
            # Some ids of the library name another of its models first; compare what was found under the name.
            if price is None or provider.find_model(model.id.lower()) is not model:
                continue
            usage = _usage(chance, model.get_prices(now).output_mtok is not None)
            theirs = model.calc_price(_listed(usage), provider, genai_request_timestamp=now).total_price
            # The library keeps prices finer than a pico-credit, which a few float-made rows have.
            tokens = usage.prompt_tokens + usage.completion_tokens
            assert abs(Decimal(cost_nanocredits(usage, price)) - theirs * 10**9) <= 1 + tokens / Decimal(1000)
            if _is_whole(model.get_prices(now)):
                assert cost_nanocredits(usage, price) == math.ceil(theirs * 10**9)
            compared += 1
    assert compared > 1500


def _usage(chance, has_output):
    def some(most):
        return chance.choice([0, chance.randrange(most)])

    return Usage(
        input_tokens=some(400_000),
        cache_read_tokens=some(100_000),
        cache_write_5m_tokens=some(50_000),
        cache_write_1h_tokens=some(50_000),
        output_tokens=some(30_000) if has_output else 0,
        reasoning_tokens=some(9_000) if has_output else 0,
        web_searches=some(5),
    )


def _listed(usage):
    return ListedUsage(
        input_tokens=usage.prompt_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        output_tokens=usage.completion_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
        # Classes that are absent must be told to be absent.
        input_audio_tokens=0,
        cache_audio_read_tokens=0,
        output_audio_tokens=0,
        input_image_tokens=0,
        cache_image_read_tokens=0,
        output_image_tokens=0,
        web_searches=usage.web_searches,
        storage_searches=0,
    )


def _is_whole(listed):
    amounts = [value for value in vars(listed).values() if value is not None]
    flat = [
        rate
        for value in amounts
        for rate in ([value] if isinstance(value, Decimal) else [value.base, *(tier.price for tier in value.tiers)])
    ]
    return all(rate * 10**6 == int(rate * 10**6) for rate in flat)
