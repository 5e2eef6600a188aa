"""Small facts that outlive the process, as text under a name (whether the first start is done, …)."""

from sqlalchemy import select

from mira.store.database import Database
from mira.store.schema import setting
from mira.store.statements import upsert


class Settings:
    """Names and values."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> str | None:
        """The value, None where there is none."""
        query = select(setting.c.value).where(setting.c.name == name)
        return await self._database.read(lambda connection: connection.execute(query).scalar_one_or_none())

    async def set(self, name: str, value: str) -> None:
        """Keeps a value, replacing the one before."""
        change = upsert(setting).values(name=name, value=value)
        change = change.on_conflict_do_update(index_elements=["name"], set_={"value": value})
        await self._database.write(lambda connection: connection.execute(change).rowcount)

    async def claim(self, name: str, value: str) -> bool:
        """Keeps a value where there is none yet; False where there was: for what is done once."""
        change = upsert(setting).values(name=name, value=value).on_conflict_do_nothing().returning(setting.c.name)
        return await self._database.write(lambda connection: connection.execute(change).first() is not None)
