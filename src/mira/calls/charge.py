"""The money of a call beside the relay's: a hold before it, one settlement or void after it."""

import asyncio
import logging
from collections.abc import Callable

from mira.calls.books import BOOKS_WAIT_S
from mira.collaborators import Hold, Ledger
from mira.core.call import CallRecord
from mira.core.ledger import Claim, Reserve, StoredAnswer
from mira.core.pricing import Bill
from mira.errors import MiraError

log = logging.getLogger("mira.calls")


class Charge:
    """Holds, then settles or closes, each once. Ledger operations are queued before anything is awaited."""

    def __init__(self, ledger: Ledger, record: CallRecord) -> None:
        self._ledger = ledger
        self._record = record
        self._hold: Hold | None = None
        self._over = False
        #: What failed attempts cost at their nodes: the operator pays that.
        self.attempt_cost_nanocredits = 0

    @property
    def is_open(self) -> bool:
        """Whether there is a hold that is neither settled nor given back."""
        return self._hold is not None and not self._over

    async def reserve(
        self, price_nanocredits: int, *, caps: tuple[str, ...], claim: Claim | None, tokens: int = 0
    ) -> None:
        """Sets the price aside within the limits of the caller; MiraError, or Answered for a repetition.

        `tokens` is what the call may use of the caller's token rates.
        """
        record = self._record
        self._hold = await self._ledger.reserve(
            Reserve(
                hold_id=record.request_id,
                workspace_id=record.workspace_id,
                key_id=record.key_id,
                amount_nanocredits=price_nanocredits,
                least_nanocredits=price_nanocredits,
                caps=caps,
                tokens=tokens,
                claim=claim,
                model=record.model,
            )
        )
        record.held_nanocredits = price_nanocredits

    async def durable(self) -> None:
        """Waits until the hold is on disk: nothing may be told before. MiraError STORE_DOWN where it is lost."""
        assert self._hold is not None
        await asyncio.shield(self._hold.durable)

    async def settle(
        self,
        cost_nanocredits: int,
        *,
        status: int,
        bill: Bill | None = None,
        cap_at_hold: bool = False,
        render: Callable[[int], StoredAnswer | None] | None = None,
    ) -> int:
        """Bills the call; returns the nano-credits billed once they are durable.

        `bill` is where the cost comes from, if not from a fixed price; `cap_at_hold`, `render` as in `Ledger.settle`.
        """
        assert self._hold is not None
        self._over = True
        record = self._record
        record.status = status
        record.computed_nanocredits = cost_nanocredits if bill is None else bill.computed_nanocredits
        record.reported_nanocredits = None if bill is None else bill.reported_nanocredits
        return await self._ledger.settle(
            self._hold.id,
            cost_nanocredits,
            record,
            cap_at_hold=cap_at_hold,
            attempt_cost_nanocredits=self.attempt_cost_nanocredits,
            render=render,
        )

    async def close(self, *, status: int, error: str | None) -> None:
        """Gives the hold back, if there is one, and records the outcome. Does nothing after a settlement."""
        if self._over:
            return
        self._over = True
        self._record.status = status
        self._record.error = error
        if self._hold is None:
            self._ledger.record(self._record)
            return
        try:
            async with asyncio.timeout(BOOKS_WAIT_S):
                await self._ledger.void(
                    self._hold.id, self._record, attempt_cost_nanocredits=self.attempt_cost_nanocredits
                )
        except (MiraError, TimeoutError):
            log.warning("request %s is not recorded yet: the store does not answer", self._record.request_id)
