"""Usage by the hour and day inside one batch: one row per span, workspace, key, model and node."""

from collections import defaultdict
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from mira.core.call import CallRecord
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
_counts: Any = itemgetter(*map(CALL_COLUMNS.index, (*_PROMPT, *_ANSWER, "computed_nanocredits")))
_STATUS, _ERROR, _BILLED, _COMPUTED, _REPORTED = map(
    CALL_COLUMNS.index, ("status", "error", "billed_nanocredits", "computed_nanocredits", "reported_nanocredits")
)

_Row = tuple[Any, ...]
_Name = tuple[int, str, str, str, str]


class UsageSums:
    """The sums of a batch, made of the rows of its calls, whole columns at a time."""

    def __init__(self) -> None:
        self._calls: defaultdict[_Name, list[_Row]] = defaultdict(list)
        self._borne: defaultdict[_Name, list[int]] = defaultdict(lambda: [0, 0])

    def add(self, record: CallRecord, row: _Row, overrun_nanocredits: int, attempt_cost_nanocredits: int) -> None:
        """Counts a call and what the operator bears of it. `row` is the record's."""
        hour = record.started_at_ms // HOUR_MS
        name = (hour, record.workspace_id, record.key_id, record.model, record.node or "")
        self._calls[name].append(row)
        if overrun_nanocredits or attempt_cost_nanocredits:
            borne = self._borne[name]
            borne[0] += _cut(overrun_nanocredits)
            borne[1] += _cut(attempt_cost_nanocredits)

    def rows(self) -> tuple[list[_Row], list[_Row]]:
        """The rows to add to the sums of hours, and to those of days, in the order of their names."""
        hours: list[_Row] = []
        days: dict[_Name, list[int]] = {}
        for name in sorted(self._calls):
            hour, workspace_id, key_id, model, node = name
            sums = _sums(self._calls[name], self._borne.get(name, (0, 0)))
            hours.append((hour * HOUR_MS, workspace_id, key_id, model, node, *sums))
            day = (hour * HOUR_MS // DAY_MS * DAY_MS, workspace_id, key_id, model, node)
            known = days.get(day)
            days[day] = sums if known is None else [*map(sum, zip(known, sums, strict=True))]
        return hours, [(*day, *days[day]) for day in sorted(days)]


def _sums(rows: list[_Row], borne: Sequence[int]) -> list[int]:
    """The sums over calls in the order of `USAGE_SUMS`. One that ended in an error, or was left, is a failed one."""
    columns = [*zip(*map(_counts, rows), strict=True)]
    if min(map(min, columns)) >= 0 and max(map(max, columns)) <= HARMLESS:
        figures = _figures([*map(sum, columns)])
    else:
        each = [map(_cut, _figures(counts)) for counts in map(_counts, rows)]
        figures = tuple(map(sum, zip(*each, strict=True)))
    *tokens, computed = figures
    failed = sum([row[_STATUS] >= 400 or row[_ERROR] is not None for row in rows])
    billed = sum([row[_BILLED] for row in rows])
    told = [(row[_REPORTED], row[_COMPUTED]) for row in rows if row[_REPORTED] is not None]
    reported = sum([_cut(one) for one, _ in told])
    drifted = sum([one != other for one, other in told])
    drift = sum([_cut(one) - _cut(other) for one, other in told])
    return [len(rows), failed, *tokens, billed, computed, reported, *borne, drifted, drift]


def _figures(counts: Sequence[int]) -> tuple[int, ...]:
    """Tokens of prompts and of answers, those read from a cache and those of reasoning, and the computed cost."""
    return sum(counts[:6]), sum(counts[6:10]), counts[0], counts[6], counts[10]


def _cut(count: int) -> int:
    return min(max(count, 0), MOST)
