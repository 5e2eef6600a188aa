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
    Column("estimated", Boolean, nullable=False),
    Column("reported_cost_nanocredits", BigInteger),
    Column("held_nanocredits", BigInteger, nullable=False),
    Column("computed_nanocredits", BigInteger, nullable=False),
    Column("reported_nanocredits", BigInteger),
    Column("billed_nanocredits", BigInteger, nullable=False),
    Index("call_workspace", "workspace_id", "started_at_ms"),
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
