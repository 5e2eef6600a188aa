"""What Responses can say of a Conversation, for a given node: the codec's own statement of its limits.

`express` is idempotent, and what it gives is rendered without loss: `parse(render(x)) == express(x)`. What falls away
is reported by name; what would change the answer's structure or meaning is refused.
"""

import msgspec
from msgspec import Raw

from mira.codecs.codec import Target
from mira.codecs.fitting import fitted_choice, fitted_effort, note_flags, takes_sampling
from mira.codecs.free_form import as_function
from mira.codecs.lenient import loose
from mira.codecs.refusals import refuse_modalities
from mira.codecs.responses.dialects import Dialect
from mira.codecs.responses.express_turns import express_turns
from mira.codecs.responses.items import PROTOCOL
from mira.codecs.responses.opening import MIN_OUTPUT_CAP
from mira.codecs.tool_names import plain_name
from mira.core.capabilities import Capabilities
from mira.core.conversation import (
    AllowedTools,
    AssistantTurn,
    Conversation,
    CustomTool,
    FunctionTool,
    JsonObject,
    JsonSchema,
    NamedTool,
    Notes,
    ProviderTool,
    Reasoning,
    Sampling,
    Thinking,
    Tool,
    ToolChoice,
    ToolMode,
    Turn,
)
from mira.errors import Kind, MiraError

ENCRYPTED = "reasoning.encrypted_content"
_NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')
_TUNING = ("top_k", "seed", "presence_penalty", "frequency_penalty", "logit_bias")


def express(conversation: Conversation, target: Target, dialect: Dialect) -> tuple[Conversation, tuple[str, ...]]:
    """The conversation as this node can be told it, and the names of what was left out, sorted.

    MiraError UNSUPPORTED with the field's name where leaving it out would change the answer.
    """
    refuse_modalities(conversation)
    dropped: set[str] = set(conversation.unknown)
    extras = dict(conversation.extras) if conversation.origin == PROTOCOL else {}
    dropped.update(name for name in conversation.extras if name not in extras)
    turns = express_turns(conversation.turns, dialect, dropped)
    thinking = _thinking(conversation.thinking, target.capabilities, dropped)
    asks = dialect.encrypted and _thinks(turns, thinking, target.capabilities)
    if include := _include(extras.pop("include", None), asks=asks):
        extras["include"] = include
    tools, choice = _tools(conversation, dialect, dropped)
    choice = fitted_choice(choice, target.capabilities, dropped) if tools else None
    calling = bool(tools) and choice is not ToolMode.NONE
    told = Conversation(
        model=target.model,
        turns=turns,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=conversation.parallel_tool_calls if calling else None,
        output_cap=max(target.output_cap, MIN_OUTPUT_CAP),
        stream=conversation.stream,
        include_usage=True,
        sampling=_sampling(conversation, dropped, tuned=takes_sampling(thinking.effort, target.capabilities)),
        thinking=thinking,
        response_format=_response_format(conversation.response_format),
        notes=_notes(conversation.notes, dialect),
        origin=PROTOCOL,
        extras=extras,
    )
    return told, tuple(sorted(dropped))


def _sampling(conversation: Conversation, dropped: set[str], *, tuned: bool) -> Sampling:
    sampling = conversation.sampling
    refused = {
        "n": sampling.n is not None and sampling.n > 1,
        "logprobs": bool(sampling.logprobs or sampling.top_logprobs),
        "stop_sequences" if conversation.origin == "messages" else "stop": bool(sampling.stop),
    }
    for name, asked in refused.items():
        if asked:
            raise MiraError(Kind.UNSUPPORTED, f"'{name}' is not supported for this model.", param=name)
    lost = _TUNING if tuned else (*_TUNING, "temperature", "top_p")
    dropped.update(name for name in lost if getattr(sampling, name) not in (None, {}))
    if not tuned:
        return Sampling()
    return Sampling(temperature=sampling.temperature, top_p=sampling.top_p)


def _thinking(thinking: Thinking, capabilities: Capabilities, dropped: set[str]) -> Thinking:
    effort = fitted_effort(thinking, capabilities, dropped)
    if not capabilities.reasoning:
        return Thinking()
    summary = thinking.summary or ("auto" if thinking.display == "summarized" else None)
    return Thinking(effort=effort, summary=summary)


def _thinks(turns: tuple[Turn, ...], thinking: Thinking, capabilities: Capabilities) -> bool:
    """Whether the model thinks for sure: it always does, the request asks for it, or it did before."""
    if not capabilities.reasoning:
        return False
    unasked = capabilities.thinks_unasked and thinking.effort is None
    if unasked or capabilities.thinking_always_on or thinking.effort not in (None, "none"):
        return True
    parts = [part for turn in turns if isinstance(turn, AssistantTurn) for part in turn.parts]
    return any(isinstance(part, Reasoning) and part.kind == "encrypted" for part in parts)


def _include(asked: Raw | None, *, asks: bool) -> Raw | None:
    told = loose(asked) if asked is not None else None
    names = [name for name in told if isinstance(name, str)] if isinstance(told, list) else []
    if asks and ENCRYPTED not in names:
        names.append(ENCRYPTED)
    return Raw(msgspec.json.encode(names)) if names else None


def _notes(notes: Notes, dialect: Dialect) -> Notes:
    # The gateway remembers answers itself; a node keeps nothing.
    if not dialect.notes:
        return Notes(user=notes.user, store=False)
    return msgspec.structs.replace(notes, metadata=notes.metadata or None, store=False)


def _response_format(form: JsonObject | JsonSchema | None) -> JsonObject | JsonSchema | None:
    if isinstance(form, JsonSchema):
        return msgspec.structs.replace(form, name=plain_name(form.name), schema=form.schema or Raw(b"{}"))
    return form


def _tools(
    conversation: Conversation, dialect: Dialect, dropped: set[str]
) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    tools: dict[str, Tool] = {}
    for tool in conversation.tools:
        if isinstance(tool, FunctionTool):
            note_flags(tool, dropped)
        told = _tool(tool, dialect)
        if told is None:
            dropped.add(f"tools.{tool.name}")
        else:
            tools[f"#{len(tools)}" if isinstance(told, ProviderTool) else told.name] = told
    choice = conversation.tool_choice
    match choice:
        case NamedTool():
            choice = _named(choice, dialect)
        case AllowedTools():
            choice = AllowedTools(choice.mode, tuple(_named(tool, dialect) for tool in choice.tools))
            if not dialect.allowed_tools:
                names = {tool.name for tool in choice.tools}
                tools = {key: tool for key, tool in tools.items() if tool.name in names}
                choice = ToolMode(choice.mode)
    return tuple(tools.values()), choice


def _named(tool: NamedTool, dialect: Dialect) -> NamedTool:
    return NamedTool(plain_name(tool.name, tool.namespace), tool.kind if dialect.custom_tools else "function")


def _tool(tool: Tool, dialect: Dialect) -> Tool | None:
    match tool:
        case FunctionTool():
            # Without a word about it this protocol is strict, which most schemas are not made for.
            return FunctionTool(
                name=plain_name(tool.name, tool.namespace),
                description=tool.description,
                parameters=tool.parameters or _NO_PARAMETERS,
                strict=tool.strict is True,
            )
        case CustomTool() if dialect.custom_tools:
            return CustomTool(
                name=plain_name(tool.name, tool.namespace), description=tool.description, grammar=tool.grammar
            )
        case CustomTool():
            return msgspec.structs.replace(as_function(tool), strict=False, cache=None)
        case ProviderTool(format=origin):
            return tool if origin == PROTOCOL else None
