"""Which node serves a call: offers of a model, and the health that ranks them. Pure; the caller passes the time."""

from collections.abc import Collection
from typing import Any

from msgspec import Struct

from mira.core.capabilities import UNKNOWN, Capabilities
from mira.core.pricing import FlatRates, Markup, Price
from mira.errors import Kind, MiraError

FAULTS_TO_REST = 3
REST_S = 10.0
LONGEST_REST_S = 300.0


class Health(Struct):
    """What this process has seen of a node.

    `faults` counts consecutive failures that were the node's own. After three of them the node rests for 10 s, doubled
    with each further fault up to 300 s; then one success makes it whole again.
    """

    in_flight: int = 0
    faults: int = 0
    resting_until_s: float = 0.0

    def succeeded(self) -> None:
        """An answer came."""
        self.faults = 0
        self.resting_until_s = 0.0

    def failed(self, now_s: float, *, rest_s: float | None = None) -> None:
        """The node was at fault at `now_s`; `rest_s` is its own wish (Retry-After)."""
        self.faults += 1
        if rest_s is not None:
            self.resting_until_s = max(self.resting_until_s, now_s + min(rest_s, 600.0))
        elif self.faults >= FAULTS_TO_REST:
            self.resting_until_s = now_s + min(REST_S * 2 ** (self.faults - FAULTS_TO_REST), LONGEST_REST_S)

    def state(self, now_s: float) -> str:
        """One word for people: `active`, `degraded` after a fault, `resting` while left out."""
        if self.resting_until_s > now_s:
            return "resting"
        return "degraded" if self.faults else "active"


class Offer(Struct, frozen=True, eq=False):
    """One node's way to serve a model: its own spelling, the price with its markup, and the node itself.

    `rates` are the price's where it has no tiers. `node` is the runtime node; this module needs its `health`, `weight`,
    `max_in_flight` and `obstacle` only.
    """

    node: Any
    upstream_model: str
    price: Price | None
    markup: Markup
    rates: FlatRates | None = None


class Route(Struct, frozen=True, eq=False):
    """A model of the fleet under its canonical id: every offer for it, its limits in tokens, and what it takes."""

    model: str
    offers: tuple[Offer, ...]
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    capabilities: Capabilities = UNKNOWN


def choose(route: Route, tried: Collection[Any], now_s: float) -> Offer:
    """The least busy offer of a node that is well, not full and not tried yet; else one that rests, soonest first.

    Raises the node's own obstacle (a local model that is still being fetched) or UNAVAILABLE where none is left.
    """
    if len(route.offers) == 1 and not tried:
        only = route.offers[0].node
        if only.health.resting_until_s <= now_s and only.obstacle is None and not _full(only):
            return route.offers[0]
    left = [offer for offer in route.offers if offer.node not in tried]
    open_offers = [offer for offer in left if offer.node.obstacle is None and not _full(offer.node)]
    well = [offer for offer in open_offers if offer.node.health.resting_until_s <= now_s]
    if well:
        return min(well, key=_load) if len(well) > 1 else well[0]
    if open_offers:
        return min(open_offers, key=lambda offer: offer.node.health.resting_until_s)
    for offer in left:
        if offer.node.obstacle is not None:
            raise offer.node.obstacle
    message = f"no node can take a call for {route.model} now; try again shortly"
    raise MiraError(Kind.UNAVAILABLE, message, retry_after_s=1)


def _full(node: Any) -> bool:
    return node.max_in_flight is not None and node.health.in_flight >= node.max_in_flight


def _load(offer: Offer) -> float:
    health: Health = offer.node.health
    return (health.in_flight + 1) / float(offer.node.weight) * (1 + health.faults)
