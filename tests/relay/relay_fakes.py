"""The relay's collaborators as tests play them: small, scripted, and all writing into one diary."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from mira.calls.call import Surface
from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec, NodeCodec
from mira.collaborators import ClientLeft, Headers
from mira.core.call import CallRecord
from mira.core.caller import Caller, Face
from mira.core.deadlines import Timeouts
from mira.core.fleet import Balancer, Offer, Route
from mira.core.health import Health
from mira.core.ledger import Reserve, StoredAnswer
from mira.core.pricing import PAR, Price, flat_rates
from mira.errors import Kind, MiraError
from mira.fetch.egress import Egress
from mira.fetch.links import Loader
from mira.relay import Relay
from mira.transport.pinned import PinnedOpener
from mira.transport.resolver import system_lookup

PRICE = Price(input_picocredits=1_000_000, output_picocredits=2_000_000)
MODEL = "openai/gpt-4o-mini"
USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
#: what 11 tokens at 1,000 and 3 at 2,000 nano-credits cost
USAGE_NANOCREDITS = 17_000


class FakeExchange:
    """A client: what it sent, what it got, and when it stops reading or leaves."""

    def __init__(self, diary: list[str], body: bytes, headers: dict[bytes, str]) -> None:
        self.diary = diary
        self.gone = False
        self.on_gone: Callable[[], object] | None = None
        self.on_resume: Callable[[], object] | None = None
        self.paused = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.sent = b""
        self.heads = 0
        self.ended = False
        self.begun = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.head = {name: value.encode("latin-1") for name, value in headers.items()}
        self._request_headers = headers
        self._body = body

    def header(self, name: bytes) -> str | None:
        return self._request_headers.get(name)

    async def body(self, limit_bytes: int) -> bytes:
        self.diary.append("body")
        if self.gone:
            raise ClientLeft
        return self._body

    def start(self, status: int, headers: Headers) -> None:
        self._begin(status, headers)

    def write(self, data: bytes) -> None:
        assert self.heads == 1, "content came before the head"
        assert not self.ended, "content came after the end"
        if not self.gone:
            self.sent += data

    async def end(self, data: bytes) -> None:
        self.write(data)
        self.ended = True
        self.diary.append("end")

    def cancel(self) -> None:
        assert self.task is not None
        self.task.cancel()

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        if self.gone:
            return
        self._begin(status, headers)
        await self.end(body)

    def leave(self) -> None:
        """The client closes its connection."""
        self.gone = True
        if self.on_gone is not None:
            self.on_gone()

    def read_on(self) -> None:
        """A client that was slow has caught up."""
        self.paused = False
        if self.on_resume is not None:
            self.on_resume()

    def _begin(self, status: int, headers: Headers) -> None:
        assert not self.gone, "an answer for nobody"
        assert self.heads == 0, "a second head"
        self.heads += 1
        self.diary.append(f"head {status}")
        self.status = status
        self.headers = {name.decode(): value.decode() for name, value in headers}
        self.begun.set()

    @property
    def json(self) -> Any:
        return json.loads(self.sent)

    @property
    def events(self) -> list[Any]:
        """The data of a stream's frames; `[DONE]` as it is."""
        frames = [frame.removeprefix(b"data: ") for frame in self.sent.split(b"\n\n") if frame]
        return [frame.decode() if frame == b"[DONE]" else json.loads(frame) for frame in frames]


class FakeResponse:
    """A node's answer; a script feeds it."""

    def __init__(self, diary: list[str], status: int = 200, headers: dict[bytes, str] | None = None) -> None:
        self.diary = diary
        self.status = status
        self.closed = False
        self.paused = 0
        self.resumed = 0
        self.streaming = asyncio.Event()
        self._headers = headers or {}
        self._whole: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_data: Callable[[bytes], None] | None = None

    def header(self, name: bytes) -> str | None:
        return self._headers.get(name)

    async def read(self, limit_bytes: int) -> bytes:
        self.diary.append("read")
        return await self._whole

    def stream(self, on_data: Callable[[bytes], None]) -> "asyncio.Future[None]":
        self._on_data = on_data
        self.streaming.set()
        return self._over

    def pause(self) -> None:
        self.paused += 1

    def resume(self) -> None:
        self.resumed += 1

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.diary.append("closed")
        self.cut()

    # for scripts

    def says(self, body: Any) -> "FakeResponse":
        self._whole.set_result(body if isinstance(body, bytes) else json.dumps(body).encode())
        return self

    async def feed(self, *values: Any) -> None:
        """Sends chunks of a stream; bytes as they are."""
        await self.streaming.wait()
        assert self._on_data is not None
        for value in values:
            self._on_data(value if isinstance(value, bytes) else b"data: " + json.dumps(value).encode() + b"\n\n")

    def finish(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def cut(self) -> None:
        for future in (self._whole, self._over):
            if not future.done():
                future.set_exception(ConnectionResetError())
                future.exception()


class FakeNode:
    """An upstream. `script(node, number)` opens its answers, or raises."""

    def __init__(
        self,
        name: str,
        diary: list[str],
        script: Callable[["FakeNode", int], Awaitable[FakeResponse]],
        *,
        codec: Codec = CHAT,
        trusts_cost: bool = False,
    ) -> None:
        self.name = name
        self.diary = diary
        self.codec = codec
        self.cap_field = "max_tokens"
        self.dialect = ""
        self.trusts_cost = trusts_cost
        self.keeps_statement = False
        self.remembers = False
        self.health = Health()
        self.timeouts = Timeouts()
        self.adapter = None
        self.weight = 1.0
        self.max_in_flight: int | None = None
        self.obstacle: MiraError | None = None
        self.bodies: list[Any] = []
        self.asked = asyncio.Event()
        self._script = script

    def codec_for(self, client: NodeCodec, *, responses: bool = False) -> NodeCodec:
        return self.codec

    async def open(
        self,
        codec: NodeCodec,
        body: bytes,
        request_id: str,
        *,
        model: str,
        stream: bool,
        passed: Any,
        timeouts: Any,
        via: str,
    ) -> FakeResponse:
        self.diary.append(f"open {self.name}")
        self.given = timeouts
        self.bodies.append(json.loads(body))
        self.asked.set()
        return await self._script(self, len(self.bodies) - 1)

    def fault(self, error: BaseException) -> MiraError:
        return MiraError(Kind.UPSTREAM_FAILED, "the upstream cut its answer short")


class FakeHold:
    def __init__(self, hold_id: str, amount_nanocredits: int, tokens: int = 0) -> None:
        self.id = hold_id
        self.tokens = tokens
        self.amount_nanocredits = amount_nanocredits
        self.durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_lost: Callable[[], object] | None = None


class NoFiles:
    """A workspace without files."""

    async def find(self, workspace_id: str, file_id: str) -> Any:
        raise MiraError(Kind.NOT_FOUND, "there is no such file")

    async def data(self, file: Any) -> bytes:
        raise AssertionError("nothing was found")


class FakeMemory:
    """Remembers nothing."""

    async def find(self, workspace_id: str, answer_id: str | None, item_ids: Any) -> tuple[None, dict[str, Any]]:
        return None, {}

    async def keep(self, workspace_id: str, answer_id: str, context: Any, items: Any) -> None:
        pass


class FakeLedger:
    """A workspace with `funds`; holds are durable at once unless `durable_at_once` is False, or lost so with `loses`."""

    def __init__(self, diary: list[str], funds: int = 10**9) -> None:
        self.diary = diary
        self.funds = funds
        self.durable_at_once = True
        self.loses = False
        self.capped = False
        self.attempt_costs = 0
        self.settle_fault: Exception | None = None
        self.holds: list[FakeHold] = []
        self.asked: list[Reserve] = []
        self.closings: list[tuple[str, int, CallRecord]] = []
        self.recorded: list[CallRecord] = []
        self.checkpoints: list[tuple[str, int]] = []

    async def reserve(self, request: Reserve) -> FakeHold:
        self.diary.append("reserve")
        self.asked.append(request)
        granted = min(request.amount_nanocredits, self.funds)
        if granted < request.least_nanocredits:
            raise MiraError(Kind.NO_CREDITS, "Not enough credits.", details={"needed": "1"})
        hold = FakeHold(request.hold_id, granted, request.tokens)
        self.holds.append(hold)
        if self.loses:
            self.fail()
        elif self.durable_at_once:
            hold.durable.set_result(None)
        await asyncio.sleep(0)
        return hold

    async def settle(
        self,
        hold_id: str,
        actual_nanocredits: int,
        record: CallRecord,
        *,
        cap_at_hold: bool = False,
        attempt_cost_nanocredits: int = 0,
        render: Callable[[int], StoredAnswer | None] | None = None,
    ) -> int:
        self.capped = cap_at_hold
        self.attempt_costs += attempt_cost_nanocredits
        self._close("settle", hold_id, actual_nanocredits, record)
        await asyncio.sleep(0)
        if self.settle_fault is not None:
            raise self.settle_fault
        return actual_nanocredits

    async def void(self, hold_id: str, record: CallRecord, *, attempt_cost_nanocredits: int = 0) -> None:
        self.attempt_costs += attempt_cost_nanocredits
        self._close("void", hold_id, 0, record)
        await asyncio.sleep(0)

    def record(self, record: CallRecord) -> "asyncio.Future[None]":
        self.diary.append("record")
        self.recorded.append(record)
        return asyncio.get_running_loop().create_future()

    def checkpoint(
        self, hold_id: str, amount_nanocredits: int, node: str | None = None, answer_id: str | None = None
    ) -> None:
        self.checkpoints.append((hold_id, amount_nanocredits))

    def _close(self, how: str, hold_id: str, amount: int, record: CallRecord) -> None:
        self.diary.append(how)
        self.closings.append((how, amount, record))
        assert hold_id == self.holds[-1].id

    @property
    def closing(self) -> tuple[str, int, CallRecord]:
        """The one settlement or void there may be."""
        (only,) = self.closings
        return only

    def fail(self) -> None:
        """The newest hold could not be written."""
        hold = self.holds[-1]
        hold.durable.set_exception(MiraError(Kind.STORE_DOWN, "the ledger does not answer"))
        hold.durable.exception()
        if hold.on_lost is not None:
            hold.on_lost()


class FakeCounter:
    """Seven tokens a request; a text has as many as words."""

    def __init__(self) -> None:
        self.busy = False

    async def count_request(self, model: str, fields: dict[str, Any]) -> int:
        self._check()
        return 7

    async def count_text(self, model: str, text: str) -> int:
        self._check()
        return len(text.split())

    def _check(self) -> None:
        if self.busy:
            raise MiraError(Kind.UNAVAILABLE, "busy")


class FakeKeyring:
    def __init__(self, diary: list[str]) -> None:
        self.diary = diary
        self.callers = {"the-key": Caller("w", "k", Face.PROXY)}

    def known(self, secret: str) -> Caller | None:
        return None

    async def find(self, secret: str) -> Caller | None:
        self.diary.append("key")
        return self.callers.get(secret)


class FakeCatalog:
    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}

    def find(self, name: str) -> Route:
        if name not in self.routes:
            raise MiraError(Kind.MODEL_NOT_FOUND, "there is no such model", param="model")
        return self.routes[name]


class FakeObserver:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.began_ids: list[str] = []
        self.records: list[CallRecord] = []

    def began(self, request_id: str) -> None:
        self.began_ids.append(request_id)

    def ended(self, record: CallRecord) -> None:
        self.records.append(record)


class World:
    """A relay with everything around it."""

    def __init__(self, *, ledger: Any = None, first_id: int = 1, **settings: Any) -> None:
        self.diary: list[str] = []
        self.keyring = FakeKeyring(self.diary)
        self.catalog = FakeCatalog()
        self.ledger = ledger or FakeLedger(self.diary)
        self.counter = FakeCounter()
        self.observer = FakeObserver()
        self.now_s = 100.0
        self._ids = count(first_id)
        self.relay = Relay(
            keyring=self.keyring,
            catalog=self.catalog,
            ledger=self.ledger,
            counter=self.counter,
            memory=FakeMemory(),
            loader=Loader(Egress(PinnedOpener(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)), system_lookup)),
            files=NoFiles(),
            observer=self.observer,
            **{"most_calls": 100, **settings},
            instance="here",
            now_ms=lambda: 1_700_000_000_000,
            balancer=Balancer(lambda: 0.0),
            monotonic_s=lambda: self.now_s,
            new_id=lambda: f"req_{next(self._ids)}",
        )

    def serve(
        self,
        *scripts: Any,
        model: str = MODEL,
        prices: tuple[Price | None, ...] = (),
        trusts_cost: bool = False,
        max_in_flight: int | None = None,
    ) -> list[FakeNode]:
        """A node for each script, all serving one model."""
        nodes = [
            FakeNode(f"node-{number}", self.diary, script, trusts_cost=trusts_cost)
            for number, script in enumerate(scripts)
        ]
        for node in nodes:
            node.max_in_flight = max_in_flight
        told = prices or (PRICE,) * len(nodes)
        offers = tuple(
            Offer(
                node=node,
                upstream_model="gpt-4o-mini",
                price=price,
                markup=PAR,
                rates=flat_rates(price, PAR),
                lane=node.health.lane(model),
            )
            for node, price in zip(nodes, told, strict=True)
        )
        self.catalog.routes[model] = Route(model=model, offers=offers, max_output_tokens=1000)
        return nodes

    def ask(
        self,
        *,
        key: str | None = "the-key",
        face: Face = Face.PROXY,
        headers: dict[bytes, str] | None = None,
        **body: Any,
    ) -> FakeExchange:
        """A client's request on its way."""
        fields = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], **body}
        known = {b"authorization": f"Bearer {key}"} if key is not None else {}
        exchange = FakeExchange(self.diary, json.dumps(fields).encode(), {**known, **(headers or {})})
        exchange.task = asyncio.create_task(self.relay.answer(exchange, Surface(CHAT, face)))
        return exchange

    async def answered(self, **body: Any) -> FakeExchange:
        """A client's request, served to its end."""
        exchange = self.ask(**body)
        await over(exchange)
        return exchange


async def over(exchange: FakeExchange) -> None:
    """Waits until the relay has done with a request."""
    assert exchange.task is not None
    async with asyncio.timeout(120):
        await asyncio.wait([exchange.task])
    exchange.task.result()


async def soon(condition: Callable[[], Any]) -> None:
    """Lets the loop run until the condition holds."""
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 - anything may make it hold
            await asyncio.sleep(0)


# Scripts and what they say


def completion(content: str = "Hello there.", usage: dict[str, Any] | None = USAGE) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    body = {
        "id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }  # fmt: skip
    return body if usage is None else {**body, "usage": usage}


def chunk(
    content: str | None = None, *, finish: str | None = None, usage: dict[str, Any] | None = None
) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    choices = [] if content is None and finish is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    return {**head, "choices": choices, **({"usage": usage} if usage else {})}


ROLE = {**chunk(""), "choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}]}
DONE = b"data: [DONE]\n\n"


def says(body: Any, status: int = 200, headers: dict[bytes, str] | None = None) -> Any:
    """Answers every request with the same body."""

    async def script(node: FakeNode, number: int) -> FakeResponse:
        return FakeResponse(node.diary, status, headers).says(body)

    return script


def refuses(status: int, message: str = "no", headers: dict[bytes, str] | None = None) -> Any:
    return says({"error": {"message": message, "type": "x", "code": None}}, status, headers)


def breaks() -> Any:
    """Cannot be reached."""

    async def script(node: FakeNode, number: int) -> FakeResponse:
        raise ConnectionRefusedError

    return script


class Streaming:
    """A script whose answer the test feeds by hand: `response` is there once the node was asked."""

    def __init__(self) -> None:
        self.responses: list[FakeResponse] = []
        self.opened = asyncio.Event()

    async def __call__(self, node: FakeNode, number: int) -> FakeResponse:
        self.responses.append(FakeResponse(node.diary))
        self.opened.set()
        return self.responses[-1]

    async def feed(self, *values: Any) -> None:
        await self.opened.wait()
        await self.responses[-1].feed(*values)

    @property
    def response(self) -> FakeResponse:
        return self.responses[-1]


def plays(*values: Any, cut: bool = False) -> Any:
    """Streams these chunks to the end, or to a cut."""

    async def script(node: FakeNode, number: int) -> FakeResponse:
        response = FakeResponse(node.diary)

        async def play() -> None:
            await response.feed(*values)
            response.cut() if cut else response.finish()

        node.player = asyncio.create_task(play())  # type: ignore[attr-defined]
        return response

    return script


def hangs() -> Any:
    """Takes the request and never says anything."""

    async def script(node: FakeNode, number: int) -> FakeResponse:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            node.diary.append(f"left {node.name}")
            raise
        raise AssertionError

    return script
