"""Which model and which nodes serve a request for media, at which price: decided before anything is held."""

from collections.abc import Mapping
from functools import reduce

from msgspec import Struct
from msgspec.structs import replace

from mira.calls.media_wish import Wish
from mira.collaborators import Catalog
from mira.core import media, pricing
from mira.core.caller import Caller
from mira.core.fleet import Offer, Route, is_full, no_room
from mira.core.usage import added
from mira.errors import Kind, MiraError

#: What is put out, in words: one of them, several, and the key of `[defaults]`.
WORDS = {
    "image": ("images", "image"),
    "video": ("videos", "video"),
    "speech": ("speech", "speech"),
    "transcription": ("transcriptions", "transcription"),
}
#: Where what is put out is asked for.
PATHS = {
    "image": "/v1/images/generations",
    "video": "/v1/videos",
    "speech": "/v1/audio/speech",
    "transcription": "/v1/audio/transcriptions",
    "embedding": "/v1/embeddings",
}


class Choice(Struct, frozen=True):
    """The route with the offers that can serve, and what has to be held."""

    route: Route
    hold_nanocredits: int


def choose(catalog: Catalog, defaults: Mapping[str, str], caller: Caller, wish: Wish) -> Choice:
    """Finds the model and its offers. MiraError where none makes this medium, the key may not, or nothing is priced."""
    route = _route(catalog, defaults, caller, wish)
    if not caller.may_use(route.model):
        raise MiraError(
            Kind.MODEL_NOT_ALLOWED,
            f"this key may not use the model {route.model}; ask for a wider scope",
            param="model",
        )
    if wish.output not in route.outputs:
        made = " and ".join(sorted(WORDS.get(output, (output,))[0] for output in route.outputs))
        raise MiraError(
            Kind.UNSUPPORTED,
            f"the model {route.model} makes {made}, not {WORDS[wish.output][0]}; if it does, the operator can say so: "
            f'[[models]] id = "{route.model}" outputs = ["{wish.output}"]',
            param="model",
        )
    able = [(offer, shape) for offer in route.offers if (shape := offer.node.media(wish.output)) is not None]
    if not able:
        raise _no_node(wish.output)
    lacking = [shape.lacks(wish.request) for _, shape in able]
    if all(lacking):
        raise _no_taker(route.model, str(lacking[0]), able[0][1].instead)
    offers = [
        priced
        for (offer, _), lack in zip(able, lacking, strict=True)
        if lack is None and (priced := _priced(offer, wish)) is not None
    ]
    if not offers:
        raise MiraError(
            Kind.UNPRICED,
            f"the model {route.model} has no price for {WORDS[wish.output][0]}, so it is not called; the operator can "
            "add one under [[prices]] or mark it free = true",
            param="model",
        )
    route = replace(route, offers=tuple(offers))
    if is_full(route):
        raise no_room(route)
    return Choice(route, max(_hold(offer, wish) for offer in offers))


def _route(catalog: Catalog, defaults: Mapping[str, str], caller: Caller, wish: Wish) -> Route:
    if wish.model is not None:
        return catalog.find(wish.model)
    word, key = WORDS[wish.output]
    named = defaults.get(key)
    if named:
        try:
            return catalog.find(named)
        except MiraError as error:
            if error.kind is not Kind.MODEL_NOT_FOUND:
                raise
            message = f'no node serves the default model: [defaults] {key} = "{named}"; name one as `model`'
            raise MiraError(Kind.MODEL_NOT_FOUND, message, param="model") from None
    able = [
        route
        for route in catalog.serving(wish.output)
        if caller.may_use(route.model) and any(offer.node.media(wish.output) is not None for offer in route.offers)
    ]
    # Of several, those that can be called at all.
    priced = [route for route in able if any(_priced(offer, wish) is not None for offer in route.offers)]
    if len(priced) == 1 or len(able) == 1:
        return (priced or able)[0]
    if not able:
        if not catalog.complete:
            message = f"the nodes are still being asked for their models, one that makes {word} may be among them"
            raise MiraError(Kind.UNAVAILABLE, f"{message}; try again", param="model", retry_after_s=1)
        raise _no_node(wish.output)
    raise MiraError(
        Kind.BAD_REQUEST,
        f"several models make {word}; name one as `model`, or the operator sets a default for bodies without one: "
        f'[defaults] {key} = "{able[0].model}"',
        param="model",
    )


def _no_node(output: str) -> MiraError:
    example = 'name = "openai" kind = "openai" base_url = "https://api.openai.com/v1" api_key = "env:OPENAI_API_KEY"'
    return MiraError(
        Kind.MODEL_NOT_FOUND,
        f"no node serves {output} models; the operator adds one to mira.toml, for instance: [[nodes]] {example}",
        param="model",
        code=f"no_{output}_node",
    )


def _no_taker(model: str, field: str, instead: Mapping[str, str]) -> MiraError:
    served = instead.get(field)
    why = f"no node that serves {model} takes " + (f"this value; {served}" if served else f"the field {field}")
    return MiraError(Kind.UNSUPPORTED, f"{field}: {why}" if served else why, param=field)


def _priced(offer: Offer, wish: Wish) -> Offer | None:
    """The offer, its node's own price being that of this request; None where it has no price for it."""
    if offer.price is None or not media.is_priced(media.at(offer.price, wish.variants(None)), wish.output):
        return None
    own = offer.own_price
    if own is not None:
        own = media.at(own, wish.variants(None))
        own = own if media.is_priced(own, wish.output) else None
    return replace(offer, rates=None, own_price=own, own_rates=None)


def _hold(offer: Offer, wish: Wish) -> int:
    assert offer.price is not None
    price, bound = media.at(offer.price, wish.variants(None)), wish.bound
    shape = offer.node.media(wish.output)
    if shape.parts is not None and wish.bound_of is not None:
        bound = reduce(added, map(wish.bound_of, shape.parts(wish.request)))
    return pricing.cost_nanocredits(bound, price, offer.markup)
