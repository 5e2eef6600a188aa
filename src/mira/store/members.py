"""Members of workspaces: people with keys and with caps of their own, over all their keys together."""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, Select, or_, select, update

from mira.core.limits import UNLIMITED, Cap, Limits, member_cap
from mira.store.audit import Also, nothing
from mira.store.database import Database
from mira.store.limits import caps_of, set_limits
from mira.store.schema import key, member, user
from mira.store.statements import upsert
from mira.store.versions import KEYS, changed

CHANGEABLE = frozenset({"name", "email", "disabled"})


class Member(Struct, frozen=True):
    """A member. `user_id` is the account that signs in as it.

    `cap` holds the limits and what is taken of them, None where there never were any.
    """

    id: str
    workspace_id: str
    name: str
    email: str | None
    disabled: bool
    created_at_ms: int
    user_id: str | None = None
    cap: Cap | None = None


class Members:
    """Makes, finds and changes members. `workspace_id` narrows to a workspace: another one's are missing there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        member_id: str,
        workspace_id: str,
        name: str,
        email: str | None,
        *,
        now_ms: int,
        limits: Limits = UNLIMITED,
        also: Also = nothing,
    ) -> Member:
        """Makes a member, with limits where there are any."""

        def make(connection: Connection) -> Member:
            values = {"id": member_id, "workspace_id": workspace_id, "name": name, "email": email}
            connection.execute(
                upsert(member).values({**values, "disabled": False, "created_at_ms": now_ms}).on_conflict_do_nothing()
            )
            set_limits(connection, member_cap(member_id), limits, _keys(member_id), now_ms)
            found = _find(connection, member_id, None)
            assert found is not None
            also(connection, found)
            return found

        return await self._database.write(make)

    async def list(self, workspace_id: str) -> list[Member]:
        """The members of a workspace, the oldest first."""
        query = select(member).where(member.c.workspace_id == workspace_id)
        query = query.order_by(member.c.created_at_ms, member.c.id)

        def read(connection: Connection) -> list[Member]:
            rows = [Member(*row) for row in connection.execute(query)]
            caps = caps_of(connection, [member_cap(row.id) for row in rows])
            return [replace(row, cap=caps.get(member_cap(row.id))) for row in rows]

        return await self._database.read(read)

    async def shut(self, workspace_id: str) -> frozenset[str]:
        """The ids of the workspace's members whose keys are refused."""
        query = shut_members().where(member.c.workspace_id == workspace_id)
        return await self._database.read(lambda connection: frozenset(connection.execute(query).scalars()))

    async def get(self, member_id: str, workspace_id: str | None = None) -> Member | None:
        """One member, None where the workspace (or, without one, anybody) has none of this id."""
        return await self._database.read(lambda connection: _find(connection, member_id, workspace_id))

    async def change(
        self,
        member_id: str,
        changes: dict[str, Any],
        *,
        now_ms: int,
        limits: Limits | None = None,
        also: Also = nothing,
    ) -> Member | None:
        """Changes name, email or disabled, and the limits as a whole where given; None where there is none."""
        if not changes.keys() <= CHANGEABLE:
            raise ValueError(f"only {', '.join(sorted(CHANGEABLE))} of a member can be changed")

        def change(connection: Connection) -> Member | None:
            changed(connection, KEYS)
            if changes:
                connection.execute(update(member).where(member.c.id == member_id).values(changes))
            if limits is not None and _find(connection, member_id, None) is not None:
                set_limits(connection, member_cap(member_id), limits, _keys(member_id), now_ms)
            found = _find(connection, member_id, None)
            if found is not None:
                also(connection, found)
            return found

        return await self._database.write(change)


def shut_members() -> Select[str]:
    """The ids of members whose keys are refused: disabled in their workspace, or with an account that is disabled."""
    accounts = member.outerjoin(user, user.c.id == member.c.user_id)
    return select(member.c.id).select_from(accounts).where(or_(member.c.disabled, user.c.disabled))


def _find(connection: Connection, member_id: str, workspace_id: str | None) -> Member | None:
    query = select(member).where(member.c.id == member_id)
    if workspace_id is not None:
        query = query.where(member.c.workspace_id == workspace_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    caps = caps_of(connection, [member_cap(member_id)])
    return replace(Member(*row), cap=caps.get(member_cap(member_id)))


def _keys(member_id: str) -> Any:
    return select(key.c.id).where(key.c.member_id == member_id)
