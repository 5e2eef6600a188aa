"""The line that the log has of a call that is over, made of its record alone."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter

from msgspec import UNSET, Struct, UnsetType, defstruct

from mira.core.call import CallRecord
from mira.core.money import credits_text
from mira.observe.call_sums import NO_TOKENS, TOKEN_CLASSES, token_counts

LOGGER = "mira.calls"
MESSAGE = "call"
SERVER_ERROR = 500

#: Counts of tokens by the names of their classes; those that are 0 are left out.
_Tokens = defstruct("_Tokens", [(name, int, 0) for name in TOKEN_CLASSES.values()], omit_defaults=True, gc=False)


class Over(Struct, frozen=True, gc=False):
    """A call that was over at `ended_at_ms`, in Unix milliseconds. `names_model` is off where only its client does."""

    ended_at_ms: int
    record: CallRecord
    names_model: bool


class FailedAttempt(Struct, frozen=True):
    """An attempt that brought no whole answer."""

    node: str
    reason: str


class CallLine(Struct, gc=False):
    """The members in their order. What a call says nothing about is null; those that are unset are left out."""

    time: str
    level: str
    logger: str
    message: str
    request_id: str
    client_request_id: str | None
    upstream_request_id: str | None
    workspace_id: str | None
    key_id: str | None
    surface: str
    protocol: str
    model: str | None
    node: str | None
    stream: bool
    attempts: int
    status: int
    error: str | None
    first_content_ms: int | None
    duration_ms: int
    failed_attempts: list[FailedAttempt] | UnsetType = UNSET
    tokens: Struct | UnsetType = UNSET
    estimated: bool | UnsetType = UNSET
    cost: str | UnsetType = UNSET


#: The members that a record has as they are, from `request_id` to `duration_ms`.
_as_recorded = attrgetter(
    "request_id",
    "client_request_id",
    "upstream_request_id",
    "workspace_id",
    "key_id",
    "face",
    "protocol",
    "model",
    "node",
    "stream",
    "attempts",
    "status",
    "error",
    "first_content_ms",
    "duration_ms",
)


def call_lines(calls: Iterable[Over]) -> Iterator[CallLine]:
    """The lines of calls. A model that the fleet does not know is a client's word, and left out."""
    for over in calls:
        record = over.record
        level = "warning" if record.status >= SERVER_ERROR else "info"
        line = CallLine(moment(over.ended_at_ms), level, LOGGER, MESSAGE, *_as_recorded(record))
        if not over.names_model:
            line.model = None
        if not record.key_id:
            line.workspace_id, line.key_id = record.workspace_id or None, None
        if record.tried and (failed := record.failed_attempts):
            line.failed_attempts = [FailedAttempt(attempt.node, attempt.outcome) for attempt in failed]
        counts = token_counts(record.usage)
        if counts != NO_TOKENS:
            line.tokens, line.estimated = _Tokens(*counts), record.usage.estimated
        if record.held_nanocredits:
            line.cost = credits_text(record.billed_nanocredits)
        yield line


@lru_cache(maxsize=4)
def moment(unix_ms: int) -> str:
    """A time in UTC, to the millisecond; the calls of one batch of the ledger end together."""
    return f"{_second(unix_ms // 1000)}.{unix_ms % 1000:03d}Z"


@lru_cache(maxsize=4)
def _second(unix_s: int) -> str:
    """A time to the second, which many calls share: to put one into words costs four times what the rest does."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat().removesuffix("+00:00")
