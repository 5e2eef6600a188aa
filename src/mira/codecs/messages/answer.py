"""Whole Messages answers, both ways."""

from typing import Any

import msgspec
from msgspec import Raw

from mira.codecs import in_words
from mira.codecs.carried import carry, carry_signature
from mira.codecs.chat.answer import shown_name
from mira.codecs.codec import Context
from mira.codecs.lenient import compact, loose, text_of
from mira.codecs.messages.errors import parse_error_in_band
from mira.codecs.messages.names import wire_id
from mira.codecs.messages.request import arguments_of, redacted_of, thinking_of
from mira.codecs.messages.usage import usage_body, usage_of
from mira.codecs.messages.wire import FORMAT, THOUGHT
from mira.codecs.tool_names import made_id
from mira.core.conversation import (
    Answer,
    AssistantPart,
    Choice,
    FinishReason,
    Image,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

_FINISH = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP_SEQUENCE,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.CONTEXT_FULL,
    "tool_use": FinishReason.TOOL_CALLS,
    "pause_turn": FinishReason.PAUSE,
    "refusal": FinishReason.REFUSAL,
}
_TOLD = {reason: told for told, reason in _FINISH.items()} | {FinishReason.CONTENT_FILTER: "refusal"}


def parse_answer(body: bytes) -> Answer:
    """A node's answer; MiraError where it is none, or an error under status 200."""
    told = loose(body)
    if not isinstance(told, dict):
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer is not a JSON object.")
    if told.get("type") == "error" or told.get("error"):
        raise parse_error_in_band(told)
    blocks = told.get("content")
    if not isinstance(blocks, list):
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer has no content.")
    answer_id = text_of(told, "id")
    parts: list[AssistantPart] = []
    for block in blocks:
        if isinstance(block, dict):
            _add_block(parts, block, answer_id)
    calls = any(isinstance(part, ToolCall) for part in parts)
    reason, stopped_at = finish_of(told, calls=calls)
    if reason is FinishReason.REFUSAL and (words := refusal_of(told)):
        parts.append(Refusal(words))
    tier = told["usage"].get("service_tier") if isinstance(told.get("usage"), dict) else None
    return Answer(
        id=answer_id,
        model=text_of(told, "model"),
        choices=(Choice(parts=tuple(parts), finish=reason, stop_sequence=stopped_at),),
        usage=usage_of(told.get("usage")),
        service_tier=tier if isinstance(tier, str) else None,
    )


def finish_of(told: dict[str, Any], *, calls: bool) -> tuple[FinishReason, str | None]:
    """Why the model stopped, and the stop sequence where it is named; calls decide where it says nothing better."""
    said = told.get("stop_reason")
    reason = _FINISH.get(said, FinishReason.STOP) if isinstance(said, str) else FinishReason.STOP
    if reason is FinishReason.STOP and calls:
        return FinishReason.TOOL_CALLS, None
    return reason, text_of(told, "stop_sequence") or None if reason is FinishReason.STOP_SEQUENCE else None


def told_finish(
    reason: FinishReason | None, stopped_at: str | None, *, calls: bool, refusal: str = ""
) -> dict[str, Any]:
    """The fields of Messages that say why the model stopped."""
    told = _TOLD[reason or FinishReason.STOP]
    if told in ("end_turn", "tool_use"):
        told = "tool_use" if calls else "refusal" if refusal else "end_turn"
    details = {"type": "refusal", "category": None, "explanation": refusal or None} if told == "refusal" else None
    stopped_at = stopped_at if told == "stop_sequence" else None
    return {"stop_reason": told, "stop_sequence": stopped_at, "stop_details": details}


def refusal_of(told: dict[str, Any]) -> str:
    """The words with which a refusal is explained."""
    details = told.get("stop_details")
    return text_of(details, "explanation") if isinstance(details, dict) else ""


def url_citation(citation: Any, start: int, end: int) -> Raw | None:
    """A citation with an address as Chat Completions writes it, for the text from `start` to `end`; else None."""
    if not isinstance(citation, dict):
        return None
    url = text_of(citation, "url") or text_of(citation, "source")
    if not url.startswith(("http://", "https://")):
        return None
    place = {"start_index": start, "end_index": end, "url": url, "title": text_of(citation, "title")}
    return Raw(msgspec.json.encode({"type": "url_citation", "url_citation": place}))


def thought_block(block: Reasoning) -> dict[str, Any]:
    """A block of thinking for a client; another provider's rides in Mira's own signature or ciphertext.

    Unsigned thinking is marked so as well: when it comes back, nobody takes it for Anthropic's.
    """
    own = block.format == THOUGHT
    if block.kind == "encrypted":
        return {"type": "redacted_thinking", "data": block.data or "" if own else carry(block)}
    return {"type": "thinking", "thinking": block.text, "signature": signature_of(block)}


def signature_of(block: Reasoning) -> str:
    """The signature of a thinking block for a client."""
    if block.format == THOUGHT and block.signature:
        return block.signature
    return carry(msgspec.structs.replace(block, text=""))


def call_blocks(call: ToolCall) -> list[dict[str, Any]]:
    """A tool call for a client, behind the thought signature that some providers give it."""
    told = arguments_of(call.input) if call.kind == "function" else None
    if told is None:
        name = "input" if call.kind == "custom" else "_raw"
        told = msgspec.json.encode({name: call.input} if call.input.strip() else {}).decode()
    block = {"type": "tool_use", "id": wire_id(call.id), "name": call.name, "input": Raw(told.encode())}
    return [*signature_blocks(call.id, call.signature), block]


def signature_blocks(call_id: str, signature: str | None) -> list[dict[str, Any]]:
    """A block that holds the thought signature of the call that follows it."""
    return [{"type": "redacted_thinking", "data": carry_signature(call_id, signature)}] if signature else []


def render_answer(answer: Answer, context: Context, cost_nanocredits: int | None) -> bytes:
    """The body for a client; `usage.cost` tells what Mira charges."""
    choice = answer.choices[0] if answer.choices else Choice()
    content: list[Any] = []
    for part in choice.parts:
        match part:
            case Text(text=text) | Refusal(text=text) if not text:
                pass
            case Text():
                cited = list(part.annotations) if part.annotations and part.format == FORMAT else None
                content.append({"type": "text", "text": part.text, "citations": cited})
            case Refusal(text=text):
                content.append({"type": "text", "text": text, "citations": None})
            case Image(source=source):
                content.append({"type": "text", "text": in_words.picture(source), "citations": None})
            case Reasoning():
                content.append(thought_block(part))
            case ToolCall():
                content += call_blocks(part)
            case Opaque(format="anthropic", data=data):
                content.append(data)
    refusal = "".join(part.text for part in choice.parts if isinstance(part, Refusal))
    calls = any(isinstance(part, ToolCall) for part in choice.parts)
    usage = usage_body(answer.usage or Usage(), cost_nanocredits)
    body: dict[str, Any] = {
        "id": context.answer_id,
        "type": "message",
        "role": "assistant",
        "model": shown_name(answer.model, context),
        "content": content,
        **told_finish(choice.finish, choice.stop_sequence, calls=calls, refusal=refusal),
        "container": None,
        "usage": usage,
    }
    return msgspec.json.encode(body)


def _add_block(parts: list[AssistantPart], block: dict[str, Any], answer_id: str) -> None:
    match block.get("type"):
        case "text":
            if text := text_of(block, "text"):
                notes, form = _annotations(block.get("citations"), _said(parts), len(text))
                parts.append(Text(text=text, annotations=notes, format=form))
        case "thinking":
            parts.append(thinking_of(text_of(block, "thinking"), text_of(block, "signature") or None))
        case "redacted_thinking":
            parts.append(redacted_of(text_of(block, "data")))
        case "tool_use":
            count = sum(isinstance(part, ToolCall) for part in parts)
            call_id = text_of(block, "id") or made_id(answer_id, 0, count)
            told = block.get("input")
            arguments = bytes(compact(told)).decode() if isinstance(told, dict) else "{}"
            parts.append(ToolCall(id=call_id, name=text_of(block, "name"), input=arguments))
        case _:
            parts.append(Opaque(format=FORMAT, data=compact(block)))


def _said(parts: list[AssistantPart]) -> int:
    return sum(len(part.text) for part in parts if isinstance(part, Text))


def _annotations(citations: Any, start: int, size: int) -> tuple[tuple[Raw, ...], str | None]:
    """The citations of a text: with addresses in the form that other protocols share, else in Anthropic's own."""
    told = citations if isinstance(citations, list) else []
    shared = [note for one in told if (note := url_citation(one, start, start + size)) is not None]
    if shared:
        return tuple(shared), "chat"
    own = tuple(compact(one) for one in told)
    return own, FORMAT if own else None
