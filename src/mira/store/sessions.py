"""Sessions of the portal. The browser has a random token, the database its digest; every request asks the database.

So a session that ends has ended in every process with the transaction that ends it; nothing remembers it.
"""

import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import Connection, delete, insert, select, update

from mira.store.audit import Also, nothing
from mira.store.database import Database
from mira.store.schema import member, session, user, workspace
from mira.store.users import Role

#: How somebody came in.
Way = Literal["password", "oidc", "invitation"]

TOKEN_BYTES = 32
LONGEST_TOKEN = 100
DAY_MS = 86_400_000
#: A session ends when it was not used for so long, and in any case so long after it began.
IDLE_MS = 7 * DAY_MS
LONGEST_MS = 30 * DAY_MS
#: Use is written down at most once in so long.
SEEN_EVERY_MS = 60_000
MOST_WORKSPACES = 500
#: Who waits for a page waits for this; a database that is slower is as good as away.
FIND_TIMEOUT_S = 5.0


class SignedIn(Struct, frozen=True, kw_only=True):
    """A live session and its user. The workspace is the one they act in, None where they are a member of none.

    `member_id` is their membership of it; an operator may act in one without.
    """

    id: str
    user_id: str
    email: str
    name: str | None
    role: Role
    has_password: bool
    workspace_id: str | None
    workspace_name: str | None
    member_id: str | None
    created_at_ms: int
    seen_at_ms: int
    expires_at_ms: int

    @property
    def is_operator(self) -> bool:
        """Whether the user may see and change everything."""
        return self.role == "operator"


class SessionRow(Struct, frozen=True):
    """A session as its user sees it."""

    id: str
    created_at_ms: int
    seen_at_ms: int
    expires_at_ms: int
    address: str | None
    user_agent: str | None
    way: Way


class Sessions:
    """Begins, finds and ends sessions. `now_ms` is Unix milliseconds, `new_id` takes a prefix."""

    def __init__(self, database: Database, *, now_ms: Callable[[], int], new_id: Callable[[str], str]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._new_id = new_id

    async def begin(
        self,
        user_id: str,
        way: Way,
        *,
        address: str | None,
        user_agent: str | None,
        workspace_id: str | None = None,
        instead_of: str | None = None,
        also: Also = nothing,
    ) -> str:
        """A new session of a user; returns its token. One that the browser had before (`instead_of`) ends."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        now_ms = self._now_ms()
        row = {
            "digest": _digest(token),
            "id": self._new_id("session"),
            "user_id": user_id,
            "workspace_id": workspace_id,
            "way": way,
            "address": address,
            "user_agent": user_agent[:300] if user_agent else None,
            "created_at_ms": now_ms,
            "seen_at_ms": now_ms,
            "expires_at_ms": now_ms + IDLE_MS,
        }

        def begin(connection: Connection) -> None:
            ended = session.c.expires_at_ms <= now_ms
            connection.execute(delete(session).where(session.c.user_id == user_id, ended))
            if instead_of is not None:
                connection.execute(delete(session).where(session.c.digest == _digest(instead_of)))
            connection.execute(insert(session).values(row))
            also(connection, row["id"])

        await self._database.write(begin)
        return token

    async def find(self, token: str) -> SignedIn | None:
        """The live session of a token; None where it has ended, or its user may not sign in any more."""
        if len(token) > LONGEST_TOKEN:
            return None
        now_ms = self._now_ms()
        query = (
            select(session, user.c.email, user.c.name, user.c.role, user.c.password_hash)
            .join(user, user.c.id == session.c.user_id)
            .where(session.c.digest == _digest(token), session.c.expires_at_ms > now_ms, ~user.c.disabled)
        )

        def find(connection: Connection) -> SignedIn | None:
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            place = _place(connection, row.user_id, row.role, row.workspace_id)
            return SignedIn(
                id=row.id,
                user_id=row.user_id,
                email=row.email,
                name=row.name,
                role=row.role,
                has_password=bool(row.password_hash),
                workspace_id=place[0],
                workspace_name=place[1],
                member_id=place[2],
                created_at_ms=row.created_at_ms,
                seen_at_ms=row.seen_at_ms,
                expires_at_ms=row.expires_at_ms,
            )

        found = await self._database.read(find, FIND_TIMEOUT_S)
        if found is not None and now_ms - found.seen_at_ms > SEEN_EVERY_MS:
            await self._seen(found, now_ms)
        return found

    async def workspaces(self, found: SignedIn) -> list[tuple[str, str]]:
        """The workspaces (id, name) that a user may act in: every one for an operator, else their own."""
        query = select(workspace.c.id, workspace.c.name).order_by(workspace.c.name, workspace.c.id)
        if not found.is_operator:
            mine = (member.c.user_id == found.user_id, ~member.c.disabled)
            query = query.join(member, member.c.workspace_id == workspace.c.id).where(*mine)
        query = query.limit(MOST_WORKSPACES)
        return await self._database.read(
            lambda connection: [(workspace_id, name) for workspace_id, name in connection.execute(query)]
        )

    async def choose(self, found: SignedIn, workspace_id: str) -> bool:
        """Lets a session act in another workspace; False where its user may not."""

        def choose(connection: Connection) -> bool:
            if _place(connection, found.user_id, found.role, workspace_id)[0] != workspace_id:
                return False
            connection.execute(update(session).where(session.c.id == found.id).values(workspace_id=workspace_id))
            return True

        return await self._database.write(choose)

    async def list(self, user_id: str) -> list[SessionRow]:
        """The live sessions of a user, the last used first."""
        columns = [session.c[name] for name in SessionRow.__struct_fields__]
        query = (
            select(*columns)
            .where(session.c.user_id == user_id, session.c.expires_at_ms > self._now_ms())
            .order_by(session.c.seen_at_ms.desc(), session.c.id)
        )
        return await self._database.read(lambda connection: [SessionRow(*row) for row in connection.execute(query)])

    async def end(self, user_id: str, session_id: str, *, also: Also = nothing) -> bool:
        """Ends one session of a user; False where they have none of this id."""
        gone = delete(session).where(session.c.user_id == user_id, session.c.id == session_id)

        def end(connection: Connection) -> bool:
            ended = connection.execute(gone).rowcount == 1
            if ended:
                also(connection, session_id)
            return ended

        return await self._database.write(end)

    async def end_all(self, user_id: str, *, also: Also = nothing) -> None:
        """Ends every session of a user."""

        def end(connection: Connection) -> None:
            connection.execute(delete(session).where(session.c.user_id == user_id))
            also(connection, user_id)

        await self._database.write(end)

    async def _seen(self, found: SignedIn, now_ms: int) -> None:
        expires_ms = min(now_ms + IDLE_MS, found.created_at_ms + LONGEST_MS)
        change = update(session).where(session.c.id == found.id).values(seen_at_ms=now_ms, expires_at_ms=expires_ms)
        await self._database.write(lambda connection: connection.execute(change).rowcount)


def _place(
    connection: Connection, user_id: str, role: Role, wanted: str | None
) -> tuple[str | None, str | None, str | None]:
    """The workspace to act in (id, name, membership): the wanted one where it may be had, else the first."""
    query = (
        select(workspace.c.id, workspace.c.name, member.c.id)
        .join(member, member.c.workspace_id == workspace.c.id)
        .where(member.c.user_id == user_id, ~member.c.disabled)
        .order_by(member.c.created_at_ms, workspace.c.id)
    )
    mine: list[Any] = list(connection.execute(query))
    for place in mine:
        if place[0] == wanted:
            return place[0], place[1], place[2]
    if role == "operator":
        every = select(workspace.c.id, workspace.c.name).order_by(workspace.c.created_at_ms, workspace.c.id).limit(1)
        chosen = connection.execute(every.where(workspace.c.id == wanted)).one_or_none() if wanted else None
        chosen = chosen or (None if mine else connection.execute(every).one_or_none())
        if chosen is not None:
            return chosen[0], chosen[1], None
    return (mine[0][0], mine[0][1], mine[0][2]) if mine else (None, None, None)


def _digest(token: str) -> bytes:
    # The token is 256 random bits, so that a plain hash cannot be searched.
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
