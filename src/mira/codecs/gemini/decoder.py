"""A Gemini stream as events.

The protocol has no terminal: a stream is complete when its connection ended and every candidate had named a reason.
The reason may come before the last of the content, with it, or in an empty chunk behind it, so it is told at the end.
"""

from typing import Any

from mira.codecs.framing import Framing
from mira.codecs.gemini.answer import (
    call_of,
    candidates_of,
    finish_of,
    image_of,
    is_blocked,
    number_of,
    opaque_of,
    parts_of,
    told_reason,
)
from mira.codecs.gemini.errors import parse_error_in_band
from mira.codecs.gemini.usage import usage_of
from mira.codecs.gemini.wire import THOUGHTS
from mira.codecs.lenient import loose, text_of
from mira.codecs.sse import DONE, Message
from mira.core.conversation import FinishReason, Inline
from mira.core.events import (
    Event,
    Finish,
    ImageBlock,
    OpaqueBlock,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageEvent,
)
from mira.errors import Kind, MiraError


class _Candidate:
    """What is known of one candidate: its calls, the reasoning block that is open, why it ended."""

    __slots__ = ("block", "calls", "open", "reason")

    def __init__(self) -> None:
        self.calls: set[str] = set()
        self.block = -1
        self.open = False
        self.reason: FinishReason | None = None


class Decoder:
    """Feeds on bytes, gives events that keep the grammar of `mira.core.events`."""

    __slots__ = ("_candidates", "_framing", "_id", "_started")

    def __init__(self) -> None:
        self._framing = Framing()
        self._candidates: dict[int, _Candidate] = {}
        self._started = False
        self._id = ""

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        return self._framing.feed(data, self._take)

    def close(self) -> list[Event]:
        """The node closed: the ends of all candidates, or an error where one was cut."""
        was_over = self._framing.over
        events = self._framing.close(self._take, self._is_complete)
        if was_over or self._framing.failed:
            return events
        for number, candidate in self._candidates.items():
            if candidate.reason is not None:
                reason = told_reason(candidate.reason, calls=bool(candidate.calls))
                events.append(Finish(reason=reason, choice=number))
        return events

    def _is_complete(self) -> bool:
        told = self._candidates.values()
        return bool(told) and all(candidate.reason is not None for candidate in told)

    def _take(self, message: Message, events: list[Event]) -> None:
        if message.data == DONE:
            return
        chunk = loose(message.data)
        if isinstance(chunk, list) and len(chunk) == 1:
            chunk = chunk[0]
        if not isinstance(chunk, dict):
            raise MiraError(Kind.UPSTREAM_FAILED, "The upstream sent a stream event that is not JSON.")
        if chunk.get("error"):
            raise parse_error_in_band(chunk["error"])
        if not self._started:
            self._started = True
            self._id = text_of(chunk, "responseId")
            events.append(Start(model=text_of(chunk, "modelVersion"), id=self._id))
        for told in candidates_of(chunk):
            self._take_candidate(told, events)
        if is_blocked(chunk):
            self._block()
        usage = usage_of(chunk.get("usageMetadata"))
        if usage is not None:
            events.append(UsageEvent(usage))

    def _block(self) -> None:
        """The prompt was refused: nothing more will come."""
        if not self._candidates:
            self._candidates[0] = _Candidate()
        for candidate in self._candidates.values():
            candidate.reason = FinishReason.CONTENT_FILTER

    def _take_candidate(self, told: dict[str, Any], events: list[Event]) -> None:
        number = number_of(told)
        candidate = self._candidates.get(number)
        if candidate is None:
            candidate = self._candidates[number] = _Candidate()
        for part in parts_of(told):
            self._take_part(number, candidate, part, events)
        reason = finish_of(told)
        # An empty chunk behind the last one says that it stopped, whatever the reason was.
        if reason is not None and candidate.reason in (None, FinishReason.STOP):
            candidate.reason = reason

    def _take_part(self, number: int, candidate: _Candidate, part: dict[str, Any], events: list[Event]) -> None:
        text, signature = text_of(part, "text"), text_of(part, "thoughtSignature")
        if "functionCall" in part:
            candidate.open = False
            self._call(number, candidate, part, events)
            return
        if part.get("thought") is True:
            if text or signature:
                _thought(number, candidate, text, signature, events)
            return
        if text:
            candidate.open = False
            events.append(TextDelta(text=text, choice=number))
        elif (image := image_of(part)) is not None and isinstance(image.source, Inline):
            candidate.open = False
            events.append(ImageBlock(source=image.source, choice=number))
        elif (opaque := opaque_of(part)) is not None:
            candidate.open = False
            events.append(OpaqueBlock(format=opaque.format, data=opaque.data, choice=number))
            return
        if signature:
            candidate.block += 1
            candidate.open = False
            events.append(
                ReasoningDelta(block=candidate.block, kind="encrypted", data=signature, format=THOUGHTS, choice=number)
            )

    def _call(self, number: int, candidate: _Candidate, part: dict[str, Any], events: list[Event]) -> None:
        call = call_of(part, candidate.calls, self._id, number)
        index = len(candidate.calls)
        candidate.calls.add(call.id)
        events.append(ToolCallStart(index=index, id=call.id, name=call.name, signature=call.signature, choice=number))
        events.append(ToolCallDelta(index=index, fragment=call.input, choice=number))


def _thought(number: int, candidate: _Candidate, text: str, signature: str, events: list[Event]) -> None:
    if not candidate.open:
        candidate.block += 1
        candidate.open = True
    events.append(
        ReasoningDelta(
            block=candidate.block,
            text=text,
            signature=signature,
            format=THOUGHTS if signature else None,
            choice=number,
        )
    )
    if signature:
        candidate.open = False
