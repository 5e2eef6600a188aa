"""The rules of limits: budgets with periods, rates as leaky buckets, calls at a time."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.core.limits import (
    UNITS,
    Cap,
    give_back,
    granted_tokens,
    period_end_ms,
    period_start_ms,
    refresh,
    refusal,
    take,
)

START_MS = 1_760_000_000_000
rates = st.one_of(st.integers(1, 5), st.integers(1, 1000), st.integers(1, 10**9))


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@given(rpm=rates, gaps_ms=st.lists(st.integers(0, 90_000), min_size=1, max_size=60), tries=st.integers(1, 8))
def test_any_window_admits_at_most_the_rate_and_its_share_of_a_minute(rpm, gaps_ms, tries):
    cap, now_ms, admitted = Cap("key:k", rpm=rpm), START_MS, []
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        refresh(cap, now_ms)
        for _ in range(tries):
            if refusal(cap, 0) is None:
                take(cap, 0, 0)
                admitted.append(now_ms)
    for first, start_ms in enumerate(admitted):
        for last in range(first, len(admitted)):
            window_ms = admitted[last] - start_ms
            assert (last - first + 1) * 60_000 <= rpm * 60_000 + rpm * window_ms


@given(rpm=st.integers(1, 400), step_ms=st.integers(50, 700))
def test_while_demand_lasts_never_fewer_are_admitted(rpm, step_ms):
    """Asking at every step for five minutes admits the burst and then the whole rate."""
    cap, now_ms, count = Cap("key:k", rpm=rpm), START_MS, 0
    end_ms = START_MS + 300_000
    while now_ms <= end_ms:
        refresh(cap, now_ms)
        while refusal(cap, 0) is None:
            take(cap, 0, 0)
            count += 1
        last_ms, now_ms = now_ms, now_ms + step_ms
    assert count == rpm + rpm * (last_ms - START_MS) // 60_000


@given(rpm=rates, taken=st.integers(0, 50), waited_ms=st.integers(0, 70_000))
def test_a_refused_request_is_admitted_exactly_when_it_was_told(rpm, taken, waited_ms):
    cap = Cap("key:k", rpm=rpm, levels_at_ms=START_MS)
    for _ in range(min(taken, rpm)):
        take(cap, 0, 0)
    refresh(cap, START_MS + waited_ms)
    told = refusal(cap, 0)
    if told is None:
        return
    assert (told.limit, told.allowed) == ("rpm", rpm)
    early, late = (Cap(**{name: getattr(cap, name) for name in Cap.__struct_fields__}) for _ in range(2))
    refresh(early, cap.levels_at_ms + told.retry_ms - 1)
    refresh(late, cap.levels_at_ms + told.retry_ms)
    assert refusal(early, 0) is not None
    assert refusal(late, 0) is None


@given(
    tpm=st.integers(1, 10_000),
    calls=st.lists(
        st.tuples(st.integers(0, 5000), st.integers(0, 12_000), st.integers(0, 100), st.integers(0, 4)), max_size=60
    ),
)
def test_the_tokens_that_are_settled_keep_the_rate_in_any_window(tpm, calls):
    """Calls overlap, live for a while, and use no more than they reserved."""
    cap, now_ms = Cap("key:k", tpm=tpm), START_MS
    live: list[tuple[int, int]] = []
    used: list[tuple[int, int]] = []
    for gap_ms, wished, share, ended in calls:
        now_ms += gap_ms
        refresh(cap, now_ms)
        for _ in range(min(ended, len(live))):
            reserved, actual = live.pop(0)
            give_back(cap, 0, 0, reserved, actual)
            used.append((now_ms, actual))
        if refusal(cap, wished) is None:
            reserved = granted_tokens(cap, wished)
            take(cap, 0, reserved)
            live.append((reserved, reserved * share // 100))
        assert cap.tokens_level + cap.tokens_held * UNITS <= tpm * UNITS
    for first, (start_ms, _) in enumerate(used):
        total = 0
        for moment_ms, tokens in used[first:]:
            total += tokens
            assert total * 60_000 <= tpm * 60_000 + tpm * (moment_ms - start_ms)


def test_a_call_larger_than_the_token_rate_is_clamped_to_it():
    cap = Cap("key:k", tpm=100, levels_at_ms=START_MS)
    assert granted_tokens(cap, 1000) == 100
    assert refusal(cap, 1000) is None
    take(cap, 0, 100)
    assert refusal(cap, 1).limit == "tpm"


def test_unused_tokens_are_free_at_once_and_used_ones_drain():
    cap = Cap("key:k", tpm=600, levels_at_ms=START_MS)
    take(cap, 0, 600)
    give_back(cap, 0, 0, 600, 100)
    assert refusal(cap, 500) is None
    told = refusal(cap, 600)
    assert (told.limit, told.retry_ms) == ("tpm", 10_000)
    refresh(cap, START_MS + 10_000)
    assert refusal(cap, 600) is None


def test_an_absurd_use_stops_a_key_for_two_minutes_at_most():
    cap = Cap("key:k", tpm=60, levels_at_ms=START_MS)
    take(cap, 0, 1)
    give_back(cap, 0, 0, 1, 2**60)
    refresh(cap, START_MS + 120_000)
    assert refusal(cap, 60) is None


def test_calls_at_a_time_are_counted_until_they_end():
    cap = Cap("key:k", concurrency=2)
    for _ in range(2):
        assert refusal(cap, 0) is None
        take(cap, 0, 0)
    assert refusal(cap, 0).limit == "concurrency"
    give_back(cap, 0, 0, 0, 0)
    assert refusal(cap, 0) is None


def test_a_budget_is_what_is_neither_spent_nor_held():
    cap = Cap("key:k", budget_nanocredits=100, budget_period="total")
    take(cap, 60, 0)
    assert cap.left_nanocredits == 40
    give_back(cap, 60, 25, 0, 0)
    assert (cap.left_nanocredits, cap.spent_nanocredits, cap.held_nanocredits) == (75, 25, 0)
    assert Cap("key:free").left_nanocredits is None


@pytest.mark.parametrize(
    ("period", "now", "starts", "ends"),
    [
        ("day", "2026-11-22T01:02:03", "2026-11-22T00:00:00", "2026-11-23T00:00:00"),
        ("day", "2026-12-31T23:59:59", "2026-12-31T00:00:00", "2027-01-01T00:00:00"),
        ("week", "2026-11-22T23:59:59", "2026-11-16T00:00:00", "2026-11-23T00:00:00"),
        ("week", "2026-11-23T00:00:00", "2026-11-23T00:00:00", "2026-11-30T00:00:00"),
        ("month", "2028-02-29T12:00:00", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
        ("month", "2026-12-01T00:00:00", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_periods_begin_and_end_in_utc_and_weeks_on_monday(period, now, starts, ends):
    assert period_start_ms(period, at(now)) == at(starts)
    assert period_end_ms(period, at(now)) == at(ends)


@given(period=st.sampled_from(["day", "week", "month"]), now_ms=st.integers(0, 4_000_000_000_000))
def test_a_moment_lies_in_its_period_and_the_end_begins_the_next(period, now_ms):
    end_ms = period_end_ms(period, now_ms)
    assert period_start_ms(period, now_ms) <= now_ms < end_ms
    assert period_start_ms(period, end_ms) == end_ms


def test_a_new_period_forgets_what_was_spent_and_keeps_what_is_held():
    end_ms = period_end_ms("day", START_MS)
    cap = Cap("key:k", budget_nanocredits=100, budget_period="day", spent_nanocredits=70, period_ends_ms=end_ms)
    take(cap, 20, 0)
    refresh(cap, end_ms - 1)
    assert cap.left_nanocredits == 10
    refresh(cap, end_ms)
    assert (cap.left_nanocredits, cap.held_nanocredits, cap.period_ends_ms) == (80, 20, end_ms + 86_400_000)


def test_a_clock_that_stands_back_gives_nothing():
    cap = Cap("key:k", rpm=1, levels_at_ms=START_MS)
    take(cap, 0, 0)
    refresh(cap, START_MS - 3_600_000)
    assert refusal(cap, 0).limit == "rpm"
    assert cap.levels_at_ms == START_MS
