"""The tables as they stand now. How a database gets there is told by the migrations; a test compares the two.

Amounts are nano-credits, times Unix milliseconds. Ids are text, made by the caller; those of calls and holds grow with
time, so that inserts touch the last page of their index. The tables of the hot path carry no foreign keys and as few
indexes as their reads allow, because each costs every request.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
    text,
)

metadata = MetaData()

workspace = Table(
    "workspace",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)

account = Table(
    "account",
    metadata,
    Column("id", Text, primary_key=True),
    Column("posted_nanocredits", BigInteger, nullable=False),
    Column("held_nanocredits", BigInteger, nullable=False),
    Column("capped", Boolean, nullable=False),
    CheckConstraint("held_nanocredits >= 0", name="account_held"),
    CheckConstraint("NOT capped OR posted_nanocredits - held_nanocredits >= 0", name="account_cap"),
    sqlite_with_rowid=False,
)

hold = Table(
    "hold",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("amount_nanocredits", BigInteger, nullable=False),
    Column("checkpoint_nanocredits", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("owner_epoch", Text, nullable=False),
    Column("caps", Text),
    Column("tokens", BigInteger, nullable=False, server_default="0"),
    Column("claim", Text),
    Column("model", Text, nullable=False, server_default=""),
    Column("node", Text),
    Column("answer_id", Text),
    CheckConstraint("amount_nanocredits >= 0", name="hold_amount"),
    sqlite_with_rowid=False,
)

epoch = Table(
    "epoch",
    metadata,
    Column("id", Text, primary_key=True),
    Column("heartbeat_at_ms", BigInteger, nullable=False),
)

transfer = Table(
    "transfer",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("idem", Text, nullable=False, unique=True),
    Column("debit", Text, nullable=False),
    Column("credit", Text, nullable=False),
    Column("amount_nanocredits", BigInteger, nullable=False),
    Column("workspace_id", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    CheckConstraint("amount_nanocredits > 0", name="transfer_amount"),
    Index("transfer_workspace", "workspace_id", "id"),
)

USAGE_COLUMNS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "image_input_tokens",
    "image_output_tokens",
    "web_searches",
)
#: Counts of what is not priced by tokens.
PIECE_COLUMNS = ("images", "media_ms", "characters", "pages")

#: A call that ended in an error or was left by its client. Queries say it in these words, to be served by the index.
FAILED = "(status >= 400 OR error IS NOT NULL)"

call = Table(
    "call",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("client_request_id", Text),
    Column("upstream_request_id", Text),
    Column("workspace_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("face", Text, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("node", Text),
    Column("stream", Boolean, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("first_content_ms", BigInteger),
    Column("duration_ms", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error", Text),
    *(Column(name, BigInteger, nullable=False) for name in USAGE_COLUMNS),
    *(Column(name, BigInteger, nullable=False, server_default="0") for name in PIECE_COLUMNS),
    Column("estimated", Boolean, nullable=False),
    Column("reported_cost_nanocredits", BigInteger),
    Column("held_nanocredits", BigInteger, nullable=False),
    Column("computed_nanocredits", BigInteger, nullable=False),
    Column("reported_nanocredits", BigInteger),
    Column("billed_nanocredits", BigInteger, nullable=False),
    Index("call_workspace", "workspace_id", "started_at_ms"),
    Index("call_key", "key_id", "started_at_ms"),
    Index("call_started", "started_at_ms"),
    Index("call_model", "model", "started_at_ms"),
    Index("call_failed", "started_at_ms", sqlite_where=text(FAILED), postgresql_where=text(FAILED)),
    Index("call_status", "status", "started_at_ms", sqlite_where=text(FAILED), postgresql_where=text(FAILED)),
    Index(
        "call_workspace_failed",
        "workspace_id",
        "started_at_ms",
        sqlite_where=text(FAILED),
        postgresql_where=text(FAILED),
    ),
    Index("call_key_failed", "key_id", "started_at_ms", sqlite_where=text(FAILED), postgresql_where=text(FAILED)),
    sqlite_with_rowid=False,
)

USAGE_SUMS = (
    "calls",
    "failed",
    "prompt_tokens",
    "completion_tokens",
    "cache_read_tokens",
    "reasoning_tokens",
    "billed_nanocredits",
    "computed_nanocredits",
    "reported_nanocredits",
    "overrun_nanocredits",
    "attempt_cost_nanocredits",
    "drifted",
    "drift_nanocredits",
)


def _usage_sums(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("begins_ms", BigInteger, primary_key=True),
        Column("workspace_id", Text, primary_key=True),
        Column("key_id", Text, primary_key=True),
        Column("model", Text, primary_key=True),
        Column("node", Text, primary_key=True),
        *(Column(column, BigInteger, nullable=False) for column in USAGE_SUMS),
        Index(f"{name}_workspace", "workspace_id", "begins_ms"),
        sqlite_with_rowid=False,
    )


#: Sums over the calls that began in an hour or a day (UTC). `node` is "" where none was asked.
usage_hour = _usage_sums("usage_hour")
usage_day = _usage_sums("usage_day")

#: The limits of a key (`key:<id>`) or a member (`member:<id>`) and what is taken of them: `mira.core.limits.Cap`.
cap = Table(
    "cap",
    metadata,
    Column("id", Text, primary_key=True),
    Column("rpm", BigInteger),
    Column("tpm", BigInteger),
    Column("concurrency", BigInteger),
    Column("budget_nanocredits", BigInteger),
    Column("budget_period", Text),
    Column("spent_nanocredits", BigInteger, nullable=False),
    Column("held_nanocredits", BigInteger, nullable=False),
    Column("period_ends_ms", BigInteger),
    Column("requests_level", BigInteger, nullable=False),
    Column("tokens_level", BigInteger, nullable=False),
    Column("tokens_held", BigInteger, nullable=False),
    Column("levels_at_ms", BigInteger, nullable=False),
    Column("live", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

#: A client's Idempotency-Key. `state` is open, done, large (done, but too large to be kept) or lost (cut by a crash).
claim = Table(
    "claim",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("status", Integer),
    Column("headers", LargeBinary),
    Column("body", LargeBinary),
    Column("expires_at_ms", BigInteger, nullable=False),
    Index("claim_expiry", "expires_at_ms"),
)

member = Table(
    "member",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspace.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("user_id", Text),
    Index("member_user", "user_id", "workspace_id", unique=True),
)

#: Attempts of calls whose row does not say all: those of a call that made several, or that cost something for nothing.
attempt = Table(
    "attempt",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("node", Text, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("cost_nanocredits", BigInteger, nullable=False),
    Index("attempt_node", "node", "started_at_ms"),
    sqlite_with_rowid=False,
)

key = Table(
    "key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspace.id"), nullable=False, index=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    Column("last4", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("face", Text, nullable=False),
    Column("models", Text),
    Column("expires_at_ms", BigInteger),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("revoked_at_ms", BigInteger),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("member_id", Text),
)

#: The sites that keys may fetch from, as lists of domains in JSON; a key without a row may fetch from all.
fetch_domains = Table(
    "fetch_domains",
    metadata,
    Column("key_id", Text, ForeignKey("key.id"), primary_key=True),
    Column("allow", Text),
    Column("block", Text, nullable=False),
)

node = Table(
    "node",
    metadata,
    Column("name", Text, primary_key=True),
    Column("config", Text, nullable=False),
    Column("secret", LargeBinary),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
)

node_overlay = Table(
    "node_overlay",
    metadata,
    Column("name", Text, primary_key=True),
    Column("drained", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
)

user = Table(
    "user",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("name", Text),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("issuer", Text),
    Column("subject", Text),
    Index("user_identity", "issuer", "subject", unique=True),
)

#: Who is signed in at the portal. `digest` is that of the cookie, which nobody else knows.
session = Table(
    "session",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("user_id", Text, ForeignKey("user.id"), nullable=False, index=True),
    Column("workspace_id", Text),
    Column("way", Text, nullable=False),
    Column("address", Text),
    Column("user_agent", Text),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
)

#: When signing in failed, by account (`account:…`) and by address (`address:…`): a JSON list of Unix milliseconds.
sign_in = Table(
    "sign_in",
    metadata,
    Column("name", Text, primary_key=True),
    Column("failures", Text, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
)

invitation = Table(
    "invitation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("workspace_id", Text, ForeignKey("workspace.id"), nullable=False, index=True),
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("invited_by", Text),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("accepted_at_ms", BigInteger),
    Column("withdrawn_at_ms", BigInteger),
)

#: Who changed what. `before` and `after` are JSON, without secrets.
audit = Table(
    "audit",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text),
    Column("actor_name", Text),
    Column("action", Text, nullable=False),
    Column("object_kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("object_name", Text),
    Column("workspace_id", Text),
    Column("before", Text),
    Column("after", Text),
    Column("request_id", Text, nullable=False),
    Index("audit_workspace", "workspace_id", "id"),
)

#: Prices that operators set at the portal; a row of the file for the same model stands above them.
price = Table(
    "price",
    metadata,
    Column("model", Text, primary_key=True),
    Column("price", Text, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
)

setting = Table(
    "setting",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

#: Answers and items that a client may refer to, each under its own id; an answer is the list of all that was said.
answer = Table(
    "answer",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Index("answer_expiry", "expires_at_ms"),
)

file = Table(
    "file",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Index("file_workspace", "workspace_id", "created_at_ms"),
)

#: Long work at a node (`mira.core.jobs.Job`). `request` is sealed, and there until a node has taken the work over.
job = Table(
    "job",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("hold_id", Text, nullable=False, unique=True),
    Column("client_request_id", Text),
    Column("face", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("node", Text),
    Column("upstream_model", Text),
    Column("upstream_id", Text),
    Column("content", Text),
    Column("progress", Integer, nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("size", Text),
    Column("rate_picocredits", BigInteger, nullable=False),
    Column("markup", Text, nullable=False),
    Column("held_nanocredits", BigInteger, nullable=False),
    Column("reported_nanocredits", BigInteger),
    Column("billed_nanocredits", BigInteger, nullable=False),
    Column("tried", Text, nullable=False),
    Column("submissions", Integer, nullable=False),
    Column("misses", Integer, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Column("next_at_ms", BigInteger),
    Column("deadline_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger),
    Column("expires_at_ms", BigInteger),
    Column("mime_type", Text),
    Column("size_bytes", BigInteger),
    Column("error", Text),
    Column("error_message", Text),
    Column("webhook_url", Text),
    Column("webhook_state", Text),
    Column("webhook_attempts", Integer, nullable=False),
    Column("request", LargeBinary),
    Column("lease_holder", Text, nullable=False, server_default=""),
    Column("lease_until_ms", BigInteger, nullable=False, server_default="0"),
    Index("job_workspace", "workspace_id", "created_at_ms"),
    Index("job_next", "next_at_ms"),
    Index("job_expiry", "expires_at_ms"),
)

#: What one process does for all: who does it, and until when that is certain.
lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
)

#: How often a kind of rows has changed, for processes that remember some of them.
version = Table(
    "version",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

#: What a process observed of a node, for the others: why calls stay away from it, or from a model at it (else "").
hint = Table(
    "hint",
    metadata,
    Column("epoch", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since_at_ms", BigInteger, nullable=False),
    Column("until_at_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
