"""The rules of the places: bounds hold, turns go round, nobody is lost, and nothing is idle while somebody waits."""

from collections import Counter, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from mira.core.places import EXPECTED_WAIT_S, GROW, LATE_S, LEAST_PLACES, MEASURES, Places, Tide

WORKSPACES = ("a", "b", "c")


class PlacesLife(RuleBasedStateMachine):
    """Any order of coming, leaving, giving up and changing the limit."""

    tickets = Bundle("tickets")

    def __init__(self):
        super().__init__()
        self.places = Places(3, most_waiting=4)
        self.running = 0
        self.waiting: dict[int, str] = {}
        self.lines = {name: deque() for name in WORKSPACES}
        self.now_s = 0.0
        self.count = 0

    @rule(target=tickets, workspace=st.sampled_from(WORKSPACES), later_s=st.floats(0, 0.2))
    def come(self, workspace, later_s):
        self.now_s += later_s
        self.count += 1
        if self.places.take():
            assert not self.waiting
            self.running += 1
        elif self.places.line_up(workspace, self.count, self.now_s):
            self.waiting[self.count] = workspace
            self.lines[workspace].append(self.count)
        return self.count

    @rule()
    def leave(self):
        if self.running:
            self.places.leave(self.now_s)
            self.running -= 1
            self.call()

    @rule(limit=st.integers(1, 6))
    def change(self, limit):
        self.places.limit = limit
        self.call()

    @rule(ticket=tickets)
    def give_up(self, ticket):
        waited = ticket in self.waiting
        for workspace in WORKSPACES:
            found = self.places.withdraw(workspace, ticket)
            assert found == (waited and self.waiting.get(ticket) == workspace)
            if found:
                self.lines[self.waiting.pop(ticket)].remove(ticket)

    def call(self):
        while (ticket := self.places.next()) is not None:
            workspace = self.waiting.pop(ticket)
            assert self.lines[workspace].popleft() == ticket, "a line is first come, first served"
            self.running += 1

    @invariant()
    def the_counts_are_true(self):
        assert (self.places.running, self.places.waiting) == (self.running, len(self.waiting))

    @invariant()
    def no_line_is_longer_than_it_may_be(self):
        assert all(len(line) <= 4 for line in self.lines.values())

    @invariant()
    def nothing_is_idle_while_somebody_waits(self):
        assert not self.waiting or self.places.running >= self.places.limit


TestPlacesLife = PlacesLife.TestCase
TestPlacesLife.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)


def full(limit, **more):
    """Places that are all taken, and come free fast."""
    places = Places(limit, **more)
    for _ in range(limit):
        assert places.take()
    for _ in range(100):
        places.leave(0.0)
        assert places.take()
    return places


@given(st.lists(st.integers(0, 40), min_size=2, max_size=8), st.integers(1, 5))
def test_every_workspace_that_waits_gets_its_share_whatever_the_others_ask(asked, limit):
    places = full(limit)
    got_in = {}
    for workspace, count in enumerate(asked):
        got_in[workspace] = sum(places.line_up(str(workspace), (workspace, number), 0.0) for number in range(count))
        assert got_in[workspace] >= min(count, 1), "the first of each is let in"
    turns = Counter()
    while places.waiting:
        places.leave(0.0)
        workspace, _ = places.next()
        turns[workspace] += 1
        still = [one for one in got_in if turns[one] < got_in[one]]
        assert all(turns[workspace] <= turns[one] + 1 for one in still), "nobody has two turns while another has none"
    assert turns == {workspace: count for workspace, count in got_in.items() if count}


def test_a_flood_of_one_workspace_does_not_keep_another_out():
    places = full(4)
    flood = sum(places.line_up("flood", number, 0.0) for number in range(10_000))
    assert flood <= 100
    assert places.line_up("quiet", "ticket", 0.0)
    places.leave(0.0)
    first = places.next()
    places.leave(0.0)
    assert "ticket" in (first, places.next())


def test_who_would_wait_too_long_is_sent_away_at_once():
    places = full(4)
    # A hundred places came free in the last second: a line of half of that is as long as may be waited for.
    admitted = sum(places.line_up("a", number, 0.0) for number in range(100))
    assert admitted == pytest.approx(100 * EXPECTED_WAIT_S, abs=2)


def test_where_calls_are_long_one_of_each_workspace_waits_on_the_chance():
    places = full(2)
    later_s = 60.0
    assert places.line_up("a", 1, later_s)
    assert not places.line_up("a", 2, later_s)
    assert places.line_up("b", 3, later_s)


def test_many_workspaces_do_not_wait_in_a_line_without_end():
    places = full(4)
    assert sum(places.line_up(str(number), number, 0.0) for number in range(5000)) == 1000


# The tide


def test_a_process_that_is_late_for_long_runs_fewer_calls_and_more_again_when_it_is_not():
    tide, limit = Tide(1000), 1000
    for _ in range(MEASURES):
        assert limit == 1000
        limit = tide.limit(limit, 200, 2 * LATE_S)
    assert limit == 180
    for _ in range(100):
        limit = tide.limit(limit, 150, 2 * LATE_S)
    assert limit >= LEAST_PLACES
    for _ in range(MEASURES):
        limit = tide.limit(limit, 16, 0.0)
    grown = tide.limit(limit, 16, 0.0)
    assert grown > limit
    for _ in range(200):
        grown = tide.limit(grown, 16, 0.0)
    assert grown == 1000


def test_one_long_step_changes_nothing():
    tide = Tide(1000)
    for late_s in (0.0, 0.0, 1.0, 0.0, 0.0, 0.9, 0.9, 0.0):
        assert tide.limit(500, 400, late_s) >= 500


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(0, 2000)), max_size=60), st.integers(1, 2000))
def test_the_limit_stays_within_its_bounds(measures, most):
    tide, limit = Tide(most), most
    for late_s, running in measures:
        after = tide.limit(limit, running, late_s)
        assert min(most, LEAST_PLACES) <= after <= most
        assert after <= max(limit * GROW + 1, LEAST_PLACES)
        limit = after
