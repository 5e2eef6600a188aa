"""Who can be asked what a call did cost whose process died."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Adds the node of a running call and the id of the answer there."""
    op.add_column("hold", sa.Column("node", sa.Text))
    op.add_column("hold", sa.Column("answer_id", sa.Text))


def downgrade() -> None:
    """Forgets both."""
    op.drop_column("hold", "answer_id")
    op.drop_column("hold", "node")
