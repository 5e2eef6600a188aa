"""The node's own id of a request, beside ours and the client's."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"


def upgrade() -> None:
    """Adds the column."""
    op.add_column("call", sa.Column("upstream_request_id", sa.Text))


def downgrade() -> None:
    """Forgets the ids."""
    op.drop_column("call", "upstream_request_id")
