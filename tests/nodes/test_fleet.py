"""The running fleet: what a reload keeps, replaces and retires."""

import asyncio
import time
from typing import Any

import msgspec
import pytest

from mira.config_tables import NodeConfig
from mira.core.pricing import PAR
from mira.errors import Kind, MiraError
from mira.nodes.fleet import Fleet, local_listing
from mira.nodes.node import Node


class NoSavedNodes:
    """A store without nodes of the API."""

    async def all(self) -> list[tuple[dict[str, Any], str]]:
        return []

    async def overlays(self) -> dict[str, tuple[bool, bool]]:
        return {"drained": (True, False)}

    async def prices(self) -> dict[str, dict[str, Any]]:
        return {}


class QuietPool:
    """A client that nobody asks."""

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        self.closed = True


async def no_prices(_models: Any) -> dict[str, None]:
    return {}


def node(name: str, **settings: Any) -> NodeConfig:
    return NodeConfig(
        name=name, kind="openai-compatible", provider=name, base_url="http://127.0.0.1:9", models=("m",), **settings
    )


def fleet() -> Fleet:
    return Fleet(
        saved=NoSavedNodes(),
        new_pool=lambda _url: QuietPool(),
        list_prices=no_prices,
        monotonic_s=time.monotonic,
    )


async def test_a_reload_keeps_what_did_not_change_and_the_embedded_node():
    running = fleet()
    await running.load([node("a"), node("b"), node("drained")], {})
    embedded = Node(NodeConfig(name="local", kind="local"), QuietPool(), markup=PAR)
    embedded.models = local_listing("mira/local", 4096)
    running.add_local(embedded)
    before = {each.name: each for each in running.nodes}
    await running.load([node("a"), node("b", weight=2.0), node("drained")], {})
    after = {each.name: each for each in running.nodes}
    assert list(after) == ["a", "b", "drained", "local"]
    assert after["a"] is before["a"]
    assert after["b"] is not before["b"]
    assert after["local"] is embedded
    assert after["drained"].draining
    assert running.catalog.find("mira/local").model == "mira/local"
    await running.load([], {})
    assert [each.name for each in running.nodes] == ["local"]
    await running.stop()


class SlowPool(QuietPool):
    """A client of a node that tells its models when it is allowed to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_tell = asyncio.Event()

    async def get_json(self, *_: Any, **__: Any) -> tuple[int, Any]:
        await self.may_tell.wait()
        return 200, {"data": [{"id": "late-model"}]}


async def test_a_model_is_not_said_to_be_missing_before_every_node_was_asked():
    pool = SlowPool()
    running = Fleet(saved=NoSavedNodes(), new_pool=lambda _url: pool, list_prices=no_prices, monotonic_s=time.monotonic)
    await running.load([msgspec.structs.replace(node("slow"), models=None)], {})
    running.start()
    with pytest.raises(MiraError) as early:
        running.catalog.find("slow/late-model")
    assert early.value.kind is Kind.UNAVAILABLE
    assert early.value.retry_after_s == 1
    pool.may_tell.set()
    await running.known()
    assert running.catalog.find("slow/late-model").model == "slow/late-model"
    with pytest.raises(MiraError) as late:
        running.catalog.find("slow/another")
    assert late.value.kind is Kind.MODEL_NOT_FOUND
    await running.stop()
