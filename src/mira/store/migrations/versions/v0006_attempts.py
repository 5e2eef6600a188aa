"""The attempts of calls that made several, or whose node charged for nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "attempt",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("started_at_ms", sa.BigInteger, nullable=False),
        sa.Column("duration_ms", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("cost_nanocredits", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("attempt_node", "attempt", ["node", "started_at_ms"])


def downgrade() -> None:
    """Forgets the attempts."""
    op.drop_table("attempt")
