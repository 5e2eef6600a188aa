"""The end of a job: its settlement or its refund, its record and its state, in one transaction of the ledger."""

from collections.abc import Awaitable
from typing import Any, Protocol

from mira.collaborators import Observer
from mira.core import pricing
from mira.core.call import CallRecord
from mira.core.jobs import Job, State
from mira.core.pricing import Price
from mira.core.usage import Usage

#: The status and the error under which an ended job stands in the list of calls.
_STATUS = {
    State.COMPLETED: (200, None),
    State.FAILED: (502, "upstream_failed"),
    State.CANCELLED: (499, "cancelled"),
    State.EXPIRED: (504, "upstream_timeout"),
}
PROTOCOL = "videos"


class Ledger(Protocol):
    """What a job's end needs of the ledger (see `mira.store.ledger`)."""

    def settle(
        self,
        hold_id: str,
        actual_nanocredits: int,
        record: CallRecord | None,
        *,
        cap_at_hold: bool = False,
        attempt_cost_nanocredits: int = 0,
        job: Job | None = None,
    ) -> Awaitable[int]:
        """Charges, gives the rest back, ends the job: all or nothing, and once."""


class Ends(Protocol):
    """What a job's end needs of the table of jobs."""

    async def find(self, job_id: str) -> Job | None:
        """A job as it stands."""

    async def end_alone(self, after: Job) -> None:
        """Ends a job whose hold is gone already."""


def price_of(job: Job) -> Price:
    """What a second of the job costs; a model without a price was refused, so that no price means free."""
    rate = job.rate_picocredits
    return Price(input_picocredits=0, output_picocredits=0, second_picocredits=rate, free=rate == 0, source="job")


def node_cost_nanocredits(job: Job) -> int:
    """What the work costs at its node by the price table: what the operator has to expect for nothing."""
    if job.node is None:
        return 0
    return pricing.cost_nanocredits(Usage(media_ms=job.seconds * 1000), price_of(job))


async def end(
    after: Job, node: Any | None, ledger: Ledger, jobs: Ends, observer: Observer, *, attempt_cost_nanocredits: int = 0
) -> None:
    """Ends a job as `after` says: charged where it is completed, else given back whole. Whoever is second is too late.

    `attempt_cost_nanocredits` is what the operator pays for work that nobody gets.
    """
    completed = after.state is State.COMPLETED
    usage = Usage(
        media_ms=after.seconds * 1000 if completed else 0,
        reported_cost_nanocredits=after.reported_nanocredits,
    )
    trusted = node is not None and node.trusts_cost
    bill = pricing.bill(usage, price_of(after), trusted=trusted, markup=pricing.parse_markup(after.markup))
    status, error = _STATUS[after.state]
    record = CallRecord(
        request_id=after.hold_id,
        client_request_id=after.client_request_id,
        upstream_request_id=after.upstream_id,
        workspace_id=after.workspace_id,
        key_id=after.key_id,
        face=after.face,
        protocol=PROTOCOL,
        model=after.model,
        node=after.node,
        started_at_ms=after.created_at_ms,
        duration_ms=max(after.updated_at_ms - after.created_at_ms, 0),
        attempts=after.submissions,
        status=status,
        error=error,
        usage=usage if completed else Usage(),
        held_nanocredits=after.held_nanocredits,
        computed_nanocredits=bill.computed_nanocredits if completed else 0,
        reported_nanocredits=bill.reported_nanocredits if completed else None,
    )
    await ledger.settle(
        after.hold_id,
        bill.actual_nanocredits if completed else 0,
        record,
        cap_at_hold=completed and trusted and bill.reported_nanocredits is not None,
        attempt_cost_nanocredits=attempt_cost_nanocredits,
        job=after,
    )
    stands = await jobs.find(after.id)
    if stands is not None and not stands.ended:
        # The hold ran out before: what there was to pay is paid.
        await jobs.end_alone(after)
    if stands is not None and (stands.state, stands.ended_at_ms) == (after.state, after.ended_at_ms):
        observer.began(record.request_id)
        observer.ended(record)
