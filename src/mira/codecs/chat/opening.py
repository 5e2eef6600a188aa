"""Opens a Chat Completions request: one strict look at it, before anything is decided or sent.

Everything wrong becomes a `MiraError` BAD_REQUEST that names the field as the client wrote it and what was expected,
never an echo of what was sent.
"""

from typing import Any

import msgspec

from mira.codecs.chat import wire
from mira.codecs.chat.wire import AssistantMessage, TextPart
from mira.codecs.codec import Envelope
from mira.codecs.opening import opened
from mira.codecs.refusals import missing, wrong

_REQUEST = msgspec.json.Decoder(wire.Request)
_TOOL_MODES = ("none", "auto", "required")
#: What is looked at more closely; most requests have none of it.
_OF_TOOLS = frozenset(("tools", "tool_choice", "response_format", "function_call", "functions"))

_ONE_OF = {
    "role": "developer, system, user, assistant, tool or function",
    "type": "a known type of content part (text, image_url, input_audio, file, …)",
}


def open_request(body: bytes) -> Envelope:
    """Validates a body and opens it; MiraError BAD_REQUEST with `param` where it is wrong."""
    request, fields = opened(body, _REQUEST, _ONE_OF)
    uses_tools = False
    if not _OF_TOOLS.isdisjoint(fields):
        _check_tools(request)
        uses_tools = bool(request.tools or request.functions)
    media_parts = media_bytes = 0
    for index, message in enumerate(request.messages):
        if type(message) is AssistantMessage and message.tool_calls:
            _check_calls(index, message.tool_calls)
        if type(message.content) is list:
            parts, size = _media(message.content)
            media_parts += parts
            media_bytes += size
    options = request.stream_options
    return Envelope(
        model=request.model,
        stream=request.stream is True,
        include_usage=options is not None and options.include_usage is True,
        output_cap=request.max_tokens if request.max_completion_tokens is None else output_cap(request),
        choices=request.n or 1,
        input_bytes=len(body) - media_bytes,
        media_parts=media_parts,
        uses_tools=uses_tools,
        fields=fields,
        wire=request,
    )


def output_cap(request: wire.Request) -> int | None:
    """The smaller of the two names of the cap, None where the client set neither."""
    old, new = request.max_tokens, request.max_completion_tokens
    if old is None or new is None:
        return new if old is None else old
    return min(old, new)


def _media(content: list[Any]) -> tuple[int, int]:
    """How many parts of a message are media, and how many bytes of the body they take."""
    parts = size = 0
    for part in content:
        if type(part) is TextPart:
            continue
        match part:
            case wire.ImagePart(image_url=place) | wire.VideoPart(video_url=place):
                parts += 1
                size += len(place.url) if place.url.startswith("data:") else 0
            case wire.AudioPart():
                parts += 1
                size += len(part.input_audio.data)
            case wire.FilePart():
                parts += 1
                size += len(part.file.file_data or "")
    return parts, size


def _check_tools(request: wire.Request) -> None:
    for index, tool in enumerate(request.tools or ()):
        if tool.type == "function" and tool.function is None:
            missing(f"tools[{index}].function")
        if tool.type == "custom" and tool.custom is None:
            missing(f"tools[{index}].custom")
    choice = request.tool_choice
    if isinstance(choice, str):
        if choice not in _TOOL_MODES:
            wrong("tool_choice", "none, auto, required or an object")
    elif choice is not None:
        _check_choice(choice)
    if isinstance(request.function_call, str) and request.function_call not in ("none", "auto"):
        wrong("function_call", "none, auto or an object with a name")
    form = request.response_format
    if form is not None and form.type == "json_schema" and form.json_schema is None:
        missing("response_format.json_schema")


def _check_choice(choice: wire.ToolChoice) -> None:
    if choice.type == "function" and choice.function is None:
        missing("tool_choice.function")
    if choice.type == "custom" and choice.custom is None:
        missing("tool_choice.custom")
    if choice.type != "allowed_tools":
        return
    allowed = choice.allowed_tools
    if allowed is None:
        missing("tool_choice.allowed_tools")
    if allowed.mode not in ("auto", "required"):
        wrong("tool_choice.allowed_tools.mode", "auto or required")


def _check_calls(place: int, calls: list[wire.Call]) -> None:
    for index, call in enumerate(calls):
        if call.function is None and call.custom is None:
            missing(f"messages[{place}].tool_calls[{index}].function")
