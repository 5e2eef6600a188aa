"""List prices by genai-prices (30 MB and 0.3 s to load: only ever imported in the side process).

Its data is read, not probed: unit prices in dollars per million tokens become integer pico-credits. Nothing is guessed:
a model with a unit that `Price` cannot express (calls, messages, video by tokens) has no price here.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices, TimeOfDateConstraint

from mira.core.pricing import Price, Tier

SOURCE = "genai-prices"

#: the library's price -> the field of `Price`, and pico-credits per dollar of the library's unit
_FIELDS: dict[str, tuple[str, int | Decimal]] = {
    "input_mtok": ("input_picocredits", 10**6),
    "output_mtok": ("output_picocredits", 10**6),
    "cache_read_mtok": ("cache_read_picocredits", 10**6),
    "cache_write_mtok": ("cache_write_5m_picocredits", 10**6),
    "cache_write_1h_mtok": ("cache_write_1h_picocredits", 10**6),
    "output_reasoning_mtok": ("reasoning_picocredits", 10**6),
    "input_audio_mtok": ("audio_input_picocredits", 10**6),
    "output_audio_mtok": ("audio_output_picocredits", 10**6),
    "input_image_mtok": ("image_input_picocredits", 10**6),
    "output_image_mtok": ("image_output_picocredits", 10**6),
    "web_searches_kcount": ("web_search_picocredits", 10**9),
    "input_mchars": ("character_picocredits", 10**6),
    "audio_hours": ("second_picocredits", Decimal(10**12) / 3600),
}
#: Prices that may be left out without making a model unpriceable: cached sound and images are counted with cached text,
#: and a search in the vendor's file store is not in any usage.
_IGNORED = frozenset({"cache_audio_read_mtok", "cache_image_read_mtok", "storage_searches_kcount"})
#: What is sold by these has no price for tokens.
_PIECES = frozenset({"input_mchars", "audio_hours"})

#: provider prefixes of Mira and of others that the library has under another name
_PROVIDERS = {"xai": "x-ai", "gemini": "google", "vertex": "google", "bedrock": "aws", "moonshot": "moonshotai"}

_VERSION_DASH = re.compile(r"(?<!\d)(\d{1,2})-(\d{1,2})(?!\d)")


def prices(model_ids: Iterable[str]) -> dict[str, Price | None]:
    """The list price of each canonical model id ("anthropic/claude-sonnet-4.5") at this moment, None where unknown.

    `openrouter/vendor/model` is OpenRouter's price of that model. Where a price depends on the time of day it is the
    dearest of the day, so that a price may be kept for hours.
    """
    now = datetime.now(tz=UTC)
    providers = get_snapshot().providers
    return {model_id: _price(model_id, providers, now) for model_id in model_ids}


def _price(model_id: str, providers: list[Provider], now: datetime) -> Price | None:
    prefix, _, name = model_id.lower().partition("/")
    wanted = _PROVIDERS.get(prefix, prefix)
    # The library's own search would take any id that merely contains "openai" for OpenAI.
    provider = next((known for known in providers if known.id == wanted), None)
    if provider is None or not name:
        return None
    for spelling in (name, name.replace(".", "-"), _VERSION_DASH.sub(r"\1.\2", name)):
        model = provider.find_model(spelling, all_providers=providers)
        if model is not None:
            return _dearest(model, now)
    return None


def _dearest(model: ModelInfo, now: datetime) -> Price | None:
    moments = [now]
    if isinstance(model.prices, list) and any(isinstance(p.constraint, TimeOfDateConstraint) for p in model.prices):
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        moments = [midnight + timedelta(minutes=30 * step) for step in range(48)]
    found = [_convert(model.get_prices(moment)) for moment in moments]
    known = [price for price in found if price is not None]
    if len(known) < len(found):
        return None
    return max(known, key=lambda price: (price.output_picocredits, price.input_picocredits))


def _convert(listed: ModelPrice) -> Price | None:
    """The price in Mira's terms; None where it cannot be expressed, has no input price or is 0 throughout."""
    amounts = {name: value for name, value in vars(listed).items() if value is not None and name not in _IGNORED}
    # The same hours of sound, once more by their direction.
    if amounts.get("input_audio_hours") == amounts.get("audio_hours"):
        amounts.pop("input_audio_hours", None)
    if amounts.keys() - _FIELDS.keys():
        return None
    if amounts and amounts.keys() <= _PIECES:
        amounts |= {"input_mtok": Decimal(0), "output_mtok": Decimal(0)}
    elif "input_mtok" in amounts and amounts.keys().isdisjoint(_PIECES):
        # Embeddings have no output. Whatever else lacks the price must not answer for nothing.
        amounts.setdefault("output_mtok", amounts["input_mtok"])
    else:
        return None
    starts = {tier.start for value in amounts.values() if isinstance(value, TieredPrices) for tier in value.tiers}
    try:
        tiers = tuple(Tier(start, Price(**_fields(amounts, start), source=SOURCE)) for start in sorted(starts))
        price = Price(**_fields(amounts, -1), tiers=tiers, source=SOURCE)
    except (ValueError, ArithmeticError):
        return None
    return None if price.is_zero else price


def _fields(amounts: dict[str, Decimal | TieredPrices], start: int) -> dict[str, Any]:
    """Fields of `Price` for prompts just above `start` tokens."""
    return {_FIELDS[name][0]: _picocredits(_at(value, start), _FIELDS[name][1]) for name, value in amounts.items()}


def _at(value: Decimal | TieredPrices, start: int) -> Decimal:
    if isinstance(value, Decimal):
        return value
    reached = [tier.price for tier in value.tiers if tier.start <= start]
    return reached[-1] if reached else value.base


def _picocredits(dollars: Decimal, scale: int | Decimal) -> int:
    """To the nearest pico-credit: what is finer in the data is the dust of somebody's float. A price stays a price."""
    exact = dollars * scale
    return int(exact.to_integral_value(ROUND_HALF_UP)) or int(exact > 0)
