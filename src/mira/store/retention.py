"""Forgets what has been kept long enough, a few rows at a time, so that no call ever waits for it."""

import asyncio
from collections.abc import Callable

from sqlalchemy import Connection, Delete, delete, select, tuple_

from mira.store.database import Database
from mira.store.schema import answer, call, claim

#: Rows of one transaction: a few milliseconds of the writer.
AT_ONCE = 200
#: The writer is the calls' own for this long between two of them.
PAUSE_S = 0.05
DAY_MS = 86_400_000


class Retention:
    """Sweeps call records older than `keep_days` (None: kept for ever), and answers and claims that have expired.

    Sums of usage and transfers are never forgotten.
    """

    def __init__(self, database: Database, *, now_ms: Callable[[], int], keep_days: int | None) -> None:
        self._database = database
        self._now_ms = now_ms
        self._keep_days = keep_days

    async def sweep(self, pause_s: float = PAUSE_S) -> int:
        """Forgets all that is due; returns how many rows that were."""
        forgotten = 0
        for statement in self._statements():
            count = AT_ONCE
            while count == AT_ONCE:
                count = await self._forget(statement)
                forgotten += count
                if count == AT_ONCE:
                    await asyncio.sleep(pause_s)
        return forgotten

    async def _forget(self, statement: Delete) -> int:
        def forget(connection: Connection) -> int:
            return connection.execute(statement).rowcount

        return await self._database.write(forget)

    def _statements(self) -> list[Delete]:
        now_ms = self._now_ms()
        claims = select(claim.c.workspace_id, claim.c.key).where(claim.c.expires_at_ms <= now_ms).limit(AT_ONCE)
        answers = select(answer.c.workspace_id, answer.c.id).where(answer.c.expires_at_ms <= now_ms).limit(AT_ONCE)
        found = [
            delete(claim).where(tuple_(claim.c.workspace_id, claim.c.key).in_(claims)),
            delete(answer).where(tuple_(answer.c.workspace_id, answer.c.id).in_(answers)),
        ]
        if self._keep_days is not None:
            old = select(call.c.request_id).where(call.c.started_at_ms < now_ms - self._keep_days * DAY_MS)
            found.append(delete(call).where(call.c.request_id.in_(old.order_by(call.c.started_at_ms).limit(AT_ONCE))))
        return found
