"""Tells the other processes which nodes are sick, and takes in what they say (see `mira.core.hints`).

Calls never wait for it: they read what was taken in last. While the table cannot be used the process has only its own
observations, and tries more and more rarely.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from mira.core.health import Health, Lane
from mira.core.hints import Hint, freshest
from mira.errors import MiraError
from mira.nodes.node import Node

log = logging.getLogger("mira.hints")

EVERY_S = 1.0
LONGEST_PAUSE_S = 16.0


class SharedHints(Protocol):
    """Where processes leave each other hints."""

    async def tell(self, hints: Iterable[Hint]) -> None:
        """Replaces what this process said."""

    async def heard(self) -> list[Hint]:
        """What the others say."""


class Hinting:
    """Keeps the hints of a process. `nodes` gives the fleet as it is now, `monotonic_s` is a steady clock."""

    def __init__(
        self, shared: SharedHints, nodes: Callable[[], Sequence[Node]], *, monotonic_s: Callable[[], float]
    ) -> None:
        self._shared = shared
        self._nodes = nodes
        self._monotonic_s = monotonic_s
        self._told: list[Hint] | None = []
        self._heard: list[Hint] = []
        self._hinted: list[Health | Lane] = []
        self._unread = asyncio.Event()
        self._unread.set()
        self._pause_s = EVERY_S

    async def changed(self) -> None:
        """Another process said something: it is read as soon as may be."""
        self._unread.set()

    async def run(self) -> None:
        """Tells and takes in until cancelled."""
        while True:
            await self.turn()
            if self._pause_s > EVERY_S:
                await asyncio.sleep(self._pause_s)
                continue
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._unread.wait()
            except TimeoutError:
                pass

    async def turn(self) -> None:
        """Tells what has changed, and takes in what others have changed."""
        try:
            await self._tell()
            if self._unread.is_set():
                self._unread.clear()
                self._heard = await self._shared.heard()
            self._pause_s = EVERY_S
        except MiraError as error:
            self._unread.set()
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
            log.info("other processes' hints wait for %g s: %s", self._pause_s, error.kind.name.lower())
        except Exception:
            # Only that its own observations are all that it has.
            self._unread.set()
            self._pause_s = LONGEST_PAUSE_S
            log.exception("other processes' hints could not be used")
        self._take_in()

    async def _tell(self) -> None:
        now_s = self._monotonic_s()
        hints = [hint for node in self._shareable() for hint in _hints_of(node) if hint.until_s > now_s]
        if hints != self._told:
            self._told = None  # unknown, should this fail
            await self._shared.tell(hints)
            self._told = hints

    def _take_in(self) -> None:
        for warned in self._hinted:
            warned.hint = None
        self._hinted.clear()
        if not self._heard:
            return
        nodes = {node.name: node for node in self._shareable()}
        for hint in freshest(self._heard, self._monotonic_s()).values():
            node = nodes.get(hint.node)
            seen: Health | Lane | None = None
            if node is not None:
                seen = node.health.lanes.get(hint.model) if hint.model else node.health
            if seen is not None:
                seen.hint = hint
                self._hinted.append(seen)

    def _shareable(self) -> list[Node]:
        """All but the embedded nodes, which every host has for itself."""
        return [node for node in self._nodes() if not node.kind.embedded]


def _hints_of(node: Node) -> list[Hint]:
    """What keeps our calls away from a node, or from a model at it."""
    health = node.health
    hints = [health.block.hint(node.name)] if health.block is not None else []
    return hints + [lane.block.hint(node.name, model) for model, lane in health.lanes.items() if lane.block is not None]
