"""The audit log, of a workspace and of everything; and what examples in the portal's docs are filled in with."""

from collections.abc import Iterable
from typing import Any

from starlette.responses import Response

from mira.api.bodies import answer, number, page_limit
from mira.api.portal import shapes
from mira.api.portal.session import workspace_of
from mira.api.portal.shapes_models import Docs, RouteShown
from mira.api.services import Asked, Services
from mira.store.audit import Entry, Sought

#: The groups of routes that examples are about.
FOR_CLIENTS = ("proxy key", "inference key")


async def own_audit(services: Services, asked: Asked) -> Response:
    """What was changed in the user's workspace."""
    return await _page(services, asked, workspace_of(asked))


async def whole_audit(services: Services, asked: Asked) -> Response:
    """What was changed anywhere."""
    return await _page(services, asked, asked.request.query_params.get("workspace"))


async def docs(services: Services, asked: Asked) -> Response:
    """The address that clients are given, a model that can answer, and the routes."""
    base_url = services.accounts.front.base_url(asked.request)
    able = [
        model
        for model, route in sorted(services.fleet.catalog.routes.items())
        if "text" in route.outputs
        and any(offer.price is not None and offer.node.obstacle is None for offer in route.offers)
    ]
    local = next((model for model in able if model.startswith("mira/local")), None)
    told = Docs(
        base_url=base_url,
        openai_base_url=f"{base_url}/v1",
        anthropic_base_url=base_url,
        inference_base_url=f"{base_url}/inference/v1",
        example_model=local or (able[0] if able else None),
        routes=[
            RouteShown(
                method=row.method,
                path=row.path,
                summary=row.summary,
                group=row.group,
                policy=row.policy.value,
                billing=row.billing.value,
            )
            for row in _table()
            if row.policy.value in FOR_CLIENTS
        ],
    )
    return answer(told)


async def _page(services: Services, asked: Asked, workspace_id: str | None) -> Response:
    query = asked.request.query_params
    sought = Sought(
        workspace_id=workspace_id,
        action=query.get("action", "").strip().lower() or None,
        actor=query.get("actor", "").strip().lower() or None,
        since_ms=number(asked, "since_ms", 0, 0, 2**53) if "since_ms" in query else None,
        until_ms=number(asked, "until_ms", 0, 0, 2**53) if "until_ms" in query else None,
    )
    page = await services.accounts.audit.page(sought, after=query.get("cursor"), limit=page_limit(asked))
    return answer(shapes.AuditPage(data=[_shown(row) for row in page.rows], next=page.next))


def _shown(row: Entry) -> shapes.AuditEntry:
    return shapes.AuditEntry(
        id=row.id,
        at_ms=row.at_ms,
        actor=shapes.AuditActor(kind=row.actor.kind, id=row.actor.id, name=row.actor.name),
        action=row.action,
        object_kind=row.object_kind,
        object_id=row.object_id,
        object_name=row.object_name,
        workspace_id=row.workspace_id,
        before=row.before,
        after=row.after,
        request_id=row.request_id,
    )


def _table() -> Iterable[Any]:
    from mira.api.table import TABLE  # noqa: PLC0415 - the table names this module's handlers; it is read when they run

    return TABLE
