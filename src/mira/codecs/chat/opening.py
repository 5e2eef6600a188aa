"""Opens a Chat Completions request: one strict look at it, before anything is decided or sent.

Everything wrong becomes a `MiraError` BAD_REQUEST that names the field as the client wrote it and what was expected,
never an echo of what was sent.
"""

import re
from typing import Any, NoReturn

import msgspec
from msgspec import Raw

from mira.codecs.chat import wire
from mira.codecs.codec import Envelope
from mira.errors import Kind, MiraError

#: Deeper nesting serves nobody and breaks recursive parsers behind us.
MAX_DEPTH = 64
#: Top-level names that begin so are Mira's own and never leave it.
OWN_PREFIX = "mira"

_REQUEST = msgspec.json.Decoder(wire.Request)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_TOOL_MODES = ("none", "auto", "required")

_AT = re.compile(r"^(.*?)(?: - at `(.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(\w+)`")
_EXPECTED = re.compile(r"^Expected (.*?)(?:, got `(.*)`)?$", re.DOTALL)
_WORDS = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_ONE_OF = {
    "role": "developer, system, user, assistant, tool or function",
    "type": "a known type of content part (text, image_url, input_audio, file, …)",
}


def open_request(body: bytes) -> Envelope:
    """Validates a body and opens it; MiraError BAD_REQUEST with `param` where it is wrong."""
    try:
        if not body.isascii():
            body.decode()
        request = _REQUEST.decode(body)
        fields = _FIELDS.decode(body)
    except msgspec.ValidationError as error:
        raise _refusal(error) from None
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MiraError(Kind.BAD_REQUEST, "The body is not valid JSON in UTF-8.") from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _deeper_than(body, MAX_DEPTH):
        raise _too_deep()
    if request.tools or request.tool_choice or request.response_format or request.function_call:
        _check_tools(request)
    media_parts = media_bytes = 0
    for index, message in enumerate(request.messages):
        if type(message) is wire.AssistantMessage and message.tool_calls:
            _check_calls(index, message.tool_calls)
        if type(message.content) is list:
            parts, size = _media(message.content)
            media_parts += parts
            media_bytes += size
    for name in list(fields):
        if name.startswith(OWN_PREFIX):
            del fields[name]
    options = request.stream_options
    return Envelope(
        model=request.model,
        stream=request.stream is True,
        include_usage=options is not None and options.include_usage is True,
        output_cap=output_cap(request),
        choices=request.n or 1,
        input_bytes=len(body) - media_bytes,
        media_parts=media_parts,
        uses_tools=bool(request.tools or request.functions),
        fields=fields,
        wire=request,
    )


def output_cap(request: wire.Request) -> int | None:
    """The smaller of the two names of the cap, None where the client set neither."""
    old, new = request.max_tokens, request.max_completion_tokens
    if old is None or new is None:
        return new if old is None else old
    return min(old, new)


def _deeper_than(body: bytes, levels: int) -> bool:
    # Brackets in strings mostly come in pairs, as the real ones do, so the cheap look settles nearly every body.
    if _vanishes(body, levels):
        return False
    # The body is valid JSON by now, so a backslash stands only in strings and every second piece is outside of them.
    pieces = body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    return not _vanishes(b"".join(pieces[::2]), levels)


def _vanishes(text: bytes, levels: int) -> bool:
    brackets = text.translate(_ONE_KIND, _NOT_BRACKETS)
    while brackets and levels:
        brackets = brackets.replace(b"[]", b"")
        levels -= 1
    return not brackets


def _media(content: list[Any]) -> tuple[int, int]:
    """How many parts of a message are media, and how many bytes of the body they take."""
    parts = size = 0
    for part in content:
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
            _missing(f"tools[{index}].function")
        if tool.type == "custom" and tool.custom is None:
            _missing(f"tools[{index}].custom")
    choice = request.tool_choice
    if isinstance(choice, str):
        if choice not in _TOOL_MODES:
            _wrong("tool_choice", "none, auto, required or an object")
    elif choice is not None:
        _check_choice(choice)
    if isinstance(request.function_call, str) and request.function_call not in ("none", "auto"):
        _wrong("function_call", "none, auto or an object with a name")
    form = request.response_format
    if form is not None and form.type == "json_schema" and form.json_schema is None:
        _missing("response_format.json_schema")


def _check_choice(choice: wire.ToolChoice) -> None:
    if choice.type == "function" and choice.function is None:
        _missing("tool_choice.function")
    if choice.type == "custom" and choice.custom is None:
        _missing("tool_choice.custom")
    if choice.type != "allowed_tools":
        return
    allowed = choice.allowed_tools
    if allowed is None:
        _missing("tool_choice.allowed_tools")
    if allowed.mode not in ("auto", "required"):
        _wrong("tool_choice.allowed_tools.mode", "auto or required")


def _check_calls(place: int, calls: list[wire.Call]) -> None:
    for index, call in enumerate(calls):
        if call.function is None and call.custom is None:
            _missing(f"messages[{place}].tool_calls[{index}].function")


def _missing(param: str) -> NoReturn:
    raise MiraError(Kind.BAD_REQUEST, f"Missing required field: '{param}'.", param=param)


def _wrong(param: str, expected: str) -> NoReturn:
    raise MiraError(Kind.BAD_REQUEST, f"Invalid '{param}': expected {expected}.", param=param)


def _too_deep() -> MiraError:
    return MiraError(Kind.BAD_REQUEST, f"The body is nested deeper than {MAX_DEPTH} levels.")


def _refusal(error: msgspec.ValidationError) -> MiraError:
    found = _AT.match(str(error))
    problem, path = (found[1], found[2] or "") if found else ("", "")
    param = path.removeprefix("$").removeprefix(".").split("[...]")[0]
    if missing := _MISSING.search(problem):
        field = f"{param}.{missing[1]}" if param else missing[1]
        return MiraError(Kind.BAD_REQUEST, f"Missing required field: '{field}'.", param=field)
    if expected := _EXPECTED.match(problem):
        words = _in_words(expected[1]) + (f", got {_in_words(expected[2])}" if expected[2] else "")
    elif problem.startswith("Invalid value"):
        words = _ONE_OF.get(param.rpartition(".")[2], "a known value")
    else:
        words = "a number within range"
    if not param:
        return MiraError(Kind.BAD_REQUEST, f"Invalid body: expected {words}.")
    return MiraError(Kind.BAD_REQUEST, f"Invalid '{param}': expected {words}.", param=param)


def _in_words(types: str) -> str:
    head, tick, tail = types.lstrip("`").partition("`")
    return " or ".join(_WORDS.get(name, name) for name in head.split(" | ")) + (tail if tick else "")
