"""The ledger's statements, compiled once for the database's dialect."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from msgspec import Struct
from sqlalchemy import Dialect, Table, bindparam, delete, insert, or_, select, update
from sqlalchemy.sql import ClauseElement

from mira.core.call import CallRecord
from mira.store.schema import USAGE_COLUMNS, account, attempt, call, epoch, hold, transfer
from mira.store.statements import compile_sql, upsert

#: How many accounts one statement loads; a batch takes the narrowest that has room.
WIDTHS = (8, 24, 96)
#: Dead holds that one batch sweeps.
SWEEP_LIMIT = 512

USAGE_FIELDS = (*USAGE_COLUMNS, "estimated", "reported_cost_nanocredits")
CALL_COLUMNS = tuple(column.name for column in call.columns)

#: A call record's row, in the order of the table's columns.
call_row = attrgetter(*(f"usage.{name}" if name in USAGE_FIELDS else name for name in CALL_COLUMNS))


class Statements(Struct, frozen=True):
    """The text of each statement; parameters go by position, in the order of the table unless said."""

    accounts: dict[int, str]
    account_update: str
    hold_insert: str
    hold_delete: str
    hold_find: str
    hold_renew: str
    hold_checkpoint: str
    holds_dead: str
    epoch_beat: str
    transfer_insert: str
    transfer_find: str
    call_insert: str
    attempt_insert: str


def statements(dialect: Dialect) -> Statements:
    """Compiles every statement of the ledger.

    Parameters: account_update (posted, held, id); hold_renew (expires, epoch); hold_checkpoint (amount, id, epoch);
    holds_dead (now, earliest living heartbeat, limit, offset); epoch_beat (id, now).
    """

    def text(statement: ClauseElement, *names: str) -> str:
        return compile_sql(statement, dialect, *names)

    return Statements(
        accounts={width: text(_accounts(width), *_numbered(width)) for width in WIDTHS},
        account_update=text(
            update(account)
            .where(account.c.id == bindparam("of"))
            .values(posted_nanocredits=bindparam("posted"), held_nanocredits=bindparam("held")),
            "posted",
            "held",
            "of",
        ),
        hold_insert=text(insert(hold), *_names(hold)),
        hold_delete=text(delete(hold).where(hold.c.id == bindparam("of")), "of"),
        hold_find=text(
            select(hold.c.workspace_id, hold.c.amount_nanocredits)
            .where(hold.c.id == bindparam("of"))
            .with_for_update(),
            "of",
        ),
        hold_renew=text(
            update(hold).where(hold.c.owner_epoch == bindparam("of")).values(expires_at_ms=bindparam("expires")),
            "expires",
            "of",
        ),
        hold_checkpoint=text(
            update(hold)
            .where(hold.c.id == bindparam("of"), hold.c.owner_epoch == bindparam("by"))
            .values(checkpoint_nanocredits=bindparam("amount")),
            "amount",
            "of",
            "by",
        ),
        holds_dead=text(_dead(), "now", "since", "most", "skip"),
        epoch_beat=text(_beat(), "id", "heartbeat_at_ms"),
        transfer_insert=text(insert(transfer).values(_bound(_names(transfer)[1:])), *_names(transfer)[1:]),
        transfer_find=text(select(transfer.c.amount_nanocredits).where(transfer.c.idem == bindparam("of")), "of"),
        call_insert=text(
            upsert(call).values(_bound(CALL_COLUMNS)).on_conflict_do_nothing(index_elements=["request_id"]),
            *CALL_COLUMNS,
        ),
        attempt_insert=text(
            upsert(attempt)
            .values(_bound(_names(attempt)))
            .on_conflict_do_nothing(index_elements=["request_id", "number"]),
            *_names(attempt),
        ),
    )


def _accounts(width: int) -> ClauseElement:
    """Loads and locks accounts, always in the order of their ids, so that two batches never wait for each other."""
    return (
        select(account.c.id, account.c.posted_nanocredits, account.c.held_nanocredits)
        .where(account.c.id.in_([bindparam(name) for name in _numbered(width)]))
        .order_by(account.c.id)
        .with_for_update()
    )


def _dead() -> ClauseElement:
    """Holds that nobody renews: past their time, or of a process whose heart stopped."""
    living = select(epoch.c.id).where(epoch.c.heartbeat_at_ms >= bindparam("since"))
    return (
        select(hold.c.id, hold.c.workspace_id, hold.c.amount_nanocredits, hold.c.checkpoint_nanocredits)
        .where(or_(hold.c.expires_at_ms < bindparam("now"), hold.c.owner_epoch.not_in(living)))
        .order_by(hold.c.id)
        .limit(bindparam("most"))
        .offset(bindparam("skip"))
        .with_for_update(skip_locked=True)
    )


def _beat() -> ClauseElement:
    beat = upsert(epoch).values(_bound(_names(epoch)))
    return beat.on_conflict_do_update(index_elements=["id"], set_={"heartbeat_at_ms": beat.excluded.heartbeat_at_ms})


def _bound(names: Sequence[str]) -> dict[str, Any]:
    return {name: bindparam(name) for name in names}


def _names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


def _numbered(width: int) -> tuple[str, ...]:
    return tuple(f"id{number}" for number in range(width))


def row_of(record: CallRecord) -> tuple[Any, ...]:
    """A call record as a row of `call`."""
    return call_row(record)


def attempt_rows(record: CallRecord) -> list[tuple[Any, ...]]:
    """The rows of `attempt` of a call record; none where a single attempt failed at no cost, as its row says."""
    tried = record.tried
    if len(tried) == 1 and not tried[0].cost_nanocredits:
        return []
    return [
        (record.request_id, number, one.node, one.started_at_ms, one.duration_ms, one.outcome, one.cost_nanocredits)
        for number, one in enumerate(tried, 1)
    ]
