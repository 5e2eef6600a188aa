"""A Responses stream from a node as events.

Deltas are told as they come. Every `done` repeats the whole, so what no delta said is told then: some nodes send
arguments only there, some whole items only, some everything only in the last event.
"""

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from mira.codecs.carried import PREFIX, uncarry, uncarry_signature
from mira.codecs.framing import Framing
from mira.codecs.lenient import loose
from mira.codecs.responses import wire
from mira.codecs.responses.answer import read_response, reason_of, text_in
from mira.codecs.responses.errors import parse_error_in_band
from mira.codecs.responses.items import FORMAT, PROTOCOL, SEARCH_TOOL, citations, item_of
from mira.codecs.responses.usage import usage_in
from mira.codecs.sse import DONE, Message
from mira.codecs.tool_names import made_id
from mira.core.conversation import Reasoning
from mira.core.events import (
    AnnotationDelta,
    Event,
    Finish,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageEvent,
)
from mira.errors import Kind, MiraError

_ENDS = ("response.completed", "response.incomplete", "response.done")
_FAILED = ("response.failed", "response.cancelled", "error")
_Place = tuple[str, int]
#: Where in an item an event says something, and the field that holds it.
_SAYS = {
    "response.output_text.delta": ("text", "delta"),
    "response.output_text.done": ("text", "text"),
    "response.refusal.delta": ("refusal", "delta"),
    "response.refusal.done": ("refusal", "refusal"),
    "response.reasoning_summary_text.delta": ("summary", "delta"),
    "response.reasoning_summary_text.done": ("summary", "text"),
    "response.reasoning_text.delta": ("thought", "delta"),
    "response.reasoning_text.done": ("thought", "text"),
    "response.function_call_arguments.delta": ("call", "delta"),
    "response.function_call_arguments.done": ("call", "arguments"),
    "response.custom_tool_call_input.delta": ("call", "delta"),
    "response.custom_tool_call_input.done": ("call", "input"),
}
_ITEM_EVENTS = ("response.output_item.added", "response.output_item.done")
_CALL = ("call", 0)


class _Told(Struct):
    """What matters of an event."""

    type: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: str | None = None
    item: Raw | UnsetType = UNSET
    annotation: Raw | UnsetType = UNSET
    response: Raw | UnsetType = UNSET


_TOLD = msgspec.json.Decoder(_Told)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])


class _Said:
    """A text in pieces."""

    __slots__ = ("chars", "pieces")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.chars = 0


class _Item:
    """An item that is being told: what was said of it in each of its places, and the call or block it is."""

    __slots__ = ("_said", "blocks", "call", "closed", "custom", "foreign", "item_id", "noted")

    def __init__(self) -> None:
        self.item_id: str | None = None
        self._said: dict[_Place, _Said] = {}
        #: numbers of the text and reasoning blocks by place
        self.blocks: dict[_Place, int] = {}
        self.call: int | None = None
        self.custom = False
        self.foreign: Reasoning | None = None
        self.noted: list[Raw] = []
        self.closed = False

    def say(self, spot: _Place, text: str) -> None:
        """More was told there."""
        said = self._said.setdefault(spot, _Said())
        said.pieces.append(text)
        said.chars += len(text)

    def was_told(self, spot: _Place) -> bool:
        """Whether anything was."""
        return spot in self._said

    def rest(self, spot: _Place, whole: str | None) -> str | None:
        """What of the whole was not told yet; None where it is another text than what was told.

        What was told is looked at only where the whole is as long, so that this takes time by what the node sent.
        """
        said = self._said.get(spot)
        if not whole or said is None:
            return whole or None
        if said.chars > len(whole) or not whole.startswith("".join(said.pieces)):
            return None
        return whole[said.chars :]


class Decoder:
    """Feeds on bytes, gives events that keep the grammar of `mira.core.events`."""

    __slots__ = (
        "_blocks", "_calls", "_framing", "_id", "_items", "_signatures", "_started", "_texts",
    )  # fmt: skip

    def __init__(self) -> None:
        self._framing = Framing()
        self._items: dict[int, _Item] = {}
        self._started = False
        self._id = ""
        self._calls = 0
        self._blocks = 0
        self._texts = 0
        self._signatures: dict[str, str] = {}

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        return self._framing.feed(data, self._take)

    def close(self) -> list[Event]:
        """The node closed; without its last event the answer was cut."""
        return self._framing.close(self._take, lambda: self._framing.over)

    def _take(self, message: Message, events: list[Event]) -> None:
        if message.data == DONE:
            return
        told = _read(message)
        kind = told.type or message.event
        if kind in _FAILED or not kind:
            raise failure_in(message.data)
        if not self._started:
            self._start(told, events)
        if kind in _ENDS:
            self._end(told, events)
        elif told.output_index is not None:
            self._step(kind, told, self._items.setdefault(told.output_index, _Item()), events)

    def _start(self, told: _Told, events: list[Event]) -> None:
        self._started = True
        try:
            fields = _FIELDS.decode(told.response) if isinstance(told.response, Raw) else {}
        except msgspec.ValidationError:
            fields = {}
        self._id = text_in(fields, "id")
        tier = text_in(fields, "service_tier") or None
        events.append(Start(model=text_in(fields, "model"), id=self._id, service_tier=tier))

    def _end(self, told: _Told, events: list[Event]) -> None:
        if not isinstance(told.response, Raw):
            raise MiraError(Kind.UPSTREAM_FAILED, "The upstream ended its stream without an answer.")
        fields, output = read_response(told.response)
        for index, raw in enumerate(output):
            self._whole(self._items.setdefault(index, _Item()), raw, events)
        for item in self._items.values():
            self._complete_call(item, events)
        if (usage := usage_in(fields)) is not None:
            events.append(UsageEvent(usage))
        events.append(Finish(reason=reason_of(fields, calls=self._calls > 0)))
        self._framing.over = True

    def _step(self, kind: str, told: _Told, item: _Item, events: list[Event]) -> None:
        if (where := _SAYS.get(kind)) is not None:
            place, field = where
            number = told.summary_index if place == "summary" else told.content_index
            spot = (place, 0 if place == "call" else number or 0)
            text = getattr(told, field)
            self._say(item, spot, item.rest(spot, text) if kind.endswith(".done") else text, events)
        elif kind == "response.output_item.added" and isinstance(told.item, Raw):
            self._add(item, told.item, events)
        elif kind == "response.output_item.done" and isinstance(told.item, Raw):
            self._whole(item, told.item, events)
        elif kind == "response.output_text.annotation.added" and isinstance(told.annotation, Raw):
            self._annotate(item, [told.annotation], events)

    def _say(self, item: _Item, spot: _Place, text: str | None, events: list[Event]) -> None:
        """More of what is told in that place of the item."""
        if not text or (spot[0] == "call" and item.call is None):
            return
        item.say(spot, text)
        match spot[0]:
            case "text":
                if spot not in item.blocks:
                    item.blocks[spot] = self._texts
                    self._texts += 1
                events.append(TextDelta(text=text, block=item.blocks[spot]))
            case "refusal":
                events.append(RefusalDelta(text=text))
            case "call":
                events.append(ToolCallDelta(index=item.call or 0, fragment=text))
            case _ if item.foreign is not None:
                events.append(ReasoningDelta(block=self._block(item, spot), kind=item.foreign.kind, text=text))
            case place:
                kind: Literal["text", "summary"] = "summary" if place == "summary" else "text"
                block = self._block(item, spot)
                events.append(ReasoningDelta(block=block, kind=kind, text=text, format=FORMAT, id=item.item_id))

    def _add(self, item: _Item, raw: Raw, events: list[Event]) -> None:
        """An item begins: a call is told at once, what is packed in reasoning tells the kind of its blocks."""
        told = item_of(raw)
        match told:
            case wire.FunctionCall() | wire.CustomCall():
                self._call(item, told, events)
            case wire.ReasoningItem():
                item.item_id = told.id
                item.foreign = uncarry(told.encrypted_content or "")
            case _:
                pass

    def _whole(self, item: _Item, raw: Raw, events: list[Event]) -> None:
        """An item is complete: tells what of it was not told yet."""
        if item.closed:
            return
        item.closed = True
        told = item_of(raw)
        match told:
            case wire.Message():
                self._message(item, told, events)
            case wire.ReasoningItem():
                item.item_id = told.id
                self._reasoning(item, told, events)
            case wire.FunctionCall() | wire.CustomCall():
                self._call(item, told, events)
                whole = told.input if isinstance(told, wire.CustomCall) else told.arguments
                self._say(item, _CALL, item.rest(_CALL, whole), events)
                self._complete_call(item, events)
            case wire.SearchCall():
                arguments = bytes(told.arguments).decode() if isinstance(told.arguments, Raw) else "{}"
                call = wire.FunctionCall(call_id=told.call_id or made_id(self._id, 0, self._calls), name=SEARCH_TOOL)
                self._call(item, call, events)
                self._say(item, _CALL, arguments, events)
            case _:
                events.append(OpaqueBlock(format=PROTOCOL, data=raw))

    def _message(self, item: _Item, told: wire.Message, events: list[Event]) -> None:
        parts = [wire.OutputText(told.content)] if isinstance(told.content, str) else told.content
        for place, part in enumerate(parts):
            match part:
                case wire.OutputText(text=text) | wire.InputText(text=text):
                    self._say(item, ("text", place), item.rest(("text", place), text), events)
                case wire.RefusalPart(refusal=words):
                    self._say(item, ("refusal", place), item.rest(("refusal", place), words), events)
                case _:
                    pass
        notes = [note for part in parts if isinstance(part, wire.OutputText) for note in part.annotations or ()]
        self._annotate(item, notes[len(item.noted) :], events)

    def _reasoning(self, item: _Item, told: wire.ReasoningItem, events: list[Event]) -> None:
        packed = told.encrypted_content or ""
        if (signed := uncarry_signature(packed)) is not None:
            self._signatures[signed[0]] = signed[1]
            return
        if (block := uncarry(packed)) is not None:
            self._unpack(item, block, events)
            return
        for index, piece in enumerate(told.summary or ()):
            self._say(item, ("summary", index), item.rest(("summary", index), piece.text), events)
        for index, piece in enumerate(told.content or ()):
            self._say(item, ("thought", index), item.rest(("thought", index), piece.text), events)
        if packed and not packed.startswith(PREFIX):
            number = self._block(item, ("encrypted", 0))
            events.append(ReasoningDelta(block=number, kind="encrypted", data=packed, format=FORMAT, id=told.id))

    def _unpack(self, item: _Item, held: Reasoning, events: list[Event]) -> None:
        spot = ("summary", 0)
        text = item.rest(spot, held.text) or ""
        if not (text or held.signature or held.data):
            return
        events.append(
            ReasoningDelta(
                block=self._block(item, spot),
                kind=held.kind,
                text=text,
                signature=held.signature or "",
                data=held.data or "",
                format=held.format,
                id=held.id,
            )
        )

    def _block(self, item: _Item, spot: _Place) -> int:
        if spot not in item.blocks:
            item.blocks[spot] = self._blocks
            self._blocks += 1
        return item.blocks[spot]

    def _annotate(self, item: _Item, notes: list[Raw], events: list[Event]) -> None:
        for note in notes:
            item.noted.append(note)
            told, origin = citations([note])
            events.append(AnnotationDelta(format=origin or PROTOCOL, data=told[0]))

    def _call(self, item: _Item, told: wire.FunctionCall | wire.CustomCall, events: list[Event]) -> None:
        if item.call is not None:
            return
        item.call, self._calls = self._calls, self._calls + 1
        item.custom = isinstance(told, wire.CustomCall)
        events.append(
            ToolCallStart(
                index=item.call,
                id=told.call_id,
                name=told.name,
                kind="custom" if item.custom else "function",
                namespace=told.namespace,
                signature=self._signatures.pop(told.call_id, None),
            )
        )

    def _complete_call(self, item: _Item, events: list[Event]) -> None:
        """A function that was called without arguments has an empty object of them."""
        if item.call is not None and not item.custom and not item.was_told(_CALL):
            self._say(item, _CALL, "{}", events)


def failure_in(data: bytes) -> MiraError:
    """The error that an event tells: of its own, nested, or inside its response."""
    told = loose(data)
    if not isinstance(told, dict):
        return MiraError(Kind.UPSTREAM_FAILED, "The upstream sent a stream event that is not JSON.")
    response = told.get("response")
    error = (response.get("error") if isinstance(response, dict) else None) or told.get("error")
    if error:
        return parse_error_in_band(error)
    if told.get("message"):
        return parse_error_in_band({name: value for name, value in told.items() if name != "type"})
    return MiraError(Kind.UPSTREAM_FAILED, "The upstream failed while it answered.")


def _read(message: Message) -> _Told:
    try:
        return _TOLD.decode(message.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = loose(message.data)
    kind = told.get("type") if isinstance(told, dict) else None
    if not isinstance(kind, str) or kind in (*_SAYS, *_ITEM_EVENTS, *_ENDS, *_FAILED):
        raise failure_in(message.data)
    # An event that matters to nobody here may have any fields.
    return _Told(type=kind)
