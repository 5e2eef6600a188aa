"""Finds the tool calls in what the local model wrote, in whole answers and in streams; any split gives the same events.

A call is a JSON object at the very beginning of the answer that names a known tool and whose arguments fit it, bare, in
a code fence or in `<tool_call>` tags; several in a row are parallel calls. Everything else is text and stays as it is.
Text is held back only for as long as it may still become a call.
"""

import re
from typing import Any, Literal, NamedTuple

import msgspec

from mira.core.conversation import (
    Answer,
    AssistantPart,
    Choice,
    Conversation,
    CustomTool,
    FinishReason,
    FunctionTool,
    Text,
    ToolCall,
)
from mira.core.events import ErrorEvent, Event, Finish, TextDelta, ToolCallDelta, ToolCallStart
from mira.nodes.local.adapter import Offer, offered, parameters

# What may stand before a call, and what then stands behind it. Where one opener begins another, the longer is first.
OPENERS = {"```json": "```", "```": "```", "<tool_call>": "</tool_call>"}
CALL_KEYS = ("name", "arguments", "parameters")
SEPARATORS = " \t\r\n,;"

_FIRST_KEY = re.compile(r'\{\s*(?:"([^"]*)(")?)?')
_STRUCTURE = re.compile(r'["{}]')
_STRING_END = re.compile(r'["\\]')

_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


class _Call(NamedTuple):
    """A call found: its tool, and the arguments' own JSON text, or the text for a custom tool."""

    tool: FunctionTool | CustomTool
    input: str


class _Braces:
    """Finds the end of a JSON object in a text that grows; every character is looked at once."""

    def __init__(self) -> None:
        self._at = 0
        self._depth = 0
        self._in_string = False

    def end(self, text: str) -> int | None:
        """The position after the object that begins at 0, or None while it is open."""
        while True:
            pattern = _STRING_END if self._in_string else _STRUCTURE
            found = pattern.search(text, self._at)
            if found is None:
                self._at = len(text)
                return None
            mark = found.group()
            if mark == "\\":
                if found.end() == len(text):
                    self._at = found.start()
                    return None
                self._at = found.end() + 1
                continue
            self._at = found.end()
            if mark == '"':
                self._in_string = not self._in_string
            else:
                self._depth += 1 if mark == "{" else -1
                if self._depth == 0:
                    return self._at


class _Reader:
    """Reads the text of one choice: `feed` and `close` return pieces of text and calls, in order.

    Held text is in two pieces once an opening brace is reached: `_prefix`, the white space, fence and tag before it,
    and `_held`, which begins with the brace.
    """

    def __init__(self, offer: Offer, *, parallel: bool) -> None:
        self._offer = offer
        self._parallel = parallel
        self._is_text = not offer.tools
        self._held = ""
        self._prefix: str | None = None
        self._braces = _Braces()
        self._closers: list[str] = []
        self.calls = 0

    def feed(self, text: str) -> list[str | _Call]:
        """What is certain after this text."""
        if self._is_text:
            return [text]
        self._held += text
        found: list[str | _Call] = []
        while not self._is_text:
            if self._prefix is None and not self._reach_brace():
                return found
            if self._prefix is not None:
                call = self._take_call()
                if call is not None:
                    found.append(call)
                elif not self._is_text:
                    return found
        return [*found, self._release()]

    def close(self) -> list[str | _Call]:
        """The text that was still held back."""
        rest = self._release()
        self._is_text = True
        return [rest] if rest else []

    def _release(self) -> str:
        text = (self._prefix or "") + self._held
        self._prefix, self._held = None, ""
        return text

    def _reach_brace(self) -> bool:
        """Moves on to an opening brace, past white space, a fence and a tag; False where more text must decide."""
        if self.calls and not self._leave_call():
            return False
        at, closers = 0, list[str]()
        while True:
            rest = self._held[at:].lstrip()
            at = len(self._held) - len(rest)
            if rest.startswith("{"):
                self._prefix, self._held = self._held[:at], rest
                self._closers += closers
                return True
            if any(opener.startswith(rest) and opener != rest for opener in OPENERS):
                return False
            opener = next((opener for opener in OPENERS if rest.startswith(opener)), None)
            if opener is None:
                self._is_text = True
                return True
            closers.append(OPENERS[opener])
            at += len(opener)

    def _leave_call(self) -> bool:
        """Drops what separates and closes calls; False where more text must decide."""
        self._held = self._held.lstrip(SEPARATORS)
        while self._closers:
            closer = self._closers[-1]
            if not self._held.startswith(closer):
                return not closer.startswith(self._held)
            self._held = self._held.removeprefix(closer).lstrip(SEPARATORS)
            self._closers.pop()
        return True

    def _take_call(self) -> _Call | None:
        """The call that begins with the brace; None where it is text, or where more text must decide."""
        if not _may_be_call(self._held):
            self._is_text = True
            return None
        end = self._braces.end(self._held)
        if end is None:
            return None
        call = _call(self._held[:end], self._offer)
        if call is None or (self.calls and not self._parallel):
            self._is_text = True
            return None
        self.calls += 1
        self._prefix, self._held, self._braces = None, self._held[end:], _Braces()
        return call


def _may_be_call(text: str) -> bool:
    """Whether the first key of the object that begins `text` is, or may become, one of a call."""
    found = _FIRST_KEY.match(text)
    if found is None or found.group(1) is None:
        return found is not None and found.end() == len(text)
    key, closed = found.groups()
    return key in CALL_KEYS if closed else any(known.startswith(key) for known in CALL_KEYS)


def _call(text: str, offer: Offer) -> _Call | None:
    """The call that the JSON object `text` makes, or None where it makes none."""
    try:
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        if not set(fields) <= set(CALL_KEYS) or "name" not in fields:
            return None
        name = msgspec.json.decode(fields["name"])
        raw = fields.get("arguments", fields.get("parameters", msgspec.Raw(b"{}")))
        arguments = msgspec.json.decode(raw)
        if isinstance(arguments, str):
            raw = msgspec.Raw(arguments.encode())
            arguments = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    tool = offer.tools.get(name) if isinstance(name, str) else None
    if tool is None or not isinstance(arguments, dict):
        return None
    if isinstance(tool, CustomTool):
        custom = arguments.get("input")
        return _Call(tool, custom) if isinstance(custom, str) else None
    # Under a forced choice the grammar has seen to the schema, more exactly than this check.
    if not offer.forced and not _fits(arguments, parameters(tool)):
        return None
    return _Call(tool, bytes(raw).decode())


def _fits(arguments: dict[str, Any], schema: dict[str, Any]) -> bool:
    """A light check: what is required is there, and what is there has the type that the schema names."""
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    required = schema.get("required")
    if isinstance(required, list) and not all(name in arguments for name in required):
        return False
    if schema.get("additionalProperties") is False and not set(arguments) <= set(properties):
        return False
    return all(_has_type(value, properties.get(name)) for name, value in arguments.items())


def _has_type(value: Any, schema: Any) -> bool:
    declared = schema.get("type") if isinstance(schema, dict) else None
    listed = declared if isinstance(declared, list) else [declared]
    names = [name for name in listed if isinstance(name, str) and name in _JSON_TYPES]
    if len(names) < len(listed):
        return True
    if isinstance(value, bool):
        return "boolean" in names
    if isinstance(value, float) and value.is_integer() and "integer" in names:
        return True
    return any(isinstance(value, _JSON_TYPES[name]) for name in names)


class Interpreter:
    """Turns the events of the local model's answer into those of the answer it means.

    `conversation` is the client's own, before `prepare`. The ids of the calls are made from `seed` (letters, digits,
    `-` and `_`), so that the same answer under the same seed has the same ids.
    """

    def __init__(self, conversation: Conversation, *, seed: str) -> None:
        self._offer = offered(conversation)
        self._parallel = conversation.parallel_tool_calls is not False
        self._seed = seed
        self._readers: dict[int, _Reader] = {}

    def feed(self, event: Event) -> list[Event]:
        """The events that are certain after this one."""
        match event:
            case TextDelta(text=text, choice=choice, block=block):
                reader = self._readers.setdefault(choice, self._reader())
                return self._events(reader, reader.feed(text), choice, block)
            case Finish(choice=choice, reason=reason):
                reader = self._readers.pop(choice, self._reader())
                events = self._events(reader, reader.close(), choice, 0)
                if reader.calls and reason is FinishReason.STOP:
                    event = msgspec.structs.replace(event, reason=FinishReason.TOOL_CALLS)
                return [*events, event]
            case ErrorEvent():
                return [*self.close(), event]
            case _:
                return [event]

    def close(self) -> list[Event]:
        """The text still held back where the stream ended without a `Finish`."""
        readers, self._readers = self._readers, {}
        return [
            event for choice, reader in readers.items() for event in self._events(reader, reader.close(), choice, 0)
        ]

    def _reader(self) -> _Reader:
        return _Reader(self._offer, parallel=self._parallel)

    def _events(self, reader: _Reader, found: list[str | _Call], choice: int, block: int) -> list[Event]:
        events: list[Event] = []
        index = reader.calls - sum(isinstance(piece, _Call) for piece in found)
        for piece in found:
            if isinstance(piece, str):
                events.append(TextDelta(text=piece, choice=choice, block=block))
                continue
            call = _tool_call(piece, f"call_{self._seed}_{choice}_{index}")
            events.append(
                ToolCallStart(
                    index=index, id=call.id, name=call.name, kind=call.kind, namespace=call.namespace, choice=choice
                )
            )
            if call.input:
                events.append(ToolCallDelta(index=index, fragment=call.input, choice=choice))
            index += 1
        return events


def _tool_call(call: _Call, call_id: str) -> ToolCall:
    kind: Literal["function", "custom"] = "custom" if isinstance(call.tool, CustomTool) else "function"
    return ToolCall(id=call_id, name=call.tool.name, input=call.input, kind=kind, namespace=call.tool.namespace)


def interpret(answer: Answer, conversation: Conversation, *, seed: str) -> Answer:
    """The whole answer that `answer` means; `conversation` and `seed` as for `Interpreter`."""
    offer, parallel = offered(conversation), conversation.parallel_tool_calls is not False
    choices = tuple(_choice(choice, _Reader(offer, parallel=parallel), seed) for choice in answer.choices)
    return msgspec.structs.replace(answer, choices=choices)


def _choice(choice: Choice, reader: _Reader, seed: str) -> Choice:
    parts: list[AssistantPart] = []
    for part in choice.parts:
        if not isinstance(part, Text):
            parts.append(part)
            continue
        before = reader.calls
        for number, piece in enumerate((*reader.feed(part.text), *reader.close())):
            if isinstance(piece, str):
                parts.append(msgspec.structs.replace(part, text=piece))
            else:
                parts.append(_tool_call(piece, f"call_{seed}_{choice.index}_{before + number}"))
    finish = choice.finish
    if reader.calls and finish is FinishReason.STOP:
        finish = FinishReason.TOOL_CALLS
    return msgspec.structs.replace(choice, parts=tuple(parts), finish=finish)
