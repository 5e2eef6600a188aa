"""How nodes that speak OpenAI's protocols put on the wire what a model says: Chat Completions and Responses."""

from collections.abc import Iterator
from typing import Any

from tests.support.said import SIGNATURE, Called, Counts, Said, Wire, fragments, in_turns, named
from tests.support.upstream import DONE, chunk, completion, frame

# Chat Completions


def _chat_usage(counts: Counts) -> dict[str, Any]:
    return {
        "prompt_tokens": counts.prompt,
        "completion_tokens": counts.completion,
        "total_tokens": counts.prompt + counts.completion,
        "prompt_tokens_details": {"cached_tokens": counts.cache_read} | _written(counts),
        "completion_tokens_details": {"reasoning_tokens": counts.reasoning},
    }


def _written(counts: Counts) -> dict[str, int]:
    """OpenAI tells what was written to a cache in one count."""
    return {"cache_write_tokens": counts.cache_write} if counts.cache_write else {}


def _chat_finish(said: Said) -> str:
    return "length" if said.length else "tool_calls" if said.calls else "stop"


def _chat_whole(said: Said, model: str) -> dict[str, Any]:
    more: dict[str, Any] = {"refusal": said.refusal or None}
    if said.thinking:
        more["reasoning_content"] = said.thinking
    if said.calls:
        more["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in said.calls
        ]
    finish, usage = _chat_finish(said), _chat_usage(said.counts)
    body = completion(said.text or None, model=model, finish=finish, usage=usage, **more)
    body["choices"][0] |= _stopped(said)
    return body


def _stopped(said: Said) -> dict[str, str]:
    """The protocol does not tell which sequence ended an answer; vLLM does."""
    return {"stop_reason": said.stopped_at} if said.stopped_at is not None else {}


def _chat_frames(said: Said, model: str) -> list[bytes]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in fragments(said.thinking, 2)]
    deltas += [{"content": text} for text in said.texts]
    deltas += [{"refusal": piece} for piece in fragments(said.refusal, 2)]
    tracks = [[{"tool_calls": [piece]} for piece in _pieces(call, index)] for index, call in enumerate(said.calls)]
    deltas += in_turns(tracks) if said.interleaved else [delta for track in tracks for delta in track]
    last = chunk({}, finish=_chat_finish(said), model=model)
    last["choices"][0] |= _stopped(said)
    told = [*(chunk(delta, model=model) for delta in deltas), last]
    return [*map(frame, [*told, chunk(model=model, usage=_chat_usage(said.counts))]), DONE]


def _pieces(call: Called, index: int) -> list[dict[str, Any]]:
    begun = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    return [begun, *({"index": index, "function": {"arguments": piece}} for piece in fragments(call.arguments))]


CHAT_WIRE = Wire(
    whole=_chat_whole,
    frames=_chat_frames,
    fault=frame({"error": {"message": "the secret reason", "type": "server_error", "code": 503}}),
)


# Chat Completions as OpenRouter speaks it: reasoning in blocks that are signed


def _detail(**told: Any) -> list[dict[str, Any]]:
    return [{"type": "reasoning.text", **told, "format": "anthropic-claude-v1", "index": 0}]


def _details_whole(said: Said, model: str) -> dict[str, Any]:
    body = _chat_whole(said, model)
    message = body["choices"][0]["message"]
    if message.pop("reasoning_content", None):
        message["reasoning"] = said.thinking
        message["reasoning_details"] = _detail(text=said.thinking, signature=SIGNATURE)
    return body


def _details_frames(said: Said, model: str) -> list[bytes]:
    first, *rest = _chat_frames(Said(**{**_fields(said), "thinking": ""}), model)
    deltas: list[dict[str, Any]] = [
        {"reasoning": piece, "reasoning_details": _detail(text=piece)} for piece in fragments(said.thinking, 2)
    ]
    deltas += [{"reasoning_details": _detail(signature=SIGNATURE)}] if said.thinking else []
    return [first, *(frame(chunk(delta, model=model)) for delta in deltas), *rest]


def _fields(said: Said) -> dict[str, Any]:
    return {name: getattr(said, name) for name in said.__struct_fields__}


DETAILS_WIRE = Wire(whole=_details_whole, frames=_details_frames, fault=CHAT_WIRE.fault)


# OpenAI Responses


def _responses_usage(counts: Counts) -> dict[str, Any]:
    return {
        "input_tokens": counts.prompt,
        "input_tokens_details": {"cached_tokens": counts.cache_read, "cache_write_tokens": counts.cache_write},
        "output_tokens": counts.completion,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning},
        "total_tokens": counts.prompt + counts.completion,
    }


def _responses_items(said: Said) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if said.thinking:
        summary = [{"type": "summary_text", "text": said.thinking}]
        items.append({"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": SIGNATURE})
    parts: list[dict[str, Any]] = []
    if said.texts:
        parts.append({"type": "output_text", "text": said.text, "annotations": [], "logprobs": []})
    if said.refusal:
        parts.append({"type": "refusal", "refusal": said.refusal})
    if parts:
        status = "incomplete" if said.length else "completed"
        items.append({"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": parts})
    for index, call in enumerate(said.calls):
        told = {"id": f"fc_{index}", "type": "function_call", "call_id": call.id, "name": call.name}
        items.append({**told, "arguments": call.arguments, "status": "completed"})
    return items


def _responses_body(said: Said, model: str, status: str = "") -> dict[str, Any]:
    status = status or ("incomplete" if said.length else "completed")
    over = status != "in_progress"
    return {
        "id": "resp_upstream",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": _responses_items(said) if over else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": _responses_usage(said.counts) if over else None,
    }


def _responses_frames(said: Said, model: str) -> list[bytes]:
    begun = _responses_body(said, model, "in_progress")
    told: list[tuple[str, dict[str, Any]]] = [("created", {"response": begun}), ("in_progress", {"response": begun})]
    tracks = [_life(said, item, index) for index, item in enumerate(_responses_items(said))]
    calls = len(said.calls) if said.interleaved else 0
    apart = tracks[: len(tracks) - calls]
    told += [step for track in apart for step in track] + in_turns(tracks[len(apart) :])
    body = _responses_body(said, model)
    told.append((body["status"], {"response": body}))
    return [named(f"response.{name}", sequence_number=number, **more) for number, (name, more) in enumerate(told)]


def _life(said: Said, item: dict[str, Any], index: int) -> list[tuple[str, dict[str, Any]]]:
    begun = {**item, "status": "in_progress"}
    blank = {"reasoning": "summary", "message": "content", "function_call": "arguments"}[item["type"]]
    begun[blank] = "" if blank == "arguments" else []
    said_of_it = [(name, {"item_id": item["id"], "output_index": index, **more}) for name, more in _steps(said, item)]
    return [
        ("output_item.added", {"output_index": index, "item": begun}),
        *said_of_it,
        ("output_item.done", {"output_index": index, "item": item}),
    ]


def _steps(said: Said, item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if item["type"] == "reasoning":
        spot = {"summary_index": 0}
        yield "reasoning_summary_part.added", {**spot, "part": {"type": "summary_text", "text": ""}}
        for piece in fragments(said.thinking, 2):
            yield "reasoning_summary_text.delta", {**spot, "delta": piece}
        yield "reasoning_summary_text.done", {**spot, "text": said.thinking}
        yield "reasoning_summary_part.done", {**spot, "part": item["summary"][0]}
    elif item["type"] == "message":
        for index, part in enumerate(item["content"]):
            yield from _content_steps(said, part, {"content_index": index})
    else:
        for piece in fragments(item["arguments"]):
            yield "function_call_arguments.delta", {"delta": piece}
        yield "function_call_arguments.done", {"name": item["name"], "arguments": item["arguments"]}


def _content_steps(said: Said, part: dict[str, Any], spot: dict[str, int]) -> Iterator[tuple[str, dict[str, Any]]]:
    if part["type"] == "refusal":
        yield "content_part.added", {**spot, "part": {**part, "refusal": ""}}
        for piece in fragments(said.refusal, 2):
            yield "refusal.delta", {**spot, "delta": piece}
        yield "refusal.done", {**spot, "refusal": said.refusal}
    else:
        yield "content_part.added", {**spot, "part": {**part, "text": ""}}
        for text in said.texts:
            yield "output_text.delta", {**spot, "delta": text, "logprobs": []}
        yield "output_text.done", {**spot, "text": said.text, "logprobs": []}
    yield "content_part.done", {**spot, "part": part}


RESPONSES_WIRE = Wire(
    whole=_responses_body,
    frames=_responses_frames,
    fault=named("error", sequence_number=99, code="server_error", message="the secret reason", param=None),
)
