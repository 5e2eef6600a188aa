"""How much a model shall think, in the form that it takes: a budget, an effort, or nothing."""

from mira.codecs.codec import Target
from mira.codecs.fitting import COMMON_EFFORTS, EFFORTS, effort_of_budget, nearest_effort
from mira.codecs.messages.wire import NAME
from mira.core.capabilities import Capabilities
from mira.core.conversation import (
    AssistantTurn,
    Conversation,
    NamedTool,
    Reasoning,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolTurn,
    Turn,
)

#: Anthropic takes no smaller budget.
LEAST_BUDGET = 1024
_BUDGETS = {"minimal": 2048, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 32768}


def express_thinking(
    conversation: Conversation,
    turns: tuple[Turn, ...],
    choice: ToolChoice | None,
    target: Target,
    dropped: set[str],
) -> tuple[Thinking, ToolChoice | None]:
    """The thinking that the model takes, and the tool choice that goes with it; `turns` are the expressed ones.

    A forced tool and thinking exclude each other: the tool is what changes the answer, so thinking gives way, unless
    the model always thinks or takes no forced tool at all.
    """
    asked, can = conversation.thinking, target.capabilities
    field = "thinking" if conversation.origin == NAME else "reasoning_effort"
    told = _told(asked, can, target.output_cap, native=conversation.origin == NAME)
    if _fell_away(asked, told, can):
        dropped.add(field)
    forced = choice is ToolMode.REQUIRED or isinstance(choice, NamedTool)
    if forced and (not can.forced_tools or can.thinking_always_on):
        dropped.add("tool_choice")
        choice, forced = ToolMode.AUTO, False
    thinks = told.mode in ("enabled", "adaptive", "between_tools")
    if thinks and (forced or (told.mode == "enabled" and _mid_loop_without_thought(turns))):
        dropped.add(field)
        told = Thinking(effort=told.effort if told.mode == "adaptive" else None)
    return told, choice


def lowered_budget(budget: int, output_cap: int) -> int | None:
    """The budget that fits below the cap, None where none does."""
    if budget >= output_cap:
        budget = output_cap * 3 // 4
    return budget if budget >= LEAST_BUDGET else None


def _told(asked: Thinking, can: Capabilities, output_cap: int, *, native: bool) -> Thinking:
    if not can.reasoning:
        return Thinking()
    if asked.mode is None and (asked.effort is None or native):
        return Thinking(effort=_effort(asked.effort, can))
    display = asked.display or ("summarized" if asked.summary not in (None, "none") else None)
    off = asked.mode == "disabled" or (asked.mode is None and asked.effort == "none")
    if off:
        effort = None if asked.effort == "none" else _effort(asked.effort, can)
        return Thinking(effort=effort) if can.thinking_always_on else Thinking(mode="disabled", effort=effort)
    if can.thinking_adaptive and asked.mode == "between_tools":
        return Thinking(mode="between_tools", effort=_effort(asked.effort, can))
    if can.thinking_adaptive and not (asked.mode == "enabled" and can.thinking_budget and asked.budget_tokens):
        effort = asked.effort or effort_of_budget(asked.budget_tokens)
        return Thinking(mode="adaptive", effort=_effort(effort, can), display=display)
    if not can.thinking_budget:
        return Thinking(effort=_effort(asked.effort, can))
    budget = lowered_budget(asked.budget_tokens or _BUDGETS.get(asked.effort or "high", 16384), output_cap)
    if budget is None:
        return Thinking(effort=_effort(asked.effort, can))
    return Thinking(mode="enabled", budget_tokens=budget, display=display, effort=_effort(asked.effort, can))


def _effort(effort: str | None, can: Capabilities) -> str | None:
    if effort is None or effort == "none" or not can.effort:
        return None
    return nearest_effort(effort if effort in EFFORTS else "high", can.efforts or COMMON_EFFORTS)


def _fell_away(asked: Thinking, told: Thinking, can: Capabilities) -> bool:
    if asked.mode == "disabled" or (asked.mode is None and asked.effort == "none"):
        return can.thinking_always_on
    wanted = asked.mode is not None or asked.effort is not None
    return wanted and told.mode is None and told.effort is None


def _mid_loop_without_thought(turns: tuple[Turn, ...]) -> bool:
    """Whether the model is between its calls and its answer, and its own thinking of that turn is not there.

    With a budget, Anthropic demands that such a turn begins with the thinking that led to the calls.
    """
    last = next((turn for turn in reversed(turns) if not isinstance(turn, ToolTurn)), None)
    if not turns or not isinstance(turns[-1], ToolTurn) or not isinstance(last, AssistantTurn):
        return False
    calls = any(isinstance(part, ToolCall) for part in last.parts)
    return calls and not isinstance(last.parts[0], Reasoning)
