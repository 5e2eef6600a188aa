"""Hints of sick nodes between processes that share a database (see `mira.core.hints`).

A process replaces its own rows when its observations change and counts their version up, so that the others, which poll
the versions anyway, read the table only then. Nothing that is slow or lost here matters: the server cuts each statement
short, and rows end by themselves.
"""

from collections.abc import Callable, Iterable

from sqlalchemy import Connection, delete, insert, or_, select, text

from mira.core.hints import Hint
from mira.store.database import Database
from mira.store.schema import hint
from mira.store.statements import now_ms
from mira.store.versions import HINTS, changed

#: How long the server may take for one statement.
STATEMENT_TIMEOUT_MS = 50
#: The whole look at the table in statements' times, for a connection may have to be made first.
LOOK = 10


class Hints:
    """The table of hints. `epoch_id` names this process, `monotonic_s` is the steady clock of its hints."""

    def __init__(
        self,
        database: Database,
        *,
        epoch_id: str,
        monotonic_s: Callable[[], float],
        statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
    ) -> None:
        self._database = database
        self._epoch_id = epoch_id
        self._monotonic_s = monotonic_s
        self._patience = text(f"SET LOCAL statement_timeout = {statement_timeout_ms:d}")
        self._look_s = LOOK * statement_timeout_ms / 1000

    async def tell(self, hints: Iterable[Hint]) -> None:
        """Replaces what this process said, and removes what has ended; MiraError STORE_DOWN where that takes long."""
        now_s = self._monotonic_s()
        told = list(hints)

        def write(connection: Connection) -> None:
            connection.execute(self._patience)
            now = now_ms(connection)
            connection.execute(delete(hint).where(or_(hint.c.epoch == self._epoch_id, hint.c.until_at_ms <= now)))
            rows = [
                {
                    "epoch": self._epoch_id,
                    "node": one.node,
                    "model": one.model,
                    "state": one.state,
                    "reason": one.reason,
                    "since_at_ms": now + round((one.since_s - now_s) * 1000),
                    "until_at_ms": now + round((one.until_s - now_s) * 1000),
                }
                for one in told
            ]
            if rows:
                connection.execute(insert(hint), rows)
            changed(connection, HINTS)

        await self._database.write(write)

    async def heard(self) -> list[Hint]:
        """What the other processes say, on this process's clock; MiraError STORE_DOWN where it cannot be read soon."""
        said = (hint.c.node, hint.c.model, hint.c.state, hint.c.reason, hint.c.since_at_ms, hint.c.until_at_ms)

        def read(connection: Connection) -> list[Hint]:
            connection.execute(self._patience)
            now, now_s = now_ms(connection), self._monotonic_s()
            query = select(*said).where(hint.c.epoch != self._epoch_id, hint.c.until_at_ms > now)
            return [
                Hint(node, model, state, reason, now_s + (since - now) / 1000, now_s + (until - now) / 1000)
                for node, model, state, reason, since, until in connection.execute(query)
            ]

        return await self._database.read(read, self._look_s)
