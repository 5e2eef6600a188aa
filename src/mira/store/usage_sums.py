"""Usage by the hour and day inside one batch: one row per span, workspace, key, model and node."""

from typing import Any

from mira.core.call import CallRecord
from mira.store.schema import USAGE_SUMS

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
#: An absurd figure of a node is cut here, so that no sum leaves 64 bits.
MOST = 2**48


class UsageSums:
    """The sums of a batch."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, str, str, str, str], list[int]] = {}

    def add(self, record: CallRecord, overrun_nanocredits: int, attempt_cost_nanocredits: int) -> None:
        """Counts a call. One that ended in an error, or that its client left, is a failed one."""
        started = record.started_at_ms
        name = (started - started % HOUR_MS, record.workspace_id, record.key_id, record.model, record.node or "")
        sums = self._sums.get(name)
        if sums is None:
            sums = self._sums[name] = [0] * len(USAGE_SUMS)
        usage, reported, computed = record.usage, record.reported_nanocredits, record.computed_nanocredits
        sums[0] += 1
        sums[1] += record.status >= 400 or record.error is not None
        sums[2] += _sane(usage.prompt_tokens)
        sums[3] += _sane(usage.completion_tokens)
        sums[4] += _sane(usage.cache_read_tokens)
        sums[5] += _sane(usage.reasoning_tokens)
        sums[6] += record.billed_nanocredits
        sums[7] += _sane(computed)
        if reported is not None:
            sums[8] += _sane(reported)
            sums[11] += reported != computed
            sums[12] += _sane(reported) - _sane(computed)
        if overrun_nanocredits or attempt_cost_nanocredits:
            sums[9] += _sane(overrun_nanocredits)
            sums[10] += _sane(attempt_cost_nanocredits)

    def rows(self, span_ms: int) -> list[tuple[Any, ...]]:
        """The rows to add to the sums of hours or days, in the order of their names."""
        if span_ms == HOUR_MS:
            return [(*name, *sums) for name, sums in sorted(self._sums.items())]
        wide: dict[tuple[int, str, str, str, str], list[int]] = {}
        for (begins_ms, workspace_id, key_id, model, node), sums in self._sums.items():
            name = (begins_ms - begins_ms % span_ms, workspace_id, key_id, model, node)
            known = wide.get(name)
            wide[name] = sums if known is None else [one + other for one, other in zip(known, sums, strict=True)]
        return [(*name, *sums) for name, sums in sorted(wide.items())]


def _sane(count: int) -> int:
    return count if 0 <= count <= MOST else min(max(count, 0), MOST)
