"""Users: who may sign in at the portal. Passwords come as argon2id hashes and leave as such."""

from msgspec import Struct
from sqlalchemy import Connection, select, update

from mira.store.database import Database
from mira.store.schema import user
from mira.store.statements import upsert


class User(Struct, frozen=True):
    """An account for people. `email` is lower-case."""

    id: str
    email: str
    password_hash: str
    role: str
    created_at_ms: int


class Users:
    """Makes and finds users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, user_id: str, email: str, password_hash: str, role: str, now_ms: int) -> User:
        """Stores a user. Where the id or address is known already, nothing changes and the known one is returned."""
        address = email.strip().lower()
        insert = upsert(user).values(
            id=user_id, email=address, password_hash=password_hash, role=role, created_at_ms=now_ms
        )

        def create(connection: Connection) -> User:
            connection.execute(insert.on_conflict_do_nothing())
            row = connection.execute(select(user).where((user.c.id == user_id) | (user.c.email == address))).first()
            assert row is not None
            return User(*row)

        return await self._database.write(create)

    async def find(self, email: str) -> User | None:
        """The user of an address, however it is capitalised; None where there is none."""
        query = select(user).where(user.c.email == email.strip().lower())
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return User(*row) if row is not None else None

    async def set_password(self, email: str, password_hash: str) -> bool:
        """Replaces a password's hash; False where there is no such user."""
        change = update(user).where(user.c.email == email.strip().lower()).values(password_hash=password_hash)
        return await self._database.write(lambda connection: connection.execute(change).rowcount == 1)
