"""One batch of the ledger: loads the touched rows, decides on them in the order of the queue, writes the result.

A batch lives inside one transaction, and with PostgreSQL `run` is in a thread of its own: it ends no future. The
ledger's memory of live holds changes as it decides; `undo` takes back what must not stand where the transaction fails.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from mira.core import ledger as rules
from mira.core.call import CallRecord
from mira.core.ledger import (
    ATTEMPT_COST,
    OVERRUN,
    REVENUE,
    SYSTEM_ACCOUNTS,
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
from mira.store.ledger_sql import JOBS_EPOCH, SWEEP_LIMIT, Statements, attempt_rows, row_of
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
from mira.store.usage_sums import DAY_MS, HOUR_MS, UsageSums

HOLD_TTL_MS = 90_000
#: A process whose heart has not beaten for so long is dead. Its holds are gone 90 s after it at the latest.
DEAD_AFTER_MS = 60_000
#: How long the call of a dead process waits for its node's word; the life that it has so long is named so.
ASK_MS = 20_000
ASKING = "?"


class StaleMemoryError(Exception):
    """A hold of memory had no row: its batch is decided again from the rows."""


class Batch:
    """The operations of one transaction and everything decided about them.

    `clock` gives Unix milliseconds; without it the database's own time counts, read when the rows are locked. `sweep`
    lets maintenance end the holds of the dead, `asks` take over those whose cost a node may know (`doubts`).
    """

    def __init__(
        self,
        ops: list[Op],
        live: dict[str, Hold],
        *,
        epoch: str,
        clock: Callable[[], int] | None = None,
        sweep: bool = True,
        asks: bool = False,
    ) -> None:
        self.ops = ops
        #: calls that cost the operator: id, nano-credits to overrun, nano-credits of failed attempts
        self.losses: list[tuple[str, int, int]] = []
        self.doubts: list[Doubt] = []
        self.released = False
        self._maintained = False
        self._sweeps: list[CloseOp] = []
        self._live = live
        self._epoch = epoch
        self._clock = clock
        self._may_sweep = sweep
        self._asks = asks
        self.now_ms = 0
        self._accounts: dict[str, Account] = {}
        self._loaded: list[tuple[str, int, int]] = []
        self._opened: list[tuple[ReserveOp, Hold]] = []
        self._closed: dict[str, int] = {}
        self._refused: list[tuple[ReserveOp | TopUpOp, MiraError | Answered]] = []
        self._caps = Caps()
        self._claims = Claims()
        self._usage = UsageSums()
        self._recorded: set[str] = set()
        self._answers: list[tuple[Any, Any]] = []
        self._found: dict[str, FoundHold] = {}
        self._counted: dict[str, int] = {}
        self._hold_rows: list[tuple[Any, ...]] = []
        self._gone_rows: list[tuple[str]] = []
        self._transfer_rows: list[tuple[Any, ...]] = []
        self._call_rows: list[tuple[Any, ...]] = []
        self._attempt_rows: list[tuple[Any, ...]] = []
        self._audit_rows: list[tuple[Any, ...]] = []
        self._job_rows: list[tuple[Any, ...]] = []
        self._ended_rows: list[tuple[Any, ...]] = []
        self._forgotten_rows: list[tuple[str]] = []

    def run(self, connection: Driver, sql: Statements) -> bool:
        """Decides and writes; returns whether anything was written."""
        self._look_up(connection, sql)
        self._load(connection, sql)
        # By their exact types: `isinstance` takes a detour for each class of structs that an operation is not of.
        for op in self.ops:
            if type(op) is ReserveOp:
                self._reserve(op)
            elif type(op) is CloseOp:
                self._close(op)
            elif type(op) is RecordOp:
                self._record(op.record, 0, 0)
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
        for op, hold in self._opened:
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
        for _, hold in self._opened:
            if not hold.durable.done():
                hold.durable.set_result(None)
        for future, value in self._answers:
            if future is not None and not future.done():
                future.set_result(value)

    def undo(self) -> None:
        """Forgets the holds that it granted. Those it closed stay forgotten: they are found again by their rows."""
        for _, hold in self._opened:
            self._live.pop(hold.id, None)

    @property
    def swept(self) -> int:
        """How many dead holds it found."""
        return len(self._sweeps) + len(self.doubts)

    def opened(self) -> list[tuple[ReserveOp, Hold]]:
        """The holds that this batch granted."""
        return self._opened

    # Looking up what is not in memory

    def _look_up(self, connection: Driver, sql: Statements) -> None:
        closes: dict[str, None] = {}
        top_ups: dict[str, None] = {}
        records: list[str] = []
        chores: list[MaintainOp] = []
        for op in self.ops:
            if type(op) is CloseOp:
                if self._is_unknown(op):
                    closes[op.hold_id] = None
            elif type(op) is TopUpOp:
                top_ups[op.idem] = None
            elif type(op) is RecordOp:
                if op.again:
                    records.append(op.record.request_id)
            elif type(op) is MaintainOp:
                chores.append(op)
        if closes or top_ups or records:
            idems = [*map(settle_idem, closes), *top_ups]
            holds, transfers, recorded = connection.load(
                (sql.holds, list(closes)), (sql.transfers, idems), (sql.recorded, [*closes, *records])
            )
            self._found = {hold_id: found_hold(*row) for hold_id, *row in holds}
            self._counted = dict(transfers)
            self._recorded = {request_id for (request_id,) in recorded}
        for chore in chores:
            self._maintain(connection, sql, chore)

    def _is_unknown(self, op: CloseOp) -> bool:
        """Whether a close has to be found by its row; so it stays when it is decided again."""
        op.from_row = op.from_row or op.hold_id not in self._live
        return op.from_row

    def _maintain(self, connection: Driver, sql: Statements, op: MaintainOp) -> None:
        """Writes checkpoints and proves its own life; on a renewal finds the holds of the dead."""
        live = self._live
        rows = [
            (
                min(so_far.amount_nanocredits, live[hold_id].amount_nanocredits),
                so_far.node,
                so_far.answer_id,
                hold_id,
                self._epoch,
            )
            for hold_id, so_far in op.checkpoints.items()
            if hold_id in live
        ]
        if rows:
            connection.change(sql.hold_checkpoint, rows)
        self._maintained = True
        self._read_time(connection)
        connection.execute(sql.epoch_beat, (self._epoch, self.now_ms))
        if not op.renew:
            return
        connection.execute(sql.hold_renew, (self.now_ms + HOLD_TTL_MS, self._epoch))
        if not self._may_sweep:
            return
        connection.execute(sql.epochs_forget, (self.now_ms - DEAD_AFTER_MS,))
        dead = connection.execute(sql.holds_dead, (self.now_ms, self.now_ms - DEAD_AFTER_MS, SWEEP_LIMIT)).fetchall()
        for *row, checkpoint, node, answer_id in dead:
            hold_id, found = row[0], found_hold(*row[1:])
            if self._asks and node is not None:
                owner = (hold_id, found.workspace_id, found.key_id, found.model, found.amount_nanocredits)
                self.doubts.append(Doubt(*owner, checkpoint, node, answer_id))
            else:
                self._sweeps.append(CloseOp(hold_id, checkpoint, None, True, 0, None, True, True))
                self._found[hold_id] = found
        if self.doubts:
            # Theirs is now a life that ends by itself, and no node is left to ask: whatever becomes of this process,
            # the next sweep after that charges the checkpoint.
            asker, until_ms = self._epoch + ASKING, self.now_ms + HOLD_TTL_MS
            connection.execute(sql.epoch_beat, (asker, self.now_ms - DEAD_AFTER_MS + ASK_MS))
            connection.change(sql.hold_adopt, [(until_ms, asker, None, doubt.hold_id) for doubt in self.doubts])

    def _load(self, connection: Driver, sql: Statements) -> None:
        """Loads and locks every account and cap that may be touched, in the order of ids, and the claims asked for."""
        workspaces = {hold.workspace_id for hold in self._found.values()}
        caps = {cap for hold in self._found.values() for cap in hold.caps}
        claims = []
        live = self._live
        for op in self.ops:
            if type(op) is ReserveOp:
                request = op.request
                workspaces.add(request.workspace_id)
                if request.caps:
                    caps.update(request.caps)
                if request.claim is not None:
                    claims.append((request.workspace_id, request.claim.key))
            elif type(op) is CloseOp:
                if not op.from_row:
                    hold = live[op.hold_id]
                    workspaces.add(hold.workspace_id)
                    if hold.caps:
                        caps.update(hold.caps)
            elif type(op) is TopUpOp:
                workspaces.add(op.workspace_id)
        if not workspaces:
            return
        ids = sorted([*SYSTEM_ACCOUNTS, *map(workspace_account, workspaces)])
        self._loaded, limits, claimed = connection.load(
            (sql.accounts, ids), (sql.caps, sorted(caps)), (sql.claims, claims)
        )
        self._read_time(connection)
        self._caps.take_in(limits, self.now_ms)
        self._claims.take_in(claimed, self.now_ms)
        for account_id, posted, held in self._loaded:
            self._accounts[account_id] = Account(account_id, posted, held)

    def _read_time(self, connection: Driver) -> None:
        self.now_ms = connection.now_ms() if self._clock is None else self._clock()

    # Deciding

    def _reserve(self, op: ReserveOp) -> None:
        if op.future.done():
            return
        request = op.request
        account = self._accounts.get(workspace_account(request.workspace_id))
        if account is None:
            self._refused.append((op, MiraError(Kind.NOT_FOUND, "There is no such workspace.")))
            return
        if request.hold_id in self._live or request.hold_id in self._closed:
            self._refused.append((op, MiraError(Kind.CONFLICT, "This request is already under way.")))
            return
        room, tokens = MAX_NANOCREDITS, request.tokens
        try:
            self._claims.check(request)
            if account.available_nanocredits < request.least_nanocredits:
                raise no_credits(account, request.least_nanocredits)
            if request.caps:
                room, tokens = self._caps.admit(request)
        except (MiraError, Answered) as refusal:
            self._refused.append((op, refusal))
            return
        grant = rules.take_hold(account, request.amount_nanocredits, request.least_nanocredits, room)
        assert grant is not None
        self._caps.take(request.caps, grant, tokens)
        self._claims.open(request)
        claim = request.claim.key if request.claim is not None else None
        until_ms, epoch = self.now_ms + HOLD_TTL_MS, self._epoch
        durable = op.future.get_loop().create_future()
        hold = Hold(request.hold_id, request.workspace_id, grant, durable, request.caps, tokens, claim)
        if request.opening is None:
            self._live[hold.id] = hold
        else:
            # Any process may end it, so nobody has it in memory.
            until_ms, epoch = request.opening.until_ms, JOBS_EPOCH
            self._job_rows.append(opened_row(request.opening.job, request.opening.request))
        self._opened.append((op, hold))
        caps = " ".join(request.caps) or None
        owner = (hold.id, hold.workspace_id, request.key_id)
        self._hold_rows.append((*owner, grant, 0, until_ms, epoch, caps, tokens, claim, request.model))

    def _close(self, op: CloseOp) -> None:
        hold_id = op.hold_id
        if hold_id in self._closed:
            self._answer(op, self._closed[hold_id])
            return
        memory = self._live.pop(hold_id, None)
        found = self._found.get(hold_id) if op.from_row else memory
        if found is None:
            billed_before: int = self._counted.get(settle_idem(hold_id), 0)
            self._closed[hold_id] = billed_before
            self._answer(op, billed_before)
            return
        workspace_id = found.workspace_id
        account_id = workspace_account(workspace_id)
        accounts = self._accounts
        charge = rules.close_hold(
            accounts[account_id],
            accounts[REVENUE],
            accounts[OVERRUN],
            hold_nanocredits=found.amount_nanocredits,
            actual_nanocredits=op.actual_nanocredits,
            capped=op.capped,
            room_nanocredits=self._caps.room(found.caps) if found.caps else MAX_NANOCREDITS,
        )
        billed = charge.billed_nanocredits
        self._closed[hold_id] = billed
        self._gone_rows.append((hold_id,))
        if billed:
            self._transfer(settle_idem(hold_id), account_id, REVENUE, billed, workspace_id)
        if charge.overrun_nanocredits:
            self._transfer("overrun:" + hold_id, OVERRUN, REVENUE, charge.overrun_nanocredits, workspace_id)
        if op.attempt_cost_nanocredits:
            rules.move(accounts[ATTEMPT_COST], accounts[REVENUE], op.attempt_cost_nanocredits)
            self._transfer("attempt:" + hold_id, ATTEMPT_COST, REVENUE, op.attempt_cost_nanocredits, workspace_id)
        if found.caps:
            used = found.tokens if op.swept else op.used_tokens
            self._caps.give_back(found.caps, found.amount_nanocredits, billed, found.tokens, used)
        if type(found) is FoundHold and found.owner_epoch == JOBS_EPOCH:
            self._close_job(op, found, billed)
        else:
            self._claims.close(op, found, billed)
        if op.swept and billed and op.record is None and isinstance(found, FoundHold):
            self._record(lost_call(hold_id, found, billed, self.now_ms), 0, 0)
        if charge.overrun_nanocredits or op.attempt_cost_nanocredits:
            self.losses.append((hold_id, charge.overrun_nanocredits, op.attempt_cost_nanocredits))
        self._answer(op, billed, charge.overrun_nanocredits)

    def _close_job(self, op: CloseOp, found: FoundHold, billed_nanocredits: int) -> None:
        """Whoever ends the hold ends its job; who comes later changes neither. Its claim was answered at the start."""
        if op.job is not None:
            self._ended_rows.append(ended_row(replace(op.job, billed_nanocredits=billed_nanocredits)))
        elif not op.swept:
            # Its client was told that there is no such job, since nobody knew whether it had been written.
            self._forgotten_rows.append((op.hold_id,))
            self._claims.close(op, found, billed_nanocredits)

    def _answer(self, op: CloseOp, billed_nanocredits: int, overrun_nanocredits: int = 0) -> None:
        if op.record is not None:
            op.record.billed_nanocredits = billed_nanocredits
            self._record(op.record, overrun_nanocredits, op.attempt_cost_nanocredits)
        self._answers.append((op.future, billed_nanocredits))

    def _record(self, record: CallRecord, overrun_nanocredits: int, attempt_cost_nanocredits: int) -> None:
        """Stores a call and counts it, once."""
        if record.request_id not in self._recorded:
            self._recorded.add(record.request_id)
            self._call_rows.append(row_of(record))
            if record.tried:
                self._attempt_rows += attempt_rows(record)
            self._usage.add(record, overrun_nanocredits, attempt_cost_nanocredits)

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
            self._audit_rows.append(audit_row(op.entry))
        self._answers.append((op.future, True))

    def _transfer(self, idem: str, debit: str, credit: str, amount_nanocredits: int, workspace_id: str) -> None:
        self._transfer_rows.append((idem, debit, credit, amount_nanocredits, workspace_id, self.now_ms))

    # Writing

    def _write(self, connection: Driver, sql: Statements) -> bool:
        changed = []
        for account_id, posted, held in self._loaded:
            account = self._accounts[account_id]
            if account.posted_nanocredits != posted or account.held_nanocredits != held:
                changed.append((account.posted_nanocredits, account.held_nanocredits, account_id))
        claims = self._claims.changed()
        gone = connection.change(sql.hold_delete, self._gone_rows) if self._gone_rows else None
        for change, rows in (
            (sql.account_update, changed),
            (sql.hold_insert, self._hold_rows),
            (sql.transfer_insert, self._transfer_rows),
            (sql.call_insert, self._call_rows),
            (sql.attempt_insert, self._attempt_rows),
            (sql.cap_update, self._caps.changed()),
            (sql.claim_open, claims[0]),
            (sql.claim_close, claims[1]),
            (sql.claim_free, claims[2]),
            (sql.hour_add, self._usage.rows(HOUR_MS)),
            (sql.day_add, self._usage.rows(DAY_MS)),
            (sql.audit_insert, self._audit_rows),
            (sql.job_insert, self._job_rows),
            (sql.job_end, self._ended_rows),
            (sql.job_forget, self._forgotten_rows),
        ):
            if rows:
                connection.change(change, rows)
        connection.flush()
        if gone is not None and gone.rowcount != len(self._gone_rows):
            raise StaleMemoryError
        return bool(
            changed or self._hold_rows or self._gone_rows or self._transfer_rows or self._call_rows or self._maintained
        )
