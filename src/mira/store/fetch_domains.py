"""The lists of domains that a key may fetch from."""

import msgspec
from sqlalchemy import Connection, delete, select

from mira.store.audit import Also, nothing
from mira.store.database import Database
from mira.store.schema import fetch_domains
from mira.store.statements import upsert

_decode = msgspec.json.Decoder(tuple[str, ...]).decode


class FetchDomains:
    """Reads and writes the lists of keys: (allowed or None for every site, blocked)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key_id: str) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
        """The lists of a key; a key that has none may fetch from every site."""
        query = select(fetch_domains.c.allow, fetch_domains.c.block).where(fetch_domains.c.key_id == key_id)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            return None, ()
        return (None if row.allow is None else _decode(row.allow)), _decode(row.block)

    async def put(
        self, key_id: str, allow: tuple[str, ...] | None, block: tuple[str, ...], *, also: Also = nothing
    ) -> None:
        """Replaces the lists of a key that exists."""

        def write(connection: Connection) -> None:
            connection.execute(delete(fetch_domains).where(fetch_domains.c.key_id == key_id))
            also(connection, key_id)
            if allow is None and not block:
                return
            row = {
                "key_id": key_id,
                "allow": None if allow is None else msgspec.json.encode(allow).decode(),
                "block": msgspec.json.encode(block).decode(),
            }
            connection.execute(upsert(fetch_domains).values(row))

        await self._database.write(write)
