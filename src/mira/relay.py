"""The way of a request, from the key to the ledger, as one straight line.

    authenticate → decode → admit (Hold) → choose → render → open → decode/meter/encode → settle → record

The relay receives its collaborators and knows neither ASGI nor SQL. Its rules of money:

- No byte of an answer reaches the client before the hold is durable; an answer ends only when its settlement is.
- A hold is settled or voided exactly once. Ledger operations are queued synchronously, so no disconnect, error or
  shutdown can come between a call and its settlement.
- Fail over only before the first content byte; afterwards a cut ends in the protocol's error and a partial bill.
- A client that leaves closes the upstream at once and pays its input and the content that the upstream had sent.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import replace

from mira.codecs.carried import without_reasoning
from mira.codecs.codec import Codec, Context, Envelope, NodeCodec, Recall, Tally, Target
from mira.codecs.responses.errors import UNREADABLE
from mira.codecs.translation import empty_answer, open_stream, read_answer
from mira.collaborators import (
    Catalog,
    ClientLeft,
    Counter,
    Exchange,
    Headers,
    Hold,
    Keyring,
    Ledger,
    Loader,
    Memory,
    Node,
    RequestHeaders,
    Response,
)
from mira.core import fleet, pricing, tokens
from mira.core.call import CallRecord
from mira.core.caller import Caller, Face
from mira.core.capabilities import UNKNOWN, Capabilities, needs_responses
from mira.core.conversation import Conversation, Inline
from mira.core.fleet import Offer, Route
from mira.core.ledger import Reserve
from mira.core.links import Linked
from mira.core.models import default_output_cap
from mira.core.money import credits_text
from mira.core.usage import Usage
from mira.errors import Kind, MiraError
from mira.pump import Pump, is_lost

MAX_BODY_BYTES = 32 * 2**20
MAX_ANSWER_BYTES = 64 * 2**20
MAX_ATTEMPTS = 3
#: A cap is never clamped below the smaller of the request's own and this.
LEAST_OUTPUT_CAP = 256
HELD_BACK_BYTES = 64 * 1024
CLIENT_LEFT_STATUS = 499
EVENT_STREAM = b"text/event-stream; charset=utf-8"
#: Refusals of a node that every other node would repeat: the request itself is wrong.
FINAL_STATUSES = frozenset({400, 413, 422})
#: Ticks of silence (see `Relay.keep_alive`) after which a stream's client is sent a sign of life.
SILENT_TICKS = 2
#: A refusal does not wait longer than this for a store that is down; its entry stays queued.
BOOKS_WAIT_S = 1.0

log = logging.getLogger("mira.relay")


class Surface(Struct, frozen=True):
    """A face of Mira under one protocol. `request_id_headers` are the names under which answers tell their id.

    `recall` is set where clients may refer to earlier answers.
    """

    codec: Codec
    face: Face
    answer_prefix: str = "chatcmpl-"
    request_id_headers: tuple[bytes, ...] = (b"x-request-id",)
    recall: Recall | None = None


class Call(Struct):
    """One request on its way; the relay's working sheet."""

    exchange: Exchange
    surface: Surface
    record: CallRecord
    started_s: float
    caller: Caller | None = None
    envelope: Envelope | None = None
    output_cap: int = 0
    hold: Hold | None = None
    settled: bool = False
    keeps: bool = False
    prompt_tokens: int | None = None
    clamped: bool = False
    dropped: tuple[str, ...] = ()
    pump: Pump | None = None
    #: whether the head of a stream has gone out, with content or ahead of it
    begun: bool = False
    #: ticks without a word to the client; the first one comes early
    silent_ticks: int = -1
    loaded: dict[Linked, Inline] = {}
    capabilities: Capabilities = UNKNOWN
    forgets: bool = False


class AttemptFailed(Exception):  # noqa: N818 - an outcome, not an error
    """A node failed before any content; another may be tried where `retryable`."""

    def __init__(self, error: MiraError, *, retryable: bool) -> None:
        super().__init__(error.message)
        self.error = error
        self.retryable = retryable


class Relay:
    """Answers model requests. `now_ms` is Unix time in milliseconds, `monotonic_s` a steady clock, `new_id` an id."""

    def __init__(
        self,
        *,
        keyring: Keyring,
        catalog: Catalog,
        ledger: Ledger,
        counter: Counter,
        memory: Memory,
        loader: Loader,
        now_ms: Callable[[], int],
        monotonic_s: Callable[[], float],
        new_id: Callable[[], str],
        wait_for_durable_hold: bool = False,
    ) -> None:
        self.keyring = keyring
        self.catalog = catalog
        self.ledger = ledger
        self.counter = counter
        self.memory = memory
        self.loader = loader
        self.now_ms = now_ms
        self.monotonic_s = monotonic_s
        self.new_id = new_id
        self.wait_for_durable_hold = wait_for_durable_hold
        self.streams: dict[Pump, Call] = {}
        self.awaited: dict[str, Call] = {}

    async def answer(self, exchange: Exchange, surface: Surface) -> None:
        """Serves one request to its end. Every outcome is answered in the surface's protocol, booked and recorded."""
        call = self._begin(exchange, surface)
        try:
            await self._authenticate(call)
            route = await self._decode(call)
            route = await self._admit(call, route)
            if call.envelope is not None and call.envelope.stream:
                self.awaited[call.record.request_id] = call
            await self._converse(call, route)
        except MiraError as error:
            await self._refuse(call, error)
        except ClientLeft:
            await self._close_books(call, status=CLIENT_LEFT_STATUS, error="client_left")
        except asyncio.CancelledError:
            await self._refuse(call, _unwritten() if is_lost(call.hold) else _stopping())
        except Exception:
            log.exception("request %s failed inside Mira", call.record.request_id)
            await self._refuse(call, MiraError(Kind.INTERNAL, "Mira failed to answer; the operator's log says why"))
        finally:
            self.awaited.pop(call.record.request_id, None)

    def _begin(self, exchange: Exchange, surface: Surface) -> Call:
        record = CallRecord(
            request_id=self.new_id(),
            client_request_id=_printable(exchange.header(b"x-request-id")),
            workspace_id="",
            key_id="",
            face=surface.face.value,
            protocol=surface.codec.name,
            model="",
            started_at_ms=self.now_ms(),
        )
        return Call(exchange=exchange, surface=surface, record=record, started_s=self.monotonic_s())

    # 1 authenticate: headers only, before the body is read

    async def _authenticate(self, call: Call) -> None:
        caller = await authenticate(self.keyring, call.exchange, call.surface.face)
        call.caller = caller
        call.record.workspace_id = caller.workspace_id
        call.record.key_id = caller.key_id

    # 2 decode

    async def _decode(self, call: Call) -> Route:
        exchange = call.exchange
        encoding = exchange.header(b"content-encoding")
        if encoding and encoding.lower() != "identity":
            raise MiraError(Kind.BAD_MEDIA_TYPE, f"content-encoding {encoding[:20]!r} is not accepted; send plain JSON")
        content_type = (exchange.header(b"content-type") or "").lower()
        if content_type.startswith(("multipart/", "image/", "audio/", "video/")):
            raise MiraError(Kind.BAD_MEDIA_TYPE, "this route takes a JSON body; send content-type: application/json")
        body = await exchange.body(MAX_BODY_BYTES)
        envelope = call.envelope = call.surface.codec.open_request(body)
        call.record.stream = envelope.stream
        call.record.model = envelope.model[:200]
        route = self.catalog.find(envelope.model)
        call.record.model = route.model
        call.capabilities = route.capabilities
        assert call.caller is not None
        if call.caller.models is not None and route.model not in call.caller.models:
            raise MiraError(
                Kind.MODEL_NOT_ALLOWED,
                f"this key may not use the model {route.model}; ask for a wider scope",
                param="model",
            )
        if call.surface.recall is not None:
            call.envelope = await self._recall(call, call.surface.recall, envelope)
        return route

    async def _recall(self, call: Call, recall: Recall, envelope: Envelope) -> Envelope:
        """The request with what it refers to put in; MiraError where that is not remembered."""
        assert call.caller is not None
        call.keeps = recall.keeps(envelope)
        asked = recall.references(envelope)
        context: tuple[Raw, ...] | None = None
        items: Mapping[str, Raw] = {}
        if asked.response_id is not None or asked.item_ids:
            context, items = await self.memory.find(call.caller.workspace_id, asked.response_id, asked.item_ids)
        can = call.capabilities
        return recall.resolved(envelope, context, items, can.thinking_always_on or can.thinks_unasked)

    async def _remember(self, call: Call, sent: bytes) -> bytes:
        """Keeps an answer that its client may refer to; `sent` is the body, or the end of the stream."""
        recall = call.surface.recall
        if recall is not None and call.keeps:
            assert call.envelope is not None
            assert call.caller is not None
            kept = recall.remembered(call.envelope, sent)
            if kept is not None:
                try:
                    await self.memory.keep(call.caller.workspace_id, kept.response_id, kept.context, kept.items)
                except MiraError:
                    log.warning("the answer of %s is not remembered: the store does not answer", call.record.request_id)
        return sent

    # 3 admit: one hold of the worst case, clamped to what the workspace can pay

    async def _admit(self, call: Call, route: Route) -> Route:
        envelope = call.envelope
        assert envelope is not None
        assert call.caller is not None
        codec = call.surface.codec
        able = route.offers
        if codec.passes_only:
            able = tuple(offer for offer in able if offer.node.codec_for(codec) is codec)
            if not able:
                raise MiraError(
                    Kind.UNSUPPORTED,
                    f"no node that serves {route.model} takes {codec.name}; name a model of a node of kind openai, "
                    "openai-compatible or mira",
                    param="model",
                )
        offers = [offer for offer in able if offer.price is not None]
        if not offers:
            raise MiraError(
                Kind.UNPRICED,
                f"the model {route.model} has no price, so it is not called; the operator can add one under [[prices]] "
                "or mark it free = true",
                param="model",
            )
        asked = envelope.output_cap
        if asked is None:
            asked = route.max_output_tokens or default_output_cap(route.model)
        cap = min(asked, route.max_output_tokens) if route.max_output_tokens else asked
        input_bound = tokens.input_bound_tokens(envelope.input_bytes, envelope.media_parts)
        least_cap = min(cap, LEAST_OUTPUT_CAP)
        want = max([_hold(offer, input_bound, cap, envelope.choices) for offer in offers])
        least = want
        if least_cap < cap:
            least = max([_hold(offer, input_bound, least_cap, envelope.choices) for offer in offers])
        hold = await self.ledger.reserve(
            Reserve(
                hold_id=call.record.request_id,
                workspace_id=call.caller.workspace_id,
                key_id=call.caller.key_id,
                amount_nanocredits=want,
                least_nanocredits=least,
            )
        )
        call.hold = hold
        if hold.amount_nanocredits < want:
            granted = hold.amount_nanocredits
            cap = min(
                pricing.affordable_cap(granted, input_bound, envelope.choices, offer.price, offer.markup)
                for offer in offers
                if offer.price is not None
            )
        call.output_cap = cap
        call.clamped = cap < asked
        call.record.held_nanocredits = hold.amount_nanocredits
        if self.wait_for_durable_hold:
            await asyncio.shield(hold.durable)
        elif not hold.durable.done():
            hold.durable.add_done_callback(
                lambda _: call.exchange.cancel() if call.hold is hold and is_lost(hold) else None
            )
        return route if len(offers) == len(route.offers) else replace(route, offers=tuple(offers))

    # 4–7 choose, render, open, relay: attempt after attempt until content flows

    async def _converse(self, call: Call, route: Route) -> None:
        tried: list[Any] = []
        last: MiraError | None = None
        while len(tried) < MAX_ATTEMPTS:
            try:
                offer = fleet.choose(route, tried, self.monotonic_s())
            except MiraError as none_left:
                raise last or none_left from None
            node: Node = offer.node
            tried.append(node)
            call.record.attempts = len(tried)
            call.record.node = node.name
            node.health.in_flight += 1
            try:
                await self._ask(call, offer)
                return
            except AttemptFailed as failure:
                last = failure.error
                if failure.retryable:
                    node.health.failed(self.monotonic_s(), rest_s=failure.error.retry_after_s)
                    if not call.begun:
                        continue
                raise failure.error from None
            finally:
                node.health.in_flight -= 1
        assert last is not None
        raise last

    async def _ask(self, call: Call, offer: Offer) -> None:
        """Asks a node, and once more without the earlier reasoning where it cannot read that."""
        try:
            await self._attempt(call, offer)
        except AttemptFailed as failure:
            if failure.error.code != UNREADABLE or call.forgets:
                raise
            call.forgets = True
            await self._attempt(call, offer)

    async def _attempt(self, call: Call, offer: Offer) -> None:
        exchange = call.exchange
        node: Node = offer.node
        assert call.envelope is not None
        codec = node.codec_for(call.surface.codec, responses=_needs_responses(call))
        if call.envelope.output_cap == 0 and codec is not call.surface.codec:
            await self._answer_empty(call, offer)
            return
        body, conversation = await self._render(call, offer, codec)
        exchange.on_gone = exchange.cancel
        response: Response | None = None
        try:
            if exchange.gone:
                raise ClientLeft
            try:
                response = await node.open(
                    codec,
                    body,
                    call.record.request_id,
                    model=offer.upstream_model,
                    stream=call.envelope.stream,
                    passed=exchange if conversation is None else None,
                )
                if response.status != 200:
                    raise _attempt_failed(codec, response, await response.read(HELD_BACK_BYTES))
                raw = b"" if call.envelope.stream else await response.read(MAX_ANSWER_BYTES)
            except (MiraError, AttemptFailed):
                raise
            except Exception as broken:  # noqa: BLE001 - whatever the transport says, the attempt failed
                raise AttemptFailed(node.fault(broken), retryable=True) from None
            exchange.on_gone = None
            if call.envelope.stream:
                await self._stream(call, offer, codec, response, conversation)
            else:
                await self._whole(call, offer, codec, raw, conversation)
        except asyncio.CancelledError:
            if not exchange.gone or call.settled:
                raise
            exchange.on_gone = None
            await self._settle(call, offer, await self._estimate(call, Tally()), status=CLIENT_LEFT_STATUS)
        finally:
            exchange.on_gone = None
            if response is not None:
                response.close()

    async def _answer_empty(self, call: Call, offer: Offer) -> None:
        """Answers what was to warm the cache of a node that has none to warm: nobody is asked, nothing is charged."""
        assert call.envelope is not None
        call.record.node, call.record.attempts = None, 0
        stream = call.envelope.stream
        body = empty_answer(call.surface.codec, self._context(call, None), offer.upstream_model, stream=stream)
        await self._close_books(call, status=200, error=None)
        headers = self._headers(call, EVENT_STREAM if stream else b"application/json")
        headers.append((b"x-mira-cost", credits_text(0).encode()))
        await call.exchange.respond(200, headers, body)

    async def _render(self, call: Call, offer: Offer, codec: NodeCodec) -> tuple[bytes, Conversation | None]:
        """The body for the node, and the conversation where it had to be translated; else the answer passes through."""
        node: Node = offer.node
        envelope = call.envelope
        assert envelope is not None
        target = Target(
            model=offer.upstream_model,
            output_cap=call.output_cap,
            cap_field=node.cap_field,
            dialect=node.dialect,
            capabilities=call.capabilities,
        )
        client = call.surface.codec
        if codec is client and node.adapter is None:
            if call.forgets and client.forget is not None:
                envelope, call.dropped = client.forget(envelope), ("reasoning",)
            return client.pass_request(envelope, target), None
        conversation = client.parse_request(envelope)
        seen = await self._with_data(call, conversation, codec.needs_data(target))
        if node.adapter is not None:
            seen = node.adapter.prepare(seen)
        body, call.dropped = codec.render_request(without_reasoning(seen) if call.forgets else seen, target)
        if call.forgets:
            call.dropped = tuple(sorted({*call.dropped, "reasoning"}))
        return body, conversation

    async def _with_data(self, call: Call, conversation: Conversation, kinds: frozenset[str]) -> Conversation:
        """The conversation with the data of media that it links to, where the node takes only those."""
        if not kinds:
            return conversation
        assert call.envelope is not None
        exchange = call.exchange
        exchange.on_gone = exchange.cancel
        try:
            if exchange.gone:
                raise ClientLeft
            return await self.loader.inlined(conversation, kinds, call.envelope.fields, call.loaded)
        except asyncio.CancelledError:
            # No node was asked yet: there is nothing to pay.
            if exchange.gone:
                raise ClientLeft from None
            raise
        finally:
            exchange.on_gone = None

    def _context(self, call: Call, conversation: Conversation | None) -> Context:
        envelope = call.envelope
        assert envelope is not None
        return Context(
            answer_id=f"{call.surface.answer_prefix}{call.record.request_id}",
            created_s=call.record.started_at_ms // 1000,
            request_id=call.record.request_id,
            strip_provider=call.surface.face is Face.INFERENCE,
            include_usage=envelope.include_usage,
            request=conversation,
        )

    async def _whole(
        self, call: Call, offer: Offer, codec: NodeCodec, raw: bytes, conversation: Conversation | None
    ) -> None:
        context = self._context(call, conversation)
        try:
            answer = read_answer(call.surface.codec, codec, offer.node.adapter, raw, context)
        except MiraError as error:
            raise AttemptFailed(error, retryable=error.status not in FINAL_STATUSES) from None
        offer.node.health.succeeded()
        call.record.first_content_ms = self._elapsed_ms(call)
        usage = answer.usage or await self._estimate(call, answer.tally())
        billed = await self._settle(call, offer, usage, status=200)
        headers = self._headers(call, b"application/json")
        headers.append((b"x-mira-cost", credits_text(billed).encode()))
        await call.exchange.respond(200, headers, await self._remember(call, answer.render(usage, billed)))

    async def _stream(
        self, call: Call, offer: Offer, codec: NodeCodec, response: Response, conversation: Conversation | None
    ) -> None:
        node: Node = offer.node
        stream = open_stream(call.surface.codec, codec, node.adapter, self._context(call, conversation))
        assert call.hold is not None
        begin = partial(self._content_begins, call)
        pump = call.pump = Pump(call.exchange, call.hold, offer, response, stream, begin=begin)
        cut = await self._flow(call, node, response, pump)
        told = stream.failed
        last = stream.close()
        if call.exchange.gone and not stream.ended:
            await self._settle(call, offer, stream.usage or await self._estimate(call, stream.tally()), status=499)
            return
        error = told or (None if stream.ended else cut or stream.failed or node.fault(EOFError("cut")))
        if error is not None and not pump.flowing:
            raise AttemptFailed(error, retryable=error.status not in FINAL_STATUSES)
        if not pump.flowing:
            await asyncio.shield(call.hold.durable)
            pump.start()
        if last:
            call.exchange.write(last)
        usage = stream.usage or await self._estimate(call, stream.tally())
        billed = await self._settle(call, offer, usage, status=200, error=error)
        if error is None:
            node.health.succeeded()
            await call.exchange.end(await self._remember(call, stream.finish(usage, billed)))
        else:
            node.health.failed(self.monotonic_s())
            await call.exchange.end(stream.abort(error))

    async def _flow(self, call: Call, node: Node, response: Response, pump: Pump) -> MiraError | None:
        """Carries a stream until it is over; returns what cut it, if anything but the client did."""
        self.streams[pump] = call
        call.exchange.on_gone = response.close
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
                return _stopping()
        except Exception as broken:  # noqa: BLE001 - whatever the transport says, the stream is cut
            if call.exchange.gone or pump.stream.failed is not None:
                return None  # closed from here
            return node.fault(broken)
        finally:
            del self.streams[pump]
            pump.detach()
            call.exchange.on_gone = None
        return None

    def keep_alive(self) -> None:
        """Sends a sign of life to the clients of streams that were silent for `SILENT_TICKS` calls of this.

        Before the first content the answer begins with it, once the hold is durable.
        """
        for call in tuple(self.awaited.values()):
            if call.pump is not None and call.pump.spoke:
                call.pump.spoke = False
                call.silent_ticks = 0
                continue
            call.silent_ticks += 1
            exchange, hold = call.exchange, call.hold
            if call.silent_ticks < SILENT_TICKS or call.settled or exchange.gone or exchange.paused:
                continue
            if hold is not None and hold.durable.done() and not is_lost(hold):
                call.silent_ticks = 0
                self._send_head(call)
                exchange.write(call.surface.codec.keepalive)

    def checkpoint(self) -> None:
        """Tells the ledger what each running stream has cost so far: what a crash would charge.

        The prompt counts by its size: a tokenizer at work for every long stream would cost more than that is worth.
        """
        for pump, call in tuple(self.streams.items()):
            price = pump.offer.price
            if call.hold is None or price is None or price.free:
                continue
            assert call.envelope is not None
            prompt_tokens = call.prompt_tokens or tokens.rough_tokens(call.envelope.input_bytes)
            so_far = Usage(input_tokens=prompt_tokens, output_tokens=pump.stream.tally().deltas)
            cost_nanocredits = pricing.cost_nanocredits(so_far, price, pump.offer.markup)
            self.ledger.checkpoint(call.hold.id, min(cost_nanocredits, call.hold.amount_nanocredits))

    # 8–9 settle and record

    async def _settle(
        self, call: Call, offer: Offer, usage: Usage, *, status: int, error: MiraError | None = None
    ) -> int:
        assert offer.price is not None
        assert call.hold is not None
        computed, reported, actual = pricing.bill(
            usage, offer.price, trusted=offer.node.trusts_cost, markup=offer.markup
        )
        record = call.record
        record.usage = usage
        record.computed_nanocredits = computed
        record.reported_nanocredits = reported
        self._finish_record(call, status, error.kind.name.lower() if error else None)
        call.settled = True
        # A cost that only the node vouches for is never more than what was set aside.
        told = reported is not None and offer.node.trusts_cost
        return await self.ledger.settle(call.hold.id, actual, record, cap_at_hold=told)

    async def _estimate(self, call: Call, tally: Tally) -> Usage:
        """The usage of an answer whose node told none: the request's tokens and those of the content so far."""
        told = tally.prompt
        prompt = Usage(input_tokens=await self._prompt_tokens(call)) if told is None else replace(told, output_tokens=0)
        text = "".join(tally.text)
        try:
            counted = await self.counter.count_text(call.record.model, text) if text else 0
        except MiraError:
            counted = tokens.rough_tokens(len(text))
        return replace(prompt, output_tokens=tokens.delivered_tokens(tally.deltas, counted), estimated=True)

    async def _prompt_tokens(self, call: Call) -> int:
        """The request's tokens; by its size where nobody can count, so that no bill waits for a counter."""
        envelope = call.envelope
        assert envelope is not None
        if call.prompt_tokens is None:
            try:
                call.prompt_tokens = await self.counter.count_request(call.record.model, envelope.fields)
            except MiraError:
                call.prompt_tokens = tokens.rough_tokens(envelope.input_bytes)
        return call.prompt_tokens

    async def _refuse(self, call: Call, error: MiraError) -> None:
        pump = call.pump
        if pump is not None and pump.flowing:
            # The answer has begun: it ends in the protocol's error, and what was delivered is billed.
            if not call.settled:
                usage = pump.stream.usage or await self._estimate(call, pump.stream.tally())
                await self._settle(call, pump.offer, usage, status=200, error=error)
            await call.exchange.end(pump.stream.abort(error))
            return
        if call.begun:
            await self._close_books(call, status=200, error=error.kind.name.lower())
            await call.exchange.end(call.surface.codec.pass_stream(self._context(call, None)).abort(error))
            return
        status = call.surface.codec.status_of(error)
        await self._close_books(call, status=status, error=error.kind.name.lower())
        if not call.exchange.gone:
            headers = error_headers(error, call.record.request_id, call.surface.request_id_headers)
            await call.exchange.respond(status, headers, call.surface.codec.render_error(error, call.record.request_id))

    async def _close_books(self, call: Call, *, status: int, error: str | None) -> None:
        """Voids the hold of a call that delivered nothing, and records the outcome."""
        if call.settled or call.caller is None:
            return
        call.settled = True
        hold, call.hold = call.hold, None
        self._finish_record(call, status, error)
        try:
            if hold is not None:
                async with asyncio.timeout(BOOKS_WAIT_S):
                    await self.ledger.void(hold.id, call.record)
            else:
                self.ledger.record(call.record)
        except (MiraError, TimeoutError):
            log.warning("request %s is not recorded yet: the store does not answer", call.record.request_id)

    def _finish_record(self, call: Call, status: int, error: str | None) -> None:
        call.record.status = status
        call.record.error = error
        call.record.duration_ms = self._elapsed_ms(call)

    def _elapsed_ms(self, call: Call) -> int:
        return int((self.monotonic_s() - call.started_s) * 1000)

    def _content_begins(self, call: Call) -> None:
        call.record.first_content_ms = self._elapsed_ms(call)
        self._send_head(call)

    def _send_head(self, call: Call) -> None:
        """Begins a streamed answer, once."""
        if not call.begun:
            call.begun = True
            call.exchange.start(200, self._headers(call, EVENT_STREAM))

    def _headers(self, call: Call, content_type: bytes) -> Headers:
        record = call.record
        headers = [
            (b"content-type", content_type),
            *((name, record.request_id.encode()) for name in call.surface.request_id_headers),
            (b"x-mira-node", (record.node or "").encode()),
            (b"x-mira-model", record.model.encode()),
        ]
        if call.dropped:
            headers.append((b"x-mira-dropped", ",".join(call.dropped).encode()))
        if call.clamped:
            headers.append((b"x-mira-max-tokens", str(call.output_cap).encode()))
        return headers


async def authenticate(keyring: Keyring, head: RequestHeaders, face: Face) -> Caller:
    """The caller behind the key of a request: `Authorization: Bearer` decides, else `x-api-key`."""
    secret = _secret(head)
    if not secret:
        raise MiraError(
            Kind.BAD_KEY, "no key was sent; put it into the header `Authorization: Bearer KEY` or `x-api-key: KEY`"
        )
    caller = keyring.known(secret) or await keyring.find(secret)
    if caller is None:
        raise MiraError(Kind.BAD_KEY, "this key is unknown, revoked or expired; make one with `mira keys create`")
    if caller.face is not face:
        other = "/inference/v1" if caller.face is Face.INFERENCE else "/v1"
        raise MiraError(Kind.FORBIDDEN, f"this key is for {other}, not for this route")
    return caller


def error_headers(
    error: MiraError, request_id: str, request_id_headers: tuple[bytes, ...] = (b"x-request-id",)
) -> Headers:
    """The headers that go with an error body."""
    headers = [(b"content-type", b"application/json"), *((name, request_id.encode()) for name in request_id_headers)]
    if error.kind.value.retry is not None:
        headers.append((b"x-should-retry", b"true" if error.kind.value.retry else b"false"))
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, round(error.retry_after_s))).encode()))
    return headers


def _secret(head: RequestHeaders) -> str | None:
    authorization = head.header(b"authorization")
    if authorization:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
    return head.header(b"x-api-key")


def _printable(text: str | None) -> str | None:
    return text[:128] if text and text.isascii() and text.isprintable() else None


def _needs_responses(call: Call) -> bool:
    """Whether the model takes the request under Responses alone; it is only read whole where that may be so."""
    can, envelope, client = call.capabilities, call.envelope, call.surface.codec
    assert envelope is not None
    if client.passes_only or not (can.responses_only or (envelope.uses_tools and not can.chat_tools_with_thinking)):
        return False
    return needs_responses(can, client.parse_request(envelope).thinking, uses_tools=envelope.uses_tools)


def _hold(offer: Offer, input_bound: int, cap: int, choices: int) -> int:
    if offer.rates is not None:
        return offer.rates.hold_nanocredits(input_bound, cap * choices)
    assert offer.price is not None
    return pricing.hold_nanocredits(input_bound, cap, choices, offer.price, offer.markup)


def _attempt_failed(codec: NodeCodec, response: Response, body: bytes) -> AttemptFailed:
    error = codec.parse_error(response.status, body)
    wish = response.header(b"retry-after")
    if wish and wish.isdecimal() and error.retry_after_s is None:
        error.retry_after_s = float(wish)
    return AttemptFailed(error, retryable=response.status not in FINAL_STATUSES)


def _unwritten() -> MiraError:
    return MiraError(Kind.STORE_DOWN, "the ledger does not answer; try again", retry_after_s=1)


def _stopping() -> MiraError:
    return MiraError(Kind.UNAVAILABLE, "Mira is stopping; try again", retry_after_s=1)
