"""A Messages request as a Conversation."""

import hashlib
import re
from collections.abc import Callable
from itertools import groupby
from typing import Any

import msgspec
from msgspec import Raw, UnsetType
from msgspec.structs import replace

from mira.codecs.carried import uncarry, uncarry_signature
from mira.codecs.codec import Envelope
from mira.codecs.lenient import loose
from mira.codecs.messages import wire
from mira.codecs.messages.names import own_id
from mira.codecs.messages.wire import FORMAT, NAME, THOUGHT
from mira.core.conversation import (
    AssistantPart,
    AssistantTurn,
    CacheMark,
    Conversation,
    Document,
    FileRef,
    FunctionTool,
    Image,
    Inline,
    JsonSchema,
    Link,
    NamedTool,
    Notes,
    Opaque,
    PlainText,
    ProviderTool,
    Reasoning,
    ResponseFormat,
    ResultPart,
    Sampling,
    SearchResult,
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

#: Fields that only Messages knows: kept for a node of this protocol, reported by others.
EXTRAS = (
    "cache_control", "container", "context_management", "mcp_servers", "inference_geo", "speed", "diagnostics",
    "compaction", "fallbacks", "thread",
)  # fmt: skip
#: Flags of a tool that only Messages knows.
TOOL_FLAGS = ("eager_input_streaming", "defer_loading", "input_examples", "allowed_callers")
#: Claude Code puts a value there that changes with every request, which would defeat any other vendor's prompt cache.
BILLING_HEADER = "x-anthropic-billing-header:"
#: A schema has no name in this protocol.
SCHEMA_NAME = "answer"
TIERS = {"auto": "auto", "standard_only": "default"}

_RAWS = msgspec.json.Decoder(list[Raw])
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_MODES = {"auto": ToolMode.AUTO, "any": ToolMode.REQUIRED, "none": ToolMode.NONE}
_HASHED = re.compile(r"[0-9a-f]{64}")
_OUTPUT_CONFIG = frozenset(wire.OutputConfig.__struct_fields__)
_KNOWN = {*wire.Request.__struct_fields__, *EXTRAS}


def parse_request(envelope: Envelope) -> Conversation:
    """The whole request in internal form."""
    body: wire.Request = envelope.wire
    fields = envelope.fields
    choice = body.tool_choice
    alone = choice.disable_parallel_tool_use if choice is not None else None
    return Conversation(
        model=body.model,
        turns=_turns(body, fields),
        tools=_tools(body, fields),
        tool_choice=_choice(choice),
        parallel_tool_calls=None if alone is None else not alone,
        output_cap=body.max_tokens,
        stream=envelope.stream,
        include_usage=envelope.include_usage,
        sampling=Sampling(
            temperature=body.temperature,
            top_p=body.top_p,
            top_k=body.top_k,
            stop=tuple(body.stop_sequences or ()),
        ),
        thinking=_thinking(body),
        response_format=_response_format(body.output_config),
        notes=Notes(
            safety_identifier=user_hash(body.metadata.user_id) if body.metadata is not None else None,
            service_tier=TIERS.get(body.service_tier or ""),
        ),
        origin=NAME,
        extras={name: fields[name] for name in EXTRAS if name in fields and bytes(fields[name]) != b"null"},
        unknown=(*(name for name in fields if name not in _KNOWN), *_unknown_output(fields)),
    )


def user_hash(user: str | None) -> str | None:
    """A user's id as another party may see it: 64 hex digits, the same for the same id; such digits stay."""
    if not user:
        return None
    return user if _HASHED.fullmatch(user) else hashlib.sha256(user.encode()).hexdigest()


def arguments_of(raw: Raw | str) -> str | None:
    """An object's JSON text without spaces, every value as it was written; None where it is no object."""
    text = raw.encode() if isinstance(raw, str) else bytes(raw)
    if not isinstance(loose(text), dict):
        return None
    return msgspec.json.format(text, indent=-1).decode()


def citations_of(raw: wire.Kept) -> tuple[Raw, ...]:
    """The citations of a text block, as they came."""
    try:
        return () if isinstance(raw, UnsetType) or bytes(raw) == b"null" else tuple(_RAWS.decode(raw))
    except msgspec.DecodeError:
        return ()


class _Blocks:
    """The blocks of a list as they came, decoded when the first is asked for."""

    __slots__ = ("_list", "_opened")

    def __init__(self, opened: Callable[[], Raw]) -> None:
        self._opened = opened
        self._list: list[Raw] | None = None

    def __getitem__(self, index: int) -> Raw:
        if self._list is None:
            self._list = _RAWS.decode(self._opened())
        return self._list[index]

    def inside(self, index: int) -> "_Blocks":
        """The blocks that the block or message with this index holds as its `content`."""
        return _Blocks(lambda: _FIELDS.decode(self[index])["content"])


def _turns(body: wire.Request, fields: dict[str, Raw]) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    if system := _system(body.system):
        turns.append(SystemTurn(parts=system))
    # Results that only other results follow; they are one turn.
    results: list[ToolResult] = []
    raws = _Blocks(lambda: fields["messages"])
    for index, message in enumerate(body.messages):
        inner = raws.inside(index)
        told: Turn | None = None
        if message.role == "assistant":
            told = AssistantTurn(parts=_assistant_parts(message.content, inner))
        elif message.role != "system":
            told = _user(results, message.content, inner)
        elif parts := _system(message.content):
            told = SystemTurn(parts=parts)
        if told is not None:
            _close(turns, results)
            turns.append(told)
    _close(turns, results)
    return tuple(turns)


def _close(turns: list[Turn], results: list[ToolResult]) -> None:
    if results:
        turns.append(ToolTurn(results=tuple(results)))
        results.clear()


def _system(content: str | list[wire.Block] | None) -> tuple[Text, ...]:
    if isinstance(content, str):
        return (Text(text=content),) if content and not content.startswith(BILLING_HEADER) else ()
    return tuple(
        Text(text=block.text, cache=_mark(block))
        for block in content or ()
        if block.text and not block.text.startswith(BILLING_HEADER)
    )


def _user(results: list[ToolResult], content: str | list[wire.Block], raws: _Blocks) -> UserTurn | None:
    """The user's own words; what the message holds of results is added to `results`, and stands before them."""
    if isinstance(content, str):
        return UserTurn(parts=(Text(text=content),) if content else ())
    before = len(results)
    parts: list[UserPart] = []
    for index, block in enumerate(content):
        if block.type == "tool_result":
            results.append(_result(block, index, raws))
        else:
            parts += _user_parts(block, index, raws)
    return UserTurn(parts=tuple(parts)) if parts or len(results) == before else None


def _result(block: wire.Block, index: int, raws: _Blocks) -> ToolResult:
    content = block.content
    parts: list[ResultPart] = []
    if isinstance(content, str):
        parts += [Text(text=content)] if content else []
    elif isinstance(content, list):
        inner = raws.inside(index)
        for place, part in enumerate(content):
            parts += _user_parts(part, place, inner)
    return ToolResult(
        call_id=own_id(block.tool_use_id or ""),
        parts=tuple(parts),
        is_error=block.is_error is True,
        cache=_mark(block),
    )


def _user_parts(block: wire.Block, index: int, raws: _Blocks) -> list[UserPart]:
    source = block.source
    if block.type == "document" and isinstance(source, wire.Source) and isinstance(source.content, list):
        return _mixed(block, source.content) or [_user_part(block, index, raws)]
    return [_user_part(block, index, raws)]


def _mixed(block: wire.Block, content: list[wire.Block]) -> list[UserPart]:
    """A document of texts and pictures, piece by piece and in order; empty where it holds anything else."""
    parts: list[UserPart] = []
    for is_text, group in groupby(content, key=lambda inner: inner.type == "text"):
        if is_text:
            text = "\n\n".join(inner.text or "" for inner in group)
            parts.append(
                Document(
                    source=PlainText(text=text),
                    title=None if parts else block.title,
                    context=None if parts else block.context,
                    citations=_cites(block.citations),
                )
            )
            continue
        for inner in group:
            place = _source(inner.source) if inner.type == "image" and isinstance(inner.source, wire.Source) else None
            if place is None:
                return []
            parts.append(Image(source=place))
    return [*parts[:-1], replace(parts[-1], cache=_mark(block))] if parts else []


def _user_part(block: wire.Block, index: int, raws: _Blocks) -> UserPart:
    source = block.source
    match block.type:
        case "text":
            return Text(text=block.text or "", cache=_mark(block))
        case "image" if isinstance(source, wire.Source) and (place := _source(source)) is not None:
            return Image(source=place, cache=_mark(block))
        case "document" if isinstance(source, wire.Source) and (place := _source(source)) is not None:
            return Document(
                source=place,
                title=block.title,
                context=block.context,
                citations=_cites(block.citations),
                cache=_mark(block),
            )
        case "search_result" if isinstance(source, str) and isinstance(block.content, list):
            return SearchResult(
                source=source,
                title=block.title or "",
                content=tuple(part.text for part in block.content if part.text is not None),
                citations=_cites(block.citations),
                cache=_mark(block),
            )
        case _:
            return Opaque(format=FORMAT, data=raws[index])


def _source(source: wire.Source) -> Source | None:
    match source.type:
        case "base64":
            return Inline(mime_type=source.media_type or "application/octet-stream", data=source.data or "")
        case "url":
            return Link(url=source.url or "")
        case "file":
            return FileRef(file_id=source.file_id or "", format=FORMAT)
        case "text":
            return PlainText(text=source.data or "", mime_type=source.media_type or "text/plain")
        case "content":
            if isinstance(source.content, str):
                return PlainText(text=source.content)
            blocks = source.content or []
            texts = [block.text for block in blocks if block.type == "text" and block.text is not None]
            return PlainText(text="\n\n".join(texts)) if len(texts) == len(blocks) else None
        case _:
            return None


def _assistant_parts(content: str | list[wire.Block], raws: _Blocks) -> tuple[AssistantPart, ...]:
    if isinstance(content, str):
        return (Text(text=content),) if content else ()
    parts: list[AssistantPart] = []
    signatures: dict[str, str] = {}
    for index, block in enumerate(content):
        match block.type:
            case "text":
                notes = citations_of(block.citations)
                parts.append(
                    Text(
                        text=block.text or "",
                        cache=_mark(block),
                        annotations=notes,
                        format=FORMAT if notes else None,
                    )
                )
            case "thinking":
                parts.append(thinking_of(block.thinking or "", block.signature))
            case "redacted_thinking":
                data = block.data or ""
                if signed := uncarry_signature(data):
                    signatures[signed[0]] = signed[1]
                else:
                    parts.append(redacted_of(data))
            case "tool_use" if not isinstance(block.input, UnsetType):
                call = own_id(block.id or "")
                parts.append(
                    ToolCall(
                        id=call,
                        name=block.name or "",
                        input=arguments_of(block.input) or "{}",
                        signature=signatures.get(call),
                        cache=_mark(block),
                    )
                )
            case _:
                parts.append(Opaque(format=FORMAT, data=raws[index]))
    return tuple(parts)


def thinking_of(text: str, signature: str | None) -> Reasoning:
    """A thinking block: Anthropic's own, or another provider's that rode in its signature."""
    if signature is not None and (carried := uncarry(signature)) is not None:
        return replace(carried, text=text)
    return Reasoning(text=text, signature=signature or None, format=THOUGHT if signature else None)


def redacted_of(data: str) -> Reasoning:
    """A redacted thinking block, likewise."""
    return uncarry(data) or Reasoning(kind="encrypted", data=data, format=THOUGHT)


def _tools(body: wire.Request, fields: dict[str, Raw]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    raws = _Blocks(lambda: fields["tools"])
    for index, tool in enumerate(body.tools or ()):
        if tool.type in (None, "custom") and not isinstance(tool.input_schema, UnsetType):
            tools.append(
                FunctionTool(
                    name=tool.name or "",
                    description=tool.description,
                    parameters=tool.input_schema,
                    strict=tool.strict,
                    cache=_mark(tool),
                    extras={name: value for name in TOOL_FLAGS if (value := _kept(getattr(tool, name))) is not None},
                )
            )
        else:
            tools.append(ProviderTool(format=FORMAT, name=tool.name or tool.type or "", data=raws[index]))
    return tuple(tools)


def _choice(choice: wire.ToolChoice | None) -> ToolChoice | None:
    if choice is None:
        return None
    return NamedTool(choice.name or "") if choice.type == "tool" else _MODES[choice.type]


def _thinking(body: wire.Request) -> Thinking:
    effort = body.output_config.effort if body.output_config is not None else None
    told = body.thinking
    if told is None:
        return Thinking(effort=effort)
    mode: Any = told.type
    return Thinking(effort=effort, mode=mode, budget_tokens=told.budget_tokens, display=told.display)


def _response_format(config: wire.OutputConfig | None) -> ResponseFormat | None:
    form = config.format if config is not None else None
    return None if form is None else JsonSchema(name=SCHEMA_NAME, schema=_kept(form.schema), strict=True)


def _unknown_output(fields: dict[str, Raw]) -> tuple[str, ...]:
    told = loose(fields["output_config"]) if "output_config" in fields else None
    return tuple(f"output_config.{name}" for name in told if name not in _OUTPUT_CONFIG) if told else ()


def _kept(value: wire.Kept) -> Raw | None:
    return None if isinstance(value, UnsetType) or bytes(value) == b"null" else value


def _cites(raw: wire.Kept) -> bool | None:
    told = None if isinstance(raw, UnsetType) else loose(raw)
    enabled = told.get("enabled") if isinstance(told, dict) else None
    return enabled if isinstance(enabled, bool) else None


def _mark(marked: wire.Block | wire.Tool) -> CacheMark | None:
    return CacheMark(marked.cache_control.ttl) if marked.cache_control is not None else None
