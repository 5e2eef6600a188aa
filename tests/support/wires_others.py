"""How nodes of Anthropic and of Google put on the wire what a model says."""

import json
from collections.abc import Iterator
from typing import Any

from tests.support.said import SIGNATURE, Counts, Said, Wire, fragments, named
from tests.support.upstream import frame

# Anthropic Messages


def _messages_usage(counts: Counts) -> dict[str, Any]:
    return {
        "input_tokens": counts.input,
        "cache_creation_input_tokens": counts.cache_write,
        "cache_creation": {
            "ephemeral_5m_input_tokens": counts.cache_write_5m,
            "ephemeral_1h_input_tokens": counts.cache_write_1h,
        },
        "cache_read_input_tokens": counts.cache_read,
        "output_tokens": counts.completion,
        "output_tokens_details": {"thinking_tokens": counts.reasoning},
    }


def _messages_end(said: Said) -> dict[str, Any]:
    reason = "max_tokens" if said.length else "tool_use" if said.calls else "end_turn"
    if said.refusal:
        details = {"type": "refusal", "category": None, "explanation": said.refusal}
        return {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    if said.stopped_at is not None:
        return {"stop_reason": "stop_sequence", "stop_sequence": said.stopped_at}
    return {"stop_reason": reason, "stop_sequence": None}


def _messages_head(model: str, usage: dict[str, Any]) -> dict[str, Any]:
    head = {"id": "msg_upstream", "type": "message", "role": "assistant", "model": model}
    return {**head, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}


def _messages_whole(said: Said, model: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if said.thinking:
        content.append({"type": "thinking", "thinking": said.thinking, "signature": SIGNATURE})
    if said.texts:
        content.append({"type": "text", "text": said.text})
    content += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)}
        for call in said.calls
    ]
    head = _messages_head(model, _messages_usage(said.counts))
    return {**head, "content": content, **_messages_end(said)}


def _messages_frames(said: Said, model: str) -> list[bytes]:
    first = {**_messages_usage(said.counts), "output_tokens": 1}
    first.pop("output_tokens_details")
    frames = [named("message_start", message=_messages_head(model, first)), named("ping")]
    for index, (begin, deltas) in enumerate(_messages_blocks(said)):
        frames.append(named("content_block_start", index=index, content_block=begin))
        frames += [named("content_block_delta", index=index, delta=delta) for delta in deltas]
        frames.append(named("content_block_stop", index=index))
    frames.append(named("message_delta", delta=_messages_end(said), usage=_messages_usage(said.counts)))
    return [*frames, named("message_stop")]


def _messages_blocks(said: Said) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    if said.thinking:
        thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in fragments(said.thinking, 2)]
        signed = {"type": "signature_delta", "signature": SIGNATURE}
        yield {"type": "thinking", "thinking": "", "signature": ""}, [*thoughts, signed]
    if said.texts:
        yield {"type": "text", "text": ""}, [{"type": "text_delta", "text": text} for text in said.texts]
    for call in said.calls:
        pieces = ["", *fragments(call.arguments)]
        begun = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        yield begun, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


MESSAGES_WIRE = Wire(
    whole=_messages_whole,
    frames=_messages_frames,
    early_counts=True,
    fault=named("error", error={"type": "overloaded_error", "message": "the secret reason"}),
)


# Gemini


def _gemini_usage(counts: Counts) -> dict[str, Any]:
    return {
        "promptTokenCount": counts.prompt,
        "cachedContentTokenCount": counts.cache_read,
        "candidatesTokenCount": counts.output,
        "thoughtsTokenCount": counts.reasoning,
        "totalTokenCount": counts.prompt + counts.completion,
    }


def _gemini_parts(said: Said) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"text": piece, "thought": True} for piece in fragments(said.thinking, 2)]
    parts += [{"text": text} for text in said.texts]
    for index, call in enumerate(said.calls):
        told = {"functionCall": {"id": call.id, "name": call.name, "args": json.loads(call.arguments)}}
        parts.append({**told, "thoughtSignature": SIGNATURE} if index == 0 else told)
    return parts


def _gemini_chunk(parts: list[dict[str, Any]], model: str, **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **more}
    return {"candidates": [candidate], "modelVersion": model, "responseId": "gemini-upstream"}


def _gemini_reason(said: Said) -> str:
    """The protocol has no words for a refusal and does not tell a stop sequence from a stop."""
    return "SAFETY" if said.refusal else "MAX_TOKENS" if said.length else "STOP"


def _gemini_whole(said: Said, model: str) -> dict[str, Any]:
    told = _gemini_chunk(_gemini_parts(said), model, finishReason=_gemini_reason(said))
    return {**told, "usageMetadata": _gemini_usage(said.counts)}


def _gemini_frames(said: Said, model: str) -> list[bytes]:
    chunks = [_gemini_chunk([part], model) for part in _gemini_parts(said)]
    last = _gemini_chunk([{"text": ""}], model, finishReason=_gemini_reason(said))
    usage = _gemini_usage(said.counts)
    told = [{**one, "usageMetadata": {**usage, "candidatesTokenCount": number}} for number, one in enumerate(chunks, 1)]
    told.append({**last, "usageMetadata": usage})
    return [frame(one).replace(b"\n\n", b"\r\n\r\n") for one in told]


GEMINI_WIRE = Wire(
    whole=_gemini_whole,
    frames=_gemini_frames,
    early_counts=True,
    streamed=lambda turn: ":streamGenerateContent" in turn.request.path,
    fault=frame({"error": {"code": 503, "message": "the secret reason", "status": "UNAVAILABLE"}}),
)
