"""What the generations of Google's models differ in: a table, so that no code asks for a model's name.

Source: Google's API reference (2026-11).
"""

import re
from typing import Literal

from msgspec import Struct


class Dialect(Struct, frozen=True, kw_only=True):
    """The quirks of one generation.

    `thinking`: how it is told how much to think (a level, a budget in tokens, or not at all); a budget is at least
    `least_budget` (0: thinking can be switched off) and at most `most_budget`. `signatures`: a tool call in the history
    must be signed. `json_schema`: it takes JSON Schema, otherwise the subset of OpenAPI. `tool_media`: tools may answer
    with media. `format_with_tools`: tools and a response format may come together.
    """

    thinking: Literal["", "level", "budget"] = ""
    least_budget: int = 0
    most_budget: int = 0
    signatures: bool = False
    json_schema: bool = True
    tool_media: bool = False
    format_with_tools: bool = False


DIALECTS: dict[str, Dialect] = {
    "gemini-2": Dialect(json_schema=False),
    "gemini-2.5": Dialect(thinking="budget", most_budget=24_576),
    "gemini-2.5-pro": Dialect(thinking="budget", least_budget=128, most_budget=32_768),
    "gemini-3": Dialect(thinking="level", signatures=True, tool_media=True, format_with_tools=True),
}
#: Which row a model is of; the first pattern that is found in its id decides. All others are of the newest.
_GENERATIONS = (
    (re.compile(r"gemini-2\.5-(.*-)?pro"), "gemini-2.5-pro"),
    (re.compile(r"gemini-2\.5"), "gemini-2.5"),
    (re.compile(r"gemini-[12]\b|gemma-[123]\b|gemini-exp|gemini-gemma|learnlm"), "gemini-2"),
)
_NEWEST = "gemini-3"


def dialect_of(name: str, model: str) -> Dialect:
    """The row of that name; where there is none, the row of the model's generation."""
    if (row := DIALECTS.get(name)) is not None:
        return row
    return DIALECTS[next((row for pattern, row in _GENERATIONS if pattern.search(model)), _NEWEST)]
