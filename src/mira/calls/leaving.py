"""Work that is given up when the client it is done for leaves."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from mira.collaborators import ClientLeft

T = TypeVar("T")


async def unless_left(left: Callable[[], Awaitable[None]], work: Coroutine[Any, Any, T]) -> T:
    """The work's result; it is given up when its client leaves (`left` returns), with ClientLeft."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(left())
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientLeft
        return task.result()
    finally:
        for each in (task, gone):
            if not each.done():
                each.cancel()
                with suppress(asyncio.CancelledError):
                    await each
        # A failed task, its error and this frame hold each other, and what the frames between hold.
        del task, gone, each
