"""How the cost of a call adds up: a line for each class of tokens and for what is priced by the piece."""

from decimal import Decimal
from math import ceil
from typing import Any

import msgspec

from mira.api.fetch import PROTOCOL as FETCH
from mira.api.portal import shapes_calls as shapes
from mira.api.portal.spans import per_million
from mira.api.services import Services
from mira.core import pricing
from mira.core.call import CallRecord
from mira.core.fleet import Offer
from mira.core.money import PICO_PER_NANO, credits_text
from mira.core.price_rows import PIECES
from mira.core.pricing import Price
from mira.core.usage import Usage

MILLION = 10**6
#: Classes of tokens, each with what it is called, its price, and the prices that stand in where it has none.
CLASSES = (
    ("input_tokens", "input", ("input_picocredits",)),
    ("cache_read_tokens", "cache read", ("cache_read_picocredits", "input_picocredits")),
    ("cache_write_5m_tokens", "cache write", ("cache_write_5m_picocredits", "input_picocredits")),
    (
        "cache_write_1h_tokens",
        "cache write, one hour",
        ("cache_write_1h_picocredits", "cache_write_5m_picocredits", "input_picocredits"),
    ),
    ("audio_input_tokens", "audio input", ("audio_input_picocredits", "input_picocredits")),
    ("image_input_tokens", "image input", ("image_input_picocredits", "input_picocredits")),
    ("output_tokens", "output", ("output_picocredits",)),
    ("reasoning_tokens", "reasoning", ("reasoning_picocredits", "output_picocredits")),
    ("audio_output_tokens", "audio output", ("audio_output_picocredits", "output_picocredits")),
    ("image_output_tokens", "image output", ("image_output_picocredits", "output_picocredits")),
)
#: What is counted by the piece: its count, what it is called, its price, its unit, and how many counts are one unit.
COUNTED = (
    ("web_searches", "web searches", "web_search_picocredits", "search", 1),
    ("images", "images", "image_picocredits", "image", 1),
    ("media_ms", "sound or video", "second_picocredits", "second", 1000),
    ("characters", "characters", "character_picocredits", "character", 1),
    ("pages", "pages", "page_picocredits", "page", 1),
)
#: Units whose prices are told for a million.
BY_THE_MILLION = ("token", "character")


def arithmetic(services: Services, record: CallRecord) -> shapes.Arithmetic:
    """How a call's cost comes about at today's prices."""
    billed, usage = record.billed_nanocredits, record.usage
    if not billed and not any(getattr(usage, field) for field, *_ in (*CLASSES, *COUNTED)):
        return _no_lines("none", billed)
    if record.protocol == FETCH:
        return _of_pages(usage, services.fetching.price_nanocredits, billed)
    offer = _offer(services, record)
    if offer is None or offer.price is None:
        return _no_lines("none", billed)
    if offer.price.free:
        return _no_lines("free", billed)
    price, unsure = _decided(offer.price, usage)
    reported = record.reported_nanocredits is not None and offer.node.trusts_cost
    total = pricing.cost_nanocredits(usage, price, offer.markup)
    return shapes.Arithmetic(
        rule="reported" if reported else "price",
        lines=_lines(usage, pricing.reached(price, usage.prompt_tokens), offer.markup),
        total=credits_text(total),
        billed=credits_text(billed),
        exact=not reported and not unsure and total == billed,
    )


def _of_pages(usage: Usage, price_nanocredits: int, billed: int) -> shapes.Arithmetic:
    """The arithmetic of fetched pages, whose price is of the gateway and not of a model."""
    if not price_nanocredits:
        return _no_lines("free", billed)
    price = Price(input_picocredits=0, output_picocredits=0, page_picocredits=price_nanocredits * PICO_PER_NANO)
    total = pricing.cost_nanocredits(usage, price)
    return shapes.Arithmetic(
        rule="price",
        lines=_lines(usage, price, pricing.PAR),
        total=credits_text(total),
        billed=credits_text(billed),
        exact=total == billed,
    )


def _no_lines(rule: Any, billed: int) -> shapes.Arithmetic:
    return shapes.Arithmetic(rule=rule, lines=[], total="0", billed=credits_text(billed), exact=billed == 0)


def _decided(price: Price, usage: Usage) -> tuple[Price, bool]:
    """The price without those that differ by quality, size or resolution, and whether the call used such a one.

    A record does not keep these, so that nobody can say afterwards which of the prices it was.
    """
    changes: dict[str, Any] = {"variants": ()}
    unsure = False
    for field, _, name, unit, _ in COUNTED:
        amounts = {variant.picocredits for variant in price.variants if variant.unit == unit}
        if unit in PIECES and amounts:
            amounts.add(getattr(price, name) or 0)
            changes[name] = None
            unsure = unsure or getattr(usage, field) > 0
    return msgspec.structs.replace(price, **changes), unsure


def _lines(usage: Usage, price: Price, markup: pricing.Markup) -> list[shapes.CostLine]:
    """A line for each count that costs something: tokens of a model that is priced by the piece alone cost nothing."""
    lines: list[shapes.CostLine] = []
    for field, name, prices in CLASSES:
        count = getattr(usage, field)
        rate = next(found for each in prices if (found := getattr(price, each)) is not None)
        if count > 0 and rate:
            lines.append(_line(name, "token", Decimal(count), rate, markup))
    for field, name, each, unit, scale in COUNTED:
        count, rate = getattr(usage, field), getattr(price, each)
        if count > 0 and rate:
            lines.append(_line(name, unit, Decimal(count) / scale, rate, markup))
    return lines


def _line(name: str, unit: Any, quantity: Decimal, rate: int, markup: pricing.Markup) -> shapes.CostLine:
    """A line, shown exact, in pico-credits: only the sum of all is rounded, once, up to a nano-credit."""
    per = MILLION if unit in BY_THE_MILLION else 1
    return shapes.CostLine(
        name=name,
        quantity=format(quantity, "f"),
        unit=unit,
        per=per,
        price=per_million(rate, markup, 10**12 // per),
        cost=per_million(ceil(rate * quantity), markup, 10**12),
    )


def _offer(services: Services, record: CallRecord) -> Offer | None:
    """The offer that the call was made on, where its node still makes it."""
    route = services.fleet.catalog.routes.get(record.model)
    if route is None:
        return None
    return next((offer for offer in route.offers if offer.node.name == record.node), None)
