"""The operator's price rows: decimal text, in credits per million tokens, becomes a `Price`.

    {"input": "3", "output": "15", "cache_read": "0.3", "web_search": "0.01",
     "tiers": [{"above": 200000, "input": "6", "output": "22.5"}]}

`web_search` is credits per search; `image`, `second`, `character` and `page` are credits for one. Who prices these may
leave `input` and `output` out: tokens cost nothing then. `image` and `second` may be tables of prices by quality, size
or resolution, where "*" stands for all others:

    {"image": {"*": "0.04", "high": "0.17", "high/1024x1536": "0.25"}}
    {"second": {"*": "0.4", "4k": "0.6"}}

A tier repeats what the row says except for what it names itself. `{"free": true}`
stands alone: a row that prices everything at 0 without saying so is refused.
"""

from collections.abc import Mapping
from typing import Any, Literal

from mira.core.money import picocredits, picocredits_per_token
from mira.core.pricing import FREE, PRICE_FIELDS, Price, Tier, Variant

#: field of a row -> field of `Price`
FIELDS = {name.removesuffix("_picocredits"): name for name in PRICE_FIELDS}
#: What is priced by the piece, and which of these may have prices by variant.
PIECES = ("image", "second", "character", "page")
VARIED: tuple[Literal["image", "second"], ...] = ("image", "second")
EACH = {"web_search", *PIECES}


def price_row(row: Mapping[str, Any], where: str = "prices", source: str = "operator") -> Price:
    """Parses one row; `where` begins the name of the field in an error ("prices[2]"). None counts as not written.

    `source` is told with the price.

    `model` may stand in the row and is not looked at.

    ValueError with the field's name where a price is missing, not a decimal text or finer than a pico-credit, where a
    field is unknown, and where the whole row is 0 without `free = true`.
    """
    row = {name: value for name, value in row.items() if value is not None and name != "model"}
    free = row.get("free", False)
    if not isinstance(free, bool):
        raise _wrong(f"{where}.free", "must be true or false")
    unknown = row.keys() - FIELDS.keys() - {"free", "tiers"}
    if unknown:
        raise _wrong(f"{where}.{min(unknown)}", f"unknown field; known are {', '.join(FIELDS)}, tiers and free")
    if free:
        if len(row) > 1:
            raise _wrong(f"{where}.free", "a free model has no prices beside free = true")
        return FREE
    pieces = [field for field in PIECES if field in row]
    variants: list[Variant] = []
    for unit in VARIED:
        if isinstance(row.get(unit), Mapping):
            row[unit], found = _varied(unit, row[unit], f"{where}.{unit}")
            variants += found
    row = {name: value for name, value in row.items() if value is not None}
    for field in ("input", "output"):
        if field not in row:
            if not pieces:
                raise _wrong(f"{where}.{field}", "is missing; write a price per million tokens, or free = true")
            row[field] = "0"
    base = _amounts(row, where)
    tiers = _tiers(row.get("tiers", ()), base, f"{where}.tiers")
    price = Price(**base, tiers=tiers, variants=tuple(variants), source=source)
    if price.is_zero:
        field = pieces[0] if pieces else "input"
        raise _wrong(f"{where}.{field}", "every price is 0; write free = true to give the model away")
    return price


def _varied(field: str, table: Mapping[str, Any], where: str) -> tuple[Any, list[Variant]]:
    """The price of all others (None where there is none), and those of the variants that the table names."""
    found = []
    for name, value in table.items():
        if not name or len(name) > 64 or not name.isprintable():
            raise _wrong(where, "a variant is a quality, a size, quality/size or a resolution, or * for all others")
        amount = _amount(field, value, f"{where}.{name}")
        if name != "*":
            found.append(Variant(field, name.lower(), amount))
    return table.get("*"), found


def _tiers(rows: Any, base: dict[str, Any], where: str) -> tuple[Tier, ...]:
    if not isinstance(rows, list | tuple):
        raise _wrong(where, "must be a list of tables")
    tiers: list[Tier] = []
    for index, row in enumerate(rows):
        here = f"{where}[{index}]"
        if not isinstance(row, Mapping) or row.keys() - FIELDS.keys() - {"above"}:
            raise _wrong(here, f"must be a table of above and prices ({', '.join(FIELDS)})")
        above = row.get("above")
        least = tiers[-1].above_prompt_tokens if tiers else 0
        if not isinstance(above, int) or isinstance(above, bool) or above <= least:
            raise _wrong(f"{here}.above", f"must be a whole number of prompt tokens above {least}")
        tiers.append(Tier(above, Price(**{**base, **_amounts(row, here)})))
    return tuple(tiers)


def _amounts(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    return {FIELDS[name]: _amount(name, row[name], f"{where}.{name}") for name in FIELDS if name in row}


def _amount(name: str, value: Any, where: str) -> int:
    # A float has already lost the price that was written; a whole number has not.
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _wrong(where, 'write the price as text ("0.15")')
    try:
        amount = picocredits(str(value)) if name in EACH else picocredits_per_token(str(value))
    except ValueError as error:
        raise _wrong(where, f"{error}") from None
    if amount < 0:
        raise _wrong(where, "must not be negative")
    return amount


def _wrong(field: str, why: str) -> ValueError:
    return ValueError(f"{field}: {why}")
