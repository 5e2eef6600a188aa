"""Opens a Responses request: one strict look at it, before anything is decided or sent.

Everything wrong becomes a `MiraError` BAD_REQUEST that names the field as the client wrote it. Tools and items of
unknown types are taken as they are. What refers to earlier answers is looked up elsewhere (`memory`).
"""

from collections.abc import Iterable

import msgspec
from msgspec import UNSET, Raw, Struct

from mira.codecs.codec import Envelope
from mira.codecs.opening import opened
from mira.codecs.refusals import missing, not_json, refusal, wrong
from mira.codecs.responses import wire
from mira.errors import Kind, MiraError

#: OpenAI refuses smaller caps, and clients that probe with 1 mean no harm.
MIN_OUTPUT_CAP = 16
#: Tools are searched for by the client or by the provider.
CLIENT = "client"

_REQUEST = msgspec.json.Decoder(wire.Request)
_HEAD = msgspec.json.Decoder(wire.Head)
_ITEMS = {name: msgspec.json.Decoder(kind) for name, kind in wire.ITEMS.items()}
_TOOLS = {name: msgspec.json.Decoder(kind) for name, kind in wire.TOOLS.items()}
_TOOL_MODES = ("none", "auto", "required")
#: What is looked at more closely beside items and tools.
_SETTINGS = frozenset(("conversation", "background", "tool_choice", "text"))
_BRING_TOOLS = frozenset((wire.AdditionalTools, wire.SearchOutput))
_ONE_OF = {
    "role": "user, assistant, system or developer",
    "type": "a known type of content part (input_text, input_image, input_file, output_text, …)",
}


def open_request(body: bytes) -> Envelope:
    """Validates a body and opens it; MiraError BAD_REQUEST with `param` where it is wrong."""
    request, fields = opened(body, _REQUEST, _ONE_OF)
    try:
        items = _items(request)
        tools = [read_tool(raw, f"tools[{index}]") for index, raw in enumerate(request.tools or ())]
    except msgspec.DecodeError:
        # Of an item that was kept as bytes until now: a text in it with an escape that is none.
        raise not_json() from None
    if not _SETTINGS.isdisjoint(fields):
        _check(request)
    media_parts, media_bytes = _media(items)
    cap = request.max_output_tokens
    return Envelope(
        model=request.model,
        stream=request.stream is True,
        include_usage=True,
        output_cap=None if cap is None else max(cap, MIN_OUTPUT_CAP),
        choices=1,
        input_bytes=len(body) - media_bytes,
        media_parts=media_parts,
        uses_tools=bool(tools) or not _BRING_TOOLS.isdisjoint(map(type, items)),
        fields=fields,
        wire=wire.Opened(request=request, items=items, tools=tools),
    )


def read_item(raw: Raw, param: str) -> Struct:
    """An item by its type; MiraError BAD_REQUEST that names the field under `param`."""
    try:
        head = _HEAD.decode(raw)
        kind = head.type or ("message" if head.role is not None else "item_reference")
        decoder = _ITEMS.get(kind)
        if decoder is None:
            return wire.OtherItem(kind, raw)
        item = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise refusal(error, _ONE_OF, param) from None
    # What the provider found by itself is its own matter.
    if isinstance(item, wire.SearchCall) and item.execution != CLIENT:
        return wire.OtherItem(kind, raw)
    return item


def read_tool(raw: Raw, param: str) -> Struct:
    """A tool by its type; MiraError BAD_REQUEST that names the field under `param`."""
    try:
        kind = _HEAD.decode(raw).type
        if kind is None:
            missing(f"{param}.type")
        decoder = _TOOLS.get(kind)
        if decoder is None:
            return wire.OtherTool(kind, raw)
        tool = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise refusal(error, {}, param) from None
    if isinstance(tool, wire.SearchTool) and tool.execution != CLIENT:
        return wire.OtherTool(kind, raw)
    if isinstance(tool, wire.Namespace):
        for index, inner in enumerate(tool.tools):
            read_tool(inner, f"{param}.tools[{index}]")
    return tool


def is_told(value: wire.Kept) -> bool:
    """Whether a value kept as bytes is there and not null."""
    return value is not UNSET and bytes(value) != b"null"


def _items(request: wire.Request) -> list[Struct]:
    told = request.input
    if told is None or told == []:
        # Asked in this order: a body with neither misses its input.
        if request.previous_response_id is None and not is_told(request.prompt):
            missing("input")
        return []
    if isinstance(told, str):
        return [wire.Message(role="user", content=told)]
    items = [read_item(raw, f"input[{index}]") for index, raw in enumerate(told)]
    for index, item in enumerate(items):
        if isinstance(item, wire.SearchOutput | wire.AdditionalTools):
            for place, tool in enumerate(item.tools):
                read_tool(tool, f"input[{index}].tools[{place}]")
    return items


def _check(request: wire.Request) -> None:
    if is_told(request.conversation):
        raise _unsupported("conversation", "Conversations are not kept here; send the items or 'previous_response_id'.")
    if request.background:
        raise _unsupported("background", "Answers are not made in the background here; leave 'background' out.")
    choice = request.tool_choice
    if isinstance(choice, str):
        if choice not in _TOOL_MODES:
            wrong("tool_choice", "none, auto, required or an object")
    elif choice is not None:
        _check_choice(choice)
    form = request.text.format if request.text is not None else None
    if form is not None and form.type == "json_schema":
        if not form.name:
            missing("text.format.name")
        if not is_told(form.schema):
            missing("text.format.schema")


def _check_choice(choice: wire.ToolChoice) -> None:
    if choice.type in ("function", "custom") and not choice.name:
        missing("tool_choice.name")
    if choice.type != "allowed_tools":
        return
    if choice.mode not in ("auto", "required"):
        wrong("tool_choice.mode", "auto or required")
    if choice.tools is None:
        missing("tool_choice.tools")
    for index, tool in enumerate(choice.tools):
        if tool.type in ("function", "custom") and not tool.name:
            missing(f"tool_choice.tools[{index}].name")


def _unsupported(param: str, message: str) -> MiraError:
    return MiraError(Kind.UNSUPPORTED, message, param=param)


def _media(items: Iterable[Struct]) -> tuple[int, int]:
    """How many parts of the items are media, and how many bytes of the body they take."""
    parts = size = 0
    for item in items:
        if isinstance(item, wire.Message):
            content = item.content
        elif isinstance(item, wire.FunctionOutput):
            content = item.output
        else:
            continue
        for part in content if isinstance(content, list) else ():
            match part:
                case wire.InputImage():
                    parts += 1
                    size += _inline(part.image_url)
                case wire.InputFile():
                    parts += 1
                    size += len(part.file_data or "")
                case wire.InputAudio():
                    parts += 1
                    size += len(part.input_audio.data)
    return parts, size


def _inline(url: str | None) -> int:
    return len(url) if url is not None and url.startswith("data:") else 0
