"""Chat Completions requests as clients send them: the types that validate a body while they decode it.

Only what Mira must understand is typed; fields that are not named here pass through untouched. Schemas stay `Raw`.
Source: the OpenAI API (2026-11) and what OpenRouter, DeepSeek and vLLM add to it.
"""

from typing import Annotated, Any, TypeAlias

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

Name: TypeAlias = Annotated[str, Meta(min_length=1)]
#: Each is looked for in all that a node writes, so there are not more of them, and not longer ones, than anyone needs.
Stop: TypeAlias = Annotated[str, Meta(max_length=1024)]
Cap: TypeAlias = Annotated[int, Meta(ge=1, le=2**31)]
Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)]
#: A value kept as its bytes; `Raw` cannot stand in a union with null, so null comes as the bytes "null".
Kept: TypeAlias = Raw | UnsetType


class CacheControl(Struct):
    """Anthropic's mark, which OpenRouter and OpenCode put on Chat Completions parts."""

    type: str = "ephemeral"
    ttl: str | None = None


class Marked(Struct, kw_only=True):
    """What may carry a cache mark, in either spelling."""

    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: Kept = UNSET


class TextPart(Marked, tag="text"):
    """Text."""

    text: str


class ImageUrl(Struct):
    """An address or a data URI."""

    url: Name
    detail: str | None = None


class ImagePart(Marked, tag="image_url"):
    """A picture."""

    image_url: ImageUrl


class InputAudio(Struct):
    """Base64 sound."""

    data: Name
    format: str


class AudioPart(Marked, tag="input_audio"):
    """A sound."""

    input_audio: InputAudio


class FileBody(Struct):
    """A file by id or as a data URI."""

    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class FilePart(Marked, tag="file"):
    """A document."""

    file: FileBody


class VideoPart(Marked, tag="video_url"):
    """A film, as OpenRouter and vLLM take it."""

    video_url: ImageUrl


class RefusalPart(Struct, tag="refusal"):
    """The model's earlier refusal."""

    refusal: str


class ThinkingPart(Struct, tag="thinking"):
    """Anthropic's thinking inside a Chat Completions history, as some clients keep it."""

    thinking: str | list[dict[str, Any]]
    signature: str | None = None


class RedactedPart(Struct, tag="redacted_thinking"):
    """Anthropic's encrypted thinking, likewise."""

    data: str


UserPart: TypeAlias = TextPart | ImagePart | AudioPart | FilePart | VideoPart
AssistantPart: TypeAlias = TextPart | ImagePart | RefusalPart | ThinkingPart | RedactedPart


class FunctionBody(Struct):
    """The call of a function; `arguments` is JSON text."""

    name: Name
    arguments: str | None = None


class CustomBody(Struct):
    """The call of a custom tool."""

    name: Name
    input: str | None = None


class Signed(Struct):
    """Google's thought signature."""

    thought_signature: str | None = None


class ExtraContent(Struct):
    """What Google's compatible endpoint puts beside a call."""

    google: Signed | None = None


class Call(Marked, kw_only=True):
    """A tool call in an assistant message."""

    id: Name
    type: str = "function"
    function: FunctionBody | None = None
    custom: CustomBody | None = None
    extra_content: ExtraContent | None = None


class Detail(Struct, kw_only=True):
    """An entry of `reasoning_details`, as OpenRouter writes them."""

    type: str
    text: str | None = None
    summary: str | None = None
    data: str | None = None
    signature: str | None = None
    id: str | None = None
    format: str | None = None
    index: int | None = None


class SystemMessage(Struct, tag_field="role", tag="system", kw_only=True):
    """Instructions."""

    content: str | list[TextPart]
    name: str | None = None
    cache_control: CacheControl | None = None


class DeveloperMessage(Struct, tag_field="role", tag="developer", kw_only=True):
    """Instructions, as newer OpenAI models name them."""

    content: str | list[TextPart]
    name: str | None = None
    cache_control: CacheControl | None = None


class UserMessage(Struct, tag_field="role", tag="user", kw_only=True):
    """The user's words."""

    content: str | list[UserPart]
    name: str | None = None
    cache_control: CacheControl | None = None


class AssistantMessage(Struct, tag_field="role", tag="assistant", kw_only=True):
    """The model's earlier words."""

    content: str | list[AssistantPart] | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: FunctionBody | None = None
    audio: Kept = UNSET
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    name: str | None = None
    cache_control: CacheControl | None = None


class ToolMessage(Struct, tag_field="role", tag="tool", kw_only=True):
    """What a tool answered. OpenAI takes text parts only, others more."""

    tool_call_id: Name
    content: str | list[UserPart]
    name: str | None = None
    cache_control: CacheControl | None = None


class FunctionMessage(Struct, tag_field="role", tag="function", kw_only=True):
    """What a legacy function answered."""

    name: Name
    content: str | None = None


Message: TypeAlias = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage


class Function(Struct, kw_only=True):
    """The definition of a function; `parameters` is a JSON Schema."""

    name: Name
    description: str | None = None
    parameters: Kept = UNSET
    strict: bool | None = None


class GrammarBody(Struct):
    """A grammar's text."""

    syntax: str
    definition: str


class CustomFormat(Struct):
    """What a custom tool takes: text or a grammar."""

    type: str
    grammar: GrammarBody | None = None


class Custom(Struct, kw_only=True):
    """The definition of a custom tool."""

    name: Name
    description: str | None = None
    format: CustomFormat | None = None


class Tool(Struct, kw_only=True):
    """A tool; types beside function and custom belong to the node."""

    type: str
    function: Function | None = None
    custom: Custom | None = None
    cache_control: CacheControl | None = None


class Named(Struct):
    """A name."""

    name: Name


class ToolRef(Struct, kw_only=True):
    """A tool named in a choice."""

    type: str
    function: Named | None = None
    custom: Named | None = None


class Allowed(Struct):
    """The tools that may be called."""

    mode: str
    tools: list[ToolRef]


class ToolChoice(Struct, kw_only=True):
    """A choice of tools that is more than a word."""

    type: str
    function: Named | None = None
    custom: Named | None = None
    allowed_tools: Allowed | None = None


class SchemaBody(Struct, kw_only=True):
    """A named schema for the answer."""

    name: Name
    schema: Kept = UNSET
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(Struct, kw_only=True):
    """The form of the answer; types beside OpenAI's three belong to the node."""

    type: str
    json_schema: SchemaBody | None = None


class StreamOptions(Struct):
    """Options of a stream."""

    include_usage: bool | None = None


class ReasoningOptions(Struct, kw_only=True):
    """OpenRouter's form of reasoning settings."""

    effort: str | None = None
    max_tokens: int | None = None
    enabled: bool | None = None
    summary: str | None = None


class Request(Struct, kw_only=True):
    """The body of `POST /v1/chat/completions`."""

    model: Name
    messages: Annotated[list[Message], Meta(min_length=1)]
    max_tokens: Cap | None = None
    max_completion_tokens: Cap | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: int | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: int | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    stop: Stop | Annotated[list[Stop], Meta(max_length=64)] | None = None
    reasoning_effort: str | None = None
    reasoning: ReasoningOptions | None = None
    verbosity: str | None = None
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Function] | None = None
    function_call: str | Named | None = None
    user: str | None = None
    safety_identifier: str | None = None
    store: bool | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
