"""Leases: what only one process at a time may do, such as the first start, clearing up, or running jobs.

A lease is a row with a holder and an end. Its holder renews it while it works; where the holder dies, another takes
over when the time has run out. Nobody waits for a row: who does not get it at once has not got it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sqlalchemy import Connection, or_, select, update

from mira.errors import MiraError
from mira.store.database import Database
from mira.store.schema import lease
from mira.store.statements import now_ms, upsert

log = logging.getLogger("mira.leases")

#: A lease outlives this many turns that its holder missed.
TURNS = 3


class Leases:
    """Takes leases in the name of `holder`, which no other process may have."""

    def __init__(self, database: Database, *, holder: str) -> None:
        self._database = database
        self._holder = holder

    async def take(self, name: str, lasts_s: float) -> bool:
        """Takes or renews a lease; False where another holds it."""

        def take(connection: Connection) -> bool:
            fresh = upsert(lease).values(name=name, holder="", expires_at_ms=0).on_conflict_do_nothing()
            connection.execute(fresh)
            now = now_ms(connection)
            ours = (
                select(lease.c.name)
                .where(lease.c.name == name, or_(lease.c.holder == self._holder, lease.c.expires_at_ms <= now))
                .with_for_update(skip_locked=True)
            )
            if connection.execute(ours).first() is None:
                return False
            expires_at_ms = now + round(lasts_s * 1000)
            change = update(lease).where(lease.c.name == name)
            connection.execute(change.values(holder=self._holder, expires_at_ms=expires_at_ms))
            return True

        return await self._database.write(take)

    async def give_back(self, name: str) -> None:
        """Ends a lease that this process holds."""
        change = update(lease).where(lease.c.name == name, lease.c.holder == self._holder)
        await self._database.write(
            lambda connection: connection.execute(change.values(holder="", expires_at_ms=0)).rowcount
        )

    async def run_alone(self, name: str, every_s: float, work: Callable[[], Awaitable[object]]) -> None:
        """Does `work` again and again until cancelled, in one process of all; where that one dies, in another.

        `work` must end within `every_s`, or be safe where two processes do it at once. Its errors are logged.
        """
        try:
            while True:
                try:
                    if await self.take(name, TURNS * every_s):
                        await work()
                except MiraError as error:
                    log.warning("%s waits: %s", name, error)
                except Exception:
                    log.exception("%s failed; it is tried again in %g s", name, every_s)
                await asyncio.sleep(every_s)
        finally:
            try:
                await self.give_back(name)
            except MiraError as error:
                log.warning("the lease of %s runs out by itself: %s", name, error)
