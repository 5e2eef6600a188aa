"""What is known of models by name: how many tokens they take and give, and in what they differ from others.

The facts are in `data/models.json` (source and licence in `data/README.md`), loaded when first asked for; an operator's
own rows stand above them. What the flags mean is in `mira.core.capabilities`.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct

#: the output cap of a call that names none, for a model whose own maximum is unknown
DEFAULT_OUTPUT_CAP = 4096

_DOT = re.compile(r"(?<=\d)\.(?=\d)")
_SUFFIX = re.compile(r"(:[a-z]+|[-@](\d{8}|\d{4}-\d{2}-\d{2}|latest))$")


class ModelLimits(Struct, frozen=True):
    """Tokens that a model takes and gives at most; None where unknown."""

    max_input_tokens: int | None = None
    max_output_tokens: int | None = None


class Facts(Struct, frozen=True, array_like=True):
    """A row of a table: limits in tokens (None where it does not tell), and the flags of `Capabilities` it tells.

    `outputs` is what the operator says that the model puts out (see `mira.core.media`).
    """

    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    flags: dict[str, Any] = {}
    outputs: tuple[str, ...] = ()


#: rows by `key`
Table = Mapping[str, Facts]

UNKNOWN = ModelLimits()
NO_ROWS: Table = MappingProxyType({})


def limits(model_id: str, own: Table = NO_ROWS) -> ModelLimits:
    """The limits of a canonical model id ("anthropic/claude-sonnet-4.5"); the operator's `own` rows stand first.

    Dots and dashes are one. A dated or marked id (`-20250929`, `-2024-07-18`, `-latest`, `:free`) that is not listed
    falls back to the plain one, and `seller/vendor/model` to `vendor/model`.
    """
    told, known = look_up(own, model_id), facts(model_id)
    return ModelLimits(
        told.max_input_tokens or known.max_input_tokens, told.max_output_tokens or known.max_output_tokens
    )


def facts(model_id: str) -> Facts:
    """The row of a model in the built-in table; an empty one where it is unknown."""
    return look_up(_table(), model_id)


def look_up(table: Table, model_id: str) -> Facts:
    """The row of a model under any spelling of its id (see `limits`); an empty one where there is none."""
    for name in spellings(model_id):
        known = table.get(name) or table.get("/".join(name.split("/")[-2:]))
        if known is not None:
            return known
    return Facts()


def spellings(model_id: str) -> Iterator[str]:
    """The keys under which a model may be listed, from its whole id to the plain one."""
    name = key(model_id)
    while True:
        yield name
        shorter = _SUFFIX.sub("", name)
        if shorter == name:
            return
        name = shorter


def default_output_cap(model_id: str) -> int:
    """The cap for a call that names none: the model's maximum, `DEFAULT_OUTPUT_CAP` where it is unknown."""
    return limits(model_id).max_output_tokens or DEFAULT_OUTPUT_CAP


def folded(model_id: str) -> str:
    """An id in its dash form, which is one with its dot form ("claude-sonnet-4.5", "claude-sonnet-4-5")."""
    return _DOT.sub("-", model_id)


def key(model_id: str) -> str:
    """An id as tables have it: in lower case, dots as dashes."""
    return model_id.lower().replace(".", "-")


@cache
def _table() -> dict[str, Facts]:
    rows = msgspec.json.decode((files("mira.core") / "data" / "models.json").read_bytes(), type=dict[str, Facts])
    return {key(name): row for name, row in rows.items()}
