"""Reads JSON that nodes wrote, good or bad, without losing a digit."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Raw

from mira.errors import Kind, MiraError

#: Numbers with a fraction are read as decimals: a float would lose nano-credits.
_ANY = msgspec.json.Decoder(float_hook=Decimal)
_AS_READ = msgspec.json.Encoder(decimal_format="number")


def loose(raw: Raw | bytes) -> Any:
    """Any JSON, numbers with a fraction as `Decimal`; None where it is none."""
    try:
        return _ANY.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError):
        return None


def compact(value: Any) -> Raw:
    """What `loose` read, as compact JSON again."""
    return Raw(_AS_READ.encode(value))


def answered(body: bytes, parse_error: Callable[[Any], MiraError]) -> dict[str, Any]:
    """The object that a node answered with; MiraError where it is none, or has an `error` under status 200."""
    told = loose(body)
    if not isinstance(told, dict):
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer is not a JSON object.")
    if told.get("error"):
        raise parse_error(told["error"])
    return told


def texts_of(raw: Raw | None) -> dict[str, str] | None:
    """The texts of an object by their names, None where there are none."""
    told = loose(raw) if raw is not None else None
    if not isinstance(told, dict):
        return None
    return {name: value for name, value in told.items() if isinstance(value, str)} or None


def text_of(value: dict[str, Any], name: str) -> str:
    """The text under that name, "" where there is none."""
    text = value.get(name)
    return text if isinstance(text, str) else ""
