"""The first tables, the system accounts, and the triggers that keep transfers append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_USAGE = (
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
_TABLES = (
    "setting",
    "user",
    "node_overlay",
    "node",
    "key",
    "call",
    "transfer",
    "epoch",
    "hold",
    "account",
    "workspace",
)


def upgrade() -> None:
    """Makes everything."""
    _ledger_tables()
    _call_table()
    _access_tables()
    _keep_transfers()


def downgrade() -> None:
    """Drops everything."""
    for name in _TABLES:
        op.drop_table(name)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION transfer_is_append_only()")


def _keep_transfers() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    if postgres:
        op.execute(
            "CREATE FUNCTION transfer_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'transfers are append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
    action = "EXECUTE FUNCTION transfer_is_append_only()"
    if not postgres:
        action = "BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END"
    for verb in ("UPDATE", "DELETE"):
        op.execute(f"CREATE TRIGGER transfer_no_{verb.lower()} BEFORE {verb} ON transfer FOR EACH ROW {action}")


def _ledger_tables() -> None:
    op.create_table(
        "workspace",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    )
    account = op.create_table(
        "account",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("posted_nanocredits", sa.BigInteger, nullable=False),
        sa.Column("held_nanocredits", sa.BigInteger, nullable=False),
        sa.Column("capped", sa.Boolean, nullable=False),
        sa.CheckConstraint("held_nanocredits >= 0", name="account_held"),
        sa.CheckConstraint("NOT capped OR posted_nanocredits - held_nanocredits >= 0", name="account_cap"),
        sqlite_with_rowid=False,
    )
    op.bulk_insert(
        account,
        [
            {"id": name, "posted_nanocredits": 0, "held_nanocredits": 0, "capped": False}
            for name in ("attempt-cost", "overrun", "revenue", "topup")
        ],
    )
    op.create_table(
        "hold",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("amount_nanocredits", sa.BigInteger, nullable=False),
        sa.Column("checkpoint_nanocredits", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger, nullable=False),
        sa.Column("owner_epoch", sa.Text, nullable=False),
        sa.CheckConstraint("amount_nanocredits >= 0", name="hold_amount"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "epoch",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("heartbeat_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "transfer",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("idem", sa.Text, nullable=False, unique=True),
        sa.Column("debit", sa.Text, nullable=False),
        sa.Column("credit", sa.Text, nullable=False),
        sa.Column("amount_nanocredits", sa.BigInteger, nullable=False),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.CheckConstraint("amount_nanocredits > 0", name="transfer_amount"),
    )
    op.create_index("transfer_workspace", "transfer", ["workspace_id", "id"])


def _call_table() -> None:
    op.create_table(
        "call",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("client_request_id", sa.Text),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("face", sa.Text, nullable=False),
        sa.Column("protocol", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("node", sa.Text),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("started_at_ms", sa.BigInteger, nullable=False),
        sa.Column("first_content_ms", sa.BigInteger),
        sa.Column("duration_ms", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _USAGE),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("reported_cost_nanocredits", sa.BigInteger),
        sa.Column("held_nanocredits", sa.BigInteger, nullable=False),
        sa.Column("computed_nanocredits", sa.BigInteger, nullable=False),
        sa.Column("reported_nanocredits", sa.BigInteger),
        sa.Column("billed_nanocredits", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("call_workspace", "call", ["workspace_id", "started_at_ms"])


def _access_tables() -> None:
    op.create_table(
        "key",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspace.id"), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("last4", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("face", sa.Text, nullable=False),
        sa.Column("models", sa.Text),
        sa.Column("expires_at_ms", sa.BigInteger),
        sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("revoked_at_ms", sa.BigInteger),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_key_workspace_id", "key", ["workspace_id"])
    op.create_table(
        "node",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("config", sa.Text, nullable=False),
        sa.Column("secret", sa.LargeBinary),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "node_overlay",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("drained", sa.Boolean, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
    )
    op.create_table(
        "user",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("email", sa.Text, nullable=False, unique=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "setting",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
