"""The operator's rows about models, which stand above everything that is known of them otherwise.

{"id": "openai/gpt-x", "max_output_tokens": 64000, "sampling": false, "efforts": ["low", "high"]}
{"id": "studio/painter-1", "outputs": ["image"]}
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from mira.core.capabilities import Capabilities
from mira.core.media import OUTPUTS
from mira.core.models import Facts, key

LIMITS = ("max_input_tokens", "max_output_tokens")
#: The words of a row beside its id.
WORDS = (*LIMITS, "outputs", *Capabilities.__struct_fields__)


def model_row(row: Mapping[str, Any], where: str = "models") -> tuple[str, Facts]:
    """One row as the key and the facts of a table; `where` begins the name of the field in an error ("models[2]").

    ValueError with the field's name where the id is missing, and where a field is unknown or of the wrong kind.
    """
    model = row.get("id")
    if not isinstance(model, str) or not model:
        raise ValueError(f"{where}.id: is missing; write the model's id")
    told = {name: value for name, value in row.items() if name != "id"}
    unknown = told.keys() - set(WORDS)
    if unknown:
        raise ValueError(f"{where}.{min(unknown)}: unknown field; known are id, {', '.join(WORDS)}")
    for name in LIMITS:
        tokens = told.get(name, 1)
        if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1:
            raise ValueError(f"{where}.{name}: must be a whole number of tokens, at least 1")
    outputs = told.pop("outputs", [])
    if not isinstance(outputs, list) or not all(output in OUTPUTS for output in outputs):
        raise ValueError(f"{where}.outputs: must be a list of {', '.join(OUTPUTS)}")
    flags = {name: value for name, value in told.items() if name not in LIMITS}
    for name, value in flags.items():
        try:
            msgspec.convert({name: value}, Capabilities)
        except msgspec.ValidationError:
            raise ValueError(f"{where}.{name}: must be {_shape(name)}") from None
    return key(model), Facts(told.get(LIMITS[0]), told.get(LIMITS[1]), flags, tuple(outputs))


def _shape(name: str) -> str:
    if name == "efforts":
        return "a list of none, minimal, low, medium, high, xhigh and max"
    return "true or false"
