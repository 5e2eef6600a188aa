"""The sites that keys may fetch from."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "fetch_domains",
        sa.Column("key_id", sa.Text, sa.ForeignKey("key.id"), primary_key=True),
        sa.Column("allow", sa.Text),
        sa.Column("block", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Forgets the lists."""
    op.drop_table("fetch_domains")
