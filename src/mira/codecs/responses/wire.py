"""Responses requests and items as clients and nodes write them: the types that validate a body while they decode it.

Only what Mira must understand is typed; fields that are not named here pass through untouched. Items and tools are told
apart by `type`, and types that are unknown stay as their bytes: the protocol grows by new ones.
Source: the OpenAI API (2026-11) and the types of its Python SDK.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

#: What this protocol calls the fields that codecs name as Chat Completions does.
WORDS = {
    "messages": "input",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
}

Name: TypeAlias = Annotated[str, Meta(min_length=1)]
Cap: TypeAlias = Annotated[int, Meta(ge=1, le=2**31)]
#: A value kept as its bytes; `Raw` cannot stand in a union with null, so null comes as the bytes "null".
Kept: TypeAlias = Raw | UnsetType


# Parts of a message


class Breakpoint(Struct):
    """The prompt up to here is worth caching."""

    ttl: str | None = None


class Marked(Struct, kw_only=True):
    """What may carry a cache mark."""

    prompt_cache_breakpoint: Breakpoint | None = None


class InputText(Marked, tag="input_text"):
    """Text towards the model."""

    text: str


class InputImage(Marked, tag="input_image"):
    """A picture by address, data URI or file id."""

    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None


class InputFile(Marked, tag="input_file"):
    """A document as data, by address or by file id."""

    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None


class AudioBody(Struct):
    """Base64 sound."""

    data: Name
    format: str


class InputAudio(Marked, tag="input_audio"):
    """A sound."""

    input_audio: AudioBody


class OutputText(Struct, tag="output_text"):
    """Text that the model wrote."""

    text: str
    annotations: list[Raw] | None = None


class RefusalPart(Struct, tag="refusal"):
    """The model's words where it declines."""

    refusal: str


Part: TypeAlias = InputText | InputImage | InputFile | InputAudio | OutputText | RefusalPart


# Items


class Head(Struct):
    """What tells items and tools apart."""

    type: str | None = None
    role: str | None = None


class Message(Struct, kw_only=True):
    """A message; the model's own ones hold `output_text` and `refusal`."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Part]
    id: str | None = None


class Thought(Struct):
    """A piece of a summary or of the reasoning itself."""

    text: str


class ReasoningItem(Struct, kw_only=True):
    """What the model thought, mostly in a form that only its provider reads."""

    id: str | None = None
    summary: list[Thought] | None = None
    content: list[Thought] | None = None
    encrypted_content: str | None = None


class FunctionCall(Struct, kw_only=True):
    """The call of a function; `arguments` is JSON text."""

    call_id: Name
    name: Name
    arguments: str | None = None
    namespace: str | None = None
    id: str | None = None


class CustomCall(Struct, kw_only=True):
    """The call of a free-form tool."""

    call_id: Name
    name: Name
    input: str | None = None
    namespace: str | None = None
    id: str | None = None


class FunctionOutput(Struct, kw_only=True):
    """What a function answered."""

    output: str | list[Part]
    call_id: Name | None = None


class CustomOutput(FunctionOutput, kw_only=True):
    """What a free-form tool answered."""


class SearchCall(Struct, kw_only=True):
    """The model looks for tools; `arguments` is an object. The client runs it where `execution` says so."""

    arguments: Kept = UNSET
    call_id: str | None = None
    execution: str | None = None


class SearchOutput(Struct, kw_only=True):
    """The tools that were found; from here on they may be called."""

    tools: list[Raw]
    call_id: str | None = None
    execution: str | None = None


class AdditionalTools(Struct, kw_only=True):
    """Tools given among the items (Codex)."""

    tools: list[Raw]


class ItemReference(Struct, kw_only=True):
    """An item that was answered before."""

    id: Name


class OtherItem(Struct):
    """An item of a type that only this protocol knows, as it came; `type` is its name."""

    type: str
    data: Raw


Item: TypeAlias = (
    Message
    | ReasoningItem
    | FunctionCall
    | CustomCall
    | FunctionOutput
    | SearchCall
    | SearchOutput
    | AdditionalTools
    | ItemReference
    | OtherItem
)
ITEMS: dict[str, type[Struct]] = {
    "message": Message,
    "reasoning": ReasoningItem,
    "function_call": FunctionCall,
    "custom_tool_call": CustomCall,
    "function_call_output": FunctionOutput,
    "custom_tool_call_output": CustomOutput,
    "tool_search_call": SearchCall,
    "tool_search_output": SearchOutput,
    "additional_tools": AdditionalTools,
    "item_reference": ItemReference,
}


# Tools


class FunctionTool(Struct, kw_only=True):
    """The definition of a function; `parameters` is a JSON Schema."""

    name: Name
    description: str | None = None
    parameters: Kept = UNSET
    strict: bool | None = None
    defer_loading: bool | None = None


class CustomFormat(Struct):
    """What a free-form tool takes: text or a grammar."""

    type: str
    syntax: str | None = None
    definition: str | None = None


class CustomTool(Struct, kw_only=True):
    """The definition of a free-form tool."""

    name: Name
    description: str | None = None
    format: CustomFormat | None = None


class Namespace(Struct, kw_only=True):
    """Tools under one name."""

    name: Name
    tools: list[Raw]
    description: str | None = None


class SearchTool(Struct, kw_only=True):
    """The tool that finds tools; the client runs it where `execution` is "client"."""

    description: str | None = None
    execution: str | None = None
    parameters: Kept = UNSET


class OtherTool(Struct):
    """A tool that the provider runs, as it came; `type` is its name."""

    type: str
    data: Raw


TOOLS: dict[str, type[Struct]] = {
    "function": FunctionTool,
    "custom": CustomTool,
    "namespace": Namespace,
    "tool_search": SearchTool,
}


class ToolRef(Struct, kw_only=True):
    """A tool named in a choice."""

    type: str
    name: str | None = None
    namespace: str | None = None


class ToolChoice(ToolRef, kw_only=True):
    """A choice of tools that is more than a word."""

    mode: str | None = None
    tools: list[ToolRef] | None = None


# The request


class Format(Struct, kw_only=True):
    """The form of the answer."""

    type: str
    name: str | None = None
    schema: Kept = UNSET
    strict: bool | None = None
    description: str | None = None


class TextOptions(Struct, kw_only=True):
    """How the answer is written."""

    format: Format | None = None
    verbosity: str | None = None


class ReasoningOptions(Struct, kw_only=True):
    """How much the model thinks, and what of it is shown."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class Request(Struct, kw_only=True):
    """The body of `POST /v1/responses`."""

    model: Name
    input: str | list[Raw] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: Kept = UNSET
    prompt: Kept = UNSET
    max_output_tokens: Cap | None = None
    max_tool_calls: int | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    include: list[str] | None = None
    reasoning: ReasoningOptions | None = None
    text: TextOptions | None = None
    tools: list[Raw] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    truncation: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None


class Opened(Struct):
    """A validated body: the request, its items and its tools."""

    request: Request
    items: list[Struct]
    tools: list[Struct]
