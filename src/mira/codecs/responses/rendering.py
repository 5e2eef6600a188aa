"""A Conversation as the bytes of a Responses request: the same conversation, the same bytes."""

from typing import Any

import msgspec
from msgspec import Raw

from mira.codecs.codec import Target
from mira.codecs.responses.dialects import dialect_of
from mira.codecs.responses.express import express
from mira.codecs.responses.items import PROTOCOL
from mira.codecs.responses.request import is_search_tool
from mira.codecs.responses.shaping import grouped, items_of, told
from mira.core.conversation import (
    AllowedTools,
    AssistantTurn,
    Audio,
    CacheMark,
    Conversation,
    CustomTool,
    Document,
    FileRef,
    FunctionTool,
    Image,
    Inline,
    JsonObject,
    JsonSchema,
    Link,
    NamedTool,
    Opaque,
    PlainText,
    ProviderTool,
    ResponseFormat,
    ResultPart,
    Source,
    SystemTurn,
    Text,
    Tool,
    ToolChoice,
    ToolMode,
    ToolTurn,
    Turn,
    UserPart,
    UserTurn,
)


def render_request(conversation: Conversation, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The body for a node, and the names of what could not be told; MiraError UNSUPPORTED where that is too much."""
    said, dropped = express(conversation, target, dialect_of(target.dialect))
    notes = said.notes
    settings = {
        "tools": tools_body(said.tools) or None,
        "tool_choice": None if said.tool_choice is None else choice_body(said.tool_choice),
        "parallel_tool_calls": said.parallel_tool_calls,
        "max_output_tokens": said.output_cap,
        "temperature": said.sampling.temperature,
        "top_p": said.sampling.top_p,
        "reasoning": told({"effort": said.thinking.effort, "summary": said.thinking.summary}) or None,
        "text": text_options(said.response_format, notes.verbosity) or None,
        "user": notes.user,
        "safety_identifier": notes.safety_identifier,
        "metadata": notes.metadata,
        "store": notes.store,
        "service_tier": notes.service_tier,
        "prompt_cache_key": notes.prompt_cache_key,
        "prompt_cache_retention": notes.prompt_cache_retention,
        **said.extras,
        "stream": True if said.stream else None,
    }
    body = {"model": said.model, "input": _items(said.turns), **told(settings)}
    return msgspec.json.encode(body), dropped


def tools_body(tools: tuple[Tool, ...]) -> list[Any]:
    """The tools as a request holds them; those of one namespace together, in the place of its first."""
    bodies: list[Any] = []
    spaces: dict[str, list[Any]] = {}
    for tool in tools:
        name = None if isinstance(tool, ProviderTool) else tool.namespace
        if name is None:
            bodies.append(_tool(tool))
        elif name in spaces:
            spaces[name].append(_tool(tool))
        else:
            spaces[name] = [_tool(tool)]
            bodies.append({"type": "namespace", "name": name, "description": "", "tools": spaces[name]})
    return bodies


def choice_body(choice: ToolChoice) -> Any:
    """The choice of tools as a request holds it."""
    match choice:
        case ToolMode():
            return choice.value
        case NamedTool():
            return _reference(choice)
        case AllowedTools():
            return {"type": "allowed_tools", "mode": choice.mode, "tools": [_reference(tool) for tool in choice.tools]}


def text_options(form: ResponseFormat | None, verbosity: str | None) -> dict[str, Any]:
    """How the answer is written, as a request holds it."""
    match form:
        case None:
            body = None
        case JsonObject():
            body = {"type": "json_object"}
        case JsonSchema():
            body = {"type": "json_schema", **told(msgspec.structs.asdict(form))}
    return told({"format": body, "verbosity": verbosity})


def _items(turns: tuple[Turn, ...]) -> list[Any]:
    items: list[Any] = []
    for turn in turns:
        match turn:
            case SystemTurn():
                role = "developer" if turn.developer else "system"
                items.append({"type": "message", "role": role, "content": _content(turn.parts)})
            case UserTurn(parts=(Opaque(format=origin, data=data),)) if origin == PROTOCOL:
                items.append(data)
            case UserTurn():
                items.append({"type": "message", "role": "user", "content": _content(turn.parts)})
            case AssistantTurn():
                for group in grouped(turn.parts):
                    items += items_of(group, answer=False)
            case ToolTurn():
                for result in turn.results:
                    kind = "custom_tool_call_output" if result.kind == "custom" else "function_call_output"
                    items.append({"type": kind, "call_id": result.call_id, "output": _content(result.parts)})
    return items


def _content(parts: tuple[UserPart, ...] | tuple[ResultPart, ...] | tuple[Text, ...]) -> str | list[dict[str, Any]]:
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(parts[0], Text) and parts[0].cache is None:
        return parts[0].text
    return [_part(part) for part in parts]


def _part(part: UserPart) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "input_text", "text": part.text} | _mark(part.cache)
        case Image():
            place = {"file_id" if isinstance(part.source, FileRef) else "image_url": _place(part.source)}
            detail = {"detail": part.detail} if part.detail else {}
            return {"type": "input_image", **place, **detail} | _mark(part.cache)
        case Audio():
            sound = {"data": part.data, "format": part.encoding}
            return {"type": "input_audio", "input_audio": sound} | _mark(part.cache)
        case Document(source=source):
            name = "file_data"
            if isinstance(source, Link):
                name = "file_url"
            elif isinstance(source, FileRef):
                name = "file_id"
            title = {"filename": part.title} if part.title is not None else {}
            return {"type": "input_file", **title, name: _place(source)} | _mark(part.cache)
        case _:
            raise TypeError(f"{type(part).__name__} is no part that express leaves")


def _place(source: Source) -> str:
    match source:
        case Inline():
            return f"data:{source.mime_type};base64,{source.data}"
        case Link():
            return source.url
        case FileRef():
            return source.file_id
        case PlainText():
            return source.text


def _mark(mark: CacheMark | None) -> dict[str, Any]:
    if mark is None:
        return {}
    return {"prompt_cache_breakpoint": told({"mode": "explicit", "ttl": mark.ttl})}


def _tool(tool: Tool) -> Any:
    match tool:
        case FunctionTool() if is_search_tool(tool):
            search = {"description": tool.description, "parameters": tool.parameters}
            return {"type": "tool_search", "execution": "client", **told(search)}
        case FunctionTool():
            body = {"type": "function", "name": tool.name, **told({"description": tool.description})}
            body |= {"parameters": tool.parameters or Raw(b"null"), "strict": tool.strict}
            return body | tool.extras
        case CustomTool():
            form = None
            if tool.grammar is not None:
                rule = {"syntax": tool.grammar.syntax, "definition": tool.grammar.definition}
                form = {"type": "grammar", **rule}
            return {"type": "custom", "name": tool.name, **told({"description": tool.description, "format": form})}
        case ProviderTool():
            return tool.data


def _reference(tool: NamedTool) -> dict[str, Any]:
    return told({"type": tool.kind, "name": tool.name, "namespace": tool.namespace})
