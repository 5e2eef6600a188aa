"""Usage by the hour and day inside one batch: one row per span, workspace, key, model and node."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from mira.store.ledger_sql import CALL_COLUMNS

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
#: An absurd figure of a node is cut here, so that no sum leaves 64 bits.
MOST = 2**48
#: Counts up to this need no look at each: even those of all classes together stay below `MOST`.
HARMLESS = MOST // 8

_PROMPT = (
    "cache_read_tokens",
    "input_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "audio_input_tokens",
    "image_input_tokens",
)
_ANSWER = ("reasoning_tokens", "output_tokens", "audio_output_tokens", "image_output_tokens")


def _columns(*names: str) -> Any:
    """Takes columns out of the row of a call."""
    return itemgetter(*map(CALL_COLUMNS.index, names))


_started_at_ms = _columns("started_at_ms")
_name = _columns("workspace_id", "key_id", "model", "node")
_counts = _columns(*_PROMPT, *_ANSWER, "computed_nanocredits")
_outcome = _columns(
    "request_id", "status", "error", "billed_nanocredits", "computed_nanocredits", "reported_nanocredits"
)

_Row = tuple[Any, ...]


def usage_rows(calls: Sequence[_Row], losses: Mapping[str, tuple[int, int]]) -> tuple[list[_Row], list[_Row]]:
    """The rows to add to the sums of hours, and to those of days, in the order of their names.

    `calls` are rows of `call`; `losses` tell by id what the operator bears of a call: nano-credits to overrun and of
    failed attempts. Sums are made of whole columns, since every request has to pass here.
    """
    groups: defaultdict[_Row, list[_Row]] = defaultdict(list)
    for call in calls:
        groups[_started_at_ms(call) // HOUR_MS, _name(call)].append(call)
    hours: list[_Row] = []
    days: dict[_Row, list[int]] = {}
    for (hour, (workspace_id, key_id, model, node)), group in groups.items():
        sums = _sums(group, losses)
        hours.append((hour * HOUR_MS, workspace_id, key_id, model, node or "", *sums))
        day = (hour * HOUR_MS // DAY_MS * DAY_MS, workspace_id, key_id, model, node or "")
        known = days.get(day)
        days[day] = sums if known is None else [*map(sum, zip(known, sums, strict=True))]
    return sorted(hours), [(*day, *days[day]) for day in sorted(days)]


def _sums(calls: list[_Row], losses: Mapping[str, tuple[int, int]]) -> list[int]:
    """The sums over calls in the order of `USAGE_SUMS`. One that ended in an error, or was left, is a failed one."""
    columns = [*zip(*map(_counts, calls), strict=True)]
    if min(map(min, columns)) >= 0 and max(map(max, columns)) <= HARMLESS:
        figures = _figures([*map(sum, columns)])
    else:
        each = [map(_cut, _figures(counts)) for counts in map(_counts, calls)]
        figures = tuple(map(sum, zip(*each, strict=True)))
    *tokens, computed = figures
    failed = billed = reported = overrun = attempts = drifted = drift = 0
    for request_id, status, error, billed_one, computed_one, reported_one in map(_outcome, calls):
        billed += billed_one
        if status >= 400 or error is not None:
            failed += 1
        if reported_one is not None:
            reported += _cut(reported_one)
            drifted += reported_one != computed_one
            drift += _cut(reported_one) - _cut(computed_one)
        if request_id in losses:
            overrun += _cut(losses[request_id][0])
            attempts += _cut(losses[request_id][1])
    return [len(calls), failed, *tokens, billed, computed, reported, overrun, attempts, drifted, drift]


def _figures(counts: Sequence[int]) -> tuple[int, ...]:
    """Tokens of prompts and of answers, those read from a cache and those of reasoning, and the computed cost."""
    return sum(counts[:6]), sum(counts[6:10]), counts[0], counts[6], counts[10]


def _cut(count: int) -> int:
    return min(max(count, 0), MOST)
