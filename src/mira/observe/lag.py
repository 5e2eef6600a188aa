"""How late the event loop comes to its timers: the one figure that says whether a process has more than it can do."""

import asyncio
from collections.abc import Callable

EVERY_S = 0.1


class LoopLag:
    """Sets a timer ten times a second and tells how many seconds late it fires."""

    def __init__(self, *on_measure: Callable[[float], object], every_s: float = EVERY_S) -> None:
        self._on_measure = on_measure
        self._every_s = every_s
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins to measure on the running loop."""
        self._set(asyncio.get_running_loop())

    def stop(self) -> None:
        """Measures no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._every_s, self._measure, loop, loop.time() + self._every_s)

    def _measure(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        late_s = max(0.0, loop.time() - due_s)
        for hear in self._on_measure:
            hear(late_s)
        self._set(loop)
