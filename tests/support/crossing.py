"""Requests, answers and streams taken from Chat Completions to Messages and back, as the relay takes them."""

import json
from pathlib import Path
from typing import Any

from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion
from pydantic import TypeAdapter
from tests.generators.conversations import pieces
from tests.grammar.chat import check_chat_stream
from tests.grammar.messages import check_messages_stream

from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec, Context, Target
from mira.codecs.messages import MESSAGES
from mira.codecs.restoring import Restorer, renamed_tools
from mira.codecs.translation import TranslatedStream
from mira.core.capabilities import UNKNOWN, Capabilities
from mira.core.conversation import Conversation
from mira.core.usage import Usage

VECTORS = Path(__file__).parents[1] / "vectors"


CHAT_GOLDEN = (VECTORS / "chat/golden.sse").read_bytes()


MESSAGES_GOLDEN = (VECTORS / "messages/golden.sse").read_bytes()


ADAPTIVE = Capabilities(
    sampling=False, thinking_budget=False, thinking_adaptive=True, effort=True, mid_system=True, prefill=False
)


SDK_EVENT = TypeAdapter(RawMessageStreamEvent)


SIGNED = {
    "type": "reasoning.text",
    "text": "hm é\n",
    "signature": "EqQB+/==",
    "format": "anthropic-claude-v1",
    "index": 0,
}


SECRET = {"type": "reasoning.encrypted", "data": "Em8K+/==", "format": "anthropic-claude-v1", "index": 1}


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


OWN_TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {}}}


USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 8},
}


def from_chat(*messages: dict[str, Any], **more: Any) -> Conversation:
    body = json.dumps({"model": "m", "messages": messages, **more}).encode()
    return CHAT.parse_request(CHAT.open_request(body))


def from_messages(*messages: dict[str, Any], **more: Any) -> Conversation:
    body = json.dumps({"model": "m", "max_tokens": 100, "messages": messages, **more}).encode()
    return MESSAGES.parse_request(MESSAGES.open_request(body))


def to_messages(
    told: Conversation, can: Capabilities = UNKNOWN, cap: int = 64000
) -> tuple[dict[str, Any], tuple[str, ...]]:
    body, dropped = MESSAGES.render_request(told, Target(model="claude", output_cap=cap, capabilities=can))
    return json.loads(body), dropped


def to_chat(told: Conversation, dialect: str = "", cap: int = 100) -> dict[str, Any]:
    return json.loads(CHAT.render_request(told, Target(model="gpt", output_cap=cap, dialect=dialect))[0])


def user(content: Any = "x") -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def call(call_id: str, arguments: str | None = "{}", name: str = "f", **more: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def use(call_id: str, told: Any = None, name: str = "f") -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": told or {}}


def result(call_id: str, content: Any = "1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **more}


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    told = {"id": "up-1", "object": "chat.completion.chunk", "created": 1, "model": "up/m", "choices": [choice], **more}
    return b"data: " + json.dumps(told, ensure_ascii=False).encode() + b"\n\n"


ROLE = chunk({"role": "assistant", "content": ""})


DONE = b"data: [DONE]\n\n"


def tool_delta(index: int, arguments: str, call_id: str | None = None, name: str | None = None) -> bytes:
    head = {"id": call_id, "type": "function"} if call_id else {}
    body = {"name": name} if name else {}
    return chunk({"tool_calls": [{"index": index, **head, "function": {**body, "arguments": arguments}}]})


def frame(kind: str, **told: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **told})}\n\n".encode()


def through(
    stream: bytes, node: Codec, client: Codec, cuts: list[int] | None = None, request: Conversation | None = None
) -> tuple[bytes, TranslatedStream]:
    """What a client gets of a node's stream, as the relay does it."""
    context = Context(answer_id="answer_1", created_s=1, request=request)
    machine = TranslatedStream(node, client, context, [Restorer(renamed_tools(request))] if request else [])
    out = b"".join([machine.feed(piece) for piece in pieces(stream, cuts or [])]) + machine.close()
    if machine.failed is not None:
        return out + machine.abort(machine.failed), machine
    return out + machine.finish(machine.usage or Usage(), 42), machine


def in_messages(stream: bytes, request: Conversation | None = None) -> list[dict[str, Any]]:
    """The events that a Messages client gets of a Chat Completions stream."""
    events = check_messages_stream(through(stream, CHAT, MESSAGES, request=request)[0])
    for event in events:
        if event["type"] not in ("ping", "error"):
            SDK_EVENT.validate_python(event)
    return events


def in_chat(stream: bytes) -> list[dict[str, Any]]:
    """The chunks that a Chat Completions client gets of a Messages stream."""
    return check_chat_stream(through(stream, MESSAGES, CHAT)[0], include_usage=True)


def whole_in_messages(message: dict[str, Any], finish: str = "stop", **more: Any) -> dict[str, Any]:
    """The body that a Messages client gets of a Chat Completions answer."""
    told = {"id": "x", "model": "m", "choices": [{"message": message, "finish_reason": finish}], **more}
    answer = CHAT.parse_answer(json.dumps(told).encode())
    body = MESSAGES.render_answer(answer, Context(answer_id="msg_1", created_s=1), None)
    Message.model_validate_json(body)
    return json.loads(body)


def whole_in_chat(*content: dict[str, Any], stop_reason: str = "end_turn", **more: Any) -> dict[str, Any]:
    """The body that a Chat Completions client gets of a Messages answer."""
    told = {"id": "x", "model": "m", "content": content, "stop_reason": stop_reason, **more}
    body = CHAT.render_answer(
        MESSAGES.parse_answer(json.dumps(told).encode()), Context(answer_id="c", created_s=1), None
    )
    ChatCompletion.model_validate_json(body)
    return json.loads(body)


TWO_CALLS = tool_delta(0, "", "a", "f") + tool_delta(1, "", "b", "g")
