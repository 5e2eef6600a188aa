"""What a call costs, what is held for it, and what no input can do to either."""

from fractions import Fraction
from math import ceil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple, replace

from mira.core.money import MAX_NANOCREDITS
from mira.core.price_rows import price_row
from mira.core.pricing import (
    FREE,
    PRICE_FIELDS,
    Bill,
    Price,
    Tier,
    affordable_cap,
    bill,
    cost_nanocredits,
    flat_rates,
    hold_nanocredits,
    parse_markup,
    with_markup,
)
from mira.core.usage import Usage

# Prices as list prices of 2026; the figures were worked out apart from the code, in fractions of a dollar.
GOLDEN = msgspec.json.decode(Path(__file__).with_name("pricing_vectors.json").read_bytes())
PRICES = {name: price_row(row) for name, row in GOLDEN["prices"].items()}
TOKENS = tuple(name for name in Usage.__struct_fields__ if name.endswith("_tokens"))


def usage_of(row, reported=None):
    return Usage(
        **{name if name == "web_searches" else f"{name}_tokens": count for name, count in row.items()},
        reported_cost_nanocredits=reported,
    )


@pytest.mark.parametrize("vector", GOLDEN["vectors"], ids=lambda vector: vector["name"])
def test_golden_vector(vector):
    usage = usage_of(vector["usage"], vector["reported"])
    price = PRICES[vector["price"]]
    assert cost_nanocredits(usage, price) == vector["computed"]
    billed = bill(usage, price, trusted=vector["trusted"], markup=parse_markup(vector["markup"]))
    assert billed == Bill(vector["computed"], vector["reported"], vector["actual"])


amounts = st.one_of(st.none(), st.integers(0, 10**9))
counts = st.integers(0, 10**7)
markups = st.sampled_from(["1", "1.2", "0.9", "1.000001", "1000", "0.000001"]).map(parse_markup)


@st.composite
def prices(draw, *, tiered=True):
    fields = {name: draw(amounts) for name in PRICE_FIELDS}
    for name in ("input_picocredits", "output_picocredits"):
        fields[name] = fields[name] or 0
    starts = sorted(draw(st.sets(st.integers(1, 10**6), max_size=2))) if tiered else []
    return Price(**fields, tiers=tuple(Tier(start, draw(prices(tiered=False))) for start in starts))


@st.composite
def usages(draw, count=counts):
    return Usage(
        **{name: draw(count) for name in TOKENS},
        web_searches=draw(st.integers(0, 50)),
        reported_cost_nanocredits=draw(st.one_of(st.none(), st.integers(-(2**70), 2**70))),
    )


@given(usages(), prices(), markups)
def test_no_usage_within_the_bounds_costs_more_than_its_hold(usage, price, markup):
    held = hold_nanocredits(
        usage.prompt_tokens, usage.completion_tokens, 1, price, markup, web_searches=usage.web_searches
    )
    assert bill(usage, price, trusted=False, markup=markup).actual_nanocredits <= held


def told(price, *names):
    """The first of these prices that the row tells, nothing where it tells none."""
    return next((amount for name in names if (amount := getattr(price, f"{name}_picocredits")) is not None), 0)


def class_by_class(usage, price):
    """The cost in pico-credits written out as the documentation has it."""
    for tier in price.tiers:
        if usage.prompt_tokens > tier.above_prompt_tokens:
            price = tier.price
    each = (
        (usage.input_tokens, told(price, "input")),
        (usage.cache_read_tokens, told(price, "cache_read", "input")),
        (usage.cache_write_5m_tokens, told(price, "cache_write_5m", "input")),
        (usage.cache_write_1h_tokens, told(price, "cache_write_1h", "cache_write_5m", "input")),
        (usage.audio_input_tokens, told(price, "audio_input", "input")),
        (usage.image_input_tokens, told(price, "image_input", "input")),
        (usage.output_tokens, told(price, "output")),
        (usage.reasoning_tokens, told(price, "reasoning", "output")),
        (usage.audio_output_tokens, told(price, "audio_output", "output")),
        (usage.image_output_tokens, told(price, "image_output", "output")),
        (usage.web_searches, told(price, "web_search")),
        (usage.images, told(price, "image")),
        (usage.characters, told(price, "character")),
        (usage.pages, told(price, "page")),
    )
    seconds = ceil(Fraction(max(usage.media_ms, 0), 1000) * told(price, "second"))
    return sum(max(count, 0) * amount for count, amount in each) + seconds


@given(usages(), st.tuples(*[st.integers(-5, 10**6)] * 4), prices(), markups)
def test_every_class_costs_its_own_price_and_all_are_rounded_once(usage, pieces, price, markup):
    usage = replace(usage, **dict(zip(("images", "media_ms", "characters", "pages"), pieces, strict=True)))
    exact = Fraction(class_by_class(usage, price), 1000) * Fraction(*markup)
    assert cost_nanocredits(usage, price, markup) == min(ceil(exact), MAX_NANOCREDITS)
    billed = bill(usage, price, trusted=False, markup=markup)
    assert billed.actual_nanocredits == min(ceil(exact), MAX_NANOCREDITS)
    assert billed.computed_nanocredits == cost_nanocredits(usage, price)


@given(counts, counts, prices(tiered=False), markups)
def test_rates_computed_once_hold_what_the_price_holds(bound, cap, price, markup):
    rates = flat_rates(price, markup)
    assert rates is not None
    assert rates.hold_nanocredits(bound, cap) == hold_nanocredits(bound, cap, 1, price, markup)


@given(counts, st.integers(1, 5), st.integers(0, 10**9), markups)
def test_a_full_cap_costs_exactly_its_hold_where_input_is_free(cap, choices, output, markup):
    price = Price(input_picocredits=0, output_picocredits=output)
    usage = Usage(input_tokens=10**6, output_tokens=cap * choices)
    assert cost_nanocredits(usage, price, markup) == hold_nanocredits(10**6, cap, choices, price, markup)


@given(st.integers(0, 10**15), counts, st.integers(1, 8), prices(), markups)
def test_the_affordable_cap_is_the_largest_that_fits(granted, bound, choices, price, markup):
    cap = affordable_cap(granted, bound, choices, price, markup)
    assert cap >= 0
    if hold_nanocredits(bound, 0, choices, price, markup) > granted:
        assert cap == 0
    else:
        assert hold_nanocredits(bound, min(cap, 10**9), choices, price, markup) <= granted
        assert cap == MAX_NANOCREDITS or hold_nanocredits(bound, cap + 1, choices, price, markup) > granted


absurd = st.integers(-(2**80), 2**80)


@given(usages(count=absurd), prices(), st.booleans(), markups)
def test_absurd_counts_never_give_credit_nor_overflow(usage, price, trusted, markup):
    for amount in astuple(bill(usage, price, trusted=trusted, markup=markup)):
        assert amount is None or 0 <= amount <= MAX_NANOCREDITS


@given(absurd, absurd, absurd, prices(), markups)
def test_absurd_bounds_never_give_credit_nor_overflow(bound, cap, choices, price, markup):
    assert 0 <= hold_nanocredits(bound, cap, choices, price, markup) <= MAX_NANOCREDITS
    assert 0 <= affordable_cap(cap, bound, choices, price, markup) <= MAX_NANOCREDITS


@given(absurd, markups)
def test_a_markup_never_gives_credit(amount, markup):
    assert 0 <= with_markup(amount, markup) <= MAX_NANOCREDITS


@given(usages(), prices(), st.sampled_from(TOKENS))
def test_a_token_more_never_costs_less(usage, price, name):
    untiered = msgspec.structs.replace(price, tiers=())
    more = msgspec.structs.replace(usage, **{name: getattr(usage, name) + 1})
    assert cost_nanocredits(more, untiered) >= cost_nanocredits(usage, untiered)


def test_a_negative_count_takes_nothing_off_the_others():
    price = PRICES["gpt-4o-mini"]
    assert cost_nanocredits(Usage(input_tokens=10, cache_read_tokens=-(10**9)), price) == 1_500


def test_a_negative_report_counts_as_none():
    usage = Usage(input_tokens=10, reported_cost_nanocredits=-5)
    assert bill(usage, PRICES["gpt-4o-mini"], trusted=True) == Bill(1_500, None, 1_500)


def test_the_hold_takes_the_dearest_class_and_the_reachable_tiers_only():
    price = PRICES["claude-sonnet-4-5"]
    assert hold_nanocredits(200_000, 1000, 2, price) == 200_000 * 6_000 + 2 * 1000 * 15_000
    assert hold_nanocredits(200_001, 1000, 2, price) == 200_001 * 12_000 + 2 * 1000 * 22_500


def test_free_holds_nothing_and_affords_everything():
    assert hold_nanocredits(10**9, 10**9, 1, FREE) == 0
    assert affordable_cap(0, 10**9, 1, FREE) == MAX_NANOCREDITS


@pytest.mark.parametrize("text", ["0", "-1", "1000.1", "x", "nan", "1e-50"])
def test_a_senseless_markup_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        parse_markup(text)


def test_a_price_cannot_be_negative_nor_its_tiers_out_of_order():
    with pytest.raises(ValueError, match="output_picocredits"):
        Price(input_picocredits=1, output_picocredits=-1)
    plain = Price(input_picocredits=1, output_picocredits=1)
    for tiers in (
        (Tier(2, plain), Tier(1, plain)),
        (Tier(1, plain), Tier(1, plain)),
        (Tier(0, plain),),
        (Tier(1, Price(input_picocredits=1, output_picocredits=1, tiers=(Tier(2, plain),))),),
    ):
        with pytest.raises(ValueError, match="ascending"):
            Price(input_picocredits=1, output_picocredits=1, tiers=tiers)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"input": "3"}, "prices[0].output"),
        ({"output": "3"}, "prices[0].input"),
        ({"input": "x", "output": "1"}, "prices[0].input"),
        ({"input": "1", "output": 0.6}, "prices[0].output"),
        ({"input": "1", "output": "1", "cache_read": "-1"}, "prices[0].cache_read"),
        ({"input": "1", "output": "1", "web_search": "-1"}, "prices[0].web_search"),
        ({"input": "1", "output": "1", "img": "1"}, "prices[0].img"),
        ({"image": "-1"}, "prices[0].image"),
        ({"image": "0"}, "prices[0].image"),
        ({"second": {"*": "x"}}, "prices[0].second.*"),
        ({"second": {"1080p": "0"}}, "prices[0].second"),
        ({"character": {"*": "1"}}, "prices[0].character"),
        ({"image": {"": "1"}}, "prices[0].image"),
        ({"input": "0", "output": "0"}, "prices[0].input"),
        ({"free": "yes"}, "prices[0].free"),
        ({"free": True, "input": "1"}, "prices[0].free"),
        ({"input": "1", "output": "1", "tiers": "x"}, "prices[0].tiers"),
        ({"input": "1", "output": "1", "tiers": [{"input": "1"}]}, "prices[0].tiers[0].above"),
        ({"input": "1", "output": "1", "tiers": [{"above": 1, "inptu": "1"}]}, "prices[0].tiers[0]"),
        (
            {"input": "1", "output": "1", "tiers": [{"above": 5}, {"above": 5}]},
            "prices[0].tiers[1].above",
        ),
    ],
)
def test_a_wrong_price_row_names_its_field(row, field):
    with pytest.raises(ValueError, match=r"\w") as raised:
        price_row(row, "prices[0]")
    assert str(raised.value).startswith(f"{field}: ")


def test_a_row_may_hold_its_model_and_fields_that_are_not_set():
    row = {"model": "a/b", "input": "1", "output": 2, "cache_read": None, "free": False}
    assert price_row(row) == Price(input_picocredits=10**6, output_picocredits=2 * 10**6)
    assert price_row({"model": "a/b", "input": None, "free": True}) is FREE


def test_a_tier_repeats_what_it_does_not_name():
    price = price_row({"input": "1", "output": "2", "cache_read": "0.1", "tiers": [{"above": 10, "input": "3"}]})
    assert price.tiers[0].price == price_row({"input": "3", "output": "2", "cache_read": "0.1"})
