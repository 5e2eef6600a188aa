"""The window of outcomes counts as a list of all that happened would."""

from hypothesis import given
from hypothesis import strategies as st

from mira.core.outcomes import OUTCOMES_TO_EJECT, PAST_SLOTS, SLOT_S, Outcomes

waits = st.sampled_from([0.0, 0.4, 4.9, 5.0, 5.1, 14.0, 26.0, 31.0, 1000.0]) | st.floats(0, 60)


@given(st.floats(0, 10**6), st.lists(st.tuples(waits, st.booleans()), max_size=60))
def test_what_counts_is_what_came_in_this_slot_and_the_five_before_it(now_s, calls):
    outcomes, seen = Outcomes(), []
    for wait_s, bad in calls:
        now_s += wait_s
        if now_s >= outcomes.until_s:
            outcomes.turn(now_s)
        if bad:
            outcomes.bad += 1
        else:
            outcomes.good += 1
        seen.append((now_s // SLOT_S, bad))
        recent = [each for slot, each in seen if slot >= now_s // SLOT_S - PAST_SLOTS]
        assert outcomes.bad + sum(bad for _, bad in outcomes.past) == sum(recent)
        assert outcomes.good + sum(good for good, _ in outcomes.past) == len(recent) - sum(recent)
        assert outcomes.mostly_bad() == (len(recent) >= OUTCOMES_TO_EJECT and sum(recent) * 2 > len(recent))
