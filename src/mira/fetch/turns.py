"""Turns: so many at a time under one name, some more in line, the rest sent away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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


def rate_limited() -> MiraError:
    """What a caller is told whose turn does not come."""
    return MiraError(
        Kind.RATE_LIMITED, "Too many pages are being fetched at once; try again.", code="rate_limited", retry_after_s=1
    )
