"""The models of the fleet as members choose among them, with prices and what was measured."""

from collections.abc import Iterable
from typing import Any

from starlette.responses import Response

from mira.api.bodies import answer
from mira.api.portal import shapes_models as shapes
from mira.api.portal.arithmetic import BY_THE_MILLION, MILLION
from mira.api.portal.spans import HOUR_MS, per_million, percentile
from mira.api.services import Asked, Services
from mira.core.fleet import Route
from mira.core.media import OUTPUTS
from mira.core.price_rows import PIECES
from mira.core.pricing import PAR, Markup, Price
from mira.store.glances import Timing

#: Figures are made of the newest calls of so long.
MEASURED_MS = 7 * 24 * HOUR_MS
MEASURED_CALLS = 2000


async def list_models(services: Services, _: Asked) -> Response:
    """Every model that a node serves."""
    since_ms = services.now_ms() - MEASURED_MS
    timings: dict[str, list[Timing]] = {}
    for each in await services.glances.timings(None, since_ms, limit=MEASURED_CALLS):
        timings.setdefault(each.model, []).append(each)
    routes = services.fleet.catalog.routes
    now_s = services.monotonic_s()
    return answer(
        shapes.Models(data=[_shown(routes[model], timings.get(model, []), now_s) for model in sorted(routes)])
    )


def pricing_of(price: Price, markup: Markup = PAR) -> shapes.Pricing:
    """A price as people read it: credits a million tokens, with a markup."""

    def told(amount_picocredits: int | None) -> str | None:
        return per_million(amount_picocredits, markup) if amount_picocredits is not None else None

    search = price.web_search_picocredits
    return shapes.Pricing(
        input=per_million(price.input_picocredits, markup),
        output=per_million(price.output_picocredits, markup),
        cache_read=told(price.cache_read_picocredits),
        cache_write=told(price.cache_write_5m_picocredits),
        reasoning=told(price.reasoning_picocredits),
        web_search=per_million(search, markup, 10**12) if search is not None else None,
        free=price.free,
        source=price.source,
        tiers=[
            shapes.PricingTier(
                above=tier.above_prompt_tokens,
                input=per_million(tier.price.input_picocredits, markup),
                output=per_million(tier.price.output_picocredits, markup),
            )
            for tier in price.tiers
        ],
        units=[found for unit in PIECES if (found := _by_piece(price, unit, markup)) is not None],
    )


def _by_piece(price: Price, unit: Any, markup: Markup) -> shapes.PricingUnit | None:
    """What a piece costs, in credits for one, of characters for a million; None where it has no price."""
    amounts = [variant.picocredits for variant in price.variants if variant.unit == unit]
    base = getattr(price, f"{unit}_picocredits")
    amounts += [base] if base else []
    if not amounts:
        return None
    per = MILLION if unit in BY_THE_MILLION else 1
    least, most = (per_million(amount, markup, 10**12 // per) for amount in (min(amounts), max(amounts)))
    return shapes.PricingUnit(unit=unit, per=per, least=least, most=most)


def measured(timings: Iterable[Timing]) -> shapes.Measured | None:
    """What calls say of how fast and how well a model or a node answers; None of no calls."""
    calls = list(timings)
    if not calls:
        return None
    well = [each for each in calls if not each.failed]
    waits = [each.first_content_ms for each in well if each.first_content_ms is not None]
    speeds = sorted(
        each.completion_tokens * 1000 / (each.duration_ms - each.first_content_ms)
        for each in well
        if each.first_content_ms is not None and each.duration_ms - each.first_content_ms > 0 < each.completion_tokens
    )
    return shapes.Measured(
        calls=len(calls),
        p50_first_content_ms=percentile(waits, 0.5),
        p95_first_content_ms=percentile(waits, 0.95),
        tokens_per_s=round(speeds[len(speeds) // 2], 1) if speeds else None,
        success=round(len(well) / len(calls), 4),
    )


def _shown(route: Route, timings: list[Timing], now_s: float) -> shapes.ModelShown:
    can, chats = route.capabilities, "text" in route.outputs
    offer = next((offer for offer in route.offers if offer.price is not None), None)
    listings = [offer.node.models.get(route.model) for offer in route.offers]
    return shapes.ModelShown(
        id=route.model,
        provider=route.model.partition("/")[0],
        name=route.model.partition("/")[2] or route.model,
        context_length=route.max_input_tokens,
        max_output_tokens=route.max_output_tokens,
        outputs=[output for output in OUTPUTS if output in route.outputs],
        abilities=shapes.Abilities(
            images=chats and can.images,
            tools=chats,
            reasoning=chats and can.reasoning,
            structured_output=chats and can.structured_output,
            sampling=chats and can.sampling,
        ),
        pricing=pricing_of(offer.price, offer.markup) if offer is not None and offer.price is not None else None,
        available=any(offer.node.obstacle is None for offer in route.offers),
        nodes=[shapes.NodeOfModel(name=offer.node.name, state=offer.node.state(now_s)) for offer in route.offers],
        measured=measured(timings),
        note=next((listing.note for listing in listings if listing is not None and listing.note), None),
    )
