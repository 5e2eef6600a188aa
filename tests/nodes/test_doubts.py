"""Calls whose process died: their node is asked what they did cost, and each ends once, whatever it says."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mira.config_tables import NodeConfig
from mira.core.ledger import Doubt
from mira.core.pricing import parse_markup
from mira.nodes.doubts import Doubts
from mira.nodes.node import Node
from mira.transport.client import Pool

NOW_MS = 1_760_000_000_000


class Books:
    """A node's server that answers every GET with `body`, after `bodies`; `asked` are the targets."""

    def __init__(self) -> None:
        self.body: Any = {}
        self.bodies: list[Any] = []
        self.status = 200
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked.append(head.split(b" ")[1].decode())
                body = json.dumps(self.bodies.pop(0) if self.bodies else self.body).encode()
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (self.status, len(body)) + body)
        except asyncio.IncompleteReadError:
            writer.close()


class World:
    def __init__(self, books: Books, nodes: list[Node], ask_s: float) -> None:
        self.books = books
        self.closed: list[tuple[Any, int]] = []
        self.done = asyncio.Event()
        self.doubts = Doubts(lambda: nodes, self.close, lambda: NOW_MS, ask_s=ask_s, again_s=0.01)

    async def close(self, record: Any, actual_nanocredits: int) -> None:
        self.closed.append((record, actual_nanocredits))
        self.done.set()

    async def ended(self, doubt: Doubt) -> tuple[Any, int]:
        self.doubts.start()
        self.doubts.take(doubt)
        async with asyncio.timeout(120):
            await self.done.wait()
        assert len(self.closed) == 1
        return self.closed[0]


@pytest.fixture
def ask_s() -> float:
    """How long a node is asked: as long as a slow machine takes, unless it is not to tell."""
    return 120.0


@pytest.fixture
async def world(ask_s: float) -> AsyncIterator[World]:
    books = Books()
    server = await asyncio.start_server(books.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    pool = Pool(url)
    kinds = {
        "chained": {"kind": "mira"},
        "router": {"kind": "openai-compatible", "provider": "openrouter"},
        "plain": {"kind": "openai-compatible", "provider": "bench"},
    }
    nodes = [
        Node(NodeConfig(name=name, base_url=url, **more), pool, markup=parse_markup("1.5"))
        for name, more in kinds.items()
    ]
    world = World(books, nodes, ask_s)
    yield world
    await world.doubts.stop()
    await pool.close()
    server.close()
    await server.wait_closed()


def doubt(node: str = "chained", answer_id: str | None = None) -> Doubt:
    return Doubt("req_1", "w", "k", "openai/gpt-4o-mini", 900, 120, node, answer_id)


async def test_another_mira_tells_by_our_request_id(world):
    rows = [{"client_request_id": "req_0", "cost": "5"}, {"client_request_id": "req_1", "cost": "0.000000200"}]
    world.books.body = {"data": rows, "next": None}
    record, actual = await world.ended(doubt())
    assert actual == 300  # 200 with the node's markup
    assert (record.request_id, record.node, record.error, record.held_nanocredits) == ("req_1", "chained", "lost", 900)
    assert (record.reported_nanocredits, record.workspace_id, record.key_id) == (200, "w", "k")
    assert world.books.asked[0].startswith("/v1/usage?")
    assert "client_request_id=req_1" in world.books.asked[0]


async def test_openrouter_tells_by_its_own_id_of_the_answer(world):
    world.books.body = {"data": {"id": "gen-7", "total_cost": 1.5e-7}}
    record, actual = await world.ended(doubt("router", "gen-7"))
    assert actual == 225
    assert record.reported_nanocredits == 150
    assert world.books.asked == ["/v1/generation?id=gen-7"]


@pytest.mark.parametrize("ask_s", [0.5])
@pytest.mark.parametrize(
    ("node", "answer_id", "status", "body"),
    [
        ("chained", None, 200, {"data": [], "next": None}),
        ("chained", None, 500, {}),
        ("chained", None, 200, {"data": [{"client_request_id": "req_1", "cost": "plenty"}]}),
        ("router", "gen-7", 404, {"error": {"message": "not found"}}),
        ("router", "gen-7", 200, {"data": {"total_cost": -1}}),
        ("router", "gen-7", 200, {"data": {"total_cost": None}}),
        ("router", None, 200, {"data": {"total_cost": 1}}),
        ("gone", None, 200, {}),
    ],
)
async def test_a_node_that_does_not_tell_leaves_the_checkpoint(world, node, answer_id, status, body):
    world.books.status, world.books.body = status, body
    record, actual = await world.ended(doubt(node, answer_id))
    assert actual == 120
    assert record.reported_nanocredits is None


async def test_a_node_that_has_not_closed_its_own_books_yet_is_asked_again(world):
    world.books.bodies = [{"data": []}, {"data": []}, {"data": [{"client_request_id": "req_1", "cost": "0.0000002"}]}]
    _, actual = await world.ended(doubt())
    assert actual == 300
    assert len(world.books.asked) == 3


async def test_doubts_that_come_before_the_nodes_wait_for_them(world):
    world.books.body = {"data": [{"client_request_id": "req_1", "cost": "0.0000002"}]}
    world.doubts.take(doubt())
    assert not world.closed
    world.doubts.start()
    async with asyncio.timeout(120):
        await world.done.wait()
    assert world.closed[0][1] == 300


def test_what_can_be_asked_is_known_of_each_node():
    def node(**more: Any) -> Node:
        return Node(
            NodeConfig(name="n", base_url="http://127.0.0.1:1", **more), Pool("http://127.0.0.1:1"), markup=(1, 1)
        )

    assert node(kind="mira").remembers
    assert node(kind="openai-compatible", provider="openrouter").remembers
    assert not node(kind="openai").remembers
