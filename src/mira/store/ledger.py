"""The ledger: the only place where money changes. Operations queue, and one batch at a time is decided and committed.

A reserve is answered as soon as its batch has decided; its `durable` future, and every other answer, waits for the
disk. When a commit fails or its outcome is unknown, its reserves are refused and voided by id later, never decided
again; settlements, voids and records are queued again until they are in. The memory of live holds spares the database a
look; a batch that finds it wrong is decided again from the rows.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, delete, select

from mira.core.call import CallRecord
from mira.core.jobs import Job
from mira.core.ledger import Doubt, Reserve, workspace_account
from mira.core.money import MAX_NANOCREDITS, credits_text
from mira.errors import Kind, MiraError
from mira.store import invariants
from mira.store.audit import Entry
from mira.store.batch import Batch, StaleMemoryError
from mira.store.database import Database
from mira.store.failures import Failure, store_down
from mira.store.ledger_sql import SWEEP_LIMIT, statements
from mira.store.operations import Checkpoint, CloseOp, Hold, MaintainOp, Op, RecordOp, Render, ReserveOp, TopUpOp
from mira.store.schema import account, epoch
from mira.store.statements import Driver

MAX_BATCH = 1024
CHECKPOINT_S = 5.0
#: A heartbeat is every second checkpoint, with a renewal of the holds and a sweep of dead ones.
CHECKPOINTS_PER_BEAT = 2
#: A database that was away makes every heart look still. So nobody is declared dead by a process that has not had the
#: database for this long itself, in which the others come back too.
PATIENCE_S = 10.0
FIRST_RETRY_S, LAST_RETRY_S = 0.05, 1.0
#: The check reads every row of the ledger.
CHECK_TIMEOUT_S = 600.0

log = logging.getLogger("mira.ledger")


class Ledger:
    """Reserves, settles and voids holds; counts payments. Belongs to the event loop that starts it.

    `epoch_id` names this process's life and is never used again. `clock` gives Unix milliseconds; without it the
    database's own time counts, as it must where several processes share one. `patience_s` is how long it must have had
    a shared database before it ends the holds of other processes. `on_batch` hears of each batch that stands: how many
    operations, how many seconds. `on_doubt` hears of each call of a dead process whose node may know what it did cost,
    and has to end it (`close_lost`); without it all of those are charged their checkpoint.
    """

    def __init__(
        self,
        database: Database,
        *,
        epoch_id: str,
        clock: Callable[[], int] | None = None,
        patience_s: float = PATIENCE_S,
        on_batch: Callable[[int, float], object] = lambda _, __: None,
        on_doubt: Callable[[Doubt], object] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._epoch_id = epoch_id
        self._on_batch = on_batch
        self._on_doubt = on_doubt
        self._began_s = 0.0
        self._sql = statements(database.dialect)
        self._queue: deque[Op] = deque()
        self._live: dict[str, Hold] = {}
        self._checkpoints: dict[str, Checkpoint] = {}
        self._batch: Batch | None = None
        self._scheduled = False
        self._down = False
        self._closed = False
        self._retry_s = FIRST_RETRY_S
        self._patience_s = patience_s if database.shared else 0.0
        self._patient_until_s = 0.0
        self._singles = 0
        self._ticks = 0
        self.size = 0
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._idle: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop

    async def start(self) -> None:
        """Opens this process's epoch and sweeps what dead ones left.

        One process has a SQLite file at a time, so every other epoch there is of a dead one.
        """
        self._loop = asyncio.get_running_loop()
        self._patient_until_s = self._loop.time() + self._patience_s
        if not self._database.shared:
            await self._database.write(lambda connection: connection.execute(delete(epoch)).rowcount)
        await self.maintain()
        self._timers["tick"] = self._loop.call_later(CHECKPOINT_S, self._tick)

    async def close(self, timeout_s: float = 5.0) -> None:
        """Writes what is queued and ends the epoch; from then on everything is refused with STORE_DOWN.

        What a failing disk keeps out within the timeout is swept at the next start.
        """
        tick = self._timers.pop("tick", None)
        if tick is not None:
            tick.cancel()
        if self._scheduled or self._queue:
            self._idle = self._loop.create_future()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle, timeout_s)
        self._closed = True
        self._refuse_all()
        with suppress(MiraError):
            await self._database.write(self._close_epoch)

    def _close_epoch(self, connection: Connection) -> None:
        connection.execute(delete(epoch).where(epoch.c.id == self._epoch_id))

    async def reserve(self, request: Reserve) -> Hold:
        """Holds credits; returns once decided, before it is durable (see `Hold.durable`).

        MiraError NO_CREDITS and BUDGET_EXCEEDED (402) and RATE_LIMITED (429) with their figures; CONFLICT where the
        id or its Idempotency-Key is under way, KEY_REUSED; STORE_DOWN. `Answered` where it was answered before.
        ValueError where the amounts are not 0 <= least <= amount within 64 bits.
        """
        if not 0 <= request.least_nanocredits <= request.amount_nanocredits <= MAX_NANOCREDITS:
            raise ValueError("a hold needs 0 <= least <= amount within 64 bits")
        if self._down:
            raise store_down()
        future: asyncio.Future[Hold] = self._loop.create_future()
        self._enqueue(ReserveOp(request, future))
        try:
            return await future
        except asyncio.CancelledError:
            # Decided in the same moment as its caller left: nobody else would ever close it.
            if future.done() and not future.cancelled() and future.exception() is None:
                self._enqueue(CloseOp(request.hold_id, 0, None, False, 0, None))
            raise

    def settle(
        self,
        hold_id: str,
        actual_nanocredits: int,
        record: CallRecord | None,
        *,
        cap_at_hold: bool = False,
        attempt_cost_nanocredits: int = 0,
        render: Render | None = None,
        job: Job | None = None,
    ) -> asyncio.Future[int]:
        """Charges a call and ends its hold; tells what was billed, once durable. Also done where the caller leaves.

        Billed is min(actual, hold + free balance), or min(actual, hold) with `cap_at_hold` (costs that only the
        upstream vouches for); the rest goes to `overrun`. `attempt_cost_nanocredits` is what failed attempts cost, the
        operator's; of both no more is booked than `mira.core.ledger.bear` says. The record is stored with
        `billed_nanocredits` filled in, once: a second settlement or void of the same hold changes nothing and returns
        what was billed (0 where there never was such a hold). For a call with an Idempotency-Key `render` makes the
        answer that is kept in the same transaction. `job` is the ended job of the hold: its row changes with it, unless
        somebody else has ended it before.
        """
        if not 0 <= actual_nanocredits <= MAX_NANOCREDITS or attempt_cost_nanocredits < 0:
            raise ValueError("an amount is neither negative nor beyond 64 bits")
        future: asyncio.Future[int] = self._loop.create_future()
        self._enqueue(
            CloseOp(hold_id, actual_nanocredits, record, cap_at_hold, attempt_cost_nanocredits, future, render, job)
        )
        return future

    async def void(self, hold_id: str, record: CallRecord | None, *, attempt_cost_nanocredits: int = 0) -> None:
        """Ends a hold without a charge; otherwise as `settle`."""
        await self.settle(hold_id, 0, record, attempt_cost_nanocredits=attempt_cost_nanocredits)

    def record(self, record: CallRecord) -> asyncio.Future[None]:
        """Stores the record of a call that never had a hold; the future may be awaited or dropped."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._enqueue(RecordOp(record, future))
        return future

    def checkpoint(
        self, hold_id: str, amount_nanocredits: int, node: str | None = None, answer_id: str | None = None
    ) -> None:
        """Remembers what a call has cost so far: what its customer is charged if this process dies.

        `node` is one that can be asked then what it did cost in the end, `answer_id` what it calls its answer.
        """
        if hold_id in self._live:
            self._checkpoints[hold_id] = Checkpoint(amount_nanocredits, node, answer_id)

    async def close_lost(self, record: CallRecord, actual_nanocredits: int) -> None:
        """Ends the hold of a call whose process died, at its hold at most, and records it; see `on_doubt`."""
        future: asyncio.Future[int] = self._loop.create_future()
        self._enqueue(
            CloseOp(record.request_id, actual_nanocredits, record, True, 0, future, from_row=True, swept=True)
        )
        await future

    async def top_up(
        self, workspace_id: str, amount_nanocredits: int, reference: str, entry: Entry | None = None
    ) -> bool:
        """Counts a payment, once per reference; False where it was counted before. MiraError NOT_FOUND, STORE_DOWN.

        `entry` goes into the audit log in the same transaction, where the payment counts.
        """
        if not 0 < amount_nanocredits <= MAX_NANOCREDITS:
            raise ValueError("a payment is more than 0 and within 64 bits")
        future: asyncio.Future[bool] = self._loop.create_future()
        self._enqueue(TopUpOp(workspace_id, amount_nanocredits, reference, future, entry))
        return await future

    async def maintain(self) -> None:
        """Writes checkpoints, renews this process's holds and sweeps dead ones; a timer does so every 10 s."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._enqueue(MaintainOp(True, self._take_checkpoints(), future))
        await future

    async def balance(self, workspace_id: str) -> tuple[int, int]:
        """Posted and held nano-credits of a workspace; MiraError NOT_FOUND."""
        query = select(account.c.posted_nanocredits, account.c.held_nanocredits).where(
            account.c.id == workspace_account(workspace_id)
        )
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            raise MiraError(Kind.NOT_FOUND, "There is no such workspace.")
        return row[0], row[1]

    def held(self) -> tuple[int, int]:
        """How many holds this process has, and their nano-credits."""
        return len(self._live), sum(hold.amount_nanocredits for hold in self._live.values())

    async def check(self) -> dict[str, object]:
        """Every invariant of the ledger with its figures: `{"ok": bool, "invariants": {...}}`."""
        clock = self._clock or self._database.now_ms

        return await self._database.read(
            lambda connection: invariants.check(connection, now_ms=clock()), CHECK_TIMEOUT_S
        )

    # A batch, as a job of the database's writer

    def prepare(self) -> None:
        """Takes up to 1,024 operations from the queue."""
        queue = self._queue
        count = min(len(queue), 1 if self._singles else MAX_BATCH)
        if count == len(queue):
            ops = [*queue]
            queue.clear()
        else:
            ops = [queue.popleft() for _ in range(count)]
        self.size = count
        self._began_s = self._loop.time()
        sweep = self._began_s >= self._patient_until_s
        asks = self._on_doubt is not None
        durable = self._loop.create_future()
        self._batch = Batch(
            ops, self._live, epoch=self._epoch_id, durable=durable, clock=self._clock, sweep=sweep, asks=asks
        )

    def run(self, connection: Driver) -> bool:
        """Decides and writes them."""
        assert self._batch is not None
        return self._batch.run(connection, self._sql)

    def tell(self) -> None:
        """Answers reserves; what was granted to one who has left meanwhile is voided."""
        assert self._batch is not None
        for hold in self._batch.tell():
            self._enqueue(CloseOp(hold.id, 0, None, False, 0, None))

    def done(self, error: BaseException | None) -> None:
        """Answers the batch, or undoes it and queues again what must not be lost."""
        batch, self._batch = self._batch, None
        late = self._timers.pop("late", None)
        if late is not None:
            late.cancel()
        self._down = False
        if error is None:
            assert batch is not None
            self._succeeded(batch)
        else:
            self._failed(batch, error)
        self._scheduled = False
        if self._closed:
            self._refuse_all()
        elif self._queue and not self._down:
            self._schedule()
        elif self._idle is not None and not self._queue and not self._idle.done():
            self._idle.set_result(None)

    def _succeeded(self, batch: Batch) -> None:
        self._retry_s = FIRST_RETRY_S
        self._singles = max(0, self._singles - 1)
        self._on_batch(len(batch.ops), self._loop.time() - self._began_s)
        batch.succeed()
        for call_id, (overrun, attempts) in batch.losses.items():
            log.warning(
                "request %s cost the operator %s credits beyond what its customer could pay, %s for failed attempts",
                call_id,
                credits_text(overrun),
                credits_text(attempts),
            )
        if self._on_doubt is not None:
            for doubt in batch.doubts:
                self._on_doubt(doubt)
        if batch.swept >= SWEEP_LIMIT:
            self._queue.append(MaintainOp(True, {}, None))

    def _failed(self, batch: Batch | None, error: BaseException) -> None:
        if batch is not None:
            batch.undo()
        failure = self._database.failure(error)
        if batch is None or batch.released or failure is Failure.DOWN:
            self._fall_down(batch)
        elif isinstance(error, StaleMemoryError) or failure is Failure.AGAIN or _trusting(batch, failure):
            self._requeue([_distrusted(op) for op in batch.ops])
        elif len(batch.ops) > 1:
            # One row is wrong: each operation alone, so that the others go through.
            self._singles = len(batch.ops)
            self._requeue(batch.ops)
        else:
            self._singles = max(0, self._singles - 1)
            self._reject(batch.ops[0], error, taken=failure is Failure.TAKEN)

    def _fall_down(self, batch: Batch | None) -> None:
        """The database does not work: refuse what may be refused, keep the rest, try again soon."""
        again: list[Op] = []
        granted = {id(op): hold for op, hold in batch.opened} if batch is not None and batch.released else {}
        for op in [*(batch.ops if batch is not None else ()), *self._queue]:
            if isinstance(op, ReserveOp):
                hold = granted.get(id(op))
                if hold is not None:
                    _lose(hold)
                    again.append(CloseOp(hold.id, 0, None, False, 0, None, from_row=True))
                else:
                    _fail(op.future)
            elif isinstance(op, TopUpOp):
                _fail(op.future)
            elif isinstance(op, MaintainOp):
                if op.future is not None:
                    _fail(op.future)
                for hold_id, amount in op.checkpoints.items():
                    self._checkpoints.setdefault(hold_id, amount)
            else:
                again.append(_distrusted(op))
        self._queue = deque(again)
        self._down = True
        self._timers["retry"] = self._loop.call_later(self._retry_s, self._rise)
        self._retry_s = min(2 * self._retry_s, LAST_RETRY_S)

    def _rise(self) -> None:
        """Tries the database again, with proof of life first; reserves are refused until that is in."""
        self._timers.pop("retry", None)
        self._patient_until_s = self._loop.time() + self._patience_s
        self._queue.appendleft(MaintainOp(True, self._take_checkpoints(), None))
        if not self._scheduled:
            self._schedule()

    def _late(self) -> None:
        """The database does not answer: refuses whom it may, now and until it does. The batch itself goes on."""
        self._down = True
        batch = self._batch
        for op in [*(batch.ops if batch is not None else ()), *self._queue]:
            if isinstance(op, (ReserveOp, TopUpOp)):
                self._refuse(op)
        if batch is not None and batch.released:
            for _, hold in batch.opened:
                _lose(hold)
                self._queue.append(CloseOp(hold.id, 0, None, False, 0, None, from_row=True))

    def _reject(self, op: Op, error: BaseException, *, taken: bool) -> None:
        """An operation that fails alone is refused; a charge is tried once more without its record."""
        if isinstance(op, CloseOp) and op.record is not None:
            op.record = None
            self._requeue([_distrusted(op)])
            return
        if op.future is not None and not op.future.done():
            known = taken and isinstance(op, ReserveOp)
            op.future.set_exception(MiraError(Kind.CONFLICT, "This request is already under way.") if known else error)
            op.future.exception()

    def _requeue(self, ops: list[Op]) -> None:
        self._queue.extendleft(reversed(ops))

    def _enqueue(self, op: Op) -> None:
        if self._closed:
            self._refuse(op)
            return
        self._queue.append(op)
        if not self._scheduled and not self._down:
            self._schedule()

    def _refuse(self, op: Op) -> None:
        if op.future is not None:
            _fail(op.future)

    def _refuse_all(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        while self._queue:
            self._refuse(self._queue.popleft())

    def _schedule(self) -> None:
        self._scheduled = True
        if self._database.shared:
            # A batch that takes longer counts as one that will not come: nobody has heard of it in a second.
            self._timers["late"] = self._loop.call_later(self._database.late_s, self._late)
        self._database.submit(self)

    def _tick(self) -> None:
        self._ticks += 1
        renew = self._ticks % CHECKPOINTS_PER_BEAT == 0
        if renew or self._checkpoints:
            self._enqueue(MaintainOp(renew, self._take_checkpoints(), None))
        self._timers["tick"] = self._loop.call_later(CHECKPOINT_S, self._tick)

    def _take_checkpoints(self) -> dict[str, Checkpoint]:
        taken, self._checkpoints = self._checkpoints, {}
        return taken


def _trusting(batch: Batch, failure: Failure) -> bool:
    """Whether a close that relied on memory may be what broke a rule: another process may have closed its hold."""
    return failure is Failure.TAKEN and any(isinstance(op, CloseOp) and not op.from_row for op in batch.ops)


def _distrusted(op: Op) -> Op:
    if isinstance(op, CloseOp):
        op.from_row = True
    elif isinstance(op, RecordOp):
        op.again = True
    return op


def _lose(hold: Hold) -> None:
    _fail(hold.durable)
    if hold.on_lost is not None:
        hold.on_lost()
        hold.on_lost = None


def _fail(future: "asyncio.Future[Any]") -> None:
    if not future.done():
        future.set_exception(store_down())
        # Marked as seen: whoever waits still gets it, and one that nobody waits for is no news to the loop.
        future.exception()
