"""Gemini's counts as Mira's disjoint classes."""

from decimal import Decimal
from typing import Any

from mira.core.usage import Usage

_DETAILS = frozenset({"promptTokensDetails", "cacheTokensDetails", "candidatesTokensDetails"})


def usage_of(value: Any) -> Usage | None:
    """The usage in a decoded `usageMetadata`, None where there is none; nonsense in single counts is read as 0.

    The prompt's count includes what came from a cache but not what tools put into the prompt; the candidates' count
    leaves out the thoughts.
    """
    if not isinstance(value, dict) or not value:
        return None
    cached = _count(value, "cachedContentTokenCount")
    prompt = _count(value, "promptTokenCount") + _count(value, "toolUsePromptTokenCount")
    thoughts, candidates = _count(value, "thoughtsTokenCount"), _count(value, "candidatesTokenCount")
    # Some hosts count the thoughts among the candidates; only the total shows it.
    if 0 < thoughts <= candidates and _count(value, "totalTokenCount") == prompt + candidates:
        candidates -= thoughts
    cached = min(cached, prompt)
    if value.keys().isdisjoint(_DETAILS):
        return Usage(
            input_tokens=prompt - cached,
            cache_read_tokens=cached,
            output_tokens=candidates,
            reasoning_tokens=thoughts,
        )
    audio_in = max(0, _of(value, "promptTokensDetails", "AUDIO") - _of(value, "cacheTokensDetails", "AUDIO"))
    image_in = max(0, _of(value, "promptTokensDetails", "IMAGE") - _of(value, "cacheTokensDetails", "IMAGE"))
    audio_out, image_out = (_of(value, "candidatesTokensDetails", kind) for kind in ("AUDIO", "IMAGE"))
    audio_in = min(audio_in, prompt - cached)
    image_in = min(image_in, prompt - cached - audio_in)
    audio_out = min(audio_out, candidates)
    image_out = min(image_out, candidates - audio_out)
    return Usage(
        input_tokens=prompt - cached - audio_in - image_in,
        cache_read_tokens=cached,
        output_tokens=candidates - audio_out - image_out,
        reasoning_tokens=thoughts,
        audio_input_tokens=audio_in,
        audio_output_tokens=audio_out,
        image_input_tokens=image_in,
        image_output_tokens=image_out,
    )


def _of(value: dict[str, Any], name: str, modality: str) -> int:
    details = value.get(name)
    entries = [entry for entry in details if isinstance(entry, dict)] if isinstance(details, list) else []
    return sum(_count(entry, "tokenCount") for entry in entries if entry.get("modality") == modality)


def _count(value: dict[str, Any], name: str) -> int:
    count = value.get(name)
    # Protocol buffers in JSON may write whole numbers as text.
    if isinstance(count, str) and count.isascii() and count.isdigit() and len(count) < 16:
        count = int(count)
    if isinstance(count, Decimal) and count.is_finite():
        count = int(count)
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 < count < 2**53 else 0
