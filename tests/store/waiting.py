"""Waiting in tests."""

import asyncio
import inspect


async def eventually(condition):
    """Waits until something becomes true by itself; the condition may be a coroutine function."""
    async with asyncio.timeout(120):
        for _ in iter(int, 1):
            found = condition()
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(0)
