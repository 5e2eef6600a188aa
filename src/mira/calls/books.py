"""What a call did cost: its usage, told or estimated, its settlement or void, and the record of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from mira.calls.call import Call
from mira.calls.pump import Pump, is_lost
from mira.codecs.codec import Tally
from mira.collaborators import Counter, Ledger
from mira.core import pricing, tokens
from mira.core.call import ANSWERED, CLIENT_LEFT_STATUS, Tried
from mira.core.fleet import Offer
from mira.core.ledger import StoredAnswer
from mira.core.usage import Usage
from mira.errors import MiraError

#: A refusal does not wait longer than this for a store that is down; its entry stays queued.
BOOKS_WAIT_S = 1.0

log = logging.getLogger("mira.relay")


class Books:
    """Closes every call exactly once. Ledger operations are queued before anything is awaited."""

    def __init__(self, ledger: Ledger, counter: Counter, monotonic_s: Callable[[], float]) -> None:
        self._ledger = ledger
        self._counter = counter
        self._monotonic_s = monotonic_s

    def settle(
        self,
        call: Call,
        offer: Offer,
        usage: Usage,
        *,
        status: int,
        error: MiraError | None = None,
        render: Callable[[int], StoredAnswer | None] | None = None,
    ) -> Awaitable[int]:
        """Charges what was used; returns the nano-credits billed once they are durable.

        `render` makes what is kept where the call has an Idempotency-Key.
        """
        record, attempt, hold = call.record, call.attempt, call.hold
        price, trusted = offer.price, offer.node.trusts_cost
        assert price is not None
        assert hold is not None
        bill = pricing.bill(usage, price, trusted=trusted, markup=offer.markup)
        computed, reported = bill.computed_nanocredits, bill.reported_nanocredits
        call.settled = True
        record.usage = usage
        record.computed_nanocredits = computed
        record.reported_nanocredits = reported
        record.status = status
        if error is not None:
            record.error = error.kind.name.lower()
        record.duration_ms = int((self._monotonic_s() - call.started_s) * 1000)
        told = reported if trusted else None
        if attempt is not None:
            spent = computed if told is None else told
            if offer.own_price is not None:
                spent = _charged(usage, offer)
            attempt.spent_nanocredits = spent
            unsaid = trusted and reported is None and spent != computed
            if (record.tried or unsaid) and len(record.tried) < record.attempts:
                self.tried(call, "client_left" if status == CLIENT_LEFT_STATUS else record.error or ANSWERED)
        return self._ledger.settle(
            hold.id,
            bill.actual_nanocredits,
            record,
            # A cost that only the node vouches for is never more than what was set aside.
            cap_at_hold=told is not None,
            attempt_cost_nanocredits=call.attempt_cost_nanocredits,
            render=render if call.claim else None,
        )

    async def close(self, call: Call, *, status: int, error: str | None) -> None:
        """Voids the hold of a call that delivered nothing, and records the outcome."""
        if call.settled:
            return
        call.settled = True
        hold, call.hold = call.hold, None
        if hold is not None:
            hold.on_lost = None
        record = call.record
        record.status = status
        record.error = error
        record.duration_ms = int((self._monotonic_s() - call.started_s) * 1000)
        if 0 < len(record.tried) < record.attempts:
            self.tried(call, error or ANSWERED)
        if not call.placed or call.shed:
            return  # nobody's row, or one of a flood that must cost little
        try:
            if hold is not None:
                # Who lost its hold to a store that is down would only wait in vain; the void is queued all the same.
                async with asyncio.timeout(0 if is_lost(hold) else BOOKS_WAIT_S):
                    await self._ledger.void(hold.id, record, attempt_cost_nanocredits=call.attempt_cost_nanocredits)
            else:
                self._ledger.record(record)
        except (MiraError, TimeoutError):
            log.warning("request %s is not recorded yet: the store does not answer", record.request_id)

    def tried(self, call: Call, outcome: str) -> None:
        """Notes on the record what became of the call's present attempt."""
        record, attempt = call.record, call.attempt
        assert record.node is not None
        assert attempt is not None
        record.tried += (
            Tried(
                node=record.node,
                outcome=outcome,
                started_at_ms=record.started_at_ms + int((attempt.started_s - call.started_s) * 1000),
                duration_ms=int((self._monotonic_s() - attempt.started_s) * 1000),
                cost_nanocredits=attempt.spent_nanocredits,
            ),
        )

    def attempt_cost(self, call: Call, offer: Offer, usage: Usage | None, *, late: bool = False) -> None:
        """Notes what a failed attempt used at its node, as far as the node told: the operator pays that.

        One that was given up because the node was `late` did not hear what it is charged. Where the node keeps a
        statement with which that can be compared, the input by its size is noted.
        """
        if usage is None:
            if not (late and offer.node.keeps_statement):
                return
            usage = Usage(input_tokens=_rough_prompt_tokens(call), estimated=True)
        cost_nanocredits = _charged(usage, offer)
        call.attempt_cost_nanocredits += cost_nanocredits
        if call.attempt is not None:
            call.attempt.spent_nanocredits += cost_nanocredits

    async def estimate(self, call: Call, tally: Tally) -> Usage:
        """The usage of an answer whose node told none: the request's tokens and those of the content so far."""
        told = tally.prompt
        prompt = Usage(input_tokens=await self._prompt_tokens(call)) if told is None else replace(told, output_tokens=0)
        text = "".join(tally.text)
        try:
            counted = await self._counter.count_text(call.record.model, text) if text else 0
        except MiraError:
            counted = tokens.rough_tokens(len(text))
        return replace(prompt, output_tokens=tokens.delivered_tokens(tally.deltas, counted), estimated=True)

    def checkpoint(self, call: Call, pump: Pump) -> None:
        """Tells the ledger what a running stream has cost so far: what a crash would charge.

        The prompt counts by its size: a tokenizer at work for every long stream would cost more than that is worth.
        """
        price = pump.offer.price
        if call.hold is None or price is None or price.free:
            return
        so_far = Usage(input_tokens=_rough_prompt_tokens(call), output_tokens=pump.stream.tally().deltas)
        cost_nanocredits = pricing.cost_nanocredits(so_far, price, pump.offer.markup)
        node = pump.offer.node
        cost_nanocredits = min(cost_nanocredits, call.hold.amount_nanocredits)
        self._ledger.checkpoint(
            call.hold.id, cost_nanocredits, node.name if node.remembers else None, pump.stream.answer_id
        )

    async def _prompt_tokens(self, call: Call) -> int:
        """The request's tokens; by its size where nobody can count, so that no bill waits for a counter."""
        envelope = call.envelope
        if call.prompt_tokens is None:
            try:
                call.prompt_tokens = await self._counter.count_request(call.record.model, envelope.fields)
            except MiraError:
                call.prompt_tokens = tokens.rough_tokens(envelope.input_bytes)
        return call.prompt_tokens


def was_late(broken: BaseException) -> bool:
    """Whether an exchange that failed had reached the node and ran out of time."""
    return getattr(broken, "phase", "") in ("timeout-head", "timeout-idle", "timeout-total")


def _rough_prompt_tokens(call: Call) -> int:
    """The request's tokens without asking a tokenizer."""
    return call.prompt_tokens or tokens.rough_tokens(call.envelope.input_bytes)


def _charged(usage: Usage, offer: Offer) -> int:
    """What the node charged us, in nano-credits: its own word, else its own price; no markup of ours."""
    price = offer.own_price or offer.price
    if price is None:
        return 0
    return pricing.charged_nanocredits(usage, price, trusted=offer.node.trusts_cost)
