"""A Chat Completions request as a Conversation."""

import base64
import binascii
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from mira.codecs.chat import wire
from mira.codecs.chat.known_calls import KnownCalls
from mira.codecs.chat.opening import output_cap
from mira.codecs.codec import Envelope
from mira.codecs.lenient import texts_of
from mira.core.conversation import (
    AllowedTools,
    AssistantPart,
    AssistantTurn,
    Audio,
    CacheMark,
    Conversation,
    CustomTool,
    Document,
    FileRef,
    FunctionTool,
    Grammar,
    Image,
    Inline,
    JsonObject,
    JsonSchema,
    Link,
    NamedTool,
    Notes,
    Opaque,
    ProviderTool,
    Reasoning,
    Refusal,
    ResponseFormat,
    Sampling,
    Source,
    SystemTurn,
    Text,
    Thinking,
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
from mira.core.media_types import HEAD_BYTES, binary_type
from mira.errors import Kind, MiraError

PartT = TypeVar("PartT", bound=msgspec.Struct)

FORMAT = "chat"
#: Fields that only Chat Completions knows: kept for a node of this protocol, reported or refused by others.
EXTRAS = ("modalities", "audio", "prediction", "web_search_options", "moderation", "prompt_cache_options")
#: The types of texts by the endings of their names: they have no beginning of their own.
_TEXTS = {
    "txt": "text/plain", "md": "text/markdown", "csv": "text/csv", "html": "text/html", "json": "application/json",
}  # fmt: skip
_RAWS = msgspec.json.Decoder(list[Raw])
_KNOWN = {*wire.Request.__struct_fields__, *EXTRAS, "metadata"}


def parse_request(envelope: Envelope) -> Conversation:
    """The whole request in internal form; MiraError where a part cannot be understood."""
    body: wire.Request = envelope.wire
    fields = envelope.fields
    return Conversation(
        model=body.model,
        turns=_turns(body.messages),
        tools=_tools(body, fields),
        tool_choice=_choice(body),
        parallel_tool_calls=body.parallel_tool_calls,
        output_cap=output_cap(body),
        stream=envelope.stream,
        include_usage=envelope.include_usage,
        sampling=_sampling(body),
        thinking=_thinking(body),
        response_format=_response_format(body.response_format),
        notes=_notes(body, fields),
        origin=FORMAT,
        legacy_functions=bool(body.functions) and not body.tools,
        extras={name: fields[name] for name in EXTRAS if name in fields and bytes(fields[name]) != b"null"},
        unknown=tuple(name for name in fields if name not in _KNOWN),
    )


def source_of(url: str) -> Inline | Link:
    """Where a `url` points: base64 data URIs are media inside the request, all else is a link."""
    if url.startswith("data:"):
        head, comma, data = url[5:].partition(",")
        if comma and head.endswith(";base64"):
            return Inline(mime_type=head[:-7] or "application/octet-stream", data=data)
    return Link(url=url)


def file_of(data: str, name: str | None) -> Inline | Link:
    """A file as a data URI, an address, or bare base64, of which its beginning or else its name tells the type."""
    if ":" in data[:64]:
        return source_of(data)
    try:
        head = base64.b64decode(data[: HEAD_BYTES // 3 * 4])
    except binascii.Error:
        head = b""
    ending = (name or "").rpartition(".")[2].lower()
    return Inline(mime_type=binary_type(head) or _TEXTS.get(ending, "application/octet-stream"), data=data)


def reasoning_of(details: list[wire.Detail] | None, text: str | None) -> list[Reasoning]:
    """Blocks of thinking from `reasoning_details`, else from the bare text."""
    blocks = []
    for detail in details or ():
        match detail.type:
            case "reasoning.text":
                blocks.append(
                    Reasoning(text=detail.text or "", signature=detail.signature, format=detail.format, id=detail.id)
                )
            case "reasoning.summary":
                blocks.append(Reasoning(kind="summary", text=detail.summary or "", format=detail.format, id=detail.id))
            case "reasoning.encrypted":
                blocks.append(Reasoning(kind="encrypted", data=detail.data, format=detail.format, id=detail.id))
    if not blocks and text:
        blocks.append(Reasoning(text=text))
    return blocks


def call_of(call: wire.Call) -> ToolCall:
    """A tool call of a message."""
    extra = call.extra_content
    signature = extra.google.thought_signature if extra and extra.google else None
    if call.custom is not None:
        return ToolCall(
            id=call.id, name=call.custom.name, input=call.custom.input or "", kind="custom", signature=signature,
            cache=_mark(call),
        )  # fmt: skip
    name, arguments = (call.function.name, call.function.arguments) if call.function else ("", "")
    return ToolCall(id=call.id, name=name, input=arguments or "{}", signature=signature, cache=_mark(call))


def _turns(messages: list[wire.Message]) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    results: list[ToolResult] = []
    calls = KnownCalls()
    for index, message in enumerate(messages):
        if isinstance(message, wire.ToolMessage | wire.FunctionMessage):
            results.append(_result(message, calls, f"messages[{index}]"))
            continue
        if results:
            turns.append(ToolTurn(results=tuple(results)))
            results = []
        turn = _turn(message, index)
        if isinstance(turn, AssistantTurn):
            for part in turn.parts:
                if isinstance(part, ToolCall):
                    calls.add(part)
        turns.append(turn)
    if results:
        turns.append(ToolTurn(results=tuple(results)))
    return tuple(turns)


def _turn(message: wire.Message, index: int) -> Turn:
    match message:
        case wire.SystemMessage() | wire.DeveloperMessage():
            return SystemTurn(
                parts=_texts(message), developer=isinstance(message, wire.DeveloperMessage), name=message.name
            )
        case wire.UserMessage():
            return UserTurn(
                parts=_marked(_user_parts(message.content, f"messages[{index}]"), message.cache_control),
                name=message.name,
            )
        case wire.AssistantMessage():
            return AssistantTurn(parts=_assistant_parts(message, index), name=message.name)
        case _:
            raise MiraError(Kind.BAD_REQUEST, "Unknown role.", param=f"messages[{index}].role")


def _texts(message: wire.SystemMessage | wire.DeveloperMessage) -> tuple[Text, ...]:
    content = message.content
    if isinstance(content, str):
        parts = [Text(text=content)] if content else []
    else:
        parts = [Text(text=part.text, cache=_mark(part)) for part in content]
    return _marked(parts, message.cache_control)


def _user_parts(content: str | list[wire.UserPart], param: str) -> list[UserPart]:
    if isinstance(content, str):
        return [Text(text=content)] if content else []
    return [_user_part(part, f"{param}.content[{index}]") for index, part in enumerate(content)]


def _marked(parts: list[PartT], control: wire.CacheControl | None) -> tuple[PartT, ...]:
    """The parts, the last one with the mark of its message (OpenCode marks messages)."""
    if control is not None and parts and getattr(parts[-1], "cache", control) is None:
        parts[-1] = msgspec.structs.replace(parts[-1], cache=_control(control))
    return tuple(parts)


def _user_part(part: wire.UserPart, param: str) -> UserPart:
    match part:
        case wire.TextPart():
            return Text(text=part.text, cache=_mark(part))
        case wire.ImagePart():
            return Image(source=source_of(part.image_url.url), detail=part.image_url.detail, cache=_mark(part))
        case wire.AudioPart():
            return Audio(data=part.input_audio.data, encoding=part.input_audio.format, cache=_mark(part))
        case wire.FilePart():
            return Document(source=_file(part.file, param), title=part.file.filename, cache=_mark(part))
        case wire.VideoPart():
            return Document(source=source_of(part.video_url.url), media="video", cache=_mark(part))


def _file(body: wire.FileBody, param: str) -> Source:
    if body.file_data:
        return file_of(body.file_data, body.filename)
    if body.file_id:
        return FileRef(file_id=body.file_id, format="openai")
    raise MiraError(
        Kind.BAD_REQUEST, f"Missing required field: '{param}.file.file_data'.", param=f"{param}.file.file_data"
    )


def _assistant_parts(message: wire.AssistantMessage, index: int) -> tuple[AssistantPart, ...]:
    parts: list[AssistantPart] = []
    parts += reasoning_of(message.reasoning_details, message.reasoning_content or message.reasoning)
    content = message.content
    if isinstance(content, str):
        if content:
            parts.append(Text(text=content))
    else:
        parts += [_assistant_part(part) for part in content or ()]
    if message.refusal:
        parts.append(Refusal(message.refusal))
    if not isinstance(message.audio, UnsetType) and bytes(message.audio) != b"null":
        parts.append(Opaque(format=FORMAT, data=message.audio))
    parts += [call_of(call) for call in message.tool_calls or ()]
    if legacy := message.function_call:
        parts.append(ToolCall(id=f"call_{index}_{legacy.name}", name=legacy.name, input=legacy.arguments or "{}"))
    return _marked(parts, message.cache_control)


def _assistant_part(part: wire.AssistantPart) -> AssistantPart:
    match part:
        case wire.TextPart():
            return Text(text=part.text, cache=_mark(part))
        case wire.ImagePart():
            return Image(source=source_of(part.image_url.url), detail=part.image_url.detail, cache=_mark(part))
        case wire.RefusalPart():
            return Refusal(part.refusal)
        case wire.ThinkingPart():
            return Reasoning(
                text=_thought(part.thinking),
                signature=part.signature,
                format="anthropic-claude-v1" if part.signature else None,
            )
        case wire.RedactedPart():
            return Reasoning(kind="encrypted", data=part.data, format="anthropic-claude-v1")


def _thought(thinking: str | list[dict[str, Any]]) -> str:
    # Mistral writes its thinking as a list of text parts.
    if isinstance(thinking, str):
        return thinking
    return "".join(str(part.get("text", "")) for part in thinking)


def _result(message: wire.ToolMessage | wire.FunctionMessage, calls: KnownCalls, param: str) -> ToolResult:
    if isinstance(message, wire.FunctionMessage):
        named = calls.latest(message.name)
        return ToolResult(
            call_id=named.id if named else f"call_{message.name}",
            parts=(Text(text=message.content),) if message.content else (),
        )
    call = calls.get(message.tool_call_id)
    return ToolResult(
        call_id=message.tool_call_id,
        parts=tuple(_user_parts(message.content, param)),
        kind=call.kind if call else "function",
        cache=_control(message.cache_control),
    )


def _tools(body: wire.Request, fields: dict[str, Raw]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    raws: list[Raw] = []
    for index, tool in enumerate(body.tools or ()):
        cache = _control(tool.cache_control)
        if tool.type == "function" and tool.function is not None:
            tools.append(_function(tool.function, cache))
        elif tool.type == "custom" and tool.custom is not None:
            grammar = tool.custom.format.grammar if tool.custom.format else None
            tools.append(
                CustomTool(
                    name=tool.custom.name,
                    description=tool.custom.description,
                    grammar=Grammar(grammar.syntax, grammar.definition) if grammar else None,
                    cache=cache,
                )
            )
        else:
            raws = raws or _RAWS.decode(fields["tools"])
            tools.append(ProviderTool(format=FORMAT, name=tool.type, data=raws[index]))
    if not body.tools:
        tools += [_function(function, None) for function in body.functions or ()]
    return tuple(tools)


def _function(function: wire.Function, cache: CacheMark | None) -> FunctionTool:
    return FunctionTool(
        name=function.name,
        description=function.description,
        parameters=_raw(function.parameters),
        strict=function.strict,
        cache=cache,
    )


def _choice(body: wire.Request) -> ToolChoice | None:
    choice = body.tool_choice
    if choice is None and body.functions and not body.tools:
        legacy = body.function_call
        if legacy is None:
            return None
        return ToolMode(legacy) if isinstance(legacy, str) else NamedTool(legacy.name)
    if choice is None:
        return None
    if isinstance(choice, str):
        return ToolMode(choice)
    if choice.allowed_tools is not None:
        tools = tuple(_named(ref, "tool_choice.allowed_tools.tools") for ref in choice.allowed_tools.tools)
        return AllowedTools("required" if choice.allowed_tools.mode == "required" else "auto", tools)
    return _named(choice, "tool_choice")


def _named(ref: wire.ToolRef | wire.ToolChoice, param: str) -> NamedTool:
    if ref.type == "custom" and ref.custom is not None:
        return NamedTool(ref.custom.name, "custom")
    if ref.type == "function" and ref.function is not None:
        return NamedTool(ref.function.name)
    raise MiraError(Kind.UNSUPPORTED, f"'{param}' must name a function or a custom tool.", param=param)


def _sampling(body: wire.Request) -> Sampling:
    stop = body.stop
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        seed=body.seed,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        logit_bias=body.logit_bias,
        logprobs=body.logprobs,
        top_logprobs=body.top_logprobs,
        n=body.n,
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
    )


def _thinking(body: wire.Request) -> Thinking:
    options = body.reasoning
    if options is None:
        return Thinking(effort=body.reasoning_effort)
    effort = body.reasoning_effort or options.effort
    if options.enabled is False:
        effort = effort or "none"
    return Thinking(
        effort=effort,
        mode="enabled" if options.max_tokens else "adaptive" if options.enabled and effort is None else None,
        budget_tokens=options.max_tokens,
        summary=options.summary,
    )


def _response_format(form: wire.ResponseFormat | None) -> ResponseFormat | None:
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return JsonObject()
    if form.json_schema is None:
        raise MiraError(
            Kind.UNSUPPORTED, "'response_format.type' must be text, json_object or json_schema.",
            param="response_format.type",
        )  # fmt: skip
    body = form.json_schema
    return JsonSchema(name=body.name, schema=_raw(body.schema), strict=body.strict, description=body.description)


def _notes(body: wire.Request, fields: dict[str, Raw]) -> Notes:
    return Notes(
        user=body.user,
        safety_identifier=body.safety_identifier,
        metadata=texts_of(fields.get("metadata")),
        store=body.store,
        service_tier=body.service_tier,
        prompt_cache_key=body.prompt_cache_key,
        prompt_cache_retention=body.prompt_cache_retention,
        verbosity=body.verbosity,
    )


def _raw(value: Raw | UnsetType) -> Raw | None:
    return None if value is UNSET or bytes(value) == b"null" else value


def _control(control: wire.CacheControl | None) -> CacheMark | None:
    return CacheMark(control.ttl) if control is not None else None


def _mark(marked: Any) -> CacheMark | None:
    if marked.cache_control is not None:
        return CacheMark(marked.cache_control.ttl)
    point = getattr(marked, "prompt_cache_breakpoint", UNSET)
    return CacheMark() if _raw(point) is not None else None
