"""A Messages stream from a node as events; repairs what nodes get wrong, the same way at every split."""

from typing import Any

from msgspec import Struct

from mira.codecs.framing import Framing
from mira.codecs.lenient import compact, loose, text_of
from mira.codecs.messages.answer import finish_of, refusal_of, url_citation
from mira.codecs.messages.errors import parse_error_in_band
from mira.codecs.messages.usage import Running
from mira.codecs.messages.wire import FORMAT, THOUGHT
from mira.codecs.sse import DONE, Message
from mira.codecs.tool_names import made_id
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

_KINDS = {"text": "text", "thinking": "thinking", "tool_use": "call"}
_KIND_OF_DELTA = {
    "text_delta": "text",
    "citations_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
}


class _Block(Struct):
    """A block that the node opened. `number` counts blocks of its kind, `given` is what it held when it opened."""

    kind: str
    number: int
    given: dict[str, Any]
    told: bool = False
    pieces: list[str] = []
    closed: bool = False


class Decoder:
    """Feeds on bytes, gives events that keep the grammar of `mira.core.events`."""

    __slots__ = ("_blocks", "_counts", "_finished", "_framing", "_id", "_said", "_started", "_usage")

    def __init__(self) -> None:
        self._framing = Framing()
        self._blocks: dict[Any, _Block] = {}
        self._counts = {"text": 0, "thinking": 0, "call": 0, "opaque": 0}
        self._usage = Running()
        #: characters of text so far, where citations point
        self._said = 0
        self._id = ""
        self._started = False
        self._finished = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        return self._framing.feed(data, self._take)

    def close(self) -> list[Event]:
        """The node closed; what did not say why it stopped was cut."""
        return self._framing.close(self._take, lambda: self._finished)

    def _take(self, message: Message, events: list[Event]) -> None:
        if message.data == DONE:
            # No word of this protocol, but some proxies end every stream with it.
            return
        told = loose(message.data)
        if not isinstance(told, dict):
            raise MiraError(Kind.UPSTREAM_FAILED, "The upstream sent a stream event that is not JSON.")
        kind = text_of(told, "type") or message.event
        if kind == "error" or told.get("error"):
            raise parse_error_in_band(told)
        if kind == "message_start":
            self._start(told.get("message"), events)
        elif kind == "message_stop":
            self._stop(events)
        elif kind.startswith(("content_block_", "message_")) and not self._started:
            raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's stream has no beginning.")
        elif kind == "message_delta":
            self._end(told, events)
        elif not self._finished:
            self._take_block(kind, told, events)

    def _start(self, message: Any, events: list[Event]) -> None:
        if self._started:
            return
        message = message if isinstance(message, dict) else {}
        self._started = True
        self._id = text_of(message, "id")
        usage = self._usage.take(message.get("usage"))
        tier = text_of(message["usage"], "service_tier") or None if usage is not None else None
        events.append(Start(model=text_of(message, "model"), id=self._id, usage=usage, service_tier=tier))

    def _end(self, told: dict[str, Any], events: list[Event]) -> None:
        delta = told.get("delta")
        if isinstance(delta, dict) and delta.get("stop_reason"):
            self._finish(delta, events)
        usage = self._usage.take(told.get("usage"))
        if usage is not None:
            events.append(UsageEvent(usage))

    def _stop(self, events: list[Event]) -> None:
        if not self._started:
            raise MiraError(Kind.UPSTREAM_FAILED, "The upstream ended its stream without an answer.")
        self._finish({}, events)
        self._framing.over = True

    def _finish(self, delta: dict[str, Any], events: list[Event]) -> None:
        if self._finished:
            return
        for block in self._blocks.values():
            self._close(block, events)
        self._finished = True
        if words := refusal_of(delta):
            events.append(RefusalDelta(text=words))
        reason, stopped_at = finish_of(delta, calls=self._counts["call"] > 0)
        events.append(Finish(reason=reason, stop_sequence=stopped_at))

    def _take_block(self, kind: str, told: dict[str, Any], events: list[Event]) -> None:
        index = told.get("index")
        index = index if isinstance(index, int) else -1
        block = self._blocks.get(index)
        if kind == "content_block_start":
            given = told.get("content_block")
            self._open(index, given if isinstance(given, dict) else {}, events)
        elif kind == "content_block_stop" and block is not None:
            self._close(block, events)
        elif kind == "content_block_delta" and isinstance(delta := told.get("delta"), dict):
            implied = _KIND_OF_DELTA.get(text_of(delta, "type"))
            if block is None and implied is not None:
                block = self._open(index, {"type": implied}, events)
            if block is not None and not block.closed:
                self._more(block, delta, events)

    def _open(self, index: int, given: dict[str, Any], events: list[Event]) -> _Block:
        if (before := self._blocks.get(index)) is not None:
            self._close(before, events)
        kind = _KINDS.get(text_of(given, "type"), "opaque")
        number = self._counts[kind]
        if given.get("type") == "redacted_thinking":
            block = _Block(kind="redacted", number=-1, given=given)
            if data := text_of(given, "data"):
                number = self._thought(block)
                events.append(ReasoningDelta(block=number, kind="encrypted", data=data, format=THOUGHT))
        elif kind == "thinking":
            block = _Block(kind=kind, number=-1, given=given)
        else:
            self._counts[kind] += 1
            block = _Block(kind=kind, number=number, given=given, pieces=[])
        self._blocks[index] = block
        if kind == "text":
            self._more(block, {"type": "text_delta", "text": given.get("text")}, events)
        elif kind == "thinking":
            self._more(block, {"type": "thinking_delta", "thinking": given.get("thinking")}, events)
            self._more(block, {"type": "signature_delta", "signature": given.get("signature")}, events)
        elif kind == "call":
            name = text_of(given, "name")
            if not name:
                raise MiraError(Kind.UPSTREAM_FAILED, "The upstream sent a tool call without a name.")
            call_id = text_of(given, "id") or made_id(self._id, 0, number)
            events.append(ToolCallStart(index=number, id=call_id, name=name))
        return block

    def _more(self, block: _Block, delta: dict[str, Any], events: list[Event]) -> None:
        match text_of(delta, "type"):
            case "text_delta" if text := text_of(delta, "text"):
                self._said += len(text)
                events.append(TextDelta(text=text, block=block.number))
            case "thinking_delta" if text := text_of(delta, "thinking"):
                events.append(ReasoningDelta(block=self._thought(block), text=text, format=THOUGHT))
            case "signature_delta" if signature := text_of(delta, "signature"):
                events.append(ReasoningDelta(block=self._thought(block), signature=signature, format=THOUGHT))
            case "input_json_delta" if piece := text_of(delta, "partial_json"):
                if block.kind == "call":
                    block.told = True
                    events.append(ToolCallDelta(index=block.number, fragment=piece))
                else:
                    block.pieces.append(piece)
            case "citations_delta" if isinstance(citation := delta.get("citation"), dict):
                shared = url_citation(citation, self._said, self._said)
                if shared is not None:
                    events.append(AnnotationDelta(format="chat", data=shared))
                else:
                    events.append(AnnotationDelta(format=FORMAT, data=compact(citation)))
            case _:
                pass

    def _thought(self, block: _Block) -> int:
        """The number of a block of thinking; one that says nothing has none."""
        if block.number < 0:
            block.number = self._counts["thinking"]
            self._counts["thinking"] += 1
        return block.number

    def _close(self, block: _Block, events: list[Event]) -> None:
        if block.closed:
            return
        block.closed = True
        if block.kind == "call" and not block.told:
            given = block.given.get("input")
            fragment = bytes(compact(given)).decode() if isinstance(given, dict) else "{}"
            events.append(ToolCallDelta(index=block.number, fragment=fragment))
        elif block.kind == "opaque" and block.given:
            pieces = "".join(block.pieces)
            told = loose(pieces.encode()) if pieces else None
            whole = {**block.given, "input": told} if told is not None else block.given
            events.append(OpaqueBlock(format=FORMAT, data=compact(whole)))
