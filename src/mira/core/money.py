"""Units of money: credits as decimal text outside, integer nano- and pico-credits inside.

One credit is one US dollar. A balance counts nano-credits (10^-9), a price counts pico-credits (10^-12) per unit.
"""

from decimal import Decimal, InvalidOperation

NANO_PER_CREDIT = 10**9
PICO_PER_NANO = 1000
MAX_NANOCREDITS = 2**63 - 1


def nanocredits(text: str) -> int:
    """Parses a decimal amount of credits ("10", "0.000000001"); ValueError where it is none or finer than nano."""
    amount = _decimal(text) * NANO_PER_CREDIT
    if amount != amount.to_integral_value() or abs(amount) > MAX_NANOCREDITS:
        raise ValueError(f"{text!r} is not an amount of credits with at most 9 decimals")
    return int(amount)


def credits_text(amount_nanocredits: int) -> str:
    """Renders nano-credits as a decimal string of credits without trailing zeros ("0.00042", "10")."""
    sign, whole = ("-", -amount_nanocredits) if amount_nanocredits < 0 else ("", amount_nanocredits)
    units, rest = divmod(whole, NANO_PER_CREDIT)
    return f"{sign}{units}" if not rest else f"{sign}{units}.{rest:09d}".rstrip("0")


def picocredits_per_token(credits_per_million: str) -> int:
    """Parses a price in credits per million tokens ("0.15") into pico-credits per token (150_000).

    ValueError where it is negative or finer than a pico-credit.
    """
    price = _decimal(credits_per_million) * 10**6
    if price != price.to_integral_value() or price < 0 or price > MAX_NANOCREDITS:
        raise ValueError(f"{credits_per_million!r} is not a price per million with at most 6 decimals")
    return int(price)


def nano_from_pico(amount_picocredits: int) -> int:
    """Rounds pico-credits up to whole nano-credits: the one rounding of a call."""
    return -(-amount_picocredits // PICO_PER_NANO)


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a decimal number") from None
    if not value.is_finite():
        raise ValueError(f"{text!r} is not a finite number")
    return value
