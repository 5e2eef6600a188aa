"""The client, the upstream or the process is cut at every point of a call, and the charge is the documented one.

The points are found, not sampled: a driver counts every suspension of the relay's task and every piece that the node
says, and a call is made anew for each of them until one comes that is not reached. At each point there are three
moments: as the task suspends, in the next turn of the loop, and just before what it waits for wakes it up.
"""

import asyncio
import itertools
import json
from collections.abc import Callable, Generator
from typing import Any

import pytest
from relay_fakes import (
    MODEL,
    PRICE,
    ROLE,
    FakeCounter,
    FakeExchange,
    FakeKeyring,
    FakeNode,
    FakeResponse,
    Streaming,
    World,
    chunk,
    over,
)
from sqlalchemy import func, select

from mira.calls.call import Surface
from mira.codecs.chat import CHAT
from mira.codecs.messages import MESSAGES
from mira.core.caller import Face
from mira.core.fleet import Offer, Route
from mira.core.pricing import PAR, flat_rates
from mira.store.database import Database
from mira.store.ledger import Ledger
from mira.store.schema import call, hold, transfer
from mira.store.workspaces import Workspaces

FUNDS = 10**12
SURFACES = {
    "chat": Surface(CHAT, Face.PROXY),
    "messages": Surface(MESSAGES, Face.PROXY, "msg_", (b"x-request-id", b"request-id")),
}
INPUT, OUTPUT = 1_000, 2_000
#: What the fakes count for the request, and what the node tells.
COUNTED, TOLD = 7, 11
WORDS = ("one", " two", " three")
FULL = TOLD * INPUT + len(WORDS) * OUTPUT
MOMENTS = ("suspending", "next", "waking")


def chat_stream() -> list[bytes]:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}

    def piece(delta: Any, finish: Any = None) -> Any:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    usage = {"prompt_tokens": TOLD, "completion_tokens": len(WORDS), "total_tokens": TOLD + len(WORDS)}
    said = [piece({"role": "assistant", "content": ""}), *(piece({"content": word}) for word in WORDS)]
    said += [piece({}, "stop"), {**head, "choices": [], "usage": usage}]
    return [b"data: " + json.dumps(value).encode() + b"\n\n" for value in said] + [b"data: [DONE]\n\n"]


def messages_stream() -> list[bytes]:
    start = {**MESSAGES_WHOLE, "content": [], "stop_reason": None, "usage": {"input_tokens": TOLD, "output_tokens": 0}}
    said: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in WORDS),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": len(WORDS)},
        },
        {"type": "message_stop"},
    ]
    return [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in said]


CHAT_WHOLE = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "one two three"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": TOLD, "completion_tokens": len(WORDS), "total_tokens": TOLD + len(WORDS)},
}
MESSAGES_WHOLE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "gpt-4o-mini",
    "content": [{"type": "text", "text": "one two three"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": TOLD, "output_tokens": len(WORDS)},
}
SAID = {"chat": (CHAT_WHOLE, chat_stream()), "messages": (MESSAGES_WHOLE, messages_stream())}


class Points:
    """Counts the points of a call and does `cut` at one of them, at one of its moments."""

    def __init__(self, number: int, moment: str, cut: Callable[[], None]) -> None:
        self._number = number
        self._moment = moment
        self._cut = cut
        self.passed = 0
        self.reached = False

    def reach(self, awaited: Any = None) -> None:
        """One more point; `awaited` is the future that the relay's task waits for at it."""
        self.passed += 1
        if self.passed != self._number:
            return
        self.reached = True
        if self._moment == "suspending":
            self._cut()
        elif self._moment == "waking" and awaited is not None:
            # Called before the task's own wake-up, which is added once the future has been handed over.
            awaited.add_done_callback(lambda _: self._cut())
        else:
            asyncio.get_running_loop().call_soon(self._cut)

    def drive(self, coroutine: Any) -> "Driven":
        """The coroutine, each of whose suspensions is a point."""
        return Driven(coroutine, self)


class Driven:
    """Awaits a coroutine step by step."""

    def __init__(self, coroutine: Any, points: Points) -> None:
        self._coroutine = coroutine
        self._points = points

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[], Any] = lambda: self._coroutine.send(None)  # noqa: E731 - replaced at every turn
        while True:
            try:
                awaited = step()
            except StopIteration as end:
                return end.value
            self._points.reach(awaited)
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001 - a cancellation goes where it was meant to go
                step = lambda error=error: self._coroutine.throw(error)  # noqa: E731
            else:
                step = lambda: self._coroutine.send(None)  # noqa: E731


class SlowKeyring(FakeKeyring):
    async def find(self, secret: str) -> Any:
        await asyncio.sleep(0)
        return await super().find(secret)


class SlowCounter(FakeCounter):
    async def count_request(self, model: str, fields: dict[str, Any]) -> int:
        await asyncio.sleep(0)
        return await super().count_request(model, fields)

    async def count_text(self, model: str, text: str) -> int:
        await asyncio.sleep(0)
        return await super().count_text(model, text)


class Client(FakeExchange):
    """A client that sends its body late and hears nothing more once it has left; a `slow` one takes its last bytes late."""

    slow = True

    async def body(self, limit_bytes: int) -> bytes:
        await asyncio.sleep(0)
        return await super().body(limit_bytes)

    def start(self, status: int, headers: Any) -> None:
        if not self.gone:
            super().start(status, headers)

    def write(self, data: bytes) -> None:
        if not self.gone:
            super().write(data)

    async def end(self, data: bytes) -> None:
        self.write(data)
        if self.slow:
            await asyncio.sleep(0)
        self.ended = not self.gone

    async def respond(self, status: int, headers: Any, body: bytes) -> None:
        self.start(status, headers)
        self.write(body)
        self.ended = not self.gone


class Answering(FakeResponse):
    """A node's answer, said piece by piece; knows which pieces came before it was closed or cut."""

    def __init__(self, diary: list[str], points: Points) -> None:
        super().__init__(diary)
        self.points = points
        self.came: list[bytes] = []
        self.read_through = False

    async def read(self, limit_bytes: int) -> bytes:
        raw = await super().read(limit_bytes)
        self.read_through = True
        return raw

    async def say(self, pieces: list[bytes]) -> None:
        await self.streaming.wait()
        for piece in pieces:
            await asyncio.sleep(0)
            if self._over.done():
                return
            self.came.append(piece)
            self._on_data(piece)
            self.points.reach()
        await asyncio.sleep(0)
        self.finish()


class Case:
    """One call that is cut at one point."""

    def __init__(self, ledger: Ledger, number: int, node: str, cut: str, point: int, moment: str) -> None:
        self.request_id = f"req_{number}"
        self.world = World(ledger=ledger, first_id=number)
        self.world.keyring = SlowKeyring(self.world.diary)
        self.world.relay.keyring = self.world.keyring
        self.world.relay.books._counter = SlowCounter()
        self.node_protocol = node
        self.cut_by = cut
        self.points = Points(point, moment, self._cut)
        self.exchange: Client
        self.response: Answering | None = None
        self.broken = False
        self.player: asyncio.Task[None] | None = None
        upstream = FakeNode(node, self.world.diary, self._open, codec=SURFACES[node].codec)
        offer = Offer(node=upstream, upstream_model="m", price=PRICE, markup=PAR, rates=flat_rates(PRICE, PAR))
        self.world.catalog.routes[MODEL] = Route(model=MODEL, offers=(offer,), max_output_tokens=1000)

    async def _open(self, node: FakeNode, number: int) -> FakeResponse:
        await asyncio.sleep(0)
        if self.broken:
            raise ConnectionResetError
        self.response = Answering(self.world.diary, self.points)
        whole, pieces = SAID[self.node_protocol]
        if node.bodies[number].get("stream"):
            self.player = asyncio.create_task(self.response.say(pieces))
        else:
            asyncio.get_running_loop().call_soon(self._say_whole, whole)
        return self.response

    def _say_whole(self, whole: Any) -> None:
        if not self.response._whole.done():
            self.response.says(whole)

    def _cut(self) -> None:
        if self.cut_by == "client":
            self.exchange.leave()
        elif self.cut_by == "stop":
            if not self.exchange.task.done():
                self.exchange.cancel()
        else:
            self.broken = True
            if self.response is not None:
                self.response.cut()

    async def run(self, client: str, *, stream: bool) -> None:
        fields = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
        headers = {b"authorization": "Bearer the-key"}
        exchange = self.exchange = Client(self.world.diary, json.dumps(fields).encode(), headers)
        # A process that is stopped by force does not wait for slow clients.
        exchange.slow = self.cut_by != "stop"

        async def answer() -> None:
            await self.points.drive(self.world.relay.answer(exchange, SURFACES[client]))

        exchange.task = asyncio.create_task(answer())
        async with asyncio.timeout(120):
            await asyncio.wait([exchange.task])
            exchange.task.result()
            if self.player is not None:
                self.player.cancel()
                await asyncio.wait([self.player])
            # A batch of its own, so that whatever was queued before it is in.
            await self.world.ledger.maintain()

    def charge(self, *, stream: bool) -> int:
        """What docs/operations.md says that the call costs."""
        if self.response is None:
            # Only who left after the node was asked pays for the asking.
            return (
                COUNTED * INPUT if self.cut_by == "client" and f"open {self.node_protocol}" in self.world.diary else 0
            )
        if not stream:
            if self.response.read_through:
                return FULL
            return COUNTED * INPUT if self.cut_by == "client" else 0
        came = b"".join(self.response.came)
        words = sum(word.strip().encode() in came for word in WORDS)
        if self.cut_by != "client" and self.exchange.status != 200:
            # Content that waited for the hold to be durable, and that nobody saw, is none.
            return 0
        if b'_tokens": 3' in came:
            return FULL
        prompt = TOLD if b'"input_tokens": 11' in came else COUNTED
        return prompt * INPUT + words * OUTPUT


@pytest.fixture
async def database(tmp_path):
    database = Database.open(f"sqlite:///{tmp_path}/mira.db")
    yield database
    await database.close()


@pytest.fixture
async def ledger(database):
    await Workspaces(database).create("w", "w", 0)
    ledger = Ledger(database, epoch_id="cuts")
    await ledger.start()
    await ledger.top_up("w", FUNDS, "x")
    yield ledger
    await ledger.close()


async def booked(database, request_id):
    """What a request was charged, how many records it has, and how many holds there are at all."""
    settled = select(func.coalesce(func.sum(transfer.c.amount_nanocredits), 0)).where(
        transfer.c.idem == f"settle:{request_id}"
    )
    records = select(func.count()).select_from(call).where(call.c.request_id == request_id)
    holds = select(func.count()).select_from(hold)
    return await database.read(
        lambda connection: tuple(connection.execute(query).scalar_one() for query in (settled, records, holds))
    )


def is_proper(exchange: Client, *, client: str, stream: bool, cut_by: str, charged: int) -> bool:
    """Whether the answer is complete, the protocol's error, or nothing; for one who left, what had gone out."""
    sent = exchange.sent
    if exchange.gone:
        return not sent or exchange.status in (200, 502, 503)
    if exchange.status != 200:
        told = json.loads(sent)
        if charged:
            return False  # an error costs nothing
        return (
            exchange.status in (502, 503, 529) and "error" in told and (client != "messages" or told["type"] == "error")
        )
    if not stream:
        return b"one two three" in sent
    terminal = b"data: [DONE]" if client == "chat" else b"event: message_stop"
    error = b'"error":' if client == "chat" else b"event: error"
    if sent.rstrip().endswith(b"[DONE]") or terminal in sent:
        # A node that said why it ends and then breaks off has said all but its usage.
        return error not in sent and charged in (FULL, COUNTED * INPUT + len(WORDS) * OUTPUT)
    return error in sent and cut_by != "client"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("node", ["chat", "messages"])
@pytest.mark.parametrize("client", ["chat", "messages"])
async def test_a_cut_at_any_point_ends_in_the_documented_charge(ledger, database, client, node, stream):
    numbers = itertools.count(1)
    total = 0
    outcomes = set()
    for cut, moment in itertools.product(("client", "upstream", "stop"), MOMENTS):
        for point in itertools.count(1):
            case = Case(ledger, next(numbers), node, cut, point, moment)
            await case.run(client, stream=stream)
            charged, records, holds = await booked(database, case.request_id)
            where = (cut, moment, point, case.world.diary, case.exchange.status, case.exchange.sent)
            assert charged == case.charge(stream=stream), where
            assert holds == 0, where
            assert records == ("key" in case.world.diary), where
            assert is_proper(case.exchange, client=client, stream=stream, cut_by=cut, charged=charged), where
            total += charged
            outcomes.add((cut, charged))
            if not case.points.reached:
                assert charged == FULL
                assert point >= 7, "hardly a point was found"
                break
    assert await ledger.balance("w") == (FUNDS - total, 0)
    assert (await ledger.check())["ok"]
    assert {("client", 0), ("client", FULL), ("upstream", 0), ("upstream", FULL), ("stop", 0)} < outcomes


async def test_a_stream_cut_in_the_moment_that_its_hold_becomes_durable_is_answered_once():
    world = World()
    world.ledger.durable_at_once = False
    streaming = Streaming()
    world.serve(streaming)
    exchange = world.ask(stream=True)
    await streaming.feed(ROLE, chunk("Hello"))
    streaming.response.cut()
    world.ledger.holds[0].durable.set_result(None)
    await over(exchange)
    assert (exchange.heads, exchange.status) == (1, 502)
    assert world.ledger.closing[:2] == ("void", 0)
