"""The tables as they stand now. How a database gets there is told by the migrations; a test compares the two.

Amounts are nano-credits, times Unix milliseconds. Ids are text, made by the caller; those of calls and holds grow with
time, so that inserts touch the last page of their index. The tables of the hot path carry no foreign keys and as few
indexes as their reads allow, because each costs every request.
"""

from mira.store.tables.calls import (
    FAILED,
    PIECE_COLUMNS,
    USAGE_COLUMNS,
    USAGE_SUMS,
    attempt,
    call,
    usage_day,
    usage_hour,
)
from mira.store.tables.fleet import hint, lease, node, node_overlay, price, setting, version
from mira.store.tables.metadata import metadata
from mira.store.tables.money import account, cap, claim, epoch, hold, transfer
from mira.store.tables.portal import audit, invitation, session, sign_in, user
from mira.store.tables.tenants import fetch_domains, key, member, workspace
from mira.store.tables.work import answer, file, job

__all__ = [
    "FAILED",
    "PIECE_COLUMNS",
    "USAGE_COLUMNS",
    "USAGE_SUMS",
    "account",
    "answer",
    "attempt",
    "audit",
    "call",
    "cap",
    "claim",
    "epoch",
    "fetch_domains",
    "file",
    "hint",
    "hold",
    "invitation",
    "job",
    "key",
    "lease",
    "member",
    "metadata",
    "node",
    "node_overlay",
    "price",
    "session",
    "setting",
    "sign_in",
    "transfer",
    "usage_day",
    "usage_hour",
    "user",
    "version",
    "workspace",
]
