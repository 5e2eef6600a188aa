"""Puts a conversation into words that a very small model understands: tools as text, forced calls as a JSON schema.

llama.cpp's own handling of tools is of no use with these models: they answer a call as bare JSON, or do not see the
tools at all. So the tools are described in the system message, and `interpreter` finds the calls in the answer. Where a
call is forced, a grammar made from the tools' schemas leaves the model no other answer.
"""

from typing import Any, assert_never

import msgspec

from mira.core.conversation import (
    AllowedTools,
    AssistantPart,
    AssistantTurn,
    Audio,
    Conversation,
    CustomTool,
    Document,
    FunctionTool,
    Image,
    JsonSchema,
    NamedTool,
    PlainText,
    ProviderTool,
    ResponseFormat,
    SearchResult,
    SystemTurn,
    Text,
    ToolCall,
    ToolMode,
    ToolResult,
    ToolTurn,
    Turn,
    UserPart,
    UserTurn,
)
from mira.errors import Kind, MiraError

DEFAULT_SYSTEM_PROMPT = "You are a helpful assistant."
AFTER_RESULTS = "Now answer in plain words, without calling a function."
CUSTOM_INPUT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}


class Offer(msgspec.Struct, frozen=True):
    """The tools that the model may call, by the name it sees (`namespace__name`), and whether it must call one."""

    tools: dict[str, FunctionTool | CustomTool]
    forced: bool


def prepare(conversation: Conversation) -> Conversation:
    """`conversation` as the local model is to see it: plain turns, no tools, a response format where a call is forced.

    What it does not touch (a provider's own tools, reasoning, opaque blocks) is left to the codec, which reports it.
    Raises MiraError UNSUPPORTED for pictures, sounds and files, BAD_REQUEST for a choice of a tool that is not there.
    """
    offer = offered(conversation)
    return msgspec.structs.replace(
        conversation,
        turns=_turns(conversation.turns, offer),
        tools=tuple(tool for tool in conversation.tools if isinstance(tool, ProviderTool)),
        tool_choice=None,
        parallel_tool_calls=None,
        response_format=_forced_format(offer) if offer.forced else conversation.response_format,
    )


def offered(conversation: Conversation) -> Offer:
    """Which tools may be called under the conversation's `tool_choice`."""
    tools = {seen_name(tool): tool for tool in conversation.tools if not isinstance(tool, ProviderTool)}
    match conversation.tool_choice:
        case None | ToolMode.AUTO:
            return Offer(tools, forced=False)
        case ToolMode.NONE:
            return Offer({}, forced=False)
        case ToolMode.REQUIRED:
            return _some(tools, forced=True)
        case NamedTool(name=name):
            return _some({seen: tool for seen, tool in tools.items() if name in {seen, tool.name}}, forced=True)
        case AllowedTools(mode=mode, tools=allowed):
            names = {tool.name for tool in allowed}
            some = {seen: tool for seen, tool in tools.items() if names & {seen, tool.name}}
            return _some(some, forced=mode == "required")
        case other:
            assert_never(other)


def _some(tools: dict[str, FunctionTool | CustomTool], *, forced: bool) -> Offer:
    if not tools:
        raise MiraError(Kind.BAD_REQUEST, "tool_choice names no tool of this request", param="tool_choice")
    return Offer(tools, forced)


def seen_name(tool: FunctionTool | CustomTool | ToolCall) -> str:
    """The name under which the model knows a tool."""
    return f"{tool.namespace}__{tool.name}" if tool.namespace else tool.name


def parameters(tool: FunctionTool | CustomTool) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments; the text of a custom tool is one string named `input`."""
    if isinstance(tool, CustomTool):
        return CUSTOM_INPUT_SCHEMA
    schema = msgspec.json.decode(tool.parameters) if tool.parameters is not None else None
    return schema if isinstance(schema, dict) else {"type": "object"}


def _turns(turns: tuple[Turn, ...], offer: Offer) -> tuple[Turn, ...]:
    leading = 0
    while leading < len(turns) and isinstance(turns[leading], SystemTurn):
        leading += 1
    instructions = [part.text for turn in turns[:leading] if isinstance(turn, SystemTurn) for part in turn.parts]
    system = "\n".join(filter(None, instructions)) or DEFAULT_SYSTEM_PROMPT
    if offer.tools:
        system = f"{system}\n\n{_tools_text(offer)}"
    plain: list[Turn] = [SystemTurn(parts=(Text(text=system),))]
    names: dict[str, str] = {}
    for turn in turns[leading:]:
        rendered = _turn(turn, names)
        # Chat templates want the roles to alternate: a tool's result and the user's next words are one message.
        if isinstance(rendered, UserTurn) and isinstance(plain[-1], UserTurn):
            rendered = UserTurn(parts=(*plain[-1].parts, *rendered.parts), name=rendered.name)
            plain.pop()
        plain.append(rendered)
    last = plain[-1]
    # With a fresh result and nothing said about it, the half-billion model makes the same call again, without end.
    if turns and isinstance(turns[-1], ToolTurn) and isinstance(last, UserTurn) and not offer.forced:
        plain[-1] = UserTurn(parts=(*last.parts, Text(text=AFTER_RESULTS)))
    return tuple(plain)


def _turn(turn: Turn, names: dict[str, str]) -> Turn:
    """One turn in plain words; `names` learns the calls (id → name), which the results refer to."""
    match turn:
        case SystemTurn():
            return turn
        case UserTurn(parts=parts):
            return msgspec.structs.replace(turn, parts=tuple(_user_part(part) for part in parts))
        case AssistantTurn(parts=parts):
            names.update((part.id, seen_name(part)) for part in parts if isinstance(part, ToolCall))
            return msgspec.structs.replace(turn, parts=_assistant_parts(parts))
        case ToolTurn(results=results):
            return UserTurn(parts=tuple(Text(text=_result_text(result, names)) for result in results))
        case other:
            assert_never(other)


def _user_part(part: UserPart) -> UserPart:
    match part:
        case Image():
            raise _unsupported("images")
        case Audio():
            raise _unsupported("audio")
        case Document(source=PlainText(text=text), title=title):
            return Text(text=f"{title}:\n{text}" if title else text)
        case Document():
            raise _unsupported("files")
        case SearchResult(source=source, title=title, content=content):
            return Text(text="\n".join((f"{title} ({source}):", *content)))
        case _:
            return part


def _unsupported(what: str) -> MiraError:
    message = f"messages: the local model reads text only, no {what}; choose another model for this request"
    return MiraError(Kind.UNSUPPORTED, message, param="messages")


def _assistant_parts(parts: tuple[AssistantPart, ...]) -> tuple[AssistantPart, ...]:
    """The parts with every call as the text that the model would have written, one call per line."""
    plain: list[AssistantPart] = []
    for part in parts:
        if isinstance(part, Image):
            raise _unsupported("images")
        if not isinstance(part, ToolCall):
            plain.append(part)
            continue
        last = plain[-1] if plain else None
        if isinstance(last, Text):
            plain[-1] = Text(text=f"{last.text}\n{_call_text(part)}")
        else:
            plain.append(Text(text=_call_text(part)))
    return tuple(plain)


def _call_text(call: ToolCall) -> str:
    arguments: Any = {"input": call.input}
    if call.kind == "function":
        try:
            arguments = msgspec.json.decode(call.input or "{}")
        except msgspec.DecodeError:
            arguments = call.input
    return _json({"name": seen_name(call), "arguments": arguments})


def _result_text(result: ToolResult, names: dict[str, str]) -> str:
    texts = []
    for part in result.parts:
        plain = _user_part(part)
        if isinstance(plain, Text):
            texts.append(plain.text)
    verb = "failed with" if result.is_error else "returned"
    return f"The function {names.get(result.call_id) or result.name or result.call_id} {verb}:\n" + "\n".join(texts)


def _tools_text(offer: Offer) -> str:
    lines = [
        _json({"name": name, "description": tool.description or "", "parameters": parameters(tool)})
        for name, tool in offer.tools.items()
    ]
    return "\n".join(
        (
            "You can call these functions, given as one JSON object per line:",
            *lines,
            'To call a function reply only with JSON: {"name": <function name>, "arguments": <arguments object>}',
        )
    )


def _forced_format(offer: Offer) -> ResponseFormat:
    """A schema that only a call of one of the tools matches.

    The schemas of the arguments stand under `$defs`, and their own references are led there.
    """
    alternatives, definitions = [], {}
    for number, (name, tool) in enumerate(offer.tools.items()):
        place = f"#/$defs/tool{number}"
        definitions[f"tool{number}"] = _moved(parameters(tool), place)
        properties = {"name": {"const": name}, "arguments": {"$ref": place}}
        alternatives.append(
            {
                "type": "object",
                "properties": properties,
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    schema = msgspec.json.encode({"anyOf": alternatives, "$defs": definitions})
    return JsonSchema(name="tool_call", schema=msgspec.Raw(schema), strict=True)


def _moved(schema: Any, place: str) -> Any:
    """`schema` with its local references (`#/…`) pointing below `place`."""
    if isinstance(schema, list):
        return [_moved(item, place) for item in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {key: _moved(value, place) for key, value in schema.items()}
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        moved["$ref"] = place + reference[1:]
    return moved


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
