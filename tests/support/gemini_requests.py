"""Reads what the Gemini codec renders. No client speaks Gemini, so this stands here and not in the product."""

from itertools import groupby
from typing import Any

import msgspec
from msgspec import Raw

from mira.core import conversation as c

_RAWS = msgspec.json.Decoder(dict[str, Raw])
_NONE = Raw(b"")
_SAMPLING = {
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    name: str
    args: Raw


class _Blob(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    mime_type: str
    data: str


class _File(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    mime_type: str
    file_uri: str


class _Response(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    name: str
    response: Raw
    parts: list[Raw] = []


class _Part(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    inline_data: _Blob | None = None
    file_data: _File | None = None
    function_call: _Call | None = None
    function_response: _Response | None = None


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    parts: list[_Part]
    role: str = ""


class _Declaration(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    name: str
    description: str | None = None
    parameters: Raw = _NONE
    parameters_json_schema: Raw = _NONE


class _Declarations(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    function_declarations: list[_Declaration]


class _Calling(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    mode: str
    allowed_function_names: list[str] | None = None


class _ToolConfig(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    function_calling_config: _Calling


class _Body(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    contents: list[_Content]
    generation_config: Raw
    system_instruction: _Content | None = None
    tools: list[_Declarations] = []
    tool_config: _ToolConfig | None = None


def read_request(body: bytes, *, model: str, stream: bool) -> c.Conversation:
    """The conversation that a rendered body says; an error where it holds anything that Gemini does not know."""
    told = msgspec.json.decode(body, type=_Body)
    config = _RAWS.decode(told.generation_config)
    plain = {name: msgspec.json.decode(value) for name, value in config.items()}
    turns: list[c.Turn] = []
    if told.system_instruction is not None:
        turns.append(c.SystemTurn(parts=tuple(c.Text(text=part.text or "") for part in told.system_instruction.parts)))
    for content in told.contents:
        turns += _turns(content)
    tools = tuple(
        c.FunctionTool(
            name=tool.name,
            description=tool.description,
            parameters=next((raw for raw in (tool.parameters, tool.parameters_json_schema) if bytes(raw)), None),
        )
        for group in told.tools
        for tool in group.function_declarations
    )
    return c.Conversation(
        model=model,
        turns=tuple(turns),
        tools=tools,
        tool_choice=_choice(told.tool_config),
        output_cap=plain["maxOutputTokens"],
        stream=stream,
        include_usage=stream,
        sampling=c.Sampling(
            stop=tuple(plain.get("stopSequences", ())),
            **{own: plain[name] for name, own in _SAMPLING.items() if name in plain},
        ),
        thinking=_thinking(plain.get("thinkingConfig")),
        response_format=_format(config),
        origin="gemini",
        extras={name: config[name] for name in ("responseModalities",) if name in config},
    )


def _turns(content: _Content) -> list[c.Turn]:
    if content.role == "model":
        return [c.AssistantTurn(parts=tuple(_said(part) for part in content.parts))]
    assert content.role == "user"
    turns: list[c.Turn] = []
    for answers, group in groupby(content.parts, lambda part: part.function_response is not None):
        parts = list(group)
        if answers:
            assert not turns, "results come first"
            turns.append(c.ToolTurn(results=tuple(_result(part.function_response) for part in parts)))
        else:
            turns.append(c.UserTurn(parts=tuple(_user_part(part) for part in parts)))
    return turns


def _said(part: _Part) -> Any:
    if part.function_call is not None:
        call = part.function_call
        return c.ToolCall(id=call.id, name=call.name, input=bytes(call.args).decode(), signature=part.thought_signature)
    if part.thought:
        return c.Reasoning(text=part.text or "", signature=part.thought_signature, format="google-gemini-v1")
    return msgspec.structs.replace(_user_part(part), **(
        {"signature": part.thought_signature} if part.thought_signature is not None else {}
    ))  # fmt: skip


def _user_part(part: _Part) -> Any:
    if part.inline_data is not None:
        kind, _, encoding = part.inline_data.mime_type.partition("/")
        source = c.Inline(part.inline_data.mime_type, part.inline_data.data)
        if kind == "audio":
            return c.Audio(data=source.data, encoding=encoding)
        return _media(kind, source)
    if part.file_data is not None:
        return _media(part.file_data.mime_type.partition("/")[0], c.Link(part.file_data.file_uri))
    assert part.text is not None
    return c.Text(text=part.text)


def _media(kind: str, source: Any) -> Any:
    if kind == "image":
        return c.Image(source=source)
    return c.Document(source=source, media="video" if kind == "video" else "document")


def _result(response: _Response | None) -> c.ToolResult:
    assert response is not None
    told = msgspec.json.decode(response.response)
    text = bytes(response.response).decode()
    if len(told) == 1 and isinstance(told.get("output", told.get("error")), str):
        text = told.get("output", told.get("error"))
    parts = [c.Text(text=text)] if text else []
    parts += [_user_part(msgspec.json.decode(part, type=_Part)) for part in response.parts]
    return c.ToolResult(
        call_id=response.id, name=response.name, parts=tuple(parts), is_error="error" in told and len(told) == 1
    )


def _choice(config: _ToolConfig | None) -> c.ToolChoice | None:
    if config is None:
        return None
    calling = config.function_calling_config
    match calling.allowed_function_names:
        case None:
            return {"AUTO": c.ToolMode.AUTO, "ANY": c.ToolMode.REQUIRED, "NONE": c.ToolMode.NONE}[calling.mode]
        case [name]:
            return c.NamedTool(name)
        case names:
            assert calling.mode == "ANY"
            return c.AllowedTools("required", tuple(c.NamedTool(name) for name in names))


def _thinking(config: dict[str, Any] | None) -> c.Thinking:
    if config is None:
        return c.Thinking()
    assert not {"thinkingLevel", "thinkingBudget"} <= config.keys()
    display = None if config["includeThoughts"] else "omitted"
    if level := config.get("thinkingLevel"):
        return c.Thinking(effort=level.lower(), display=display)
    match config.get("thinkingBudget", -1):
        case 0:
            return c.Thinking(mode="disabled", display=display)
        case -1:
            return c.Thinking(mode="adaptive", display=display)
        case budget:
            return c.Thinking(mode="enabled", budget_tokens=budget, display=display)


def _format(config: dict[str, Raw]) -> c.ResponseFormat | None:
    if "responseMimeType" not in config:
        return None
    assert bytes(config["responseMimeType"]) == b'"application/json"'
    schema = config.get("responseJsonSchema", config.get("responseSchema"))
    return c.JsonObject() if schema is None else c.JsonSchema(name="", schema=schema)
