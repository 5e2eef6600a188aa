"""What a model takes, in the words that clients read: Anthropic's `capabilities` and OpenRouter's parameters."""

from typing import Any

from mira.codecs.fitting import COMMON_EFFORTS
from mira.core import models
from mira.core.capabilities import UNKNOWN, Capabilities
from mira.core.models import limits

_LEVELS = ("low", "medium", "high", "xhigh", "max")
#: What every model that writes text takes.
_ALWAYS = ("max_tokens", "stop", "tools", "tool_choice", "response_format")


def capabilities_body(model: str, can: Capabilities) -> dict[str, Any] | None:
    """Anthropic's `capabilities` with some of Mira's own, each `{"supported": bool}`; None where nothing is known.

    The server's tools, citations and context management are those of Anthropic's own API, which pass through Mira.
    """
    if can == UNKNOWN and limits(model) == models.UNKNOWN:
        return None
    anthropic = model.split("/")[-2:-1] == ["anthropic"]
    return {
        "batch": _said(False),
        "citations": _said(anthropic),
        "code_execution": _said(False),
        "context_management": _said(anthropic),
        "effort": _effort(can, takes=can.effort if anthropic else can.reasoning),
        "image_input": _said(can.images),
        "pdf_input": _said(can.images),
        "server_tools": {
            **_said(anthropic),
            "code_execution": _said(anthropic),
            "web_search": _said(anthropic),
        },
        "structured_outputs": _said(can.structured_output),
        "thinking": {
            **_said(can.reasoning),
            "types": {
                "adaptive": _said(can.reasoning and can.thinking_adaptive),
                "between_tools": _said(can.reasoning and can.thinking_adaptive and not can.thinking_always_on),
                "disabled": _said(not can.thinking_always_on),
                "enabled": _said(can.reasoning and can.thinking_budget),
            },
        },
        "forced_tools": _said(can.forced_tools),
        "mid_conversation_system": _said(can.mid_system),
        "prefill": _said(can.prefill),
        "sampling": _said(can.sampling),
    }


def supported_parameters(can: Capabilities) -> list[str]:
    """The parameters of Chat Completions that make a difference to the model, in OpenRouter's words."""
    named = {
        "temperature": can.sampling,
        "top_p": can.sampling,
        "reasoning_effort": can.reasoning,
        "structured_outputs": can.structured_output,
    }
    return sorted([*_ALWAYS, *(name for name, takes in named.items() if takes)])


def _effort(can: Capabilities, *, takes: bool) -> dict[str, Any]:
    known = (can.efforts or COMMON_EFFORTS) if takes else ()
    return {**_said(takes), **{level: _said(level in known) for level in _LEVELS}}


def _said(supported: bool) -> dict[str, bool]:
    return {"supported": supported}
