"""Whole Chat Completions answers, both ways."""

from typing import Any

import msgspec

from mira.codecs.chat import wire
from mira.codecs.chat.errors import parse_error_in_band
from mira.codecs.chat.rendering import call_body, details_of, url_of
from mira.codecs.chat.request import FORMAT, call_of, reasoning_of, source_of
from mira.codecs.chat.usage import usage_body, usage_of
from mira.codecs.codec import Context
from mira.codecs.lenient import answered, compact, text_of
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
    Source,
    Text,
    ToolCall,
)
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

_FINISH = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP_SEQUENCE,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.CONTEXT_FULL,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.REFUSAL,
}
_TOLD = {
    FinishReason.STOP: "stop",
    FinishReason.STOP_SEQUENCE: "stop",
    FinishReason.PAUSE: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.CONTEXT_FULL: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.REFUSAL: "content_filter",
}
_DETAILS = list[wire.Detail]


def parse_answer(body: bytes) -> Answer:
    """A node's answer; MiraError where it is none, or an error under status 200."""
    told = answered(body, parse_error_in_band)
    choices = told.get("choices")
    if not isinstance(choices, list) or not choices:
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer has no choices.")
    return Answer(
        id=text_of(told, "id"),
        model=text_of(told, "model"),
        choices=tuple(_choice(choice, text_of(told, "id")) for choice in choices if isinstance(choice, dict)),
        usage=usage_of(told.get("usage")),
        service_tier=text_of(told, "service_tier") or None,
    )


def finish_of(choice: dict[str, Any], *, calls: bool) -> tuple[FinishReason, str | None]:
    """Why a choice ended, and the stop sequence where vLLM or SGLang name it; MiraError where it failed.

    A choice that calls tools ended for that, whatever the node says.
    """
    said = choice.get("finish_reason")
    reason = _FINISH.get(said) if isinstance(said, str) else FinishReason.STOP
    if reason is None:
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream failed while it answered.")
    if reason is not FinishReason.STOP:
        return reason, None
    if calls:
        return FinishReason.TOOL_CALLS, None
    for name in ("stop_reason", "matched_stop"):
        if stopped_at := text_of(choice, name):
            return FinishReason.STOP_SEQUENCE, stopped_at
    return reason, None


def told_finish(reason: FinishReason, *, calls: bool, legacy: bool) -> str:
    """The `finish_reason` of Chat Completions."""
    told = _TOLD[reason]
    if calls and told == "stop":
        told = "tool_calls"
    return "function_call" if legacy and told == "tool_calls" else told


def details_in(message: dict[str, Any]) -> list[wire.Detail] | None:
    """`reasoning_details` of a message or a delta, None where there are none that can be read."""
    told = message.get("reasoning_details")
    if told is None:
        return None
    try:
        return msgspec.convert(told, _DETAILS) or None
    except msgspec.ValidationError:
        return None


def image_urls(images: Any) -> list[str]:
    """The addresses in `images` of a message or a delta: the pictures that the model made, as OpenRouter tells them."""
    places = [image.get("image_url") for image in images if isinstance(image, dict)] if isinstance(images, list) else []
    return [url for place in places if isinstance(place, dict) and (url := text_of(place, "url"))]


def image_body(source: Source, index: int) -> dict[str, Any]:
    """One entry of `images`; OpenAI's SDK adds up the entries of a stream by their `index`."""
    return {"type": "image_url", "image_url": {"url": url_of(source)}, "index": index}


def shown_name(model: str, context: Context) -> str:
    """The name of the model that the client is shown."""
    if context.model is not None:
        return context.model
    return model.partition("/")[2] if context.strip_provider and "/" in model else model


def render_answer(answer: Answer, context: Context, cost_nanocredits: int | None) -> bytes:
    """The body for a client; `usage.cost` tells what Mira charges."""
    legacy = context.request is not None and context.request.legacy_functions
    body: dict[str, Any] = {
        "id": context.answer_id,
        "object": "chat.completion",
        "created": context.created_s,
        "model": shown_name(answer.model, context),
        "choices": [_choice_body(choice, legacy=legacy) for choice in answer.choices],
        "usage": usage_body(answer.usage or Usage(), cost_nanocredits),
    }
    if answer.service_tier is not None:
        body["service_tier"] = answer.service_tier
    return msgspec.json.encode(body)


def _choice(choice: dict[str, Any], answer_id: str) -> Choice:
    message = choice.get("message")
    index = choice.get("index")
    parts = _parts(message, answer_id) if isinstance(message, dict) else []
    reason, stopped_at = finish_of(choice, calls=any(isinstance(part, ToolCall) for part in parts))
    logprobs = choice.get("logprobs")
    return Choice(
        index=index if isinstance(index, int) else 0,
        parts=tuple(parts),
        finish=reason,
        stop_sequence=stopped_at,
        logprobs=None if logprobs is None else compact(logprobs),
    )


def _parts(message: dict[str, Any], answer_id: str) -> list[AssistantPart]:
    bare = text_of(message, "reasoning_content") or text_of(message, "reasoning") or thought_in(message.get("content"))
    parts: list[AssistantPart] = list(reasoning_of(details_in(message), bare))
    notes = message.get("annotations")
    annotations = tuple(compact(note) for note in notes) if isinstance(notes, list) else ()
    if text := content_text(message.get("content")):
        parts.append(Text(text=text, annotations=annotations, format=FORMAT if annotations else None))
    if refusal := text_of(message, "refusal"):
        parts.append(Refusal(refusal))
    parts += [Image(source=source_of(url)) for url in image_urls(message.get("images"))]
    if message.get("audio"):
        parts.append(Opaque(format=FORMAT, data=compact(message["audio"])))
    calls = message.get("tool_calls")
    found = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    if not found and isinstance(legacy := message.get("function_call"), dict):
        found = [{"function": legacy}]
    parts += [_call(call, index, answer_id) for index, call in enumerate(found)]
    return parts


def content_text(content: Any) -> str:
    """The text of a content that is a string or, as Mistral writes it, a list of parts."""
    if isinstance(content, list):
        return "".join(text_of(part, "text") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def thought_in(content: Any) -> str:
    """The thinking in a content that is a list of parts, as Mistral writes it."""
    parts = content if isinstance(content, list) else []
    thoughts = [part.get("thinking") for part in parts if isinstance(part, dict) and part.get("type") == "thinking"]
    return "".join(content_text(thought) for thought in thoughts)


def _call(call: dict[str, Any], index: int, answer_id: str) -> ToolCall:
    function = call.get("function")
    if isinstance(function, dict) and not isinstance(function.get("arguments"), str | None):
        arguments = bytes(compact(function["arguments"])).decode()
        call = {**call, "function": {**function, "arguments": arguments}}
    if not text_of(call, "id"):
        call = {**call, "id": made_id(answer_id, 0, index)}
    try:
        return call_of(msgspec.convert(call, wire.Call))
    except msgspec.ValidationError:
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream sent a tool call that cannot be read.") from None


def _choice_body(choice: Choice, *, legacy: bool) -> dict[str, Any]:
    text = "".join(part.text for part in choice.parts if isinstance(part, Text))
    refusal = "".join(part.text for part in choice.parts if isinstance(part, Refusal))
    thoughts = [part for part in choice.parts if isinstance(part, Reasoning)]
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    images = [part for part in choice.parts if isinstance(part, Image)]
    notes = [
        note for part in choice.parts if isinstance(part, Text) and part.format == FORMAT for note in part.annotations
    ]
    message: dict[str, Any] = {"role": "assistant", "content": text or (None if calls or refusal else "")}
    message["refusal"] = refusal or None
    if thoughts:
        message["reasoning_content"] = "".join(block.text for block in thoughts)
        message["reasoning_details"] = details_of(thoughts)
    if notes:
        message["annotations"] = notes
    if images:
        message["images"] = [image_body(part.source, index) for index, part in enumerate(images)]
    for part in choice.parts:
        if isinstance(part, Opaque) and part.format == FORMAT:
            message["audio"] = part.data
    if calls and legacy:
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].input}
    elif calls:
        message["tool_calls"] = [call_body(call) for call in calls]
    return {
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": told_finish(choice.finish, calls=bool(calls), legacy=legacy),
    }
