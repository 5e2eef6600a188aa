"""Messages requests as clients send them: the types that validate a body while they decode it.

Only what Mira must understand is typed; fields and kinds of blocks that are not named here pass through untouched.
Source: the Anthropic API, versions 2023-06-01 and 2026-10-21.
"""

from typing import Annotated, Any, TypeAlias

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

#: The format of blocks, tools, files and citations that only this protocol knows.
FORMAT = "anthropic"
#: The format of thinking that Anthropic's models signed or encrypted.
THOUGHT = "anthropic-claude-v1"
#: The name of the protocol.
NAME = "messages"

#: What this protocol calls the fields that codecs name as Chat Completions does.
WORDS = {
    "stop": "stop_sequences",
    "response_format": "output_config.format",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "reasoning_effort": "thinking",
    "reasoning": "thinking",
}

Name: TypeAlias = Annotated[str, Meta(min_length=1)]
#: 0 warms the cache and answers nothing.
#: As under Chat Completions, and for the same reason.
Stop: TypeAlias = Annotated[str, Meta(max_length=1024)]
Cap: TypeAlias = Annotated[int, Meta(ge=0, le=2**31)]
#: A value kept as its bytes; `Raw` cannot stand in a union with null, so null comes as the bytes "null".
Kept: TypeAlias = Raw | UnsetType


class CacheControl(Struct):
    """The prompt up to here is worth caching."""

    type: str = "ephemeral"
    ttl: str | None = None


class Source(Struct, kw_only=True):
    """Where media come from: `type` is base64, url, file, text or content."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: "str | list[Block] | None" = None


class Block(Struct, kw_only=True):
    """A block of content of any kind; which fields it must have depends on `type`."""

    type: str
    text: str | None = None
    cache_control: CacheControl | None = None
    citations: Kept = UNSET
    source: str | Source | None = None
    title: str | None = None
    context: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Kept = UNSET
    tool_use_id: str | None = None
    content: "str | list[Block] | dict[str, Any] | None" = None
    is_error: bool | None = None


class Message(Struct, kw_only=True):
    """What one side said; instructions may stand in mid-conversation under the role `system`."""

    role: str
    content: str | list[Block]


class Tool(Struct, kw_only=True):
    """A tool; types beside `custom` are Anthropic's own."""

    type: str | None = None
    name: str | None = None
    description: str | None = None
    input_schema: Kept = UNSET
    strict: bool | None = None
    cache_control: CacheControl | None = None
    eager_input_streaming: Kept = UNSET
    defer_loading: Kept = UNSET
    input_examples: Kept = UNSET
    allowed_callers: Kept = UNSET


class ToolChoice(Struct, kw_only=True):
    """Whether tools may, must or must not be called: `type` is auto, any, tool or none."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Struct, kw_only=True):
    """How the model thinks: `type` is enabled, adaptive, disabled or between_tools."""

    type: str
    budget_tokens: Annotated[int, Meta(ge=1024, le=2**31)] | None = None
    display: str | None = None


class OutputFormat(Struct, kw_only=True):
    """The form of the answer."""

    type: str
    schema: Kept = UNSET


class OutputConfig(Struct, kw_only=True):
    """How the answer is made."""

    effort: str | None = None
    format: OutputFormat | None = None


class Metadata(Struct, kw_only=True):
    """What the client says of its user."""

    user_id: str | None = None


class Request(Struct, kw_only=True):
    """The body of `POST /v1/messages`."""

    model: Name
    messages: Annotated[list[Message], Meta(min_length=1)]
    max_tokens: Cap | None = None
    system: str | list[Block] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    stop_sequences: Annotated[list[Stop], Meta(max_length=64)] | None = None
    stream: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31)] | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    metadata: Metadata | None = None
    service_tier: str | None = None
