"""What one model takes, beside its limits: the row of a table that codecs read instead of asking for names.

A codec that renders a request for a model looks here for what the model would refuse. The defaults describe a model of
which nothing is known: the ground that older and foreign models share.
"""

import re
from functools import cache

from msgspec import Struct


class Capabilities(Struct, frozen=True, kw_only=True):
    """The flags of one model.

    `sampling`: it takes temperature, top_p and top_k. `reasoning`: it can think at all. `thinking_budget`: its thinking
    is switched on with a budget in tokens; `thinking_adaptive`: it decides itself how much to think, steered by an
    effort (a model may take both); `thinking_always_on`: its thinking cannot be switched off. `effort`: it takes an
    effort as such; `efforts` are the levels it knows. `forced_tools`: a request may say that a tool must be called.
    `mid_system`: instructions may stand in mid-conversation. `structured_output`: it takes a JSON Schema for its
    answer. `prefill`: a conversation may end in words of the model, which it continues.
    """

    sampling: bool = True
    reasoning: bool = True
    thinking_budget: bool = True
    thinking_adaptive: bool = False
    thinking_always_on: bool = False
    effort: bool = False
    efforts: tuple[str, ...] = ("low", "medium", "high")
    forced_tools: bool = True
    mid_system: bool = False
    structured_output: bool = True
    prefill: bool = True


UNKNOWN = Capabilities()


#: Anthropic's models by generation; the first pattern that is found in the bare id decides (vendor's pages, 2026-11).
#: Up to 4.5 thinking has a budget; 4.6 takes both styles; later ones decide themselves and refuse sampling parameters.
_CLAUDE = (
    (
        re.compile(r"claude-(fable|mythos)"),
        Capabilities(
            sampling=False, thinking_budget=False, thinking_adaptive=True, thinking_always_on=True, effort=True,
            efforts=("low", "medium", "high", "xhigh", "max"), mid_system=True, prefill=False,
        ),
    ),
    (
        re.compile(r"claude-(?:[a-z]+-)?(?:4[.-](?:[789]|\d\d)|[5-9])(?!\d)"),
        Capabilities(
            sampling=False, thinking_budget=False, thinking_adaptive=True, effort=True,
            efforts=("low", "medium", "high", "xhigh", "max"), mid_system=False, prefill=False,
        ),
    ),
    (
        re.compile(r"claude-(?:[a-z]+-)?4[.-]6(?!\d)"),
        Capabilities(thinking_adaptive=True, effort=True, efforts=("low", "medium", "high", "max"), prefill=False),
    ),
    (re.compile(r"claude-(?:instant|2|3[.-]5|3-(?:opus|sonnet|haiku))"), Capabilities(reasoning=False)),
)  # fmt: skip


@cache
def capabilities_of(model: str) -> Capabilities:
    """The row of a canonical id; of a model of which nothing is known, the common ground."""
    name = model.rpartition("/")[2].lower()
    return next((row for pattern, row in _CLAUDE if pattern.search(name)), UNKNOWN)
