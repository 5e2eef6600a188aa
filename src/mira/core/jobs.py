"""The life of a job: long work at a node that outlives requests and processes. Pure: time and chance are passed in.

    queued -> submitting -> running -> storing -> completed
    every state before the end -> failed | cancelled | expired

`step` is the only way from one state to the next, and an ended job never changes again. A job is in `submitting` from
before its request is sent until its node's answer is kept, so whoever finds it there after a crash knows that the node
may have the work. Times are Unix milliseconds, amounts nano-credits.
"""

from enum import Enum
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace


class State(Enum):
    """Where a job stands."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    RUNNING = "running"
    STORING = "storing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


ENDED = frozenset((State.COMPLETED, State.FAILED, State.CANCELLED, State.EXPIRED))
ACTIVE = frozenset(State) - ENDED
#: How often one job is sent to nodes at most, however that ends.
MOST_SUBMISSIONS = 3
#: How often in a row a node may say that it does not know a job, or fail to hand out its result.
MOST_MISSING = 3
MOST_UNREAD = 6
#: Each wait is longer than the one before by this factor, and differs by up to this share.
GROWTH, JITTER = 1.5, 0.2
SECOND_MS = 1000
#: When a client's server is told again that a job has ended: seconds after each attempt; then nobody is told any more.
WEBHOOK_WAITS_S = (2, 15, 60, 300, 1800, 7200, 18000, 36000)


class Rules(Struct, frozen=True, kw_only=True):
    """How often nodes are asked, and how long what they made is kept, in milliseconds."""

    first_wait_ms: int = 2 * SECOND_MS
    longest_wait_ms: int = 15 * SECOND_MS
    keep_ms: int = 24 * 3600 * SECOND_MS


class Job(Struct, frozen=True, kw_only=True):
    """One job as its row tells it.

    `hold_id` is the request that made it: its hold, its settlement, its record. `rate_picocredits` is the price of a
    second at the node that has it, without `markup`; a model that is free has 0. `upstream_id` names it at its node and
    `content` its result there. `size_bytes` is set once the result is kept in the file store. `next_at_ms` is when it
    wants to be looked at again, None for never. `misses` counts failures in a row.
    """

    id: str
    workspace_id: str
    key_id: str
    hold_id: str
    client_request_id: str | None = None
    face: str
    model: str
    state: State = State.QUEUED
    node: str | None = None
    upstream_model: str | None = None
    upstream_id: str | None = None
    content: str | None = None
    progress: int = 0
    seconds: int
    size: str | None = None
    rate_picocredits: int = 0
    markup: str = "1"
    held_nanocredits: int = 0
    reported_nanocredits: int | None = None
    billed_nanocredits: int = 0
    tried: str = ""
    submissions: int = 0
    misses: int = 0
    created_at_ms: int
    updated_at_ms: int
    next_at_ms: int | None
    deadline_at_ms: int
    ended_at_ms: int | None = None
    expires_at_ms: int | None = None
    mime_type: str | None = None
    size_bytes: int | None = None
    error: str | None = None
    error_message: str | None = None
    webhook_url: str | None = None
    webhook_state: str | None = None
    webhook_attempts: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED


class Chosen(Struct, frozen=True):
    """The node that the request goes to next, and its price; noted before anything is sent."""

    node: str
    upstream_model: str
    rate_picocredits: int
    markup: str


class Again(Struct, frozen=True):
    """The request goes once more to the same node, which knows it by its key and does the work once."""


class Accepted(Struct, frozen=True):
    """The node has the work, under this id."""

    upstream_id: str


class Refused(Struct, frozen=True):
    """The node surely does not have the work; another may be asked where it is not the request's own fault."""

    elsewhere: bool
    code: str
    message: str
    wait_ms: int = 0


class Progressed(Struct, frozen=True):
    """The node is at work; `progress` in percent where it tells."""

    progress: int | None = None


class Missed(Struct, frozen=True):
    """The node could not be asked, or gave no sense; `gone` where it said that it does not know the job."""

    gone: bool = False


class Ready(Struct, frozen=True):
    """The result is there: where, of how many seconds, and at what charge as far as the node told."""

    content: str
    seconds: int | None = None
    reported_nanocredits: int | None = None


class Kept(Struct, frozen=True):
    """The result can be handed out: kept in the file store with this size, or from its node (None)."""

    size_bytes: int | None
    mime_type: str


class Unread(Struct, frozen=True):
    """The node did not hand out the result."""


class Failed(Struct, frozen=True):
    """The work failed for good. The message is for the client: never a node's own words."""

    code: str
    message: str


class Cancelled(Struct, frozen=True):
    """Its client wants it no longer."""


class Overdue(Struct, frozen=True):
    """Its time is over."""


Happening: TypeAlias = (
    Chosen | Again | Accepted | Refused | Progressed | Missed | Ready | Kept | Unread | Failed | Cancelled | Overdue
)


class WrongStateError(ValueError):
    """What happened cannot happen to a job in this state: somebody else has moved it."""


def step(job: Job, happened: Happening, now_ms: int, jitter: float, rules: Rules) -> Job:
    """The job after something has happened. `jitter` is a random number from 0 to 1.

    An ended job stays as it is. WrongStateError where that cannot happen in the job's state.
    """
    if job.ended:
        return job
    match happened:
        case Failed():
            return _ended(job, State.FAILED, happened, now_ms, rules)
        case Cancelled():
            return _ended(job, State.CANCELLED, Failed("cancelled", "the job was cancelled"), now_ms, rules)
        case Overdue():
            return _ended(job, State.EXPIRED, Failed("expired", "the job was not done in time"), now_ms, rules)
    arm = {State.QUEUED: _queued, State.SUBMITTING: _submitting, State.RUNNING: _running, State.STORING: _storing}
    return arm[job.state](job, happened, now_ms, jitter, rules)


def _queued(job: Job, happened: Happening, now_ms: int, jitter: float, rules: Rules) -> Job:
    match happened:
        case Chosen(node, upstream_model, rate, markup):
            more = {"node": node, "upstream_model": upstream_model, "rate_picocredits": rate, "markup": markup}
            return _moved(job, State.SUBMITTING, now_ms, 0, submissions=job.submissions + 1, **more)
        case Refused():
            return _refused(job, happened, now_ms, jitter, rules)
    raise _wrong(job, happened)


def _submitting(job: Job, happened: Happening, now_ms: int, jitter: float, rules: Rules) -> Job:
    match happened:
        case Again():
            return _moved(job, State.SUBMITTING, now_ms, 0, submissions=job.submissions + 1)
        case Accepted(upstream_id):
            wait_ms = _wait_ms(0, jitter, rules)
            return _moved(job, State.RUNNING, now_ms, wait_ms, upstream_id=upstream_id, misses=0)
        case Refused():
            return _refused(job, happened, now_ms, jitter, rules)
        case Missed():
            misses = job.misses + 1
            return _moved(job, State.SUBMITTING, now_ms, _wait_ms(misses, jitter, rules), misses=misses)
    raise _wrong(job, happened)


def _running(job: Job, happened: Happening, now_ms: int, jitter: float, rules: Rules) -> Job:
    match happened:
        case Progressed(progress):
            known = job.progress if progress is None else max(job.progress, min(progress, 99))
            looks = (now_ms - job.created_at_ms) // max(rules.first_wait_ms * 4, 1)
            return _moved(job, State.RUNNING, now_ms, _wait_ms(looks, jitter, rules), progress=known, misses=0)
        case Missed(gone):
            misses = job.misses + 1
            if gone and misses >= MOST_MISSING:
                return _ended(job, State.FAILED, Failed("upstream_error", "the upstream lost the job"), now_ms, rules)
            return _moved(job, State.RUNNING, now_ms, _wait_ms(misses, jitter, rules), misses=misses)
        case Ready(content, seconds, reported):
            more = {"content": content, "reported_nanocredits": reported, "seconds": seconds or job.seconds}
            return _moved(job, State.STORING, now_ms, 0, progress=99, misses=0, **more)
    raise _wrong(job, happened)


def _storing(job: Job, happened: Happening, now_ms: int, jitter: float, rules: Rules) -> Job:
    match happened:
        case Kept(size_bytes, mime_type):
            done = _ended(job, State.COMPLETED, None, now_ms, rules)
            return replace(done, progress=100, size_bytes=size_bytes, mime_type=mime_type)
        case Unread():
            misses = job.misses + 1
            if misses >= MOST_UNREAD:
                failed = Failed("upstream_error", "the upstream did not hand out the video")
                return _ended(job, State.FAILED, failed, now_ms, rules)
            return _moved(job, State.STORING, now_ms, _wait_ms(misses, jitter, rules), misses=misses)
    raise _wrong(job, happened)


def told(job: Job, *, delivered: bool, now_ms: int, jitter: float) -> Job:
    """An ended job after its client's server was told, or could not be."""
    attempts = job.webhook_attempts + 1
    if delivered or attempts > len(WEBHOOK_WAITS_S):
        state = "delivered" if delivered else "failed"
        return replace(job, webhook_state=state, webhook_attempts=attempts, next_at_ms=None)
    wait_ms = round(WEBHOOK_WAITS_S[attempts - 1] * SECOND_MS * (1 - JITTER + 2 * JITTER * jitter))
    return replace(job, webhook_attempts=attempts, next_at_ms=now_ms + wait_ms)


def _refused(job: Job, refused: Refused, now_ms: int, jitter: float, rules: Rules) -> Job:
    tried = " ".join(filter(None, (job.tried, job.node if job.state is State.SUBMITTING else None)))
    if not refused.elsewhere or job.submissions >= MOST_SUBMISSIONS:
        failed = Failed(refused.code, refused.message)
        return replace(_ended(job, State.FAILED, failed, now_ms, rules), tried=tried)
    wait_ms = refused.wait_ms and max(refused.wait_ms, _wait_ms(job.misses, jitter, rules))
    more = {"tried": tried, "node": None, "upstream_model": None, "misses": job.misses + 1}
    # What the last node said, for the case that nobody else is left.
    more |= {"error": refused.code, "error_message": refused.message}
    return _moved(job, State.QUEUED, now_ms, wait_ms, **more)


def _moved(job: Job, state: State, now_ms: int, wait_ms: int, **changes: object) -> Job:
    # Nobody looks at a job later than at its deadline.
    next_at_ms = min(now_ms + wait_ms, max(job.deadline_at_ms, now_ms))
    return replace(job, state=state, updated_at_ms=now_ms, next_at_ms=next_at_ms, **changes)


def _ended(job: Job, state: State, failed: Failed | None, now_ms: int, rules: Rules) -> Job:
    wants_word = job.webhook_url is not None
    return replace(
        job,
        state=state,
        updated_at_ms=now_ms,
        ended_at_ms=now_ms,
        expires_at_ms=now_ms + rules.keep_ms,
        next_at_ms=now_ms if wants_word else None,
        webhook_state="due" if wants_word else None,
        error=None if failed is None else failed.code,
        error_message=None if failed is None else failed.message,
        misses=0,
    )


def _wait_ms(turns: int, jitter: float, rules: Rules) -> int:
    wait_ms = min(rules.first_wait_ms * GROWTH ** min(turns, 30), rules.longest_wait_ms)
    return round(wait_ms * (1 - JITTER + 2 * JITTER * jitter))


def _wrong(job: Job, happened: Happening) -> WrongStateError:
    return WrongStateError(f"{type(happened).__name__} cannot happen to a job that is {job.state.value}")
