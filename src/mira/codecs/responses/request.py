"""A Responses request as a Conversation."""

import msgspec
from msgspec import Raw, Struct

from mira.codecs.codec import Envelope
from mira.codecs.lenient import texts_of
from mira.codecs.responses import wire
from mira.codecs.responses.items import PROTOCOL, SEARCH_TOOL, heard, is_said, said
from mira.codecs.responses.memory import refuse_unresolved
from mira.codecs.responses.opening import CLIENT, is_told, read_tool
from mira.core.conversation import (
    AllowedTools,
    AssistantTurn,
    Conversation,
    CustomTool,
    FunctionTool,
    Grammar,
    JsonObject,
    JsonSchema,
    NamedTool,
    Notes,
    Opaque,
    ProviderTool,
    ResponseFormat,
    Sampling,
    SystemTurn,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolMode,
    ToolResult,
    ToolTurn,
    Turn,
    UserTurn,
)
from mira.errors import Kind, MiraError

#: Fields that only Responses knows: kept for a node of this protocol, reported or refused by others.
EXTRAS = (
    "include", "truncation", "max_tool_calls", "context_management", "moderation", "prompt_cache_options",
    "stream_options", "access_programs", "image",
)  # fmt: skip
#: Fields that are settled when a request is translated: resolved, refused, or without meaning for other nodes.
_SETTLED = (
    "input", "metadata", "conversation", "prompt", "background", "background_options", "previous_response_id",
    "client_metadata",
)  # fmt: skip
_KNOWN = {*wire.Request.__struct_fields__, *EXTRAS, *_SETTLED}
_LOGPROBS = "message.output_text.logprobs"
_RAWS = msgspec.json.Decoder(list[Raw])


def parse_request(envelope: Envelope) -> Conversation:
    """The whole request in internal form; MiraError where a part cannot be understood or kept."""
    refuse_unresolved(envelope)
    opened: wire.Opened = envelope.wire
    body, fields = opened.request, envelope.fields
    _refuse(body)
    turns, found = _turns(opened, fields)
    tools, lost = _tools([*opened.tools, *found])
    return Conversation(
        model=body.model,
        turns=turns,
        tools=tools,
        tool_choice=_choice(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls,
        output_cap=envelope.output_cap,
        stream=envelope.stream,
        include_usage=envelope.include_usage,
        sampling=Sampling(temperature=body.temperature, top_p=body.top_p),
        thinking=_thinking(body.reasoning),
        response_format=_response_format(body.text),
        notes=_notes(body, fields),
        origin=PROTOCOL,
        extras={name: fields[name] for name in EXTRAS if name in fields and bytes(fields[name]) != b"null"},
        unknown=(*(name for name in fields if name not in _KNOWN), *lost),
    )


def _refuse(body: wire.Request) -> None:
    """What would change the answer's structure or meaning, and no other protocol can say."""
    if is_told(body.prompt):
        raise MiraError(Kind.UNSUPPORTED, "Stored prompts are not supported for this model.", param="prompt")
    if body.top_logprobs:
        raise MiraError(Kind.UNSUPPORTED, "Log probabilities are not supported for this model.", param="top_logprobs")
    if _LOGPROBS in (body.include or ()):
        raise MiraError(Kind.UNSUPPORTED, "Log probabilities are not supported for this model.", param="include")


def _turns(opened: wire.Opened, fields: dict[str, Raw]) -> tuple[tuple[Turn, ...], list[Struct]]:
    """The turns, and the tools that were given among the items."""
    told = _Turns()
    if opened.request.instructions:
        told.turns.append(SystemTurn(parts=(Text(text=opened.request.instructions),)))
    raws = _RAWS.decode(fields["input"]) if isinstance(opened.request.input, list) else [Raw(b"")]
    for index, (item, raw) in enumerate(zip(opened.items, raws, strict=False)):
        told.take(item, raw, f"input[{index}]")
    told.close()
    return tuple(told.turns), told.tools


class _Turns:
    """Collects items: consecutive ones of the model are one turn, and so are consecutive results."""

    __slots__ = ("_results", "_said", "tools", "turns")

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.tools: list[Struct] = []
        self._said: list[tuple[Struct, Raw]] = []
        self._results: list[ToolResult] = []

    def take(self, item: Struct, raw: Raw, param: str) -> None:
        """The next item."""
        if isinstance(item, wire.AdditionalTools):
            self._add_tools(item.tools, param)
        elif is_said(item):
            if self._results:
                self.close()
            self._said.append((item, raw))
        elif isinstance(item, wire.FunctionOutput | wire.SearchOutput):
            if self._said:
                self.close()
            self._results.append(_result(item, param))
            if isinstance(item, wire.SearchOutput):
                self._add_tools(item.tools, param)
        else:
            self.close()
            if isinstance(item, wire.Message):
                self.turns.append(_message(item, param))
            else:
                self.turns.append(UserTurn(parts=(Opaque(format=PROTOCOL, data=raw),)))

    def close(self) -> None:
        """The open turn is complete."""
        if self._said:
            self.turns.append(AssistantTurn(parts=said(self._said)))
            self._said = []
        if self._results:
            self.turns.append(ToolTurn(results=tuple(self._results)))
            self._results = []

    def _add_tools(self, tools: list[Raw], param: str) -> None:
        self.tools += [read_tool(tool, param) for tool in tools]


def _message(message: wire.Message, param: str) -> Turn:
    parts = heard(message.content, f"{param}.content")
    if message.role == "user":
        return UserTurn(parts=parts)
    texts = tuple(part for part in parts if isinstance(part, Text))
    if len(texts) < len(parts):
        raise MiraError(Kind.BAD_REQUEST, "Instructions hold text only.", param=f"{param}.content")
    return SystemTurn(parts=texts, developer=message.role == "developer")


def _result(item: wire.FunctionOutput | wire.SearchOutput, param: str) -> ToolResult:
    if item.call_id is None:
        raise MiraError(Kind.BAD_REQUEST, f"Missing required field: '{param}.call_id'.", param=f"{param}.call_id")
    if isinstance(item, wire.SearchOutput):
        names = [_named(read_tool(tool, param)) for tool in item.tools]
        text = f"Loaded tools: {', '.join(names)}" if names else "No tools found."
        return ToolResult(call_id=item.call_id, parts=(Text(text=text),))
    return ToolResult(
        call_id=item.call_id,
        parts=heard(item.output, f"{param}.output"),
        kind="custom" if isinstance(item, wire.CustomOutput) else "function",
    )


def _named(tool: Struct) -> str:
    name = tool.type if isinstance(tool, wire.OtherTool) else getattr(tool, "name", SEARCH_TOOL)
    return str(name)


def _tools(told: list[Struct]) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    """The tools, a later definition of one in the place of the earlier, and what of them cannot be told."""
    tools: dict[tuple[str | None, str], Tool] = {}
    lost: list[str] = []
    for index, tool in enumerate(told):
        if isinstance(tool, wire.Namespace):
            if tool.description:
                lost.append(f"tools.{tool.name}.description")
            for inner in tool.tools:
                own = _tool(read_tool(inner, "tools"), tool.name, index)
                tools[tool.name, own.name] = own
        else:
            own = _tool(tool, None, index)
            key = f"{own.name}#{index}" if isinstance(own, ProviderTool) else own.name
            tools[None, key] = own
    return tuple(tools.values()), tuple(lost)


def _tool(tool: Struct, namespace: str | None, index: int) -> Tool:
    match tool:
        case wire.FunctionTool():
            deferred = {"defer_loading": Raw(b"true")} if tool.defer_loading else {}
            return FunctionTool(
                name=tool.name,
                description=tool.description,
                parameters=_raw(tool.parameters),
                strict=tool.strict,
                namespace=namespace,
                extras=deferred,
            )
        case wire.CustomTool(format=form):
            grammar = None
            if form is not None and form.syntax is not None:
                grammar = Grammar(form.syntax, form.definition or "")
            return CustomTool(name=tool.name, description=tool.description, grammar=grammar, namespace=namespace)
        case wire.SearchTool():
            return FunctionTool(
                name=SEARCH_TOOL,
                description=tool.description,
                parameters=_raw(tool.parameters),
                extras={"execution": Raw(msgspec.json.encode(CLIENT))},
            )
        case wire.OtherTool(type=kind, data=data):
            return ProviderTool(format=PROTOCOL, name=kind, data=data)
        case _:
            raise MiraError(Kind.BAD_REQUEST, "Namespaces hold functions and custom tools.", param=f"tools[{index}]")


def is_search_tool(tool: Tool) -> bool:
    """Whether a tool is the client's own search for tools."""
    return isinstance(tool, FunctionTool) and tool.name == SEARCH_TOOL and "execution" in tool.extras


def runs_search(request: Conversation | None) -> bool:
    """Whether the client of this request searches for tools itself."""
    return request is not None and any(is_search_tool(tool) for tool in request.tools)


def _choice(choice: str | wire.ToolChoice | None) -> ToolChoice | None:
    if choice is None or isinstance(choice, str):
        return None if choice is None else ToolMode(choice)
    if choice.type == "allowed_tools":
        tools = tuple(_reference(tool) for tool in choice.tools or () if tool.type in ("function", "custom"))
        return AllowedTools("required" if choice.mode == "required" else "auto", tools)
    return _reference(choice)


def _reference(tool: wire.ToolRef) -> NamedTool:
    if tool.type == "custom" and tool.name:
        return NamedTool(tool.name, "custom", tool.namespace)
    if tool.type == "function" and tool.name:
        return NamedTool(tool.name, "function", tool.namespace)
    raise MiraError(Kind.UNSUPPORTED, "'tool_choice' must name a function or a custom tool.", param="tool_choice")


def _thinking(options: wire.ReasoningOptions | None) -> Thinking:
    if options is None:
        return Thinking()
    return Thinking(effort=options.effort, summary=options.summary or options.generate_summary)


def _response_format(options: wire.TextOptions | None) -> ResponseFormat | None:
    form = options.format if options is not None else None
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return JsonObject()
    if form.type != "json_schema" or form.name is None:
        raise MiraError(
            Kind.UNSUPPORTED, "'text.format.type' must be text, json_object or json_schema.", param="text.format.type"
        )
    return JsonSchema(name=form.name, schema=_raw(form.schema), strict=form.strict, description=form.description)


def _notes(body: wire.Request, fields: dict[str, Raw]) -> Notes:
    return Notes(
        user=body.user,
        safety_identifier=body.safety_identifier,
        metadata=texts_of(fields.get("metadata")),
        store=body.store,
        service_tier=body.service_tier,
        prompt_cache_key=body.prompt_cache_key,
        prompt_cache_retention=body.prompt_cache_retention,
        verbosity=body.text.verbosity if body.text is not None else None,
    )


def _raw(value: wire.Kept) -> Raw | None:
    return value if isinstance(value, Raw) and bytes(value) != b"null" else None
