"""The table of protocols: 3 of clients over 4 of nodes, each whole and streamed, and what every cell must bill.

The subjects are the tests of the modules beside this one. What a pair cannot carry is said by name in the records of
`nodes` (and in those of `tests.e2e.asking`), with what happens instead; no cell is skipped.
"""

from decimal import Decimal
from typing import Any

import pytest
from tests.e2e.asking import Seen, Surface
from tests.e2e.matrix.nodes import BEHIND_DETAILS, BEHIND_GEMINI_3, DETAILS_MODEL, GEMINI_3_MODEL, NODES, Node
from tests.e2e.matrix.vendors import Vendors, check_view
from tests.e2e.protocols import PRICES, cost_nanocredits, nodes, prices
from tests.e2e.surfaces import SURFACES
from tests.support.gateway import UPSTREAM_KEY, Gateway
from tests.support.said import Called, Counts
from tests.support.upstream import Upstream

CALLS = (
    Called("call_1", "weather", '{"city":"Zürich"}'),
    Called("call_2", "weather", '{"city":"Atlantis"}'),
    Called("call_3", "weather", '{"city":"Oslo"}'),
)
CELLS = [(surface, node) for surface in SURFACES for node in NODES]

cells = pytest.mark.parametrize(
    ("surface", "node"), CELLS, ids=[f"{surface.name}-{node.name}" for surface, node in CELLS]
)
streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def passes(surface: Surface, node: Node) -> bool:
    """Whether both sides speak one protocol, so that the node's words go through as they are."""
    return surface.name == node.protocol


def matrix_nodes(upstream: Upstream) -> list[dict[str, Any]]:
    """The nodes' tables of `mira.toml`: one of every kind, with the models of the further columns."""
    told = {"name": "openrouter", "kind": "openai-compatible", "provider": "openrouter", "base_url": upstream.url}
    every = nodes(upstream)
    for node in every:
        if node["kind"] == "gemini":
            node["models"].append(GEMINI_3_MODEL)
    return [*every, {**told, "api_key": UPSTREAM_KEY, "models": [DETAILS_MODEL]}]


def matrix_prices() -> list[dict[str, Any]]:
    """The prices' tables of `mira.toml`."""
    return [*prices(), *({"model": behind.model, **PRICES} for behind in (BEHIND_DETAILS, BEHIND_GEMINI_3))]


class Ask:
    """One question and what came of it: the answer as its client reads it, and the call's record.

    The vendor's SDK asks and reads; its bytes are read again, and both must see the same.
    """

    def __init__(self, gateway: Gateway, vendors: Vendors, surface: Surface, body: dict[str, Any]) -> None:
        self._gateway = gateway
        self._stream = bool(body["stream"])
        view = vendors.ask(surface, body)
        self.headers = vendors.tee.headers
        self.seen: Seen = surface.read(bytes(vendors.tee.data), stream=self._stream)
        check_view(view, self.seen)
        self.record = gateway.call(self.headers["x-request-id"])

    @property
    def dropped(self) -> set[str]:
        """The fields that the node could not be told."""
        return set(self.headers.get("x-mira-dropped", "").split(",")) - {""}

    def check_bill(self, counts: Counts) -> None:
        """The client, the call's record and the ledger tell these counts, and what they cost to the nano-credit."""
        cost = cost_nanocredits(counts)
        assert self.seen.counts == counts
        assert self.seen.cost is not None
        assert nanocredits(self.seen.cost) == cost
        if not self._stream:
            assert nanocredits(self.headers["x-mira-cost"]) == cost
        check_record(self._gateway, self.record, counts, cost)
        assert (self.record["status"], self.record["error"]) == (200, None)


def check_record(
    gateway: Gateway, record: dict[str, Any], counts: Counts, cost: int, *, estimated: bool = False
) -> None:
    """The record of a call has these counts and this cost, and the ledger took exactly that, once."""
    assert record["usage"] == {
        "prompt_tokens": counts.prompt,
        "completion_tokens": counts.completion,
        "total_tokens": counts.prompt + counts.completion,
        "cache_read_tokens": counts.cache_read,
        "cache_write_tokens": counts.cache_write,
        "reasoning_tokens": counts.reasoning,
        "images": 0,
        "seconds": 0,
        "characters": 0,
        "pages": 0,
        "estimated": estimated,
    }
    assert nanocredits(record["cost"]) == cost
    assert nanocredits(record["computed_cost"]) == cost
    taken = [nanocredits(line["amount"]) for line in statement(gateway, record) if line["credit"] == "revenue"]
    assert taken == ([cost] if cost else [])


def statement(gateway: Gateway, record: dict[str, Any]) -> list[dict[str, Any]]:
    """The ledger's lines of a call, which is one of the latest."""
    lines = gateway.admin("GET", f"/workspaces/{record['workspace_id']}/transfers?limit=20")["data"]
    return [line for line in lines if record["id"] in line["reference"]]


def nanocredits(told: str) -> int:
    """Credits in decimal text as the whole number of nano-credits that they are."""
    amount = Decimal(told) * 10**9
    assert amount == int(amount)
    return int(amount)
