"""Our attempts at a node beside the node's own statement, row by row. Pure."""

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

#: One part in a thousand of what the node charged: above it, operators are alarmed.
ALARM_RATIO = 0.001
#: How many differing rows are shown.
SHOWN = 100


class Entry(Struct, frozen=True):
    """What one side booked for a request of ours: our request id and nano-credits."""

    request_id: str
    cost_nanocredits: int


class Difference(Struct, frozen=True):
    """A request on which the sides differ; None where a side has none of it."""

    request_id: str
    ours_nanocredits: int | None
    theirs_nanocredits: int | None


class Reconciliation(Struct, frozen=True, kw_only=True):
    """Both sides' sums in nano-credits, and where they differ.

    `drift_nanocredits` adds the differences up without regard to their sign, so that two errors do not cancel;
    `drift_ratio` is its part of what the node charged (1 where the node charged nothing and we booked something).
    """

    requests: int
    ours_nanocredits: int
    theirs_nanocredits: int
    drift_nanocredits: int
    drift_ratio: float
    alarm: bool
    differing: int
    differences: tuple[Difference, ...]


def reconcile(ours: Iterable[Entry], theirs: Iterable[Entry]) -> Reconciliation:
    """Compares by request id; several rows of one id (a repeated attempt) are summed first."""
    own, other = _summed(ours), _summed(theirs)
    differences = []
    for request_id in sorted(own.keys() | other.keys()):
        mine, its = own.get(request_id), other.get(request_id)
        # A side that has no row and one whose row cost nothing agree on the money.
        if (mine or 0) != (its or 0):
            differences.append(Difference(request_id, mine, its))
    drift = sum(abs((row.ours_nanocredits or 0) - (row.theirs_nanocredits or 0)) for row in differences)
    charged = sum(other.values())
    ratio = drift / charged if charged else float(drift > 0)
    return Reconciliation(
        requests=len(own.keys() | other.keys()),
        ours_nanocredits=sum(own.values()),
        theirs_nanocredits=charged,
        drift_nanocredits=drift,
        drift_ratio=ratio,
        alarm=ratio > ALARM_RATIO,
        differing=len(differences),
        differences=tuple(differences[:SHOWN]),
    )


def _summed(rows: Iterable[Entry]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for row in rows:
        total[row.request_id] += row.cost_nanocredits
    return dict(total)
