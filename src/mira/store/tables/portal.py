"""Who signs in at the portal, and what was changed there."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, LargeBinary, Table, Text, false

from mira.store.tables.metadata import metadata
from mira.store.tables.tenants import workspace

user = Table(
    "user",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("name", Text),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("issuer", Text),
    Column("subject", Text),
    Index("user_identity", "issuer", "subject", unique=True),
)

#: Who is signed in at the portal. `digest` is that of the cookie, which nobody else knows.
session = Table(
    "session",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("user_id", Text, ForeignKey(user.c.id), nullable=False, index=True),
    Column("workspace_id", Text),
    Column("way", Text, nullable=False),
    Column("address", Text),
    Column("user_agent", Text),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
)

#: When signing in failed, by account (`account:…`) and by address (`address:…`): a JSON list of Unix milliseconds.
sign_in = Table(
    "sign_in",
    metadata,
    Column("name", Text, primary_key=True),
    Column("failures", Text, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
)

invitation = Table(
    "invitation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("workspace_id", Text, ForeignKey(workspace.c.id), nullable=False, index=True),
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("invited_by", Text),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("accepted_at_ms", BigInteger),
    Column("withdrawn_at_ms", BigInteger),
)

#: Who changed what. `before` and `after` are JSON, without secrets.
audit = Table(
    "audit",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text),
    Column("actor_name", Text),
    Column("action", Text, nullable=False),
    Column("object_kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("object_name", Text),
    Column("workspace_id", Text),
    Column("before", Text),
    Column("after", Text),
    Column("request_id", Text, nullable=False),
    Index("audit_workspace", "workspace_id", "id"),
)
