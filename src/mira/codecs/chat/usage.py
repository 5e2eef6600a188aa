"""Usage between Chat Completions, whose counts contain each other, and Mira's disjoint classes."""

from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from mira.codecs.lenient import loose
from mira.core.money import MAX_NANOCREDITS, NANO_PER_CREDIT, credits_text
from mira.core.usage import Usage

Count: TypeAlias = Annotated[int, Meta(ge=0, lt=2**53)]


class Details(Struct, forbid_unknown_fields=True):
    """Parts of a count."""

    cached_tokens: Count = 0
    audio_tokens: Count = 0
    reasoning_tokens: Count = 0
    accepted_prediction_tokens: Count = 0
    rejected_prediction_tokens: Count = 0


class Plain(Struct, forbid_unknown_fields=True):
    """A usage as OpenAI and most others tell it: nothing in it needs a second look."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None


_PLAIN = msgspec.json.Decoder(Plain)
_NO_DETAILS = Details()
_NOTHING_MORE = (None, _NO_DETAILS)


def read_usage(
    raw: Raw | bytes,
    decoder: msgspec.json.Decoder[Any] = _PLAIN,
    read_any: Callable[[Any], Usage | None] | None = None,
) -> Usage | None:
    """The usage in its bytes; None where they are not an object. Nonsense in single counts is read as 0.

    `decoder` and `read_any` are a protocol's own, where it tells the same under other names.
    """
    try:
        plain: Plain = decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return (read_any or usage_of)(loose(raw))
    prompt, completion = plain.prompt_tokens, plain.completion_tokens
    inputs, outputs = plain.prompt_tokens_details, plain.completion_tokens_details
    if inputs in _NOTHING_MORE and outputs in _NOTHING_MORE and plain.total_tokens == prompt + completion:
        return Usage(input_tokens=prompt, output_tokens=completion)
    inputs, outputs = inputs or _NO_DETAILS, outputs or _NO_DETAILS
    cached = inputs.cached_tokens
    completion, reasoning = _completion(prompt, completion, plain.total_tokens, outputs.reasoning_tokens)
    fresh = prompt - cached if cached < prompt else 0
    said = completion - reasoning if reasoning < completion else 0
    audio_in, audio_out = inputs.audio_tokens, outputs.audio_tokens
    if audio_in or audio_out:
        audio_in, audio_out = min(fresh, audio_in), min(said, audio_out)
    return Usage(
        input_tokens=fresh - audio_in,
        cache_read_tokens=cached,
        output_tokens=said - audio_out,
        reasoning_tokens=reasoning,
        audio_input_tokens=audio_in,
        audio_output_tokens=audio_out,
    )


def usage_of(value: Any) -> Usage | None:
    """The usage in a decoded object, see `read_usage`."""
    if not isinstance(value, dict) or not value:
        return None
    prompt, completion = _count(value, "prompt_tokens"), _count(value, "completion_tokens")
    inputs, outputs = _inner(value, "prompt_tokens_details"), _inner(value, "completion_tokens_details")
    # DeepSeek and Moonshot tell cache hits beside the details.
    cached = (
        _count(inputs, "cached_tokens") or _count(value, "prompt_cache_hit_tokens") or _count(value, "cached_tokens")
    )
    written, written_1h = _count(inputs, "cache_write_tokens"), _count(inputs, "cache_write_1h_tokens")
    # Seconds of audio that count in the total alone (Mistral) are no reasoning.
    total = 0 if "prompt_audio_seconds" in value else _count(value, "total_tokens")
    completion, reasoning = _completion(prompt, completion, total, _count(outputs, "reasoning_tokens"))
    # What came from a cache may be audio or images as well, which are counted again in the details.
    fresh, said = max(0, prompt - cached - max(written, written_1h)), max(0, completion - reasoning)
    audio_in, audio_out = min(fresh, _count(inputs, "audio_tokens")), min(said, _count(outputs, "audio_tokens"))
    image_in = min(fresh - audio_in, _count(inputs, "image_tokens"))
    image_out = min(said - audio_out, _count(outputs, "image_tokens"))
    return Usage(
        input_tokens=fresh - audio_in - image_in,
        cache_read_tokens=cached,
        cache_write_5m_tokens=max(0, written - written_1h),
        cache_write_1h_tokens=written_1h,
        output_tokens=said - audio_out - image_out,
        reasoning_tokens=reasoning,
        audio_input_tokens=audio_in,
        audio_output_tokens=audio_out,
        image_input_tokens=image_in,
        image_output_tokens=image_out,
        web_searches=_count(_inner(value, "server_tool_use"), "web_search_requests"),
        reported_cost_nanocredits=reported_nanocredits(value),
    )


def usage_body(usage: Usage, cost_nanocredits: int | None) -> dict[str, Any]:
    """The usage as Chat Completions tells it, with `cost` in credits where it is known."""
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    inputs: dict[str, int] = {
        "cached_tokens": usage.cache_read_tokens,
        "cache_write_tokens": written,
        "audio_tokens": usage.audio_input_tokens,
    }
    if usage.cache_write_1h_tokens:
        inputs["cache_write_1h_tokens"] = usage.cache_write_1h_tokens
    if usage.image_input_tokens:
        inputs["image_tokens"] = usage.image_input_tokens
    outputs: dict[str, int] = {
        "reasoning_tokens": usage.reasoning_tokens,
        "audio_tokens": usage.audio_output_tokens,
    }
    if usage.image_output_tokens:
        outputs["image_tokens"] = usage.image_output_tokens
    body: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": inputs,
        "completion_tokens_details": outputs,
    }
    if usage.web_searches:
        body["server_tool_use"] = {"web_search_requests": usage.web_searches}
    if cost_nanocredits is not None:
        body["cost"] = cost_literal(cost_nanocredits)
    return body


def cost_literal(cost_nanocredits: int) -> Raw:
    """Credits as an exact JSON number without an exponent: 42 is 0.000000042."""
    return Raw(credits_text(cost_nanocredits).encode())


def reported_nanocredits(usage: dict[str, Any]) -> int | None:
    """What a node says that an answer cost it; None where it does not say.

    OpenRouter, with a provider's key of the operator's own, tells its fee as the `cost` and what the provider takes
    beside it: the charge is both.
    """
    cost = cost_nanocredits_of(usage.get("cost"))
    if usage.get("is_byok") is not True:
        return cost
    own = cost_nanocredits_of(_inner(usage, "cost_details").get("upstream_inference_cost"))
    return None if cost is None or own is None else cost + own


def cost_nanocredits_of(value: Any) -> int | None:
    """A cost in credits as a node wrote it; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        amount = Decimal(value) if not isinstance(value, str) or len(value) < 64 else Decimal("nan")
    except ArithmeticError:
        return None
    if not amount.is_finite() or amount < 0 or amount > MAX_NANOCREDITS // NANO_PER_CREDIT:
        return None
    return int((amount * NANO_PER_CREDIT).to_integral_value(ROUND_CEILING))


def _completion(prompt: int, completion: int, total: int, reasoning: int) -> tuple[int, int]:
    """The whole completion and the reasoning in it, by the total where one is told (else 0).

    xAI counts reasoning beside the completion, Google's compatible route counts it nowhere: only the total shows it.
    """
    beside = total - prompt - completion
    if beside > 0 and reasoning in (0, beside):
        return completion + beside, beside
    return completion, reasoning if total <= 0 else min(reasoning, completion)


def _inner(value: dict[str, Any], name: str) -> dict[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def _count(value: dict[str, Any], name: str) -> int:
    count = value.get(name)
    if isinstance(count, Decimal) and count.is_finite():
        count = int(count)
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 < count < 2**53 else 0
