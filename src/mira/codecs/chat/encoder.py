"""Events as a Chat Completions stream for a client."""

from typing import Any

import msgspec
from msgspec import Raw

from mira.codecs.chat.answer import image_body, shown_name, told_finish
from mira.codecs.chat.errors import render_error
from mira.codecs.chat.rendering import detail_of
from mira.codecs.chat.usage import usage_body
from mira.codecs.codec import Context
from mira.codecs.sse import DONE, data_frame
from mira.core.conversation import Reasoning
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

_NULL = Raw(b"null")
_ROLE: dict[str, Any] = {"role": "assistant", "content": ""}


class Encoder:
    """Feeds on events that keep the grammar of `mira.core.events`, gives chunks."""

    __slots__ = ("_calls", "_context", "_custom", "_head", "_images", "_legacy", "_spoke")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._legacy = context.request is not None and context.request.legacy_functions
        self._head: dict[str, Any] = self._head_of("")
        #: choices that have their role, those that called a tool, calls of custom tools by (choice, index)
        self._spoke: set[int] = set()
        self._calls: set[int] = set()
        self._custom: set[tuple[int, int]] = set()
        #: how many pictures a choice has
        self._images: dict[int, int] = {}

    def feed(self, event: Event) -> bytes:
        """The chunks of one event."""
        match event:
            case Start():
                self._head = self._head_of(event.model)
                if event.service_tier is not None:
                    self._head["service_tier"] = event.service_tier
                return self._role(0)
            case TextDelta():
                return self._delta(event.choice, {"content": event.text})
            case ReasoningDelta():
                return self._delta(event.choice, _thought(event))
            case ToolCallStart():
                return self._start_call(event)
            case ToolCallDelta():
                return self._more_call(event)
            case RefusalDelta():
                return self._delta(event.choice, {"refusal": event.text})
            case AnnotationDelta(format="chat"):
                return self._delta(event.choice, {"annotations": [event.data]})
            case ImageBlock():
                index = self._images.get(event.choice, 0)
                self._images[event.choice] = index + 1
                return self._delta(event.choice, {"images": [image_body(event.source, index)]})
            case OpaqueBlock(format="chat"):
                return self._delta(event.choice, msgspec.json.decode(event.data, type=dict[str, Raw]))
            case Finish():
                calls = event.choice in self._calls
                reason = told_finish(event.reason, calls=calls, legacy=self._legacy)
                return self._role(event.choice) + self._chunk(event.choice, {}, reason)
            case _:
                return b""

    def finish(self, usage: Usage, cost_nanocredits: int | None) -> bytes:
        """The usage chunk where the client asked for it, then `[DONE]`."""
        done = data_frame(DONE)
        if not self._context.include_usage:
            return done
        chunk = {**self._head, "choices": [], "usage": usage_body(usage, cost_nanocredits)}
        return data_frame(msgspec.json.encode(chunk)) + done

    def abort(self, error: MiraError) -> bytes:
        """The error frame; no `[DONE]` follows."""
        return data_frame(render_error(error, self._context.request_id))

    def _head_of(self, model: str) -> dict[str, Any]:
        return {
            "id": self._context.answer_id,
            "object": "chat.completion.chunk",
            "created": self._context.created_s,
            "model": shown_name(model, self._context),
        }

    def _role(self, choice: int) -> bytes:
        if choice in self._spoke:
            return b""
        self._spoke.add(choice)
        return self._chunk(choice, _ROLE, None)

    def _delta(self, choice: int, delta: dict[str, Any]) -> bytes:
        return self._role(choice) + self._chunk(choice, delta, None)

    def _chunk(self, choice: int, delta: dict[str, Any], finish_reason: str | None) -> bytes:
        told = {"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**self._head, "choices": [told]}
        if self._context.include_usage:
            chunk["usage"] = _NULL
        return data_frame(msgspec.json.encode(chunk))

    def _start_call(self, event: ToolCallStart) -> bytes:
        self._calls.add(event.choice)
        if self._legacy:
            # The old form has room for one call.
            call = {"name": event.name, "arguments": ""}
            return self._delta(event.choice, {"function_call": call}) if event.index == 0 else b""
        told: dict[str, Any] = {"index": event.index, "id": event.id, "type": event.kind}
        if event.kind == "custom":
            self._custom.add((event.choice, event.index))
            told["custom"] = {"name": event.name, "input": ""}
        else:
            told["function"] = {"name": event.name, "arguments": ""}
        if event.signature is not None:
            told["extra_content"] = {"google": {"thought_signature": event.signature}}
        return self._delta(event.choice, {"tool_calls": [told]})

    def _more_call(self, event: ToolCallDelta) -> bytes:
        if self._legacy:
            more = {"arguments": event.fragment}
            return self._delta(event.choice, {"function_call": more}) if event.index == 0 else b""
        custom = (event.choice, event.index) in self._custom
        more_told = {"custom": {"input": event.fragment}} if custom else {"function": {"arguments": event.fragment}}
        return self._delta(event.choice, {"tool_calls": [{"index": event.index, **more_told}]})


def _thought(event: ReasoningDelta) -> dict[str, Any]:
    block = Reasoning(
        kind=event.kind,
        text=event.text,
        signature=event.signature or None,
        data=event.data or None,
        format=event.format,
        id=event.id,
    )
    delta: dict[str, Any] = {"reasoning_content": event.text} if event.text else {}
    return {**delta, "reasoning_details": [detail_of(block, event.block)]}
