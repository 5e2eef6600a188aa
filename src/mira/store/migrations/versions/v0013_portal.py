"""The portal: accounts with sessions and invitations, what changed by whose hand, and prices set there."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

FAILED = "(status >= 400 OR error IS NOT NULL)"


def upgrade() -> None:
    """Makes the tables and columns."""
    op.add_column("member", sa.Column("user_id", sa.Text))
    op.create_index("member_user", "member", ["user_id", "workspace_id"], unique=True)
    op.add_column("user", sa.Column("name", sa.Text))
    op.add_column("user", sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("user", sa.Column("issuer", sa.Text))
    op.add_column("user", sa.Column("subject", sa.Text))
    op.create_index("user_identity", "user", ["issuer", "subject"], unique=True)
    op.create_table(
        "session",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("user_id", sa.Text, sa.ForeignKey("user.id"), nullable=False),
        sa.Column("workspace_id", sa.Text),
        sa.Column("way", sa.Text, nullable=False),
        sa.Column("address", sa.Text),
        sa.Column("user_agent", sa.Text),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_session_user_id", "session", ["user_id"])
    op.create_table(
        "sign_in",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("failures", sa.Text, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "invitation",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspace.id"), nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("invited_by", sa.Text),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger, nullable=False),
        sa.Column("accepted_at_ms", sa.BigInteger),
        sa.Column("withdrawn_at_ms", sa.BigInteger),
    )
    op.create_index("ix_invitation_workspace_id", "invitation", ["workspace_id"])
    op.create_table(
        "audit",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("actor_kind", sa.Text, nullable=False),
        sa.Column("actor_id", sa.Text),
        sa.Column("actor_name", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("object_kind", sa.Text, nullable=False),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("object_name", sa.Text),
        sa.Column("workspace_id", sa.Text),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("request_id", sa.Text, nullable=False),
    )
    op.create_index("audit_workspace", "audit", ["workspace_id", "id"])
    # Only failed calls are in these, so that others cost nothing.
    failed = sa.text(FAILED)
    for name in ("workspace", "key"):
        columns = [f"{name}_id", "started_at_ms"]
        op.create_index(f"call_{name}_failed", "call", columns, sqlite_where=failed, postgresql_where=failed)
    op.create_table(
        "price",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("price", sa.Text, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Forgets all of it: users sign in with the operator API's key alone."""
    for name in ("workspace", "key"):
        op.drop_index(f"call_{name}_failed", "call")
    for table in ("price", "audit", "invitation", "sign_in", "session"):
        op.drop_table(table)
    op.drop_index("user_identity", "user")
    for column in ("subject", "issuer", "disabled", "name"):
        op.drop_column("user", column)
    op.drop_index("member_user", "member")
    op.drop_column("member", "user_id")
