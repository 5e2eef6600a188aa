"""Helpers of the Responses tests: streams as nodes send them, and what a list of events says in the end."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec
from tests.generators.conversations import pieces

from mira.codecs.codec import AnswerStream, Context
from mira.codecs.responses import RESPONSES
from mira.core import conversation as c
from mira.core import events as e
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

CONTEXT = Context(answer_id="resp_mira", created_s=1_700_000_000)
USAGE = Usage(input_tokens=3, output_tokens=2)
FAILURE = MiraError(Kind.UPSTREAM_FAILED, "cut")


class Node:
    """Writes the events of a node, numbered."""

    def __init__(self) -> None:
        self.number = 0
        self.stream = b""

    def say(self, kind: str, **fields: Any) -> "Node":
        body = {"type": f"response.{kind}", "sequence_number": self.number, **fields}
        self.number += 1
        self.stream += frame(f"response.{kind}", body)
        return self

    def begin(self) -> "Node":
        return self.say("created", response=response("in_progress", []))

    def item(self, index: int, item: dict[str, Any]) -> "Node":
        """An item that is only added and done."""
        self.say("output_item.added", output_index=index, item=item)
        return self.say("output_item.done", output_index=index, item=item)

    def end(self, output: list[dict[str, Any]], status: str = "completed", **more: Any) -> bytes:
        return self.say(status, response=response(status, output, **more)).stream


def frame(name: str, body: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps(body, ensure_ascii=False)}\n\n".encode()


def response(status: str, output: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7} if status != "in_progress" else None
    head = {"id": "resp_up", "object": "response", "created_at": 1, "model": "up/m", "status": status}
    return {**head, "output": output, "usage": usage, **more}


def passed(stream: bytes, cuts: list[int], context: Context = CONTEXT) -> tuple[bytes, AnswerStream]:
    machine = RESPONSES.pass_stream(context)
    out = b"".join(machine.feed(piece) for piece in pieces(stream, cuts)) + machine.close()
    return out, machine


def whole(stream: bytes, cuts: list[int], context: Context = CONTEXT) -> tuple[bytes, AnswerStream]:
    out, machine = passed(stream, cuts, context)
    end = machine.abort(machine.failed) if machine.failed else machine.finish(machine.usage or USAGE, 42)
    return out + end, machine


def decoded(stream: bytes, cuts: Iterable[int] = ()) -> list[e.Event]:
    machine = RESPONSES.decoder()
    events = [event for piece in pieces(stream, list(cuts)) for event in machine.feed(piece)]
    return events + machine.close()


def plain(events: list[e.Event]) -> list[object]:
    """Events that can be compared: errors by what they say."""
    return [(event.error.kind, event.error.message) if isinstance(event, e.ErrorEvent) else event for event in events]


def encoded(events: list[e.Event], context: Context = CONTEXT, usage: Usage = USAGE) -> bytes:
    encoder = RESPONSES.encoder(context)
    return b"".join(encoder.feed(event) for event in events) + encoder.finish(usage, None)


def said(events: list[e.Event]) -> list[c.AssistantPart]:
    """The parts that events say together; thinking that goes on after other words is a block of its own."""
    parts: list[Any] = []
    calls: dict[int, int] = {}
    key: object = None
    for event in events:
        match event:
            case e.ToolCallStart():
                calls[event.index] = len(parts)
                parts.append(
                    c.ToolCall(
                        id=event.id,
                        name=event.name,
                        input="",
                        kind=event.kind,
                        namespace=event.namespace,
                        signature=event.signature,
                    )
                )
                key = None
            case e.ToolCallDelta():
                call = parts[calls[event.index]]
                parts[calls[event.index]] = msgspec.structs.replace(call, input=call.input + event.fragment)
            case e.ImageBlock():
                parts.append(picture(event.source.data))
                key = None
            case e.OpaqueBlock(data=data):
                parts.append(picture(json.loads(bytes(data))["result"]))
                key = None
            case e.TextDelta() | e.RefusalDelta() | e.ReasoningDelta():
                mine = (type(event), getattr(event, "block", None))
                if mine != key:
                    parts.append(_begun(event))
                parts[-1] = _more(parts[-1], event)
                key = mine
    return parts


def picture(data: str) -> c.Image:
    """A picture by what this protocol keeps of it."""
    return c.Image(source=c.Inline("image", data))


def shown(part: c.AssistantPart) -> c.AssistantPart:
    """A part of an answer, pictures as `said` gives them."""
    return picture(json.loads(bytes(part.data))["result"]) if isinstance(part, c.Opaque) else part


def _begun(event: e.Event) -> c.AssistantPart:
    match event:
        case e.ReasoningDelta():
            return c.Reasoning(kind=event.kind)
        case e.RefusalDelta():
            return c.Refusal("")
        case _:
            return c.Text(text="")


def _more(part: Any, event: Any) -> c.AssistantPart:
    if not isinstance(event, e.ReasoningDelta):
        return msgspec.structs.replace(part, text=part.text + event.text)
    return msgspec.structs.replace(
        part,
        text=part.text + event.text,
        signature=(part.signature or "") + event.signature or None,
        data=(part.data or "") + event.data or None,
        format=part.format or event.format,
        id=part.id or event.id,
    )
