"""Credits: accounts, what is held and moved, and the limits that are decided with a hold."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, LargeBinary, Table, Text

from mira.store.tables.metadata import metadata

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
