"""The operator API: workspaces, credits, keys, nodes, calls, and the check of the ledger."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.responses import Response

from mira.api.bodies import (
    KeyChange,
    NewCredits,
    NewKey,
    NewNode,
    NewWorkspace,
    NodeChange,
    answer,
    number,
    page_limit,
    read,
)
from mira.api.extras import attempts_body, call_body, credits_body, usage_page
from mira.api.services import Asked, Services
from mira.core.caller import Face
from mira.core.money import credits_text, nanocredits
from mira.errors import Kind, MiraError
from mira.nodes.reconciler import DAY_MS, SETTLED_MS, told

#: Limits of a key that a later version makes real; until then nobody should believe in one that does nothing.
LATER_LIMITS = ("rpm", "tpm", "concurrency", "budget")


async def list_workspaces(services: Services, _: Asked) -> Response:
    """Every workspace with its credits."""
    rows = [await _workspace(services, row) for row in await services.workspaces.list()]
    return answer({"object": "list", "data": rows})


async def create_workspace(services: Services, asked: Asked) -> Response:
    """A new workspace without credits."""
    body = await read(asked, NewWorkspace)
    row = await services.workspaces.create(services.new_id("ws"), body.name, services.now_ms())
    return answer(await _workspace(services, row), 201)


async def get_workspace(services: Services, asked: Asked) -> Response:
    """One workspace."""
    return answer(await _workspace(services, await _found(services, asked)))


async def change_workspace(services: Services, asked: Asked) -> Response:
    """Renames a workspace."""
    row = await _found(services, asked)
    body = await read(asked, NewWorkspace)
    await services.workspaces.rename(row.id, body.name)
    return answer(await _workspace(services, await _found(services, asked)))


async def add_credits(services: Services, asked: Asked) -> Response:
    """Tops a workspace up; the same reference twice counts once."""
    row = await _found(services, asked)
    body = await read(asked, NewCredits)
    try:
        amount = nanocredits(body.amount)
    except ValueError as error:
        raise MiraError(Kind.BAD_REQUEST, f"amount: {error}", param="amount") from None
    if amount <= 0:
        raise MiraError(Kind.BAD_REQUEST, "amount: must be above 0", param="amount")
    try:
        counted = await services.ledger.top_up(row.id, amount, body.reference)
    except ValueError:
        raise MiraError(Kind.BAD_REQUEST, "amount: the balance would become too large", param="amount") from None
    posted, held = await services.ledger.balance(row.id)
    return answer({**msgspec.to_builtins(credits_body(posted, held)), "counted": counted}, 201 if counted else 200)


async def transfers(services: Services, asked: Asked) -> Response:
    """The statement of a workspace, newest first."""
    row = await _found(services, asked)
    page = await services.transfers.page(
        row.id, after=asked.request.query_params.get("cursor"), limit=page_limit(asked)
    )
    data = [
        {
            "id": str(line.id),
            "reference": line.idem,
            "debit": line.debit,
            "credit": line.credit,
            "amount": credits_text(line.amount_nanocredits),
            "created_at_ms": line.created_at_ms,
        }
        for line in page.rows
    ]
    return answer({"object": "list", "data": data, "next": page.next})


async def list_keys(services: Services, asked: Asked) -> Response:
    """The keys of a workspace, without their secrets."""
    row = await _found(services, asked)
    return answer({"object": "list", "data": [_key(key) for key in await services.keys.list(row.id)]})


async def create_key(services: Services, asked: Asked) -> Response:
    """A new key; its secret is shown in this answer and never again."""
    row = await _found(services, asked)
    body = await read(asked, NewKey)
    _refuse_later_limits(body)
    secret, key = await services.keyring.create(
        row.id,
        body.name,
        Face(body.kind),
        models=_scope(services, body.models),
        expires_at_ms=_time_ms(body.expires_at),
    )
    return answer({**_key(key), "secret": secret}, 201)


async def change_key(services: Services, asked: Asked) -> Response:
    """Changes a key's name, scope or expiry, or disables it."""
    body = await read(asked, KeyChange)
    _refuse_later_limits(body)
    changes: dict[str, Any] = {}
    if body.name is not msgspec.UNSET:
        changes["name"] = body.name
    if body.models is not msgspec.UNSET:
        changes["models"] = _scope(services, body.models)
    if body.expires_at is not msgspec.UNSET:
        changes["expires_at_ms"] = _time_ms(body.expires_at)
    if body.disabled is not msgspec.UNSET:
        changes["disabled"] = body.disabled
    key = await services.keyring.change(asked.request.path_params["id"], changes)
    if key is None:
        raise MiraError(Kind.NOT_FOUND, "there is no such key")
    return answer(_key(key))


async def revoke_key(services: Services, asked: Asked) -> Response:
    """Revokes a key at once and for good."""
    if not await services.keyring.revoke(asked.request.path_params["id"]):
        raise MiraError(Kind.NOT_FOUND, "there is no such key")
    return Response(status_code=204)


async def list_nodes(services: Services, _: Asked) -> Response:
    """The nodes of the fleet with their state; never a secret."""
    now_s = services.monotonic_s()
    return answer({"object": "list", "data": [services.fleet.describe(node, now_s) for node in services.fleet.nodes]})


async def create_node(services: Services, asked: Asked) -> Response:
    """Adds a node, kept in the database."""
    body = await read(asked, NewNode)
    node = await services.fleet.add(msgspec.to_builtins(body))
    return answer(services.fleet.describe(node, services.monotonic_s()), 201)


async def get_node(services: Services, asked: Asked) -> Response:
    """One node."""
    node = services.fleet.get(asked.request.path_params["name"])
    return answer(services.fleet.describe(node, services.monotonic_s()))


async def change_node(services: Services, asked: Asked) -> Response:
    """Drains, disables or changes a node."""
    body = await read(asked, NodeChange)
    changes = {name: value for name in body.__struct_fields__ if (value := getattr(body, name)) is not msgspec.UNSET}
    node = await services.fleet.change(asked.request.path_params["name"], changes)
    return answer(services.fleet.describe(node, services.monotonic_s()))


async def delete_node(services: Services, asked: Asked) -> Response:
    """Removes a node that was made by this API."""
    await services.fleet.remove(asked.request.path_params["name"])
    return Response(status_code=204)


async def probe_node(services: Services, asked: Asked) -> Response:
    """Asks a node for its models now."""
    node = services.fleet.get(asked.request.path_params["name"])
    await services.fleet.probe(node)
    return answer(services.fleet.describe(node, services.monotonic_s()))


async def reconcile_node(services: Services, asked: Asked) -> Response:
    """Compares what we booked for a node with its own statement, by default over the last day."""
    node = services.fleet.get(asked.request.path_params["name"])
    until_ms = number(asked, "until_ms", services.now_ms() - SETTLED_MS, 0, 2**53)
    since_ms = number(asked, "since_ms", max(until_ms - DAY_MS, 0), 0, until_ms)
    return answer(told(await services.reconciler.compare(node, since_ms, until_ms)))


async def usage(services: Services, asked: Asked) -> Response:
    """Calls of every workspace or of one (`workspace`), newest first."""
    return answer(await usage_page(services, asked, asked.request.query_params.get("workspace")))


async def get_call(services: Services, asked: Asked) -> Response:
    """One call by its request id, with its attempts at nodes."""
    row = await services.calls.get(asked.request.path_params["id"])
    if row is None:
        raise MiraError(Kind.NOT_FOUND, "there is no such call")
    return answer({**call_body(row), "tried": attempts_body(row)})


async def check_ledger(services: Services, _: Asked) -> Response:
    """Every invariant of the ledger with its figures."""
    return answer(await services.ledger.check())


async def _found(services: Services, asked: Asked) -> Any:
    row = await services.workspaces.get(asked.request.path_params["id"])
    if row is None:
        raise MiraError(Kind.NOT_FOUND, "there is no such workspace")
    return row


async def _workspace(services: Services, row: Any) -> dict[str, Any]:
    posted, held = await services.ledger.balance(row.id)
    return {
        "id": row.id,
        "name": row.name,
        "created_at_ms": row.created_at_ms,
        **msgspec.to_builtins(credits_body(posted, held)),
    }


def _key(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "workspace_id": row.workspace_id,
        "name": row.name,
        "kind": row.face.value,
        "prefix": row.prefix,
        "last4": row.last4,
        "models": sorted(row.models) if row.models is not None else None,
        "expires_at_ms": row.expires_at_ms,
        "disabled": row.disabled,
        "revoked_at_ms": row.revoked_at_ms,
        "created_at_ms": row.created_at_ms,
    }


def _refuse_later_limits(body: NewKey | KeyChange) -> None:
    for name in LATER_LIMITS:
        if getattr(body, name) is not None:
            raise MiraError(Kind.UNSUPPORTED, f"{name}: not yet available; leave it out", param=name)


def _scope(services: Services, models: list[str] | None) -> frozenset[str] | None:
    """Canonical ids of a scope. A model that no node serves yet is kept as written: nodes come and go."""
    if models is None:
        return None
    canonical: set[str] = set()
    for name in models:
        try:
            canonical.add(services.fleet.catalog.find(name).model)
        except MiraError:
            canonical.add(name)
    return frozenset(canonical)


def _time_ms(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MiraError(
            Kind.BAD_REQUEST, "expires_at: must be an RFC 3339 time such as 2027-01-31T00:00:00Z", param="expires_at"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
