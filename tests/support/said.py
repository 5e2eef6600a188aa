"""What a scripted model says, once, and how each kind of node puts it on the wire, whole and streamed.

said = Said(thinking="Hm.", texts=("Hel", "lo."), calls=(Called("call_1", "weather", '{"city":"Oslo"}'),))
upstream.script("claude-sonnet-4-5", ANTHROPIC.says(said))
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct
from tests.support.upstream import DONE, FIN, Moment, Script, Turn, answers, chunk, completion, frame, streams

#: How many pieces a call's arguments come in, where the protocol has pieces.
FRAGMENTS = 4
SIGNATURE = "c2lnbmF0dXJlLW9mLXRoZS1ub2Rl"


class Called(Struct, frozen=True):
    """One tool call; `arguments` are JSON text."""

    id: str
    name: str
    arguments: str


class Counts(Struct, frozen=True, kw_only=True):
    """Disjoint token counts, as `mira.core.usage.Usage` has them."""

    input: int = 11
    cache_read: int = 0
    output: int = 3
    reasoning: int = 0

    @property
    def prompt(self) -> int:
        return self.input + self.cache_read

    @property
    def completion(self) -> int:
        return self.output + self.reasoning


class Said(Struct, frozen=True, kw_only=True):
    """One answer. `texts` come one delta each; `length` says that the cap cut it."""

    texts: tuple[str, ...] = ()
    thinking: str = ""
    calls: tuple[Called, ...] = ()
    length: bool = False
    counts: Counts = Counts()

    @property
    def text(self) -> str:
        return "".join(self.texts)


class Wire(Struct, frozen=True, kw_only=True):
    """The wire protocol of a kind of node. `whole` is the body of an answer, `frames` are those of a stream.

    `fault` is the error frame that its vendor sends in a stream; `early_counts` says that a stream tells its input
    before the content.
    """

    whole: Callable[[Said, str], dict[str, Any]]
    frames: Callable[[Said, str], list[bytes]]
    streamed: Callable[[Turn], bool] = lambda turn: bool(turn.request.json.get("stream"))
    fault: bytes
    early_counts: bool = False

    def says(self, *said: Said) -> tuple[Script, ...]:
        """Scripts that answer one request after the other, streamed where the request asks for a stream."""
        return tuple(self._script(one) for one in said)

    def breaks(self, said: Said, seen: Moment, *, told: bool) -> Script:
        """A stream that ends once its first text was `seen`: with the vendor's error frame where `told`, else cut."""

        async def script(turn: Turn) -> None:
            frames = self.frames(said, str(turn.request.model))
            at = next(index for index, one in enumerate(frames) if said.texts[0].encode() in one)
            await streams([*frames[: at + 1], seen, *([self.fault] if told else [FIN])])(turn)

        return script

    def _script(self, said: Said) -> Script:
        async def script(turn: Turn) -> None:
            model = str(turn.request.model)
            if self.streamed(turn):
                await streams(self.frames(said, model))(turn)
            else:
                await answers(self.whole(said, model))(turn)

        return script


def fragments(text: str, count: int = FRAGMENTS) -> list[str]:
    """The text in so many pieces, or fewer where it is short."""
    size = max(1, -(-len(text) // count))
    return [text[at : at + size] for at in range(0, len(text), size)]


def named(kind: str, **fields: Any) -> bytes:
    """One SSE frame with its type as the event's name."""
    body = json.dumps({"type": kind, **fields}, ensure_ascii=False)
    return f"event: {kind}\ndata: {body}\n\n".encode()


# Chat Completions


def _chat_usage(counts: Counts) -> dict[str, Any]:
    return {
        "prompt_tokens": counts.prompt,
        "completion_tokens": counts.completion,
        "total_tokens": counts.prompt + counts.completion,
        "prompt_tokens_details": {"cached_tokens": counts.cache_read},
        "completion_tokens_details": {"reasoning_tokens": counts.reasoning},
    }


def _chat_finish(said: Said) -> str:
    return "length" if said.length else "tool_calls" if said.calls else "stop"


def _chat_whole(said: Said, model: str) -> dict[str, Any]:
    more: dict[str, Any] = {"reasoning_content": said.thinking} if said.thinking else {}
    if said.calls:
        more["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in said.calls
        ]
    finish, usage = _chat_finish(said), _chat_usage(said.counts)
    return completion(said.text or None, model=model, finish=finish, usage=usage, **more)


def _chat_frames(said: Said, model: str) -> list[bytes]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in fragments(said.thinking, 2)]
    deltas += [{"content": text} for text in said.texts]
    for index, call in enumerate(said.calls):
        begun = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        deltas.append({"tool_calls": [begun]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
                   for piece in fragments(call.arguments)]  # fmt: skip
    told = [*(chunk(delta, model=model) for delta in deltas), chunk({}, finish=_chat_finish(said), model=model)]
    return [*map(frame, [*told, chunk(model=model, usage=_chat_usage(said.counts))]), DONE]


CHAT_WIRE = Wire(
    whole=_chat_whole,
    frames=_chat_frames,
    fault=frame({"error": {"message": "the secret reason", "type": "server_error", "code": 503}}),
)


# Anthropic Messages


def _messages_usage(counts: Counts) -> dict[str, Any]:
    return {
        "input_tokens": counts.input,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": counts.cache_read,
        "output_tokens": counts.completion,
        "output_tokens_details": {"thinking_tokens": counts.reasoning},
    }


def _messages_reason(said: Said) -> str:
    return "max_tokens" if said.length else "tool_use" if said.calls else "end_turn"


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
    return {**head, "content": content, "stop_reason": _messages_reason(said)}


def _messages_frames(said: Said, model: str) -> list[bytes]:
    first = {**_messages_usage(said.counts), "output_tokens": 1}
    first.pop("output_tokens_details")
    frames = [named("message_start", message=_messages_head(model, first)), named("ping")]
    for index, (begin, deltas) in enumerate(_messages_blocks(said)):
        frames.append(named("content_block_start", index=index, content_block=begin))
        frames += [named("content_block_delta", index=index, delta=delta) for delta in deltas]
        frames.append(named("content_block_stop", index=index))
    delta = {"stop_reason": _messages_reason(said), "stop_sequence": None}
    frames.append(named("message_delta", delta=delta, usage=_messages_usage(said.counts)))
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


def _gemini_whole(said: Said, model: str) -> dict[str, Any]:
    told = _gemini_chunk(_gemini_parts(said), model, finishReason="MAX_TOKENS" if said.length else "STOP")
    return {**told, "usageMetadata": _gemini_usage(said.counts)}


def _gemini_frames(said: Said, model: str) -> list[bytes]:
    chunks = [_gemini_chunk([part], model) for part in _gemini_parts(said)]
    last = _gemini_chunk([{"text": ""}], model, finishReason="MAX_TOKENS" if said.length else "STOP")
    early = {**_gemini_usage(said.counts), "candidatesTokenCount": 1}
    told = [{**one, "usageMetadata": early} for one in chunks] + [{**last, "usageMetadata": _gemini_usage(said.counts)}]
    return [frame(one).replace(b"\n\n", b"\r\n\r\n") for one in told]


GEMINI_WIRE = Wire(
    whole=_gemini_whole,
    frames=_gemini_frames,
    early_counts=True,
    streamed=lambda turn: ":streamGenerateContent" in turn.request.path,
    fault=frame({"error": {"code": 503, "message": "the secret reason", "status": "UNAVAILABLE"}}),
)


# OpenAI Responses


def _responses_usage(counts: Counts) -> dict[str, Any]:
    return {
        "input_tokens": counts.prompt,
        "input_tokens_details": {"cached_tokens": counts.cache_read},
        "output_tokens": counts.completion,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning},
        "total_tokens": counts.prompt + counts.completion,
    }


def _responses_items(said: Said) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if said.thinking:
        summary = [{"type": "summary_text", "text": said.thinking}]
        items.append({"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": SIGNATURE})
    if said.texts:
        part = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
        status = "incomplete" if said.length else "completed"
        items.append({"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": [part]})
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
    for index, item in enumerate(_responses_items(said)):
        begun = {**item, "status": "in_progress"}
        blank = {"reasoning": "summary", "message": "content", "function_call": "arguments"}[item["type"]]
        begun[blank] = "" if blank == "arguments" else []
        told.append(("output_item.added", {"output_index": index, "item": begun}))
        told += [(name, {"item_id": item["id"], "output_index": index, **more}) for name, more in _steps(said, item)]
        told.append(("output_item.done", {"output_index": index, "item": item}))
    body = _responses_body(said, model)
    told.append((body["status"], {"response": body}))
    return [named(f"response.{name}", sequence_number=number, **more) for number, (name, more) in enumerate(told)]


def _steps(said: Said, item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if item["type"] == "reasoning":
        spot = {"summary_index": 0}
        yield "reasoning_summary_part.added", {**spot, "part": {"type": "summary_text", "text": ""}}
        for piece in fragments(said.thinking, 2):
            yield "reasoning_summary_text.delta", {**spot, "delta": piece}
        yield "reasoning_summary_text.done", {**spot, "text": said.thinking}
        yield "reasoning_summary_part.done", {**spot, "part": item["summary"][0]}
    elif item["type"] == "message":
        spot = {"content_index": 0}
        yield "content_part.added", {**spot, "part": {**item["content"][0], "text": ""}}
        for text in said.texts:
            yield "output_text.delta", {**spot, "delta": text, "logprobs": []}
        yield "output_text.done", {**spot, "text": said.text, "logprobs": []}
        yield "content_part.done", {**spot, "part": item["content"][0]}
    else:
        for piece in fragments(item["arguments"]):
            yield "function_call_arguments.delta", {"delta": piece}
        yield "function_call_arguments.done", {"name": item["name"], "arguments": item["arguments"]}


RESPONSES_WIRE = Wire(
    whole=_responses_body,
    frames=_responses_frames,
    fault=named("error", sequence_number=99, code="server_error", message="the secret reason", param=None),
)
