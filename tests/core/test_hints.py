"""Hints: another process's word demotes a node, is overruled by what was seen here, and ends by itself."""

from random import Random

import pytest

from mira.core.blocks import Block
from mira.core.fleet import Balancer, Offer, Route
from mira.core.health import Health, Trouble
from mira.core.hints import Hint, freshest
from mira.core.pricing import FREE, PAR

NOW_S = 1000.0


class Node:
    """What the balancer needs of a node."""

    def __init__(self, name):
        self.name = name
        self.weight = 1.0
        self.max_in_flight = None
        self.obstacle = None
        self.health = Health(heard=True)


def fleet(count):
    nodes = [Node(f"node-{number}") for number in range(count)]
    offers = [
        Offer(node=node, upstream_model="m", price=FREE, markup=PAR, lane=node.health.lane("m")) for node in nodes
    ]
    return nodes, Route(model="m", offers=tuple(offers))


def warn(seen, since_s=NOW_S, lasts_s=60.0, state="ejected"):
    seen.hint = Hint("a", "", state, "upstream_failed", since_s, since_s + lasts_s)


def chosen(route, now_s=NOW_S, tried=()):
    balancer = Balancer(Random(1).random)
    return {balancer.choose(route, tried, now_s).node.name for _ in range(100)}


@pytest.mark.parametrize("of_model", [False, True])
def test_a_node_of_which_another_process_warned_is_passed_over_while_there_are_others(of_model):
    nodes, route = fleet(3)
    warn(nodes[0].health.lane("m") if of_model else nodes[0].health)
    assert chosen(route) == {"node-1", "node-2"}
    assert chosen(route, tried=nodes[1:]) == {"node-0"}
    assert chosen(route, NOW_S + 61) == {"node-0", "node-1", "node-2"}


def test_a_warning_of_one_model_says_nothing_of_others():
    nodes, route = fleet(2)
    warn(nodes[0].health.lane("another"))
    assert chosen(route) == {"node-0", "node-1"}


def test_warnings_of_more_than_half_are_no_reason_to_crowd_the_rest():
    nodes, route = fleet(3)
    for node in nodes[:2]:
        warn(node.health)
    assert chosen(route) == {"node-0", "node-1", "node-2"}


def test_a_warning_does_not_bring_an_ejected_node_back():
    nodes, route = fleet(3)
    nodes[0].health.block = Block(state="ejected", reason="why", since_s=NOW_S, until_s=NOW_S + 60)
    warn(nodes[0].health)
    assert chosen(route) == {"node-1", "node-2"}
    warn(nodes[1].health)
    assert "node-0" not in chosen(route), "of the two only the warning is overruled"


def test_a_call_that_began_since_and_had_content_stands_over_a_warning():
    nodes, route = fleet(2)
    health = nodes[0].health
    early = health.begin(health.lane("m"), NOW_S - 1, stream=True)
    warn(health)
    warn(health.lane("m"))
    early.succeeded(NOW_S + 1)
    early.over(NOW_S + 1)
    assert chosen(route, NOW_S + 1) == {"node-1"}
    late = health.begin(health.lane("m"), NOW_S + 1, stream=True)
    late.succeeded(NOW_S + 2)
    late.over(NOW_S + 2)
    assert chosen(route, NOW_S + 2) == {"node-0", "node-1"}
    warn(health, since_s=NOW_S + 3)
    assert chosen(route, NOW_S + 3) == {"node-1"}


def test_a_warning_is_no_fault_and_is_shown():
    health = Health(heard=True)
    warn(health)
    warn(health.lane("m"), state="limited")
    standing = health.standing(NOW_S)
    assert (standing.state, standing.returns_in_s) == ("degraded", 60.0)
    assert standing.reason == "another process: ejected, upstream_failed"
    assert health.conditions(NOW_S)["m"].reason == "another process: limited, upstream_failed"
    assert (health.faults, health.errors, health.block) == (0, 0.0, None)
    assert health.standing(NOW_S + 60).state == "active"
    assert health.conditions(NOW_S + 60) == {}


def test_what_is_told_ends_a_little_after_the_block_and_a_minute_after_the_first_in_a_row():
    health = Health()
    lane = health.lane("m")
    now_s = NOW_S
    ends = []
    for _ in range(4):
        attempt = health.begin(lane, now_s, stream=True)
        attempt.failed(Trouble.LIMITED, "why", now_s, 0.5, 25.0)
        attempt.over(now_s)
        hint = lane.block.hint("a", "m")
        assert (hint.node, hint.model, hint.state, hint.since_s) == ("a", "m", "limited", NOW_S)
        ends.append(hint.until_s - NOW_S)
        now_s = lane.block.until_s
    assert ends == [30.0, 55.0, 60.0, 60.0]


def test_the_youngest_of_several_warnings_counts_unless_it_has_ended():
    old = Hint("a", "", "ejected", "why", NOW_S - 20, NOW_S + 40)
    young = Hint("a", "", "ejected", "why", NOW_S - 10, NOW_S + 5)
    other = Hint("a", "m", "limited", "why", NOW_S - 10, NOW_S + 5)
    assert freshest([old, young, other], NOW_S) == {("a", ""): young, ("a", "m"): other}
    assert freshest([young, old, other], NOW_S + 5) == {("a", ""): old}
