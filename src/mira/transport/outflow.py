"""How a large body leaves: in slices, as the upstream takes them."""

import asyncio
from typing import Any

SLICE_BYTES = 256 * 1024


class Outflow:
    """The sending side of one connection, which its transport pauses and resumes."""

    __slots__ = ("_drained", "_paused", "_waiting_bytes")

    def __init__(self) -> None:
        self._paused = False
        self._drained: asyncio.Future[None] | None = None
        self._waiting_bytes = 0

    async def send(self, transport: asyncio.Transport, body: bytes, answered: asyncio.Future[Any]) -> bool:
        """Write a body; whether all of it was, since an answer or a failure ends that early."""
        answered.add_done_callback(self._wake)
        view = memoryview(body)
        for start in range(0, len(view), SLICE_BYTES):
            while self._paused and not answered.done():
                self._drained = asyncio.get_running_loop().create_future()
                await self._drained
            if answered.done():
                return False
            transport.write(view[start : start + SLICE_BYTES])
        return True

    def has_moved(self, transport: asyncio.Transport) -> bool:
        """Whether the upstream has taken anything since this was asked last."""
        before, self._waiting_bytes = self._waiting_bytes, transport.get_write_buffer_size()
        return self._waiting_bytes != before

    def pause(self) -> None:
        """The transport holds as much as it should."""
        self._paused = True

    def resume(self) -> None:
        """The transport takes more."""
        self._paused = False
        self._wake()

    def _wake(self, _: object = None) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)
