"""Workspaces: the tenants. Each has an account in the ledger from its first moment."""

from msgspec import Struct
from sqlalchemy import Connection, select, update

from mira.core.ledger import workspace_account
from mira.store.audit import Also, nothing
from mira.store.database import Database
from mira.store.schema import account, workspace
from mira.store.statements import upsert


class Workspace(Struct, frozen=True):
    """A tenant. Its balance is the ledger's to tell."""

    id: str
    name: str
    created_at_ms: int


class Workspaces:
    """Makes, finds and renames workspaces."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, workspace_id: str, name: str, now_ms: int, *, also: Also = nothing) -> Workspace:
        """Makes a workspace with an empty account. One that exists already stays as it is and is returned."""

        def insert(connection: Connection) -> Workspace:
            connection.execute(
                upsert(workspace).values(id=workspace_id, name=name, created_at_ms=now_ms).on_conflict_do_nothing()
            )
            connection.execute(
                upsert(account)
                .values(id=workspace_account(workspace_id), posted_nanocredits=0, held_nanocredits=0, capped=True)
                .on_conflict_do_nothing()
            )
            made = Workspace(*connection.execute(select(workspace).where(workspace.c.id == workspace_id)).one())
            also(connection, made)
            return made

        return await self._database.write(insert)

    async def list(self) -> list[Workspace]:
        """Every workspace, the oldest first."""
        query = select(workspace).order_by(workspace.c.created_at_ms, workspace.c.id)
        return await self._database.read(lambda connection: [Workspace(*row) for row in connection.execute(query)])

    async def get(self, workspace_id: str) -> Workspace | None:
        """One workspace, None where there is none of this id."""
        query = select(workspace).where(workspace.c.id == workspace_id)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return Workspace(*row) if row is not None else None

    async def rename(self, workspace_id: str, name: str, *, also: Also = nothing) -> bool:
        """Renames a workspace; False where there is none of this id."""
        change = update(workspace).where(workspace.c.id == workspace_id).values(name=name).returning(workspace)

        def rename(connection: Connection) -> bool:
            row = connection.execute(change).one_or_none()
            if row is not None:
                also(connection, Workspace(*row))
            return row is not None

        return await self._database.write(rename)
