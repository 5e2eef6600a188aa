"""A Conversation as the bytes of a generateContent request: the same conversation, the same bytes."""

import re
from typing import Any

import msgspec
from msgspec import Raw

from mira.codecs.codec import Target
from mira.codecs.gemini.dialects import Dialect, dialect_of
from mira.codecs.gemini.express import express
from mira.codecs.gemini.thinking import thinking_body
from mira.codecs.lenient import loose
from mira.core.conversation import (
    AllowedTools,
    AssistantPart,
    AssistantTurn,
    Audio,
    Conversation,
    Document,
    FunctionTool,
    Image,
    Inline,
    JsonSchema,
    Link,
    NamedTool,
    Opaque,
    ProviderTool,
    Reasoning,
    SystemTurn,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
    ToolTurn,
    Turn,
    UserPart,
    UserTurn,
)

_MODES = {ToolMode.AUTO: "AUTO", ToolMode.REQUIRED: "ANY", ToolMode.NONE: "NONE"}
#: What a URL's ending says about the media behind it, by kind; the first of a kind is assumed where it says nothing.
_TYPES_OF_LINKS = {
    "image": {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif", "heic": "image/heic"},
    "video": {"mp4": "video/mp4", "webm": "video/webm", "mov": "video/quicktime", "mpeg": "video/mpeg"},
    "document": {"pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown", "html": "text/html",
                 "csv": "text/csv", "json": "application/json"},
}  # fmt: skip
_ENDING = re.compile(r"\.([a-z0-9]{2,5})(?:[?#]|$)", re.IGNORECASE)
#: Google reads numbers as doubles: longer ones would lose digits.
_LONG_NUMBER = re.compile(r"\d{16}")


def render_request(conversation: Conversation, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The body for a node, and the names of what could not be told; MiraError UNSUPPORTED where that is too much.

    Model and streaming stand in the address, see `request_path`.
    """
    dialect = dialect_of(target.dialect, target.model)
    told, dropped = express(conversation, target, dialect)
    body: dict[str, Any] = {}
    turns = told.turns
    if isinstance(turns[0], SystemTurn):
        body["systemInstruction"] = {"parts": [{"text": part.text} for part in turns[0].parts]}
        turns = turns[1:]
    body["contents"] = _contents(turns)
    if told.tools:
        body["tools"] = _tools(told.tools, dialect)
    if told.tool_choice is not None:
        body["toolConfig"] = {"functionCallingConfig": _choice(told.tool_choice)}
    body["generationConfig"] = _config(told, dialect)
    return msgspec.json.encode(body), dropped


def _config(told: Conversation, dialect: Dialect) -> dict[str, Any]:
    sampling = told.sampling
    config: dict[str, Any] = {
        "maxOutputTokens": told.output_cap,
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "topK": sampling.top_k,
        "seed": sampling.seed,
        "presencePenalty": sampling.presence_penalty,
        "frequencyPenalty": sampling.frequency_penalty,
        "stopSequences": list(sampling.stop) or None,
        "thinkingConfig": thinking_body(told.thinking, dialect),
        **told.extras,
    }
    if told.response_format is not None:
        config["responseMimeType"] = "application/json"
    if isinstance(told.response_format, JsonSchema):
        config["responseJsonSchema" if dialect.json_schema else "responseSchema"] = told.response_format.schema
    return {name: value for name, value in config.items() if value is not None}


def _contents(turns: tuple[Turn, ...]) -> list[dict[str, Any]]:
    contents: list[dict[str, Any]] = []
    for turn in turns:
        match turn:
            case AssistantTurn():
                contents.append({"role": "model", "parts": [_part(part) for part in turn.parts]})
                continue
            case ToolTurn():
                parts = [_response(result) for result in turn.results]
            case UserTurn():
                parts = [_part(part) for part in turn.parts]
            case SystemTurn():
                raise TypeError("express leaves no instructions among the turns")
        # Results and the words behind them are one content.
        if contents and contents[-1]["role"] == "user":
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": "user", "parts": parts})
    return contents


def _part(part: UserPart | AssistantPart) -> Any:
    match part:
        case Text():
            return {"text": part.text} | _signed(part.signature)
        case Reasoning():
            return {"text": part.text, "thought": True} | _signed(part.signature)
        case ToolCall():
            call = {"id": part.id, "name": part.name, "args": Raw(part.input.encode())}
            return {"functionCall": call} | _signed(part.signature)
        case Image() | Document():
            return _media(part)
        case Audio():
            return {"inlineData": {"mimeType": f"audio/{part.encoding}", "data": part.data}}
        case Opaque():
            return part.data
        case _:
            raise TypeError(f"{type(part).__name__} is no part that express leaves")


def _signed(signature: str | None) -> dict[str, Any]:
    return {} if signature is None else {"thoughtSignature": signature}


def _media(part: Image | Document) -> dict[str, Any]:
    match part.source:
        case Inline(mime_type=mime_type, data=data):
            return {"inlineData": {"mimeType": mime_type, "data": data}}
        case Link(url=url):
            kind = "image" if isinstance(part, Image) else part.media
            return {"fileData": {"mimeType": _type_of_link(url, kind), "fileUri": url}}
        case _:
            raise TypeError("express leaves no such source")


def _type_of_link(url: str, kind: str) -> str:
    known = _TYPES_OF_LINKS[kind]
    ending = _ENDING.search(url)
    return known.get(ending[1].lower() if ending else "", next(iter(known.values())))


def _response(result: ToolResult) -> dict[str, Any]:
    text = "".join(part.text for part in result.parts if isinstance(part, Text))
    media = [_part(part) for part in result.parts if not isinstance(part, Text)]
    response: Any = {"error": text} if result.is_error else _output(text)
    body = {"id": result.call_id, "name": result.name, "response": response} | ({"parts": media} if media else {})
    return {"functionResponse": body}


def _output(text: str) -> Any:
    """A result that is an object goes as one; what could be mistaken or mangled goes as text."""
    if text.lstrip().startswith("{") and not _LONG_NUMBER.search(text):
        told = loose(text.encode())
        if isinstance(told, dict) and not {"output", "error"} & told.keys():
            return Raw(text.encode())
    return {"output": text}


def _tools(tools: tuple[Tool, ...], dialect: Dialect) -> list[Any]:
    declarations = [_declaration(tool, dialect) for tool in tools if isinstance(tool, FunctionTool)]
    own = [tool.data for tool in tools if isinstance(tool, ProviderTool)]
    return [*([{"functionDeclarations": declarations}] if declarations else []), *own]


def _declaration(tool: FunctionTool, dialect: Dialect) -> dict[str, Any]:
    body = {
        "name": tool.name,
        "description": tool.description,
        "parametersJsonSchema" if dialect.json_schema else "parameters": tool.parameters,
    }
    return {name: value for name, value in body.items() if value is not None}


def _choice(choice: ToolChoice) -> dict[str, Any]:
    match choice:
        case ToolMode():
            return {"mode": _MODES[choice]}
        case NamedTool(name=name):
            return {"mode": "ANY", "allowedFunctionNames": [name]}
        case AllowedTools(tools=tools):
            return {"mode": "ANY", "allowedFunctionNames": [tool.name for tool in tools]}
