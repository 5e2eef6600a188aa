"""What calls use that is not counted in tokens: images, time of sound and video, characters, pages."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

COLUMNS = ("images", "media_ms", "characters", "pages")


def upgrade() -> None:
    """Adds the columns."""
    for name in COLUMNS:
        op.add_column("call", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    """Forgets the counts."""
    for name in COLUMNS:
        op.drop_column("call", name)
