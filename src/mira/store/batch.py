"""One batch of the ledger: loads the touched rows, decides on them in the order of the queue, writes the result.

A batch lives inside one transaction. The ledger's memory of live holds changes as it decides; `undo` takes back
what must not stand where the transaction fails.
"""

from typing import Any

from mira.core import ledger as rules
from mira.core.call import CallRecord
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
from mira.store.ledger_sql import SWEEP_LIMIT, WIDTHS, Statements, attempt_rows, row_of
from mira.store.operations import CloseOp, FoundHold, Hold, MaintainOp, Op, RecordOp, ReserveOp, TopUpOp
from mira.store.statements import Driver

HOLD_TTL_MS = 90_000


class StaleMemoryError(Exception):
    """A hold of memory had no row: its batch is decided again from the rows."""


class Batch:
    """The operations of one transaction and everything decided about them."""

    def __init__(self, ops: list[Op], live: dict[str, Hold], *, epoch: str, now_ms: int) -> None:
        self.ops = ops
        self.released = False
        self._maintained = False
        self._sweeps: list[CloseOp] = []
        self._live = live
        self._epoch = epoch
        self.now_ms = now_ms
        self._accounts: dict[str, Account] = {}
        self._loaded: list[tuple[str, int, int]] = []
        self._opened: list[tuple[ReserveOp, Hold]] = []
        self._closed: dict[str, int] = {}
        self._refused: list[tuple[ReserveOp, MiraError]] = []
        self._answers: list[tuple[Any, Any]] = []
        self._hold_rows: list[tuple[Any, ...]] = []
        self._gone_rows: list[tuple[str]] = []
        self._transfer_rows: list[tuple[Any, ...]] = []
        self._call_rows: list[tuple[Any, ...]] = []
        self._attempt_rows: list[tuple[Any, ...]] = []

    def run(self, connection: Driver, sql: Statements) -> bool:
        """Decides and writes; returns whether anything was written. Refusals and holds are told before the commit."""
        self._look_up(connection, sql)
        self._load(connection, sql)
        for op in self.ops:
            if isinstance(op, ReserveOp):
                self._reserve(op)
            elif isinstance(op, CloseOp):
                self._close(op)
            elif isinstance(op, RecordOp):
                self._record(op.record)
                self._answers.append((op.future, None))
            elif isinstance(op, TopUpOp):
                self._top_up(op)
            else:
                self._answers.append((op.future, None))
        for sweep in self._sweeps:
            self._close(sweep)
        wrote = self._write(connection, sql)
        self._release()
        return wrote

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
        for op in self.ops:
            if isinstance(op, CloseOp):
                if op.from_row or op.hold_id not in self._live:
                    self._find(connection, sql, op)
            elif isinstance(op, TopUpOp):
                op.counted_before = connection.execute(sql.transfer_find, (_top_up_idem(op),)).fetchone() is not None
            elif isinstance(op, MaintainOp):
                self._maintain(connection, sql, op)

    def _find(self, connection: Driver, sql: Statements, op: CloseOp) -> None:
        op.from_row, op.found, op.billed_before_nanocredits = True, None, 0
        row = connection.execute(sql.hold_find, (op.hold_id,)).fetchone()
        if row is not None:
            op.found = FoundHold(*row)
            return
        billed = connection.execute(sql.transfer_find, (_settle_idem(op.hold_id),)).fetchone()
        if billed is not None:
            op.billed_before_nanocredits = billed[0]

    def _maintain(self, connection: Driver, sql: Statements, op: MaintainOp) -> None:
        """Writes checkpoints; on a renewal first proves its own life, then finds the holds of the dead."""
        live = self._live
        rows = [
            (min(amount, live[hold_id].amount_nanocredits), hold_id, self._epoch)
            for hold_id, amount in op.checkpoints.items()
            if hold_id in live
        ]
        connection.executemany(sql.hold_checkpoint, rows)
        self._maintained = True
        if not op.renew:
            return
        connection.execute(sql.epoch_beat, (self._epoch, self.now_ms))
        connection.execute(sql.hold_renew, (self.now_ms + HOLD_TTL_MS, self._epoch))
        dead = connection.execute(sql.holds_dead, (self.now_ms, self.now_ms - HOLD_TTL_MS, SWEEP_LIMIT, 0)).fetchall()
        self._sweeps = [
            CloseOp(hold_id, checkpoint, None, True, 0, None, True, FoundHold(workspace_id, amount))
            for hold_id, workspace_id, amount, checkpoint in dead
        ]

    def _load(self, connection: Driver, sql: Statements) -> None:
        """Loads and locks every account that may be touched, in the order of ids."""
        workspaces = set()
        live = self._live
        for op in self.ops:
            if isinstance(op, ReserveOp):
                workspaces.add(op.request.workspace_id)
            elif isinstance(op, CloseOp):
                hold = op.found if op.from_row else live[op.hold_id]
                if hold is not None:
                    workspaces.add(hold.workspace_id)
            elif isinstance(op, TopUpOp):
                workspaces.add(op.workspace_id)
        workspaces.update(sweep.found.workspace_id for sweep in self._sweeps if sweep.found is not None)
        if not workspaces:
            return
        ids = sorted([*SYSTEM_ACCOUNTS, *map(workspace_account, workspaces)])
        width = next((width for width in WIDTHS if len(ids) <= width), WIDTHS[-1])
        text = sql.accounts[width]
        for start in range(0, len(ids), width):
            part = ids[start : start + width]
            part += part[-1:] * (width - len(part))
            rows = connection.execute(text, part).fetchall()
            self._loaded += rows
            for account_id, posted, held in rows:
                self._accounts[account_id] = Account(account_id, posted, held)

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
        found = op.found if op.from_row else memory
        if found is None:
            self._closed[hold_id] = op.billed_before_nanocredits
            self._answer(op, op.billed_before_nanocredits)
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
            self._record(op.record)
        self._answers.append((op.future, billed_nanocredits))

    def _record(self, record: CallRecord) -> None:
        self._call_rows.append(row_of(record))
        if record.tried:
            self._attempt_rows += attempt_rows(record)

    def _top_up(self, op: TopUpOp) -> None:
        account = self._accounts.get(workspace_account(op.workspace_id))
        idem = _top_up_idem(op)
        if account is None:
            if not op.future.done():
                op.future.set_exception(MiraError(Kind.NOT_FOUND, "There is no such workspace."))
            return
        if op.counted_before or any(row[0] == idem for row in self._transfer_rows):
            self._answers.append((op.future, False))
            return
        rules.move(self._accounts[TOPUP], account, op.amount_nanocredits)
        self._transfer(idem, TOPUP, account.id, op.amount_nanocredits, op.workspace_id)
        self._answers.append((op.future, True))

    def _transfer(self, idem: str, debit: str, credit: str, amount_nanocredits: int, workspace_id: str) -> None:
        self._transfer_rows.append((idem, debit, credit, amount_nanocredits, workspace_id, self.now_ms))

    # Writing and telling

    def _write(self, connection: Driver, sql: Statements) -> bool:
        changed = []
        for account_id, posted, held in self._loaded:
            account = self._accounts[account_id]
            if account.posted_nanocredits != posted or account.held_nanocredits != held:
                changed.append((account.posted_nanocredits, account.held_nanocredits, account_id))
        if changed:
            connection.executemany(sql.account_update, changed)
        if self._hold_rows:
            connection.executemany(sql.hold_insert, self._hold_rows)
        if self._gone_rows and connection.executemany(sql.hold_delete, self._gone_rows).rowcount != len(
            self._gone_rows
        ):
            raise StaleMemoryError
        if self._transfer_rows:
            connection.executemany(sql.transfer_insert, self._transfer_rows)
        if self._call_rows:
            connection.executemany(sql.call_insert, self._call_rows)
        if self._attempt_rows:
            connection.executemany(sql.attempt_insert, self._attempt_rows)
        return bool(
            changed or self._hold_rows or self._gone_rows or self._transfer_rows or self._call_rows or self._maintained
        )

    def _release(self) -> None:
        self.released = True
        for op, hold in self._opened:
            if not op.future.done():
                op.future.set_result(hold)
        for op, error in self._refused:
            if not op.future.done():
                op.future.set_exception(error)


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
