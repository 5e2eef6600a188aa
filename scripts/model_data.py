"""Extracts the limits and capabilities of models into src/mira/core/data/models.json.

    uv run python scripts/model_data.py PATH

PATH is LiteLLM's table of models reduced to `{"models": {provider: {id: row}}}` with the providers openai, anthropic,
gemini and vertex (MIT, see src/mira/core/data/README.md). Written are `{"provider/model": [input, output, flags]}`
under Mira's canonical ids, the flags in the words of `mira.core.capabilities` and only where they say more than the
defaults and the rules of families do; a dated id that says the same as its undated one is left out.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

from mira.core.capabilities import UNKNOWN, family_flags

TARGET = Path(__file__).parent.parent / "src/mira/core/data/models.json"
#: Mira's provider -> the source's, the first that knows a model wins
PROVIDERS = {"openai": ("openai",), "anthropic": ("anthropic",), "google": ("gemini", "vertex")}
DATED = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2})$")
#: the source's flag -> ours; only what it tells to be false is told on, but for what is false by default
FLAGS = {
    "supports_sampling_params": "sampling",
    "supports_reasoning": "reasoning",
    "supports_adaptive_thinking": "thinking_adaptive",
    "thinking_always_on": "thinking_always_on",
    "supports_forced_tool_use": "forced_tools",
    "supports_mid_conversation_system": "mid_system",
    "supports_response_schema": "structured_output",
    "supports_native_structured_output": "structured_output",
    "supports_assistant_prefill": "prefill",
}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
#: What the source's flags of effort mean where it tells nothing.
COMMON_EFFORTS = ("low", "medium", "high")
#: Its rows of these tell efforts, and the models do not think.
NOT_THINKING = re.compile(r"gpt-5-chat|gpt-5-search|-chat-latest")


def extract(models: dict[str, dict[str, dict[str, Any]]]) -> dict[str, list[Any]]:
    """Canonical id → [max_input_tokens, max_output_tokens, flags]; without the flags where there are none."""
    found: dict[str, list[Any]] = {}
    for provider, sources in PROVIDERS.items():
        for source in sources:
            # Ids with the source's own prefix come first: they are the ones of the API that Mira speaks.
            for name, row in sorted(models[source].items(), key=lambda item: ("/" not in item[0], item[0])):
                bare = name.removeprefix("gemini/").removeprefix("vertex_ai/")
                if row.get("max_output_tokens") and "/" not in bare and ":" not in bare:
                    told = [row.get("max_input_tokens"), row["max_output_tokens"]]
                    flags = told_flags(provider, bare, row)
                    found.setdefault(f"{provider}/{bare}", [*told, flags] if flags else told)
    return {
        name: value
        for name, value in found.items()
        if found.get(DATED.sub("", name)) != value or name == DATED.sub("", name)
    }


def told_flags(provider: str, name: str, row: dict[str, Any]) -> dict[str, Any]:
    """What the source's row tells beyond the defaults and the rules of families."""
    if row.get("mode") not in ("chat", "responses"):
        return {}
    flags = {ours: row[theirs] for theirs, ours in FLAGS.items() if theirs in row}
    if flags.get("thinking_adaptive"):
        flags["thinking_budget"] = bool(row.get("supports_legacy_thinking", False))
        flags["effort"] = True
    efforts = _efforts(row)
    if efforts is not None and not NOT_THINKING.search(name):
        flags["efforts"] = efforts
    if provider == "openai":
        flags |= _openai_flags(name, row)
    base = {**msgspec.to_builtins(UNKNOWN, builtin_types=(tuple,)), **family_flags(f"{provider}/{name}")}
    return {flag: value for flag, value in sorted(flags.items()) if value != _plain(base[flag])}


def _openai_flags(name: str, row: dict[str, Any]) -> dict[str, Any]:
    flags: dict[str, Any] = {}
    endpoints = row.get("supported_endpoints")
    if row["mode"] == "responses" or (endpoints and "/v1/chat/completions" not in endpoints):
        flags["responses_only"] = "/v1/responses" in (endpoints or ["/v1/responses"])
    if row.get("supports_reasoning") and not NOT_THINKING.search(name):
        flags["thinking_always_on"] = row.get("supports_none_reasoning_effort") is False
        if row.get("default_reasoning_effort", "none") != "none":
            flags["thinks_unasked"] = True
    return flags


def _efforts(row: dict[str, Any]) -> list[str] | None:
    """The levels that a row tells; None where it tells none."""
    if "reasoning_effort_levels" in row:
        return list(row["reasoning_effort_levels"])
    told = {effort: row.get(f"supports_{effort}_reasoning_effort") for effort in EFFORTS}
    if not any(value is not None for value in told.values()):
        return None
    return [effort for effort, value in told.items() if value or (value is None and effort in COMMON_EFFORTS)]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def main() -> None:
    """Writes the file, one model a line so that an update reads well as a diff."""
    models = json.loads(Path(sys.argv[1]).read_text())["models"]
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(extract(models).items())]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    sys.stdout.write(f"{len(lines)} models\n")


if __name__ == "__main__":
    main()
