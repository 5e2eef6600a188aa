"""Jobs: long work at a node that outlives the process that took it on."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "job",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("hold_id", sa.Text, nullable=False, unique=True),
        sa.Column("client_request_id", sa.Text),
        sa.Column("face", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("node", sa.Text),
        sa.Column("upstream_model", sa.Text),
        sa.Column("upstream_id", sa.Text),
        sa.Column("content", sa.Text),
        sa.Column("progress", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Integer, nullable=False),
        sa.Column("size", sa.Text),
        sa.Column("rate_picocredits", sa.BigInteger, nullable=False),
        sa.Column("markup", sa.Text, nullable=False),
        sa.Column("held_nanocredits", sa.BigInteger, nullable=False),
        sa.Column("reported_nanocredits", sa.BigInteger),
        sa.Column("billed_nanocredits", sa.BigInteger, nullable=False),
        sa.Column("tried", sa.Text, nullable=False),
        sa.Column("submissions", sa.Integer, nullable=False),
        sa.Column("misses", sa.Integer, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
        sa.Column("next_at_ms", sa.BigInteger),
        sa.Column("deadline_at_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger),
        sa.Column("expires_at_ms", sa.BigInteger),
        sa.Column("mime_type", sa.Text),
        sa.Column("size_bytes", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("webhook_url", sa.Text),
        sa.Column("webhook_state", sa.Text),
        sa.Column("webhook_attempts", sa.Integer, nullable=False),
        sa.Column("request", sa.LargeBinary),
        sa.Column("lease_holder", sa.Text, nullable=False, server_default=""),
        sa.Column("lease_until_ms", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_index("job_workspace", "job", ["workspace_id", "created_at_ms"])
    op.create_index("job_next", "job", ["next_at_ms"])
    op.create_index("job_expiry", "job", ["expires_at_ms"])


def downgrade() -> None:
    """Forgets every job; the holds of those under way run out by themselves."""
    op.drop_table("job")
