"""A model request and its answer in Mira's own typed form, which loses nothing that a protocol can say.

Every union here is tagged by its class, so that code reads it with `match`. What belongs to one provider and means
nothing to others (signatures, encrypted reasoning, server tool results) is kept as it came, with the name of its
format beside it: a codec renders such data only where the format is its own.
"""

from enum import Enum
from typing import Literal, TypeAlias

from msgspec import Raw, Struct

from mira.core.usage import Usage


class CacheMark(Struct, frozen=True):
    """The prompt up to and including the marked piece is worth caching; `ttl` as the client wrote it ("5m", "1h")."""

    ttl: str | None = None


# Where media come from


class Inline(Struct, frozen=True, tag=True):
    """Media inside the request: base64 `data` of the given MIME type."""

    mime_type: str
    data: str


class Link(Struct, frozen=True, tag=True):
    """Media behind a URL."""

    url: str


class FileRef(Struct, frozen=True, tag=True):
    """A file uploaded before; `format` names whose id it is ("openai", "anthropic", "mira")."""

    file_id: str
    format: str


class PlainText(Struct, frozen=True, tag=True):
    """A document given as text."""

    text: str
    mime_type: str = "text/plain"


Source: TypeAlias = Inline | Link | FileRef | PlainText


# Parts of a turn


class Text(Struct, frozen=True, tag=True, kw_only=True):
    """Plain text. `annotations` are citations in the form that `format` names; `signature` is Gemini's."""

    text: str
    cache: CacheMark | None = None
    annotations: tuple[Raw, ...] = ()
    format: str | None = None
    signature: str | None = None


class Image(Struct, frozen=True, tag=True, kw_only=True):
    """A picture; `detail` is low, high, original or auto."""

    source: Source
    detail: str | None = None
    cache: CacheMark | None = None


class Audio(Struct, frozen=True, tag=True, kw_only=True):
    """A sound: base64 `data` in `encoding` ("wav", "mp3")."""

    data: str
    encoding: str
    cache: CacheMark | None = None


class Document(Struct, frozen=True, tag=True, kw_only=True):
    """A file to read. `title` is its name; `context` and `citations` are Anthropic's; `media` tells films apart."""

    source: Source
    media: Literal["document", "video"] = "document"
    title: str | None = None
    context: str | None = None
    citations: bool | None = None
    cache: CacheMark | None = None


class SearchResult(Struct, frozen=True, tag=True, kw_only=True):
    """A passage that the caller found, to be cited by its source."""

    source: str
    title: str
    content: tuple[str, ...]
    citations: bool | None = None
    cache: CacheMark | None = None


class Reasoning(Struct, frozen=True, tag=True, kw_only=True):
    """One block of thinking, in its place among the parts.

    `kind`: "text" (with a `signature` where the provider signs it), "summary", or "encrypted" (`data` holds what only
    the provider reads; Anthropic calls it redacted). `format` names whose signature or ciphertext it is
    ("anthropic-claude-v1", "openai-responses-v1", "google-gemini-v1"), None where unsigned. A block goes back byte for
    byte to a node of its format, and nowhere else.
    """

    kind: Literal["text", "summary", "encrypted"] = "text"
    text: str = ""
    signature: str | None = None
    data: str | None = None
    format: str | None = None
    id: str | None = None


class ToolCall(Struct, frozen=True, tag=True, kw_only=True):
    """The model calls a tool. `input` is the arguments' JSON text as it came, or the bare text of a custom tool.

    `namespace` is that of the Responses protocol; `signature` is Gemini's thought signature.
    """

    id: str
    name: str
    input: str
    kind: Literal["function", "custom"] = "function"
    namespace: str | None = None
    signature: str | None = None
    cache: CacheMark | None = None


class Refusal(Struct, frozen=True, tag=True):
    """The model's words where it declines."""

    text: str


class Opaque(Struct, frozen=True, tag=True):
    """A block that only the protocol `format` knows, as it came (server tools, compaction, generated audio)."""

    format: str
    data: Raw


ResultPart: TypeAlias = Text | Image | Audio | Document | SearchResult | Opaque


class ToolResult(Struct, frozen=True, tag=True, kw_only=True):
    """What a tool answered to the call `call_id`. `name` where the protocol tells it."""

    call_id: str
    parts: tuple[ResultPart, ...]
    is_error: bool = False
    kind: Literal["function", "custom"] = "function"
    name: str | None = None
    cache: CacheMark | None = None


UserPart: TypeAlias = Text | Image | Audio | Document | SearchResult | Opaque
AssistantPart: TypeAlias = Text | Image | Reasoning | ToolCall | Refusal | Opaque


# Turns


class SystemTurn(Struct, frozen=True, tag=True, kw_only=True):
    """Instructions, leading or in mid-conversation; `developer` where the protocol tells the two apart."""

    parts: tuple[Text, ...]
    developer: bool = False
    name: str | None = None


class UserTurn(Struct, frozen=True, tag=True, kw_only=True):
    """What the user said."""

    parts: tuple[UserPart, ...]
    name: str | None = None


class AssistantTurn(Struct, frozen=True, tag=True, kw_only=True):
    """What the model said, in the order in which it said it."""

    parts: tuple[AssistantPart, ...]
    name: str | None = None


class ToolTurn(Struct, frozen=True, tag=True, kw_only=True):
    """A run of tool results. Two ToolTurns never follow each other: a codec that parses joins them.

    Anthropic puts the results and the user's next words into one message; here they are a ToolTurn and a UserTurn.
    """

    results: tuple[ToolResult, ...]


Turn: TypeAlias = SystemTurn | UserTurn | AssistantTurn | ToolTurn


# Tools


class FunctionTool(Struct, frozen=True, tag=True, kw_only=True):
    """A function with a JSON Schema, kept as the bytes it came in. `extras` are provider flags by name."""

    name: str
    description: str | None = None
    parameters: Raw | None = None
    strict: bool | None = None
    namespace: str | None = None
    cache: CacheMark | None = None
    extras: dict[str, Raw] = {}


class Grammar(Struct, frozen=True):
    """What a custom tool's input must match; `syntax` is lark or regex."""

    syntax: str
    definition: str


class CustomTool(Struct, frozen=True, tag=True, kw_only=True):
    """A tool whose input is free text, or text of a grammar."""

    name: str
    description: str | None = None
    grammar: Grammar | None = None
    namespace: str | None = None
    cache: CacheMark | None = None


class ProviderTool(Struct, frozen=True, tag=True, kw_only=True):
    """A tool that the provider runs (web search, code execution), as it came in the protocol `format`."""

    format: str
    name: str
    data: Raw


Tool: TypeAlias = FunctionTool | CustomTool | ProviderTool


class NamedTool(Struct, frozen=True, tag=True):
    """Exactly this tool must be called."""

    name: str
    kind: Literal["function", "custom"] = "function"
    namespace: str | None = None


class AllowedTools(Struct, frozen=True, tag=True):
    """Only these tools may be called; `mode` says whether one must be."""

    mode: Literal["auto", "required"]
    tools: tuple[NamedTool, ...]


class ToolMode(Enum):
    """Whether tools may, must or must not be called."""

    AUTO = "auto"
    REQUIRED = "required"
    NONE = "none"


ToolChoice: TypeAlias = ToolMode | NamedTool | AllowedTools


# Settings


class Sampling(Struct, frozen=True, kw_only=True):
    """How tokens are drawn; None means that the client said nothing."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    n: int | None = None
    stop: tuple[str, ...] = ()


class Thinking(Struct, frozen=True, kw_only=True):
    """How much the model thinks before it answers.

    `effort` is none, minimal, low, medium, high, xhigh or max. `mode` is Anthropic's (enabled with `budget_tokens`,
    adaptive, disabled, between_tools); `display` and `summary` say what of it is shown.
    """

    effort: str | None = None
    mode: Literal["enabled", "adaptive", "disabled", "between_tools"] | None = None
    budget_tokens: int | None = None
    display: str | None = None
    summary: str | None = None


class JsonObject(Struct, frozen=True, tag=True):
    """The answer must be some JSON object."""


class JsonSchema(Struct, frozen=True, tag=True, kw_only=True):
    """The answer must match the schema, which is kept as the bytes it came in."""

    name: str
    schema: Raw | None = None
    strict: bool | None = None
    description: str | None = None


ResponseFormat: TypeAlias = JsonObject | JsonSchema


class Notes(Struct, frozen=True, kw_only=True):
    """What a client says beside the conversation: it never changes the meaning of the answer."""

    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    verbosity: str | None = None


class Conversation(Struct, frozen=True, kw_only=True):
    """One request to a model.

    `output_cap` is in tokens. `response_format` None means plain text. `extras` are top-level fields that only the
    protocol `origin` knows, as they came (`prediction`, `web_search_options`, `context_management`): a codec of another
    name reports or refuses them. `unknown` names top-level fields that no codec knows. `legacy_functions`: the client
    speaks the old `functions` of Chat Completions, and its answer must too.
    """

    model: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output_cap: int | None = None
    stream: bool = False
    include_usage: bool = False
    sampling: Sampling = Sampling()
    thinking: Thinking = Thinking()
    response_format: ResponseFormat | None = None
    notes: Notes = Notes()
    origin: str = ""
    extras: dict[str, Raw] = {}
    unknown: tuple[str, ...] = ()
    legacy_functions: bool = False


# Answers


class FinishReason(Enum):
    """Why the model stopped. A failure is no reason: it is a `MiraError`."""

    STOP = "stop"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    CONTEXT_FULL = "context_full"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    PAUSE = "pause"


class Choice(Struct, frozen=True, kw_only=True):
    """One of the answers asked for. `logprobs` is the Chat Completions form, as it came."""

    index: int = 0
    parts: tuple[AssistantPart, ...] = ()
    finish: FinishReason = FinishReason.STOP
    stop_sequence: str | None = None
    logprobs: Raw | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """A whole answer. `id` is the node's own, `usage` None where the node told none."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    service_tier: str | None = None
