"""The record of one call: the single source of the usage row, the log line and the metrics."""

from msgspec import Struct

from mira.core.usage import Usage

#: The status of calls whose client left first.
CLIENT_LEFT_STATUS = 499
#: The outcome of an attempt whose answer came whole.
ANSWERED = "ok"


class Tried(Struct, frozen=True):
    """One attempt at a node. `outcome` is `ok` or the lower-case name of a `Kind`, `client_left` among them.

    Times are Unix milliseconds and milliseconds; `cost_nanocredits` is what the node charged, as far as is known.
    """

    node: str
    outcome: str
    started_at_ms: int = 0
    duration_ms: int = 0
    cost_nanocredits: int = 0


class CallRecord(Struct, kw_only=True):
    """What became of one billed request. Times are Unix milliseconds or durations in milliseconds.

    `client_request_id` is what the client called it, `upstream_request_id` what the node that answered last does.
    `status` is the HTTP status told to the client (499 where the client left first). `error` is the lower-case name of
    a `Kind`. `held`, `computed`, `reported` and `billed` are nano-credits; `reported` is None where the upstream told
    no charge.

    `tried` are the attempts in their order where the row does not say all of them: where one failed, or where the node
    charged something else than the row tells.
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
    status: int = 0
    error: str | None = None
    held_nanocredits: int = 0
    computed_nanocredits: int = 0
    reported_nanocredits: int | None = None
    billed_nanocredits: int = 0
    usage: Usage = Usage()
    tried: tuple[Tried, ...] = ()

    @property
    def failed_attempts(self) -> tuple[Tried, ...]:
        """The attempts that brought no whole answer."""
        return tuple(attempt for attempt in self.tried if attempt.outcome != ANSWERED)

    @property
    def charged_nanocredits(self) -> int:
        """What the node that answered charged, as far as this row tells: its own word, else by the price table."""
        return self.computed_nanocredits if self.reported_nanocredits is None else self.reported_nanocredits
