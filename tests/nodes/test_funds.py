"""What our account at a node has left, and what the node says that it charged: asked of a small real server."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mira.config_tables import NodeConfig
from mira.core.pricing import PAR
from mira.errors import Kind, MiraError
from mira.nodes.accounts import available, statement
from mira.nodes.funds import EVERY_S, FORGOTTEN_S, SOON_S, Funds
from mira.nodes.node import Node
from mira.transport.client import Pool

CREDIT = 10**9


class Bank:
    """A node that answers `/credits` and `/usage` as it is told; `asked` are the targets in their order."""

    def __init__(self) -> None:
        self.status = 200
        self.credits: Any = {"available": "10"}
        self.rows: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.before: Callable[[], object] = lambda: None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                target = head.split(b" ")[1].decode()
                self.asked.append(target)
                self.before()
                body = json.dumps(self.credits if target.endswith("/credits") else self.page(target)).encode()
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (self.status, len(body)) + body)
        except asyncio.IncompleteReadError:
            writer.close()

    def page(self, target: str) -> dict[str, Any]:
        query = parse_qs(urlsplit(target).query)
        start = int(query.get("cursor", ["0"])[0])
        rows = self.rows[start : start + 2]
        return {"data": rows, "next": str(start + 2) if start + 2 < len(self.rows) else None}


@pytest.fixture
async def bank() -> AsyncIterator[tuple[Bank, Node]]:
    bank = Bank()
    server = await asyncio.start_server(bank.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    pool = Pool(url)
    yield bank, Node(NodeConfig(name="bank", kind="mira", base_url=url), pool, markup=PAR)
    await pool.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("told", "amount"),
    [
        ({"balance": "10", "held": "4", "available": "6"}, 6 * CREDIT),
        ({"balance": "0.5"}, CREDIT // 2),
        ({"available": 1.0000000019}, CREDIT + 1),
        ({"available": "-3"}, -3 * CREDIT),
        ({"available": "plenty"}, None),
        ({"available": "NaN"}, None),
        ({"available": "1e999999999"}, None),
        ({"other": 1}, None),
        ([], None),
    ],
)
async def test_what_is_available_is_read_rounded_down_or_unknown(bank, told, amount):
    at, node = bank
    at.credits = told
    assert await available(node) == amount
    assert at.asked == ["/v1/credits"]


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_node_that_does_not_tell_is_unknown(bank, status):
    at, node = bank
    at.status = status
    assert await available(node) is None


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_node_that_cannot_tell_now_says_nothing_new(bank, status):
    at, node = bank
    now = {"s": 1000.0}
    funds = Funds(lambda: [node], lambda: now["s"])
    await funds.look(node)
    at.status = status
    now["s"] += FORGOTTEN_S - 1
    await funds.look(node)
    assert node.health.purse.told_nanocredits == 10 * CREDIT
    now["s"] += 1
    await funds.look(node)
    assert node.health.purse.told_nanocredits is None, "too old to keep calls away"


async def test_a_call_that_ends_while_the_node_is_asked_is_not_forgotten(bank):
    at, node = bank
    funds = Funds(lambda: [node], time.monotonic)
    await funds.look(node)
    purse = node.health.purse

    def meanwhile() -> None:
        purse.reserve(3 * CREDIT)
        purse.release(3 * CREDIT, 2 * CREDIT)

    at.before = meanwhile
    await funds.look(node)
    assert purse.available_nanocredits == 8 * CREDIT


async def test_a_node_is_asked_at_once_then_now_and_then_and_sooner_when_short(bank):
    _, node = bank
    now = {"s": 1000.0}
    funds = Funds(lambda: [node], lambda: now["s"])
    assert funds.due(now["s"]) == [node]
    await funds.look(node)
    assert not funds.due(now["s"] + SOON_S)
    assert funds.due(now["s"] + EVERY_S) == [node]
    node.health.purse.reserve(6 * CREDIT)
    assert funds.due(now["s"] + SOON_S) == [node]
    node.disabled = True
    assert not funds.due(now["s"] + EVERY_S)


async def test_only_nodes_of_kind_mira_are_asked(bank):
    at, _ = bank
    plain = Node(NodeConfig(name="p", kind="openai", base_url="http://127.0.0.1:9"), bank[1].pool, markup=PAR)
    funds = Funds(lambda: [plain], time.monotonic)
    assert not funds.due(0.0)
    await funds.look(plain)
    assert not at.asked


async def test_a_statement_is_read_over_all_its_pages(bank: tuple[Bank, Node]) -> None:
    at, node = bank
    at.rows = [{"client_request_id": f"req_{number}", "cost": "0.000000001"} for number in range(4)]
    at.rows.append({"client_request_id": None, "cost": "2"})
    entries = await statement(node, 5, 9)
    assert [(entry.request_id, entry.cost_nanocredits) for entry in entries] == [
        *((f"req_{number}", 1) for number in range(4)),
        ("", 2 * CREDIT),
    ]
    assert len(at.asked) == 3
    assert all("since_ms=5&until_ms=9" in target for target in at.asked)


@pytest.mark.parametrize("row", ["text", {"client_request_id": "a"}, {"client_request_id": "a", "cost": "much"}])
async def test_a_statement_that_cannot_be_read_is_the_nodes_failure(bank, row):
    at, node = bank
    at.rows = [row]
    with pytest.raises(MiraError) as caught:
        await statement(node, 0, 1)
    assert caught.value.kind is Kind.UPSTREAM_FAILED


async def test_a_statement_that_is_refused_is_the_nodes_failure(bank):
    at, node = bank
    at.status = 404
    with pytest.raises(MiraError, match="status 404"):
        await statement(node, 0, 1)
