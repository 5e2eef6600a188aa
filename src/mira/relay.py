"""The way of a request, from the key to the ledger, as one straight line.

    authenticate → take a place → decode → admit (Hold) → choose → render → open → decode/meter/encode → settle → record

The relay receives its collaborators and knows neither ASGI nor SQL. Its rules of money:

- No byte of an answer reaches the client before the hold is durable; an answer ends only when its settlement is.
- A hold is settled or voided exactly once. Ledger operations are queued synchronously, so no disconnect, error or
  shutdown can come between a call and its settlement.
- Fail over only before the first content byte; afterwards a cut ends in the protocol's error and a partial bill.
- A client that leaves closes the upstream at once and pays its input and the content that the upstream had sent.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from mira.calls.admission import admit
from mira.calls.authentication import let_in, secret_of
from mira.calls.body import json_body
from mira.calls.books import Books, was_late
from mira.calls.call import AttemptFailed, Call, Surface, new_call, printable
from mira.calls.endings import left, stopping, unwritten
from mira.calls.gate import Gate
from mira.calls.keeping import IDEMPOTENCY_KEY, Final, head_of, keep_for_repetition, keep_stream, keep_whole
from mira.calls.outgoing import JSON, answer_headers, context_of, error_headers
from mira.calls.pump import Pump, is_lost
from mira.calls.recollection import complete, remember
from mira.calls.rendering import codec_for, forgotten, target_of, translated
from mira.calls.routing import Router, refused
from mira.calls.silence import wants_sign_of_life
from mira.codecs.codec import NodeCodec, Tally
from mira.codecs.responses.errors import UNREADABLE
from mira.codecs.translation import empty_answer, open_stream, read_answer
from mira.collaborators import (
    Catalog,
    ClientLeft,
    Counter,
    Exchange,
    Files,
    Keyring,
    Ledger,
    Loader,
    Memory,
    Node,
    Observer,
    Response,
)
from mira.core.attachments import MARK
from mira.core.call import CLIENT_LEFT_STATUS
from mira.core.caller import Caller
from mira.core.conversation import Conversation
from mira.core.fleet import Balancer, Offer, Route
from mira.core.health import Trouble
from mira.core.ledger import Answered, StoredAnswer
from mira.core.retrying import MAX_ATTEMPTS
from mira.core.via import HEADER as VIA
from mira.core.via import onward
from mira.errors import Kind, MiraError

MAX_ANSWER_BYTES = 64 * 2**20
HELD_BACK_BYTES = 64 * 1024
EVENT_STREAM = b"text/event-stream; charset=utf-8"
log = logging.getLogger("mira.relay")


class Relay:
    """Answers model requests. `now_ms` is Unix time in milliseconds, `monotonic_s` a steady clock, `new_id` an id.

    `instance` is the name by which other Miras know this one.
    """

    def __init__(
        self,
        *,
        keyring: Keyring,
        catalog: Catalog,
        ledger: Ledger,
        counter: Counter,
        memory: Memory,
        loader: Loader,
        files: Files,
        observer: Observer,
        balancer: Balancer,
        most_calls: int,
        instance: str,
        now_ms: Callable[[], int],
        monotonic_s: Callable[[], float],
        new_id: Callable[[], str],
        wait_for_durable_hold: bool = False,
    ) -> None:
        self.keyring = keyring
        self.catalog = catalog
        self.ledger = ledger
        self.books = Books(ledger, counter, monotonic_s)
        self.memory = memory
        self.loader = loader
        self.files = files
        self.observer = observer
        self.balancer = balancer
        self.router = Router(balancer, monotonic_s)
        self.gate = Gate(most_calls, monotonic_s)
        self.instance = instance
        self.now_ms = now_ms
        self.monotonic_s = monotonic_s
        self.new_id = new_id
        self.wait_for_durable_hold = wait_for_durable_hold
        self.streams: dict[Pump, Call] = {}
        self.awaited: dict[str, Call] = {}

    async def answer(self, exchange: Exchange, surface: Surface, caller: Caller | None = None) -> None:
        """Serves one request to its end. Every outcome is answered in the surface's protocol, booked and recorded."""
        call = new_call(exchange, surface, self.new_id(), now_ms=self.now_ms(), started_s=self.monotonic_s())
        record = call.record
        self.observer.began(record.request_id)
        try:
            # 1 authenticate: headers only, before the body is read
            if caller is None:
                secret = secret_of(exchange)
                caller = let_in(self.keyring.known(secret) or await self.keyring.find(secret), surface.face)
            call.caller = caller
            record.workspace_id, record.key_id = caller.workspace_id, caller.key_id
            call.via = onward(exchange.header(VIA), self.instance) if VIA in exchange.head else self.instance
            # 2 take a place
            if not self.gate.take():
                await self.gate.wait(caller.workspace_id, exchange)
            call.placed = True
            # 3 decode
            body = await json_body(exchange)
            route = self._decode(call, body)
            if surface.recall is not None or body.find(MARK) >= 0:
                await complete(self.memory, self.files, call, body)
            # 4 admit
            route = await admit(self.ledger, call, route, careful=self.wait_for_durable_hold)
            if record.stream:
                self.awaited[record.request_id] = call
            # 5–10 choose, render, open, relay, settle, record
            await self._converse(call, route)
        except MiraError as error:
            await self._refuse(call, error)
        except Answered as before:
            await self._repeat(call, before.answer)
        except ClientLeft:
            await self.books.close(call, status=CLIENT_LEFT_STATUS, error="client_left")
        except asyncio.CancelledError:
            await self._refuse(call, unwritten() if is_lost(call.hold) else stopping())
        except Exception:
            log.exception("request %s failed inside Mira", record.request_id)
            await self._refuse(call, MiraError(Kind.INTERNAL, "Mira failed to answer; the operator's log says why"))
        finally:
            self.awaited.pop(record.request_id, None)
            if call.placed:
                self.gate.leave()
            call.pump = None  # which knows the call: each would keep the other for the collector
            self.observer.ended(record)

    # 3 decode

    def _decode(self, call: Call, body: bytes) -> Route:
        record = call.record
        if IDEMPOTENCY_KEY in call.exchange.head:
            keep_for_repetition(call, body)
        envelope = call.envelope = call.surface.codec.open_request(body)
        record.stream = envelope.stream
        try:
            route = self.catalog.find(envelope.model)
        except MiraError:
            record.model = envelope.model[:200]
            raise
        record.model = route.model
        call.capabilities = route.capabilities
        if not call.caller.may_use(route.model):
            raise MiraError(
                Kind.MODEL_NOT_ALLOWED,
                f"this key may not use the model {route.model}; ask for a wider scope",
                param="model",
            )
        return route

    # 5–8 choose, render, open, relay: attempt after attempt until content flows

    async def _converse(self, call: Call, route: Route) -> None:
        tried: list[Any] = []
        last: MiraError | None = None
        self.router.plan(call, route)
        while True:
            offer = self.router.begin(call, route, tried, last) or await self.router.wait(call, route, tried, last)
            tried.append(offer.node)
            call.record.node, call.record.attempts = offer.node.name, len(tried)
            others = len(route.offers) > 1 and len(tried) < min(MAX_ATTEMPTS, len(route.offers))
            try:
                try:
                    await self._attempt(call, offer, others=others)
                except AttemptFailed as unread:
                    if unread.error.code != UNREADABLE or call.forgets:
                        raise
                    # Once more, without the earlier reasoning, which this node cannot read.
                    call.forgets = True
                    await self._attempt(call, offer, others=others)
                return
            except AttemptFailed as failure:
                last = failure.error
                self.books.tried(call, last.kind.name.lower())
                self.router.failed(call, failure)
                if failure.trouble is Trouble.INNOCENT or not self.router.may_retry(call, route, tried):
                    raise last from None
            finally:
                self.router.end(call)

    async def _attempt(self, call: Call, offer: Offer, *, others: bool) -> None:
        exchange, record = call.exchange, call.record
        node: Node = offer.node
        client, codec = call.surface.codec, codec_for(call, node)
        if codec is not client and call.envelope.output_cap == 0:
            await self._answer_empty(call, offer)
            return
        target, passes = target_of(call, offer), codec is client and node.adapter is None
        asked = forgotten(call) if call.forgets else call.envelope
        body, conversation = (
            (client.pass_request(asked, target), None)
            if passes
            else await translated(self.loader, call, node, codec, target)
        )
        call.timeouts = self.router.timeouts(call, offer, others=others)
        exchange.on_gone = exchange.cancel
        response: Response | None = None
        try:
            if exchange.gone:
                raise ClientLeft
            try:
                response = await node.open(
                    codec,
                    body,
                    record.request_id,
                    model=offer.upstream_model,
                    stream=record.stream,
                    passed=exchange if passes else None,
                    timeouts=call.timeouts,
                    via=call.via,
                )
                if others:
                    self.router.note(offer, response)
                record.upstream_request_id = printable(response.header(b"x-request-id"))
                if response.status != 200:
                    raise refused(codec, response, await response.read(HELD_BACK_BYTES))
                raw = b"" if record.stream else await response.read(MAX_ANSWER_BYTES)
            except (MiraError, AttemptFailed):
                raise
            except Exception as broken:  # noqa: BLE001 - whatever the transport says, the attempt failed
                self.books.attempt_cost(call, offer, None, late=was_late(broken))
                raise self.router.failure(call, offer, node.fault(broken)) from None
            exchange.on_gone = None
            if record.stream:
                await self._stream(call, offer, codec, response, conversation)
            else:
                await self._whole(call, offer, codec, raw, conversation)
        except asyncio.CancelledError:
            if not exchange.gone or call.settled:
                raise
            exchange.on_gone = None
            await self.books.settle(call, offer, await self.books.estimate(call, Tally()), status=CLIENT_LEFT_STATUS)
        finally:
            exchange.on_gone = None
            if response is not None:
                response.close()

    async def _answer_empty(self, call: Call, offer: Offer) -> None:
        """Answers what was to warm the cache of a node that has none to warm: nobody is asked, nothing is charged."""
        call.record.node, call.record.attempts = None, 0
        stream = call.envelope.stream
        body = empty_answer(call.surface.codec, context_of(call, None), offer.upstream_model, stream=stream)
        await self.books.close(call, status=200, error=None)
        headers = answer_headers(call, EVENT_STREAM if stream else JSON, cost_nanocredits=0)
        await call.exchange.respond(200, headers, body)

    async def _whole(
        self, call: Call, offer: Offer, codec: NodeCodec, raw: bytes, conversation: Conversation | None
    ) -> None:
        context = context_of(call, conversation)
        try:
            answer = read_answer(call.surface.codec, codec, offer.node.adapter, raw, context)
        except MiraError as error:
            raise self.router.failure(call, offer, error) from None
        self.router.succeeded(call)
        usage = answer.usage or await self.books.estimate(call, answer.tally())
        final: Callable[[int], bytes] = partial(answer.render, usage)
        keep = None
        if call.claim is not None:
            final = Final(final)
            keep = partial(keep_whole, call, final)
        try:
            billed = await self.books.settle(call, offer, usage, status=200, render=keep)
        except asyncio.CancelledError:
            # By a stop that does not wait. What is charged is answered: to settle again only tells the bill.
            hold = call.hold
            if hold is None or is_lost(hold):
                raise
            billed = await self.ledger.settle(hold.id, 0, None)
        sent = final(billed)
        if call.keeps:
            await remember(self.memory, call, sent)
        await call.exchange.respond(200, answer_headers(call, JSON, cost_nanocredits=billed), sent)

    async def _stream(
        self,
        call: Call,
        offer: Offer,
        codec: NodeCodec,
        response: Response,
        conversation: Conversation | None,
    ) -> None:
        node: Node = offer.node
        stream = open_stream(call.surface.codec, codec, node.adapter, context_of(call, conversation))
        assert call.hold is not None
        pump = call.pump = Pump(
            call.exchange, call.hold, offer, response, stream, begin=partial(self._content_begins, call)
        )
        cut = await self._flow(call, node, response, pump)
        told = stream.failed
        last = stream.close()
        if call.exchange.gone and not stream.ended:
            usage = stream.usage or await self.books.estimate(call, stream.tally())
            keep = partial(keep_stream, call, lambda _: stream.abort(left()))
            await self.books.settle(call, offer, usage, status=CLIENT_LEFT_STATUS, render=keep)
            return
        error = told or (None if stream.ended else cut or stream.failed or node.fault(EOFError("cut")))
        if error is not None and not pump.flowing:
            late = error is cut and error.kind is Kind.UPSTREAM_TIMEOUT
            self.books.attempt_cost(call, offer, stream.usage or stream.tally().prompt, late=late)
            raise self.router.failure(call, offer, error)
        if not pump.flowing:
            await asyncio.shield(call.hold.durable)
            pump.start()
        if last:
            call.exchange.write(last)
        usage = stream.usage or await self.books.estimate(call, stream.tally())
        final = Final(partial(stream.finish, usage) if error is None else lambda _: stream.abort(error))
        keep = partial(keep_stream, call, final)
        billed = await self.books.settle(call, offer, usage, status=200, error=error, render=keep)
        if error is None:
            self.router.succeeded(call)
        else:
            self.router.failed(call, self.router.failure(call, offer, error))
        sent = final(billed)
        if call.keeps and error is None:
            await remember(self.memory, call, sent)
        await call.exchange.end(sent)

    async def _flow(self, call: Call, node: Node, response: Response, pump: Pump) -> MiraError | None:
        """Carries a stream until it is over; returns what cut it, if anything but the client did."""
        self.streams[pump] = call
        call.exchange.on_gone = response.close
        watch = self.router.watch(call, pump)
        try:
            if call.exchange.gone:
                response.close()
            else:
                await response.stream(pump.on_data)
        except asyncio.CancelledError:
            # By a shutdown or a lost hold, not by the client. What was delivered is billed all the same.
            if not call.exchange.gone:
                if not pump.flowing:
                    raise
                return stopping()
        except Exception as broken:  # noqa: BLE001 - whatever the transport says, the stream is cut
            if call.exchange.gone or pump.stream.failed is not None:
                return None  # closed from here
            if watch is not None and watch.fired:
                return MiraError(Kind.UPSTREAM_TIMEOUT, "the upstream did not answer in time")
            return node.fault(broken)
        finally:
            if watch is not None:
                watch.cancel()
            del self.streams[pump]
            pump.detach()
            call.exchange.on_gone = None
        return None

    def keep_alive(self) -> None:
        """Sends a sign of life to the clients of streams that were silent for `SILENT_TICKS` calls of this.

        Before the first content the answer begins with it, once the hold is durable.
        """
        for call in tuple(self.awaited.values()):
            if wants_sign_of_life(call):
                self._send_head(call, early=True)
                call.exchange.write(call.surface.codec.keepalive)

    def checkpoint(self) -> None:
        """Tells the ledger what each running stream has cost so far: what a crash would charge.

        One that has long passed its output cap is given up: its node would go on for ever, at its client's expense.
        """
        for pump, call in tuple(self.streams.items()):
            self.books.checkpoint(call, pump)
            pump.give_up_beyond(call.output_cap * call.envelope.choices)

    # 9–10 settle and record: `Books`, from wherever a call ends

    async def _refuse(self, call: Call, error: MiraError) -> None:
        pump = call.pump
        if pump is not None and pump.flowing:
            # The answer has begun: it ends in the protocol's error, and what was delivered is billed.
            last = pump.stream.abort(error)
            if not call.settled:
                usage = pump.stream.usage or await self.books.estimate(call, pump.stream.tally())
                keep = partial(keep_stream, call, lambda _: last)
                await self.books.settle(call, pump.offer, usage, status=200, error=error, render=keep)
            await call.exchange.end(last)
            return
        if call.begun:
            await self.books.close(call, status=200, error=error.kind.name.lower())
            await call.exchange.end(call.surface.codec.pass_stream(context_of(call, None)).abort(error))
            return
        status = call.surface.codec.status_of(error)
        await self.books.close(call, status=status, error=error.kind.name.lower())
        if not call.exchange.gone:
            headers = error_headers(error, call.record.request_id, call.surface.request_id_headers)
            await call.exchange.respond(status, headers, call.surface.codec.render_error(error, call.record.request_id))

    async def _repeat(self, call: Call, answer: StoredAnswer) -> None:
        """Sends what was sent before under the same Idempotency-Key; nothing is charged."""
        call.record.attempts = 0
        await self.books.close(call, status=answer.status, error=None)
        if not call.exchange.gone:
            await call.exchange.respond(answer.status, head_of(answer), answer.body)

    def _content_begins(self, call: Call) -> None:
        self.router.content(call)
        self._send_head(call)

    def _send_head(self, call: Call, *, early: bool = False) -> None:
        """Begins a streamed answer, once; `early`: before its node has said anything."""
        if not call.begun:
            call.begun = True
            call.exchange.start(200, answer_headers(call, EVENT_STREAM, early=early))
