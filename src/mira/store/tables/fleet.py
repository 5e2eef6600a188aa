"""What is asked, at what price: nodes and what the processes tell each other of them; settings."""

from sqlalchemy import BigInteger, Boolean, Column, LargeBinary, Table, Text

from mira.store.tables.metadata import metadata

node = Table(
    "node",
    metadata,
    Column("name", Text, primary_key=True),
    Column("config", Text, nullable=False),
    Column("secret", LargeBinary),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
)

node_overlay = Table(
    "node_overlay",
    metadata,
    Column("name", Text, primary_key=True),
    Column("drained", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
)

#: Prices that operators set at the portal; a row of the file for the same model stands above them.
price = Table(
    "price",
    metadata,
    Column("model", Text, primary_key=True),
    Column("price", Text, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
)

setting = Table(
    "setting",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

#: What one process does for all: who does it, and until when that is certain.
lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
)

#: How often a kind of rows has changed, for processes that remember some of them.
version = Table(
    "version",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

#: What a process observed of a node, for the others: why calls stay away from it, or from a model at it (else "").
hint = Table(
    "hint",
    metadata,
    Column("epoch", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since_at_ms", BigInteger, nullable=False),
    Column("until_at_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
