"""What was called: a row a call, its attempts, and the sums over hours and days."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, text

from mira.store.tables.metadata import metadata

USAGE_COLUMNS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "image_input_tokens",
    "image_output_tokens",
    "web_searches",
)
#: Counts of what is not priced by tokens.
PIECE_COLUMNS = ("images", "media_ms", "characters", "pages")

#: A call that ended in an error or was left by its client. Queries say it in these words, to be served by the index.
FAILED = "(status >= 400 OR error IS NOT NULL)"

call = Table(
    "call",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("client_request_id", Text),
    Column("upstream_request_id", Text),
    Column("workspace_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("face", Text, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("node", Text),
    Column("stream", Boolean, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("first_content_ms", BigInteger),
    Column("duration_ms", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error", Text),
    Column("held_nanocredits", BigInteger, nullable=False),
    Column("computed_nanocredits", BigInteger, nullable=False),
    Column("reported_nanocredits", BigInteger),
    Column("billed_nanocredits", BigInteger, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in USAGE_COLUMNS),
    *(Column(name, BigInteger, nullable=False, server_default="0") for name in PIECE_COLUMNS),
    Column("estimated", Boolean, nullable=False),
    Column("reported_cost_nanocredits", BigInteger),
    Index("call_workspace", "workspace_id", "started_at_ms"),
    Index("call_key", "key_id", "started_at_ms"),
    Index("call_started", "started_at_ms"),
    Index("call_model", "model", "started_at_ms"),
    Index("call_failed", "started_at_ms", sqlite_where=text(FAILED), postgresql_where=text(FAILED)),
    Index("call_status", "status", "started_at_ms", sqlite_where=text(FAILED), postgresql_where=text(FAILED)),
    Index(
        "call_workspace_failed",
        "workspace_id",
        "started_at_ms",
        sqlite_where=text(FAILED),
        postgresql_where=text(FAILED),
    ),
    Index("call_key_failed", "key_id", "started_at_ms", sqlite_where=text(FAILED), postgresql_where=text(FAILED)),
    sqlite_with_rowid=False,
)

#: Attempts of calls whose row does not say all: those of a call that made several, or that cost something for nothing.
attempt = Table(
    "attempt",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("node", Text, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("cost_nanocredits", BigInteger, nullable=False),
    Index("attempt_node", "node", "started_at_ms"),
    sqlite_with_rowid=False,
)

USAGE_SUMS = (
    "calls",
    "failed",
    "prompt_tokens",
    "completion_tokens",
    "cache_read_tokens",
    "reasoning_tokens",
    "billed_nanocredits",
    "computed_nanocredits",
    "reported_nanocredits",
    "overrun_nanocredits",
    "attempt_cost_nanocredits",
    "drifted",
    "drift_nanocredits",
)


def _usage_sums(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("begins_ms", BigInteger, primary_key=True),
        Column("workspace_id", Text, primary_key=True),
        Column("key_id", Text, primary_key=True),
        Column("model", Text, primary_key=True),
        Column("node", Text, primary_key=True),
        *(Column(column, BigInteger, nullable=False) for column in USAGE_SUMS),
        Index(f"{name}_workspace", "workspace_id", "begins_ms"),
        sqlite_with_rowid=False,
    )


#: Sums over the calls that began in an hour or a day (UTC). `node` is "" where none was asked.
usage_hour = _usage_sums("usage_hour")
usage_day = _usage_sums("usage_day")
