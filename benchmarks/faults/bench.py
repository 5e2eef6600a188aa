"""What the scenarios share: a fleet that fails as told in this process, a gateway in a process of its own, figures."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.faults.load import Client
from msgspec import Struct
from tests.support.faulty import MODEL, FaultyNode
from tests.support.gateway import PROXY_KEY, UPSTREAM_KEY, Gateway

PROVIDER = "fleet"
NAME = f"{PROVIDER}/{MODEL}"
PRICE = {"model": NAME, "input": "1", "output": "2", "cache_read": "0.1"}


class Figure(Struct, frozen=True):
    """One figure beside its goal."""

    what: str
    value: str
    goal: str
    met: bool


class Scenario(Struct, frozen=True):
    """One line of the goals; `run` gives its figures as they come."""

    number: int
    title: str
    run: Callable[[], AsyncIterator[Figure]]


class Bench(Struct):
    """A gateway before a fleet, and a client before the gateway."""

    gateway: Gateway
    nodes: list[FaultyNode]
    client: Client

    async def call_records(self, limit: int) -> list[dict[str, Any]]:
        """The gateway's newest call records."""
        return await asyncio.to_thread(self._call_records, limit)

    def _call_records(self, limit: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        cursor = ""
        while len(rows) < limit:
            page = self.gateway.admin("GET", f"/calls?limit=1000{cursor}")
            rows += page["data"]
            if not page.get("next"):
                break
            cursor = f"&cursor={page['next']}"
        return rows[:limit]

    async def node_rows(self) -> dict[str, dict[str, Any]]:
        """The nodes as the operator API tells them, by name."""
        rows = await asyncio.to_thread(self.gateway.admin, "GET", "/nodes")
        return {row["name"]: row for row in rows["data"]}


def node_row(node: FaultyNode, **more: Any) -> dict[str, Any]:
    """A node's entry in `mira.toml`."""
    kind = "mira" if node.purse is not None else "openai-compatible"
    row = {"name": node.name, "kind": kind, "base_url": node.url, "api_key": UPSTREAM_KEY, **more}
    return row if node.purse is not None else {**row, "provider": PROVIDER, "models": [MODEL]}


@contextlib.asynccontextmanager
async def bench(
    nodes: Sequence[FaultyNode],
    *,
    rows: dict[str, Any] | None = None,
    tables: dict[str, dict[str, Any]] | None = None,
    prices: Sequence[dict[str, Any]] = (PRICE,),
    **environ: str,
) -> AsyncIterator[Bench]:
    """Starts the nodes and a gateway with a fresh data folder. `rows` go into every node's entry."""
    with tempfile.TemporaryDirectory(prefix="mira-faults-") as home:
        for node in nodes:
            await node.start()
        gateway = Gateway(
            Path(home),
            nodes=[node_row(node, **(rows or {})) for node in nodes],
            prices=prices,
            tables=tables,
            MIRA_BOOTSTRAP_CREDITS="1000000",
            **environ,
        )
        await asyncio.to_thread(gateway.start)
        client = Client(gateway.port, PROXY_KEY)
        try:
            yield Bench(gateway, list(nodes), client)
        finally:
            client.close()
            for node in nodes:
                await node.stop()
            await asyncio.to_thread(gateway.close)


def fleet(count: int) -> list[FaultyNode]:
    """So many nodes of one model."""
    return [FaultyNode(f"node-{index}") for index in range(count)]


def percent(part: float, whole: float) -> str:
    """A share in per cent."""
    return f"{100 * part / whole:.2f} %" if whole else "none"
