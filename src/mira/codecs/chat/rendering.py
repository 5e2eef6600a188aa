"""A Conversation as the bytes of a Chat Completions request: the same conversation, the same bytes."""

from typing import Any

import msgspec

from mira.codecs.chat.dialects import Dialect, dialect_of
from mira.codecs.chat.express import express
from mira.codecs.codec import Target
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
    Reasoning,
    Refusal,
    ResponseFormat,
    Source,
    SystemTurn,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolTurn,
    Turn,
    UserPart,
    UserTurn,
)


def render_request(conversation: Conversation, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The body for a node, and the names of what could not be told; MiraError UNSUPPORTED where that is too much."""
    dialect = dialect_of(target.dialect)
    told, dropped = express(conversation, target, dialect)
    body: dict[str, Any] = {"model": told.model, "messages": _messages(told.turns, dialect)}
    if told.tools:
        body["tools"] = [_tool(tool) for tool in told.tools]
    if told.tool_choice is not None:
        body["tool_choice"] = _choice(told.tool_choice)
    sampling = told.sampling
    settings = {
        "parallel_tool_calls": told.parallel_tool_calls,
        target.cap_field: told.output_cap,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "seed": sampling.seed,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "logit_bias": sampling.logit_bias,
        "logprobs": sampling.logprobs,
        "top_logprobs": sampling.top_logprobs,
        "n": sampling.n,
        "stop": list(sampling.stop) or None,
        "reasoning_effort": told.thinking.effort,
        "response_format": _response_format(told.response_format),
        **msgspec.structs.asdict(told.notes),
        **told.extras,
    }
    body.update({name: value for name, value in settings.items() if value is not None})
    if told.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body), dropped


def url_of(source: Source) -> str:
    """The address of a source, or its data URI."""
    match source:
        case Inline():
            return f"data:{source.mime_type};base64,{source.data}"
        case Link():
            return source.url
        case FileRef():
            return source.file_id
        case PlainText():
            return source.text


def details_of(blocks: list[Reasoning]) -> list[dict[str, Any]]:
    """`reasoning_details` that say these blocks verbatim."""
    return [detail_of(block, index) for index, block in enumerate(blocks)]


def detail_of(block: Reasoning, index: int) -> dict[str, Any]:
    """One entry of `reasoning_details`."""
    detail: dict[str, Any] = {"type": f"reasoning.{block.kind}"}
    match block.kind:
        case "text":
            detail["text"] = block.text
        case "summary":
            detail["summary"] = block.text
        case "encrypted":
            detail["data"] = block.data or ""
    detail |= _told({"signature": block.signature, "id": block.id, "format": block.format})
    return detail | {"index": index}


def call_body(call: ToolCall) -> dict[str, Any]:
    """A tool call as a message holds it."""
    body: dict[str, Any] = {"id": call.id, "type": call.kind}
    if call.kind == "custom":
        body["custom"] = {"name": call.name, "input": call.input}
    else:
        body["function"] = {"name": call.name, "arguments": call.input}
    if call.signature is not None:
        body["extra_content"] = {"google": {"thought_signature": call.signature}}
    return body


def _messages(turns: tuple[Turn, ...], dialect: Dialect) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for turn in turns:
        match turn:
            case SystemTurn():
                role = "developer" if turn.developer else "system"
                messages.append(_named({"role": role, "content": _content(turn.parts, dialect)}, turn.name))
            case UserTurn():
                messages.append(_named({"role": "user", "content": _content(turn.parts, dialect)}, turn.name))
            case AssistantTurn():
                messages.append(_named(_assistant(turn, dialect), turn.name))
            case ToolTurn():
                for result in turn.results:
                    content = _content(result.parts, dialect)
                    message = {"role": "tool", "tool_call_id": result.call_id, "content": content}
                    messages.append(message | _mark(result.cache, dialect.cache))
    return messages


def _named(message: dict[str, Any], name: str | None) -> dict[str, Any]:
    return message if name is None else {**message, "name": name}


def _assistant(turn: AssistantTurn, dialect: Dialect) -> dict[str, Any]:
    texts = tuple(part for part in turn.parts if isinstance(part, Text))
    calls = [part for part in turn.parts if isinstance(part, ToolCall)]
    thoughts = [part for part in turn.parts if isinstance(part, Reasoning)]
    message: dict[str, Any] = {"role": "assistant"}
    message["content"] = _content(texts, dialect) if texts or not calls else None
    for part in turn.parts:
        if isinstance(part, Refusal):
            message["refusal"] = part.text
        elif isinstance(part, Opaque):
            message["audio"] = part.data
    if thoughts and dialect.reasoning == "details":
        message["reasoning_details"] = details_of(thoughts)
    elif thoughts:
        message["reasoning_content"] = "".join(block.text for block in thoughts)
    if calls:
        message["tool_calls"] = [call_body(call) | _mark(call.cache, dialect.cache) for call in calls]
    return message


def _content(parts: tuple[Any, ...], dialect: Dialect) -> str | list[dict[str, Any]]:
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(parts[0], Text) and parts[0].cache is None:
        return parts[0].text
    return [_part(part) | _mark(part.cache, dialect.cache) for part in parts]


def _part(part: UserPart) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            place = {"url": url_of(part.source)}
            return {"type": "image_url", "image_url": place | ({"detail": part.detail} if part.detail else {})}
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.encoding}}
        case Document(media="video"):
            return {"type": "video_url", "video_url": {"url": url_of(part.source)}}
        case Document():
            place = {"file_id" if isinstance(part.source, FileRef) else "file_data": url_of(part.source)}
            return {"type": "file", "file": place | ({"filename": part.title} if part.title is not None else {})}
        case _:
            raise TypeError(f"{type(part).__name__} is no part that express leaves")


def _mark(mark: CacheMark | None, style: str) -> dict[str, Any]:
    if mark is None:
        return {}
    if style == "breakpoint":
        return {"prompt_cache_breakpoint": {"mode": "explicit"}}
    return {"cache_control": {"type": "ephemeral"} | ({"ttl": mark.ttl} if mark.ttl is not None else {})}


def _tool(tool: Tool) -> Any:
    match tool:
        case FunctionTool():
            body = {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
                "strict": tool.strict,
            }
            return {"type": "function", "function": _told(body)} | _mark(tool.cache, "cache_control")
        case CustomTool():
            grammar = tool.grammar
            custom: dict[str, Any] = {"name": tool.name, "description": tool.description}
            if grammar is not None:
                rule = {"syntax": grammar.syntax, "definition": grammar.definition}
                custom["format"] = {"type": "grammar", "grammar": rule}
            return {"type": "custom", "custom": _told(custom)} | _mark(tool.cache, "cache_control")
        case ProviderTool():
            return tool.data


def _choice(choice: ToolChoice) -> Any:
    match choice:
        case ToolMode():
            return choice.value
        case NamedTool():
            return _reference(choice)
        case AllowedTools():
            tools = [_reference(tool) for tool in choice.tools]
            return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}


def _reference(tool: NamedTool) -> dict[str, Any]:
    return {"type": tool.kind, tool.kind: {"name": tool.name}}


def _response_format(form: ResponseFormat | None) -> dict[str, Any] | None:
    match form:
        case None:
            return None
        case JsonObject():
            return {"type": "json_object"}
        case JsonSchema():
            return {"type": "json_schema", "json_schema": _told(msgspec.structs.asdict(form))}


def _told(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}
