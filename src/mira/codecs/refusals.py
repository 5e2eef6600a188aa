"""How a codec refuses a body: by the field's name in the client's own words, without an echo of what was sent.

Shared by the codecs that clients speak. msgspec says what is wrong where (`Expected …` - at `$.a[...]`); here that
becomes a `MiraError` BAD_REQUEST.
"""

import re
from collections.abc import Mapping
from typing import NoReturn

import msgspec

from mira.codecs.lenient import loose
from mira.core.conversation import Conversation
from mira.errors import Kind, MiraError

#: Deeper nesting serves nobody and breaks recursive parsers behind us.
MAX_DEPTH = 64

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
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


def refusal(error: msgspec.ValidationError, one_of: Mapping[str, str], inside: str = "") -> MiraError:
    """The refusal of a value that does not fit; `one_of` lists by field the words that a tag may be.

    `inside` is the path of the value that was decoded, where it was not the whole body.
    """
    found = _AT.match(str(error))
    problem, path = (found[1], found[2] or "") if found else ("", "")
    path = path.removeprefix("$").split("[...]")[0]
    param = f"{inside}{path}" if inside else path.removeprefix(".")
    if missed := _MISSING.search(problem):
        field = f"{param}.{missed[1]}" if param else missed[1]
        return MiraError(Kind.BAD_REQUEST, f"Missing required field: '{field}'.", param=field)
    if expected := _EXPECTED.match(problem):
        words = _in_words(expected[1]) + (f", got {_in_words(expected[2])}" if expected[2] else "")
    elif problem.startswith("Invalid"):
        words = one_of.get(param.rpartition(".")[2], "a known value")
    else:
        words = "a number within range"
    if not param:
        return MiraError(Kind.BAD_REQUEST, f"Invalid body: expected {words}.")
    return MiraError(Kind.BAD_REQUEST, f"Invalid '{param}': expected {words}.", param=param)


def missing(param: str) -> NoReturn:
    """Refuses a body that lacks a field."""
    raise MiraError(Kind.BAD_REQUEST, f"Missing required field: '{param}'.", param=param)


def wrong(param: str, expected: str) -> NoReturn:
    """Refuses a value that is not what was expected."""
    raise MiraError(Kind.BAD_REQUEST, f"Invalid '{param}': expected {expected}.", param=param)


def unsupported(message: str, param: str = "messages") -> MiraError:
    """The refusal of what a model or a protocol has no way to take, where leaving it out would change the answer."""
    return MiraError(Kind.UNSUPPORTED, message, param=param)


def refuse_modalities(conversation: Conversation) -> None:
    """Refuses a request of Chat Completions for sound or pictures, where the node answers in text alone."""
    told = loose(conversation.extras["modalities"]) if "modalities" in conversation.extras else None
    if isinstance(told, list) and any(kind != "text" for kind in told):
        raise unsupported("This model answers in text only.", "modalities")


def not_json() -> MiraError:
    """The refusal of bytes that are no JSON."""
    return MiraError(Kind.BAD_REQUEST, "The body is not valid JSON in UTF-8.")


def too_deep() -> MiraError:
    """The refusal of a body with too many levels."""
    return MiraError(Kind.BAD_REQUEST, f"The body is nested deeper than {MAX_DEPTH} levels.")


def is_too_deep(body: bytes) -> bool:
    """Whether a body, known to be valid JSON, has more than `MAX_DEPTH` levels."""
    # Brackets in strings mostly come in pairs, as the real ones do, so the cheap look settles nearly every body.
    if _vanishes(body):
        return False
    # A backslash stands only in strings, and every second piece is outside of them.
    pieces = body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    return not _vanishes(b"".join(pieces[::2]))


def _vanishes(text: bytes) -> bool:
    brackets = text.translate(_ONE_KIND, _NOT_BRACKETS)
    levels = MAX_DEPTH
    while brackets and levels:
        brackets = brackets.replace(b"[]", b"")
        levels -= 1
    return not brackets


def _in_words(types: str) -> str:
    head, tick, tail = types.lstrip("`").partition("`")
    return " or ".join(_WORDS.get(name, name) for name in head.split(" | ")) + (tail if tick else "")
