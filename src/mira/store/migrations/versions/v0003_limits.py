"""Members, the caps of keys and members, stored answers of idempotent calls, usage by the hour."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

USAGE = ("calls", "failed", "prompt_tokens", "completion_tokens", "cache_read_tokens", "reasoning_tokens")
MONEY = ("billed", "computed", "reported", "overrun", "attempt_cost")
FAILED = "(status >= 400 OR error IS NOT NULL)"
_SUM_UP = """
INSERT INTO {table}
SELECT started_at_ms - started_at_ms % {span_ms}, workspace_id, key_id, model, coalesce(node, ''), count(*),
    sum(CASE WHEN status >= 400 OR error IS NOT NULL THEN 1 ELSE 0 END),
    sum(input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + audio_input_tokens
        + image_input_tokens),
    sum(output_tokens + reasoning_tokens + audio_output_tokens + image_output_tokens),
    sum(cache_read_tokens), sum(reasoning_tokens), sum(billed_nanocredits), sum(computed_nanocredits),
    sum(coalesce(reported_nanocredits, 0)), 0, 0,
    sum(CASE WHEN reported_nanocredits <> computed_nanocredits THEN 1 ELSE 0 END),
    sum(coalesce(reported_nanocredits - computed_nanocredits, 0))
FROM call GROUP BY 1, 2, 3, 4, 5
"""


def sum_up(table: str, span_ms: int) -> str:
    """Sums up the calls that there are, as each will be from now on."""
    return _SUM_UP.format(table=table, span_ms=span_ms)


def upgrade() -> None:
    """Makes the tables and columns."""
    op.create_table(
        "member",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspace.id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("email", sa.Text),
        sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_member_workspace_id", "member", ["workspace_id"])
    op.add_column("key", sa.Column("member_id", sa.Text))
    op.create_table(
        "cap",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("rpm", sa.BigInteger),
        sa.Column("tpm", sa.BigInteger),
        sa.Column("concurrency", sa.BigInteger),
        sa.Column("budget_nanocredits", sa.BigInteger),
        sa.Column("budget_period", sa.Text),
        sa.Column("spent_nanocredits", sa.BigInteger, nullable=False),
        sa.Column("held_nanocredits", sa.BigInteger, nullable=False),
        sa.Column("period_ends_ms", sa.BigInteger),
        sa.Column("requests_level", sa.BigInteger, nullable=False),
        sa.Column("tokens_level", sa.BigInteger, nullable=False),
        sa.Column("tokens_held", sa.BigInteger, nullable=False),
        sa.Column("levels_at_ms", sa.BigInteger, nullable=False),
        sa.Column("live", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.add_column("hold", sa.Column("caps", sa.Text))
    op.add_column("hold", sa.Column("tokens", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("hold", sa.Column("claim", sa.Text))
    op.add_column("hold", sa.Column("model", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "claim",
        sa.Column("workspace_id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("headers", sa.LargeBinary),
        sa.Column("body", sa.LargeBinary),
        sa.Column("expires_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("claim_expiry", "claim", ["expires_at_ms"])
    for name, span_ms in (("usage_hour", 3_600_000), ("usage_day", 86_400_000)):
        op.create_table(
            name,
            sa.Column("begins_ms", sa.BigInteger, primary_key=True),
            sa.Column("workspace_id", sa.Text, primary_key=True),
            sa.Column("key_id", sa.Text, primary_key=True),
            sa.Column("model", sa.Text, primary_key=True),
            sa.Column("node", sa.Text, primary_key=True),
            *(sa.Column(column, sa.BigInteger, nullable=False) for column in USAGE),
            *(sa.Column(f"{column}_nanocredits", sa.BigInteger, nullable=False) for column in MONEY),
            sa.Column("drifted", sa.BigInteger, nullable=False),
            sa.Column("drift_nanocredits", sa.BigInteger, nullable=False),
            sqlite_with_rowid=False,
        )
        op.execute(sum_up(name, span_ms))
        op.create_index(f"{name}_workspace", name, ["workspace_id", "begins_ms"])
    failed = sa.text(FAILED)
    for name, columns in (("call_failed", ["started_at_ms"]), ("call_status", ["status", "started_at_ms"])):
        op.create_index(name, "call", columns, sqlite_where=failed, postgresql_where=failed)
    op.create_index("call_model", "call", ["model", "started_at_ms"])
    op.create_index("call_key", "call", ["key_id", "started_at_ms"])
    op.create_index("call_started", "call", ["started_at_ms"])


def downgrade() -> None:
    """Drops them."""
    for name in ("call_model", "call_status", "call_failed", "call_started"):
        op.drop_index(name, "call")
    op.drop_index("call_key", "call")
    op.drop_table("usage_day")
    op.drop_table("usage_hour")
    op.drop_table("claim")
    for column in ("model", "claim", "tokens", "caps"):
        op.drop_column("hold", column)
    op.drop_table("cap")
    op.drop_column("key", "member_id")
    op.drop_table("member")
