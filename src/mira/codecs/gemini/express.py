"""What Gemini can say of a Conversation, for a given family of models: the codec's own statement of its limits.

`express` is idempotent, and what it gives is rendered without loss: `parse(render(x)) == express(x)`. What falls away
is reported by name; what would change the answer's structure is refused.
"""

from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from mira.codecs.codec import Target
from mira.codecs.fitting import note_flags
from mira.codecs.free_form import FREE_TEXT, as_function
from mira.codecs.gemini.dialects import Dialect
from mira.codecs.gemini.express_turns import express_turns
from mira.codecs.gemini.schemas import is_empty, openapi_schema
from mira.codecs.gemini.thinking import express_thinking
from mira.codecs.gemini.wire import FORMAT
from mira.codecs.lenient import loose
from mira.codecs.refusals import unsupported
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
    ProviderTool,
    ResponseFormat,
    Sampling,
    Tool,
    ToolChoice,
    ToolMode,
)

_MAX_STOPS = 5
_MAX_SEED = 2**31
_PICTURES = Raw(b'["TEXT","IMAGE"]')


def express(conversation: Conversation, target: Target, dialect: Dialect) -> tuple[Conversation, tuple[str, ...]]:
    """The conversation as this node can be told it, and the names of what was left out, sorted.

    MiraError UNSUPPORTED where leaving something out would change what comes back.
    """
    _refuse(conversation)
    dropped: set[str] = set(conversation.unknown)
    tools, choice = _tools(conversation, dialect, dropped)
    if conversation.parallel_tool_calls is False and tools and choice is not ToolMode.NONE:
        dropped.add("parallel_tool_calls")
    form = _response_format(conversation.response_format, dialect)
    if form is not None and tools and not dialect.format_with_tools:
        raise unsupported("This model cannot call tools and keep to a response format at once.", "response_format")
    told = Conversation(
        model=target.model,
        turns=express_turns(conversation.turns, dialect, dropped),
        tools=tools,
        tool_choice=choice if tools else None,
        output_cap=target.output_cap,
        stream=conversation.stream,
        include_usage=conversation.stream,
        sampling=_sampling(conversation.sampling, target.capabilities, dropped),
        thinking=express_thinking(conversation.thinking, target.capabilities, dialect, dropped),
        response_format=form,
        origin=FORMAT,
        extras=_extras(conversation, dropped),
    )
    return told, tuple(sorted(dropped))


def _refuse(conversation: Conversation) -> None:
    sampling = conversation.sampling
    if sampling.n is not None and sampling.n > 1:
        raise unsupported("This model gives one answer at a time.", "n")
    if sampling.logprobs:
        raise unsupported("This model does not tell the probabilities of its tokens.", "logprobs")
    if conversation.origin == FORMAT:
        return
    if loose(conversation.extras.get("audio", b"null")) is not None:
        raise unsupported("This model does not answer with sound on this route.", "audio")
    if "audio" in _modalities(conversation):
        raise unsupported("This model does not answer with sound on this route.", "modalities")


def _modalities(conversation: Conversation) -> list[Any]:
    told = loose(conversation.extras.get("modalities", b"null"))
    return told if isinstance(told, list) else []


def _extras(conversation: Conversation, dropped: set[str]) -> dict[str, Raw]:
    if conversation.origin == FORMAT:
        return conversation.extras
    dropped.update(name for name in conversation.extras if name not in ("modalities", "audio"))
    return {"responseModalities": _PICTURES} if "image" in _modalities(conversation) else {}


def _sampling(sampling: Sampling, capabilities: Capabilities, dropped: set[str]) -> Sampling:
    if sampling.logit_bias:
        dropped.add("logit_bias")
    if sampling.top_logprobs is not None:
        dropped.add("top_logprobs")
    # The others are looked for here (`mira.codecs.stopping`).
    stop = sampling.stop[:_MAX_STOPS]
    tuned = {
        name: value
        for name in ("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty")
        if (value := getattr(sampling, name)) is not None
    }
    if not capabilities.sampling:
        dropped.update(tuned)
        return Sampling(stop=stop)
    if not -_MAX_SEED <= tuned.get("seed", 0) < _MAX_SEED:
        dropped.add("seed")
        del tuned["seed"]
    return replace(Sampling(stop=stop), **tuned)


def _response_format(form: ResponseFormat | None, dialect: Dialect) -> ResponseFormat | None:
    if not isinstance(form, JsonSchema):
        return form
    if form.schema is None:
        return JsonObject()
    # Its name and description have no place here.
    return JsonSchema(name="", schema=_schema(form.schema, dialect))


def _schema(schema: Raw, dialect: Dialect) -> Raw:
    return schema if dialect.json_schema else openapi_schema(schema)


def _tools(
    conversation: Conversation, dialect: Dialect, dropped: set[str]
) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    functions: list[FunctionTool] = []
    own: list[ProviderTool] = []
    for tool in conversation.tools:
        match tool:
            case ProviderTool(format=origin):
                if origin == FORMAT:
                    own.append(tool)
                else:
                    dropped.add(f"tools.{tool.name}")
            case _:
                functions.append(_function(tool, dialect))
                if isinstance(tool, FunctionTool):
                    note_flags(tool, dropped)
                    if tool.strict:
                        dropped.add("strict")
    choice = conversation.tool_choice
    match choice:
        case NamedTool():
            choice = _named(choice)
        case AllowedTools(mode="auto"):
            # Names can only be given where a call is forced, so the other tools are not shown.
            names = {_named(tool).name for tool in choice.tools}
            functions = [tool for tool in functions if tool.name in names]
            choice = ToolMode.AUTO
        case AllowedTools(tools=tools):
            choice = _required(tuple(dict.fromkeys(_named(tool) for tool in tools)))
    return (*functions, *own), choice


def _required(tools: tuple[NamedTool, ...]) -> ToolChoice:
    match tools:
        case ():
            return ToolMode.REQUIRED
        case (tool,):
            return tool
        case _:
            return AllowedTools("required", tools)


def _named(tool: NamedTool) -> NamedTool:
    return NamedTool(plain_name(tool.name, tool.namespace))


def _function(tool: FunctionTool | CustomTool, dialect: Dialect) -> FunctionTool:
    name = plain_name(tool.name, tool.namespace)
    if isinstance(tool, CustomTool):
        return replace(as_function(tool, _schema(FREE_TEXT, dialect)), cache=None)
    parameters = tool.parameters
    if parameters is not None and not dialect.json_schema:
        parameters = None if is_empty(parameters) else openapi_schema(parameters)
    return FunctionTool(name=name, description=tool.description, parameters=parameters)
