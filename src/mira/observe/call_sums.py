"""What calls add up to since the process began, in plain numbers, and the families of Prometheus made from them.

A call adds a handful of integers here; the client library's own counters take a lock and several calls for each of
them, which is felt at thousands of calls a second.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import add

from msgspec import Struct
from msgspec.structs import astuple
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from mira.core.call import CallRecord
from mira.core.usage import Usage

OTHER = "other"
NANO = 1e-9
MS_PER_S = 1000

FIRST_CONTENT_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60)
DURATION_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 600)

#: Classes of tokens by the name of their count, as `Usage` begins with them; each token is in exactly one.
TOKEN_CLASSES = {
    "input_tokens": "input",
    "cache_read_tokens": "cache_read",
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_1h_tokens": "cache_write_1h",
    "output_tokens": "output",
    "reasoning_tokens": "reasoning",
    "audio_input_tokens": "audio_input",
    "audio_output_tokens": "audio_output",
    "image_input_tokens": "image_input",
    "image_output_tokens": "image_output",
}

_CLASSES = len(TOKEN_CLASSES)
_NO_TOKENS = (0,) * _CLASSES

Key = tuple[str, str, str, str | None, int]


def token_counts(usage: Usage) -> tuple[int, ...]:
    """The counts of `TOKEN_CLASSES`."""
    return astuple(usage)[:_CLASSES]


class Spread:
    """How large something was: the sum, and how many fell into each bucket.

    `bounds` are told as they are; what is added is in parts of them, `parts` to one.
    """

    __slots__ = ("_bounds", "_counts", "_limits", "_parts", "_sum")

    def __init__(self, bounds: Sequence[float], parts: int = 1) -> None:
        self._bounds = bounds
        self._parts = parts
        self._limits = [bound if parts == 1 else round(bound * parts) for bound in bounds]
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, size: float) -> None:
        """One more."""
        self._sum += size
        self._counts[bisect_left(self._limits, size)] += 1

    def tell(self, family: HistogramMetricFamily, labels: Sequence[str] = ()) -> None:
        """Writes the buckets, each with those below it, as Prometheus has them."""
        below = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            below += count
            buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), below))
        family.add_metric(labels, buckets, self._sum / self._parts)


class PairSum:
    """The calls of one model at one node."""

    __slots__ = ("attempts", "cost_nanocredits", "duration", "first_content", "tokens")

    def __init__(self) -> None:
        self.attempts = 0
        self.cost_nanocredits = 0
        self.duration = Spread(DURATION_S, MS_PER_S)
        self.first_content = Spread(FIRST_CONTENT_S, MS_PER_S)
        self.tokens = list(_NO_TOKENS)


class CallSum(Struct):
    """The calls of one set of labels."""

    surface: str
    protocol: str
    model: str
    node: str
    status: str
    pair: PairSum
    calls: int = 0

    def add(self, record: CallRecord) -> None:
        """One more."""
        self.calls += 1
        pair = self.pair
        pair.duration.add(record.duration_ms)
        if record.first_content_ms is not None:
            pair.first_content.add(record.first_content_ms)
        pair.cost_nanocredits += record.billed_nanocredits
        counts = token_counts(record.usage)
        if counts != _NO_TOKENS:
            pair.tokens = list(map(add, pair.tokens, counts))
        if record.attempts:
            pair.attempts += 1


class CallSums:
    """All of them; at most `most` sets of labels, and what comes later counts as `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sums: dict[Key, CallSum] = {}
        self._pairs: dict[tuple[str, str], PairSum] = {}
        self._failed_attempts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._sums)

    def of(self, record: CallRecord) -> CallSum | None:
        """The sum that a call belongs to, by the names in its record."""
        return self._sums.get((record.face, record.protocol, record.model, record.node, record.status // 100))

    def named(self, record: CallRecord, model: str, node: str) -> CallSum:
        """The sum that a call belongs to under the labels of its model and node, which may be made for it."""
        hundreds = record.status // 100
        if len(self._sums) >= self._most:
            model, node = OTHER, node if record.node is None else OTHER
        # Where the record's own names are the labels, `of` finds the sum the next time.
        key = (record.face, record.protocol, model, None if record.node is None else node, hundreds)
        found = self._sums.get(key)
        if found is None:
            pair = self._pairs.get((model, node))
            if pair is None:
                pair = self._pairs[model, node] = PairSum()
            found = self._sums[key] = CallSum(record.face, record.protocol, model, node, f"{hundreds}xx", pair)
        return found

    def add_attempt(self, node: str) -> None:
        """One more attempt at a node that another node's answer followed."""
        self._failed_attempts[node] = self._failed_attempts.get(node, 0) + 1

    def families(self) -> tuple[Metric, ...]:
        """All sums as Prometheus has them. For the event loop, which alone adds to them."""
        pair = ("model", "node")
        requests = CounterMetricFamily(
            "mira_requests", "Calls that are over.", labels=("surface", "protocol", *pair, "status")
        )
        for each in self._sums.values():
            requests.add_metric((each.surface, each.protocol, each.model, each.node, each.status), each.calls)
        duration = HistogramMetricFamily("mira_request_duration_seconds", "Request to end of answer.", labels=pair)
        first_content = HistogramMetricFamily("mira_first_content_seconds", "Request to first content.", labels=pair)
        tokens = CounterMetricFamily("mira_tokens", "Tokens by class.", labels=(*pair, "class"))
        cost = CounterMetricFamily("mira_cost_credits", "Credits billed.", labels=pair)
        for names, each_pair in self._pairs.items():
            each_pair.duration.tell(duration, names)
            each_pair.first_content.tell(first_content, names)
            cost.add_metric(names, each_pair.cost_nanocredits * NANO)
            for token_class, count in zip(TOKEN_CLASSES.values(), each_pair.tokens, strict=True):
                if count:
                    tokens.add_metric((*names, token_class), count)
        attempts = CounterMetricFamily("mira_attempts", "Requests to nodes.", labels=("node",))
        for node, count in self._attempts():
            attempts.add_metric((node,), count)
        return requests, duration, first_content, tokens, cost, attempts

    def _attempts(self) -> Iterator[tuple[str, int]]:
        counts = dict(self._failed_attempts)
        for (_, node), pair in self._pairs.items():
            if pair.attempts:
                counts[node] = counts.get(node, 0) + pair.attempts
        yield from counts.items()
