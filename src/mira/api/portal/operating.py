"""What operators see of the fleet, of prices, of what is earned, and of the settings in effect."""

from typing import Any

import msgspec
from msgspec import Struct
from starlette.responses import Response

from mira import __version__
from mira.api.auditing import Facts, noting
from mira.api.bodies import answer, page_limit, read
from mira.api.portal import shapes_operator as shapes
from mira.api.portal.models import pricing_of
from mira.api.portal.price_words import check_pieces, in_words, varied_of
from mira.api.portal.spans import percentile, span_of
from mira.api.services import Asked, Services
from mira.api.usage import groups_of
from mira.core.fleet import Route
from mira.core.money import credits_text
from mira.errors import Kind, MiraError
from mira.store.calls import Wanted
from mira.store.database import without_password
from mira.store.glances import Timing
from mira.store.usage import Group

HOUR_MS = 3_600_000
#: The newest calls that rates are made of.
RATED_CALLS = 2000
MARGIN_GROUPS: tuple[Group, ...] = ("workspace", "model", "node", "day")
SECRETS = frozenset({"secret_key", "admin_key", "bootstrap_key", "bootstrap_inference_key", "oidc.client_secret"})
#: What SIGHUP reads again.
LIVE = frozenset({"nodes", "prices", "models", "allow_private_networks", "fetch.allow", "fetch.price"})
#: What is shown elsewhere, or beside the settings.
NOT_SHOWN = frozenset({"path", "notices"})


async def get_fleet(services: Services, _: Asked) -> Response:
    """Every node with its standing, its rates, and its models without a price."""
    timings = await _timings(services)
    return answer(shapes.FleetShown(data=[_node(services, node, timings) for node in services.fleet.nodes]))


async def get_fleet_node(services: Services, asked: Asked) -> Response:
    """One node, as `get_fleet` tells it."""
    node = services.fleet.get(asked.request.path_params["name"])
    return answer(_node(services, node, await _timings(services)))


async def try_node(services: Services, asked: Asked) -> Response:
    """Asks a node that is to be added for its models; nothing of it is kept."""
    body = await read(asked, shapes.NodeTrial)
    began_s = services.monotonic_s()
    error, found = await services.fleet.try_out({"name": "trial", **msgspec.to_builtins(body)})
    models = [
        shapes.ModelFound(
            id=name,
            upstream_model=listing.upstream_model,
            context_length=listing.max_input_tokens,
            pricing=pricing_of(price) if price is not None else None,
        )
        for name, (listing, price) in sorted(found.items())
    ]
    took_ms = int((services.monotonic_s() - began_s) * 1000)
    return answer(shapes.TrialResult(ok=error is None, error=error, took_ms=took_ms, models=models))


async def list_prices(services: Services, _: Asked) -> Response:
    """The price of every model of the fleet, those without one first."""
    routes = services.fleet.catalog.routes
    rows = [_price(services, routes[model]) for model in sorted(routes)]
    rows.sort(key=lambda row: row.sale is not None)
    return answer(shapes.Prices(data=rows, unpriced=sum(row.sale is None for row in rows)))


async def put_price(services: Services, asked: Asked) -> Response:
    """Sets the price of a model, all of it: what is left out has no price any more."""
    body = await read(asked, shapes.NewPrice)
    route = _route(services, asked)
    if not services.fleet.price_in_file(route.model):
        check_pieces((offer.price for offer in route.offers if offer.price is not None), body)
    row = msgspec.to_builtins(body)
    before = _told(_price(services, route))
    also = noting(services, asked, lambda _: Facts("price", route.model, route.model, None, before, row))
    await services.fleet.set_price(route.model, row, also=also)
    return answer(_price(services, _route(services, asked)))


async def delete_price(services: Services, asked: Asked) -> Response:
    """Takes back the price that was set for a model; what its node or a public list says counts again."""
    route = _route(services, asked)
    shown = _price(services, route)
    if shown.source != "portal":
        raise MiraError(Kind.NOT_FOUND, "no price was set for this model here")
    also = noting(services, asked, lambda _: Facts("price", route.model, route.model, None, _told(shown), None))
    await services.fleet.set_price(route.model, None, also=also)
    return Response(status_code=204)


async def get_margin(services: Services, asked: Asked) -> Response:
    """What was billed and what the nodes charged for it, by groups, the dearest first."""
    since_ms, until_ms = span_of(services, asked)
    query = asked.request.query_params
    sought = Wanted(workspace_id=query.get("workspace"), since_ms=since_ms, until_ms=until_ms)
    page = await services.usage.page(
        sought, groups_of(asked, MARGIN_GROUPS), after=query.get("cursor"), limit=page_limit(asked)
    )
    [whole] = (await services.usage.page(sought, ())).rows
    names = {row.id: row.name for row in await services.workspaces.list()}
    told = shapes.Margin(
        since_ms=since_ms,
        until_ms=until_ms,
        totals=_margin(whole, names),
        data=[_margin(row, names) for row in page.rows],
        next=page.next,
    )
    return answer(told)


async def get_settings(services: Services, _: Asked) -> Response:
    """The configuration in effect, without secrets."""
    config = services.config
    told = shapes.SettingsShown(
        data=[row for name in config.__struct_fields__ for row in _settings(name, getattr(config, name))],
        path=str(config.path) if config.path else None,
        version=__version__,
        notices=list(config.notices),
    )
    return answer(told)


async def _timings(services: Services) -> dict[str, list[Timing]]:
    found: dict[str, list[Timing]] = {}
    since_ms = services.now_ms() - HOUR_MS
    for each in await services.glances.timings(None, since_ms, limit=RATED_CALLS):
        found.setdefault(each.node or "", []).append(each)
    return found


def _node(services: Services, node: Any, timings: dict[str, list[Timing]]) -> shapes.NodeRow:
    now_s, now_ms = services.monotonic_s(), services.now_ms()
    told = services.fleet.describe(node, now_s)
    calls = timings.get(node.name, [])
    # Where there are more calls than are looked at, the rate is over the time of those that are.
    whole = sum(map(len, timings.values())) < RATED_CALLS
    oldest_ms = min((each.started_at_ms for rows in timings.values() for each in rows), default=now_ms)
    minutes = 60 if whole else max((now_ms - oldest_ms) / 60_000, 1 / 60)
    waits = [each.first_content_ms for each in calls if each.first_content_ms is not None and not each.failed]
    routes = services.fleet.catalog.routes
    unpriced = [
        model
        for model in told["models"]
        if (route := routes.get(model)) is not None
        and any(offer.node is node and offer.price is None for offer in route.offers)
    ]
    return msgspec.convert(
        {
            **told,
            "unpriced_models": unpriced,
            "calls_last_hour": len(calls),
            "calls_per_minute": round(len(calls) / minutes, 2),
            "failed_share": round(sum(each.failed for each in calls) / len(calls), 4) if calls else None,
            "p95_first_content_ms": percentile(waits, 0.95),
            "last_check_at_ms": None if node.checked_s is None else now_ms - int((now_s - node.checked_s) * 1000),
        },
        shapes.NodeRow,
        strict=False,
    )


def _route(services: Services, asked: Asked) -> Route:
    model = asked.request.path_params["model"]
    route: Route | None = services.fleet.catalog.routes.get(model)
    if route is None:
        raise MiraError(Kind.NOT_FOUND, "no node serves this model")
    return route


def _price(services: Services, route: Route) -> shapes.PriceRow:
    offer = next((offer for offer in route.offers if offer.price is not None), None)
    price = offer.price if offer is not None else None
    own = next((offer.own_price for offer in route.offers if offer.own_price is not None), None)
    in_file = services.fleet.price_in_file(route.model)
    return shapes.PriceRow(
        model=route.model,
        nodes=[offer.node.name for offer in route.offers],
        source=None if price is None else "file" if in_file else price.source,
        editable=not in_file,
        sale=pricing_of(price, offer.markup) if price is not None and offer is not None else None,
        cost=pricing_of(own) if own is not None else None,
        in_force=in_words(price) if price is not None else None,
        varied=varied_of(price) if price is not None else [],
    )


def _told(row: shapes.PriceRow) -> dict[str, Any] | None:
    return None if row.in_force is None else {**msgspec.to_builtins(row.in_force), "source": row.source}


def _margin(row: Any, names: dict[str, str]) -> shapes.MarginRow:
    # What a node told differs from what we computed by the drift; a node that tells nothing adds none.
    node_cost = row.computed_nanocredits + row.drift_nanocredits
    workspace_id = row.groups.get("workspace")
    return shapes.MarginRow(
        workspace_id=workspace_id,
        workspace_name=names.get(workspace_id or ""),
        model=row.groups.get("model"),
        node=row.groups.get("node"),
        day_ms=row.groups.get("day"),
        calls=row.calls,
        failed=row.failed,
        total_tokens=row.prompt_tokens + row.completion_tokens,
        billed=credits_text(row.billed_nanocredits),
        node_cost=credits_text(node_cost),
        attempts=credits_text(row.attempt_cost_nanocredits),
        overrun=credits_text(row.overrun_nanocredits),
        margin=credits_text(row.billed_nanocredits - node_cost - row.attempt_cost_nanocredits),
    )


def _settings(name: str, value: Any) -> list[shapes.Setting]:
    if name in NOT_SHOWN:
        return []
    if isinstance(value, Struct):
        fields = value.__struct_fields__
        return [row for field in fields for row in _settings(f"{name}.{field}", getattr(value, field))]
    secret = name in SECRETS
    return [
        shapes.Setting(
            name=name,
            value=value is not None if secret else _plain(name, value),
            secret=secret,
            applies="live" if name in LIVE else "restart",
        )
    ]


def _plain(name: str, value: Any) -> Any:
    """A setting as plain values; of the lists of tables what they are about."""
    if name == "database_url":
        return without_password(value)
    if name == "nodes":
        return [node.name for node in value]
    if name in ("prices", "models"):
        return [row.get("model") or row.get("id") for row in value]
    if name == "admin_listen":
        return None if value is None else f"{value[0]}:{value[1]}"
    return value if isinstance(value, str | int | float | bool | None) else msgspec.to_builtins(value, enc_hook=str)
