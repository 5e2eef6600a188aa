"""The states of a node: what leads into each, what leads out, and that no node stays in one for good."""

from random import Random

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mira.core.blocks import FIRST_S
from mira.core.fleet import Balancer, Offer, Route
from mira.core.health import Health, Lane, Trouble
from mira.core.hints import Hint
from mira.core.pricing import FREE, PAR
from mira.errors import MiraError

NOW_S = 1000.0
MIDDLE = 0.5


class Node:
    """What the balancer needs of a node."""

    def __init__(self, name: str = "a") -> None:
        self.name = name
        self.weight = 1.0
        self.max_in_flight: int | None = None
        self.obstacle: MiraError | None = None
        self.health = Health()


def tried(health: Health, trouble: Trouble | None, now_s: float, told_s: float | None = None) -> None:
    """One call from its beginning to its end."""
    attempt = health.begin(health.lane("m"), now_s, stream=True)
    if trouble is None:
        attempt.succeeded(now_s)
    else:
        attempt.failed(trouble, "why", now_s, MIDDLE, told_s)
    attempt.over(now_s)


def state(health: Health, now_s: float) -> str:
    return health.standing(now_s).state


def ejected(now_s: float = NOW_S) -> Health:
    health = Health()
    for _ in range(3):
        tried(health, Trouble.FAULT, now_s)
    return health


def test_a_node_is_probing_until_something_good_was_heard():
    health = Health()
    assert state(health, NOW_S) == "probing"
    tried(health, None, NOW_S)
    assert state(health, NOW_S) == "active"


def test_one_fault_degrades_and_time_heals():
    health = Health(heard=True)
    tried(health, Trouble.FAULT, NOW_S)
    assert state(health, NOW_S) == "degraded"
    assert state(health, NOW_S + 60) == "active"


def test_three_faults_in_a_row_eject_and_a_good_answer_between_them_does_not():
    health = Health()
    for trouble in (Trouble.FAULT, Trouble.FAULT, None, Trouble.FAULT, Trouble.FAULT):
        tried(health, trouble, NOW_S)
    assert state(health, NOW_S) == "degraded"
    tried(health, Trouble.FAULT, NOW_S)
    standing = health.standing(NOW_S)
    assert (standing.state, standing.returns_in_s) == ("ejected", 10.0)


def test_more_than_half_of_ten_within_30_s_eject():
    health = Health()
    for number in range(10):
        tried(health, Trouble.FAULT if number % 2 else None, NOW_S + number)
    assert state(health, NOW_S + 9) == "degraded"
    tried(health, Trouble.FAULT, NOW_S + 10)
    assert state(health, NOW_S + 10) == "ejected"


def test_outcomes_older_than_30_s_are_forgotten():
    health = Health()
    for _ in range(5):
        tried(health, None, NOW_S)
        tried(health, Trouble.FAULT, NOW_S)
    tried(health, None, NOW_S + 31)
    tried(health, Trouble.FAULT, NOW_S + 31)
    tried(health, Trouble.FAULT, NOW_S + 31)
    assert state(health, NOW_S + 31) == "degraded"


@pytest.mark.parametrize("trouble", [Trouble.INNOCENT, Trouble.HASTE])
def test_what_is_not_the_nodes_fault_never_counts(trouble):
    health = Health(heard=True)
    for _ in range(20):
        tried(health, trouble, NOW_S)
    assert state(health, NOW_S) == "active"


def test_rate_limits_never_eject():
    health = Health(heard=True)
    for number in range(20):
        tried(health, Trouble.LIMITED, NOW_S + number)
    assert state(health, NOW_S + 20) == "active"
    assert health.conditions(NOW_S + 20)["m"].state == "limited"


def test_the_time_of_an_ejection_doubles_up_to_300_s_and_three_good_calls_end_it():
    health, now_s = ejected(), NOW_S
    for wait_s in (10, 20, 40, 80, 160, 300, 300):
        assert health.standing(now_s).returns_in_s == wait_s
        now_s += wait_s
        assert state(health, now_s) == "half-open"
        tried(health, Trouble.FAULT, now_s)
    now_s += 300
    for _ in range(3):
        assert state(health, now_s) == "half-open"
        tried(health, None, now_s)
    assert health.standing(now_s).reason == "slow start"
    assert health.share(now_s) == pytest.approx(0.1)
    assert health.share(now_s + 15) == pytest.approx(0.5)
    assert state(health, now_s + 30) == "active"


def test_who_falls_again_soon_after_a_return_waits_longer_than_the_first_time():
    health = ejected()
    for _ in range(3):
        tried(health, None, NOW_S + 10)
    for _ in range(3):
        tried(health, Trouble.FAULT, NOW_S + 30)
    assert health.standing(NOW_S + 30).returns_in_s == 20
    later = ejected()
    for _ in range(3):
        tried(later, None, NOW_S + 10)
    for _ in range(3):
        tried(later, Trouble.FAULT, NOW_S + 100)
    assert later.standing(NOW_S + 100).returns_in_s == 10


def test_a_half_open_node_takes_one_call_at_a_time():
    health = ejected()
    lane = health.lane("m")
    block = health.block
    assert block is not None
    assert not block.ready(NOW_S + 9)
    trial = health.begin(lane, NOW_S + 10, stream=True)
    assert not block.ready(NOW_S + 10)
    trial.over(NOW_S + 11)
    assert block.ready(NOW_S + 11), "a trial that told nothing makes room for the next"


def test_late_faults_of_earlier_calls_do_not_prolong_an_ejection():
    health = Health()
    late = [health.begin(health.lane("m"), NOW_S, stream=True) for _ in range(10)]
    for attempt in late:
        attempt.failed(Trouble.FAULT, "why", NOW_S + 1, MIDDLE)
        attempt.over(NOW_S + 1)
    assert health.standing(NOW_S + 1).returns_in_s == 10


def test_what_hung_does_not_eject_a_node_that_answers_younger_calls():
    health = Health()
    hanging = [health.begin(health.lane("m"), NOW_S, stream=True) for _ in range(5)]
    for second in range(20):
        tried(health, None, NOW_S + 10 + second)
    for attempt in hanging:
        attempt.failed(Trouble.FAULT, "why", NOW_S + 60, MIDDLE)
        attempt.over(NOW_S + 60)
    assert health.faults == 0
    assert state(health, NOW_S + 60) == "degraded"


def test_what_hung_before_a_return_says_nothing_of_the_node_that_returned():
    health = Health()
    hanging = [health.begin(health.lane("m"), NOW_S, stream=True) for _ in range(50)]
    for _ in range(3):
        tried(health, Trouble.FAULT, NOW_S + 1)
    for second in (15, 16, 17):
        tried(health, None, NOW_S + second)
    mean_s = health.lane("m").streams.mean_s
    for attempt in hanging:
        attempt.failed(Trouble.FAULT, "why", NOW_S + 60, MIDDLE)
        attempt.over(NOW_S + 60)
    assert health.errors == 0
    assert health.lane("m").streams.mean_s == mean_s
    assert state(health, NOW_S + 60) == "active"


def test_a_late_answer_of_an_earlier_call_does_not_lift_a_limit():
    health = Health()
    early = health.begin(health.lane("m"), NOW_S, stream=True)
    tried(health, Trouble.LIMITED, NOW_S + 1, told_s=7)
    early.succeeded(NOW_S + 2)
    early.over(NOW_S + 2)
    assert health.conditions(NOW_S + 2)["m"].returns_in_s == 6


@pytest.mark.parametrize(("told_s", "waits_s"), [(7, 7), (600, 600), (5000, 600), (0, 0), (None, 5)])
def test_retry_after_is_honoured_up_to_600_s(told_s, waits_s):
    health = Health()
    tried(health, Trouble.LIMITED, NOW_S, told_s)
    block = health.lane("m").block
    assert block is not None
    assert block.until_s == NOW_S + waits_s


def test_without_retry_after_the_time_doubles_and_of_two_deadlines_the_later_stands():
    health = Health()
    lane = health.lane("m")
    tried(health, Trouble.LIMITED, NOW_S)
    tried(health, Trouble.LIMITED, NOW_S + 5)
    assert lane.block is not None
    assert lane.block.until_s == NOW_S + 15
    tried(health, Trouble.LIMITED, NOW_S + 6, told_s=2)
    assert lane.block.until_s == NOW_S + 15
    tried(health, Trouble.LIMITED, NOW_S + 6, told_s=60)
    assert lane.block.until_s == NOW_S + 66


def test_a_limit_is_one_models_and_a_wrong_key_the_whole_nodes():
    health = Health(heard=True)
    tried(health, Trouble.LIMITED, NOW_S)
    tried(health, Trouble.MISSING, NOW_S)
    assert health.lane("other").block is None
    assert health.block is None
    tried(health, Trouble.CREDENTIALS, NOW_S)
    assert state(health, NOW_S) == "bad-credentials"


def test_503_with_retry_after_counts_and_is_not_asked_before():
    health = Health()
    tried(health, Trouble.FAULT, NOW_S, told_s=30)
    assert health.faults == 1
    assert health.conditions(NOW_S)["m"].returns_in_s == 30


def test_probes_and_balances_bring_a_node_back_sooner():
    health = Health()
    tried(health, Trouble.CREDENTIALS, NOW_S)
    health.refused(NOW_S + 20, MIDDLE)
    assert state(health, NOW_S + 20) == "bad-credentials", "no live call has to find out"
    health.alive()
    assert state(health, NOW_S + 21) == "half-open"
    tried(health, None, NOW_S + 21)
    assert state(health, NOW_S + 21) == "active"
    tried(health, Trouble.EXHAUSTED, NOW_S + 22)
    health.told_credits(0, NOW_S + 23)
    assert state(health, NOW_S + 23) == "exhausted"
    health.told_credits(10**9, NOW_S + 24)
    assert state(health, NOW_S + 24) == "half-open"
    tried(health, Trouble.EXHAUSTED, NOW_S + 25)
    health.told_credits(10**9, NOW_S + 26)
    assert state(health, NOW_S + 26) == "exhausted", "its word is not good"


def test_a_node_says_that_its_credits_run_short_and_are_gone():
    health = Health(heard=True)
    health.told_credits(10_000, NOW_S)
    assert state(health, NOW_S) == "active"
    attempt = health.begin(health.lane("m"), NOW_S, stream=True, worst_case_nanocredits=9_000)
    attempt.spent_nanocredits = 9_000
    attempt.over(NOW_S + 1)
    health.told_credits(1_000, NOW_S + 10)
    assert state(health, NOW_S + 10) == "degraded"
    health.told_credits(0, NOW_S + 11)
    assert state(health, NOW_S + 11) == "exhausted"


def test_whoever_gave_up_waiting_has_learnt_how_slow_the_node_is():
    health = Health()
    tried(health, None, NOW_S)
    lane = health.lane("m")
    lane.streams.mean_s = 0.5
    attempt = health.begin(lane, NOW_S, stream=True)
    assert lane.streams.oldest_s(NOW_S + 12) == 12
    attempt.over(NOW_S + 12)
    assert lane.streams.mean_s > 8


class Lives(RuleBasedStateMachine):
    """Three nodes to which anything may happen, in any order; whatever it is, they all come back."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = NOW_S
        self.nodes = [Node(name) for name in "abc"]
        self.route = Route(
            model="m",
            offers=tuple(
                Offer(node=node, upstream_model="m", price=FREE, markup=PAR, lane=node.health.lane("m"))
                for node in self.nodes
            ),
        )
        self.balancer = Balancer(Random(1).random)
        self.running: list = []

    @rule(wait_s=st.floats(0.0, 400.0))
    def wait(self, wait_s):
        self.now_s += wait_s

    @rule()
    def begin(self):
        try:
            offer = self.balancer.choose(self.route, (), self.now_s)
        except MiraError:
            return
        for block in (offer.lane.block, offer.node.health.block):
            if block is not None and block.state != "ejected":
                assert block.until_s <= self.now_s, "asked before its time"
                assert block.trial is None, "two trials at a time"
        self.running.append(self.balancer.begin(offer, self.now_s))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), trouble=st.sampled_from(Trouble), told_s=st.none() | st.floats(0, 10_000))
    def fail(self, data, trouble, told_s):
        attempt = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        attempt.failed(trouble, "why", self.now_s, data.draw(st.floats(0, 1)), told_s)
        attempt.over(self.now_s)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), ends=st.booleans())
    def answer(self, data, ends):
        attempt = self.running[data.draw(st.integers(0, len(self.running) - 1))]
        if ends:
            self.running.remove(attempt)
            attempt.succeeded(self.now_s)
            attempt.over(self.now_s)
        else:
            attempt.content(self.now_s)

    @rule(which=st.integers(0, 2), credits_nanocredits=st.none() | st.integers(0, 10))
    def tell(self, which, credits_nanocredits):
        self.nodes[which].health.told_credits(credits_nanocredits, self.now_s)

    @rule(which=st.integers(0, 2), well=st.booleans())
    def probe(self, which, well):
        health = self.nodes[which].health
        health.alive() if well else health.refused(self.now_s, MIDDLE)

    @rule(which=st.integers(0, 2), lasts_s=st.floats(0, 60), of_model=st.booleans())
    def warn(self, which, lasts_s, of_model):
        health = self.nodes[which].health
        hint = Hint("a", "", "ejected", "why", self.now_s, self.now_s + lasts_s)
        (health.lane("m") if of_model else health).hint = hint

    @invariant()
    def in_flight_is_what_runs(self):
        assert sum(node.health.in_flight for node in self.nodes) == len(self.running)

    @invariant()
    def every_block_has_an_end_within_ten_minutes(self):
        for node in self.nodes:
            for block in (node.health.block, node.health.lane("m").block):
                assert block is None or block.until_s - self.now_s <= 600.001

    def teardown(self):
        """Well again, and left to live traffic alone, every node is active within 20 minutes."""
        for attempt in self.running:
            attempt.over(self.now_s)
        for node in self.nodes:
            node.health.told_credits(None, self.now_s)
        for _ in range(2400):
            self.now_s += 0.5
            try:
                offer = self.balancer.choose(self.route, (), self.now_s)
            except MiraError:
                continue
            attempt = self.balancer.begin(offer, self.now_s)
            attempt.succeeded(self.now_s + 0.1)
            attempt.over(self.now_s + 0.1)
        for node in self.nodes:
            assert node.health.block is None
            assert node.health.lane("m").block is None
            standing = node.health.standing(self.now_s)
            assert standing.state in ("active", "probing"), standing


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, phases=[Phase.generate])


def test_every_state_has_its_time():
    assert set(FIRST_S) == {"ejected", "exhausted", "bad-credentials", "limited", "model-missing"}
    assert Lane().block is None
