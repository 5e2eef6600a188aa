"""The way of a request for media, as the relay's is for text: one straight line, with the same rules of money.

    authenticate → take a place → decode → choose model and nodes → hold the worst case → load what it links to
    → ask a node, another one if that fails → store → settle the exact cost → record

- Nothing is asked of a node before the hold is durable.
- Another node is asked only before anything was made.
- Who leaves before anything came pays what the request itself brings (its text, its pictures, its sound), if a node was
  asked; who leaves a stream pays what had been made by then.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from mira.calls.call import AttemptFailed, printable
from mira.calls.charge import Charge
from mira.calls.endings import left, stopping
from mira.calls.gate import Gate
from mira.calls.keeping import MOST_BYTES, claim_for, head_of, lines
from mira.calls.leaving import unless_left
from mira.calls.media_choice import Choice, choose
from mira.calls.media_pieces import Pieces
from mira.calls.media_wish import Answer, Asking, Told, Wish
from mira.calls.outgoing import error_headers
from mira.calls.routing import TIMEOUT_HEADER, limit_s, refused, soonest, trouble_of
from mira.codecs.chat.errors import render_error
from mira.codecs.media.shape import Made, Outgoing, Reader, Received, Shape, Target
from mira.collaborators import Catalog, ClientLeft, Headers, Ledger, Node, Observer, Response
from mira.core import media, pricing, via
from mira.core.call import CLIENT_LEFT_STATUS, CallRecord, Tried
from mira.core.deadlines import Timeouts, for_attempt
from mira.core.fleet import Balancer, Need, Offer
from mira.core.health import Attempt, Trouble
from mira.core.ledger import Answered, StoredAnswer
from mira.core.money import credits_text
from mira.core.pricing import Price
from mira.core.retrying import MAX_ATTEMPTS
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

MAX_ANSWER_BYTES = 128 * 2**20
HELD_BACK_BYTES = 64 * 1024
#: Media take longer than the first token of a text.
LEAST_HEAD_S = 300.0
LEAST_TOTAL_S = 900.0

log = logging.getLogger("mira.media")


class Reply(Struct, frozen=True):
    """What goes back: a whole body, or a `flow` that writes the rest with the function it is given.

    `flow` returns False for an answer that was cut and has no place to say so: its connection must not end as usual.
    """

    status: int
    headers: Headers
    body: bytes = b""
    flow: Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[bool]] | None = None


class MediaCall(Struct):
    """One request on its way; the working sheet."""

    asking: Asking
    record: CallRecord
    charge: Charge
    started_s: float
    via: str = ""
    limit_s: float | None = None
    chosen: Wish | None = None
    request: Any = None
    dropped: tuple[str, ...] = ()
    #: the offer that was asked last, and what is being learnt of its node
    offer: Offer | None = None
    attempt: Attempt | None = None
    #: whether it has a place among those that run
    placed: bool = False
    #: whether the answer goes on after its head was sent
    flowing: bool = False

    @property
    def wish(self) -> Wish:
        """The decoded request."""
        assert self.chosen is not None
        return self.chosen


class Opened(Struct, frozen=True):
    """A streamed answer of which something has been made: how it begins, and where the rest comes from."""

    first: bytes
    reader: Reader
    pieces: Pieces


class Media:
    """Answers requests for media. `defaults` names the models of bodies without one, by what is put out."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        ledger: Ledger,
        gate: Gate,
        balancer: Balancer,
        observer: Observer,
        defaults: Mapping[str, str],
        instance: str,
        now_ms: Callable[[], int],
        monotonic_s: Callable[[], float],
    ) -> None:
        self.catalog = catalog
        self.ledger = ledger
        self.gate = gate
        self.balancer = balancer
        self.observer = observer
        self.defaults = defaults
        self.instance = instance
        self.now_ms = now_ms
        self.monotonic_s = monotonic_s

    async def answer(self, asking: Asking, protocol: str, decode: Callable[[], Awaitable[Wish]]) -> Reply:
        """Serves one request to its end; every outcome is charged or given back, and recorded.

        `decode` reads the body. `protocol` names the route's kind in the record.
        """
        call = self.begin(asking, protocol)
        try:
            return await self._line(call, decode)
        except MiraError as error:
            return await self._refuse(call, error)
        except Answered as before:
            await self._close(call, before.answer.status, None)
            return Reply(before.answer.status, head_of(before.answer), before.answer.body)
        except ClientLeft:
            await asyncio.shield(self._gone(call))
            return Reply(CLIENT_LEFT_STATUS, [])
        except asyncio.CancelledError:
            return await asyncio.shield(self._refuse(call, stopping()))
        except BaseException:
            await asyncio.shield(self._close(call, 500, Kind.INTERNAL.name.lower()))
            raise
        finally:
            if not call.flowing:
                self.observer.ended(call.record)

    def begin(self, asking: Asking, protocol: str) -> MediaCall:
        """The sheet of a request, and the word to the observer that it began."""
        caller = asking.caller
        record = CallRecord(
            request_id=asking.request_id,
            client_request_id=printable(asking.header(b"x-request-id")),
            workspace_id=caller.workspace_id,
            key_id=caller.key_id,
            face=caller.face.value,
            protocol=protocol,
            model="",
            started_at_ms=self.now_ms(),
        )
        self.observer.began(record.request_id)
        return MediaCall(asking, record, Charge(self.ledger, record), self.monotonic_s())

    async def _line(self, call: MediaCall, decode: Callable[[], Awaitable[Wish]]) -> Reply:
        await self.enter(call)
        try:
            wish = await self.decode(call, decode)
            choice = await self.hold(call, wish)
            await self.complete(call)
            found = await unless_left(call.asking.left, self.ask(call, choice))
            if isinstance(found, Opened):
                return self._flowing(call, found)
            return await self._whole(call, found)
        finally:
            if not call.flowing:
                self.gate.leave()

    # The steps, which jobs take as well

    async def enter(self, call: MediaCall) -> None:
        """Notes the Miras on the way, and takes a place, which must be given back."""
        asking = call.asking
        call.via = via.onward(asking.header(via.HEADER), self.instance)
        told = asking.header(TIMEOUT_HEADER)
        call.limit_s = None if told is None else limit_s(told)
        await self.gate.enter(asking.caller.workspace_id, _Seat())
        call.placed = True

    async def decode(self, call: MediaCall, decode: Callable[[], Awaitable[Wish]]) -> Wish:
        """Reads the body."""
        wish = call.chosen = await decode()
        call.record.stream = wish.stream
        call.record.model = (wish.model or "")[:200]
        call.request = wish.request
        return wish

    async def hold(self, call: MediaCall, wish: Wish) -> Choice:
        """Chooses model and offers, and holds the most that the call can cost; the hold is on disk when it returns."""
        caller = call.asking.caller
        choice = choose(self.catalog, self.defaults, caller, wish)
        call.record.model = choice.route.model
        key = call.asking.header(b"idempotency-key")
        kind = f"{call.record.protocol} {caller.face.value}"
        claim = claim_for(key, wish.digest, kind) if key else None
        await call.charge.reserve(choice.hold_nanocredits, caps=caller.caps, claim=claim)
        await call.charge.durable()
        return choice

    async def complete(self, call: MediaCall) -> None:
        """Loads what the request links to."""
        if call.wish.prepare is not None:
            call.request = await unless_left(call.asking.left, _now(call.wish.prepare(call.request)))

    async def ask(self, call: MediaCall, choice: Choice) -> Made | Opened:
        """Asks one node after another until something is made."""
        route = choice.route
        self.balancer.budget.request()
        need = Need(stream=call.wish.stream, media=call.wish.bound)
        tried: list[Any] = []
        last: MiraError | None = None
        while True:
            try:
                offer = self.balancer.choose(route, tried, self.monotonic_s(), need)
            except MiraError as none_left:
                raise soonest(last, none_left) from None
            tried.append(offer.node)
            call.record.attempts = len(tried)
            call.record.node = offer.node.name
            call.offer = offer
            call.attempt = self.balancer.begin(offer, self.monotonic_s(), need)
            try:
                return await self._attempt(call, offer, others=len(tried) < min(MAX_ATTEMPTS, len(route.offers)))
            except AttemptFailed as failure:
                last = failure.error
                self._failed(call, failure)
                if failure.trouble is Trouble.INNOCENT or not self._may_retry(call, len(tried), len(route.offers)):
                    raise last from None
            finally:
                if not call.flowing:
                    call.attempt.over(self.monotonic_s())

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
            made = await _together([self._read(call, shape, part, timeouts) for part in parts])
        except MiraError as error:
            raise AttemptFailed(error, trouble_of(error)) from None
        except (AttemptFailed, asyncio.CancelledError):
            raise
        except Exception as broken:  # noqa: BLE001 - whatever the transport says, the attempt failed
            fault = node.fault(broken)
            raise AttemptFailed(fault, trouble_of(fault)) from None
        self._succeeded(call)
        return made[0] if len(made) == 1 else shape.join(made)

    async def _post(self, call: MediaCall, shape: Shape, request: Any, timeouts: Timeouts) -> Response:
        """Sends a request in the node's shape; its answer with a status of success, else AttemptFailed."""
        assert call.offer is not None
        node, model = call.offer.node, call.offer.upstream_model
        outgoing: Outgoing = shape.render(request, Target(model, node.dialect))
        call.dropped = outgoing.dropped
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
        return shape.read(received, request)

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
        call.attempt.content(self.monotonic_s())
        call.record.first_content_ms = self._elapsed_ms(call)
        return Opened(first, reader, pieces)

    # Settling

    async def _whole(self, call: MediaCall, made: Made) -> Reply:
        wish = call.wish
        if wish.finish is not None:
            made = await asyncio.shield(_now(wish.finish(made)))

        def write(billed: int) -> tuple[Headers, bytes]:
            answer: Answer = wish.render(made, self._told(call, billed))
            headers = [*self._headers(call, answer.content_type), *answer.headers]
            return [*headers, (b"x-mira-cost", credits_text(billed).encode())], answer.body

        def keep(billed: int) -> StoredAnswer:
            headers, body = write(billed)
            return StoredAnswer(200, lines(headers), body)

        price = self._price(call, made)
        usage = self._usage(call, price, made.usage, wish.estimate(made))
        billed = await self.settle(call, price, usage, status=200, keep=keep)
        return Reply(200, *write(billed))

    async def settle(
        self,
        call: MediaCall,
        price: Price,
        usage: Usage,
        *,
        status: int,
        error: str | None = None,
        keep: Callable[[int], StoredAnswer | None] | None = None,
    ) -> int:
        """Charges a usage of the node that was asked; returns the nano-credits billed."""
        offer = call.offer
        assert offer is not None
        trusted = offer.node.trusts_cost
        bill = pricing.bill(usage, price, trusted=trusted, markup=offer.markup)
        record = call.record
        record.usage = usage
        record.error = error
        record.duration_ms = self._elapsed_ms(call)
        if record.tried and len(record.tried) < record.attempts:
            self._note(call, error or "ok")
        # A cost that only the node vouches for is never more than what was set aside.
        told = trusted and bill.reported_nanocredits is not None
        settling = call.charge.settle(bill.actual_nanocredits, status=status, bill=bill, cap_at_hold=told, render=keep)
        return await asyncio.shield(settling)

    def _price(self, call: MediaCall, made: Made | None) -> Price:
        """What the node that was asked costs for what it made."""
        assert call.offer is not None
        assert call.offer.price is not None
        return media.at(call.offer.price, call.wish.variants(made))

    def _usage(self, call: MediaCall, price: Price, told: Usage | None, estimate: Usage) -> Usage:
        assert call.offer is not None
        return media.settled_usage(told, estimate, price, trusted=call.offer.node.trusts_cost)

    async def _gone(self, call: MediaCall) -> None:
        """The client left before anything was sent to it."""
        if call.charge.is_open and call.offer is not None:
            usage = replace(call.wish.brought, estimated=True)
            await self.settle(call, self._price(call, None), usage, status=CLIENT_LEFT_STATUS, error="client_left")
        else:
            await self._close(call, CLIENT_LEFT_STATUS, "client_left")

    async def _refuse(self, call: MediaCall, error: MiraError) -> Reply:
        await self._close(call, error.status, error.kind.name.lower())
        request_id = call.record.request_id
        return Reply(error.status, error_headers(error, request_id), render_error(error, request_id))

    async def _close(self, call: MediaCall, status: int, error: str | None) -> None:
        call.record.status, call.record.error = status, error
        call.record.duration_ms = self._elapsed_ms(call)
        # Who was sent away at the gate is one of a flood, which must cost little.
        if call.placed:
            await call.charge.close(status=status, error=error)

    # Streams

    def _flowing(self, call: MediaCall, opened: Opened) -> Reply:
        async def flow(write: Callable[[bytes], Awaitable[None]]) -> bool:
            try:
                return await self._flow(call, opened, write)
            finally:
                opened.pieces.close()
                assert call.attempt is not None
                call.attempt.over(self.monotonic_s())
                self.gate.leave()
                self.observer.ended(call.record)

        return Reply(200, self._headers(call, call.wish.stream_type), flow=flow)

    async def _flow(self, call: MediaCall, opened: Opened, write: Callable[[bytes], Awaitable[None]]) -> bool:
        """Carries a stream to its end, True where it has one; an Idempotency-Key keeps what was sent."""
        reader, sent = opened.reader, bytearray()
        # As much as an Idempotency-Key may keep and a little more, so that the store sees that it is too long.
        most_bytes = MOST_BYTES if call.asking.header(b"idempotency-key") else 0

        async def send(data: bytes) -> None:
            if data:
                if len(sent) < most_bytes:
                    sent.extend(data)
                await write(data)

        try:
            await unless_left(call.asking.left, self._carry(call, opened, send))
        except (ClientLeft, asyncio.CancelledError) as gone:
            await asyncio.shield(self._cut(call, reader, bytes(sent), left(), CLIENT_LEFT_STATUS))
            if isinstance(gone, asyncio.CancelledError):
                raise
            return True
        except MiraError as error:
            last = await self._cut(call, reader, bytes(sent), error, 200)
            await send(last)
            return bool(last)
        price = self._price(call, None)
        usage = self._usage(call, price, reader.usage, call.wish.estimate(None))
        self._succeeded(call)

        def keep(billed: int) -> StoredAnswer:
            headers = self._headers(call, call.wish.stream_type)
            return StoredAnswer(200, lines(headers), bytes(sent) + reader.finish(billed))

        billed = await self.settle(call, price, usage, status=200, keep=keep)
        await send(reader.finish(billed))
        return True

    async def _carry(self, call: MediaCall, opened: Opened, send: Callable[[bytes], Awaitable[None]]) -> None:
        reader = opened.reader
        assert call.offer is not None
        await send(opened.first)
        while not reader.ended:
            try:
                data = await opened.pieces.next()
            except Exception as broken:  # noqa: BLE001 - whatever the transport says, the stream is cut
                raise call.offer.node.fault(broken) from None
            if data is None:
                await send(reader.close())
                if reader.failed is None and not reader.ended:
                    raise call.offer.node.fault(EOFError("cut"))
            else:
                await send(reader.feed(data))
            if reader.failed is not None:
                raise reader.failed

    async def _cut(self, call: MediaCall, reader: Reader, sent: bytes, error: MiraError, status: int) -> bytes:
        """Charges what a cut stream had made; returns its end."""
        last = reader.abort(error)
        price = self._price(call, None)
        usage = self._usage(call, price, reader.usage, call.wish.estimate(None))
        headers = self._headers(call, call.wish.stream_type)
        is_left = status == CLIENT_LEFT_STATUS
        if not is_left:
            self._failed(call, AttemptFailed(error, trouble_of(error)))
        await self.settle(
            call,
            price,
            usage,
            status=status,
            error="client_left" if is_left else error.kind.name.lower(),
            keep=lambda _: StoredAnswer(200, lines(headers), sent + last) if last else None,
        )
        return last

    # Small things

    def _headers(self, call: MediaCall, content_type: str) -> Headers:
        record = call.record
        headers = [
            (b"content-type", content_type.encode()),
            (b"x-request-id", record.request_id.encode()),
            (b"x-mira-model", record.model.encode()),
            (b"x-mira-node", (record.node or "").encode()),
        ]
        if call.dropped:
            headers.append((b"x-mira-dropped", ",".join(call.dropped).encode()))
        return headers

    def _told(self, call: MediaCall, billed: int) -> Told:
        record = call.record
        return Told(record.model, billed, record.request_id, record.started_at_ms // 1000)

    def _elapsed_ms(self, call: MediaCall) -> int:
        return int((self.monotonic_s() - call.started_s) * 1000)

    def _timeouts(self, call: MediaCall, node: Node, *, others: bool) -> Timeouts:
        own = node.timeouts
        head_s = None if own.head_s is None else max(own.head_s, LEAST_HEAD_S)
        own = replace(own, head_s=head_s, idle_s=max(own.idle_s, LEAST_HEAD_S), total_s=max(own.total_s, LEAST_TOTAL_S))
        passed_s = self.monotonic_s() - call.started_s
        left_s = own.total_s - passed_s
        if call.limit_s is not None:
            left_s = min(left_s, call.limit_s - passed_s)
        return for_attempt(own, left_s, whole_cap=None, others=others)

    def _may_retry(self, call: MediaCall, attempts: int, offers: int) -> bool:
        if attempts >= min(MAX_ATTEMPTS, offers):
            return False
        now_s = self.monotonic_s()
        if call.limit_s is not None and now_s - call.started_s >= call.limit_s:
            return False
        return self.balancer.budget.take(now_s)

    def _succeeded(self, call: MediaCall) -> None:
        assert call.attempt is not None
        call.attempt.succeeded(self.monotonic_s())
        if call.record.first_content_ms is None:
            call.record.first_content_ms = self._elapsed_ms(call)

    def _failed(self, call: MediaCall, failure: AttemptFailed) -> None:
        """Tells the node's health why, and notes the attempt."""
        error = failure.error
        reason = error.kind.name.lower()
        self._note(call, reason)
        assert call.attempt is not None
        now_s, jitter = self.monotonic_s(), self.balancer.random()
        call.attempt.failed(failure.trouble, reason, now_s, jitter, error.retry_after_s)

    def _note(self, call: MediaCall, outcome: str) -> None:
        record, attempt = call.record, call.attempt
        assert attempt is not None
        began_ms = int((attempt.started_s - call.started_s) * 1000)
        took_ms = int((self.monotonic_s() - attempt.started_s) * 1000)
        record.tried += (Tried(record.node or "", outcome, record.started_at_ms + began_ms, took_ms),)


class _Seat:
    """What the gate asks of an exchange; who waits here and leaves is found out when its turn comes."""

    def __init__(self) -> None:
        self.gone = False
        self.on_gone: Callable[[], object] | None = None


async def _now(work: Awaitable[Any]) -> Any:
    return await work


async def _together(works: Sequence[Coroutine[Any, Any, Made]]) -> list[Made]:
    """All results; where one fails, the others are given up and its error is raised."""
    if len(works) == 1:
        return [await works[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
