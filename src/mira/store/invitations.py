"""Invitations into a workspace: a link that works once, for one address. The database knows the digest of its token."""

import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.sql import ColumnElement

from mira.store.audit import Also, nothing
from mira.store.database import Database
from mira.store.schema import invitation, member, user, workspace
from mira.store.users import Role, User
from mira.store.versions import KEYS, USERS, changed

TOKEN_BYTES = 32
State = Literal["pending", "accepted", "withdrawn", "expired"]


class Invitation(Struct, frozen=True):
    """An invitation without its token. Times are Unix milliseconds; `invited_by` is an address."""

    id: str
    workspace_id: str
    email: str
    role: Role
    invited_by: str | None
    created_at_ms: int
    expires_at_ms: int
    accepted_at_ms: int | None
    withdrawn_at_ms: int | None

    def state(self, now_ms: int) -> State:
        """What has become of it."""
        if self.accepted_at_ms is not None:
            return "accepted"
        if self.withdrawn_at_ms is not None:
            return "withdrawn"
        return "expired" if self.expires_at_ms <= now_ms else "pending"


_COLUMNS = tuple(invitation.c[name] for name in Invitation.__struct_fields__)


class Invitations:
    """Makes, finds, accepts and withdraws invitations. `now_ms` is Unix milliseconds, `new_id` takes a prefix."""

    def __init__(self, database: Database, *, now_ms: Callable[[], int], new_id: Callable[[str], str]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._new_id = new_id

    async def create(
        self, workspace_id: str, email: str, role: Role, invited_by: str | None, lasts_ms: int, *, also: Also = nothing
    ) -> tuple[str, Invitation]:
        """A new invitation: (token, invitation)."""
        token, now_ms = secrets.token_urlsafe(TOKEN_BYTES), self._now_ms()
        made = Invitation(
            self._new_id("invitation"), workspace_id, email.strip().lower(), role, invited_by, now_ms,
            now_ms + lasts_ms, None, None,
        )  # fmt: skip
        values = msgspec.structs.asdict(made)

        def create(connection: Connection) -> None:
            connection.execute(insert(invitation).values(digest=_digest(token), **values))
            also(connection, made)

        await self._database.write(create)
        return token, made

    async def of(self, workspace_id: str) -> list[Invitation]:
        """The invitations into a workspace, newest first."""
        query = select(*_COLUMNS).where(invitation.c.workspace_id == workspace_id).order_by(invitation.c.id.desc())
        return await self._database.read(lambda connection: [Invitation(*row) for row in connection.execute(query)])

    async def withdraw(self, invitation_id: str, workspace_id: str | None = None, *, also: Also = nothing) -> bool:
        """Ends an invitation; False where the workspace (or, without one, anybody) has none that is pending."""
        which = [invitation.c.id == invitation_id, *_pending(self._now_ms())]
        if workspace_id is not None:
            which.append(invitation.c.workspace_id == workspace_id)
        change = update(invitation).where(*which).values(withdrawn_at_ms=self._now_ms()).returning(*_COLUMNS)

        def withdraw(connection: Connection) -> bool:
            row = connection.execute(change).one_or_none()
            if row is not None:
                also(connection, Invitation(*row))
            return row is not None

        return await self._database.write(withdraw)

    async def look(self, token: str) -> tuple[Invitation, str] | None:
        """The pending invitation of a token, with the name of its workspace; None where there is none."""
        query = (
            select(*_COLUMNS, workspace.c.name)
            .join(workspace, workspace.c.id == invitation.c.workspace_id)
            .where(invitation.c.digest == _digest(token), *_pending(self._now_ms()))
        )
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return (Invitation(*row[:-1]), row[-1]) if row is not None else None

    async def pending_for(self, email: str) -> list[Invitation]:
        """The pending invitations of an address, for who has shown otherwise that it is theirs."""
        query = select(*_COLUMNS).where(invitation.c.email == email.strip().lower(), *_pending(self._now_ms()))
        return await self._database.read(lambda connection: [Invitation(*row) for row in connection.execute(query)])

    async def accept(self, invitation_id: str, made: User, *, also: Also = nothing) -> User | None:
        """Makes the account `made` (or takes the known one of its address) a member; None where it is too late.

        A known account keeps its password and name; its role is raised where the invitation is an operator's.
        """
        now_ms = self._now_ms()
        change = (
            update(invitation)
            .where(invitation.c.id == invitation_id, *_pending(now_ms))
            .values(accepted_at_ms=now_ms)
            .returning(*_COLUMNS)
        )

        def accept(connection: Connection) -> User | None:
            row = connection.execute(change).one_or_none()
            if row is None:
                return None
            taken = Invitation(*row)
            found = connection.execute(select(user).where(user.c.email == taken.email)).one_or_none()
            if found is None:
                connection.execute(insert(user).values(msgspec.structs.asdict(made)))
            elif taken.role == "operator":
                connection.execute(update(user).where(user.c.id == found.id).values(role="operator"))
            account = User(*connection.execute(select(user).where(user.c.email == taken.email)).one())
            _join(connection, self._new_id("member"), taken, account, now_ms)
            changed(connection, USERS)
            changed(connection, KEYS)
            also(connection, (taken, account))
            return account

        return await self._database.write(accept)


def _join(connection: Connection, member_id: str, taken: Invitation, account: User, now_ms: int) -> None:
    """Makes the account a member of the workspace: the member who was there under its address, else a new one.

    Who was disabled stays so: operators do that, and an invitation may be a member's.
    """
    here = member.c.workspace_id == taken.workspace_id
    if connection.execute(select(member.c.id).where(here, member.c.user_id == account.id)).first() is not None:
        return
    namesake = select(member.c.id).where(here, member.c.user_id.is_(None), member.c.email == taken.email).limit(1)
    known = connection.execute(namesake).scalar_one_or_none()
    if known is not None:
        connection.execute(update(member).where(member.c.id == known).values(user_id=account.id))
        return
    connection.execute(
        insert(member).values(
            id=member_id,
            workspace_id=taken.workspace_id,
            name=account.name or account.email,
            email=account.email,
            disabled=False,
            created_at_ms=now_ms,
            user_id=account.id,
        )
    )


def _pending(now_ms: int) -> list[ColumnElement[bool]]:
    return [
        invitation.c.accepted_at_ms.is_(None),
        invitation.c.withdrawn_at_ms.is_(None),
        invitation.c.expires_at_ms > now_ms,
    ]


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
