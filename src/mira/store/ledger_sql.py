"""The ledger's statements, compiled once for the database's dialect."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from msgspec import Struct
from sqlalchemy import Dialect, Table, bindparam, or_, select, update
from sqlalchemy.sql import ClauseElement

from mira.core.call import CallRecord
from mira.store.schema import USAGE_COLUMNS, account, call, epoch, hold, transfer
from mira.store.statements import Change, Lookup, compile_sql, delete_many, insert_many, look_up, update_many, upsert

#: Dead holds that one batch sweeps.
SWEEP_LIMIT = 512

USAGE_FIELDS = (*USAGE_COLUMNS, "estimated", "reported_cost_nanocredits")
CALL_COLUMNS = tuple(column.name for column in call.columns)

#: A call record's row, in the order of the table's columns.
call_row = attrgetter(*(f"usage.{name}" if name in USAGE_FIELDS else name for name in CALL_COLUMNS))


class Statements(Struct, frozen=True):
    """What the ledger says to its database."""

    accounts: Lookup
    holds: Lookup
    transfers: Lookup
    account_update: Change
    hold_insert: Change
    hold_delete: Change
    hold_checkpoint: Change
    hold_renew: str
    holds_dead: str
    epoch_beat: str
    transfer_insert: Change
    call_insert: Change


def statements(dialect: Dialect) -> Statements:
    """Compiles every statement of the ledger; `dialect` takes parameters by position.

    Rows and parameters: account_update (posted, held, id); hold_renew (expires, epoch); hold_checkpoint (amount, id,
    epoch); holds_dead (now, earliest living heartbeat, limit, offset); epoch_beat (id, now); inserts in the order of
    the table. Found: accounts (id, posted, held); holds (id, workspace, amount); transfers (idem, amount).
    """

    def text(statement: ClauseElement, *names: str) -> str:
        return compile_sql(statement, dialect, *names)

    return Statements(
        # Locked always in the order of their ids, so that two batches never wait for each other.
        accounts=look_up(
            dialect,
            select(account.c.id, account.c.posted_nanocredits, account.c.held_nanocredits)
            .order_by(account.c.id)
            .with_for_update(),
            account.c.id,
        ),
        holds=look_up(
            dialect,
            select(hold.c.id, hold.c.workspace_id, hold.c.amount_nanocredits).order_by(hold.c.id).with_for_update(),
            hold.c.id,
        ),
        transfers=look_up(dialect, select(transfer.c.idem, transfer.c.amount_nanocredits), transfer.c.idem),
        account_update=update_many(dialect, account, ("posted_nanocredits", "held_nanocredits"), ("id",)),
        hold_insert=insert_many(dialect, hold, _names(hold)[:7]),
        hold_delete=delete_many(dialect, hold, "id"),
        hold_checkpoint=update_many(dialect, hold, ("checkpoint_nanocredits",), ("id", "owner_epoch")),
        hold_renew=text(
            update(hold).where(hold.c.owner_epoch == bindparam("of")).values(expires_at_ms=bindparam("expires")),
            "expires",
            "of",
        ),
        holds_dead=text(_dead(), "now", "since", "most", "skip"),
        epoch_beat=text(_beat(), "id", "heartbeat_at_ms"),
        transfer_insert=insert_many(dialect, transfer, _names(transfer)[1:]),
        call_insert=insert_many(dialect, call, CALL_COLUMNS, ignore="request_id"),
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


def row_of(record: CallRecord) -> tuple[Any, ...]:
    """A call record as a row of `call`."""
    return call_row(record)
