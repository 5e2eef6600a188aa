"""Who calls: workspaces, their members and their keys."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, LargeBinary, Table, Text, false

from mira.store.tables.metadata import metadata

workspace = Table(
    "workspace",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)

member = Table(
    "member",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey(workspace.c.id), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("user_id", Text),
    Index("member_user", "user_id", "workspace_id", unique=True),
)

key = Table(
    "key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey(workspace.c.id), nullable=False, index=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    Column("last4", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("face", Text, nullable=False),
    Column("models", Text),
    Column("expires_at_ms", BigInteger),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("revoked_at_ms", BigInteger),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("member_id", Text),
)

#: The sites that keys may fetch from, as lists of domains in JSON; a key without a row may fetch from all.
fetch_domains = Table(
    "fetch_domains",
    metadata,
    Column("key_id", Text, ForeignKey(key.c.id), primary_key=True),
    Column("allow", Text),
    Column("block", Text, nullable=False),
)
