"""How much a model thinks, between what clients say and what Google's models take."""

from typing import Any

from mira.codecs.fitting import COMMON_EFFORTS, EFFORTS, asked_effort, nearest_effort
from mira.codecs.gemini.dialects import Dialect
from mira.core.capabilities import Capabilities
from mira.core.conversation import Thinking

_LEVELS = EFFORTS[1:6]
_BUDGETS = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 32_768, "max": 32_768}


def express_thinking(thinking: Thinking, capabilities: Capabilities, dialect: Dialect, dropped: set[str]) -> Thinking:
    """The settings as this model takes them; what it cannot follow is added to `dropped`."""
    effort = asked_effort(thinking)
    if effort is None and thinking.mode not in ("enabled", "adaptive"):
        return Thinking()
    if not dialect.thinking or not capabilities.reasoning:
        if effort != "none":
            dropped.add("reasoning_effort")
        return Thinking()
    display = "omitted" if thinking.display == "omitted" or effort == "none" else None
    if dialect.thinking == "budget":
        return _budgeted(thinking, effort, display, dialect, dropped)
    if effort is None:
        return Thinking(mode="adaptive", display=display)
    if effort == "none":
        # These models cannot be kept from thinking.
        dropped.add("reasoning_effort")
    return Thinking(effort=_level(effort, capabilities.efforts), display=display)


def thinking_body(thinking: Thinking, dialect: Dialect) -> dict[str, Any] | None:
    """`thinkingConfig`: a level or a budget, never both, which Google refuses."""
    if thinking.effort is None and thinking.mode is None:
        return None
    body: dict[str, Any] = {"includeThoughts": thinking.display != "omitted"}
    if thinking.effort is not None:
        body["thinkingLevel"] = thinking.effort.upper()
    elif dialect.thinking == "budget":
        match thinking.mode:
            case "disabled":
                body["thinkingBudget"] = 0
            case "adaptive":
                body["thinkingBudget"] = -1
            case _:
                body["thinkingBudget"] = thinking.budget_tokens
    return body


def _level(effort: str, efforts: tuple[str, ...]) -> str:
    """The level that comes nearest."""
    levels = tuple(level for level in _LEVELS if level in (efforts or COMMON_EFFORTS)) or ("low", "high")
    return nearest_effort(effort if effort in EFFORTS else "medium", levels)


def _budgeted(
    thinking: Thinking, effort: str | None, display: str | None, dialect: Dialect, dropped: set[str]
) -> Thinking:
    if effort != "none" and thinking.mode == "enabled" and thinking.budget_tokens is not None:
        budget = thinking.budget_tokens
    elif effort is None:
        return Thinking(mode="adaptive", display=display)
    else:
        budget = _BUDGETS.get(effort, _BUDGETS["medium"])
    if effort == "none" and dialect.least_budget:
        dropped.add("reasoning_effort")
    budget = min(max(budget, dialect.least_budget), dialect.most_budget)
    if budget == 0:
        return Thinking(mode="disabled", display="omitted")
    return Thinking(mode="enabled", budget_tokens=budget, display=display)
