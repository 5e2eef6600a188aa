"""Pages that were loaded a while ago, bounded in bytes, and loads that several callers wait for."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct

from mira.fetch.egress import Loaded

MAX_BYTES = 64 * 1024 * 1024
#: One page must not push everything else out.
MAX_ENTRY_BYTES = MAX_BYTES // 8
#: What an entry takes beside its data.
_OVERHEAD_BYTES = 2048
_FORBIDDEN = ("no-store", "private")

T = TypeVar("T")


class Key(NamedTuple):
    """What a page depends on. Workspaces do not share pages: a hit would tell what another one reads.

    `wait_for` is what a browser was to wait for: a page that was taken without it may lack it.
    """

    workspace_id: str
    url: str
    language: str | None
    rendered: bool
    wait_for: str | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """A page as it was loaded, and when it was last known to be so, in Unix milliseconds."""

    loaded: Loaded
    fetched_at_ms: int


class Cache:
    """The most recently used pages."""

    def __init__(self, most_bytes: int = MAX_BYTES) -> None:
        self._most_bytes = most_bytes
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: Key) -> Entry | None:
        """What is known, however old."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: Key, entry: Entry) -> None:
        """Keeps a page if its server allows that, else forgets the one before it."""
        self.drop(key)
        if not may_keep(entry.loaded) or _size(entry) > min(MAX_ENTRY_BYTES, self._most_bytes):
            return
        self._entries[key] = entry
        self.size_bytes += _size(entry)
        while self.size_bytes > self._most_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.size_bytes -= _size(oldest)

    def drop(self, key: Key) -> None:
        """Forgets a page."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size_bytes -= _size(entry)


def may_keep(loaded: Loaded) -> bool:
    """Whether a page may be kept: found, and neither private nor different for every asker."""
    directives = {part.partition("=")[0].strip() for part in loaded.cache_control.split(",")}
    return loaded.status == 200 and loaded.vary.strip() != "*" and directives.isdisjoint(_FORBIDDEN)


def must_ask(loaded: Loaded) -> bool:
    """Whether the server wants to be asked each time before a kept page is used."""
    directives = {part.partition("=")[0].strip() for part in loaded.cache_control.split(",")}
    return "no-cache" in directives


class Flights(Generic[T]):
    """Work that several callers want at once is done once; it ends when the last of them has gone."""

    def __init__(self) -> None:
        self._running: dict[Hashable, tuple[asyncio.Task[T], list[None]]] = {}

    async def join(self, key: Hashable, start: Callable[[], Coroutine[object, object, T]]) -> T:
        """The result of the work under this key, which is started if it does not run yet."""
        flight = self._running.get(key)
        if flight is None:
            flight = self._running[key] = (asyncio.create_task(start()), [])
            flight[0].add_done_callback(lambda task: self._over(key, task))
        task, waiting = flight
        waiting.append(None)
        try:
            return await asyncio.shield(task)
        finally:
            waiting.pop()
            if not waiting and not task.done():
                # Whoever comes now must not join work that is being given up.
                self._forget(key, task)
                task.cancel()
            # A failed task, its error and this frame would hold each other, and the page of the frames between.
            del task, flight

    def _over(self, key: Hashable, task: asyncio.Task[T]) -> None:
        self._forget(key, task)
        if not task.cancelled():
            # Told to whoever waits; where nobody does any more, nobody needs to hear of it.
            task.exception()

    def _forget(self, key: Hashable, task: asyncio.Task[T]) -> None:
        flight = self._running.get(key)
        if flight is not None and flight[0] is task:
            del self._running[key]


def _size(entry: Entry) -> int:
    return len(entry.loaded.data) + _OVERHEAD_BYTES
