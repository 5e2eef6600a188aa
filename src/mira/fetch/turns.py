"""Turns: so many at a time under one name, some more in line, the rest sent away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

from mira.errors import Kind, MiraError


class Turns:
    """At most `at_once` hold a turn under one name and `waiting` more stand in line. Names are kept while in use."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._at_once = at_once
        self._most = at_once + waiting
        self._lines: dict[str, tuple[asyncio.Semaphore, list[None]]] = {}

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Holds a turn; MiraError RATE_LIMITED where the line is full."""
        semaphore, present = self._lines.setdefault(name, (asyncio.Semaphore(self._at_once), []))
        if len(present) >= self._most:
            raise rate_limited()
        present.append(None)
        try:
            async with semaphore:
                yield
        finally:
            present.pop()
            if not present:
                del self._lines[name]


class Place:
    """A turn that moves from name to name, one at a time: who waits for the next holds none that others wait for."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._name: str | None = None
        self._held = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leave()

    async def move(self, name: str) -> None:
        """Holds a turn under this name and no other; MiraError RATE_LIMITED where the line is full."""
        if name == self._name:
            return
        await self._leave()
        await self._held.enter_async_context(self._turns.turn(name))
        self._name = name

    async def _leave(self) -> None:
        self._name = None
        await self._held.aclose()


def rate_limited() -> MiraError:
    """What a caller is told whose turn does not come."""
    return MiraError(
        Kind.RATE_LIMITED, "Too many pages are being fetched at once; try again.", code="rate_limited", retry_after_s=1
    )
