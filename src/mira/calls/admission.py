"""What a call may cost: one hold of its worst case, clamped to what the caller can pay."""

import asyncio

from msgspec.structs import replace

from mira.calls.call import Call
from mira.calls.media_choice import PATHS
from mira.collaborators import Ledger
from mira.core import pricing, tokens
from mira.core.fleet import Offer, Route, is_full, no_room
from mira.core.ledger import Reserve
from mira.errors import Kind, MiraError

#: A cap is never clamped below the smaller of the request's own and this.
LEAST_OUTPUT_CAP = 256


async def admit(ledger: Ledger, call: Call, route: Route, *, careful: bool) -> Route:
    """Takes the hold; returns the route with the offers that it covers. MiraError UNPRICED, NO_CREDITS and others.

    A call that no node has room for is sent away first: a hold to give back at once is what overload needs least. A
    `careful` one waits until the hold is durable; else it goes on, and is cancelled where the hold is lost.
    """
    offers = route.sold
    if not offers or call.surface.codec.passes_only or "text" not in route.outputs:
        offers = _offers(call, route)
    if is_full(route):
        call.shed = True
        raise no_room(route)
    envelope, caller, record = call.envelope, call.caller, call.record
    choices = envelope.choices
    asked = route.output_cap if envelope.output_cap is None else envelope.output_cap
    most = route.max_output_tokens
    cap = most if most and most < asked else asked
    input_bound = call.input_bound_tokens = tokens.input_bound_tokens(envelope.input_bytes, envelope.media_parts)
    want = least = _hold(route, offers, input_bound, cap, choices)
    if cap > LEAST_OUTPUT_CAP:
        least = _hold(route, offers, input_bound, LEAST_OUTPUT_CAP, choices)
    prompt_tokens = asked_tokens = 0
    if caller.caps:
        prompt_tokens = tokens.rough_tokens(envelope.input_bytes)
        asked_tokens = prompt_tokens + cap * choices
    hold = await ledger.reserve(
        Reserve(
            hold_id=record.request_id,
            workspace_id=caller.workspace_id,
            key_id=caller.key_id,
            amount_nanocredits=want,
            least_nanocredits=least,
            caps=caller.caps,
            tokens=asked_tokens,
            claim=call.claim,
            model=route.model,
        )
    )
    call.hold = hold
    granted = hold.amount_nanocredits
    if granted < want:
        cap = min(
            pricing.affordable_cap(granted, input_bound, choices, offer.price, offer.markup)
            for offer in offers
            if offer.price is not None
        )
    if hold.tokens < asked_tokens:
        # A call larger than a token rate is clamped to it: it will never be served larger.
        cap = min(cap, max((hold.tokens - prompt_tokens) // choices, LEAST_OUTPUT_CAP))
    call.output_cap = cap
    call.clamped = cap < asked
    record.held_nanocredits = granted
    # One that is done may be lost: its batch can fail before the task that asked runs again.
    if careful or call.claim is not None or hold.durable.done():
        await asyncio.shield(hold.durable)
    else:
        hold.on_lost = call.exchange.cancel
    return route if offers is route.offers else replace(route, offers=offers)


def _offers(call: Call, route: Route) -> tuple[Offer, ...]:
    """The offers that have a price and speak the call's protocol, where it cannot be translated; MiraError for none."""
    codec = call.surface.codec
    if "text" not in route.outputs and not codec.passes_only:
        made = " and ".join(sorted(route.outputs))
        where = " and ".join(path for output, path in PATHS.items() if output in route.outputs)
        raise MiraError(
            Kind.UNSUPPORTED, f"the model {route.model} makes {made}, not text; it is asked at {where}", param="model"
        )
    able = route.offers
    if codec.passes_only:
        able = tuple(offer for offer in able if offer.node.codec_for(codec) is codec)
        if len(able) == len(route.offers):
            able = route.offers
        if not able:
            raise MiraError(
                Kind.UNSUPPORTED,
                f"no node that serves {route.model} takes {codec.name}; name a model of a node of kind openai, "
                "openai-compatible or mira",
                param="model",
            )
    sold = able if route.sold is able else tuple(offer for offer in able if offer in route.sold)
    if not sold:
        raise MiraError(
            Kind.UNPRICED,
            f"the model {route.model} has no price, so it is not called; the operator can add one under [[prices]] "
            "or mark it free = true",
            param="model",
        )
    return sold


def _hold(route: Route, offers: tuple[Offer, ...], input_bound: int, cap: int, choices: int) -> int:
    """The most that a call with this cap may cost at any of the offers."""
    rates = route.dearest
    if rates is not None and offers is route.sold:
        return rates.hold_nanocredits(input_bound, cap * choices)
    return max(
        pricing.hold_nanocredits(input_bound, cap, choices, offer.price, offer.markup)
        for offer in offers
        if offer.price is not None
    )
