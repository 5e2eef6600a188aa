"""The way of a request for media, as the relay's is for text: one straight line, with the same rules of money.

    authenticate → take a place → decode → choose model and nodes → hold the worst case → load what it links to
    → ask a node, another one if that fails → store → settle the exact cost → record

- Nothing is asked of a node before the hold is durable.
- Another node is asked only before anything was made.
- Who leaves before anything came pays what the request itself brings (its text, its pictures, its sound), if a node was
  asked; who leaves a stream pays what had been made by then.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec.structs import replace

from mira.calls.call import AttemptFailed, printable
from mira.calls.charge import Charge
from mira.calls.endings import left, stopping
from mira.calls.gate import Gate
from mira.calls.keeping import MOST_BYTES, claim_for, head_of, lines
from mira.calls.leaving import unless_left
from mira.calls.media_asker import Asker, charged_nanocredits, price_of
from mira.calls.media_call import MediaCall, Opened, Reply
from mira.calls.media_choice import Choice, choose
from mira.calls.media_wish import Answer, Asking, Told, Wish
from mira.calls.outgoing import error_headers
from mira.calls.routing import TIMEOUT_HEADER, limit_s, trouble_of
from mira.codecs.chat.errors import render_error
from mira.codecs.media.shape import Made, Reader
from mira.collaborators import Catalog, ClientLeft, Headers, Ledger, Observer
from mira.core import media, pricing, via
from mira.core.call import ANSWERED, CLIENT_LEFT_STATUS, CallRecord
from mira.core.fleet import Balancer
from mira.core.ledger import Answered, StoredAnswer
from mira.core.money import credits_text
from mira.core.pricing import Price
from mira.core.usage import Usage
from mira.errors import Kind, MiraError


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
        self.asker = Asker(balancer, monotonic_s)
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
            found = await unless_left(call.asking.left, self.asker.ask(call, choice))
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
        tokens = 0
        if caller.caps:
            likely = wish.estimate(None)
            tokens = likely.prompt_tokens + likely.completion_tokens
        await call.charge.reserve(choice.hold_nanocredits, caps=caller.caps, claim=claim, tokens=tokens)
        await call.charge.durable()
        return choice

    async def complete(self, call: MediaCall) -> None:
        """Loads what the request links to."""
        if call.wish.prepare is not None:
            call.request = await unless_left(call.asking.left, _now(call.wish.prepare(call.request)))

    # Settling

    async def _whole(self, call: MediaCall, made: Made) -> Reply:
        wish = call.wish
        if wish.finish is not None:
            try:
                made = await asyncio.shield(_now(wish.finish(made)))
            except MiraError as error:
                self.asker.in_vain(call, error)
                raise

        def write(billed: int) -> tuple[Headers, bytes]:
            answer: Answer = wish.render(made, self._told(call, billed))
            headers = [*self._headers(call, answer.content_type), *answer.headers]
            return [*headers, (b"x-mira-cost", credits_text(billed).encode())], answer.body

        def keep(billed: int) -> StoredAnswer:
            headers, body = write(billed)
            return StoredAnswer(200, lines(headers), body)

        price = price_of(call, made)
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
        record.duration_ms = self.asker.elapsed_ms(call)
        attempt = call.attempt
        assert attempt is not None
        spent = attempt.spent_nanocredits = max(attempt.spent_nanocredits, charged_nanocredits(call, usage, price))
        unsaid = trusted and bill.reported_nanocredits is None and spent != bill.computed_nanocredits
        if (record.tried or unsaid) and len(record.tried) < record.attempts:
            self.asker.note(call, error or ANSWERED)
        # A cost that only the node vouches for is never more than what was set aside.
        told = trusted and bill.reported_nanocredits is not None
        settling = call.charge.settle(bill.actual_nanocredits, status=status, bill=bill, cap_at_hold=told, render=keep)
        return await asyncio.shield(settling)

    def _usage(self, call: MediaCall, price: Price, told: Usage | None, estimate: Usage) -> Usage:
        assert call.offer is not None
        return media.settled_usage(told, estimate, price, trusted=call.offer.node.trusts_cost)

    async def _gone(self, call: MediaCall) -> None:
        """The client left before anything was sent to it."""
        if call.charge.is_open and call.offer is not None:
            usage = replace(call.wish.brought, estimated=True)
            await self.settle(call, price_of(call, None), usage, status=CLIENT_LEFT_STATUS, error="client_left")
        else:
            await self._close(call, CLIENT_LEFT_STATUS, "client_left")

    async def _refuse(self, call: MediaCall, error: MiraError) -> Reply:
        await self._close(call, error.status, error.kind.name.lower())
        request_id = call.record.request_id
        return Reply(error.status, error_headers(error, request_id), render_error(error, request_id))

    async def _close(self, call: MediaCall, status: int, error: str | None) -> None:
        call.record.status, call.record.error = status, error
        call.record.duration_ms = self.asker.elapsed_ms(call)
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

        return Reply(200, self._stream_headers(call), flow=flow)

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
        except Exception:
            await asyncio.shield(self._cut(call, reader, bytes(sent), left(), 500))
            raise
        price = price_of(call, None)
        usage = self._usage(call, price, reader.usage, call.wish.estimate(None))
        self.asker.succeeded(call)

        def keep(billed: int) -> StoredAnswer:
            headers = self._stream_headers(call)
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
        price = price_of(call, None)
        usage = self._usage(call, price, reader.usage, call.wish.estimate(None))
        headers = self._stream_headers(call)
        is_left = status == CLIENT_LEFT_STATUS
        if not is_left:
            assert call.attempt is not None
            call.attempt.spent_nanocredits = charged_nanocredits(call, usage, price)
            self.asker.failed(call, AttemptFailed(error, trouble_of(error)))
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

    def _stream_headers(self, call: MediaCall) -> Headers:
        """The head of a stream, with its cost where that is certain before its end."""
        headers = self._headers(call, call.wish.stream_type)
        cost = self._certain_nanocredits(call)
        return headers if cost is None else [*headers, (b"x-mira-cost", credits_text(cost).encode())]

    def _certain_nanocredits(self, call: MediaCall) -> int | None:
        """What the call costs however it ends: nothing, or its characters where nothing else has a price."""
        offer, bound = call.offer, call.wish.bound
        assert offer is not None
        price = price_of(call, None)
        if offer.node.trusts_cost and not price.free:
            return None
        cost = pricing.cost_nanocredits(Usage(characters=bound.characters), price, offer.markup)
        return cost if cost == pricing.cost_nanocredits(bound, price, offer.markup) else None

    def _told(self, call: MediaCall, billed: int) -> Told:
        record = call.record
        return Told(record.model, billed, record.request_id, record.started_at_ms // 1000)


class _Seat:
    """What the gate asks of an exchange; who waits here and leaves is found out when its turn comes."""

    def __init__(self) -> None:
        self.gone = False
        self.on_gone: Callable[[], object] | None = None


async def _now(work: Awaitable[Any]) -> Any:
    return await work
