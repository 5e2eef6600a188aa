"""What a call may cost: one hold of its worst case, clamped to what the caller can pay."""

from msgspec.structs import replace

from mira.calls.call import Call
from mira.calls.media_choice import PATHS
from mira.collaborators import Ledger
from mira.core import pricing, tokens
from mira.core.fleet import Offer, Route, is_full, no_room
from mira.core.ledger import Reserve
from mira.core.models import default_output_cap
from mira.errors import Kind, MiraError

#: A cap is never clamped below the smaller of the request's own and this.
LEAST_OUTPUT_CAP = 256


async def admit(ledger: Ledger, call: Call, route: Route) -> Route:
    """Takes the hold; returns the route with the offers that it covers. MiraError UNPRICED, NO_CREDITS and others.

    A call that no node has room for is sent away first: a hold to give back at once is what overload needs least.
    """
    offers = _offers(call, route)
    if is_full(route):
        call.shed = True
        raise no_room(route)
    envelope = call.envelope
    asked = envelope.output_cap
    if asked is None:
        asked = route.max_output_tokens or default_output_cap(route.model)
    cap = min(asked, route.max_output_tokens) if route.max_output_tokens else asked
    input_bound = tokens.input_bound_tokens(envelope.input_bytes, envelope.media_parts)
    least_cap = min(cap, LEAST_OUTPUT_CAP)
    want = max([_hold(offer, input_bound, cap, envelope.choices) for offer in offers])
    least = want
    if least_cap < cap:
        least = max([_hold(offer, input_bound, least_cap, envelope.choices) for offer in offers])
    caps = call.caller.caps
    prompt_tokens = tokens.rough_tokens(envelope.input_bytes) if caps else 0
    asked_tokens = prompt_tokens + cap * envelope.choices if caps else 0
    hold = await ledger.reserve(
        Reserve(
            hold_id=call.record.request_id,
            workspace_id=call.caller.workspace_id,
            key_id=call.caller.key_id,
            amount_nanocredits=want,
            least_nanocredits=least,
            caps=caps,
            tokens=asked_tokens,
            claim=call.claim,
            model=route.model,
        )
    )
    call.hold = hold
    if hold.amount_nanocredits < want:
        granted = hold.amount_nanocredits
        cap = min(
            pricing.affordable_cap(granted, input_bound, envelope.choices, offer.price, offer.markup)
            for offer in offers
            if offer.price is not None
        )
    if hold.tokens < asked_tokens:
        # A call larger than a token rate is clamped to it: it will never be served larger.
        cap = min(cap, max((hold.tokens - prompt_tokens) // envelope.choices, least_cap))
    call.output_cap = cap
    call.clamped = cap < asked
    call.record.held_nanocredits = hold.amount_nanocredits
    return route if len(offers) == len(route.offers) else replace(route, offers=tuple(offers))


def _offers(call: Call, route: Route) -> list[Offer]:
    """The offers that speak the call's protocol, where it cannot be translated, and that have a price."""
    codec = call.surface.codec
    able = route.offers
    if "text" not in route.outputs and not codec.passes_only:
        made = " and ".join(sorted(route.outputs))
        where = " and ".join(path for output, path in PATHS.items() if output in route.outputs)
        raise MiraError(
            Kind.UNSUPPORTED, f"the model {route.model} makes {made}, not text; it is asked at {where}", param="model"
        )
    if codec.passes_only:
        able = tuple(offer for offer in able if offer.node.codec_for(codec) is codec)
        if not able:
            raise MiraError(
                Kind.UNSUPPORTED,
                f"no node that serves {route.model} takes {codec.name}; name a model of a node of kind openai, "
                "openai-compatible or mira",
                param="model",
            )
    offers = [offer for offer in able if offer.price is not None and _prices_tokens(offer)]
    if not offers:
        raise MiraError(
            Kind.UNPRICED,
            f"the model {route.model} has no price, so it is not called; the operator can add one under [[prices]] "
            "or mark it free = true",
            param="model",
        )
    return offers


def _prices_tokens(offer: Offer) -> bool:
    """Whether tokens cost something, or the model is free: others are sold by the piece."""
    rates = offer.rates
    if rates is None or rates.input_picocredits or rates.output_picocredits:
        return True
    assert offer.price is not None
    return offer.price.free


def _hold(offer: Offer, input_bound: int, cap: int, choices: int) -> int:
    if offer.rates is not None:
        return offer.rates.hold_nanocredits(input_bound, cap * choices)
    assert offer.price is not None
    return pricing.hold_nanocredits(input_bound, cap, choices, offer.price, offer.markup)
