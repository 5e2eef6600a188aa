"""What Messages can say of a Conversation, for a given model: the codec's own statement of its limits.

`express` is idempotent, and what it gives is rendered without loss: `parse(render(x)) == express(x)`. What falls away
is reported by name; what would change the answer's structure is refused.
"""

from typing import Any

from msgspec import Raw

from mira.codecs.codec import Target
from mira.codecs.free_form import as_function
from mira.codecs.lenient import compact, loose
from mira.codecs.messages.express_turns import express_turns
from mira.codecs.messages.marks import limit_marks
from mira.codecs.messages.request import SCHEMA_NAME, TIERS, TOOL_FLAGS, user_hash
from mira.codecs.messages.thinking import express_thinking
from mira.codecs.messages.wire import FORMAT, NAME
from mira.codecs.refusals import refuse_modalities
from mira.codecs.tool_names import plain_name
from mira.core.capabilities import Capabilities
from mira.core.conversation import (
    AllowedTools,
    Conversation,
    CustomTool,
    FunctionTool,
    JsonObject,
    JsonSchema,
    NamedTool,
    Notes,
    ProviderTool,
    Sampling,
    SystemTurn,
    Text,
    Tool,
    ToolChoice,
    ToolMode,
    Turn,
)
from mira.errors import Kind, MiraError

_NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')
_JSON_ONLY = "Answer with one JSON object and nothing else."
_BY_SCHEMA = "Answer with one JSON value that matches this JSON Schema, and nothing else:\n"
#: Keywords of a schema that hold data, not schemas.
_DATA = ("const", "enum", "default", "examples")
_UNTOLD = ("seed", "presence_penalty", "frequency_penalty", "logit_bias", "top_logprobs")


def express(conversation: Conversation, target: Target) -> tuple[Conversation, tuple[str, ...]]:
    """The conversation as this model can be told it, and the names of what was left out, sorted."""
    can = target.capabilities
    dropped: set[str] = set(conversation.unknown)
    _refuse(conversation)
    extras = conversation.extras if conversation.origin == NAME else {}
    dropped.update(name for name in conversation.extras if name not in extras)
    tools, choice = _tools(conversation, dropped)
    turns = express_turns(conversation.turns, can, dropped)
    form, hint = _response_format(conversation.response_format, can, dropped)
    thinking, choice = express_thinking(conversation, turns, choice, target, dropped)
    alone = conversation.parallel_tool_calls is False and bool(tools) and choice is not ToolMode.NONE
    if alone and choice is None:
        choice = ToolMode.AUTO
    tools, turns = limit_marks(tools, _hinted(turns, hint), dropped, automatic="cache_control" in extras)
    told = Conversation(
        model=target.model,
        turns=turns,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=False if alone else None,
        output_cap=0 if conversation.output_cap == 0 else target.output_cap,
        stream=conversation.stream,
        include_usage=True,
        sampling=_sampling(conversation.sampling, can, dropped, thinks=thinking.mode not in (None, "disabled")),
        thinking=thinking,
        response_format=form,
        notes=_notes(conversation.notes),
        origin=NAME,
        extras=extras,
    )
    return told, tuple(sorted(dropped))


def _refuse(conversation: Conversation) -> None:
    if (conversation.sampling.n or 1) > 1:
        raise MiraError(Kind.UNSUPPORTED, "This model gives one answer a request; 'n' must be 1.", param="n")
    if conversation.sampling.logprobs:
        raise MiraError(Kind.UNSUPPORTED, "This model tells no log probabilities.", param="logprobs")
    refuse_modalities(conversation)


def _sampling(sampling: Sampling, can: Capabilities, dropped: set[str], *, thinks: bool) -> Sampling:
    dropped.update(name for name in _UNTOLD if getattr(sampling, name) is not None)
    stop = tuple(text for text in sampling.stop if text.strip())
    if stop != sampling.stop:
        dropped.add("stop")
    asked: dict[str, Any] = {name: getattr(sampling, name) for name in ("temperature", "top_p", "top_k")}
    if not can.sampling or thinks:
        dropped.update(name for name, value in asked.items() if value is not None)
        return Sampling(stop=stop)
    if asked["temperature"] is not None and asked["temperature"] > 1:
        dropped.add("temperature")
        asked["temperature"] = 1.0
    if asked["temperature"] is not None and asked["top_p"] is not None:
        # Newer models of those that still sample take one of the two.
        dropped.add("top_p")
        asked["top_p"] = None
    return Sampling(**asked, stop=stop)


def _notes(notes: Notes) -> Notes:
    return Notes(
        safety_identifier=user_hash(notes.safety_identifier or notes.user),
        service_tier=notes.service_tier if notes.service_tier in TIERS.values() else None,
    )


def _response_format(
    form: JsonObject | JsonSchema | None, can: Capabilities, dropped: set[str]
) -> tuple[JsonSchema | None, str]:
    """The form of the answer, or the words that ask for it where the model takes none."""
    match form:
        case None:
            return None, ""
        case JsonSchema(schema=schema) if schema is not None and can.structured_output:
            return JsonSchema(name=SCHEMA_NAME, schema=_closed(schema), strict=True), ""
        case JsonSchema(schema=schema) if schema is not None:
            dropped.add("response_format")
            return None, _BY_SCHEMA + bytes(schema).decode()
        case _:
            return None, _JSON_ONLY


def _closed(schema: Raw) -> Raw:
    """The schema with every object closed, as Anthropic demands; as it came where it is so already."""
    told = loose(schema)
    return compact(told) if _close(told) else schema


def _close(node: Any) -> bool:
    if isinstance(node, list):
        return max([_close(value) for value in node], default=False)
    if not isinstance(node, dict):
        return False
    kind = node.get("type")
    is_object = kind == "object" or (isinstance(kind, list) and "object" in kind)
    changed = is_object and node.get("additionalProperties") is not False
    if changed:
        node["additionalProperties"] = False
    return max([_close(value) for name, value in node.items() if name not in _DATA], default=False) or changed


def _hinted(turns: tuple[Turn, ...], hint: str) -> tuple[Turn, ...]:
    if not hint:
        return turns
    first = turns[0] if turns else None
    if isinstance(first, SystemTurn):
        return (SystemTurn(parts=(*first.parts, Text(text=hint))), *turns[1:])
    return (SystemTurn(parts=(Text(text=hint),)), *turns)


def _tools(conversation: Conversation, dropped: set[str]) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    tools: list[Tool] = []
    for tool in conversation.tools:
        told = _tool(tool)
        if told is None:
            dropped.add(f"tools.{tool.name}")
        else:
            tools.append(told)
    choice = conversation.tool_choice
    match choice:
        case NamedTool():
            choice = NamedTool(plain_name(choice.name, choice.namespace))
        case AllowedTools():
            names = {plain_name(tool.name, tool.namespace) for tool in choice.tools}
            tools = [tool for tool in tools if tool.name in names]
            choice = ToolMode(choice.mode)
    return tuple(tools), choice if tools else None


def _tool(tool: Tool) -> Tool | None:
    match tool:
        case FunctionTool():
            return FunctionTool(
                name=plain_name(tool.name, tool.namespace),
                description=tool.description,
                parameters=_object_schema(tool.parameters),
                strict=tool.strict,
                cache=tool.cache,
                extras={name: value for name, value in tool.extras.items() if name in TOOL_FLAGS},
            )
        case CustomTool():
            return as_function(tool)
        case ProviderTool(format=origin):
            return tool if origin == FORMAT else None


def _object_schema(parameters: Raw | None) -> Raw:
    if parameters is None:
        return _NO_PARAMETERS
    told = loose(parameters)
    if not isinstance(told, dict):
        return _NO_PARAMETERS
    return parameters if "type" in told else compact({"type": "object", **told})
