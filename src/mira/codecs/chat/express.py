"""What Chat Completions can say of a Conversation, for a given node: the codec's own statement of its limits.

`express` is idempotent, and what it gives is rendered without loss: `parse(render(x)) == express(x)`. What falls away
is reported by name; what would change the answer's structure is refused.
"""

from typing import Any

import msgspec

from mira.codecs.chat.dialects import Dialect
from mira.codecs.chat.express_turns import express_turns
from mira.codecs.chat.request import FORMAT
from mira.codecs.codec import Target
from mira.codecs.fitting import fitted_choice, fitted_effort, note_flags, takes_sampling
from mira.codecs.free_form import as_function
from mira.codecs.tool_names import plain_name
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
    Thinking,
    Tool,
    ToolChoice,
    ToolMode,
)

#: What models refuse that draw their tokens by fixed rules.
_SAMPLING = ("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "logit_bias")


def express(conversation: Conversation, target: Target, dialect: Dialect) -> tuple[Conversation, tuple[str, ...]]:
    """The conversation as this node can be told it, and the names of what was left out, sorted."""
    dropped: set[str] = set(conversation.unknown)
    extras = conversation.extras if conversation.origin == FORMAT else {}
    dropped.update(name for name in conversation.extras if name not in extras)
    tools, choice = _tools(conversation, dialect, dropped)
    choice = fitted_choice(choice, target.capabilities, dropped) if tools else None
    effort = fitted_effort(conversation.thinking, target.capabilities, dropped)
    calling = bool(tools) and choice is not ToolMode.NONE
    told = Conversation(
        model=target.model,
        turns=express_turns(conversation.turns, dialect, dropped),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=conversation.parallel_tool_calls if calling else None,
        output_cap=target.output_cap,
        stream=conversation.stream,
        include_usage=conversation.stream,
        sampling=_sampling(conversation, dialect, dropped, tuned=takes_sampling(effort, target.capabilities)),
        thinking=Thinking(effort=effort),
        response_format=_response_format(conversation.response_format),
        notes=_notes(conversation.notes, dialect),
        origin=FORMAT,
        extras=extras,
    )
    return told, tuple(sorted(dropped))


def _sampling(conversation: Conversation, dialect: Dialect, dropped: set[str], *, tuned: bool) -> Sampling:
    sampling = conversation.sampling
    lost: dict[str, Any] = {name: None for name in _SAMPLING if not tuned and getattr(sampling, name) not in (None, {})}
    if lost:
        dropped.update(lost)
        sampling = msgspec.structs.replace(sampling, **lost)
    if sampling.top_k is not None and not dialect.top_k:
        dropped.add("top_k")
        sampling = msgspec.structs.replace(sampling, top_k=None)
    if dialect.stop_limit is not None and len(sampling.stop) > dialect.stop_limit:
        # The others are looked for here (`mira.codecs.stopping`).
        sampling = msgspec.structs.replace(sampling, stop=sampling.stop[: dialect.stop_limit])
    return sampling


def _notes(notes: Notes, dialect: Dialect) -> Notes:
    if not dialect.notes:
        return Notes(user=notes.user)
    return msgspec.structs.replace(notes, metadata=notes.metadata or None)


def _response_format(form: JsonObject | JsonSchema | None) -> JsonObject | JsonSchema | None:
    if isinstance(form, JsonSchema):
        return msgspec.structs.replace(form, name=plain_name(form.name))
    return form


def _tools(
    conversation: Conversation, dialect: Dialect, dropped: set[str]
) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    tools: list[Tool] = []
    for tool in conversation.tools:
        if isinstance(tool, FunctionTool):
            note_flags(tool, dropped)
        told = _tool(tool, dialect)
        if told is None:
            dropped.add(f"tools.{tool.name}")
        else:
            tools.append(told)
    choice = conversation.tool_choice
    match choice:
        case NamedTool():
            choice = _named(choice, dialect)
        case AllowedTools():
            choice = AllowedTools(choice.mode, tuple(_named(tool, dialect) for tool in choice.tools))
            if not dialect.allowed_tools:
                names = {tool.name for tool in choice.tools}
                tools = [tool for tool in tools if tool.name in names]
                choice = ToolMode(choice.mode)
    return tuple(tools), choice


def _named(tool: NamedTool, dialect: Dialect) -> NamedTool:
    return NamedTool(plain_name(tool.name, tool.namespace), tool.kind if dialect.custom_tools else "function")


def _tool(tool: Tool, dialect: Dialect) -> Tool | None:
    cache = tool.cache if dialect.cache == "cache_control" and not isinstance(tool, ProviderTool) else None
    match tool:
        case FunctionTool():
            return FunctionTool(
                name=plain_name(tool.name, tool.namespace),
                description=tool.description,
                parameters=tool.parameters,
                strict=tool.strict,
                cache=cache,
            )
        case CustomTool() if dialect.custom_tools:
            return CustomTool(
                name=plain_name(tool.name, tool.namespace),
                description=tool.description,
                grammar=tool.grammar,
                cache=cache,
            )
        case CustomTool():
            return msgspec.structs.replace(as_function(tool), cache=cache)
        case ProviderTool(format=origin):
            return tool if origin == FORMAT else None
