"""The rows of uploaded files; the bytes lie in the object store under the same ids."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Connection, Select, and_, delete, func, insert, or_, select

from mira.core.file import File
from mira.store.database import Database
from mira.store.schema import file


class Files:
    """Keeps the rows of files, each workspace's apart."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: File, quota_bytes: int) -> bool:
        """Adds a row; False, with nothing added, where the workspace's files would be larger than the quota."""

        def add(connection: Connection) -> bool:
            used = connection.execute(_used(row.workspace_id)).scalar_one()
            if used + row.size_bytes > quota_bytes:
                return False
            connection.execute(insert(file).values(**asdict(row)))
            return True

        return await self._database.write(add)

    async def get(self, workspace_id: str, file_id: str) -> File | None:
        """A file of the workspace's, None where it has none of this id."""
        query = select(file).where(file.c.id == file_id, file.c.workspace_id == workspace_id)
        row = await self._database.read(lambda connection: connection.execute(query).mappings().one_or_none())
        return None if row is None else File(**row)

    async def page(self, workspace_id: str, after: str | None, limit: int, *, newest_first: bool) -> list[File]:
        """The workspace's files by age, those after the one named `after`."""
        query = select(file).where(file.c.workspace_id == workspace_id)
        if after is not None:
            row = await self.get(workspace_id, after)
            if row is None:
                return []
            made, same = file.c.created_at_ms, file.c.created_at_ms == row.created_at_ms
            beyond = made < row.created_at_ms if newest_first else made > row.created_at_ms
            tied = file.c.id < row.id if newest_first else file.c.id > row.id
            query = query.where(or_(beyond, and_(same, tied)))
        order = (file.c.created_at_ms, file.c.id)
        query = query.order_by(*(column.desc() if newest_first else column for column in order)).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(query).mappings().all())
        return [File(**row) for row in rows]

    async def used_bytes(self, workspace_id: str) -> int:
        """The size of all files of a workspace."""
        return await self._database.read(lambda connection: int(connection.execute(_used(workspace_id)).scalar_one()))

    async def remove(self, workspace_id: str, file_id: str) -> bool:
        """Forgets a file; whether there was one."""
        statement = delete(file).where(file.c.id == file_id, file.c.workspace_id == workspace_id)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount > 0)

    async def known(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that have a row."""
        query = select(file.c.id).where(file.c.id.in_(ids))
        return set(await self._database.read(lambda connection: connection.execute(query).scalars().all()))


def _used(workspace_id: str) -> Select[Any]:
    return select(func.coalesce(func.sum(file.c.size_bytes), 0)).where(file.c.workspace_id == workspace_id)
