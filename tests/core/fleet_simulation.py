"""A fleet in simulated time: nodes that are slow, fail or hang, calls that arrive, and a policy that chooses.

Nothing here waits: events stand in a heap, and the clock jumps from one to the next.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

from mira.core.fleet import Balancer, Need, Offer, Route
from mira.core.health import Health, Trouble
from mira.core.pricing import PAR, Price
from mira.core.retrying import MAX_ATTEMPTS
from mira.errors import MiraError

TIMEOUT_S = 60.0
CACHED = Price(input_picocredits=10, output_picocredits=40, cache_read_picocredits=1)


class SimNode:
    """A node: `first_s` to the first content, `last_s` to the end; `mode` is `well`, `fails`, `hangs` or `limits`."""

    def __init__(self, name: str, *, first_s: float = 0.5, last_s: float = 3.0, weight: float = 1.0) -> None:
        self.name = name
        self.first_s = first_s
        self.last_s = last_s
        self.mode = "well"
        self.weight = weight
        self.max_in_flight: int | None = None
        self.obstacle: MiraError | None = None
        self.health = Health()
        self.asked = 0


class SimCall:
    """What became of one call."""

    def __init__(self, at_s: float, session: int | None) -> None:
        self.at_s = at_s
        self.session = session
        self.tried: list[SimNode] = []
        self.first_content_s: float | None = None
        self.failed = False

    @property
    def node(self) -> SimNode:
        return self.tried[-1]


class Simulation:
    """Calls at a fleet of nodes. `choose(simulation, call)` picks a node or None."""

    def __init__(
        self, nodes: list[SimNode], seed: int, choose: Callable[["Simulation", SimCall], SimNode | None] | None = None
    ) -> None:
        self.nodes = nodes
        self.random = random.Random(seed)
        self.now_s = 1000.0
        self.calls: list[SimCall] = []
        self.balancer = Balancer(self.random.random)
        self.route = Route(
            model="m",
            offers=tuple(
                Offer(node=node, upstream_model="m", price=CACHED, markup=PAR, lane=node.health.lane("m"))
                for node in nodes
            ),
        )
        self._offers = {offer.node: offer for offer in self.route.offers}
        self._choose = choose or Simulation.by_mira
        self._events: list[tuple[float, int, Callable[[], Any]]] = []
        self._numbers = itertools.count()

    def by_mira(self, call: SimCall) -> SimNode | None:
        need = Need(session=call.session)
        try:
            chosen: SimNode = self.balancer.choose(self.route, call.tried, self.now_s, need).node
        except MiraError:
            return None
        return chosen

    def at(self, at_s: float, do: Callable[[], Any]) -> None:
        heapq.heappush(self._events, (at_s, next(self._numbers), do))

    def after(self, wait_s: float, do: Callable[[], Any]) -> None:
        self.at(self.now_s + wait_s, do)

    def run(self, for_s: float) -> None:
        until_s = self.now_s + for_s
        while self._events and self._events[0][0] <= until_s:
            self.now_s, _, do = heapq.heappop(self._events)
            do()
        self.now_s = until_s

    def arrive(self, per_s: float, for_s: float) -> None:
        """Calls come at random from now on."""
        at_s, until_s = self.now_s, self.now_s + for_s
        while (at_s := at_s + self.random.expovariate(per_s)) < until_s:
            self.at(at_s, self.call)

    def call(self, session: int | None = None, then: Callable[[], Any] | None = None) -> SimCall:
        call = SimCall(self.now_s, session)
        self.calls.append(call)
        self.balancer.budget.request()
        self._attempt(call, then)
        return call

    def _attempt(self, call: SimCall, then: Callable[[], Any] | None) -> None:
        more = not call.tried or (len(call.tried) < MAX_ATTEMPTS and self.balancer.budget.take(self.now_s))
        node = self._choose(self, call) if more else None
        if node is None:
            call.failed = True
            return
        call.tried.append(node)
        node.asked += 1
        attempt = self.balancer.begin(self._offers[node], self.now_s)

        def content() -> None:
            attempt.content(self.now_s)
            call.first_content_s = self.now_s - call.at_s

        def end() -> None:
            attempt.succeeded(self.now_s)
            attempt.over(self.now_s)
            if then is not None:
                then()

        def fail(trouble: Trouble, told_s: float | None = None) -> None:
            attempt.failed(trouble, "fault", self.now_s, self.random.random(), told_s)
            attempt.over(self.now_s)
            self._attempt(call, then)

        match node.mode:
            case "fails":
                self.after(0.01, lambda: fail(Trouble.FAULT))
            case "hangs":
                self.after(TIMEOUT_S, lambda: fail(Trouble.FAULT))
            case "limits":
                self.after(0.01, lambda: fail(Trouble.LIMITED, 7.0))
            case _:
                first_s = node.first_s * self.random.lognormvariate(0.0, 0.3)
                self.after(first_s, content)
                self.after(first_s + node.last_s * self.random.lognormvariate(0.0, 0.5), end)

    # What is read off

    def share(self, node: SimNode, since_s: float) -> float:
        """The share of the calls since then whose first attempt went to a node."""
        recent = [call for call in self.calls if call.at_s >= since_s and call.tried]
        return sum(call.tried[0] is node for call in recent) / len(recent)

    def p99_s(self) -> float:
        """Time to the first content, attempts included; a call that failed counts as 600 s."""
        times = sorted(600.0 if call.first_content_s is None else call.first_content_s for call in self.calls)
        return times[int(len(times) * 0.99)]

    @property
    def success(self) -> float:
        return sum(not call.failed for call in self.calls) / len(self.calls)

    @property
    def attempts(self) -> float:
        return sum(len(call.tried) for call in self.calls) / len(self.calls)


def round_robin() -> Callable[[Simulation, SimCall], SimNode | None]:
    """One node after the other, with ejection and retries, as balancers commonly do."""
    turns = itertools.count()

    def choose(simulation: Simulation, call: SimCall) -> SimNode | None:
        for _ in simulation.nodes:
            node = simulation.nodes[next(turns) % len(simulation.nodes)]
            block = node.health.block
            if node not in call.tried and (block is None or block.ready(simulation.now_s)):
                return node
        return None

    return choose
