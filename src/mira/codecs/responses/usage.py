"""Usage between Responses and Mira's disjoint classes.

The counts nest as those of Chat Completions do, under other names, so that codec's reading is used.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from mira.codecs.chat import usage as chat
from mira.codecs.lenient import loose
from mira.core.usage import Usage

_NAMES = (
    ("input_tokens", "prompt_tokens"),
    ("output_tokens", "completion_tokens"),
    ("total_tokens", "total_tokens"),
    ("input_tokens_details", "prompt_tokens_details"),
    ("output_tokens_details", "completion_tokens_details"),
    ("server_tool_use", "server_tool_use"),
    ("cost", "cost"),
    ("cost_details", "cost_details"),
    ("is_byok", "is_byok"),
)


class _Plain(chat.Plain, forbid_unknown_fields=True):
    """A usage as OpenAI tells it: nothing in it needs a second look."""

    prompt_tokens: chat.Count = field(name="input_tokens")
    completion_tokens: chat.Count = field(name="output_tokens")
    prompt_tokens_details: chat.Details | None = field(name="input_tokens_details", default=None)
    completion_tokens_details: chat.Details | None = field(name="output_tokens_details", default=None)


class _Kind(Struct):
    type: str = ""
    action: Any = None


_PLAIN = msgspec.json.Decoder(_Plain)
_KINDS = msgspec.json.Decoder(list[_Kind])


def usage_in(response: dict[str, Raw]) -> Usage | None:
    """The usage of a response object; None where it tells none.

    Searches that OpenAI ran stand beside the usage, or are counted by their items.
    """
    usage = read_usage(response["usage"]) if "usage" in response else None
    if usage is None or usage.web_searches:
        return usage
    searches = _searches(response)
    return msgspec.structs.replace(usage, web_searches=searches) if searches else usage


def read_usage(raw: Raw | bytes) -> Usage | None:
    """The usage in its bytes; None where they are not an object."""
    return chat.read_usage(raw, _PLAIN, usage_of)


def usage_of(value: Any) -> Usage | None:
    """The usage in a decoded object. Nonsense in single counts is read as 0."""
    if not isinstance(value, dict) or not value:
        return None
    return chat.usage_of({other: value[name] for name, other in _NAMES if name in value})


def usage_body(usage: Usage, cost_nanocredits: int | None) -> dict[str, Any]:
    """The usage as Responses tells it, with `cost` in credits where it is known."""
    told = chat.usage_body(usage, cost_nanocredits)
    return {name: told[other] for name, other in _NAMES if other in told}


def _searches(response: dict[str, Raw]) -> int:
    if "tool_usage" in response:
        beside = loose(response["tool_usage"])
        searches = beside.get("web_search") if isinstance(beside, dict) else None
        count = searches.get("num_requests") if isinstance(searches, dict) else None
        if isinstance(count, int) and not isinstance(count, bool) and count >= 0:
            return count
    output = response.get("output")
    if output is None or bytes(output).find(b'"web_search_call"') < 0:
        return 0
    try:
        return sum(item.type == "web_search_call" and _is_search(item.action) for item in _KINDS.decode(output))
    except (msgspec.DecodeError, RecursionError):
        return 0


def _is_search(action: Any) -> bool:
    """Whether a call went to the search engine; opening a found page and looking through it cost nothing."""
    return not isinstance(action, dict) or action.get("type", "search") == "search"
