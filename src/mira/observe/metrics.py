"""Figures for Prometheus: what every call adds, and how the process stands when it is asked.

All of it is described in `docs/metrics.md`. What a call adds comes from its `CallRecord` alone. Labels are bounded: the
name of a model or a node is one only while the fleet knows it, and beyond `MOST_SETS` sets of labels everything counts
as `other`.
"""

import asyncio
import platform
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from msgspec import Struct
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from mira.observe.call_sums import MOST_WAITING, NANO, OTHER, CallSums, Spread

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
#: Sets of labels that calls may make: a scrape of more would cost more than it tells.
MOST_SETS = 1000
#: Reasons of nodes' states that are told by name.
MOST_REASONS = 64

BATCH_OPERATIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
COMMIT_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
LAG_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)

Add = Callable[[float], None]


class NodeSeen(Struct, frozen=True, kw_only=True):
    """A node as the fleet sees it now. What is not known is None."""

    name: str
    state: str
    reason: str | None = None
    in_flight: int = 0
    latency_s: float | None = None
    credits: float | None = None
    conditions: Sequence["ConditionSeen"] = ()


class ConditionSeen(Struct, frozen=True, kw_only=True):
    """A model that a node is not asked for now, or only on trial."""

    model: str
    state: str
    reason: str | None = None


class Standing(Struct, frozen=True, kw_only=True):
    """How the process stands: its nodes, the holds of its calls, the calls that wait for a place, jobs by state."""

    nodes: Sequence[NodeSeen] = ()
    holds: int = 0
    held_nanocredits: int = 0
    waiting: int = 0
    jobs: Mapping[str, int] = {}


class Metrics:
    """The registry of one process, and everything that it counts.

    `models` and `nodes` give the names that may be labels; `standing` how the process stands. They are asked on the
    event loop. `calls` is for whoever hears of them.
    """

    def __init__(
        self,
        *,
        version: str,
        models: Callable[[], Collection[str]],
        nodes: Callable[[], Collection[str]],
        standing: Callable[[], Standing],
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # doubles every series, for times nobody asks for
        registry = self.registry = CollectorRegistry()
        self.calls = CallSums(MOST_SETS, models, nodes)
        self._look = standing
        self._standing = Standing()
        self._counted: tuple[Metric, ...] = ()
        self._reasons: set[str] = set()
        self._batches: list[tuple[int, float]] = []
        self._batch, self._commit, self._lag = Spread(BATCH_OPERATIONS), Spread(COMMIT_S), Spread(LAG_S)
        self._drift = Gauge(
            "mira_node_drift_ratio", "Our books beside the node's, last compared.", ("node",), registry=registry
        )
        self.loop_lagged: Add = self._lag.add
        build = Gauge("mira_build_info", "Always 1.", ("version", "python"), registry=registry)
        build.labels(version, platform.python_version()).set(1)
        registry.register(self)
        ProcessCollector(registry=registry)

    async def exposition(self) -> bytes:
        """All figures in Prometheus's text format. Written in a thread, since thousands of series take a while."""
        self._standing = self._look()
        self._counted = (*self.calls.families(), *self._spreads())
        return await asyncio.to_thread(generate_latest, self.registry)

    def batch_committed(self, operations: int, duration_s: float) -> None:
        """Counts a transaction of the ledger."""
        self._batches.append((operations, duration_s))
        if len(self._batches) >= MOST_WAITING:
            self._count_batches()

    def reconciled(self, node: str, drift_ratio: float) -> None:
        """Notes how far our books and a node's statement are apart."""
        self._drift.labels(self.calls.node_label(node)).set(drift_ratio)

    def collect(self) -> Iterator[Metric]:
        """How the process stood when it was asked, for the registry."""
        standing = self._standing
        for name, help_text, value in (
            ("mira_requests_in_flight", "Calls under way.", self.calls.in_flight),
            ("mira_holds", "Holds of calls under way.", standing.holds),
            ("mira_held_credits", "Credits set aside by them.", standing.held_nanocredits * NANO),
            ("mira_requests_waiting", "Calls that wait for a place.", standing.waiting),
        ):
            yield GaugeMetricFamily(name, help_text, value=value)
        jobs = GaugeMetricFamily("mira_jobs", "Jobs in the database.", labels=("state",))
        for name, number in standing.jobs.items():
            jobs.add_metric((name,), number)
        state = GaugeMetricFamily("mira_node_state", "1 for the state of a node.", labels=("node", "state", "reason"))
        condition = GaugeMetricFamily(
            "mira_node_condition",
            "1 for a model that a node is not asked for.",
            labels=("node", "model", "state", "reason"),
        )
        in_flight = GaugeMetricFamily("mira_node_in_flight", "Calls at a node.", labels=("node",))
        latency = GaugeMetricFamily("mira_node_latency_seconds", "Moving mean of first content.", labels=("node",))
        balance = GaugeMetricFamily("mira_node_credits", "Credits that are left at a node.", labels=("node",))
        for node in standing.nodes:
            state.add_metric((node.name, node.state, self._reason(node.reason or "")), 1)
            for each in node.conditions:
                condition.add_metric((node.name, each.model, each.state, self._reason(each.reason or "")), 1)
            in_flight.add_metric((node.name,), node.in_flight)
            if node.latency_s is not None:
                latency.add_metric((node.name,), node.latency_s)
            if node.credits is not None:
                balance.add_metric((node.name,), node.credits)
        yield from (jobs, state, condition, in_flight, latency, balance)
        yield from self._counted

    def _spreads(self) -> Iterator[Metric]:
        """What is counted here. For the event loop, which alone adds to it."""
        self._count_batches()
        for name, help_text, spread in (
            ("mira_ledger_batch_operations", "Operations of a transaction.", self._batch),
            ("mira_ledger_commit_seconds", "Begin of a transaction to its end on disk.", self._commit),
            ("mira_event_loop_lag_seconds", "How late the event loop came to a timer.", self._lag),
        ):
            histogram = HistogramMetricFamily(name, help_text)
            spread.tell(histogram)
            yield histogram

    def _count_batches(self) -> None:
        if self._batches:
            operations, durations_s = zip(*self._batches, strict=True)
            self._batch.add_all(operations)
            self._commit.add_all(durations_s)
            self._batches.clear()

    def _reason(self, reason: str) -> str:
        if reason not in self._reasons:
            if len(self._reasons) >= MOST_REASONS:
                return OTHER
            self._reasons.add(reason)
        return reason
