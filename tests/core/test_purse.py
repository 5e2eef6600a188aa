"""What a node's credits still cover, and how its statement is compared with ours."""

from hypothesis import given
from hypothesis import strategies as st

from mira.core.purse import FULL_RUNWAY_S, Purse
from mira.core.reconciliation import Entry, reconcile

amounts = st.integers(0, 10**12)


def test_an_unknown_purse_is_believed_and_counts_as_full():
    purse = Purse()
    assert purse.covers(10**15)
    assert purse.headroom == 1.0
    assert purse.runway_s is None


def test_calls_under_way_count_with_their_worst_case_and_ended_ones_with_their_cost():
    purse = Purse()
    purse.tell(1_000, 0.0)
    purse.reserve(600)
    assert not purse.covers(401)
    assert purse.covers(400)
    purse.release(600, 250)
    assert purse.available_nanocredits == 750


def test_a_node_that_refused_to_pay_gets_nothing_until_it_tells_of_credits_again():
    purse = Purse()
    purse.exhausted(1.0)
    assert not purse.covers(1)
    assert purse.covers(0)
    purse.tell(50, 2.0)
    assert purse.covers(50)


def test_a_node_that_no_longer_tells_is_believed_again():
    purse = Purse()
    purse.tell(10, 0.0)
    purse.tell(None, 30.0)
    assert purse.covers(10**15)


def test_the_headroom_falls_before_the_purse_is_empty():
    purse = Purse()
    purse.tell(1_000_000, 0.0)
    seen = []
    for minute in range(1, 10):
        purse.reserve(100_000)
        purse.release(100_000, 100_000)
        purse.tell(1_000_000 - minute * 100_000, minute * 60.0)
        seen.append(purse.headroom)
    assert seen == sorted(seen, reverse=True)
    assert seen[0] == 1.0
    assert purse.runway_s is not None
    assert purse.runway_s < FULL_RUNWAY_S / 5
    assert seen[-1] < 0.2


@given(st.lists(st.tuples(amounts, amounts), max_size=30), amounts)
def test_no_call_is_let_through_that_the_told_credits_do_not_cover(calls, told):
    purse = Purse()
    purse.tell(told, 0.0)
    worst_total = 0
    for worst, part in calls:
        if purse.covers(worst):
            purse.reserve(worst)
            worst_total += worst
            if part % 2:
                cost = min(worst, part)
                purse.release(worst, cost)
                worst_total -= worst - cost
        assert worst_total <= told


def test_equal_statements_agree_whatever_their_order():
    rows = [Entry("a", 5), Entry("b", 7), Entry("a", 1)]
    told = reconcile(rows, [Entry("b", 7), Entry("a", 6), Entry("free", 0)])
    assert not told.alarm
    assert told.drift_nanocredits == 0
    assert told.requests == 3


def test_errors_in_both_directions_do_not_cancel():
    told = reconcile([Entry("a", 100), Entry("b", 200)], [Entry("a", 200), Entry("b", 100)])
    assert told.ours_nanocredits == told.theirs_nanocredits == 300
    assert told.drift_nanocredits == 200
    assert told.alarm
    assert [row.request_id for row in told.differences] == ["a", "b"]


def test_a_row_that_one_side_lacks_is_a_difference():
    told = reconcile([], [Entry("x", 3)])
    assert told.alarm
    assert told.differences[0].ours_nanocredits is None
    assert reconcile([Entry("x", 3)], []).alarm


def test_one_part_in_a_thousand_is_still_no_alarm():
    rows = [Entry(str(number), 1_000) for number in range(1_000)]
    assert not reconcile([*rows[:-1], Entry("999", 2_000)], rows).alarm
    assert reconcile([*rows[:-1], Entry("999", 2_001)], rows).alarm
