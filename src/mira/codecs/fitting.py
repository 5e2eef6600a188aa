"""What a request asks for, fitted to what its model takes: the same rules for the protocols that share the words.

Everything that is changed is added to `dropped` under the name that Chat Completions and Responses have for it.
"""

from mira.core.capabilities import Capabilities
from mira.core.conversation import AllowedTools, FunctionTool, NamedTool, Reasoning, Thinking, ToolChoice, ToolMode

#: every level of effort, from none to the most
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
#: the levels that every model with efforts knows
COMMON_EFFORTS = ("low", "medium", "high")

#: Flags of a function that change what a model makes of it, and that one protocol alone knows.
_SPEAKING_FLAGS = ("input_examples", "allowed_callers")
_EFFORT_OF_BUDGET = ((4096, "low"), (16_384, "medium"))


def note_flags(tool: FunctionTool, dropped: set[str]) -> None:
    """Notes which flags of a function a protocol without them leaves out."""
    dropped.update(f"tools.{tool.name}.{name}" for name in _SPEAKING_FLAGS if name in tool.extras)


def note_thought(block: Reasoning, dropped: set[str]) -> None:
    """Notes that earlier thinking is left out, which another provider signed or this one has no place for."""
    if block.text or block.data or block.signature:
        dropped.add("reasoning")


def asked_effort(thinking: Thinking) -> str | None:
    """The effort that a request asks for, in whatever words; None where it leaves that to the model."""
    if thinking.effort is not None:
        return thinking.effort
    if thinking.mode == "disabled":
        return "none"
    return effort_of_budget(thinking.budget_tokens) if thinking.mode == "enabled" else None


def effort_of_budget(budget_tokens: int | None) -> str | None:
    """The effort that comes near a budget of thinking."""
    if budget_tokens is None:
        return None
    return next((effort for limit, effort in _EFFORT_OF_BUDGET if budget_tokens < limit), "high")


def nearest_effort(effort: str, levels: tuple[str, ...]) -> str:
    """The level that comes nearest, the lower one of two; thinking that was asked for is not switched off."""
    if effort in levels or effort not in EFFORTS:
        return effort
    wanted = EFFORTS.index(effort)
    known = [level for level in EFFORTS if level in levels and (level != "none" or effort == "none")]
    return min(known, key=lambda level: abs(EFFORTS.index(level) - wanted)) if known else effort


def fitted_effort(thinking: Thinking, can: Capabilities, dropped: set[str]) -> str | None:
    """The effort that the model is told; a level of which nothing is known goes as it came."""
    effort = asked_effort(thinking)
    if effort is None:
        return None
    if not can.reasoning:
        if effort != "none":
            dropped.add("reasoning_effort")
        return None
    told = nearest_effort(effort, can.efforts)
    if told != effort:
        dropped.add("reasoning_effort")
    return told


def takes_sampling(effort: str | None, can: Capabilities) -> bool:
    """Whether the model takes temperature and the like; some take it only where they do not think."""
    if not can.sampling or can.sampling_with_thinking:
        return can.sampling
    if effort is None:
        return not (can.thinking_always_on or can.thinks_unasked)
    return effort == "none"


def fitted_choice(choice: ToolChoice | None, can: Capabilities, dropped: set[str]) -> ToolChoice | None:
    """The choice of tools as the model takes it: one that takes no forced call is left to choose."""
    if can.forced_tools:
        return choice
    match choice:
        case ToolMode.REQUIRED | NamedTool():
            dropped.add("tool_choice")
            return ToolMode.AUTO
        case AllowedTools(mode="required", tools=tools):
            dropped.add("tool_choice")
            return AllowedTools("auto", tools)
        case _:
            return choice
