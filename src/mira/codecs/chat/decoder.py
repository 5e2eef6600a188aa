"""A Chat Completions stream from a node as events; repairs what nodes get wrong, the same way at every split."""

from typing import Any, Literal

from msgspec import Struct

from mira.codecs.chat.answer import content_text, details_in, finish_of, image_urls, thought_in
from mira.codecs.chat.errors import parse_error_in_band
from mira.codecs.chat.request import FORMAT, source_of
from mira.codecs.chat.usage import usage_of
from mira.codecs.framing import Framing
from mira.codecs.growing import Arguments
from mira.codecs.lenient import compact, loose, text_of
from mira.codecs.sse import DONE, Message
from mira.codecs.tool_names import made_id
from mira.core.conversation import FinishReason
from mira.core.events import (
    AnnotationDelta,
    Event,
    Finish,
    ImageBlock,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageEvent,
)
from mira.errors import Kind, MiraError

_KINDS: dict[str, Literal["text", "summary", "encrypted"]] = {
    "reasoning.text": "text",
    "reasoning.summary": "summary",
    "reasoning.encrypted": "encrypted",
}
#: How a node's call is found again: its index, else its id, else its place.
_Key = int | str


class _Call(Struct):
    """A tool call that is being told: `index` is ours, `id` the node's where that is its own."""

    index: int
    id: str
    custom: bool
    told: Arguments


class _Choice:
    """What is known of one choice."""

    __slots__ = ("block", "block_key", "by_id", "by_key", "calls", "finished", "index")

    def __init__(self, index: int) -> None:
        self.index = index
        self.finished = False
        self.calls: list[_Call] = []
        self.by_id: dict[str, _Call] = {}
        self.by_key: dict[_Key, _Call] = {}
        self.block = -1
        self.block_key: tuple[object, ...] = ()


class Decoder:
    """Feeds on bytes, gives events that keep the grammar of `mira.core.events`."""

    __slots__ = ("_choices", "_framing", "_id", "_started")

    def __init__(self) -> None:
        self._framing = Framing()
        self._choices: dict[int, _Choice] = {}
        self._started = False
        self._id = ""

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        return self._framing.feed(data, self._take)

    def close(self) -> list[Event]:
        """The node closed; what it left open was cut."""
        return self._framing.close(self._take, self._is_complete)

    def _is_complete(self) -> bool:
        return bool(self._choices) and all(choice.finished for choice in self._choices.values())

    def _take(self, message: Message, events: list[Event]) -> None:
        if message.data == DONE:
            self._end(events)
            return
        chunk = loose(message.data)
        if not isinstance(chunk, dict):
            raise MiraError(Kind.UPSTREAM_FAILED, "The upstream sent a stream event that is not JSON.")
        if chunk.get("error"):
            raise parse_error_in_band(chunk["error"])
        if chunk.get("object") == "error":
            raise parse_error_in_band(chunk)
        if not self._started:
            self._started = True
            self._id = text_of(chunk, "id")
            tier = text_of(chunk, "service_tier") or None
            events.append(Start(model=text_of(chunk, "model"), id=self._id, service_tier=tier))
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._take_choice(choice, events)
        beside = chunk.get("x_groq")
        usage = usage_of(chunk.get("usage")) or (usage_of(beside.get("usage")) if isinstance(beside, dict) else None)
        if usage is not None:
            events.append(UsageEvent(usage))

    def _end(self, events: list[Event]) -> None:
        if not self._choices:
            raise MiraError(Kind.UPSTREAM_FAILED, "The upstream ended its stream without an answer.")
        for choice in self._choices.values():
            if not choice.finished:
                self._finish(choice, {}, events)
        self._framing.over = True

    def _take_choice(self, told: dict[str, Any], events: list[Event]) -> None:
        number = told.get("index")
        number = number if isinstance(number, int) and number >= 0 else 0
        choice = self._choices.get(number)
        if choice is None:
            choice = self._choices[number] = _Choice(number)
        if choice.finished:
            return
        delta = told.get("delta")
        if isinstance(delta, dict):
            self._take_delta(choice, delta, events)
        if told.get("finish_reason"):
            self._finish(choice, told, events)

    def _take_delta(self, choice: _Choice, delta: dict[str, Any], events: list[Event]) -> None:
        number = choice.index
        _reasoning(choice, delta, events)
        if text := content_text(delta.get("content")):
            events.append(TextDelta(text=text, choice=number))
        if refusal := text_of(delta, "refusal"):
            events.append(RefusalDelta(text=refusal, choice=number))
        notes = delta.get("annotations")
        events += [
            AnnotationDelta(format=FORMAT, data=compact(note), choice=number)
            for note in (notes if isinstance(notes, list) else ())
        ]
        events += [ImageBlock(source=source_of(url), choice=number) for url in image_urls(delta.get("images"))]
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                self._take_call(choice, call, events)
        if isinstance(legacy := delta.get("function_call"), dict):
            self._take_call(choice, {"index": 0, "function": legacy}, events)

    def _take_call(self, choice: _Choice, told: dict[str, Any], events: list[Event]) -> None:
        custom = isinstance(told.get("custom"), dict)
        body = told["custom"] if custom else told.get("function")
        body = body if isinstance(body, dict) else {}
        given, name = text_of(told, "id"), text_of(body, "name")
        call = _known(choice, told, given, name)
        if call is None:
            if not name:
                raise MiraError(Kind.UPSTREAM_FAILED, "The upstream sent a tool call without a name.")
            index = len(choice.calls)
            number = told.get("index")
            key: _Key = number if isinstance(number, int) and number >= 0 else given or f"#{index}"
            own = given if given and given not in choice.by_id else made_id(self._id, choice.index, index)
            call = _Call(index, own, custom, Arguments())
            choice.calls.append(call)
            choice.by_id[own] = choice.by_key[key] = call
            events.append(
                ToolCallStart(
                    index=index,
                    id=own,
                    name=name,
                    kind="custom" if custom else "function",
                    signature=_signature(told),
                    choice=choice.index,
                )
            )
        said = body.get("input") if custom else body.get("arguments")
        if said and not isinstance(said, str):
            said = bytes(compact(said)).decode()
        if said:
            call.told.add(said)
            events.append(ToolCallDelta(index=call.index, fragment=said, choice=choice.index))

    def _finish(self, choice: _Choice, told: dict[str, Any], events: list[Event]) -> None:
        if told:
            reason, stopped_at = finish_of(told, calls=bool(choice.calls))
        else:
            reason, stopped_at = (FinishReason.TOOL_CALLS if choice.calls else FinishReason.STOP), None
        events += [
            ToolCallDelta(index=call.index, fragment="{}", choice=choice.index)
            for call in choice.calls
            if not call.told and not call.custom
        ]
        choice.finished = True
        events.append(Finish(reason=reason, choice=choice.index, stop_sequence=stopped_at))


def _signature(told: dict[str, Any]) -> str | None:
    extra = told.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    return text_of(google, "thought_signature") or None if isinstance(google, dict) else None


def _known(choice: _Choice, told: dict[str, Any], given: str, name: str) -> _Call | None:
    """The call that a delta continues, None where it begins one.

    Nodes are told apart by index; Ollama writes 0 for all and others −1 or nothing, so an id or a name that does not
    fit begins a call of its own.
    """
    number = told.get("index")
    if isinstance(number, int) and number >= 0:
        found = choice.by_key.get(number)
    elif given:
        found = choice.by_id.get(given) or choice.by_key.get(given)
    else:
        found = choice.calls[-1] if choice.calls and not name else None
    if found is None or not name:
        return found
    if given and given != found.id:
        return None
    if not given and found.told.is_whole():
        return None
    return found


def _reasoning(choice: _Choice, delta: dict[str, Any], events: list[Event]) -> None:
    details = details_in(delta)
    if not details:
        text = text_of(delta, "reasoning_content") or text_of(delta, "reasoning") or thought_in(delta.get("content"))
        if text:
            _enter(choice, ("text",))
            events.append(ReasoningDelta(block=choice.block, text=text, choice=choice.index))
        return
    for detail in details:
        kind = _KINDS.get(detail.type)
        text = (detail.summary if kind == "summary" else detail.text) or ""
        if kind is None or not (text or detail.signature or detail.data):
            continue
        _enter(choice, (kind, detail.index))
        events.append(
            ReasoningDelta(
                block=choice.block,
                kind=kind,
                text=text,
                signature=detail.signature or "",
                data=detail.data or "",
                format=detail.format,
                id=detail.id,
                choice=choice.index,
            )
        )


def _enter(choice: _Choice, key: tuple[object, ...]) -> None:
    if choice.block_key != key:
        choice.block += 1
        choice.block_key = key
