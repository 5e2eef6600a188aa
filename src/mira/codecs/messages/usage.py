"""Usage between Messages, whose input counts leave the cache out, and Mira's disjoint classes."""

from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from mira.codecs.chat.usage import Count, cost_literal, reported_nanocredits
from mira.codecs.lenient import loose
from mira.core.usage import Usage


class _ByTtl(Struct, forbid_unknown_fields=True):
    ephemeral_5m_input_tokens: Count = 0
    ephemeral_1h_input_tokens: Count = 0


class _Plain(Struct, forbid_unknown_fields=True):
    """A usage as most answers tell it: nothing in it needs a second look."""

    input_tokens: Count
    output_tokens: Count
    cache_creation_input_tokens: Count = 0
    cache_read_input_tokens: Count = 0
    cache_creation: _ByTtl | None = None
    server_tool_use: None = None
    service_tier: str | None = None
    inference_geo: str | None = None


_PLAIN = msgspec.json.Decoder(_Plain)


class Running:
    """The usage of a stream: what the node told first, overwritten by what it told later, never added up."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: dict[str, Any] = {}

    def take(self, value: Any) -> Usage | None:
        """The usage after one more report; None where this is none."""
        if not isinstance(value, dict):
            return None
        self._told.update({name: count for name, count in value.items() if count is not None})
        return usage_of(self._told)


def read_usage(raw: Raw | bytes) -> Usage | None:
    """The usage in its bytes; None where they are not an object. Nonsense in single counts is read as 0."""
    try:
        plain = _PLAIN.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return usage_of(loose(raw))
    written, long = plain.cache_creation_input_tokens, 0
    by_ttl = plain.cache_creation
    if by_ttl is not None:
        long = by_ttl.ephemeral_1h_input_tokens
        written = written or by_ttl.ephemeral_5m_input_tokens + long
        long = min(long, written)
    return Usage(
        input_tokens=plain.input_tokens,
        cache_read_tokens=plain.cache_read_input_tokens,
        cache_write_5m_tokens=written - long,
        cache_write_1h_tokens=long,
        output_tokens=plain.output_tokens,
    )


def usage_of(value: Any) -> Usage | None:
    """The usage in a decoded object, see `read_usage`."""
    if not isinstance(value, dict) or not value:
        return None
    asides = _asides(value.get("iterations"))
    by_ttl = _inner(value, "cache_creation")
    short, long = _count(by_ttl, "ephemeral_5m_input_tokens"), _count(by_ttl, "ephemeral_1h_input_tokens")
    # A later total without its parts leaves what is for an hour as it was told.
    written = _count(value, "cache_creation_input_tokens") or short + long
    output = _count(value, "output_tokens")
    thinking = min(output, _count(_inner(value, "output_tokens_details"), "thinking_tokens"))
    usage = Usage(
        input_tokens=_count(value, "input_tokens"),
        cache_read_tokens=_count(value, "cache_read_input_tokens"),
        cache_write_5m_tokens=written - min(long, written),
        cache_write_1h_tokens=min(long, written),
        output_tokens=output - thinking,
        reasoning_tokens=thinking,
        web_searches=_count(_inner(value, "server_tool_use"), "web_search_requests"),
        reported_cost_nanocredits=reported_nanocredits(value),
    )
    return _with_asides(usage, asides) if asides else usage


def _asides(iterations: Any) -> list[Usage]:
    """What summing up the conversation took (compaction): billed, but not in the counts of the whole answer."""
    entries = iterations if isinstance(iterations, list) else ()
    told = (
        usage_of({**entry, "iterations": None, "cost": None})
        for entry in entries
        if isinstance(entry, dict) and entry.get("type") == "compaction"
    )
    return [usage for usage in told if usage is not None]


def _with_asides(usage: Usage, asides: list[Usage]) -> Usage:
    """The usage and its asides as one."""
    names = [name for name in Usage.__struct_fields__ if name.endswith("_tokens")]
    sums = {name: getattr(usage, name) + sum(getattr(aside, name) for aside in asides) for name in names}
    return replace(usage, **sums)


def usage_body(usage: Usage, cost_nanocredits: int | None) -> dict[str, Any]:
    """The usage as Messages tells it, with `cost` in credits where it is known."""
    searches = {"web_search_requests": usage.web_searches, "web_fetch_requests": 0} if usage.web_searches else None
    body: dict[str, Any] = {
        "input_tokens": usage.input_tokens + usage.audio_input_tokens + usage.image_input_tokens,
        "cache_creation_input_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
        "server_tool_use": searches,
    }
    if cost_nanocredits is not None:
        body["cost"] = cost_literal(cost_nanocredits)
    return body


def _inner(value: dict[str, Any], name: str) -> dict[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def _count(value: dict[str, Any], name: str) -> int:
    count = value.get(name)
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 < count < 2**53 else 0
