"""A price in the words that set one, and what a new one would drop unsaid."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from mira.api.portal.shapes_operator import NewPrice
from mira.api.portal.spans import per_million
from mira.core.price_rows import EACH, FIELDS, PIECES, VARIED
from mira.core.pricing import PAR, Price
from mira.errors import Kind, MiraError


def in_words(price: Price) -> NewPrice:
    """A price as an operator would write it, before any markup, without the pieces that have prices by variant."""
    if price.free:
        return NewPrice(free=True)
    varied = varied_of(price)
    amounts = {name: text for name, text in _amounts(price).items() if name not in varied}
    tiers = [{"above": tier.above_prompt_tokens, **_amounts(tier.price)} for tier in price.tiers]
    return msgspec.convert({**amounts, "tiers": tiers or None}, NewPrice)


def varied_of(price: Price) -> list[Literal["image", "second"]]:
    """The pieces that have prices by quality, size or resolution."""
    return [unit for unit in VARIED if any(variant.unit == unit for variant in price.variants)]


def check_pieces(known: Iterable[Price], new: NewPrice) -> None:
    """Keeps prices by variant from being lost unsaid.

    MiraError BAD_REQUEST names the first piece without a new price where one that is known has prices by variant.
    """
    if new.free:
        return
    for price in known:
        if not price.variants:
            continue
        varied = varied_of(price)
        for unit in PIECES:
            if getattr(new, unit) is None and (unit in varied or getattr(price, FIELDS[unit])):
                raise MiraError(
                    Kind.BAD_REQUEST,
                    f"{unit}: is missing; this model has prices by quality, size or resolution, which a new price"
                    f" replaces. Say what every {unit} costs, or write the model's row of [[prices]] in the file",
                    param=unit,
                )


def _amounts(price: Price) -> dict[str, str]:
    return {
        name: per_million(amount, PAR, 10**12 if name in EACH else 10**6)
        for name, field in FIELDS.items()
        if (amount := getattr(price, field)) is not None
    }
