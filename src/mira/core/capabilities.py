"""What one model takes, beside its limits: the row of a table that codecs read instead of asking for names.

A codec that renders a request for a model looks here for what the model would refuse. Three sources are laid over each
other, the later ones on top: rules for whole families of models (`data/families.json`), what `data/models.json` tells
of the one model, and the operator's own row. Where they come from is in `data/README.md`.
"""

import re
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec
from msgspec import Struct

from mira.core.conversation import Thinking
from mira.core.models import NO_ROWS, Table, facts, key, look_up

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Capabilities(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The flags of one model; the defaults describe one of which nothing is known, the ground that most models share.

    `sampling`: it takes temperature, top_p and the like; `sampling_with_thinking`: also while it thinks. `reasoning`:
    it can think at all. `thinking_budget`: its thinking is switched on with a budget in tokens; `thinking_adaptive`: it
    decides itself how much to think, steered by an effort (a model may take both); `thinking_always_on`: its thinking
    cannot be switched off; `thinks_unasked`: it thinks unless it is told not to. `effort`: it takes an effort as such;
    `efforts` are the levels it knows, none where nobody says. `forced_tools`: a request may say that a tool must be
    called. `mid_system`: instructions may stand in mid-conversation. `structured_output`: it takes a JSON Schema for
    its answer. `images`: it looks at pictures, and at documents page by page. `prefill`: a conversation may end in
    words of the model, which it continues. `responses_only`: at OpenAI it answers under Responses alone.
    `chat_tools_with_thinking`: Chat Completions takes tools while it thinks, otherwise Responses alone does.
    """

    sampling: bool = True
    sampling_with_thinking: bool = True
    reasoning: bool = True
    thinking_budget: bool = True
    thinking_adaptive: bool = False
    thinking_always_on: bool = False
    thinks_unasked: bool = False
    effort: bool = False
    efforts: tuple[Effort, ...] = ()
    forced_tools: bool = True
    mid_system: bool = False
    structured_output: bool = True
    images: bool = True
    prefill: bool = True
    responses_only: bool = False
    chat_tools_with_thinking: bool = True


UNKNOWN = Capabilities()


class Family(Struct, frozen=True, forbid_unknown_fields=True):
    """A rule: the models whose bare id the pattern is found in have these flags. `source` says who says so."""

    models: str
    flags: dict[str, Any]
    source: str


def capabilities_of(model: str, own: Table = NO_ROWS) -> Capabilities:
    """The flags of a canonical id under any of its spellings; `own` are the operator's rows by `models.key`."""
    flags = {**family_flags(model), **facts(model).flags, **look_up(own, model).flags}
    return msgspec.convert(flags, Capabilities) if flags else UNKNOWN


def family_flags(model: str) -> dict[str, Any]:
    """What the rules say of a model; where several match, the later ones add to the earlier ones."""
    name = key(model).rpartition("/")[2]
    flags: dict[str, Any] = {}
    for pattern, told in _families():
        if pattern.search(name):
            flags.update(told)
    return flags


def needs_responses(can: Capabilities, thinking: Thinking, *, uses_tools: bool) -> bool:
    """Whether OpenAI's Chat Completions would refuse the request, and its Responses would take it."""
    if can.responses_only:
        return True
    if can.chat_tools_with_thinking or not uses_tools:
        return False
    if thinking.effort is None and thinking.mode is None:
        return can.thinking_always_on or can.thinks_unasked
    off = thinking.mode == "disabled" if thinking.effort is None else thinking.effort == "none"
    return not off or can.thinking_always_on or bool(can.efforts and "none" not in can.efforts)


@cache
def _families() -> tuple[tuple[re.Pattern[str], dict[str, Any]], ...]:
    rows = msgspec.json.decode((files("mira.core") / "data" / "families.json").read_bytes(), type=list[Family])
    return tuple((re.compile(row.models), row.flags) for row in rows)
