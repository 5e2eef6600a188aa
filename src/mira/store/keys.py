"""Keys: credentials of workspaces, known only by their digests."""

from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, and_, select, update
from sqlalchemy.sql import ColumnElement

from mira.core.caller import Caller, Face
from mira.store.database import Database
from mira.store.schema import key
from mira.store.statements import upsert

CHANGEABLE = frozenset({"name", "models", "expires_at_ms", "disabled"})


class Key(Struct, frozen=True, kw_only=True):
    """A key without its secret. `models` is the scope as canonical ids, None for all; times are Unix milliseconds."""

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


_COLUMNS = tuple(key.c[name] for name in Key.__struct_fields__)


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
        }

        def insert(connection: Connection) -> Key:
            connection.execute(upsert(key).values(row).on_conflict_do_nothing())
            known = (key.c.id == key_id) | (key.c.digest == digest)
            return _key(connection.execute(select(*_COLUMNS).where(known)).first())

        return await self._database.write(insert)

    async def list(self, workspace_id: str) -> list[Key]:
        """The keys of a workspace, revoked ones too, the oldest first."""
        query = select(*_COLUMNS).where(key.c.workspace_id == workspace_id).order_by(key.c.created_at_ms, key.c.id)
        return await self._database.read(lambda connection: [_key(row) for row in connection.execute(query)])

    async def get(self, key_id: str, workspace_id: str | None = None) -> Key | None:
        """One key, None where the workspace (or, without one, anybody) has none of this id."""
        query = select(*_COLUMNS).where(_of(key_id, workspace_id))
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return _key(row) if row is not None else None

    async def find(self, digest: bytes) -> Caller | None:
        """The caller behind a digest; None where it is unknown, revoked or disabled. Expiry is the asker's to judge."""
        query = select(*_COLUMNS).where(key.c.digest == digest, key.c.revoked_at_ms.is_(None), ~key.c.disabled)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            return None
        found = _key(row)
        return Caller(found.workspace_id, found.id, found.face, found.models, found.expires_at_ms)

    async def change(self, key_id: str, changes: dict[str, Any], workspace_id: str | None = None) -> Key | None:
        """Changes name, models, expires_at_ms or disabled; None where there is no such key. ValueError for others."""
        if not changes.keys() <= CHANGEABLE:
            raise ValueError(f"only {', '.join(sorted(CHANGEABLE))} of a key can be changed")
        values = {**changes}
        if "models" in values:
            values["models"] = _scope_text(values["models"])

        def change(connection: Connection) -> Key | None:
            if values:
                connection.execute(update(key).where(_of(key_id, workspace_id)).values(values))
            row = connection.execute(select(*_COLUMNS).where(_of(key_id, workspace_id))).one_or_none()
            return _key(row) if row is not None else None

        return await self._database.write(change)

    async def revoke(self, key_id: str, now_ms: int, workspace_id: str | None = None) -> bool:
        """Revokes a key for good; the first time stands. False where there is no such key."""

        def revoke(connection: Connection) -> bool:
            first = update(key).where(_of(key_id, workspace_id), key.c.revoked_at_ms.is_(None))
            connection.execute(first.values(revoked_at_ms=now_ms))
            return connection.execute(select(key.c.id).where(_of(key_id, workspace_id))).first() is not None

        return await self._database.write(revoke)


def _of(key_id: str, workspace_id: str | None) -> ColumnElement[bool]:
    return key.c.id == key_id if workspace_id is None else and_(key.c.id == key_id, key.c.workspace_id == workspace_id)


def _scope_text(models: frozenset[str] | None) -> str | None:
    return None if models is None else msgspec.json.encode(sorted(models)).decode()


def _key(row: Row[Any] | None) -> Key:
    assert row is not None
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    values["face"] = Face(values["face"])
    if values["models"] is not None:
        values["models"] = msgspec.json.decode(values["models"], type=frozenset[str])
    return Key(**values)
