"""Versions: how a process learns within a second that another has changed what it remembers.

A change counts the version of its kind up in its own transaction; every process reads the few numbers twice a second.
With SQLite there is one process and nothing to read.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sqlalchemy import Connection, select

from mira.errors import MiraError
from mira.store.database import Database
from mira.store.schema import version
from mira.store.statements import upsert

log = logging.getLogger("mira.versions")

#: Kinds of what is remembered: the callers behind keys, nodes and prices that were made by the API, hints of sick
#: nodes, and operators whose password was right.
KEYS, NODES, HINTS, USERS = "keys", "nodes", "hints", "users"
POLL_S = 0.4
POLL_TIMEOUT_S = 0.9
#: How long what is remembered may be trusted while the database cannot be asked.
TRUSTED_S = 60.0


class Versions:
    """Calls back when a kind has changed. `monotonic_s` is a clock that only goes forward."""

    def __init__(self, database: Database, *, monotonic_s: Callable[[], float]) -> None:
        self._database = database
        self._monotonic_s = monotonic_s
        self._seen: dict[str, int] = {}
        self._watching: dict[str, Callable[[], Awaitable[None]]] = {}
        self._distrusting: list[Callable[[], None]] = []
        self._asked_s = monotonic_s()

    def watch(self, kind: str, changed: Callable[[], Awaitable[None]]) -> None:
        """Has `changed` called after each change of a kind."""
        self._watching[kind] = changed

    def distrust(self, forget: Callable[[], None]) -> None:
        """Has `forget` called, again and again, while the database has not answered for a minute."""
        self._distrusting.append(forget)

    async def poll(self) -> None:
        """Asks once, and calls back. A callback that fails is called again next time.

        Whoever begins to remember polls first and watches then, so that nothing in between is missed.
        """
        query = select(version.c.name, version.c.number)
        asked_s = self._monotonic_s()
        try:
            rows = await self._database.read(lambda connection: connection.execute(query).all(), POLL_TIMEOUT_S)
        except MiraError:
            if self._monotonic_s() - self._asked_s > TRUSTED_S:
                for forget in self._distrusting:
                    forget()
            return
        self._asked_s = asked_s
        for kind, number in rows:
            changed = self._watching.get(kind)
            if self._seen.get(kind) == number:
                continue
            try:
                if changed is not None:
                    await changed()
            except Exception:
                log.exception("a change of %s could not be taken in; it is tried again", kind)
            else:
                self._seen[kind] = number

    async def run(self) -> None:
        """Asks until cancelled."""
        while True:
            await self.poll()
            await asyncio.sleep(POLL_S)


def changed(connection: Connection, kind: str) -> None:
    """Counts a kind's version up, as part of the transaction that changes something of it."""
    first = upsert(version).values(name=kind, number=1)
    more = first.on_conflict_do_update(index_elements=["name"], set_={"number": version.c.number + 1})
    connection.execute(more)
