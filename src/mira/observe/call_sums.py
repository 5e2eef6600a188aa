"""What calls add up to since the process began, in plain numbers, and the families of Prometheus made from them.

A call is only put with others of its labels; they are counted together once some have gathered, or when somebody asks,
since what a list of records adds up to costs little more than what one does.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import repeat
from operator import add, attrgetter, countOf

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from mira.core.call import CallRecord

OTHER = "other"
NO_NODE = "none"
#: Calls, or other things, that may wait to be counted: they stay in memory until then.
MOST_WAITING = 256
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

NO_TOKENS = (0,) * len(TOKEN_CLASSES)
#: The counts of `TOKEN_CLASSES` in a usage.
token_counts = attrgetter(*TOKEN_CLASSES)

_ATTEMPTS = attrgetter("attempts")
_BILLED = attrgetter("billed_nanocredits")
_DURATION = attrgetter("duration_ms")
_ERROR = attrgetter("error")
_FIRST_CONTENT = attrgetter("first_content_ms")
_USAGE = attrgetter("usage")

Key = tuple[str, str, str, str | None, int]


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

    def add_all(self, sizes: Sequence[float]) -> None:
        """Some more."""
        self._sum += sum(sizes)
        for bucket, count in Counter(map(bisect_left, repeat(self._limits), sizes)).items():
            self._counts[bucket] += count

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
        self.tokens = NO_TOKENS


class CallSum(Struct, eq=False):
    """The calls of one set of labels. `waiting` are those that are not in `calls` and the pair's sums yet.

    `names_model` is off where the label stands for names that are only clients' words.
    """

    surface: str
    protocol: str
    model: str
    node: str
    status: str
    pair: PairSum
    names_model: bool
    calls: int = 0
    waiting: list[CallRecord] = []

    def count(self) -> None:
        """Counts those that wait."""
        records, pair = self.waiting, self.pair
        self.calls += len(records)
        pair.attempts += len(records) - countOf(map(_ATTEMPTS, records), 0)
        pair.cost_nanocredits += sum(map(_BILLED, records))
        pair.duration.add_all(list(map(_DURATION, records)))
        pair.first_content.add_all([size for size in map(_FIRST_CONTENT, records) if size is not None])
        by_class = zip(*map(token_counts, map(_USAGE, records)), strict=True)
        pair.tokens = tuple(map(add, pair.tokens, map(sum, by_class)))
        records.clear()


class CallSums:
    """All of them; at most `most` sets of labels, and what comes later counts as `other`.

    `models` and `nodes` give the names that may be labels. `in_flight` is the number of calls under way, which whoever
    hears of their beginning raises. All of it is for the event loop alone.
    """

    def __init__(self, most: int, models: Callable[[], Collection[str]], nodes: Callable[[], Collection[str]]) -> None:
        self.in_flight = 0
        self._most = most
        self._models = models
        self._nodes = nodes
        self._sums: dict[Key, CallSum] = {}
        self._pairs: dict[tuple[str, str], PairSum] = {}
        self._waiting = 0
        self._refusals: Counter[str] = Counter()
        self._failovers: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        return len(self._sums)

    def ended(self, record: CallRecord) -> CallSum:
        """Takes a call that is over; returns the sum that it belongs to, whose labels are those of the call."""
        self.in_flight -= 1
        key = (record.face, record.protocol, record.model, record.node, record.status // 100)
        found = self._sums.get(key) or self._named(record)
        found.waiting.append(record)
        self._waiting += 1
        if self._waiting >= MOST_WAITING:
            self._count()
        if record.tried:
            # The last attempt is the one whose node the record names.
            for attempt in record.tried[: max(record.attempts - 1, 0)]:
                self._failovers[self.node_label(attempt.node), attempt.outcome] += 1
        return found

    def node_label(self, name: str) -> str:
        """The name of a node of the fleet, else `other`."""
        return name if name in self._nodes() else OTHER

    def families(self) -> tuple[Metric, ...]:
        """All sums as Prometheus has them."""
        self._count()
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
        for node, count in self._attempts().items():
            attempts.add_metric((node,), count)
        failovers = CounterMetricFamily(
            "mira_failovers", "Attempts after which another node was tried.", labels=("node", "reason")
        )
        for names, count in self._failovers.items():
            failovers.add_metric(names, count)
        refusals = CounterMetricFamily("mira_refusals", "Calls that ended in an error.", labels=("kind",))
        for kind, count in self._refusals.items():
            refusals.add_metric((kind,), count)
        return requests, duration, first_content, tokens, cost, attempts, failovers, refusals

    def _count(self) -> None:
        self._waiting = 0
        for each in self._sums.values():
            if each.waiting:
                self._refusals.update(filter(None, map(_ERROR, each.waiting)))
                each.count()

    def _attempts(self) -> Counter[str]:
        """The attempts that were answered for, and those that another node's answer followed, by node."""
        counts: Counter[str] = Counter()
        for (node, _), failed in self._failovers.items():
            counts[node] += failed
        for (_, node), pair in self._pairs.items():
            if pair.attempts:
                counts[node] += pair.attempts
        return counts

    def _named(self, record: CallRecord) -> CallSum:
        """The sum for a call of a kind that is new. What clients make up is never remembered under its own name."""
        model = record.model if record.model in self._models() else OTHER
        node = NO_NODE if record.node is None else self.node_label(record.node)
        hundreds = record.status // 100
        if len(self._sums) >= self._most:
            model, node = OTHER, node if record.node is None else OTHER
        # Where the record's own names are the labels, `ended` finds the sum the next time.
        key = (record.face, record.protocol, model, None if record.node is None else node, hundreds)
        found = self._sums.get(key)
        if found is None:
            pair = self._pairs.get((model, node))
            if pair is None:
                pair = self._pairs[model, node] = PairSum()
            found = self._sums[key] = CallSum(
                record.face, record.protocol, model, node, f"{hundreds}xx", pair, names_model=model != OTHER
            )
        return found
