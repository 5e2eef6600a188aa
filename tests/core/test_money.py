"""Money in and out of text is exact, and nothing odd passes for an amount."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.core.money import (
    MAX_NANOCREDITS,
    credits_text,
    exact_ratio,
    nanocredits,
    picocredits_per_token,
)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("10", 10 * 10**9),
        ("0", 0),
        ("-0", 0),
        ("0.000000001", 1),
        ("1E-9", 1),
        ("-2.5", -2_500_000_000),
        ("0.1000000000000", 100_000_000),
        ("9223372036.854775807", MAX_NANOCREDITS),
    ],
)
def test_an_amount_is_read_exactly(text, amount):
    assert nanocredits(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ten",
        "1,5",
        "NaN",
        "Infinity",
        "0.0000000001",
        "9223372036.854775808",
        "9223372036.8547758070000000000000001",
        "1e999999999",
        "1e-999999999",
        "1" * 65,
    ],
)
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        nanocredits(text)


@given(st.integers(-MAX_NANOCREDITS, MAX_NANOCREDITS))
def test_an_amount_survives_text(amount):
    assert nanocredits(credits_text(amount)) == amount


@given(st.text(max_size=80))
def test_any_text_is_an_amount_or_a_value_error(text):
    try:
        amount = nanocredits(text)
    except ValueError:
        return
    assert abs(amount) <= MAX_NANOCREDITS


@pytest.mark.parametrize(("amount", "text"), [(0, "0"), (1, "0.000000001"), (-420_000, "-0.00042"), (10**10, "10")])
def test_an_amount_is_written_without_trailing_zeros(amount, text):
    assert credits_text(amount) == text


@pytest.mark.parametrize(("text", "price"), [("0.15", 150_000), ("0.0025", 2_500), ("0.000001", 1), ("75", 75 * 10**6)])
def test_a_price_per_million_becomes_picocredits(text, price):
    assert picocredits_per_token(text) == price


@pytest.mark.parametrize("text", ["-1", "0.0000001", "1e30", "free", "inf"])
def test_what_is_no_price_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        picocredits_per_token(text)


def test_a_ratio_is_exact_and_its_denominator_positive():
    assert exact_ratio("1.15") == (23, 20)
    assert exact_ratio("-0.5") == (-1, 2)
