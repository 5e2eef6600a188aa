"""What is known of models by name: how many tokens they take and give.

The figures are in `data/models.json` (source and licence in `data/README.md`), loaded when first asked for.
"""

import re
from functools import cache
from importlib.resources import files

import msgspec
from msgspec import Struct

#: the output cap of a call that names none, for a model whose own maximum is unknown
DEFAULT_OUTPUT_CAP = 4096

_SUFFIX = re.compile(r"(:[a-z]+|[-@](\d{8}|\d{4}-\d{2}-\d{2}|latest))$")


class ModelLimits(Struct, frozen=True):
    """Tokens that a model takes and gives at most; None where unknown."""

    max_input_tokens: int | None = None
    max_output_tokens: int | None = None


UNKNOWN = ModelLimits()


def limits(model_id: str) -> ModelLimits:
    """The limits of a canonical model id ("anthropic/claude-sonnet-4.5").

    Dots and dashes are one. A dated or marked id (`-20250929`, `-2024-07-18`, `-latest`, `:free`) that is not listed
    falls back to the plain one, and `seller/vendor/model` to `vendor/model`.
    """
    table = _table()
    name = _key(model_id)
    while True:
        known = table.get(name) or table.get("/".join(name.split("/")[-2:]))
        if known is not None:
            return known
        shorter = _SUFFIX.sub("", name)
        if shorter == name:
            return UNKNOWN
        name = shorter


def default_output_cap(model_id: str) -> int:
    """The cap for a call that names none: the model's maximum, `DEFAULT_OUTPUT_CAP` where it is unknown."""
    return limits(model_id).max_output_tokens or DEFAULT_OUTPUT_CAP


def _key(model_id: str) -> str:
    return model_id.lower().replace(".", "-")


@cache
def _table() -> dict[str, ModelLimits]:
    rows = msgspec.json.decode(
        (files("mira.core") / "data" / "models.json").read_bytes(), type=dict[str, tuple[int | None, int | None]]
    )
    return {_key(name): ModelLimits(*row) for name, row in rows.items()}
