"""The operator API: workspaces, credits, nodes, and the check of the ledger."""

from typing import Any

import msgspec
from starlette.responses import Response

from mira.api.auditing import Facts, entry_of, noted, noting
from mira.api.bodies import (
    NewCredits,
    NewNode,
    NewWorkspace,
    NodeChange,
    answer,
    number,
    page_limit,
    read,
)
from mira.api.extras import credits_body
from mira.api.services import Asked, Services
from mira.api.tenants import found_workspace
from mira.api.usage import transfer_body
from mira.core.money import credits_text, nanocredits
from mira.errors import ConfigError, Kind, MiraError
from mira.nodes.reconciler import DAY_MS, SETTLED_MS, told


async def list_workspaces(services: Services, _: Asked) -> Response:
    """Every workspace with its credits."""
    rows = [await _workspace(services, row) for row in await services.workspaces.list()]
    return answer({"object": "list", "data": rows})


async def create_workspace(services: Services, asked: Asked) -> Response:
    """A new workspace without credits."""
    body = await read(asked, NewWorkspace)
    also = noting(services, asked, lambda made: _workspace_facts(made, None))
    row = await services.workspaces.create(services.new_id("ws"), body.name, services.now_ms(), also=also)
    return answer(await _workspace(services, row), 201)


async def get_workspace(services: Services, asked: Asked) -> Response:
    """One workspace."""
    return answer(await _workspace(services, await found_workspace(services, asked)))


async def change_workspace(services: Services, asked: Asked) -> Response:
    """Renames a workspace."""
    row = await found_workspace(services, asked)
    body = await read(asked, NewWorkspace)
    also = noting(services, asked, lambda made: _workspace_facts(made, row.name))
    await services.workspaces.rename(row.id, body.name, also=also)
    return answer(await _workspace(services, await found_workspace(services, asked)))


async def add_credits(services: Services, asked: Asked) -> Response:
    """Tops a workspace up; the same reference twice counts once."""
    row = await found_workspace(services, asked)
    body = await read(asked, NewCredits)
    try:
        amount = nanocredits(body.amount)
    except ValueError as error:
        raise MiraError(Kind.BAD_REQUEST, f"amount: {error}", param="amount") from None
    if amount <= 0:
        raise MiraError(Kind.BAD_REQUEST, "amount: must be above 0", param="amount")
    told = {"amount": credits_text(amount), "reference": body.reference}
    entry = entry_of(services, asked, Facts("workspace", row.id, row.name, row.id, None, told))
    try:
        counted = await services.ledger.top_up(row.id, amount, body.reference, entry)
    except ValueError:
        raise MiraError(Kind.BAD_REQUEST, "amount: the balance would become too large", param="amount") from None
    posted, held = await services.ledger.balance(row.id)
    return answer({**msgspec.to_builtins(credits_body(posted, held)), "counted": counted}, 201 if counted else 200)


async def transfers(services: Services, asked: Asked) -> Response:
    """The statement of a workspace, newest first."""
    row = await found_workspace(services, asked)
    page = await services.transfers.page(
        row.id, after=asked.request.query_params.get("cursor"), limit=page_limit(asked)
    )
    data = [transfer_body(line) for line in page.rows]
    return answer({"object": "list", "data": data, "next": page.next})


async def list_nodes(services: Services, _: Asked) -> Response:
    """The nodes of the fleet with their state; never a secret."""
    now_s = services.monotonic_s()
    return answer({"object": "list", "data": [services.fleet.describe(node, now_s) for node in services.fleet.nodes]})


async def create_node(services: Services, asked: Asked) -> Response:
    """Adds a node, kept in the database."""
    body = await read(asked, NewNode)
    also = noting(services, asked, lambda kept: Facts("node", body.name, body.name, None, None, node_facts(kept)))
    node = await services.fleet.add(msgspec.to_builtins(body), also=also)
    return answer(services.fleet.describe(node, services.monotonic_s()), 201)


async def get_node(services: Services, asked: Asked) -> Response:
    """One node."""
    node = services.fleet.get(asked.request.path_params["name"])
    return answer(services.fleet.describe(node, services.monotonic_s()))


async def change_node(services: Services, asked: Asked) -> Response:
    """Drains, disables or changes a node."""
    body = await read(asked, NodeChange)
    changes = {name: value for name in body.__struct_fields__ if (value := getattr(body, name)) is not msgspec.UNSET}
    name = asked.request.path_params["name"]
    before = node_facts(services.fleet.get(name))
    replaced = {"api_key": "replaced"} if "api_key" in changes else {}
    also = noting(services, asked, lambda kept: Facts("node", name, name, None, before, node_facts(kept) | replaced))
    node = await services.fleet.change(name, changes, also=also)
    return answer(services.fleet.describe(node, services.monotonic_s()))


async def delete_node(services: Services, asked: Asked) -> Response:
    """Removes a node that was made by this API."""
    name = asked.request.path_params["name"]
    before = node_facts(services.fleet.get(name))
    also = noting(services, asked, lambda _: Facts("node", name, name, None, before, None))
    await services.fleet.remove(name, also=also)
    return Response(status_code=204)


async def probe_node(services: Services, asked: Asked) -> Response:
    """Asks a node for its models now."""
    node = services.fleet.get(asked.request.path_params["name"])
    await services.fleet.probe(node)
    return answer(services.fleet.describe(node, services.monotonic_s()))


async def reload_configuration(services: Services, asked: Asked) -> Response:
    """Reads the configuration file and the environment again; nothing changes where something in them is wrong."""
    again = services.reloading.again
    if again is None:
        raise MiraError(Kind.UNAVAILABLE, "Mira is still starting; try again shortly", retry_after_s=1)
    try:
        nodes = await again()
    except ConfigError as error:
        raise MiraError(Kind.BAD_REQUEST, f"the configuration was not reloaded: {error}") from None
    await noted(services, asked, Facts("configuration", "file", "configuration", None, None, {"nodes": nodes}))
    return answer({"reloaded": True, "nodes": nodes})


async def reconcile_node(services: Services, asked: Asked) -> Response:
    """Compares what we booked for a node with its own statement, by default over the last day."""
    node = services.fleet.get(asked.request.path_params["name"])
    until_ms = number(asked, "until_ms", services.now_ms() - SETTLED_MS, 0, 2**53)
    since_ms = number(asked, "since_ms", max(until_ms - DAY_MS, 0), 0, until_ms)
    return answer(told(await services.reconciler.compare(node, since_ms, until_ms)))


async def check_ledger(services: Services, _: Asked) -> Response:
    """Every invariant of the ledger with its figures."""
    return answer(await services.ledger.check())


def node_facts(node: Any) -> dict[str, Any]:
    """What the audit log says of a node, or of what a change leaves of it: everything but its credential."""
    config = msgspec.to_builtins(node.config)
    told = {name: value for name, value in config.items() if name not in ("api_key", "name", "origin")}
    return {**told, "draining": node.draining, "disabled": node.disabled}


def _workspace_facts(row: Any, name: str | None) -> Facts:
    before = None if name is None else {"name": name}
    return Facts("workspace", row.id, row.name, row.id, before, {"name": row.name})


async def _workspace(services: Services, row: Any) -> dict[str, Any]:
    posted, held = await services.ledger.balance(row.id)
    return {
        "id": row.id,
        "name": row.name,
        "created_at_ms": row.created_at_ms,
        **msgspec.to_builtins(credits_body(posted, held)),
    }
