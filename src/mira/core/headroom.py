"""How much room a node's rate limits leave, as the headers of its answers tell it. Pure."""

import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from msgspec import Struct

#: A window without a told end is taken for a minute, as nearly all are.
WINDOW_S = 60.0
LONGEST_WINDOW_S = 3600.0

_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
#: What is counted, and the names of its limit, what remains, and (OpenAI's, as a duration) when it is full again.
_COUNTED: tuple[tuple[bool, bytes, bytes, bytes], ...] = (
    (False, b"x-ratelimit-limit-requests", b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests"),
    (True, b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens"),
)
_ANTHROPIC = tuple(
    (kind != b"requests", b"anthropic-ratelimit-%b-limit" % kind, b"anthropic-ratelimit-%b-remaining" % kind, b"")
    for kind in (b"requests", b"tokens", b"input-tokens", b"output-tokens")
)


class Window(Struct, frozen=True, gc=False):
    """One limit as a node told it at `told_s`: what remained of it, and when it is whole again."""

    limit: int
    remaining: int
    told_s: float
    whole_s: float
    counts_tokens: bool

    def left(self, now_s: float) -> float:
        """What should remain now: limits refill steadily until they are whole."""
        if now_s >= self.whole_s:
            return float(self.limit)
        passed = (now_s - self.told_s) / (self.whole_s - self.told_s)
        return self.remaining + (self.limit - self.remaining) * passed


def told_windows(header: Callable[[bytes], str | None], now_s: float) -> tuple[Window, ...]:
    """The limits in the headers of an answer (OpenAI's or Anthropic's names); empty where it tells none."""
    table = _COUNTED
    if header(_COUNTED[0][2]) is None and header(_COUNTED[1][2]) is None:
        if header(_ANTHROPIC[0][2]) is None and header(_ANTHROPIC[1][2]) is None:
            return ()
        table = _ANTHROPIC
    found: list[Window] = []
    for counts_tokens, limit_name, remaining_name, whole_name in table:
        limit, remaining = _count(header(limit_name)), _count(header(remaining_name))
        if limit and remaining is not None:
            whole_s = _duration_s(header(whole_name)) if whole_name else WINDOW_S
            found.append(Window(limit, min(remaining, limit), now_s, now_s + whole_s, counts_tokens))
    return tuple(found)


def told_wait_s(header: Callable[[bytes], str | None], now_unix_s: float) -> float | None:
    """How long a node wants to be left alone, by the headers of its answer: None where they do not say.

    Milliseconds (`retry-after-ms`, OpenAI), seconds, or a date (RFC 9110), which counts from the answer's own `date`.
    """
    told_ms, told = (header(b"retry-after-ms") or "").strip(), (header(b"retry-after") or "").strip()
    if _SECONDS.fullmatch(told_ms):
        return float(told_ms) / 1000
    if _SECONDS.fullmatch(told):
        return float(told)
    then_s = _date_s(told)
    if then_s is None:
        return None
    said_s = _date_s(header(b"date"))
    return max(then_s - (now_unix_s if said_s is None else said_s), 0.0)


def headroom(windows: tuple[Window, ...], now_s: float) -> float:
    """The share of the tightest limit that should be left now, 0 to 1."""
    return min((window.left(now_s) / window.limit for window in windows), default=1.0)


def covers(windows: tuple[Window, ...], tokens: int, now_s: float) -> bool:
    """Whether a request of so many tokens should fit now; the node judges one that is larger than a whole limit."""
    return all(window.left(now_s) >= (min(tokens, window.limit) if window.counts_tokens else 1) for window in windows)


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else None


def _duration_s(text: str | None) -> float:
    """`6m0s`, `1.5s`, `20ms`, or plain seconds."""
    if not text or len(text) > 40:
        return WINDOW_S
    parts = _DURATION.findall(text)
    if parts:
        seconds = sum(float(number) * _UNIT_S[unit] for number, unit in parts)
    else:
        seconds = float(text) if text.replace(".", "", 1).isdecimal() and text.isascii() else WINDOW_S
    return min(max(seconds, 0.001), LONGEST_WINDOW_S)


def _date_s(text: str | None) -> float | None:
    """A date of HTTP in Unix seconds."""
    if not text or len(text) > 40:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
