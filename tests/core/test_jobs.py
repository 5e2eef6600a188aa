"""The life of a job: whatever happens in whatever order, it ends once, its progress never falls, and it never hangs."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mira.core.jobs import (
    ENDED,
    MOST_MISSING,
    MOST_SUBMISSIONS,
    MOST_UNREAD,
    WEBHOOK_WAITS_S,
    Accepted,
    Again,
    Cancelled,
    Chosen,
    Failed,
    Happening,
    Job,
    Kept,
    Missed,
    Overdue,
    Progressed,
    Ready,
    Refused,
    Rules,
    State,
    Unread,
    WrongStateError,
    step,
    told,
)

RULES = Rules()
DEADLINE_MS = 3_600_000
HAPPENINGS: st.SearchStrategy[Happening] = st.one_of(
    st.builds(Chosen, st.just("a"), st.just("m"), st.integers(0, 10**12), st.just("1.1")),
    st.just(Again()),
    st.builds(Accepted, st.just("upstream-1")),
    st.builds(Refused, st.booleans(), st.just("code"), st.just("message"), st.integers(0, 60_000)),
    st.builds(Progressed, st.none() | st.integers(0, 100)),
    st.builds(Missed, st.booleans()),
    st.builds(Ready, st.just("/content"), st.none() | st.integers(1, 60), st.none() | st.integers(0, 10**12)),
    st.builds(Kept, st.none() | st.integers(1, 10**9), st.just("video/mp4")),
    st.just(Unread()),
    st.builds(Failed, st.just("code"), st.just("message")),
    st.just(Cancelled()),
    st.just(Overdue()),
)


def new_job(**changes: object) -> Job:
    job = Job(
        id="video_1",
        workspace_id="w",
        key_id="k",
        hold_id="req_1",
        face="proxy",
        model="a/b",
        seconds=8,
        created_at_ms=0,
        updated_at_ms=0,
        next_at_ms=0,
        deadline_at_ms=DEADLINE_MS,
    )
    return replace(job, **changes)


def after(*happenings: Happening, job: Job | None = None) -> Job:
    job = job or new_job()
    for happened in happenings:
        job = step(job, happened, job.updated_at_ms + 1000, 0.5, RULES)
    return job


SENT = (Chosen("a", "m", 5, "1"), Accepted("u"))


@given(st.lists(st.tuples(HAPPENINGS, st.integers(0, 100_000), st.floats(0, 1)), max_size=60), st.booleans())
def test_whatever_happens_a_job_goes_forward_and_ends_once(
    happenings: list[tuple[Happening, int, float]], hooked: bool
) -> None:
    job = new_job(webhook_url="https://a/" if hooked else None)
    now_ms = 0
    for happened, passed_ms, jitter in happenings:
        now_ms += passed_ms
        try:
            then = step(job, happened, now_ms, jitter, RULES)
        except WrongStateError:
            continue
        if job.ended:
            assert then is job
            continue
        assert then.progress >= job.progress
        assert 0 <= then.progress <= 100
        assert then.submissions <= MOST_SUBMISSIONS + (job.state is State.SUBMITTING and isinstance(happened, Again))
        assert (then.hold_id, then.workspace_id, then.created_at_ms) == ("req_1", "w", 0)
        if then.ended:
            assert then.ended_at_ms == now_ms
            assert then.expires_at_ms == now_ms + RULES.keep_ms
            assert (then.error is None) == (then.state is State.COMPLETED)
            assert then.next_at_ms == (now_ms if hooked else None)
            assert then.webhook_state == ("due" if hooked else None)
        else:
            assert then.next_at_ms is not None
            assert now_ms <= then.next_at_ms <= max(then.deadline_at_ms, now_ms)
            assert (then.upstream_id is not None) == (then.state in (State.RUNNING, State.STORING))
            assert then.state is not State.SUBMITTING or then.node is not None
        job = then


@pytest.mark.parametrize("state", [state for state in State if state not in ENDED])
@pytest.mark.parametrize("happened", [Failed("c", "m"), Cancelled(), Overdue()])
def test_every_job_under_way_can_be_ended(state: State, happened: Happening) -> None:
    assert after(happened, job=new_job(state=state)).ended


def test_a_job_that_goes_well_is_sent_once_and_completed() -> None:
    job = after(*SENT, Progressed(40), Progressed(30), Ready("/c", 12, 7), Kept(5, "video/webm"))
    assert (job.state, job.submissions, job.progress, job.seconds) == (State.COMPLETED, 1, 100, 12)
    assert (job.size_bytes, job.mime_type, job.reported_nanocredits) == (5, "video/webm", 7)


def test_a_job_is_never_accepted_or_ready_out_of_turn() -> None:
    for happened in (Accepted("u"), Ready("/c"), Kept(1, "video/mp4"), Again(), Progressed(1), Unread()):
        with pytest.raises(WrongStateError):
            after(happened)


def test_a_refused_job_goes_to_other_nodes_and_not_for_ever() -> None:
    refused = Refused(elsewhere=True, code="c", message="m")
    job = after(Chosen("a", "m", 1, "1"), refused, Chosen("b", "m", 1, "1"), refused)
    assert (job.state, job.tried, job.node) == (State.QUEUED, "a b", None)
    last = after(Chosen("c", "m", 1, "1"), refused, job=job)
    assert (last.state, last.error, last.error_message) == (State.FAILED, "c", "m")
    assert after(Chosen("a", "m", 1, "1"), Refused(False, "c", "m")).state is State.FAILED


@pytest.mark.parametrize(
    ("happened", "most"),
    [
        (lambda: Missed(gone=True), MOST_MISSING),
        (Unread, MOST_UNREAD),
    ],
)
def test_a_node_that_lost_a_job_is_not_asked_for_ever(happened: Callable[[], Happening], most: int) -> None:
    start = (*SENT, Ready("/c")) if isinstance(happened(), Unread) else SENT
    job = after(*start, *(happened() for _ in range(most - 1)))
    assert not job.ended
    assert after(happened(), job=job).state is State.FAILED


def test_a_node_that_cannot_be_reached_is_asked_until_the_deadline_ever_less_often() -> None:
    job, waits = after(*SENT), []
    for _ in range(30):
        job = after(Missed(), job=job)
        assert job.next_at_ms is not None
        waits.append(job.next_at_ms - job.updated_at_ms)
    assert job.state is State.RUNNING
    assert waits == sorted(waits)
    assert waits[-1] == RULES.longest_wait_ms


def test_who_does_not_hear_of_the_end_is_told_again_for_a_bounded_time() -> None:
    job = after(*SENT, Cancelled(), job=new_job(webhook_url="https://a/"))
    waits = []
    for attempt in range(1, len(WEBHOOK_WAITS_S) + 2):
        job = told(job, delivered=False, now_ms=0, jitter=0.5)
        assert job.webhook_attempts == attempt
        waits.append(job.next_at_ms)
    assert waits == [*(wait * 1000 for wait in WEBHOOK_WAITS_S), None]
    assert job.webhook_state == "failed"
    heard = told(after(Cancelled(), job=new_job(webhook_url="https://a/")), delivered=True, now_ms=0, jitter=0.5)
    assert (heard.webhook_state, heard.next_at_ms) == ("delivered", None)
