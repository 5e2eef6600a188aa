"""What outlives its call: answers, files and jobs."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from mira.store.tables.metadata import metadata

#: Answers and items that a client may refer to, each under its own id; an answer is the list of all that was said.
answer = Table(
    "answer",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Index("answer_expiry", "expires_at_ms"),
)

file = Table(
    "file",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Index("file_workspace", "workspace_id", "created_at_ms"),
)

#: Long work at a node (`mira.core.jobs.Job`). `request` is sealed, and there until a node has taken the work over.
job = Table(
    "job",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("hold_id", Text, nullable=False, unique=True),
    Column("client_request_id", Text),
    Column("face", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("node", Text),
    Column("upstream_model", Text),
    Column("upstream_id", Text),
    Column("content", Text),
    Column("progress", Integer, nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("size", Text),
    Column("rate_picocredits", BigInteger, nullable=False),
    Column("markup", Text, nullable=False),
    Column("held_nanocredits", BigInteger, nullable=False),
    Column("reported_nanocredits", BigInteger),
    Column("billed_nanocredits", BigInteger, nullable=False),
    Column("tried", Text, nullable=False),
    Column("submissions", Integer, nullable=False),
    Column("misses", Integer, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Column("next_at_ms", BigInteger),
    Column("deadline_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger),
    Column("expires_at_ms", BigInteger),
    Column("mime_type", Text),
    Column("size_bytes", BigInteger),
    Column("error", Text),
    Column("error_message", Text),
    Column("webhook_url", Text),
    Column("webhook_state", Text),
    Column("webhook_attempts", Integer, nullable=False),
    Column("request", LargeBinary),
    Column("lease_holder", Text, nullable=False, server_default=""),
    Column("lease_until_ms", BigInteger, nullable=False, server_default="0"),
    Index("job_workspace", "workspace_id", "created_at_ms"),
    Index("job_next", "next_at_ms"),
    Index("job_expiry", "expires_at_ms"),
)
