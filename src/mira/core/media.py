"""Media in terms of money: what a call of each kind is billed by, which models make what, and which price applies.

What a model puts out is one of `OUTPUTS`. It is told by the node's own list, by the operator (`[[models]] outputs`, or
a price by the image), by `data/media.json`, else by the model's name.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mira.core.models import spellings
from mira.core.pricing import Price, cost_nanocredits
from mira.core.usage import Usage

Output = Literal["text", "image", "video", "speech", "transcription", "embedding"]
OUTPUTS: tuple[Output, ...] = ("text", "image", "video", "speech", "transcription", "embedding")
TEXT: frozenset[str] = frozenset({"text"})
#: The name of where `data/media.json` comes from.
SOURCE = "litellm"
#: A unit whose price says by itself what a model makes.
_TOLD_BY_PRICE = {"image": "image"}


class ListPrice(Struct, frozen=True, forbid_unknown_fields=True):
    """A row of `data/media.json`: what the model makes, and its list prices in the words of `[[prices]]`."""

    outputs: tuple[Output, ...]
    prices: dict[str, Any] = {}


class _Family(Struct, frozen=True, forbid_unknown_fields=True):
    models: str
    outputs: tuple[Output, ...]


class _Data(Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    families: list[_Family]
    models: dict[str, ListPrice]


def outputs_of(model: str, told: Iterable[str] = (), price: Price | None = None) -> frozenset[str]:
    """What a model puts out; `told` is what its node or the operator says, `price` the operator's."""
    found: frozenset[str] = frozenset(told).intersection(OUTPUTS)
    if not found:
        found = _known(model)
    if price is not None:
        found |= {output for unit, output in _TOLD_BY_PRICE.items() if _has_unit(price, unit)}
    return found


def at(price: Price, variants: Iterable[str]) -> Price:
    """The price with what an image or a second of this call costs; `variants` name the call, most exact first.

    "high/1024x1536", "high", "1024x1536": the first that the price knows decides, else the price of all others. Where
    none of the names is known and "*" is among them, the model may choose what it makes: the dearest.
    """
    if not price.variants:
        return price
    names = [name.lower() for name in variants]
    changes: dict[str, Any] = {"variants": ()}
    for unit in {variant.unit for variant in price.variants}:
        known = {variant.name: variant.picocredits for variant in price.variants if variant.unit == unit}
        base = getattr(price, f"{unit}_picocredits")
        exact = next((known[name] for name in names if name in known), None)
        if exact is None:
            exact = max([*known.values(), base or 0]) if "*" in names else base
        changes[f"{unit}_picocredits"] = exact
    return replace(price, **changes)


def is_priced(price: Price, output: str) -> bool:
    """Whether a call for this output costs something by this price (see `at`), or the model is free.

    A price that has nothing for what is put out must not be used: the call would be free by an oversight.
    """
    if price.free:
        return True
    tokens = price.prices_tokens
    match output:
        case "image":
            return bool(price.image_picocredits) or bool(price.output_picocredits or price.image_output_picocredits)
        case "video":
            return bool(price.second_picocredits) or bool(price.output_picocredits)
        case "speech":
            return bool(
                price.character_picocredits
                or price.second_picocredits
                or price.output_picocredits
                or price.audio_output_picocredits
            )
        case "transcription":
            return bool(price.second_picocredits) or tokens or bool(price.audio_input_picocredits)
        case _:
            return tokens


def settled_usage(told: Usage | None, estimate: Usage, price: Price, *, trusted: bool) -> Usage:
    """The usage to charge: what the node told, where that costs something or its own charge is trusted.

    Else the `estimate`, marked as one: a node that tells no usage does not work for nothing.
    """
    if told is None:
        return replace(estimate, estimated=True)
    if price.free or (trusted and told.reported_cost_nanocredits is not None) or cost_nanocredits(told, price) > 0:
        return told
    return replace(estimate, estimated=True, reported_cost_nanocredits=told.reported_cost_nanocredits)


def list_price(model: str) -> Mapping[str, Any] | None:
    """The list prices of a model in `data/media.json`, as a row of `[[prices]]`; None where there are none."""
    for name in spellings(model):
        row = _data()[1].get(name)
        if row is not None:
            return row.prices or None
    return None


def _known(model: str) -> frozenset[str]:
    families, models = _data()
    for name in spellings(model):
        row = models.get(name) or models.get("/".join(name.split("/")[-2:]))
        if row is not None:
            return frozenset(row.outputs)
    bare = next(spellings(model)).rpartition("/")[2]
    return next((outputs for pattern, outputs in families if pattern.search(bare)), TEXT)


def _has_unit(price: Price, unit: str) -> bool:
    return bool(getattr(price, f"{unit}_picocredits")) or any(
        variant.unit == unit and variant.picocredits for variant in price.variants
    )


@cache
def _data() -> tuple[list[tuple[re.Pattern[str], frozenset[str]]], dict[str, ListPrice]]:
    data = msgspec.json.decode((files("mira.core") / "data" / "media.json").read_bytes(), type=_Data)
    families = [(re.compile(row.models), frozenset[str](row.outputs)) for row in data.families]
    return families, {name.lower().replace(".", "-"): row for name, row in data.models.items()}
