"""Forgets what has been kept long enough, a few rows at a time, so that no call ever waits for it."""

import asyncio
from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection, Delete, delete, select, tuple_

from mira.store.database import Database
from mira.store.schema import answer, attempt, audit, call, claim, session

#: Rows of one transaction: a few milliseconds of the writer.
AT_ONCE = 200
#: The writer is the calls' own for this long between two of them.
PAUSE_S = 0.05
DAY_MS = 86_400_000


class Retention:
    """Sweeps calls with their attempts older than `keep_days`, entries of the audit log older than `audit_days` (None:
    kept for ever), and what has expired: answers, claims, sessions.

    Sums of usage and transfers are never forgotten.
    """

    def __init__(
        self, database: Database, *, now_ms: Callable[[], int], keep_days: int | None, audit_days: int | None = None
    ) -> None:
        self._database = database
        self._now_ms = now_ms
        self._keep_days = keep_days
        self._audit_days = audit_days

    async def sweep(self, pause_s: float = PAUSE_S) -> int:
        """Forgets all that is due; returns how many rows that were."""
        forgotten = 0
        for forget in self._due():
            count = AT_ONCE
            while count == AT_ONCE:
                count = await self._database.write(forget)
                forgotten += count
                if count == AT_ONCE:
                    await asyncio.sleep(pause_s)
        return forgotten

    def _due(self) -> list[Callable[[Connection], int]]:
        now_ms = self._now_ms()
        claims = select(claim.c.workspace_id, claim.c.key).where(claim.c.expires_at_ms <= now_ms).limit(AT_ONCE)
        answers = select(answer.c.workspace_id, answer.c.id).where(answer.c.expires_at_ms <= now_ms).limit(AT_ONCE)
        ended = select(session.c.digest).where(session.c.expires_at_ms <= now_ms).limit(AT_ONCE)
        found: list[Callable[[Connection], int]] = [
            partial(_forget, delete(claim).where(tuple_(claim.c.workspace_id, claim.c.key).in_(claims))),
            partial(_forget, delete(session).where(session.c.digest.in_(ended))),
            partial(_forget, delete(answer).where(tuple_(answer.c.workspace_id, answer.c.id).in_(answers))),
        ]
        if self._keep_days is not None:
            found.append(partial(_forget_calls, now_ms - self._keep_days * DAY_MS))
        if self._audit_days is not None:
            # Ids are in the order of time: the oldest entries are at the beginning of the primary key.
            oldest = select(audit.c.id, audit.c.at_ms).order_by(audit.c.id).limit(AT_ONCE).subquery()
            old = select(oldest.c.id).where(oldest.c.at_ms < now_ms - self._audit_days * DAY_MS)
            found.append(partial(_forget, delete(audit).where(audit.c.id.in_(old))))
        return found


def _forget(statement: Delete, connection: Connection) -> int:
    return connection.execute(statement).rowcount


def _forget_calls(until_ms: int, connection: Connection) -> int:
    """Calls and their attempts; counts the calls."""
    old = select(call.c.request_id).where(call.c.started_at_ms < until_ms).order_by(call.c.started_at_ms).limit(AT_ONCE)
    request_ids = connection.execute(old).scalars().all()
    connection.execute(delete(attempt).where(attempt.c.request_id.in_(request_ids)))
    return connection.execute(delete(call).where(call.c.request_id.in_(request_ids))).rowcount
