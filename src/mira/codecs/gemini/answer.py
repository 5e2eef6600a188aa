"""Whole Gemini answers, and the pieces that a stream reads the same way."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from msgspec.structs import replace

from mira.codecs.gemini.errors import parse_error_in_band
from mira.codecs.gemini.usage import usage_of
from mira.codecs.gemini.wire import FORMAT, THOUGHTS, media_of
from mira.codecs.lenient import compact, loose, text_of
from mira.codecs.tool_names import made_id
from mira.core.conversation import (
    Answer,
    AssistantPart,
    Choice,
    FinishReason,
    Image,
    Opaque,
    Reasoning,
    Text,
    ToolCall,
)
from mira.errors import Kind, MiraError

_FINISH = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "LANGUAGE": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
    "IMAGE_OTHER": FinishReason.CONTENT_FILTER,
}


def parse_answer(body: bytes) -> Answer:
    """A node's answer; MiraError where it is none, or an error under status 200."""
    told = loose(body)
    if isinstance(told, list) and len(told) == 1:
        told = told[0]
    if not isinstance(told, dict):
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer is not a JSON object.")
    if told.get("error"):
        raise parse_error_in_band(told["error"])
    answer_id = text_of(told, "responseId")
    choices = tuple(_choice(candidate, answer_id) for candidate in candidates_of(told))
    if not choices and is_blocked(told):
        choices = (Choice(finish=FinishReason.CONTENT_FILTER),)
    if not choices:
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer has no candidates.")
    return Answer(
        id=answer_id,
        model=text_of(told, "modelVersion"),
        choices=choices,
        usage=usage_of(told.get("usageMetadata")),
    )


def finish_of(candidate: dict[str, Any]) -> FinishReason | None:
    """Why a candidate ended, None where it says nothing; MiraError where it failed, also for unknown reasons."""
    said = text_of(candidate, "finishReason")
    if said in ("", "FINISH_REASON_UNSPECIFIED"):
        return None
    reason = _FINISH.get(said)
    if reason is None:
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream failed while it answered.")
    return reason


def told_reason(reason: FinishReason, *, calls: bool) -> FinishReason:
    """The reason with the calls in mind: a model that calls tools says that it stopped, as always."""
    return FinishReason.TOOL_CALLS if calls and reason is FinishReason.STOP else reason


def candidates_of(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The candidates of an answer or a chunk."""
    candidates = told.get("candidates")
    return [entry for entry in candidates if isinstance(entry, dict)] if isinstance(candidates, list) else []


def parts_of(candidate: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a candidate's content, which may be missing altogether."""
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def is_blocked(told: dict[str, Any]) -> bool:
    """Whether the prompt itself was refused."""
    feedback = told.get("promptFeedback")
    return isinstance(feedback, dict) and bool(text_of(feedback, "blockReason"))


def number_of(candidate: dict[str, Any]) -> int:
    """The place of a candidate among several."""
    number = candidate.get("index")
    return number if isinstance(number, int) and number >= 0 else 0


def call_of(part: dict[str, Any], taken: set[str], answer_id: str, choice: int) -> ToolCall:
    """The tool call in a part; `taken` are the ids of those before it. MiraError where it has no name."""
    call = part["functionCall"]
    name = text_of(call, "name") if isinstance(call, dict) else ""
    if not name:
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream sent a tool call without a name.")
    given = text_of(call, "id")
    arguments = call.get("args")
    return ToolCall(
        id=given if given and given not in taken else made_id(answer_id, choice, len(taken)),
        name=name,
        input=bytes(compact(arguments)).decode() if isinstance(arguments, dict) else "{}",
        signature=text_of(part, "thoughtSignature") or None,
    )


def opaque_of(part: dict[str, Any]) -> Opaque | None:
    """A part that only this protocol knows, None where it says nothing."""
    said = part.keys() - {"text", "thought", "thoughtSignature"}
    return Opaque(format=FORMAT, data=compact(part)) if said else None


def image_of(part: dict[str, Any]) -> Image | None:
    """The picture in a part, None where there is none."""
    data = part.get("inlineData")
    if not isinstance(data, dict):
        return None
    media = media_of(text_of(data, "mimeType"), text_of(data, "data"))
    return media if isinstance(media, Image) else None


def _choice(candidate: dict[str, Any], answer_id: str) -> Choice:
    number = number_of(candidate)
    parts = _parts(parts_of(candidate), answer_id, number)
    calls = any(isinstance(part, ToolCall) for part in parts)
    reason = finish_of(candidate) or FinishReason.STOP
    return Choice(index=number, parts=tuple(parts), finish=told_reason(reason, calls=calls))


def _parts(told: list[dict[str, Any]], answer_id: str, number: int) -> list[AssistantPart]:
    parts: list[AssistantPart] = []
    taken: set[str] = set()
    for part in told:
        signature = text_of(part, "thoughtSignature")
        if "functionCall" in part:
            call = call_of(part, taken, answer_id, number)
            taken.add(call.id)
            parts.append(call)
            continue
        if part.get("thought") is True:
            if (text := text_of(part, "text")) or signature:
                origin = THOUGHTS if signature else None
                parts.append(Reasoning(text=text, signature=signature or None, format=origin))
            continue
        if text := text_of(part, "text"):
            parts.append(Text(text=text))
        elif (image := image_of(part)) is not None:
            parts.append(image)
        elif (opaque := opaque_of(part)) is not None:
            parts.append(opaque)
            continue
        if signature:
            parts.append(Reasoning(kind="encrypted", data=signature, format=THOUGHTS))
    return list(_joined(parts))


def _joined(parts: list[AssistantPart]) -> Iterator[AssistantPart]:
    """The parts, texts that follow each other as one; thoughts likewise, up to their signature."""
    pieces: list[str] = []
    for part, behind in zip_longest(parts, parts[1:]):
        if isinstance(part, Text | Reasoning):
            pieces.append(part.text)
            if _goes_on(part, behind):
                continue
            part = replace(part, text="".join(pieces))  # noqa: PLW2901 - the same part, with what came before it
            pieces = []
        yield part


def _goes_on(part: Text | Reasoning, behind: AssistantPart | None) -> bool:
    if isinstance(part, Text):
        return isinstance(behind, Text)
    unsigned = part.kind == "text" and part.signature is None
    return unsigned and isinstance(behind, Reasoning) and behind.kind == "text"
