"""What is remembered of answers for a while, so that a client can refer to them instead of sending everything again."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Raw
from sqlalchemy import Connection, delete, select

from mira.store.database import Database
from mira.store.schema import answer
from mira.store.statements import upsert

RETENTION_MS = 60 * 60 * 1000
#: A longer conversation is not kept; its next reference gets the protocol's error, and the client sends it whole.
MOST_BYTES = 4 * 2**20


class Answers:
    """Keeps answers and their items for an hour, per workspace: another one's are missing. `now_ms` is Unix time."""

    def __init__(self, database: Database, *, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    async def find(
        self, workspace_id: str, answer_id: str | None, item_ids: Sequence[str]
    ) -> tuple[tuple[Raw, ...] | None, Mapping[str, Raw]]:
        """All that was said up to the end of an answer, and single items by id; what is not remembered is missing."""
        wanted = [*item_ids, *([answer_id] if answer_id is not None else [])]
        query = select(answer.c.id, answer.c.content).where(
            answer.c.workspace_id == workspace_id, answer.c.id.in_(wanted), answer.c.expires_at_ms > self._now_ms()
        )
        found = dict(await self._database.read(lambda connection: [tuple(row) for row in connection.execute(query)]))
        said = found.pop(answer_id, None) if answer_id is not None else None
        context = tuple(msgspec.json.decode(said, type=list[Raw])) if said is not None else None
        return context, {item_id: Raw(content) for item_id, content in found.items()}

    async def keep(self, workspace_id: str, answer_id: str, context: Sequence[Raw], items: Mapping[str, Raw]) -> None:
        """Remembers an answer and its items, and forgets what has expired."""
        contents = {answer_id: msgspec.json.encode(context), **{name: bytes(raw) for name, raw in items.items()}}
        if sum(map(len, contents.values())) > MOST_BYTES:
            return
        now_ms = self._now_ms()
        rows = [
            {"workspace_id": workspace_id, "id": name, "content": content, "expires_at_ms": now_ms + RETENTION_MS}
            for name, content in contents.items()
        ]

        def keep(connection: Connection) -> None:
            connection.execute(delete(answer).where(answer.c.expires_at_ms <= now_ms))
            connection.execute(upsert(answer).on_conflict_do_nothing(), rows)

        await self._database.write(keep)
