"""Events as a Responses stream for a client.

Every event is numbered, every item is added and done, every `done` repeats the whole. A message or a reasoning item is
closed where something else begins; calls stay open until the model is finished, since their inputs may interleave.
"""

from typing import Any

import msgspec
from msgspec import Raw

from mira.codecs import in_words
from mira.codecs.codec import Context
from mira.codecs.lenient import loose
from mira.codecs.responses.answer import closing, item_id, response_body
from mira.codecs.responses.errors import error_body, error_event
from mira.codecs.responses.items import PROTOCOL, SEARCH_TOOL, own_citation
from mira.codecs.responses.open_items import CallItem, MessageItem, Place, ReasoningItem, Step, WholeItem
from mira.codecs.responses.request import runs_search
from mira.codecs.responses.shaping import items_of, signature_body, with_id
from mira.codecs.responses.usage import usage_body
from mira.codecs.sse import event_frame
from mira.core.conversation import FinishReason, Image, Inline, ToolCall
from mira.core.events import (
    AnnotationDelta,
    Event,
    Finish,
    ImageBlock,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
)
from mira.core.usage import Usage
from mira.errors import MiraError

#: The text block of a picture that can only be told by its address.
_PICTURE = -1
_Item = MessageItem | ReasoningItem | CallItem | WholeItem


class Encoder:
    """Feeds on events that keep the grammar of `mira.core.events`, gives numbered events of the protocol.

    The protocol has one answer: choices beside the first are left out (a request for more is refused).
    """

    __slots__ = ("_calls", "_context", "_ids", "_items", "_open", "_reason", "_response", "_searches", "_sequence")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._searches = runs_search(context.request)
        self._response: dict[str, Any] = {}
        self._sequence = 0
        self._items: list[_Item] = []
        self._ids: set[str] = set()
        self._open: MessageItem | ReasoningItem | None = None
        self._calls: dict[int, CallItem] = {}
        self._reason = FinishReason.STOP

    def feed(self, event: Event) -> bytes:
        """The events of one event; the final usage and the terminal are kept for `finish`."""
        if isinstance(event, Start):
            return self._start(event)
        if getattr(event, "choice", 0):
            return b""
        return self._told(self._steps(event))

    def finish(self, usage: Usage, cost_nanocredits: int | None) -> bytes:
        """`response.completed` or `response.incomplete`, with the whole answer and its usage."""
        ended = closing(self._reason, [item.body for item in self._items])
        body = {**self._response, **ended, "usage": usage_body(usage, cost_nanocredits)}
        name = f"response.{body['status']}"
        told = {"type": name, "sequence_number": self._sequence, "response": body}
        return event_frame(name.encode(), msgspec.json.encode(told))

    def abort(self, error: MiraError) -> bytes:
        """`response.failed`, or a bare error where no response began."""
        if not self._response:
            return error_event(error, self._sequence)
        still_open = {id(item) for item in (self._open, *self._calls.values())}
        output = [item.body for item in self._items if id(item) not in still_open]
        body = {**self._response, "status": "failed", "error": error_body(error), "output": output}
        return self._told([("response.failed", {"response": body})])

    def _start(self, event: Start) -> bytes:
        body = response_body(event.model, self._context, event.service_tier)
        # The request's tools are repeated in every response object: their bytes are made once.
        body["tools"] = Raw(msgspec.json.encode(body["tools"]))
        self._response = body
        return self._told([(name, {"response": body}) for name in ("response.created", "response.in_progress")])

    def _told(self, steps: list[Step]) -> bytes:
        frames = []
        for name, fields in steps:
            told = {"type": name, "sequence_number": self._sequence, **fields}
            self._sequence += 1
            frames.append(event_frame(name.encode(), msgspec.json.encode(told)))
        return b"".join(frames)

    def _steps(self, event: Event) -> list[Step]:
        match event:
            case TextDelta():
                return self._say(event.text, event.block)
            case RefusalDelta():
                return self._say(event.text, None)
            case ReasoningDelta():
                return self._think(event)
            case ToolCallStart():
                return self._call(event)
            case ToolCallDelta():
                return self._calls[event.index].more(event.fragment)
            case AnnotationDelta():
                note = own_citation(loose(event.data), event.format)
                return self._open.annotate(note) if isinstance(self._open, MessageItem) and note is not None else []
            case ImageBlock():
                return self._picture(event)
            case OpaqueBlock(format=form, data=data) if form == PROTOCOL:
                body = with_id(data, item_id(self._context, "", len(self._items)))
                return [*self._close(), *self._whole("", body)]
            case Finish():
                return self._finish(event.reason)
            case _:
                return []

    def _place(self, kind: str) -> Place:
        index = len(self._items)
        return Place(index, item_id(self._context, kind, index))

    def _add(self, item: _Item) -> None:
        self._items.append(item)
        self._ids.add(item.place.item_id)

    def _close(self, status: str = "completed") -> list[Step]:
        closed, self._open = self._open, None
        return [] if closed is None else closed.close(status)

    def _say(self, text: str, block: int | None) -> list[Step]:
        message = self._open
        if isinstance(message, MessageItem):
            return message.say(text, block)
        steps = self._close()
        self._open = message = MessageItem(self._place("message"))
        self._add(message)
        return [*steps, *message.added(), *message.say(text, block)]

    def _think(self, event: ReasoningDelta) -> list[Step]:
        item = self._open
        if isinstance(item, ReasoningItem) and item.takes(event):
            return item.think(event)
        steps = self._close()
        place = self._place("reasoning")
        if event.id is not None and event.format is not None and event.id not in self._ids:
            place = Place(place.index, event.id)
        self._open = item = ReasoningItem(place, event)
        self._add(item)
        return [*steps, *item.added(), *item.think(event)]

    def _call(self, event: ToolCallStart) -> list[Step]:
        steps = self._close()
        if event.signature is not None:
            signed = ToolCall(id=event.id, name=event.name, input="", signature=event.signature)
            steps += self._whole("reasoning", signature_body(signed))
        searches = self._searches and event.name == SEARCH_TOOL and event.namespace is None
        kind = "custom_tool_call" if event.kind == "custom" else "function_call"
        item = CallItem(self._place("tool_search_call" if searches else kind), event, searches=searches)
        self._add(item)
        self._calls[event.index] = item
        return [*steps, *item.added()]

    def _picture(self, event: ImageBlock) -> list[Step]:
        if not isinstance(event.source, Inline):
            return self._say(in_words.picture(event.source), _PICTURE)
        (body,) = items_of([Image(source=event.source)], answer=True)
        return [*self._close(), *self._whole("image_generation_call", body)]

    def _whole(self, kind: str, body: Any) -> list[Step]:
        item = WholeItem(self._place(kind), body)
        self._add(item)
        return item.told()

    def _finish(self, reason: FinishReason) -> list[Step]:
        self._reason = reason
        status = closing(reason, [])["status"]
        steps = self._close(status)
        for item in self._calls.values():
            steps += item.close(status)
        self._calls.clear()
        return steps
