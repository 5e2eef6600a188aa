"""The ledger's statements, compiled once for the database's dialect."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple
from sqlalchemy import Dialect, Table, and_, bindparam, delete, literal_column, or_, select, update
from sqlalchemy.sql import ClauseElement

from mira.core.call import CallRecord
from mira.store.job_rows import JOB_CHANGES, JOB_COLUMNS
from mira.store.schema import (
    USAGE_SUMS,
    account,
    attempt,
    audit,
    call,
    cap,
    claim,
    epoch,
    hold,
    job,
    transfer,
    usage_day,
    usage_hour,
)
from mira.store.statements import (
    Change,
    Lookup,
    compile_sql,
    delete_many,
    insert_many,
    look_up,
    update_many,
    upsert,
    upsert_many,
)

#: The owner of holds that belong to jobs: they are renewed by nobody and end with their job, or at their time.
JOBS_EPOCH = "jobs"
#: Dead holds that one batch sweeps.
SWEEP_LIMIT = 512

HOLD_FOUND = (
    hold.c.id,
    hold.c.workspace_id,
    hold.c.amount_nanocredits,
    hold.c.caps,
    hold.c.tokens,
    hold.c.claim,
    hold.c.key_id,
    hold.c.model,
    hold.c.owner_epoch,
)
#: What a running call tells of itself.
HOLD_SO_FAR = ("checkpoint_nanocredits", "node", "answer_id")
#: What a batch changes of a cap.
CAP_STATE = (
    "spent_nanocredits",
    "held_nanocredits",
    "period_ends_ms",
    "requests_level",
    "tokens_level",
    "tokens_held",
    "levels_at_ms",
    "live",
)
CLAIM_KEY = ("workspace_id", "key")
CLAIM_OUTCOME = ("state", "status", "headers", "body", "expires_at_ms")
USAGE_KEY = tuple(column.name for column in usage_hour.columns if column.name not in USAGE_SUMS)
CALL_COLUMNS = tuple(column.name for column in call.columns)


class Statements(Struct, frozen=True):
    """What the ledger says to its database."""

    accounts: Lookup
    holds: Lookup
    transfers: Lookup
    recorded: Lookup
    caps: Lookup
    claims: Lookup
    account_update: Change
    hold_insert: Change
    hold_delete: Change
    hold_checkpoint: Change
    hold_renew: str
    hold_adopt: Change
    holds_dead: str
    epoch_beat: str
    epochs_forget: str
    transfer_insert: Change
    call_insert: Change
    attempt_insert: Change
    cap_update: Change
    claim_open: Change
    claim_close: Change
    claim_free: Change
    hour_add: Change
    day_add: Change
    audit_insert: Change
    job_insert: Change
    job_end: Change
    job_forget: Change


#: What a batch writes, in this order: two processes that write the same rows never wait for each other.
WRITTEN = (
    "hold_delete",
    "account_update",
    "hold_insert",
    "transfer_insert",
    "call_insert",
    "attempt_insert",
    "cap_update",
    "claim_open",
    "claim_close",
    "claim_free",
    "hour_add",
    "day_add",
    "audit_insert",
    "job_insert",
    "job_end",
    "job_forget",
)


@cache
def statements(dialect: Dialect) -> Statements:
    """Compiles every statement of the ledger; `dialect` takes parameters by position.

    Rows and parameters: account_update (posted, held, id); hold_renew (expires, epoch); hold_checkpoint (amount, node,
    answer, id, epoch); hold_adopt (expires, epoch, node, id);
    holds_dead (now, earliest living heartbeat, limit); epochs_forget (earliest heartbeat); epoch_beat (id,
    now); inserts in the order of the table. Found: accounts (id, posted, held); holds (id, workspace, amount, caps,
    tokens, claim); transfers (idem, amount); caps and claims in the order of their tables.
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
            select(*HOLD_FOUND).order_by(hold.c.id).with_for_update(),
            hold.c.id,
        ),
        transfers=look_up(dialect, select(transfer.c.idem, transfer.c.amount_nanocredits), transfer.c.idem),
        recorded=look_up(dialect, select(call.c.request_id), call.c.request_id),
        caps=look_up(dialect, select(cap).order_by(cap.c.id).with_for_update(), cap.c.id),
        # The lock on the account of their workspace guards these.
        claims=look_up(dialect, select(claim), claim.c.workspace_id, claim.c.key),
        account_update=update_many(dialect, account, ("posted_nanocredits", "held_nanocredits"), ("id",)),
        hold_insert=insert_many(dialect, hold, tuple(name for name in _names(hold) if name not in HOLD_SO_FAR[1:])),
        hold_delete=delete_many(dialect, hold, "id"),
        hold_checkpoint=update_many(dialect, hold, HOLD_SO_FAR, ("id", "owner_epoch")),
        hold_adopt=update_many(dialect, hold, ("expires_at_ms", "owner_epoch", "node"), ("id",)),
        hold_renew=text(
            update(hold).where(hold.c.owner_epoch == bindparam("of")).values(expires_at_ms=bindparam("expires")),
            "expires",
            "of",
        ),
        holds_dead=text(_dead(), "now", "since", "most"),
        epochs_forget=text(delete(epoch).where(epoch.c.heartbeat_at_ms < bindparam("since")), "since"),
        epoch_beat=text(_beat(), "id", "heartbeat_at_ms"),
        transfer_insert=insert_many(dialect, transfer, _names(transfer)[1:]),
        call_insert=insert_many(dialect, call, CALL_COLUMNS, ignore=("request_id",)),
        attempt_insert=insert_many(dialect, attempt, _names(attempt), ignore=("request_id", "number")),
        cap_update=update_many(dialect, cap, CAP_STATE, ("id",)),
        claim_open=upsert_many(dialect, claim, _names(claim), CLAIM_KEY),
        # A key that was forgotten while its call ran may be another call's by now.
        claim_close=update_many(dialect, claim, CLAIM_OUTCOME, (*CLAIM_KEY, "request_id")),
        claim_free=delete_many(dialect, claim, *CLAIM_KEY, "request_id"),
        hour_add=upsert_many(dialect, usage_hour, _names(usage_hour), USAGE_KEY, add=True),
        day_add=upsert_many(dialect, usage_day, _names(usage_day), USAGE_KEY, add=True),
        audit_insert=insert_many(dialect, audit, _names(audit)),
        job_insert=insert_many(dialect, job, (*JOB_COLUMNS, "request")),
        job_forget=delete_many(dialect, job, "hold_id"),
        job_end=update_many(dialect, job, JOB_CHANGES, ("id",)),
    )


def _dead() -> ClauseElement:
    """Holds that nobody renews: past their time, or of a process whose heart stopped."""
    living = select(epoch.c.id).where(epoch.c.heartbeat_at_ms >= bindparam("since"))
    return (
        select(*HOLD_FOUND, hold.c.checkpoint_nanocredits, hold.c.node, hold.c.answer_id)
        .where(
            or_(
                hold.c.expires_at_ms < bindparam("now"),
                and_(hold.c.owner_epoch != literal_column(f"'{JOBS_EPOCH}'"), hold.c.owner_epoch.not_in(living)),
            )
        )
        .order_by(hold.c.id)
        .limit(bindparam("most"))
        .offset(literal_column("0"))
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
    """A call record as a row of `call`, whose columns are in the order of its fields, and then of its usage's.

    The last two of its own are its usage and its attempts, which are no columns.
    """
    return astuple(record)[:-2] + astuple(record.usage)


def attempt_rows(record: CallRecord) -> list[tuple[Any, ...]]:
    """The rows of `attempt` of a call record; none where a single attempt failed at no cost, as its row says."""
    tried = record.tried
    if len(tried) == 1 and not tried[0].cost_nanocredits:
        return []
    return [
        (record.request_id, number, one.node, one.started_at_ms, one.duration_ms, one.outcome, one.cost_nanocredits)
        for number, one in enumerate(tried, 1)
    ]
