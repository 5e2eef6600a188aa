"""Spans of time, and what is summed up over them."""

from typing import Any, Literal

import msgspec

from mira.api.bodies import number
from mira.api.portal import shapes_calls as shapes
from mira.api.services import Asked, Services
from mira.api.usage import sums_body
from mira.core.money import credits_text
from mira.core.pricing import Markup
from mira.errors import Kind, MiraError
from mira.store.calls import Wanted

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
#: What a page shows where it names no span.
USUAL_MS = 7 * DAY_MS
#: Longer spans are told by the day.
MOST_HOURS = 72
MOST_BARS = 1000


def span_of(services: Services, asked: Asked) -> tuple[int, int]:
    """The span that the query names (`since_ms`, `until_ms`), else the last seven days; MiraError BAD_REQUEST."""
    # To the end of the hour under way: sums are of whole hours.
    now_ms = -(-services.now_ms() // HOUR_MS) * HOUR_MS
    until_ms = number(asked, "until_ms", now_ms, 0, 2**53)
    since_ms = number(asked, "since_ms", max(until_ms - USUAL_MS, 0), 0, 2**53)
    if since_ms >= until_ms:
        raise MiraError(Kind.BAD_REQUEST, "since_ms: must be before until_ms", param="since_ms")
    return since_ms, until_ms


async def bars(services: Services, sought: Wanted) -> tuple[Literal["hour", "day"], list[shapes.Bar]]:
    """A histogram of the calls of a span, oldest first, with empty bars between."""
    since_ms, until_ms = sought.since_ms or 0, sought.until_ms or 0
    step: Literal["hour", "day"] = "hour" if until_ms - since_ms <= MOST_HOURS * HOUR_MS else "day"
    width_ms = HOUR_MS if step == "hour" else DAY_MS
    rows = (await services.usage.page(sought, (step,), limit=MOST_BARS)).rows
    found = {row.groups[step]: row for row in rows}
    earliest_ms = max(since_ms, until_ms - MOST_BARS * width_ms)
    first_ms = earliest_ms // width_ms * width_ms
    return step, [_bar(at_ms, found.get(at_ms)) for at_ms in range(first_ms, until_ms, width_ms)]


def _bar(at_ms: int, row: Any) -> shapes.Bar:
    if row is None:
        return shapes.Bar(begins_ms=at_ms, calls=0, failed=0, cost="0")
    return shapes.Bar(begins_ms=at_ms, calls=row.calls, failed=row.failed, cost=credits_text(row.billed_nanocredits))


async def totals(services: Services, sought: Wanted) -> shapes.UsageSums:
    """The sums over a span."""
    [row] = (await services.usage.page(sought, ())).rows
    return shapes.UsageSums(**sums_body(row))


def before(sought: Wanted) -> Wanted:
    """The span of the same length before."""
    since_ms, until_ms = sought.since_ms or 0, sought.until_ms or 0
    return msgspec.structs.replace(sought, since_ms=max(since_ms - (until_ms - since_ms), 0), until_ms=since_ms)


def percentile(values: list[int], share: float) -> int | None:
    """The value below which a share of the values lies; None of none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None


def per_million(picocredits: int, markup: Markup, scale: int = 10**6) -> str:
    """Pico-credits a token as credits a million tokens, markup included, without trailing zeros; at most 12 decimals.

    With a `scale` of 10^12 it is pico-credits as credits.
    """
    numerator, denominator = markup
    whole = -(-picocredits * numerator * (10**12 // scale) // denominator)
    units, rest = divmod(whole, 10**12)
    return f"{units}.{rest:012d}".rstrip("0").rstrip(".")
