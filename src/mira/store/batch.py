"""One batch of the ledger: loads the touched rows, decides on them in the order of the queue, writes the result.

A batch lives inside one transaction, and with PostgreSQL `run` is in a thread of its own: it ends no future. The
ledger's memory of live holds changes as it decides; `undo` takes back what must not stand where the transaction fails.
"""

from collections.abc import Callable
from typing import Any

from mira.core import ledger as rules
from mira.core.ledger import (
    ATTEMPT_COST,
    OVERRUN,
    REVENUE,
    SYSTEM_ACCOUNTS,
    TOPUP,
    Account,
    Reserve,
    workspace_account,
)
from mira.core.money import credits_text
from mira.errors import Kind, MiraError
from mira.store.ledger_sql import SWEEP_LIMIT, Statements, row_of
from mira.store.operations import CloseOp, FoundHold, Hold, MaintainOp, Op, RecordOp, ReserveOp, TopUpOp
from mira.store.statements import Driver

HOLD_TTL_MS = 90_000


class StaleMemoryError(Exception):
    """A hold of memory had no row: its batch is decided again from the rows."""


class Batch:
    """The operations of one transaction and everything decided about them.

    `clock` gives Unix milliseconds; without it the database's own time counts, read when the rows are locked.
    """

    def __init__(self, ops: list[Op], live: dict[str, Hold], *, epoch: str, clock: Callable[[], int] | None) -> None:
        self.ops = ops
        self.released = False
        self._maintained = False
        self._sweeps: list[CloseOp] = []
        self._live = live
        self._epoch = epoch
        self._clock = clock
        self.now_ms = 0
        self._accounts: dict[str, Account] = {}
        self._loaded: list[tuple[str, int, int]] = []
        self._opened: list[tuple[ReserveOp, Hold]] = []
        self._closed: dict[str, int] = {}
        self._refused: list[tuple[ReserveOp | TopUpOp, MiraError]] = []
        self._answers: list[tuple[Any, Any]] = []
        self._found: dict[str, FoundHold] = {}
        self._counted: dict[str, int] = {}
        self._hold_rows: list[tuple[Any, ...]] = []
        self._gone_rows: list[tuple[str]] = []
        self._transfer_rows: list[tuple[Any, ...]] = []
        self._call_rows: list[tuple[Any, ...]] = []

    def run(self, connection: Driver, sql: Statements) -> bool:
        """Decides and writes; returns whether anything was written."""
        self._look_up(connection, sql)
        self._load(connection, sql)
        for op in self.ops:
            if isinstance(op, ReserveOp):
                self._reserve(op)
            elif isinstance(op, CloseOp):
                self._close(op)
            elif isinstance(op, RecordOp):
                self._call_rows.append(row_of(op.record))
                self._answers.append((op.future, None))
            elif isinstance(op, TopUpOp):
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
        return len(self._sweeps)

    def opened(self) -> list[tuple[ReserveOp, Hold]]:
        """The holds that this batch granted."""
        return self._opened

    # Looking up what is not in memory

    def _look_up(self, connection: Driver, sql: Statements) -> None:
        closes = {op.hold_id: op for op in self.ops if isinstance(op, CloseOp) and self._is_unknown(op)}
        top_ups = {_top_up_idem(op): op for op in self.ops if isinstance(op, TopUpOp)}
        if closes or top_ups:
            idems = [*map(_settle_idem, closes), *top_ups]
            holds, transfers = connection.load((sql.holds, list(closes)), (sql.transfers, idems))
            self._found = {hold_id: FoundHold(workspace_id, amount) for hold_id, workspace_id, amount in holds}
            self._counted = dict(transfers)
        for op in self.ops:
            if isinstance(op, MaintainOp):
                self._maintain(connection, sql, op)

    def _is_unknown(self, op: CloseOp) -> bool:
        """Whether a close has to be found by its row; so it stays when it is decided again."""
        op.from_row = op.from_row or op.hold_id not in self._live
        return op.from_row

    def _maintain(self, connection: Driver, sql: Statements, op: MaintainOp) -> None:
        """Writes checkpoints; on a renewal first proves its own life, then finds the holds of the dead."""
        live = self._live
        rows = [
            (min(amount, live[hold_id].amount_nanocredits), hold_id, self._epoch)
            for hold_id, amount in op.checkpoints.items()
            if hold_id in live
        ]
        if rows:
            connection.change(sql.hold_checkpoint, rows)
        self._maintained = True
        if not op.renew:
            return
        self._read_time(connection)
        connection.execute(sql.epoch_beat, (self._epoch, self.now_ms))
        connection.execute(sql.hold_renew, (self.now_ms + HOLD_TTL_MS, self._epoch))
        dead = connection.execute(sql.holds_dead, (self.now_ms, self.now_ms - HOLD_TTL_MS, SWEEP_LIMIT, 0)).fetchall()
        self._sweeps = [CloseOp(hold_id, checkpoint, None, True, 0, None, True) for hold_id, _, _, checkpoint in dead]
        self._found.update({hold_id: FoundHold(workspace_id, amount) for hold_id, workspace_id, amount, _ in dead})

    def _load(self, connection: Driver, sql: Statements) -> None:
        """Loads and locks every account that may be touched, in the order of ids."""
        workspaces = {hold.workspace_id for hold in self._found.values()}
        live = self._live
        for op in self.ops:
            if isinstance(op, ReserveOp):
                workspaces.add(op.request.workspace_id)
            elif isinstance(op, CloseOp):
                if not op.from_row:
                    workspaces.add(live[op.hold_id].workspace_id)
            elif isinstance(op, TopUpOp):
                workspaces.add(op.workspace_id)
        if not workspaces:
            return
        ids = sorted([*SYSTEM_ACCOUNTS, *map(workspace_account, workspaces)])
        [self._loaded] = connection.load((sql.accounts, ids))
        self._read_time(connection)
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
        grant = rules.take_hold(account, request.amount_nanocredits, request.least_nanocredits)
        if grant is None:
            self._refused.append((op, no_credits(account, request)))
            return
        hold = Hold(request.hold_id, request.workspace_id, grant, op.future.get_loop().create_future())
        self._live[hold.id] = hold
        self._opened.append((op, hold))
        self._hold_rows.append(
            (hold.id, hold.workspace_id, request.key_id, grant, 0, self.now_ms + HOLD_TTL_MS, self._epoch)
        )

    def _close(self, op: CloseOp) -> None:
        hold_id = op.hold_id
        if hold_id in self._closed:
            self._answer(op, self._closed[hold_id])
            return
        memory = self._live.pop(hold_id, None)
        found = self._found.get(hold_id) if op.from_row else memory
        if found is None:
            billed_before: int = self._counted.get(_settle_idem(hold_id), 0)
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
        )
        billed = charge.billed_nanocredits
        self._closed[hold_id] = billed
        self._gone_rows.append((hold_id,))
        if billed:
            self._transfer(_settle_idem(hold_id), account_id, REVENUE, billed, workspace_id)
        if charge.overrun_nanocredits:
            self._transfer("overrun:" + hold_id, OVERRUN, REVENUE, charge.overrun_nanocredits, workspace_id)
        if op.attempt_cost_nanocredits:
            rules.move(accounts[ATTEMPT_COST], accounts[REVENUE], op.attempt_cost_nanocredits)
            self._transfer("attempt:" + hold_id, ATTEMPT_COST, REVENUE, op.attempt_cost_nanocredits, workspace_id)
        self._answer(op, billed)

    def _answer(self, op: CloseOp, billed_nanocredits: int) -> None:
        if op.record is not None:
            op.record.billed_nanocredits = billed_nanocredits
            self._call_rows.append(row_of(op.record))
        self._answers.append((op.future, billed_nanocredits))

    def _top_up(self, op: TopUpOp) -> None:
        account = self._accounts.get(workspace_account(op.workspace_id))
        idem = _top_up_idem(op)
        if account is None:
            self._refused.append((op, MiraError(Kind.NOT_FOUND, "There is no such workspace.")))
            return
        if idem in self._counted:
            self._answers.append((op.future, False))
            return
        self._counted[idem] = op.amount_nanocredits
        rules.move(self._accounts[TOPUP], account, op.amount_nanocredits)
        self._transfer(idem, TOPUP, account.id, op.amount_nanocredits, op.workspace_id)
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
        gone = connection.change(sql.hold_delete, self._gone_rows) if self._gone_rows else None
        for change, rows in (
            (sql.account_update, changed),
            (sql.hold_insert, self._hold_rows),
            (sql.transfer_insert, self._transfer_rows),
            (sql.call_insert, self._call_rows),
        ):
            if rows:
                connection.change(change, rows)
        connection.flush()
        if gone is not None and gone.rowcount != len(self._gone_rows):
            raise StaleMemoryError
        return bool(
            changed or self._hold_rows or self._gone_rows or self._transfer_rows or self._call_rows or self._maintained
        )


def no_credits(account: Account, request: Reserve) -> MiraError:
    """The 402 with its figures as decimal credits."""
    balance, held = credits_text(account.posted_nanocredits), credits_text(account.held_nanocredits)
    available, needed = credits_text(account.available_nanocredits), credits_text(request.least_nanocredits)
    return MiraError(
        Kind.NO_CREDITS,
        f"Not enough credits: this call needs {needed}, available are {available} "
        f"(balance {balance}, held for calls under way {held}).",
        details={"balance": balance, "held": held, "available": available, "needed": needed},
    )


def _settle_idem(hold_id: str) -> str:
    return "settle:" + hold_id


def _top_up_idem(op: TopUpOp) -> str:
    return f"topup:{op.workspace_id}:{op.reference}"
