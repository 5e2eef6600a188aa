"""The record of one call: the single source of the usage row, the log line and the metrics."""

from msgspec import Struct

from mira.core.usage import Usage


class FailedAttempt(Struct, frozen=True):
    """An attempt that brought no content: the node, and the lower-case name of the `Kind` of its error."""

    node: str
    reason: str


class CallRecord(Struct, kw_only=True):
    """What became of one billed request. Times are Unix milliseconds or durations in milliseconds.

    `client_request_id` is what the client called it, `upstream_request_id` what the node that answered last does.
    `status` is the HTTP status told to the client (499 where the client left first). `error` is the lower-case name of
    a `Kind`. `failed_attempts` is not kept in the usage row. `held`, `computed`, `reported` and `billed` are
    nano-credits; `reported` is None where the upstream told no charge.
    """

    request_id: str
    client_request_id: str | None = None
    upstream_request_id: str | None = None
    workspace_id: str
    key_id: str
    face: str
    protocol: str
    model: str
    node: str | None = None
    stream: bool = False
    started_at_ms: int
    first_content_ms: int | None = None
    duration_ms: int = 0
    attempts: int = 0
    failed_attempts: tuple[FailedAttempt, ...] = ()
    status: int = 0
    error: str | None = None
    usage: Usage = Usage()
    held_nanocredits: int = 0
    computed_nanocredits: int = 0
    reported_nanocredits: int | None = None
    billed_nanocredits: int = 0
