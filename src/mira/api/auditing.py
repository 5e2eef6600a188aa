"""What a handler writes into the audit log: who, what, and what it was before and after."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection

from mira.api.services import Asked, Services
from mira.store.audit import Actor, Also, Entry, note


class Facts(Struct, frozen=True):
    """What was changed. `before` and `after` are plain values without secrets; None where there was or is nothing."""

    kind: str
    id: str
    name: str | None = None
    workspace_id: str | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


def noting(
    services: Services,
    asked: Asked,
    facts: Callable[[Any], Facts],
    *,
    actor: Actor | None = None,
    action: str | None = None,
) -> Also:
    """Has the change of this request noted in its own transaction; `facts` makes them of what the change returns.

    `actor` and `action` stand in for those of the request.
    """

    def also(connection: Connection, result: Any) -> None:
        note(connection, entry_of(services, asked, facts(result), actor, action))

    return also


async def noted(services: Services, asked: Asked, facts: Facts) -> None:
    """Notes what was no change of the database."""
    await services.accounts.audit.write(entry_of(services, asked, facts))


def entry_of(
    services: Services, asked: Asked, facts: Facts, actor: Actor | None = None, action: str | None = None
) -> Entry:
    """The entry of this request's change, for a transaction that is not SQLAlchemy's: the ledger's."""
    before, after = _differing(facts.before, facts.after)
    return Entry(
        id=services.new_id("audit"),
        at_ms=services.now_ms(),
        actor=actor or asked.actor,
        action=action or asked.action,
        object_kind=facts.kind,
        object_id=facts.id,
        object_name=facts.name,
        workspace_id=facts.workspace_id,
        before=before,
        after=after,
        request_id=asked.request_id,
    )


def _differing(
    before: dict[str, Any] | None, after: dict[str, Any] | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    if before is None or after is None:
        return before, after
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name: before.get(name) for name in names}, {name: after.get(name) for name in names}
