"""Prices, the exact cost of a usage, and the hold that is sure to cover it.

All arithmetic is on integers. An amount is rounded up to a nano-credit once, at its end, markup included. Whatever the
counts say, an amount is never negative and never above what the ledger can hold.
"""

from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import astuple

from mira.core.money import MAX_NANOCREDITS, PICO_PER_NANO, exact_ratio
from mira.core.usage import Usage


class Price(Struct, frozen=True, kw_only=True):
    """Pico-credits per token of each class. `source` names where the price came from (operator, genai-prices, …).

    A class without a price of its own costs as its base class does: cached, audio and image input as input, a one-hour
    cache write as a five-minute one, reasoning, audio and image output as output. A web search without a price costs
    nothing. `free` prices everything at 0, explicitly.

    An image, a second (of sound or video), a character and a page cost what is said here, beside the tokens that the
    node counts; `variants` are such prices by size, quality or resolution (see `mira.core.media`).

    `tiers` are long-context prices in ascending order: the last one whose threshold the whole prompt exceeds replaces
    this price for every token of the call. ValueError where a price is negative or the tiers are out of order.
    """

    input_picocredits: int
    output_picocredits: int
    cache_read_picocredits: int | None = None
    cache_write_5m_picocredits: int | None = None
    cache_write_1h_picocredits: int | None = None
    reasoning_picocredits: int | None = None
    audio_input_picocredits: int | None = None
    audio_output_picocredits: int | None = None
    image_input_picocredits: int | None = None
    image_output_picocredits: int | None = None
    web_search_picocredits: int | None = None
    image_picocredits: int | None = None
    second_picocredits: int | None = None
    character_picocredits: int | None = None
    page_picocredits: int | None = None
    free: bool = False
    source: str = "operator"
    tiers: tuple["Tier", ...] = ()
    variants: tuple["Variant", ...] = ()

    def __post_init__(self) -> None:
        for field in PRICE_FIELDS:
            amount = getattr(self, field)
            if amount is not None and not 0 <= amount <= MAX_NANOCREDITS:
                raise ValueError(f"{field} must not be negative or above {MAX_NANOCREDITS}")
        if any(not 0 <= variant.picocredits <= MAX_NANOCREDITS for variant in self.variants):
            raise ValueError(f"the price of a variant must not be negative or above {MAX_NANOCREDITS}")
        thresholds = [tier.above_prompt_tokens for tier in self.tiers]
        if any(tier.price.tiers for tier in self.tiers) or thresholds != sorted({0, *thresholds} - {0}):
            raise ValueError("tiers must have ascending thresholds above 0 and no tiers of their own")

    @property
    def is_zero(self) -> bool:
        """Whether nothing at all has a price, in any tier: unpriced, unless it is marked `free`."""
        pieces = any(variant.picocredits for variant in self.variants)
        return not pieces and not any(getattr(price, field) for price in _prices(self, None) for field in PRICE_FIELDS)

    @property
    def prices_tokens(self) -> bool:
        """Whether tokens cost something, or the model is free: what a call that is billed by tokens needs."""
        return self.free or any(
            price.input_picocredits or price.output_picocredits or price.image_output_picocredits
            for price in _prices(self, None)
        )


class Variant(Struct, frozen=True):
    """What one `unit` ("image", "second") of one kind ("high/1024x1024", "1080p") costs."""

    unit: str
    name: str
    picocredits: int


class Tier(Struct, frozen=True):
    """The price of a call whose prompt, cached tokens included, has more than `above_prompt_tokens` tokens."""

    above_prompt_tokens: int
    price: Price


class Bill(NamedTuple):
    """What a call costs in nano-credits: by the price table, by the node's own word, and for the customer."""

    computed_nanocredits: int
    reported_nanocredits: int | None
    actual_nanocredits: int


#: what the customer pays over what the node charges, as an exact fraction: (numerator, denominator)
Markup = tuple[int, int]

PRICE_FIELDS = tuple(name for name in Price.__struct_fields__ if name.endswith("_picocredits"))
#: Where a usage has the counts of which most calls have nothing.
_RARE = slice(Usage.__struct_fields__.index("audio_input_tokens"), Usage.__struct_fields__.index("pages") + 1)
FREE = Price(input_picocredits=0, output_picocredits=0, free=True)
PAR: Markup = (1, 1)


def parse_markup(text: str) -> Markup:
    """Parses a markup ("1.25"); ValueError unless it is above 0 and at most 1000."""
    numerator, denominator = exact_ratio(text)
    if not 0 < numerator <= 1000 * denominator:
        raise ValueError(f"{text!r} is not a markup above 0 and at most 1000")
    return numerator, denominator


def with_markup(amount_nanocredits: int, markup: Markup) -> int:
    """The customer's share of a node's charge, rounded up."""
    return _nano(amount_nanocredits * PICO_PER_NANO, markup)


def cost_nanocredits(usage: Usage, price: Price, markup: Markup = PAR) -> int:
    """The exact cost of a usage, rounded up once. A negative count costs as 0."""
    return _nano(_cost_picocredits(usage, price), markup)


def hold_nanocredits(
    input_bound_tokens: int,
    output_cap: int,
    choices: int,
    price: Price,
    markup: Markup = PAR,
    *,
    web_searches: int = 0,
) -> int:
    """What to set aside so that no usage within the bounds costs more.

    The input bound at the dearest input class and `choices` times the cap at the dearest output class, of every tier
    that a prompt within the bound can reach, and the searches. Nothing is added on top: where input costs 0 and the
    answer fills its cap, the cost equals the hold.
    """
    fixed, per_output_token = _hold_parts(input_bound_tokens, price, web_searches)
    return _nano(fixed + max(choices, 1) * max(output_cap, 0) * per_output_token, markup)


class FlatRates(NamedTuple):
    """What a hold costs for a price without tiers, computed once: pico-credits per token of input and of output."""

    input_picocredits: int
    output_picocredits: int
    markup: Markup

    def hold_nanocredits(self, input_bound_tokens: int, output_tokens: int) -> int:
        """As `hold_nanocredits`, for bounds that are not negative."""
        amount = input_bound_tokens * self.input_picocredits + output_tokens * self.output_picocredits
        return _nano(amount, self.markup)


def flat_rates(price: Price | None, markup: Markup) -> FlatRates | None:
    """The rates of a price that is the same for every size of prompt; None where it has tiers, or there is none."""
    if price is None or price.tiers:
        return None
    fixed, per_output_token = _hold_parts(1, price, 0)
    return FlatRates(fixed, per_output_token, markup)


def affordable_cap(
    granted_nanocredits: int,
    input_bound_tokens: int,
    choices: int,
    price: Price,
    markup: Markup = PAR,
    *,
    web_searches: int = 0,
) -> int:
    """The largest output cap whose hold stays within the granted amount.

    0 where the input alone exceeds it, 2^63 − 1 where output costs nothing; the caller takes the smaller of this and
    what was asked for.
    """
    fixed, per_output_token = _hold_parts(input_bound_tokens, price, web_searches)
    numerator, denominator = markup
    left = max(granted_nanocredits, 0) * PICO_PER_NANO * denominator // numerator - fixed
    if left < 0:
        return 0
    per_cap_token = max(choices, 1) * per_output_token
    return min(left // per_cap_token, MAX_NANOCREDITS) if per_cap_token else MAX_NANOCREDITS


def bill(usage: Usage, price: Price, *, trusted: bool, markup: Markup = PAR) -> Bill:
    """What to charge: a trusted node's own figure where it told one, else the price table; times the markup.

    A negative figure of the node counts as none. A model that the operator marked free costs the customer 0 whatever
    the node says. The first two figures are without markup.
    """
    cost = _cost_picocredits(usage, price)
    reported = usage.reported_cost_nanocredits
    if reported is not None:
        reported = None if reported < 0 else min(reported, MAX_NANOCREDITS)
    if price.free:
        return Bill(0, reported, 0)
    computed = _nano(cost, PAR)
    if trusted and reported is not None:
        return Bill(computed, reported, _nano(reported * PICO_PER_NANO, markup))
    return Bill(computed, reported, computed if markup == PAR else _nano(cost, markup))


def charged_nanocredits(usage: Usage, price: Price, *, trusted: bool) -> int:
    """What a node charged us: a trusted node's own word, else its price; no markup of ours."""
    told = bill(usage, price, trusted=trusted)
    reported = told.reported_nanocredits if trusted else None
    return told.computed_nanocredits if reported is None else reported


def reached(price: Price, prompt_tokens: int) -> Price:
    """The price of a call whose prompt has so many tokens: its tier's, where it has tiers."""
    return _prices(price, prompt_tokens)[-1]


def _nano(amount_picocredits: int, markup: Markup) -> int:
    """The one rounding: pico-credits times markup, up to whole nano-credits, within what the ledger can hold."""
    if amount_picocredits <= 0:
        return 0
    numerator, denominator = markup
    amount = -(-amount_picocredits * numerator // (denominator * PICO_PER_NANO))
    if amount > MAX_NANOCREDITS:
        return MAX_NANOCREDITS
    return amount


def _cost_picocredits(usage: Usage, price: Price) -> int:
    if price.free:
        return 0
    if price.tiers:
        price = _prices(price, usage.prompt_tokens)[-1]
    fresh, output = price.input_picocredits, price.output_picocredits
    total = 0
    # Most calls have two or three classes; a class that is absent costs one comparison.
    if usage.input_tokens > 0:
        total += usage.input_tokens * fresh
    if usage.output_tokens > 0:
        total += usage.output_tokens * output
    if usage.cache_read_tokens > 0:
        total += usage.cache_read_tokens * _or(price.cache_read_picocredits, fresh)
    if usage.reasoning_tokens > 0:
        total += usage.reasoning_tokens * _or(price.reasoning_picocredits, output)
    if usage.cache_write_5m_tokens > 0:
        total += usage.cache_write_5m_tokens * _or(price.cache_write_5m_picocredits, fresh)
    if usage.cache_write_1h_tokens > 0:
        write_5m = _or(price.cache_write_5m_picocredits, fresh)
        total += usage.cache_write_1h_tokens * _or(price.cache_write_1h_picocredits, write_5m)
    return total + _rare_picocredits(usage, price) if any(astuple(usage)[_RARE]) else total


def _rare_picocredits(usage: Usage, price: Price) -> int:
    fresh, output = price.input_picocredits, price.output_picocredits
    total = 0
    if usage.audio_input_tokens > 0:
        total += usage.audio_input_tokens * _or(price.audio_input_picocredits, fresh)
    if usage.image_input_tokens > 0:
        total += usage.image_input_tokens * _or(price.image_input_picocredits, fresh)
    if usage.audio_output_tokens > 0:
        total += usage.audio_output_tokens * _or(price.audio_output_picocredits, output)
    if usage.image_output_tokens > 0:
        total += usage.image_output_tokens * _or(price.image_output_picocredits, output)
    if usage.web_searches > 0:
        total += usage.web_searches * _or(price.web_search_picocredits, 0)
    return total + _pieces_picocredits(usage, price)


def _pieces_picocredits(usage: Usage, price: Price) -> int:
    """What images, seconds, characters and pages cost; a part of a second costs its part, rounded up."""
    total = 0
    if usage.images > 0:
        total += usage.images * _or(price.image_picocredits, 0)
    if usage.media_ms > 0:
        total += -(-usage.media_ms * _or(price.second_picocredits, 0) // 1000)
    if usage.characters > 0:
        total += usage.characters * _or(price.character_picocredits, 0)
    if usage.pages > 0:
        total += usage.pages * _or(price.page_picocredits, 0)
    return total


def _hold_parts(input_bound_tokens: int, price: Price, web_searches: int) -> tuple[int, int]:
    """Pico-credits that are fixed by the input, and pico-credits per token of output."""
    if price.free:
        return 0, 0
    dearest_input = dearest_output = dearest_search = 0
    for tier in _prices(price, input_bound_tokens):
        dearest_input = max(
            dearest_input,
            tier.input_picocredits,
            tier.cache_read_picocredits or 0,
            tier.cache_write_5m_picocredits or 0,
            tier.cache_write_1h_picocredits or 0,
            tier.audio_input_picocredits or 0,
            tier.image_input_picocredits or 0,
        )
        dearest_output = max(
            dearest_output,
            tier.output_picocredits,
            tier.reasoning_picocredits or 0,
            tier.audio_output_picocredits or 0,
            tier.image_output_picocredits or 0,
        )
        dearest_search = max(dearest_search, tier.web_search_picocredits or 0)
    return max(input_bound_tokens, 0) * dearest_input + max(web_searches, 0) * dearest_search, dearest_output


def _prices(price: Price, prompt_tokens: int | None) -> list[Price]:
    """The base price and the tiers that a prompt of this size reaches, in order; every tier for None."""
    reached = (tier for tier in price.tiers if prompt_tokens is None or prompt_tokens > tier.above_prompt_tokens)
    return [price, *(tier.price for tier in reached)]


def _or(own: int | None, base: int) -> int:
    return base if own is None else own
