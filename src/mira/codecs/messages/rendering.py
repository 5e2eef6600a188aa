"""A Conversation as the bytes of a Messages request: the same conversation, the same bytes.

Models of the newest generation bind their signatures to the exact prefix, so nothing here depends on anything but the
conversation and the target.
"""

from typing import Any

import msgspec
from msgspec import Raw

from mira.codecs.codec import Target
from mira.codecs.messages.express import express
from mira.codecs.messages.names import wire_id
from mira.codecs.messages.request import TIERS
from mira.core.conversation import (
    AssistantTurn,
    CacheMark,
    Conversation,
    Document,
    FileRef,
    FunctionTool,
    Image,
    Inline,
    JsonSchema,
    Link,
    NamedTool,
    Notes,
    Opaque,
    PlainText,
    Reasoning,
    SearchResult,
    Source,
    SystemTurn,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
    ToolTurn,
    Turn,
    UserTurn,
)

_CHOICES = {ToolMode.AUTO: "auto", ToolMode.REQUIRED: "any", ToolMode.NONE: "none"}
_TOLD_TIERS = {own: told for told, own in TIERS.items()}


def render_request(conversation: Conversation, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The body for a node, and the names of what could not be told; MiraError UNSUPPORTED where that is too much."""
    told, dropped = express(conversation, target)
    turns = told.turns
    body: dict[str, Any] = {"model": told.model, "max_tokens": told.output_cap}
    if turns and isinstance(turns[0], SystemTurn):
        body["system"] = _content(turns[0].parts)
        turns = turns[1:]
    body["messages"] = _messages(turns)
    if told.tools:
        body["tools"] = [_tool(tool) for tool in told.tools]
    sampling = told.sampling
    settings = {
        "tool_choice": _choice(told.tool_choice, alone=told.parallel_tool_calls is False),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "stop_sequences": list(sampling.stop) or None,
        "thinking": _thinking(told.thinking),
        "output_config": _output_config(told),
        "service_tier": _TOLD_TIERS.get(told.notes.service_tier or ""),
        "metadata": _metadata(told.notes),
        "stream": True if told.stream else None,
        **told.extras,
    }
    body.update({name: value for name, value in settings.items() if value is not None})
    return msgspec.json.encode(body), dropped


def thinking_body(block: Reasoning) -> dict[str, Any]:
    """A block of thinking as Anthropic's models write it."""
    if block.kind == "encrypted":
        return {"type": "redacted_thinking", "data": block.data or ""}
    return {"type": "thinking", "thinking": block.text, "signature": block.signature or ""}


def _messages(turns: tuple[Turn, ...]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for turn in turns:
        if results and not isinstance(turn, UserTurn):
            messages.append({"role": "user", "content": results})
            results = []
        match turn:
            case ToolTurn():
                results = [_result(result) for result in turn.results]
            case UserTurn() if results:
                messages.append({"role": "user", "content": [*results, *_blocks(turn.parts)]})
                results = []
            case UserTurn():
                messages.append({"role": "user", "content": _content(turn.parts)})
            case AssistantTurn():
                messages.append({"role": "assistant", "content": _content(turn.parts)})
            case SystemTurn():
                messages.append({"role": "system", "content": _content(turn.parts)})
    if results:
        messages.append({"role": "user", "content": results})
    return messages


def _content(parts: tuple[Any, ...]) -> str | list[Any]:
    if len(parts) == 1 and isinstance(parts[0], Text) and parts[0].cache is None and not parts[0].annotations:
        return parts[0].text
    return _blocks(parts)


def _blocks(parts: tuple[Any, ...]) -> list[Any]:
    return [part.data if isinstance(part, Opaque) else _block(part) for part in parts]


def _block(part: Any) -> dict[str, Any]:
    match part:
        case Text():
            cited = {"citations": list(part.annotations)} if part.annotations else {}
            return {"type": "text", "text": part.text} | cited | _mark(part.cache)
        case Image():
            return {"type": "image", "source": _source(part.source)} | _mark(part.cache)
        case Document():
            about = {"title": part.title, "context": part.context, "citations": _cites(part.citations)}
            return {"type": "document", "source": _source(part.source)} | _given(about) | _mark(part.cache)
        case SearchResult():
            block = {
                "type": "search_result",
                "source": part.source,
                "title": part.title,
                "content": [{"type": "text", "text": text} for text in part.content],
            }
            return block | _given({"citations": _cites(part.citations)}) | _mark(part.cache)
        case Reasoning():
            return thinking_body(part)
        case ToolCall():
            call = {"type": "tool_use", "id": wire_id(part.id), "name": part.name, "input": Raw(part.input.encode())}
            return call | _mark(part.cache)
        case _:
            raise TypeError(f"{type(part).__name__} is no part that express leaves")


def _result(result: ToolResult) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": wire_id(result.call_id)}
    if result.parts:
        block["content"] = _content(result.parts)
    if result.is_error:
        block["is_error"] = True
    return block | _mark(result.cache)


def _source(source: Source) -> dict[str, Any]:
    match source:
        case Inline():
            return {"type": "base64", "media_type": source.mime_type, "data": source.data}
        case Link():
            return {"type": "url", "url": source.url}
        case FileRef():
            return {"type": "file", "file_id": source.file_id}
        case PlainText():
            return {"type": "text", "media_type": source.mime_type, "data": source.text}


def _cites(enabled: bool | None) -> dict[str, bool] | None:
    return None if enabled is None else {"enabled": enabled}


def _mark(mark: CacheMark | None) -> dict[str, Any]:
    if mark is None:
        return {}
    return {"cache_control": {"type": "ephemeral"} | _given({"ttl": mark.ttl})}


def _tool(tool: Tool) -> Any:
    if not isinstance(tool, FunctionTool):
        return msgspec.structs.asdict(tool)["data"]
    body = {
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.parameters,
        "strict": tool.strict,
    }
    return _given(body) | tool.extras | _mark(tool.cache)


def _choice(choice: ToolChoice | None, *, alone: bool) -> dict[str, Any] | None:
    told: dict[str, Any]
    match choice:
        case ToolMode():
            told = {"type": _CHOICES[choice]}
        case NamedTool():
            told = {"type": "tool", "name": choice.name}
        case _:
            return None
    return told | ({"disable_parallel_tool_use": True} if alone else {})


def _thinking(thinking: Thinking) -> dict[str, Any] | None:
    if thinking.mode is None:
        return None
    return _given({"type": thinking.mode, "budget_tokens": thinking.budget_tokens, "display": thinking.display})


def _output_config(told: Conversation) -> dict[str, Any] | None:
    config: dict[str, Any] = _given({"effort": told.thinking.effort})
    if isinstance(told.response_format, JsonSchema):
        config["format"] = {"type": "json_schema", "schema": told.response_format.schema}
    return config or None


def _metadata(notes: Notes) -> dict[str, Any] | None:
    return None if notes.safety_identifier is None else {"user_id": notes.safety_identifier}


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}
