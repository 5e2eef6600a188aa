"""Asks nodes for media, one after another until something is made: the rules of `mira.core` for one call."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from mira.calls.books import was_late
from mira.calls.call import AttemptFailed, printable
from mira.calls.media_call import MediaCall, Opened
from mira.calls.media_choice import Choice
from mira.calls.media_pieces import Pieces
from mira.calls.routing import refused, soonest, trouble_of
from mira.codecs.media.shape import Made, NothingMadeError, Outgoing, Reader, Received, Shape, Target
from mira.collaborators import Node, Response
from mira.core import media, pricing
from mira.core.call import Tried
from mira.core.deadlines import Timeouts, for_attempt
from mira.core.fleet import Balancer, Need, Offer
from mira.core.health import Trouble
from mira.core.pricing import Price
from mira.core.retrying import MAX_ATTEMPTS
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

MAX_ANSWER_BYTES = 128 * 2**20
HELD_BACK_BYTES = 64 * 1024
#: Media take longer than the first token of a text.
LEAST_HEAD_S = 300.0
LEAST_TOTAL_S = 900.0


class Asker:
    """Asks nodes. `monotonic_s` is a steady clock."""

    def __init__(self, balancer: Balancer, monotonic_s: Callable[[], float]) -> None:
        self._balancer = balancer
        self._monotonic_s = monotonic_s

    async def ask(self, call: MediaCall, choice: Choice) -> Made | Opened:
        """Asks one node after another until something is made."""
        route = choice.route
        self._balancer.budget.request()
        need = Need(stream=call.wish.stream, media=call.wish.bound)
        tried: list[Any] = []
        last: MiraError | None = None
        while True:
            try:
                offer = self._balancer.choose(route, tried, self._monotonic_s(), need)
            except MiraError as none_left:
                raise soonest(last, none_left) from None
            tried.append(offer.node)
            call.record.attempts = len(tried)
            call.record.node = offer.node.name
            call.offer = offer
            call.attempt = self._balancer.begin(offer, self._monotonic_s(), need)
            try:
                return await self._attempt(call, offer, others=len(tried) < min(MAX_ATTEMPTS, len(route.offers)))
            except AttemptFailed as failure:
                last = failure.error
                self.failed(call, failure)
                if failure.trouble is Trouble.INNOCENT or not self._may_retry(call, len(tried), len(route.offers)):
                    raise last from None
            finally:
                if not call.flowing:
                    call.attempt.over(self._monotonic_s())

    async def _attempt(self, call: MediaCall, offer: Offer, *, others: bool) -> Made | Opened:
        node: Node = offer.node
        shape = node.media(call.wish.output)
        assert shape is not None
        timeouts = self._timeouts(call, node, others=others)
        try:
            if call.wish.stream and shape.open_stream is not None:
                response = await self._post(call, shape, call.request, timeouts)
                try:
                    opened = await self._open(call, shape.open_stream(call.request), response)
                except BaseException:
                    response.close()
                    raise
                call.flowing = True
                return opened
            parts = shape.parts(call.request) if shape.parts is not None else (call.request,)
            made = await self._together(call, shape, parts, timeouts)
        except MiraError as error:
            raise AttemptFailed(error, trouble_of(error)) from None
        except (AttemptFailed, asyncio.CancelledError):
            raise
        except Exception as broken:  # noqa: BLE001 - whatever the transport says, the attempt failed
            if was_late(broken) and node.keeps_statement:
                self.lost(call, charged_nanocredits(call, call.wish.brought, price_of(call, None)))
            fault = node.fault(broken)
            raise AttemptFailed(fault, trouble_of(fault)) from None
        self.succeeded(call)
        whole = made[0] if len(made) == 1 else shape.join(made)
        assert call.attempt is not None
        call.attempt.spent_nanocredits += _charged_for(call, whole)
        return whole

    async def _post(self, call: MediaCall, shape: Shape, request: Any, timeouts: Timeouts) -> Response:
        """Sends a request in the node's shape; its answer with a status of success, else AttemptFailed."""
        assert call.offer is not None
        node, model = call.offer.node, call.offer.upstream_model
        outgoing: Outgoing = shape.render(request, Target(model, node.dialect))
        call.dropped = (*call.wish.surplus, *outgoing.dropped)
        response: Response = await node.post(
            outgoing.path,
            outgoing.body,
            call.record.request_id,
            model=model,
            passed=None,
            timeouts=timeouts,
            via=call.via,
            content_type=outgoing.content_type,
        )
        call.record.upstream_request_id = printable(response.header(b"x-request-id"))
        if 200 <= response.status < 300:
            return response
        try:
            raise refused(shape, response, await response.read(HELD_BACK_BYTES))
        finally:
            response.close()

    async def _read(self, call: MediaCall, shape: Shape, request: Any, timeouts: Timeouts) -> Made:
        response = await self._post(call, shape, request, timeouts)
        try:
            received = Received(
                body=await response.read(MAX_ANSWER_BYTES),
                content_type=response.header(b"content-type") or "",
                cost=response.header(b"x-mira-cost"),
            )
        finally:
            response.close()
        try:
            return shape.read(received, request)
        except NothingMadeError as nothing:
            self.lost(call, charged_nanocredits(call, nothing.usage, price_of(call, None)))
            raise

    async def _together(self, call: MediaCall, shape: Shape, parts: Sequence[Any], timeouts: Timeouts) -> list[Made]:
        """What was made of all parts. Where one fails, the error of the first that did.

        The others are waited for all the same: their node makes and charges them, whoever listens.
        """
        if len(parts) == 1:
            return [await self._read(call, shape, parts[0], timeouts)]
        tasks = [asyncio.create_task(self._read(call, shape, part, timeouts)) for part in parts]
        try:
            await asyncio.wait(tasks)
            return [task.result() for task in tasks]
        except BaseException:
            for task in tasks:
                task.cancel()
            for done in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(done, Made):
                    self.lost(call, _charged_for(call, done))
            raise

    async def _open(self, call: MediaCall, reader: Reader, response: Response) -> Opened:
        """Reads a stream up to the first that was made; what fails before may be tried elsewhere."""
        pieces = Pieces(response)
        first = b""
        while not reader.has_content:
            data = await pieces.next()
            first += reader.close() if data is None else reader.feed(data)
            if reader.failed is not None:
                raise reader.failed
            if data is None and not reader.has_content:
                raise MiraError(Kind.UPSTREAM_FAILED, "the upstream's answer is empty")
        assert call.attempt is not None
        call.attempt.content(self._monotonic_s())
        call.record.first_content_ms = self.elapsed_ms(call)
        return Opened(first, reader, pieces)

    def elapsed_ms(self, call: MediaCall) -> int:
        """Milliseconds since the request came."""
        return int((self._monotonic_s() - call.started_s) * 1000)

    def _timeouts(self, call: MediaCall, node: Node, *, others: bool) -> Timeouts:
        own = node.timeouts
        head_s = None if own.head_s is None else max(own.head_s, LEAST_HEAD_S)
        own = replace(own, head_s=head_s, idle_s=max(own.idle_s, LEAST_HEAD_S), total_s=max(own.total_s, LEAST_TOTAL_S))
        passed_s = self._monotonic_s() - call.started_s
        left_s = own.total_s - passed_s
        if call.limit_s is not None:
            left_s = min(left_s, call.limit_s - passed_s)
        return for_attempt(own, left_s, whole_cap=None, others=others)

    def _may_retry(self, call: MediaCall, attempts: int, offers: int) -> bool:
        if attempts >= min(MAX_ATTEMPTS, offers):
            return False
        now_s = self._monotonic_s()
        if call.limit_s is not None and now_s - call.started_s >= call.limit_s:
            return False
        return self._balancer.budget.take(now_s)

    def succeeded(self, call: MediaCall) -> None:
        """The node's answer is complete."""
        assert call.attempt is not None
        call.attempt.succeeded(self._monotonic_s())
        if call.record.first_content_ms is None:
            call.record.first_content_ms = self.elapsed_ms(call)

    def failed(self, call: MediaCall, failure: AttemptFailed) -> None:
        """Tells the node's health why the attempt failed, and notes it."""
        error = failure.error
        reason = error.kind.name.lower()
        self.note(call, reason)
        assert call.attempt is not None
        now_s, jitter = self._monotonic_s(), self._balancer.random()
        call.attempt.failed(failure.trouble, reason, now_s, jitter, error.retry_after_s)

    def lost(self, call: MediaCall, cost_nanocredits: int) -> None:
        """Notes what the present attempt cost at its node for nothing: the operator pays that."""
        assert call.attempt is not None
        call.charge.attempt_cost_nanocredits += cost_nanocredits
        call.attempt.spent_nanocredits += cost_nanocredits

    def in_vain(self, call: MediaCall, error: MiraError) -> None:
        """What the present attempt made whole cannot be given to anybody."""
        assert call.attempt is not None
        call.charge.attempt_cost_nanocredits += call.attempt.spent_nanocredits
        self.note(call, error.kind.name.lower())

    def note(self, call: MediaCall, outcome: str) -> None:
        """Notes on the record what became of the present attempt."""
        record, attempt = call.record, call.attempt
        assert attempt is not None
        began_ms = int((attempt.started_s - call.started_s) * 1000)
        took_ms = int((self._monotonic_s() - attempt.started_s) * 1000)
        spent_nanocredits = attempt.spent_nanocredits
        record.tried += (
            Tried(record.node or "", outcome, record.started_at_ms + began_ms, took_ms, spent_nanocredits),
        )


def price_of(call: MediaCall, made: Made | None) -> Price:
    """What the node that was asked costs for what it made, or was asked for."""
    assert call.offer is not None
    assert call.offer.price is not None
    return media.at(call.offer.price, call.wish.variants(made))


def charged_nanocredits(call: MediaCall, usage: Usage, price: Price) -> int:
    """What the node charged for a usage, as far as is known; no markup of ours. `price` is ours for it."""
    offer = call.offer
    assert offer is not None
    return pricing.charged_nanocredits(usage, offer.own_price or price, trusted=offer.node.trusts_cost)


def _charged_for(call: MediaCall, made: Made) -> int:
    assert call.offer is not None
    price = price_of(call, made)
    usage = media.settled_usage(made.usage, call.wish.estimate(made), price, trusted=call.offer.node.trusts_cost)
    return charged_nanocredits(call, usage, price)
