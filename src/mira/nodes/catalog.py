"""The models of the fleet as one snapshot: canonical ids, their other spellings, and who offers them at what price."""

import difflib
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from mira.core.capabilities import capabilities_of
from mira.core.fleet import Offer, Route
from mira.core.media import outputs_of
from mira.core.models import NO_ROWS, Table, folded, limits, look_up
from mira.core.pricing import PAR, Price, flat_rates
from mira.errors import Kind, MiraError
from mira.nodes.node import Listing, Node

_MEDIA_TOKENS = (
    "image_input_picocredits",
    "image_output_picocredits",
    "audio_input_picocredits",
    "audio_output_picocredits",
)


class Catalog:
    """Finds the route of a model. `rebuild` swaps the whole snapshot; calls in flight keep the routes they have.

    It is `complete` once every node was asked for its models.
    """

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.complete = True
        self._spellings: dict[str, str] = {}

    def find(self, name: str) -> Route:
        """The route of a model by its exact id, its dot/dash form where unique, or its bare id.

        MiraError MODEL_NOT_FOUND; UNAVAILABLE while nodes are still to tell their models for the first time.
        """
        route = self.routes.get(name)
        if route is None:
            route = self.routes.get(self._spellings.get(folded(name), ""))
        if route is not None:
            return route
        if not self.complete:
            message = f"the nodes are still being asked for their models, {name[:200]!r} may be among them; try again"
            raise MiraError(Kind.UNAVAILABLE, message, param="model", retry_after_s=1)
        near = difflib.get_close_matches(name[:200].lower(), [*self.routes, *map(_bare, self.routes)], n=3, cutoff=0.5)
        hint = f"near names: {', '.join(dict.fromkeys(near))}" if near else "GET /v1/models lists what there is"
        raise MiraError(Kind.MODEL_NOT_FOUND, f"the model {name[:200]!r} does not exist here; {hint}", param="model")

    def serving(self, output: str) -> list[Route]:
        """The models that put this out (see `mira.core.media`), by their ids."""
        return [self.routes[model] for model in sorted(self.routes) if output in self.routes[model].outputs]

    def rebuild(
        self, nodes: Iterable[Node], operator: Mapping[str, Price], public: Mapping[str, Price], own: Table = NO_ROWS
    ) -> None:
        """Makes a new snapshot. The operator's price stands first, then what the node itself asks, then the public one.

        Both mappings are keyed by canonical id. `own` is what the operator says of models, above all that is known.
        """
        offers: dict[str, list[tuple[Offer, Listing]]] = {}
        order: dict[str, tuple[int, int]] = {}
        for position, node in enumerate(nodes):
            if node.disabled:
                continue
            for model, listing in node.models.items():
                price = operator.get(model) or _whole(listing.price, public.get(model)) or public.get(model)
                offer = Offer(
                    node=node,
                    upstream_model=listing.upstream_model,
                    price=price,
                    markup=node.markup,
                    rates=flat_rates(price, node.markup),
                    lane=node.health.lane(model),
                    own_price=listing.price,
                    own_rates=flat_rates(listing.price or price, PAR),
                )
                offers.setdefault(model, []).append((offer, listing))
                order.setdefault(model, (node.kind.provider != model.partition("/")[0], position))
        self.routes = {model: _route(model, found, own, operator.get(model)) for model, found in offers.items()}
        self._spellings = _spellings(sorted(self.routes, key=lambda model: order[model]))


def by_canonical_id(prices: Mapping[str, Price], models: Iterable[str]) -> dict[str, Price]:
    """The operator's prices under the ids of `models`: by the exact id first, else by the dot/dash form if unique."""
    known = set(models)
    found = {model: price for model, price in prices.items() if model in known}
    alike: dict[str, list[str]] = {}
    for model in known:
        alike.setdefault(folded(model), []).append(model)
    for name, price in prices.items():
        same = alike.get(folded(name), [])
        if len(same) == 1:
            found.setdefault(same[0], price)
    return found


def _route(model: str, found: list[tuple[Offer, Listing]], own: Table, price: Price | None) -> Route:
    known, told = limits(model), look_up(own, model)
    inputs = [listing.max_input_tokens for _, listing in found if listing.max_input_tokens]
    outputs = [listing.max_output_tokens for _, listing in found if listing.max_output_tokens]
    return Route(
        model=model,
        offers=tuple(offer for offer, _ in found),
        max_input_tokens=told.max_input_tokens or (min(inputs) if inputs else known.max_input_tokens),
        max_output_tokens=told.max_output_tokens or (min(outputs) if outputs else known.max_output_tokens),
        capabilities=capabilities_of(model, own),
        outputs=outputs_of(
            model, told.outputs or [output for _, listing in found for output in listing.outputs], price
        ),
    )


def _whole(told: Price | None, public: Price | None) -> Price | None:
    """The node's own price; what it does not tell of pictures and sound is what the public one says, if it is more.

    Lists of prices often leave these out, and a hold must cover them.
    """
    if told is None or public is None:
        return told
    changes = {name: getattr(public, name) for name in _MEDIA_TOKENS if getattr(told, name) is None}
    return replace(told, **changes)


def _spellings(models: list[str]) -> dict[str, str]:
    """Other spellings, the vendor's own node first, then configuration order; a dot/dash form only where unique."""
    full: dict[str, set[str]] = {}
    for model in models:
        full.setdefault(folded(model), set()).add(model)
    found = {name: next(iter(same)) for name, same in full.items() if len(same) == 1}
    for model in models:
        found.setdefault(folded(_bare(model)), model)
    return found


def _bare(model: str) -> str:
    return model.rpartition("/")[2]
