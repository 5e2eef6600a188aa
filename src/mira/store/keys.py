"""Keys: credentials of workspaces, known only by their digests."""

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, Row, and_, select, update
from sqlalchemy.sql import ColumnElement

from mira.core.caller import Caller, Face
from mira.core.limits import UNLIMITED, Cap, Limits, key_cap, member_cap
from mira.store.audit import Also, nothing
from mira.store.database import Database
from mira.store.limits import caps_of, limits_anything, set_limits
from mira.store.members import shut_members
from mira.store.schema import cap, key, member
from mira.store.statements import upsert
from mira.store.versions import KEYS, changed

CHANGEABLE = frozenset({"name", "models", "expires_at_ms", "disabled", "member_id"})


class Key(Struct, frozen=True, kw_only=True):
    """A key without its secret. `models` is the scope as canonical ids, None for all; times are Unix milliseconds.

    `cap` holds the limits and what is taken of them, None where there never were any.
    """

    id: str
    workspace_id: str
    prefix: str
    last4: str
    name: str
    face: Face
    models: frozenset[str] | None
    expires_at_ms: int | None
    disabled: bool
    revoked_at_ms: int | None
    created_at_ms: int
    member_id: str | None
    cap: Cap | None = None


_COLUMNS = tuple(key.c[name] for name in Key.__struct_fields__ if name != "cap")


class Keys:
    """Makes, finds and changes keys. `workspace_id` narrows to a workspace: another one's key is missing there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        key_id: str,
        workspace_id: str,
        *,
        digest: bytes,
        prefix: str,
        last4: str,
        name: str,
        face: Face,
        models: frozenset[str] | None,
        expires_at_ms: int | None,
        now_ms: int,
        limits: Limits = UNLIMITED,
        member_id: str | None = None,
        also: Also = nothing,
    ) -> Key:
        """Stores a key. Where its id or digest is known already, nothing changes and the known key is returned."""
        row = {
            "id": key_id,
            "workspace_id": workspace_id,
            "digest": digest,
            "prefix": prefix,
            "last4": last4,
            "name": name,
            "face": face.value,
            "models": _scope_text(models),
            "expires_at_ms": expires_at_ms,
            "disabled": False,
            "created_at_ms": now_ms,
            "member_id": member_id,
        }

        def insert(connection: Connection) -> Key:
            connection.execute(upsert(key).values(row).on_conflict_do_nothing())
            changed(connection, KEYS)
            [found] = _found(connection, (key.c.id == key_id) | (key.c.digest == digest))
            if found.id != key_id:
                return found
            set_limits(connection, key_cap(key_id), limits, select(key.c.id).where(key.c.id == key_id), now_ms)
            [made] = _found(connection, key.c.id == key_id)
            also(connection, made)
            return made

        return await self._database.write(insert)

    async def list(self, workspace_id: str) -> list[Key]:
        """The keys of a workspace, revoked ones too, the oldest first."""
        return await self._database.read(lambda connection: _found(connection, key.c.workspace_id == workspace_id))

    async def get(self, key_id: str, workspace_id: str | None = None) -> Key | None:
        """One key, None where the workspace (or, without one, anybody) has none of this id."""
        found = await self._database.read(lambda connection: _found(connection, _of(key_id, workspace_id)))
        return found[0] if found else None

    async def find(self, digest: bytes) -> Caller | None:
        """The caller behind a digest; None where the key is unknown, revoked or disabled, or who it belongs to is.

        Expiry is the asker's to judge.
        """

        return await self._caller(key.c.digest == digest)

    async def caller(self, key_id: str) -> Caller | None:
        """The caller of a key that its holder need not show: the portal's own. None as for `find`."""
        return await self._caller(key.c.id == key_id)

    async def _caller(self, which: ColumnElement[bool]) -> Caller | None:
        def find(connection: Connection) -> Caller | None:
            good = and_(which, key.c.revoked_at_ms.is_(None), ~key.c.disabled)
            row = connection.execute(select(*_COLUMNS).where(good)).one_or_none()
            if row is None:
                return None
            found = _key(row)
            ids = [key_cap(found.id)]
            if found.member_id is not None:
                ids.append(member_cap(found.member_id))
                if connection.execute(shut_members().where(member.c.id == found.member_id)).first() is not None:
                    return None
            limiting = select(cap.c.id).where(cap.c.id.in_(ids), limits_anything()).order_by(cap.c.id)
            caps = tuple(connection.execute(limiting).scalars())
            return Caller(found.workspace_id, found.id, found.face, found.models, found.expires_at_ms, caps)

        return await self._database.read(find, self._database.late_s)

    async def change(
        self,
        key_id: str,
        changes: dict[str, Any],
        workspace_id: str | None = None,
        *,
        limits: Limits | None = None,
        now_ms: int = 0,
        also: Also = nothing,
    ) -> Key | None:
        """Changes what is `CHANGEABLE`, and the limits as a whole where given; None where there is no such key.

        ValueError for other changes.
        """
        if not changes.keys() <= CHANGEABLE:
            raise ValueError(f"only {', '.join(sorted(CHANGEABLE))} of a key can be changed")
        values = {**changes}
        if "models" in values:
            values["models"] = _scope_text(values["models"])

        def change(connection: Connection) -> Key | None:
            if values:
                connection.execute(update(key).where(_of(key_id, workspace_id)).values(values))
            changed(connection, KEYS)
            found = _found(connection, _of(key_id, workspace_id))
            if not found:
                return None
            if limits is not None:
                set_limits(connection, key_cap(key_id), limits, select(key.c.id).where(key.c.id == key_id), now_ms)
                found = _found(connection, _of(key_id, workspace_id))
            also(connection, found[0])
            return found[0]

        return await self._database.write(change)

    async def revoke(self, key_id: str, now_ms: int, workspace_id: str | None = None, *, also: Also = nothing) -> bool:
        """Revokes a key for good; the first time stands. False where there is no such key."""

        def revoke(connection: Connection) -> bool:
            first = update(key).where(_of(key_id, workspace_id), key.c.revoked_at_ms.is_(None))
            connection.execute(first.values(revoked_at_ms=now_ms))
            changed(connection, KEYS)
            found = _found(connection, _of(key_id, workspace_id))
            if found:
                also(connection, found[0])
            return bool(found)

        return await self._database.write(revoke)


def _of(key_id: str, workspace_id: str | None) -> ColumnElement[bool]:
    return key.c.id == key_id if workspace_id is None else and_(key.c.id == key_id, key.c.workspace_id == workspace_id)


def _scope_text(models: frozenset[str] | None) -> str | None:
    return None if models is None else msgspec.json.encode(sorted(models)).decode()


def _found(connection: Connection, which: ColumnElement[bool]) -> list[Key]:
    """Keys with their limits, the oldest first."""
    query = select(*_COLUMNS).where(which).order_by(key.c.created_at_ms, key.c.id)
    keys = [_key(row) for row in connection.execute(query)]
    caps = caps_of(connection, [key_cap(one.id) for one in keys])
    return [replace(one, cap=caps.get(key_cap(one.id))) for one in keys]


def _key(row: Row[Any]) -> Key:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    values["face"] = Face(values["face"])
    if values["models"] is not None:
        values["models"] = msgspec.json.decode(values["models"], type=frozenset[str])
    return Key(**values)
