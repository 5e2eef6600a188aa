"""The models of the fleet in one body that both vendors' SDKs parse, with prices, limits and capabilities."""

from typing import Any

from starlette.responses import Response

from mira.api.abilities import capabilities_body, supported_parameters
from mira.api.bodies import PAGE_MOST, answer, number
from mira.api.services import Asked, Services
from mira.core.fleet import Route
from mira.core.media import OUTPUTS
from mira.core.price_rows import PIECES
from mira.core.pricing import Price
from mira.errors import Kind, MiraError

#: Models carry no date of their own here; both SDKs want one, so each says the same.
CREATED_S = 1735689600
CREATED_AT = "2025-01-01T00:00:00Z"
PICO_PER_CREDIT = 10**12
#: Anthropic's own, where a client asks in pages and names no `limit`.
PAGE_DEFAULT = 20


async def list_models(services: Services, asked: Asked) -> Response:
    """Every model that a node of the fleet serves and the key may use; in pages for clients of Anthropic."""
    caller = asked.caller
    routes = services.fleet.catalog.routes
    ids, has_more = sorted(model for model in routes if caller is None or caller.may_use(model)), False
    if "anthropic-version" in asked.request.headers:
        ids, has_more = _page(asked, ids)
    first, last = (ids[0], ids[-1]) if ids else (None, None)
    rows = [_row(services, routes[model]) for model in ids]
    return answer({"object": "list", "data": rows, "has_more": has_more, "first_id": first, "last_id": last})


def rows_of(services: Services) -> list[dict[str, Any]]:
    """Every model of the fleet, by name."""
    return [_row(services, route) for _, route in sorted(services.fleet.catalog.routes.items())]


async def get_model(services: Services, asked: Asked) -> Response:
    """One model, by any of its spellings."""
    route = services.fleet.catalog.find(asked.request.path_params["id"])
    if asked.caller and not asked.caller.may_use(route.model):
        raise MiraError(Kind.MODEL_NOT_ALLOWED, f"this key may not use the model {route.model}", param="model")
    return answer(_row(services, route))


def _page(asked: Asked, ids: list[str]) -> tuple[list[str], bool]:
    """The page that is asked for, and whether more lie beyond it in the direction of asking.

    `ids` are in order, so a page goes on where the last one ended even if its last model has gone since.
    """
    query = asked.request.query_params
    limit = number(asked, "limit", PAGE_DEFAULT, 1, PAGE_MOST)
    after, before = query.get("after_id"), query.get("before_id")
    if after is not None and before is not None:
        raise MiraError(Kind.BAD_REQUEST, "give after_id or before_id, not both", param="before_id")
    if before is not None:
        left = [model for model in ids if model < before]
        return left[-limit:], len(left) > limit
    left = ids if after is None else [model for model in ids if model > after]
    return left[:limit], len(left) > limit


def _row(services: Services, route: Route) -> dict[str, Any]:
    now_s = services.monotonic_s()
    prices = [offer.price for offer in route.offers if offer.price is not None]
    notes = [note for offer in route.offers if (note := _note(offer.node, route.model))]
    return {
        "id": route.model,
        "object": "model",
        "created": CREATED_S,
        "owned_by": route.model.partition("/")[0],
        "type": "model",
        "display_name": route.model.rpartition("/")[2],
        "created_at": CREATED_AT,
        "lifecycle": "active",
        "context_length": route.max_input_tokens,
        "max_input_tokens": route.max_input_tokens,
        "max_output_tokens": route.max_output_tokens,
        "max_tokens": route.max_output_tokens,
        "capabilities": capabilities_body(route.model, route.capabilities),
        "supported_parameters": supported_parameters(route.capabilities) if "text" in route.outputs else [],
        "architecture": {"output_modalities": [output for output in OUTPUTS if output in route.outputs]},
        "pricing": _pricing(prices[0]) if prices else None,
        "available": any(offer.node.obstacle is None for offer in route.offers),
        "nodes": [{"name": offer.node.name, "state": offer.node.state(now_s)} for offer in route.offers],
        **({"description": notes[0]} if notes else {}),
    }


def _note(node: Any, model: str) -> str | None:
    listing = node.models.get(model)
    return listing.note if listing else None


def _pricing(price: Price) -> dict[str, Any]:
    """Credits per token as decimal text, in OpenRouter's words."""
    named = {
        "prompt": price.input_picocredits,
        "completion": price.output_picocredits,
        "input_cache_read": price.cache_read_picocredits,
        "input_cache_write": price.cache_write_5m_picocredits,
        "internal_reasoning": price.reasoning_picocredits,
        "image_token": price.image_input_picocredits,
        "image_output": price.image_output_picocredits,
        "audio": price.audio_input_picocredits,
        "audio_output": price.audio_output_picocredits,
    }
    units = _units(price)
    return {
        **{name: decimal_text(amount) for name, amount in named.items() if amount is not None},
        **({"units": units} if units else {}),
        "currency": "credit",
        "free": price.free,
        "source": price.source,
    }


def _units(price: Price) -> dict[str, Any]:
    """What one image, second, character or page costs; a table where that differs by quality, size or resolution."""
    units: dict[str, Any] = {}
    for unit in PIECES:
        base = getattr(price, f"{unit}_picocredits")
        table = {variant.name: decimal_text(variant.picocredits) for variant in price.variants if variant.unit == unit}
        if table:
            units[unit] = {**({"*": decimal_text(base)} if base else {}), **table}
        elif base:
            units[unit] = decimal_text(base)
    return units


def decimal_text(picocredits: int) -> str:
    """Pico-credits as decimal credits without trailing zeros."""
    whole, rest = divmod(picocredits, PICO_PER_CREDIT)
    return f"{whole}.{rest:012d}".rstrip("0").rstrip(".")
