"""The choice among a model's nodes: scores, limits, half-open nodes, panic, many nodes, and what is said when none may."""

import math
from random import Random
from typing import Any

import pytest

from mira.core.deadlines import LOCAL_TIMEOUTS, Timeouts, for_attempt
from mira.core.fleet import Balancer, Need, Offer, Route
from mira.core.headroom import told_windows
from mira.core.health import Block, Health
from mira.core.pricing import PAR, Price
from mira.core.retrying import MOST_SAVED, RetryBudget
from mira.core.scoring import scores
from mira.errors import Kind, MiraError

NOW_S = 1000.0
PRICE = Price(input_picocredits=1_000_000, output_picocredits=2_000_000)


class Node:
    def __init__(self, name: str, **settings: Any) -> None:
        self.name = name
        self.weight = 1.0
        self.max_in_flight: int | None = None
        self.obstacle: MiraError | None = None
        self.health = Health()
        for setting, value in settings.items():
            setattr(self, setting, value)


def fleet(*nodes: Node) -> Route:
    offers = tuple(
        Offer(node=node, upstream_model="m", price=PRICE, markup=PAR, lane=node.health.lane("m")) for node in nodes
    )
    return Route(model="m", offers=offers)


def nodes(count: int) -> list[Node]:
    return [Node(f"node-{number}") for number in range(count)]


def chosen(route: Route, times: int = 200, need: Need | None = None, now_s: float = NOW_S) -> dict[str, int]:
    """How often each node is chosen, none of the calls being begun."""
    balancer = Balancer(Random(1).random)
    counts = {offer.node.name: 0 for offer in route.offers}
    for _ in range(times):
        counts[balancer.choose(route, (), now_s, need or Need()).node.name] += 1
    return counts


def eject(node: Node, until_s: float = NOW_S + 60) -> None:
    node.health.block = Block(state="ejected", reason="why", since_s=NOW_S, until_s=until_s)


def limit(node: Node, until_s: float) -> None:
    node.health.lane("m").block = Block(state="limited", reason="why", since_s=NOW_S, until_s=until_s)


def test_nodes_that_are_alike_share_at_random():
    counts = chosen(fleet(*nodes(4)), 400)
    assert all(70 < count < 130 for count in counts.values())


def test_every_term_of_the_score():
    route = fleet(*nodes(8))
    for offer in route.offers:
        offer.lane.streams.mean_s = 1.0
    base, busy, heavy, back, slow, failing, scarce, poor = (offer.node.health for offer in route.offers)
    busy.in_flight = 3
    route.offers[2].node.weight = 2.0
    back.returned_s = NOW_S - 15
    route.offers[4].lane.streams.mean_s = 4.0
    failing.errors, failing.errors_s = 0.1, NOW_S
    headers = {b"x-ratelimit-limit-requests": "100", b"x-ratelimit-remaining-requests": "5"}
    route.offers[6].lane.windows = told_windows(headers.get, NOW_S)
    poor.told_credits(10**9, NOW_S - 60)
    poor.purse.spent_nanocredits = 2 * 10**9
    poor.told_credits(10**9, NOW_S)
    headroom = poor.purse.headroom
    assert headroom < 0.2
    found = scores(route.offers, NOW_S, stream=True)
    assert found == pytest.approx([1, 4, 0.5, 2, 4, 3, 4, 0.2 / headroom])
    assert (base.in_flight, heavy.in_flight, scarce.in_flight, slow.in_flight) == (0, 0, 0, 0)


def test_the_oldest_unanswered_call_speaks_before_any_sample():
    route = fleet(*nodes(3))
    for offer in route.offers:
        offer.lane.streams.mean_s = 0.5
    hanging = route.offers[1].node.health
    hanging.begin(route.offers[1].lane, NOW_S - 20, stream=True)
    assert scores(route.offers, NOW_S, stream=True)[1] == pytest.approx(2 * 8)
    assert chosen(route, 100)["node-1"] == 0


def test_streams_and_whole_answers_are_compared_apart():
    route = fleet(*nodes(2))
    route.offers[0].lane.wholes.mean_s, route.offers[1].lane.wholes.mean_s = 1.0, 5.0
    assert scores(route.offers, NOW_S, stream=True) == [1, 1]
    assert scores(route.offers, NOW_S, stream=False) == [1, 5]


def test_a_full_node_an_obstacle_and_one_that_was_tried_are_left_out():
    full, drained, well, other = nodes(4)
    full.max_in_flight = 0
    drained.obstacle = MiraError(Kind.UNAVAILABLE, "drained")
    route = fleet(full, drained, well, other)
    assert Balancer(lambda: 0.0).choose(route, [other], NOW_S).node is well


def test_an_ejected_node_is_left_alone_unless_most_are_ejected():
    first, second, third = nodes(3)
    route = fleet(first, second, third)
    eject(first)
    assert chosen(route)["node-0"] == 0
    eject(second)
    assert min(chosen(route).values()) > 0, "panic: by score, for the trouble is common to all"


def test_the_only_node_is_asked_although_it_is_ejected():
    (only,) = nodes(1)
    eject(only)
    assert Balancer(lambda: 0.0).choose(fleet(only), (), NOW_S).node is only


def test_a_half_open_node_gets_the_next_first_attempt_and_no_second_one():
    sick, well = nodes(2)
    eject(sick, NOW_S - 1)
    route, balancer = fleet(sick, well), Balancer(lambda: 0.9)
    offer = balancer.choose(route, (), NOW_S)
    assert offer.node is sick
    balancer.begin(offer, NOW_S)
    assert balancer.choose(route, (), NOW_S).node is well


def test_no_limited_node_is_asked_before_its_time_and_the_least_wait_is_told():
    first, second = nodes(2)
    limit(first, NOW_S + 30)
    limit(second, NOW_S + 7)
    route = fleet(first, second)
    with pytest.raises(MiraError) as refused:
        Balancer(lambda: 0.0).choose(route, (), NOW_S)
    assert (refused.value.kind, refused.value.retry_after_s) == (Kind.RATE_LIMITED, 7)
    assert Balancer(lambda: 0.0).choose(route, (), NOW_S + 8).node is second


@pytest.mark.parametrize(
    ("state", "kind"),
    [("exhausted", Kind.UPSTREAM_CREDITS), ("bad-credentials", Kind.UPSTREAM_AUTH)],
)
def test_what_the_operator_has_to_see_to_is_told_without_asking_again(state, kind):
    (node,) = nodes(1)
    node.health.block = Block(state=state, reason="why", since_s=NOW_S, until_s=NOW_S + 5)
    with pytest.raises(MiraError) as refused:
        Balancer(lambda: 0.0).choose(fleet(node), (), NOW_S)
    assert (refused.value.kind, refused.value.code) == (kind, "upstream_auth")


def test_a_node_that_cannot_pay_the_worst_case_of_what_runs_and_what_comes_is_not_asked():
    (node,) = nodes(1)
    route, balancer = fleet(node), Balancer(lambda: 0.0)
    need = Need(input_bound_tokens=10, output_tokens=20)
    worst_nanocredits = need.worst_case_nanocredits(route.offers[0])
    assert worst_nanocredits == 50_000
    node.health.told_credits(2 * worst_nanocredits, NOW_S)
    running = [balancer.begin(balancer.choose(route, (), NOW_S, need), NOW_S, need) for _ in range(2)]
    with pytest.raises(MiraError) as refused:
        balancer.choose(route, (), NOW_S, need)
    assert refused.value.kind is Kind.UPSTREAM_CREDITS
    running[0].spent_nanocredits = 10
    for attempt in running:
        attempt.over(NOW_S)
    balancer.begin(balancer.choose(route, (), NOW_S, need), NOW_S, need)
    with pytest.raises(MiraError):
        balancer.choose(route, (), NOW_S, need)


def test_remaining_tokens_that_do_not_cover_the_request_pass_a_node_over_while_there_are_others():
    short, ample = nodes(2)
    route = fleet(short, ample)
    headers = {
        b"anthropic-ratelimit-tokens-limit": "10000",
        b"anthropic-ratelimit-tokens-remaining": "4000",
    }
    route.offers[0].lane.windows = told_windows(headers.get, NOW_S)
    assert chosen(route, need=Need(tokens=5000))["node-0"] == 0
    assert chosen(route, need=Need(tokens=3000))["node-0"] > 0
    assert chosen(route, need=Need(tokens=5000), now_s=NOW_S + 61)["node-0"] > 0, "the window is whole again"
    assert chosen(fleet(short), need=Need(tokens=5000))["node-0"] == 200


def test_of_very_many_nodes_two_are_compared_and_the_sick_one_loses():
    many = nodes(100)
    route = fleet(*many)
    for offer in route.offers:
        offer.lane.streams.mean_s = 1.0
        offer.lane.streams.asked_s = NOW_S
    route.offers[7].lane.streams.mean_s = 50.0
    counts = chosen(route, 5000)
    assert counts["node-7"] <= 1
    assert sum(1 for count in counts.values() if count) > 95


def test_the_retry_budget_is_a_tenth_of_the_requests_and_three_a_second():
    budget = RetryBudget(counted_s=NOW_S)
    assert sum(budget.take(NOW_S) for _ in range(1000)) == MOST_SAVED
    for _ in range(50):
        budget.request()
    assert sum(budget.take(NOW_S) for _ in range(1000)) in (4, 5)
    assert sum(budget.take(NOW_S + 2) for _ in range(1000)) == 6


def test_an_attempt_takes_no_longer_than_its_call_may():
    own = Timeouts()
    assert for_attempt(own, 600.0, whole_cap=None, others=True) == own
    assert for_attempt(own, 10.0, whole_cap=None, others=True) == Timeouts(5.0, 5.0, 60.0, 10.0)
    assert for_attempt(own, 4.0, whole_cap=None, others=False) == Timeouts(4.0, 4.0, 60.0, 4.0)
    assert for_attempt(own, 600.0, whole_cap=1000, others=False).head_s == 90.0
    assert for_attempt(LOCAL_TIMEOUTS, 3600.0, whole_cap=10, others=True) is LOCAL_TIMEOUTS


@pytest.mark.parametrize(
    ("told", "whole_s"), [("6m0s", 360), ("1.5s", 1.5), ("20ms", 0.02), ("12", 12), ("nonsense", 60), (None, 60)]
)
def test_windows_of_rate_limits_are_read_in_every_spelling(told, whole_s):
    headers = {
        b"x-ratelimit-limit-tokens": "1000",
        b"x-ratelimit-remaining-tokens": "0",
        b"x-ratelimit-reset-tokens": told,
    }
    (window,) = told_windows(headers.get, NOW_S)
    assert window.whole_s == pytest.approx(NOW_S + whole_s)
    assert window.left(NOW_S + whole_s / 2) == pytest.approx(500)


@pytest.mark.parametrize("remaining", ["-1", "many", "", "9" * 30, "٣"])
def test_headers_that_make_no_sense_are_passed_over(remaining):
    headers = {b"x-ratelimit-limit-requests": "10", b"x-ratelimit-remaining-requests": remaining}
    assert told_windows(headers.get, NOW_S) == ()
    assert math.isinf(Health().returned_s)
