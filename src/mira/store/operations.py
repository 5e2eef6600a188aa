"""What callers ask of the ledger, as the records that wait in its queue."""

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from mira.core.call import CallRecord
from mira.core.jobs import Job
from mira.core.ledger import Reserve, StoredAnswer
from mira.store.audit import Entry

#: Renders what a call's client is sent, once the billed nano-credits are known; None where it was sent nothing.
Render = Callable[[int], StoredAnswer | None]


class Hold(Struct):
    """Credits set aside. `durable` ends when the hold is on disk; MiraError STORE_DOWN where it never will be.

    All holds of a batch share it: whoever awaits it shields it, or would cancel it for the others.
    Until then the call may be sent upstream, but nothing of its answer may reach the client. `tokens` is what was
    reserved of token rates: less than was wished for where a limit is smaller. `caps` are the ids of the limits that
    count this call, `claim` the client's Idempotency-Key. `on_lost` is called where the hold never will be on disk.
    """

    id: str
    workspace_id: str
    amount_nanocredits: int
    durable: asyncio.Future[None]
    caps: tuple[str, ...] = ()
    tokens: int = 0
    claim: str | None = None
    on_lost: Callable[[], object] | None = None


class FoundHold(Struct, frozen=True):
    """A hold as its row tells it, for one that this process does not hold in memory."""

    workspace_id: str
    amount_nanocredits: int
    caps: tuple[str, ...] = ()
    tokens: int = 0
    claim: str | None = None
    key_id: str = ""
    model: str = ""
    owner_epoch: str = ""


def found_hold(workspace_id: str, amount_nanocredits: int, caps: str | None, *others: Any) -> FoundHold:
    """A hold of its row's columns."""
    return FoundHold(workspace_id, amount_nanocredits, tuple(caps.split()) if caps else (), *others)


def settle_idem(hold_id: str) -> str:
    """What the transfer that settles a hold is known by."""
    return "settle:" + hold_id


class Checkpoint(Struct, frozen=True):
    """What a call has cost so far, and where known: the node that could be asked, and what it calls its answer."""

    amount_nanocredits: int
    node: str | None = None
    answer_id: str | None = None


class ReserveOp(Struct):
    """A reserve in the queue."""

    request: Reserve
    future: asyncio.Future[Hold]


class CloseOp(Struct):
    """A settlement, or a void where the cost is 0. `from_row` distrusts memory and asks the database for the hold.

    `swept` is set where the call's process is dead. `job` is the job that ends with its hold, as it is then.
    """

    hold_id: str
    actual_nanocredits: int
    record: CallRecord | None
    capped: bool
    attempt_cost_nanocredits: int
    future: asyncio.Future[int] | None
    render: Render | None = None
    job: Job | None = None
    from_row: bool = False
    swept: bool = False

    @property
    def used_tokens(self) -> int:
        """What its call used of token rates."""
        usage = self.record.usage if self.record is not None else None
        return usage.prompt_tokens + usage.completion_tokens if usage is not None else 0


class RecordOp(Struct):
    """A call record without a hold. `again` is set where an earlier try may have stored it."""

    record: CallRecord
    future: asyncio.Future[None]
    again: bool = False


class TopUpOp(Struct):
    """A payment. `entry` goes into the audit log with it, where it counts."""

    workspace_id: str
    amount_nanocredits: int
    reference: str
    future: asyncio.Future[bool]
    entry: Entry | None = None

    @property
    def idem(self) -> str:
        """What its transfer is known by: the same payment told twice counts once."""
        return f"topup:{self.workspace_id}:{self.reference}"


class MaintainOp(Struct):
    """Writes the checkpoints; with `renew` also renews this process's holds and sweeps those of dead ones."""

    renew: bool
    checkpoints: dict[str, Checkpoint]
    future: asyncio.Future[None] | None


Op = ReserveOp | CloseOp | RecordOp | TopUpOp | MaintainOp


def lost_call(hold_id: str, hold: FoundHold, billed_nanocredits: int, now_ms: int) -> CallRecord:
    """All that is known of a call whose process died: enough to tell its customer what it paid for."""
    return CallRecord(
        request_id=hold_id,
        workspace_id=hold.workspace_id,
        key_id=hold.key_id,
        face="",
        protocol="",
        model=hold.model,
        started_at_ms=now_ms,
        status=500,
        error="lost",
        held_nanocredits=hold.amount_nanocredits,
        billed_nanocredits=billed_nanocredits,
    )
