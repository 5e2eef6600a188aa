"""The operator's price rows: decimal text, in credits per million tokens, becomes a `Price`.

    {"input": "3", "output": "15", "cache_read": "0.3", "web_search": "0.01",
     "tiers": [{"above": 200000, "input": "6", "output": "22.5"}]}

`web_search` is credits per search. A tier repeats what the row says except for what it names itself. `{"free": true}`
stands alone: a row that prices everything at 0 without saying so is refused.
"""

from collections.abc import Mapping
from typing import Any

from mira.core.money import PICO_PER_NANO, nanocredits, picocredits_per_token
from mira.core.pricing import FREE, PRICE_FIELDS, Price, Tier

#: field of a row -> field of `Price`
FIELDS = {name.removesuffix("_picocredits"): name for name in PRICE_FIELDS}


def price_row(row: Mapping[str, Any], where: str = "prices") -> Price:
    """Parses one row; `where` begins the name of the field in an error ("prices[2]"). None counts as not written.

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
    for field in ("input", "output"):
        if field not in row:
            raise _wrong(f"{where}.{field}", "is missing; write a price per million tokens, or free = true")
    base = _amounts(row, where)
    price = Price(**base, tiers=_tiers(row.get("tiers", ()), base, f"{where}.tiers"))
    if price.is_zero:
        raise _wrong(f"{where}.input", "every price is 0; write free = true to give the model away")
    return price


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
        amount = nanocredits(str(value)) * PICO_PER_NANO if name == "web_search" else picocredits_per_token(str(value))
    except ValueError as error:
        raise _wrong(where, f"{error}") from None
    if amount < 0:
        raise _wrong(where, "must not be negative")
    return amount


def _wrong(field: str, why: str) -> ValueError:
    return ValueError(f"{field}: {why}")
