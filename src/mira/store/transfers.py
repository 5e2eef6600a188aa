"""Transfers: what a workspace's statement is made of."""

from msgspec import Struct
from sqlalchemy import select

from mira.store.database import Database
from mira.store.pages import Page, size, wrong_cursor
from mira.store.schema import transfer


class Transfer(Struct, frozen=True):
    """One movement of credits. `idem` tells what it was for: `settle:<request>`, `topup:<workspace>:<reference>`, …"""

    id: int
    idem: str
    debit: str
    credit: str
    amount_nanocredits: int
    workspace_id: str
    created_at_ms: int


class Transfers:
    """Reads transfers; only the ledger writes them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_call(self, request_id: str) -> list[Transfer]:
        """All that a call moved: what its workspace paid, and what the operator did."""
        idems = [f"{what}:{request_id}" for what in ("settle", "overrun", "attempt")]
        query = select(transfer).where(transfer.c.idem.in_(idems)).order_by(transfer.c.id)
        return await self._database.read(lambda connection: [Transfer(*row) for row in connection.execute(query)])

    async def page(self, workspace_id: str, *, after: str | None = None, limit: int = 100) -> Page[Transfer]:
        """A page of what moved the workspace's own balance, newest first; MiraError BAD_REQUEST for a wrong cursor."""
        own = "workspace:" + workspace_id
        query = (
            select(transfer)
            .where(transfer.c.workspace_id == workspace_id, (transfer.c.debit == own) | (transfer.c.credit == own))
            .order_by(transfer.c.id.desc())
            .limit(size(limit) + 1)
        )
        if after is not None:
            if not (after.isascii() and after.isdigit() and len(after) < 20):
                raise wrong_cursor()
            query = query.where(transfer.c.id < int(after))
        rows = await self._database.read(lambda connection: [Transfer(*row) for row in connection.execute(query)])
        shown = rows[: size(limit)]
        return Page(shown, str(shown[-1].id) if len(rows) > len(shown) else None)
