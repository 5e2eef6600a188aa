"""The audit log: who changed what, written in the transaction of a change of the database: none without the other."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, insert, or_, select

from mira.store.database import Database
from mira.store.pages import Page, size, wrong_cursor
from mira.store.schema import audit

#: Runs in the transaction of a change, with what the change returns.
Also = Callable[[Connection, Any], None]


class Actor(Struct, frozen=True):
    """Who acts. `kind` is user, operator_key, cli, oidc or invitation; a user has an id and an address."""

    kind: str
    id: str | None = None
    name: str | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """One change. `before` and `after` hold what differs, None where there was or is nothing."""

    id: str
    at_ms: int
    actor: Actor
    action: str
    object_kind: str
    object_id: str
    object_name: str | None = None
    workspace_id: str | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    request_id: str


class Sought(Struct, frozen=True, kw_only=True):
    """Which entries; None for any. `action` and `actor` (an id or an address) are what the value begins with."""

    workspace_id: str | None = None
    action: str | None = None
    actor: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


def nothing(_connection: Connection, _result: Any) -> None:
    """For changes that nobody has to answer for: the first start's."""


def note(connection: Connection, entry: Entry) -> None:
    """Writes an entry as part of a transaction."""
    connection.execute(insert(audit).values(row_of(entry)))


def row_of(entry: Entry) -> tuple[Any, ...]:
    """An entry as a row of `audit`, in the order of the table's columns."""
    return (
        entry.id,
        entry.at_ms,
        entry.actor.kind,
        entry.actor.id,
        entry.actor.name,
        entry.action,
        entry.object_kind,
        entry.object_id,
        entry.object_name,
        entry.workspace_id,
        _text(entry.before),
        _text(entry.after),
        entry.request_id,
    )


class AuditLog:
    """Reads the entries, and writes those of what is no change of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, entry: Entry) -> None:
        """Writes an entry by itself."""
        await self._database.write(lambda connection: note(connection, entry))

    async def page(self, sought: Sought, *, after: str | None = None, limit: int = 100) -> Page[Entry]:
        """A page of entries, newest first; MiraError BAD_REQUEST for a wrong cursor."""
        query = select(audit).order_by(audit.c.id.desc()).limit(size(limit) + 1)
        if after is not None:
            if not (after.startswith("audit_") and len(after) < 80 and after.isascii()):
                raise wrong_cursor()
            query = query.where(audit.c.id < after)
        if sought.workspace_id is not None:
            query = query.where(audit.c.workspace_id == sought.workspace_id)
        if sought.action is not None:
            query = query.where(audit.c.action.startswith(sought.action, autoescape=True))
        if sought.actor is not None:
            names = (audit.c.actor_id, audit.c.actor_name)
            query = query.where(or_(*(name.startswith(sought.actor, autoescape=True) for name in names)))
        if sought.since_ms is not None:
            query = query.where(audit.c.at_ms >= sought.since_ms)
        if sought.until_ms is not None:
            query = query.where(audit.c.at_ms < sought.until_ms)
        rows = await self._database.read(lambda connection: [_entry(row) for row in connection.execute(query)])
        shown = rows[: size(limit)]
        return Page(shown, shown[-1].id if len(rows) > len(shown) else None)


def _entry(row: Any) -> Entry:
    values = row._asdict()
    actor = Actor(values.pop("actor_kind"), values.pop("actor_id"), values.pop("actor_name"))
    for name in ("before", "after"):
        values[name] = msgspec.json.decode(values[name]) if values[name] is not None else None
    return Entry(actor=actor, **values)


def _text(facts: dict[str, Any] | None) -> str | None:
    return msgspec.json.encode(facts).decode() if facts is not None else None
