"""Units of money: credits as decimal text outside, integer nano- and pico-credits inside.

One credit is one US dollar. A balance counts nano-credits (10^-9), a price counts pico-credits (10^-12) per unit.
"""

import re
from decimal import Decimal
from functools import lru_cache

NANO_PER_CREDIT = 10**9
PICO_PER_NANO = 1000
MAX_NANOCREDITS = 2**63 - 1

#: Decimal itself would also take spaces, underscores, infinities and the digits of other scripts.
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,9})?")


def nanocredits(text: str) -> int:
    """Parses a decimal amount of credits ("10", "0.000000001"); ValueError where it is none or finer than nano."""
    amount = _scaled(text, NANO_PER_CREDIT)
    if amount is None or abs(amount) > MAX_NANOCREDITS:
        raise ValueError(f"{text!r} is not an amount of credits with at most 9 decimals")
    return amount


@lru_cache(maxsize=256)
def credits_text(amount_nanocredits: int) -> str:
    """Renders nano-credits as a decimal string of credits without trailing zeros ("0.00042", "10").

    The cost of a call is told three times: in its answer, in a header and in the log.
    """
    sign, whole = ("-", -amount_nanocredits) if amount_nanocredits < 0 else ("", amount_nanocredits)
    units, rest = divmod(whole, NANO_PER_CREDIT)
    return f"{sign}{units}" if not rest else f"{sign}{units}.{rest:09d}".rstrip("0")


def picocredits_per_token(credits_per_million: str) -> int:
    """Parses a price in credits per million tokens ("0.15") into pico-credits per token (150_000).

    ValueError where it is negative or finer than a pico-credit.
    """
    price = _scaled(credits_per_million, 10**6)
    if price is None or not 0 <= price <= MAX_NANOCREDITS:
        raise ValueError(f"{credits_per_million!r} is not a price per million with at most 6 decimals")
    return price


def picocredits(text: str) -> int:
    """Parses the price of one thing in credits ("0.04") into pico-credits; ValueError where negative or finer."""
    price = _scaled(text, NANO_PER_CREDIT * PICO_PER_NANO)
    if price is None or not 0 <= price <= MAX_NANOCREDITS:
        raise ValueError(f"{text!r} is not a price with at most 12 decimals")
    return price


def exact_ratio(text: str) -> tuple[int, int]:
    """A decimal text as (numerator, denominator > 0) without any rounding; ValueError where it is not a plain number.

    Text of more than 64 characters or beyond 10^±40 is refused, so that no input costs more than a few microseconds.
    """
    if len(text) > 64:
        raise ValueError("a number of more than 64 characters is not an amount")
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a decimal number")
    value = Decimal(text)
    if abs(value.adjusted()) > 40:
        raise ValueError(f"{text!r} is not a finite number of a sensible size")
    return value.as_integer_ratio()


def _scaled(text: str, scale: int) -> int | None:
    """The text times `scale`, None where that is not a whole number."""
    numerator, denominator = exact_ratio(text)
    whole, rest = divmod(numerator * scale, denominator)
    return None if rest else whole
