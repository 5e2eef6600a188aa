"""Events as a Messages stream for a client.

Blocks of Messages stand one behind the other, events may interleave. So one block is open at a time, and whatever
belongs elsewhere waits until the open tool call is complete: its arguments are a whole object, or the answer is over.
"""

from collections import deque
from typing import Any

import msgspec
from msgspec import Struct

from mira.codecs import in_words
from mira.codecs.chat.answer import shown_name
from mira.codecs.codec import Context
from mira.codecs.free_form import wrapped
from mira.codecs.growing import Arguments, Thought
from mira.codecs.messages.answer import signature_blocks, signature_of, thought_block, told_finish
from mira.codecs.messages.errors import render_error
from mira.codecs.messages.names import wire_id
from mira.codecs.messages.usage import usage_body
from mira.codecs.messages.wire import FORMAT
from mira.codecs.sse import event_frame
from mira.core.conversation import AssistantTurn, Conversation, Reasoning, SystemTurn, Text, ToolTurn, UserTurn
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
from mira.core.tokens import rough_tokens
from mira.core.usage import Usage
from mira.errors import MiraError


class _Call(Struct):
    """A tool call with its arguments so far; `sent` says how many pieces of them the client has."""

    id: str
    name: str
    custom: bool
    signature: str | None
    told: Arguments
    sent: int = 0

    def is_whole(self) -> bool:
        """Whether nothing can follow."""
        return not self.custom and self.told.is_whole()


class Encoder:
    """Feeds on events that keep the grammar of `mira.core.events`, gives frames."""

    __slots__ = ("_calls", "_context", "_finish", "_next", "_open", "_refusal", "_thought", "_waiting")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._calls: dict[int, _Call] = {}
        #: what is open: a text's or a thought's (kind, block), a call, or nothing
        self._open: tuple[str, int] | _Call | None = None
        self._thought: Thought | None = None
        self._waiting: deque[Event | _Call] = deque()
        self._next = 0
        self._refusal: list[str] = []
        self._finish: Finish | None = None

    def feed(self, event: Event) -> bytes:
        """The frames of one event."""
        if getattr(event, "choice", 0) != 0:
            # Messages has room for one answer.
            return b""
        match event:
            case Start():
                return self._start(event)
            case Finish():
                self._finish = event
                return self._drain(over=True) + self._close()
            case ToolCallStart():
                call = _Call(event.id, event.name, event.kind == "custom", event.signature, Arguments())
                self._calls[event.index] = call
                self._waiting.append(call)
                return self._drain()
            case ToolCallDelta():
                call = self._calls[event.index]
                call.told.add(event.fragment)
                return (self._say(call) if call is self._open else b"") + self._drain()
            case TextDelta() | RefusalDelta() | ReasoningDelta() | AnnotationDelta() | ImageBlock() | OpaqueBlock():
                if not self._waiting and not isinstance(self._open, _Call):
                    return self._tell(event)
                self._waiting.append(event)
                return self._drain()
            case _:
                return b""

    def finish(self, usage: Usage, cost_nanocredits: int | None) -> bytes:
        """Why the model stopped, with the usage, then the end."""
        reason = self._finish.reason if self._finish else None
        stopped_at = self._finish.stop_sequence if self._finish else None
        delta = told_finish(reason, stopped_at, calls=bool(self._calls), refusal="".join(self._refusal))
        told = {"delta": {**delta, "container": None}, "usage": usage_body(usage, cost_nanocredits)}
        return _frame("message_delta", told) + _frame("message_stop", {})

    def abort(self, error: MiraError) -> bytes:
        """The error; no `message_stop` follows."""
        return event_frame(b"error", render_error(error, self._context.request_id))

    def _start(self, event: Start) -> bytes:
        usage = event.usage or Usage(input_tokens=_prompt_tokens(self._context.request), output_tokens=1)
        message = {
            "id": self._context.answer_id,
            "type": "message",
            "role": "assistant",
            "model": shown_name(event.model, self._context),
            "content": [],
            **told_finish(None, None, calls=False),
            "stop_reason": None,
            "container": None,
            "usage": usage_body(usage, None),
        }
        return _frame("message_start", {"message": message})

    def _drain(self, *, over: bool = False) -> bytes:
        """Tells what waits, as far as it can be told; all of it when the answer is over."""
        out: list[bytes] = []
        while self._waiting:
            if isinstance(self._open, _Call) and not over and not self._open.is_whole():
                break
            told = self._waiting.popleft()
            out.append(self._begin(told) if isinstance(told, _Call) else self._tell(told))
        return b"".join(out)

    def _begin(self, call: _Call) -> bytes:
        out = self._close()
        for block in signature_blocks(call.id, call.signature):
            out += self._whole(block)
        self._open = call
        block = {"type": "tool_use", "id": wire_id(call.id), "name": call.name, "input": {}}
        return out + self._opened(block) + self._say(call)

    def _say(self, call: _Call) -> bytes:
        """The arguments that the client has not got; those of a free-form call when it is closed."""
        if call.custom or call.sent == len(call.told):
            return b""
        said = call.told.text(call.sent)
        call.sent = len(call.told)
        return self._delta({"type": "input_json_delta", "partial_json": said})

    def _tell(self, event: Event) -> bytes:
        match event:
            case TextDelta(text=text):
                return self._enter("text", event.block) + self._delta({"type": "text_delta", "text": text})
            case RefusalDelta(text=text):
                self._refusal.append(text)
                return self._enter("text", -1) + self._delta({"type": "text_delta", "text": text})
            case ReasoningDelta():
                return self._think(event)
            case AnnotationDelta(format=form, data=data) if form == FORMAT and self._is_open("text"):
                return self._delta({"type": "citations_delta", "citation": data})
            case ImageBlock(source=source):
                # A block of its own, so that words before and behind stay as the model wrote them.
                out = self._close() + self._opened({"type": "text", "text": ""})
                return out + self._delta({"type": "text_delta", "text": in_words.picture(source)}) + self._closed()
            case OpaqueBlock(format=form, data=data) if form == FORMAT:
                return self._close() + self._whole(data)
            case _:
                return b""

    def _think(self, event: ReasoningDelta) -> bytes:
        out = b""
        if self._open != ("thinking", event.block):
            out = self._close()
            self._open = ("thinking", event.block)
            self._thought = Thought(event)
            if event.kind != "encrypted":
                out += self._opened({"type": "thinking", "thinking": "", "signature": ""})
        thought = self._thought
        assert thought is not None
        thought.add(event)
        if event.text and thought.kind != "encrypted":
            out += self._delta({"type": "thinking_delta", "thinking": event.text})
        return out

    def _is_open(self, kind: str) -> bool:
        return isinstance(self._open, tuple) and self._open[0] == kind

    def _enter(self, kind: str, block: int) -> bytes:
        if self._open == (kind, block):
            return b""
        out = self._close()
        self._open = (kind, block)
        return out + self._opened({"type": "text", "text": ""})

    def _close(self) -> bytes:
        """Closes the open block: a signature comes last, a ciphertext comes whole."""
        was, self._open = self._open, None
        thought, self._thought = self._thought, None
        if was is None:
            return b""
        if thought is not None and thought.kind == "encrypted":
            return self._whole(thought_block(thought.block()))
        out = b""
        if thought is not None:
            out = self._delta({"type": "signature_delta", "signature": signature_of(thought.block())})
        elif isinstance(was, _Call) and was.custom:
            said = wrapped(was.told.text())
            out = self._delta({"type": "input_json_delta", "partial_json": said})
        return out + self._closed()

    def _whole(self, block: Any) -> bytes:
        return self._opened(block) + self._closed()

    def _opened(self, block: Any) -> bytes:
        return _frame("content_block_start", {"index": self._next, "content_block": block})

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _frame("content_block_delta", {"index": self._next, "delta": delta})

    def _closed(self) -> bytes:
        self._next += 1
        return _frame("content_block_stop", {"index": self._next - 1})


def _frame(kind: str, told: dict[str, Any]) -> bytes:
    return event_frame(kind.encode(), msgspec.json.encode({"type": kind, **told}))


def _prompt_tokens(request: Conversation | None) -> int:
    """About how long the prompt is, for the start of an answer whose node tells it at the end only."""
    size = 0
    for turn in request.turns if request is not None else ():
        match turn:
            case ToolTurn():
                parts = [part for result in turn.results for part in result.parts]
                size += sum(len(part.text) for part in parts if isinstance(part, Text))
            case SystemTurn() | UserTurn() | AssistantTurn():
                size += sum(len(part.text) for part in turn.parts if isinstance(part, Text | Reasoning))
    return max(1, rough_tokens(size))
