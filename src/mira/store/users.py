"""Users: who may sign in at the portal. Passwords come as argon2id hashes and leave as such."""

from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, delete, func, insert, select, update

from mira.store.audit import Also, nothing
from mira.store.database import Database
from mira.store.schema import key, member, session, sign_in, user, workspace
from mira.store.statements import upsert
from mira.store.versions import KEYS, USERS, changed

Role = Literal["member", "operator"]

#: The hash of who has no password: nothing is right for it.
NO_PASSWORD = ""
CHANGEABLE = frozenset({"name", "role", "disabled"})


class User(Struct, frozen=True):
    """An account for people. `email` is lower-case; `issuer` and `subject` name who comes by single sign-on."""

    id: str
    email: str
    password_hash: str
    role: Role
    created_at_ms: int
    name: str | None = None
    disabled: bool = False
    issuer: str | None = None
    subject: str | None = None


class Standing(Struct, frozen=True):
    """A user with the workspaces (id, name) they are a member of, and when they were last seen.

    `keys` counts those that belong to them as a member, in all workspaces, and were neither revoked nor disabled.
    """

    user: User
    workspaces: list[tuple[str, str]]
    seen_at_ms: int | None
    keys: int


class Users:
    """Makes, finds and changes users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, user_id: str, email: str, password_hash: str, role: Role, now_ms: int) -> User:
        """Stores a user. Where the id or address is known already, nothing changes and the known one is returned."""
        address = email.strip().lower()
        values = {"id": user_id, "email": address, "password_hash": password_hash, "role": role}
        statement = upsert(user).values({**values, "created_at_ms": now_ms}).on_conflict_do_nothing()

        def create(connection: Connection) -> User:
            connection.execute(statement)
            row = connection.execute(select(user).where((user.c.id == user_id) | (user.c.email == address))).first()
            assert row is not None
            return User(*row)

        return await self._database.write(create)

    async def find(self, email: str) -> User | None:
        """The user of an address, however it is capitalised; None where there is none."""
        query = select(user).where(user.c.email == email.strip().lower())
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return User(*row) if row is not None else None

    async def get(self, user_id: str) -> User | None:
        """The user of an id; None where there is none."""
        query = select(user).where(user.c.id == user_id)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return User(*row) if row is not None else None

    async def list(self) -> list[Standing]:
        """Every user, the oldest first."""
        seen = select(session.c.user_id, func.max(session.c.seen_at_ms)).group_by(session.c.user_id)
        places = (
            select(member.c.user_id, workspace.c.id, workspace.c.name)
            .join(workspace, workspace.c.id == member.c.workspace_id)
            .where(member.c.user_id.is_not(None), ~member.c.disabled)
            .order_by(workspace.c.name)
        )
        held = (
            select(member.c.user_id, func.count())
            .join(key, key.c.member_id == member.c.id)
            .where(member.c.user_id.is_not(None), key.c.revoked_at_ms.is_(None), ~key.c.disabled)
            .group_by(member.c.user_id)
        )

        def read(connection: Connection) -> list[Standing]:
            last = {row[0]: row[1] for row in connection.execute(seen)}
            found: dict[str, list[tuple[str, str]]] = {}
            for user_id, workspace_id, name in connection.execute(places):
                found.setdefault(user_id, []).append((workspace_id, name))
            keys = {row[0]: row[1] for row in connection.execute(held)}
            rows = connection.execute(select(user).order_by(user.c.created_at_ms, user.c.id))
            return [Standing(User(*row), found.get(row.id, []), last.get(row.id), keys.get(row.id, 0)) for row in rows]

        return await self._database.read(read)

    async def change(self, user_id: str, changes: dict[str, Any], *, also: Also = nothing) -> User | None:
        """Changes what is `CHANGEABLE`; None where there is no such user.

        Whoever is disabled is signed out, and the keys that belong to them are refused until they are enabled again.
        """
        if not changes.keys() <= CHANGEABLE:
            raise ValueError(f"only {', '.join(sorted(CHANGEABLE))} of a user can be changed")

        def change(connection: Connection) -> User | None:
            if changes:
                connection.execute(update(user).where(user.c.id == user_id).values(changes))
            if changes.get("disabled"):
                connection.execute(delete(session).where(session.c.user_id == user_id))
            changed(connection, USERS)
            if "disabled" in changes:
                changed(connection, KEYS)
            row = connection.execute(select(user).where(user.c.id == user_id)).one_or_none()
            if row is None:
                return None
            also(connection, User(*row))
            return User(*row)

        return await self._database.write(change)

    async def set_password(self, email: str, password_hash: str, *, also: Also = nothing) -> bool:
        """Replaces a password's hash and ends every session of the user; False where there is no such user.

        Failures to sign in are forgotten, since whoever sets a password has shown who they are otherwise.
        """
        address = email.strip().lower()

        def set_password(connection: Connection) -> bool:
            query = update(user).where(user.c.email == address).values(password_hash=password_hash)
            row = connection.execute(query.returning(user)).one_or_none()
            if row is None:
                return False
            connection.execute(delete(session).where(session.c.user_id == row.id))
            connection.execute(delete(sign_in).where(sign_in.c.name == account_name(address)))
            changed(connection, USERS)
            also(connection, User(*row))
            return True

        return await self._database.write(set_password)

    async def identified(self, issuer: str, subject: str) -> User | None:
        """The user whom an issuer knows as `subject`; None where there is none."""
        query = select(user).where(user.c.issuer == issuer, user.c.subject == subject)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return User(*row) if row is not None else None

    async def identify(self, made: User, *, also: Also = nothing) -> User:
        """Joins an account to its identity at an issuer, by its address; makes it where there is none.

        A known account keeps its name, password and role, unless `made` is an operator.
        """

        def identify(connection: Connection) -> User:
            row = connection.execute(select(user).where(user.c.email == made.email)).one_or_none()
            if row is None:
                connection.execute(insert(user).values(msgspec.structs.asdict(made)))
            else:
                known: dict[str, Any] = {"issuer": made.issuer, "subject": made.subject}
                if made.role == "operator":
                    known["role"] = made.role
                connection.execute(update(user).where(user.c.id == row.id).values(known))
            changed(connection, USERS)
            found = User(*connection.execute(select(user).where(user.c.email == made.email)).one())
            also(connection, found)
            return found

        return await self._database.write(identify)


def account_name(email: str) -> str:
    """Under what name failures to sign in to an account are counted."""
    return f"account:{email.strip().lower()[:320]}"
