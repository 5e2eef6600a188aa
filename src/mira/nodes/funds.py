"""Watches the credits of our accounts at nodes of kind `mira`: asks each at the start and again from time to time."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from mira.nodes.accounts import available
from mira.nodes.node import Node

log = logging.getLogger("mira.funds")

#: How often a node is asked, and how often where its credits may not last or have run out.
EVERY_S, SOON_S = 30.0, 5.0
#: A node that could not answer for so long no longer tells: what it said is too old to keep calls away.
FORGOTTEN_S = 120.0


class Funds:
    """Keeps the purses of the fleet's nodes. `nodes` gives the fleet as it is now, `monotonic_s` is a steady clock."""

    def __init__(self, nodes: Callable[[], Sequence[Node]], monotonic_s: Callable[[], float]) -> None:
        self._nodes = nodes
        self._monotonic_s = monotonic_s
        self._asked_s: dict[Node, float] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to ask, now and from then on."""
        self._task = asyncio.create_task(self._watch_forever(), name="funds")

    async def stop(self) -> None:
        """Asks no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self, node: Node) -> None:
        """Asks a node what is left, if it is one that may tell."""
        if node.kind.name != "mira":
            return
        health = node.health
        asked_s = self._asked_s[node] = self._monotonic_s()
        spent_before_nanocredits = health.purse.spent_nanocredits
        try:
            told_nanocredits = await available(node)
        except Exception as error:  # noqa: BLE001 - whatever the transport says, the node did not tell
            log.info("node %s did not tell its credits (%s)", node.name, getattr(error, "phase", type(error).__name__))
            if health.purse.told_nanocredits is not None and asked_s - health.purse.told_at_s >= FORGOTTEN_S:
                health.told_credits(None, self._monotonic_s())
            return
        health.told_credits(told_nanocredits, self._monotonic_s(), spent_before_nanocredits)

    def due(self, now_s: float) -> list[Node]:
        """The nodes that are to be asked now."""
        nodes = [node for node in self._nodes() if node.kind.name == "mira" and not node.disabled]
        self._asked_s = {node: self._asked_s[node] for node in nodes if node in self._asked_s}
        return [node for node in nodes if now_s >= self._asked_s.get(node, float("-inf")) + _pause_s(node)]

    async def _watch_forever(self) -> None:
        while True:
            await asyncio.gather(*(self.look(node) for node in self.due(self._monotonic_s())))
            await asyncio.sleep(SOON_S)


def _pause_s(node: Node) -> float:
    """Until a node is asked again; a little less than the beat, so that none is missed by a hair."""
    block = node.health.block
    exhausted = block is not None and block.state == "exhausted"
    return (SOON_S if exhausted or node.health.purse.short else EVERY_S) - SOON_S / 2
