"""One batch of the ledger: loads the touched rows, decides on them in the order of the queue, writes the result.

A batch lives inside one transaction, and with PostgreSQL `run` is in a thread of its own: it ends no future. The
ledger's memory of live holds changes as it decides; `undo` takes back what must not stand where the transaction fails.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from msgspec.structs import astuple, replace

from mira.core import ledger as rules
from mira.core.call import CallRecord
from mira.core.ledger import (
    ATTEMPT_COST,
    OVERRUN,
    REVENUE,
    TOPUP,
    Account,
    Answered,
    Doubt,
    workspace_account,
)
from mira.core.money import MAX_NANOCREDITS
from mira.core.refusals import no_credits
from mira.errors import Kind, MiraError
from mira.store.audit import row_of as audit_row
from mira.store.caps import Caps
from mira.store.claims import Claims
from mira.store.job_rows import ended_row, opened_row
from mira.store.ledger_sql import JOBS_EPOCH, WRITTEN, Statements, attempt_rows, row_of
from mira.store.operations import (
    CloseOp,
    FoundHold,
    Hold,
    MaintainOp,
    Op,
    RecordOp,
    ReserveOp,
    TopUpOp,
    found_hold,
    lost_call,
    settle_idem,
)
from mira.store.statements import Driver
from mira.store.survey import Touched, survey
from mira.store.upkeep import HOLD_TTL_MS, find_dead, keep_checkpoints
from mira.store.usage_sums import usage_rows


class StaleMemoryError(Exception):
    """A hold of memory had no row: its batch is decided again from the rows."""


class Batch:
    """The operations of one transaction and everything decided about them.

    `durable` is the future of the holds that it grants. `clock` gives Unix milliseconds; without it the database's own
    time counts, read when the rows are locked. `sweep` lets maintenance end the holds of the dead, `asks` take over
    those whose cost a node may know (`doubts`).
    """

    def __init__(
        self,
        ops: list[Op],
        live: dict[str, Hold],
        *,
        epoch: str,
        durable: asyncio.Future[None],
        clock: Callable[[], int] | None = None,
        sweep: bool = True,
        asks: bool = False,
    ) -> None:
        self.ops = ops
        self.durable = durable
        #: calls that cost the operator, by id: nano-credits to overrun, nano-credits of failed attempts
        self.losses: dict[str, tuple[int, int]] = {}
        self.doubts: list[Doubt] = []
        self.released = False
        self.opened: list[tuple[ReserveOp, Hold]] = []
        self._maintained = False
        self._sweeps: list[CloseOp] = []
        self._live = live
        self._epoch = epoch
        self._clock = clock
        self._may_sweep = sweep
        self._asks = asks
        self._now_ms = 0
        self._loaded: list[tuple[str, int, int]] = []
        self._accounts: dict[str, Account] = {}
        self._found: dict[str, FoundHold] = {}
        self._counted: dict[str, int] = {}
        self._recorded: set[str] = set()
        self._caps = Caps()
        self._claims = Claims()
        self._closed: dict[str, int] = {}
        self._refused: list[tuple[ReserveOp | TopUpOp, MiraError | Answered]] = []
        self._answers: list[tuple[Any, Any]] = []
        self._records: dict[str, CallRecord] = {}
        #: what to write: rows by the name of the statement
        self._rows: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)

    def run(self, connection: Driver, sql: Statements) -> bool:
        """Decides and writes; returns whether anything was written."""
        self._load(connection, sql)
        # By their exact types: `isinstance` takes a detour for each class of structs that an operation is not of.
        for op in self.ops:
            if type(op) is ReserveOp:
                self._reserve(op)
            elif type(op) is CloseOp:
                billed = self._close(op)
                record = op.record
                if record is not None:
                    record.billed_nanocredits = billed
                    self._records.setdefault(record.request_id, record)
                self._answers.append((op.future, billed))
            elif type(op) is RecordOp:
                self._records.setdefault(op.record.request_id, op.record)
                self._answers.append((op.future, None))
            elif type(op) is TopUpOp:
                self._top_up(op)
            else:
                self._answers.append((op.future, None))
        for sweep in self._sweeps:
            self._close(sweep)
        return self._write(connection, sql)

    def tell(self) -> list[Hold]:
        """Answers what need not wait for the disk: holds and refusals. Returns the holds whose askers have left."""
        self.released = True
        left = []
        for op, hold in self.opened:
            if op.future.done():
                left.append(hold)
            else:
                op.future.set_result(hold)
        for refused, error in self._refused:
            if not refused.future.done():
                refused.future.set_exception(error)
        return left

    def succeed(self) -> None:
        """Answers what waited for the disk."""
        if not self.durable.done():
            self.durable.set_result(None)
        for future, value in self._answers:
            if future is not None and not future.done():
                future.set_result(value)

    def undo(self) -> None:
        """Forgets the holds that it granted. Those it closed stay forgotten: they are found again by their rows."""
        for _, hold in self.opened:
            self._live.pop(hold.id, None)

    @property
    def swept(self) -> int:
        """How many dead holds it found."""
        return len(self._sweeps) + len(self.doubts)

    # Loading

    def _load(self, connection: Driver, sql: Statements) -> None:
        """Loads what is touched, and locks every account and cap of it, in the order of ids."""
        touched = survey(self.ops, self._live)
        workspaces, caps = touched.workspaces, touched.caps
        if touched.closes or touched.top_ups or touched.records:
            self._look_up(connection, sql, touched)
        for chore in touched.chores:
            self._maintain(connection, sql, chore)
            touched.closes_holds |= bool(self._sweeps)
        for found in self._found.values():
            workspaces.add(found.workspace_id)
            caps.update(found.caps)
        if not workspaces:
            return
        self._loaded, limits, claimed = connection.load(
            (sql.accounts, touched.account_ids()), (sql.caps, sorted(caps)), (sql.claims, touched.claims)
        )
        self._read_time(connection)
        for row in self._loaded:
            self._accounts[row[0]] = Account(*row)
        self._caps.take_in(limits, self._now_ms)
        self._claims.take_in(claimed, self._now_ms)

    def _look_up(self, connection: Driver, sql: Statements, touched: Touched) -> None:
        """Finds by their rows what is not in memory, or not to be trusted there."""
        closes = [*touched.closes]
        holds, transfers, recorded = connection.load(
            (sql.holds, closes),
            (sql.transfers, [*map(settle_idem, closes), *touched.top_ups]),
            (sql.recorded, [*closes, *touched.records]),
        )
        self._found = {hold_id: found_hold(*row) for hold_id, *row in holds}
        self._counted = dict(transfers)
        self._recorded = {request_id for (request_id,) in recorded}

    def _maintain(self, connection: Driver, sql: Statements, op: MaintainOp) -> None:
        """Writes checkpoints and proves its own life; on a renewal finds the holds of the dead."""
        self._maintained = True
        keep_checkpoints(connection, sql, self._epoch, op.checkpoints, self._live)
        self._read_time(connection)
        connection.execute(sql.epoch_beat, (self._epoch, self._now_ms))
        if not op.renew:
            return
        connection.execute(sql.hold_renew, (self._now_ms + HOLD_TTL_MS, self._epoch))
        if self._may_sweep:
            dead = find_dead(connection, sql, self._epoch, self._now_ms, asks=self._asks)
            self.doubts += dead.doubts
            self._sweeps += dead.sweeps
            self._found |= dead.found

    def _read_time(self, connection: Driver) -> None:
        self._now_ms = connection.now_ms() if self._clock is None else self._clock()

    # Deciding

    def _reserve(self, op: ReserveOp) -> None:
        if op.future.done():
            return
        request = op.request
        hold_id, workspace_id, caps, claim = request.hold_id, request.workspace_id, request.caps, request.claim
        least, room, tokens = request.least_nanocredits, MAX_NANOCREDITS, request.tokens
        try:
            account = self._accounts.get("workspace:" + workspace_id)
            if account is None:
                raise MiraError(Kind.NOT_FOUND, "There is no such workspace.")
            if hold_id in self._live or hold_id in self._closed:
                raise MiraError(Kind.CONFLICT, "This request is already under way.")
            if claim is not None:
                self._claims.check(workspace_id, claim)
            # Who lacks credits is told so first, whatever the limits would say.
            if caps and account.available_nanocredits >= least:
                room, tokens = self._caps.admit(request)
            grant = rules.take_hold(account, request.amount_nanocredits, least, room)
            if grant is None:
                raise no_credits(account, least)
        except (MiraError, Answered) as refusal:
            self._refused.append((op, refusal))
            return
        key = names = None
        if caps:
            self._caps.take(caps, grant, tokens)
            names = " ".join(caps)
        if claim is not None:
            key = claim.key
            self._claims.open(request, claim)
        hold = Hold(hold_id, workspace_id, grant, self.durable, caps, tokens, key)
        until_ms, epoch = self._now_ms + HOLD_TTL_MS, self._epoch
        if request.opening is None:
            self._live[hold_id] = hold
        else:
            # Any process may end it, so nobody has it in memory.
            until_ms, epoch = request.opening.until_ms, JOBS_EPOCH
            self._rows["job_insert"].append(opened_row(request.opening.job, request.opening.request))
        self.opened.append((op, hold))
        self._rows["hold_insert"].append(
            (hold_id, workspace_id, request.key_id, grant, 0, until_ms, epoch, names, tokens, key, request.model)
        )

    def _close(self, op: CloseOp) -> int:
        """Ends a hold; returns what is billed, or was billed before."""
        hold_id = op.hold_id
        if hold_id in self._closed:
            return self._closed[hold_id]
        found: Hold | FoundHold | None = self._live.pop(hold_id, None)
        if op.from_row:
            found = self._found.get(hold_id)
        if found is None:
            billed = self._closed[hold_id] = self._counted.get(settle_idem(hold_id), 0)
            return billed
        caps, held = found.caps, found.amount_nanocredits
        account = self._accounts["workspace:" + found.workspace_id]
        billed = rules.close_hold(
            account,
            self._accounts[REVENUE],
            hold_nanocredits=held,
            actual_nanocredits=op.actual_nanocredits,
            capped=op.capped,
            room_nanocredits=self._caps.room(caps) if caps else MAX_NANOCREDITS,
        )
        self._closed[hold_id] = billed
        self._rows["hold_delete"].append((hold_id,))
        if billed:
            self._rows["transfer_insert"].append(
                ("settle:" + hold_id, account.id, REVENUE, billed, found.workspace_id, self._now_ms)
            )
        overrun = op.actual_nanocredits - billed
        if overrun or op.attempt_cost_nanocredits:
            self._bear(op, overrun, found.workspace_id)
        if caps:
            used = found.tokens if op.swept else op.used_tokens
            self._caps.give_back(caps, held, billed, found.tokens, used)
        if op.from_row:
            self._close_found(op, self._found[hold_id], billed)
        elif found.claim is not None:
            self._claims.close(op, found, billed)
        return billed

    def _close_found(self, op: CloseOp, found: FoundHold, billed_nanocredits: int) -> None:
        """What else ends with a hold that this process did not have in memory: a job, or the call of a dead process."""
        if found.owner_epoch != JOBS_EPOCH:
            self._claims.close(op, found, billed_nanocredits)
        # Whoever ends the hold ends its job; who comes later changes neither. Its claim was answered at the start.
        elif op.job is not None:
            self._rows["job_end"].append(ended_row(replace(op.job, billed_nanocredits=billed_nanocredits)))
        elif not op.swept:
            # Its client was told that there is no such job, since nobody knew whether it had been written.
            self._rows["job_forget"].append((op.hold_id,))
            self._claims.close(op, found, billed_nanocredits)
        if op.swept and billed_nanocredits and op.record is None:
            lost = lost_call(op.hold_id, found, billed_nanocredits, self._now_ms)
            self._records.setdefault(lost.request_id, lost)

    def _bear(self, op: CloseOp, overrun_nanocredits: int, workspace_id: str) -> None:
        """Books what a call costs the operator."""
        overrun = self._lose(OVERRUN, "overrun:" + op.hold_id, overrun_nanocredits, workspace_id)
        attempts = self._lose(ATTEMPT_COST, "attempt:" + op.hold_id, op.attempt_cost_nanocredits, workspace_id)
        self.losses[op.hold_id] = overrun, attempts

    def _lose(self, account_id: str, idem: str, amount_nanocredits: int, workspace_id: str) -> int:
        if not amount_nanocredits:
            return 0
        booked = rules.bear(self._accounts[account_id], self._accounts[REVENUE], amount_nanocredits)
        if booked:
            self._transfer(idem, account_id, REVENUE, booked, workspace_id)
        return booked

    def _top_up(self, op: TopUpOp) -> None:
        account = self._accounts.get(workspace_account(op.workspace_id))
        idem = op.idem
        if account is None:
            self._refused.append((op, MiraError(Kind.NOT_FOUND, "There is no such workspace.")))
            return
        if idem in self._counted:
            self._answers.append((op.future, False))
            return
        self._counted[idem] = op.amount_nanocredits
        rules.move(self._accounts[TOPUP], account, op.amount_nanocredits)
        self._transfer(idem, TOPUP, account.id, op.amount_nanocredits, op.workspace_id)
        if op.entry is not None:
            self._rows["audit_insert"].append(audit_row(op.entry))
        self._answers.append((op.future, True))

    def _transfer(self, idem: str, debit: str, credit: str, amount_nanocredits: int, workspace_id: str) -> None:
        self._rows["transfer_insert"].append((idem, debit, credit, amount_nanocredits, workspace_id, self._now_ms))

    # Writing

    def _write(self, connection: Driver, sql: Statements) -> bool:
        rows = self._rows
        changed = {*map(astuple, self._accounts.values())}.difference(self._loaded)
        rows["account_update"] = [(posted, held, account_id) for account_id, posted, held in sorted(changed)]
        rows["cap_update"] = self._caps.changed()
        rows |= self._claims.changed()
        if self._records:
            self._write_calls()
        cursors = {name: connection.change(getattr(sql, name), rows[name]) for name in filter(rows.get, WRITTEN)}
        connection.flush()
        gone = cursors.get("hold_delete")
        if gone is not None and gone.rowcount != len(rows["hold_delete"]):
            raise StaleMemoryError
        return self._maintained or bool(cursors)

    def _write_calls(self) -> None:
        """The rows of calls that are not stored yet, and what they add to the sums of usage."""
        rows, recorded = self._rows, self._recorded
        fresh = [record for record in self._records.values() if record.request_id not in recorded]
        rows["call_insert"] = calls = [*map(row_of, fresh)]
        rows["attempt_insert"] = [row for record in fresh if record.tried for row in attempt_rows(record)]
        rows["hour_add"], rows["day_add"] = usage_rows(calls, self.losses)
