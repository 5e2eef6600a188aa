"""The sums of a batch are what adding call by call gives, however absurd the figures."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from mira.core.call import CallRecord
from mira.core.usage import Usage
from mira.store.ledger_sql import row_of
from mira.store.usage_sums import DAY_MS, HOUR_MS, MOST, usage_rows

counts = st.one_of(st.integers(0, 3), st.sampled_from([-1, MOST // 8, MOST // 8 + 1, MOST, MOST + 1, 2**70]))
usages = st.builds(Usage, **{field.name: counts for field in fields(Usage) if field.name.endswith("_tokens")})
records = st.builds(
    CallRecord,
    request_id=st.just("r"),
    workspace_id=st.sampled_from("vw"),
    key_id=st.just("k"),
    face=st.just("proxy"),
    protocol=st.just("chat"),
    model=st.sampled_from("ab"),
    node=st.sampled_from([None, "n"]),
    started_at_ms=st.integers(20_000 * DAY_MS - 2, 20_000 * DAY_MS + 2 * HOUR_MS),
    status=st.sampled_from([200, 499]),
    error=st.sampled_from([None, "lost"]),
    usage=usages,
    computed_nanocredits=counts,
    reported_nanocredits=st.one_of(st.none(), counts),
    billed_nanocredits=st.integers(0, 2**60),
)


def cut(count: int) -> int:
    return min(max(count, 0), MOST)


def told_one_by_one(calls: list[tuple[CallRecord, int, int]], span_ms: int) -> list[tuple]:
    sums: dict[tuple, list[int]] = defaultdict(lambda: [0] * 13)
    for call, overrun, attempts in calls:
        usage, reported, computed = call.usage, call.reported_nanocredits, call.computed_nanocredits
        one = (
            1,
            call.status >= 400 or call.error is not None,
            cut(usage.prompt_tokens),
            cut(usage.completion_tokens),
            cut(usage.cache_read_tokens),
            cut(usage.reasoning_tokens),
            call.billed_nanocredits,
            cut(computed),
            cut(reported or 0),
            cut(overrun),
            cut(attempts),
            reported not in (None, computed),
            cut(reported) - cut(computed) if reported is not None else 0,
        )
        begins_ms = call.started_at_ms - call.started_at_ms % span_ms
        row = sums[begins_ms, call.workspace_id, call.key_id, call.model, call.node or ""]
        row[:] = [known + more for known, more in zip(row, one, strict=True)]
    return sorted((*name, *row) for name, row in sums.items())


@given(st.lists(st.tuples(records, counts, counts), min_size=1, max_size=8))
def test_whole_columns_give_the_sums_of_single_calls(calls):
    for number, (call, _, _) in enumerate(calls):
        call.request_id = str(number)
    losses = {call.request_id: (overrun, attempts) for call, overrun, attempts in calls if overrun or attempts}
    rows = [row_of(call) for call, _, _ in calls]
    assert usage_rows(rows, losses) == (told_one_by_one(calls, HOUR_MS), told_one_by_one(calls, DAY_MS))
