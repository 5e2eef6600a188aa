"""What media cost, what models put out, and which of a model's prices a call has."""

from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.core.media import OUTPUTS, at, is_priced, list_price, outputs_of, settled_usage
from mira.core.price_rows import price_row
from mira.core.pricing import FREE, Price, Variant, bill, cost_nanocredits
from mira.core.usage import Usage, added

PICO_PER_CREDIT = 10**12
COUNTS = st.integers(0, 10**6)
AMOUNTS = st.integers(0, 10**10)
USAGES = st.builds(
    Usage,
    input_tokens=COUNTS,
    image_input_tokens=COUNTS,
    image_output_tokens=COUNTS,
    images=st.integers(0, 10),
    media_ms=COUNTS,
    characters=COUNTS,
    pages=st.integers(0, 1000),
)
PRICES = st.builds(
    Price,
    input_picocredits=AMOUNTS,
    output_picocredits=AMOUNTS,
    image_input_picocredits=st.none() | AMOUNTS,
    image_output_picocredits=st.none() | AMOUNTS,
    image_picocredits=st.none() | AMOUNTS,
    second_picocredits=st.none() | AMOUNTS,
    character_picocredits=st.none() | AMOUNTS,
    page_picocredits=st.none() | AMOUNTS,
)
MARKUPS = st.tuples(st.integers(1, 1000), st.integers(1, 1000))


def row(**fields):
    return price_row(fields)


@pytest.mark.parametrize(
    ("fields", "usage", "nanocredits"),
    [
        ({"image": "0.04"}, {"images": 3}, 120_000_000),
        ({"second": "0.10"}, {"media_ms": 8_000}, 800_000_000),
        ({"second": "0.0001"}, {"media_ms": 1}, 100),
        ({"second": "0.0001"}, {"media_ms": 30_500}, 3_050_000),
        ({"second": "0.000283333333"}, {"media_ms": 1_500}, 425_000),
        ({"character": "0.000015"}, {"characters": 4096}, 61_440_000),
        ({"character": "0.0000000001"}, {"characters": 1}, 1),
        ({"page": "0.001"}, {"pages": 12}, 12_000_000),
        # OpenAI's picture of high quality, by its tokens: 6,208 at 40 and 20 words at 5 a million
        ({"input": "5", "output": "40"}, {"input_tokens": 20, "image_output_tokens": 6208}, 248_420_000),
        (
            {"input": "5", "output": "10", "image_input": "8", "image_output": "32"},
            {"input_tokens": 20, "image_input_tokens": 765, "output_tokens": 10, "image_output_tokens": 1056},
            20 * 5000 + 765 * 8000 + 10 * 10_000 + 1056 * 32_000,
        ),
        # both: what a row says is added
        ({"input": "2", "output": "0", "image": "0.134"}, {"input_tokens": 100, "images": 2}, 268_200_000),
    ],
)
def test_what_media_cost(fields, usage, nanocredits):
    assert cost_nanocredits(Usage(**usage), row(**fields)) == nanocredits


@given(USAGES, PRICES, MARKUPS)
def test_the_cost_is_the_sum_of_all_units_and_rounded_up_once(usage, price, markup):
    def of(own, base):
        return base if own is None else own

    fresh, out = price.input_picocredits, price.output_picocredits
    exact = usage.input_tokens * fresh + usage.image_input_tokens * of(price.image_input_picocredits, fresh)
    exact += usage.image_output_tokens * of(price.image_output_picocredits, out)
    exact += usage.images * of(price.image_picocredits, 0)
    exact += usage.characters * of(price.character_picocredits, 0)
    exact += usage.pages * of(price.page_picocredits, 0)
    exact += Fraction(usage.media_ms * of(price.second_picocredits, 0), 1000)
    charged = cost_nanocredits(usage, price, markup)
    # A part of a pico-credit of a second's part is rounded up before the markup.
    assert 0 <= charged * 1000 - exact * Fraction(*markup) < 1000 + Fraction(*markup)
    assert cost_nanocredits(usage, price) == ceil(exact / 1000)


@given(USAGES, USAGES, PRICES)
def test_two_calls_cost_together_what_they_cost_apart_but_for_the_rounding(one, other, price):
    together = cost_nanocredits(added(one, other), price)
    apart = cost_nanocredits(one, price) + cost_nanocredits(other, price)
    assert together <= apart <= together + 1


@given(PRICES, st.sampled_from(OUTPUTS))
def test_what_is_called_priced_is_never_silently_free(price, output):
    made = {
        "text": Usage(input_tokens=1000, output_tokens=1000),
        "image": Usage(images=1, output_tokens=1, image_output_tokens=1000),
        "video": Usage(media_ms=1000, output_tokens=1000),
        "speech": Usage(characters=100, media_ms=1000, output_tokens=1000, audio_output_tokens=1000),
        "transcription": Usage(input_tokens=1000, audio_input_tokens=1000, media_ms=1000, output_tokens=1000),
        "embedding": Usage(input_tokens=1000, output_tokens=1000),
    }[output]
    if is_priced(price, output):
        assert cost_nanocredits(added(made, Usage(image_output_tokens=1000)), price) > 0


@given(PRICES, USAGES, USAGES, st.booleans())
def test_a_node_that_tells_no_usage_or_nothing_of_it_is_charged_the_estimate(price, told, estimate, trusted):
    usage = settled_usage(told, estimate, price, trusted=trusted)
    if cost_nanocredits(told, price):
        assert usage == told
    else:
        assert usage.estimated
        assert bill(usage, price, trusted=trusted).actual_nanocredits == cost_nanocredits(estimate, price)
    assert settled_usage(None, estimate, price, trusted=trusted).estimated


def test_a_trusted_report_of_nothing_is_the_nodes_own_word():
    told = Usage(images=1, reported_cost_nanocredits=0)
    price = row(image="0.04")
    assert settled_usage(told, Usage(images=1), price, trusted=True) is told
    untrusted = settled_usage(Usage(reported_cost_nanocredits=0), Usage(images=1), price, trusted=False)
    assert bill(untrusted, price, trusted=False).actual_nanocredits == 40_000_000
    assert is_priced(FREE, "image")
    assert settled_usage(told, Usage(images=1), FREE, trusted=False) is told


EACH = {"*": "0.04", "high": "0.17", "high/1024x1536": "0.25", "256x256": "0.01"}


@pytest.mark.parametrize(
    ("names", "cost"),
    [
        ((), "0.04"),
        (("medium/1024x1024", "medium", "1024x1024"), "0.04"),
        (("high/1024x1024", "high", "1024x1024"), "0.17"),
        (("HIGH/1024x1536", "HIGH", "1024x1536"), "0.25"),
        (("low/256x256", "low", "256x256"), "0.01"),
        (("*",), "0.25"),
        (("high", "*"), "0.17"),
        (("low", "*"), "0.25"),
    ],
)
def test_the_most_exact_name_decides_what_an_image_costs(names, cost):
    price = at(row(image=EACH), names)
    assert price.image_picocredits == int(Decimal(cost) * PICO_PER_CREDIT)
    assert price.variants == ()


def test_a_variant_without_a_price_is_not_priced():
    price = row(second={"1080p": "0.12"})
    assert is_priced(at(price, ("1080p",)), "video")
    assert not is_priced(at(price, ("720p",)), "video")
    assert not price.is_zero
    with pytest.raises(ValueError, match="variant"):
        Price(input_picocredits=0, output_picocredits=0, variants=(Variant("image", "x", -1),))


@pytest.mark.parametrize(
    ("model", "outputs"),
    [
        ("openai/gpt-image-1.5", {"image"}),
        ("openai/gpt-image-2.5-flare-2026-09-08", {"image"}),
        ("openai/dall-e-3", {"image"}),
        ("openai/gpt-5-image-mini", {"image", "text"}),
        ("google/gemini-2.5-flash-image", {"image", "text"}),
        ("google/gemini-3-pro-image-preview", {"image", "text"}),
        ("google/gemini-nano-banana-2.1", {"image", "text"}),
        ("google/imagen-3.0-generate-001", {"image"}),
        ("google/veo-3.1-generate-preview", {"video"}),
        ("openrouter/google/veo-3.1-generate-preview", {"video"}),
        ("openai/sora-2-pro", {"video"}),
        ("openai/tts-1-hd", {"speech"}),
        ("openai/gpt-4o-mini-tts", {"speech"}),
        ("google/gemini-2.5-flash-preview-tts", {"speech"}),
        ("openai/whisper-1", {"transcription"}),
        ("openai/gpt-4o-mini-transcribe", {"transcription"}),
        ("openai/text-embedding-3-small", {"embedding"}),
        ("google/gemini-embedding-001", {"embedding"}),
        ("openai/gpt-4o-mini", {"text"}),
        ("openai/gpt-5.4", {"text"}),
        ("anthropic/claude-sonnet-4.5", {"text"}),
        ("mira/local", {"text"}),
        ("acme/unheard-of", {"text"}),
    ],
)
def test_the_name_tells_what_a_model_puts_out(model, outputs):
    assert outputs_of(model) == outputs


def test_who_knows_better_stands_above_the_name():
    assert outputs_of("acme/unheard-of", ["image", "nonsense"]) == {"image"}
    assert outputs_of("openai/gpt-image-1", ["text"]) == {"text"}
    assert outputs_of("acme/unheard-of", (), row(image="0.04")) == {"text", "image"}
    assert outputs_of("acme/unheard-of", (), row(image={"high": "0.04"})) == {"text", "image"}


@pytest.mark.parametrize(
    ("model", "output", "names", "usage", "cost"),
    [
        ("google/veo-3.1-generate-preview", "video", ("1080p",), {"media_ms": 8000}, "3.2"),
        ("google/veo-3.1-generate-preview", "video", ("4k",), {"media_ms": 8000}, "4.8"),
        ("google/veo-3.1-fast-generate-001", "video", ("720p",), {"media_ms": 4000}, "0.4"),
        ("google/veo-3.1-fast-generate-001", "video", ("1080p",), {"media_ms": 4000}, "0.48"),
        ("openai/sora-2", "video", (), {"media_ms": 12_000}, "1.2"),
        ("google/imagen-3.0-generate-001", "image", (), {"images": 4}, "0.16"),
        ("openai/tts-1", "speech", (), {"characters": 1_000_000}, "15"),
        ("openai/whisper-1", "transcription", (), {"media_ms": 60_000}, "0.006"),
    ],
)
def test_list_prices_of_what_is_sold_by_the_piece(model, output, names, usage, cost):
    price = at(price_row(list_price(model), source="litellm"), names)
    assert is_priced(price, output)
    assert cost_nanocredits(Usage(**usage), price) == int(Decimal(cost) * 10**9)


def test_what_is_sold_by_tokens_is_not_in_the_list():
    for model in ("openai/gpt-image-1", "google/gemini-2.5-flash-image", "openai/gpt-4o-mini-tts", "openai/gpt-4o"):
        assert list_price(model) is None
