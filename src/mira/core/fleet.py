"""Which node serves a call: offers of a model, and the choice among them. Pure; the caller passes time and randomness.

The rules of health stand in `mira.core.health`, the score in `mira.core.scoring`, sessions in `mira.core.affinity`.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import force_setattr

from mira.core.affinity import Sessions
from mira.core.capabilities import UNKNOWN, Capabilities
from mira.core.headroom import covers
from mira.core.health import Attempt, Health, Lane
from mira.core.media import TEXT
from mira.core.models import default_output_cap
from mira.core.pricing import FlatRates, Markup, Price, cost_nanocredits, hold_nanocredits
from mira.core.purse import Purse
from mira.core.retrying import RetryBudget
from mira.core.scoring import scores
from mira.core.usage import Usage
from mira.errors import Kind, MiraError, refused_account

#: Up to so many offers are all compared; of more, two drawn at random.
FULL_SCAN = 64
MEDIAN_SAMPLE = 16
#: Scores within this of the best are alike, and chance decides: else noise would send everything to one node.
ALIKE = 1.25
#: Where more than this share of nodes is ejected, ejections are passed over: then the trouble is rather common to all.
MOST_EJECTED = 0.5
#: A session stays while its node's score is at most twice the best. So many calls are added on both sides, and times
#: below three times the median are alike, so that chance is no reason to leave a warm cache.
AFFINITY = 2.0
AFFINITY_SLACK = 8
AFFINITY_SLOWNESS = 3.0
#: A node that loses every comparison is asked all the same after so many and so long, or after so long anyway: nobody
#: would learn otherwise that it has recovered.
SHUNNED_CALLS = 150
SHUNNED_S = 5.0
SHUNNED_LONGEST_S = 600.0
#: All limited: a call waits so long at most for one that is not.
LONGEST_WAIT_S = 5.0


class Offer(Struct, frozen=True, eq=False):
    """One node's way to serve a model: its own spelling, the price with its markup, and the node itself.

    `rates` are the price's where it has no tiers. `node` is the runtime node; this module needs its `name`, `health`,
    `weight`, `max_in_flight` and `obstacle` only. `lane` is what the node's health knows of this model. `own_price` is
    what the node itself said that it asks, None where it did not; `own_rates` are that price's, else the price's, and
    without markup.
    """

    node: Any
    upstream_model: str
    price: Price | None
    markup: Markup
    rates: FlatRates | None = None
    lane: Lane = field(default_factory=Lane)
    own_price: Price | None = None
    own_rates: FlatRates | None = None

    @property
    def prices_tokens(self) -> bool:
        """Whether it has a price at which tokens cost something, or are free: others are sold by the piece."""
        if self.price is None:
            return False
        rates = self.rates
        return rates is None or self.price.free or bool(rates.input_picocredits or rates.output_picocredits)

    @property
    def caches(self) -> bool:
        """Whether reading from the node's cache is cheaper than sending the input anew."""
        price = self.price
        if price is None or price.cache_read_picocredits is None:
            return False
        return price.cache_read_picocredits < price.input_picocredits


class Route(Struct, frozen=True, eq=False):
    """A model of the fleet under its canonical id: every offer for it, its limits in tokens, and what it takes.

    `outputs` is what it puts out, in the words of `mira.core.media`. The rest follows from these, and is computed once
    for all calls. `bounded` tells whether all of their nodes take so many calls at a time, `output_cap` is that of a
    call which names none. `sold` are the offers with a price for tokens; `dearest` are the rates among theirs at which
    every hold is the largest, None where that depends on the call. `keeps_sessions` tells whether it matters which node
    serves a session: there is a choice, and a cache at one of them.
    """

    model: str
    offers: tuple[Offer, ...]
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    capabilities: Capabilities = UNKNOWN
    outputs: frozenset[str] = TEXT
    bounded: bool = False
    output_cap: int = 0
    sold: tuple[Offer, ...] = ()
    dearest: FlatRates | None = None
    keeps_sessions: bool = False

    def __post_init__(self) -> None:
        sold = tuple(offer for offer in self.offers if offer.prices_tokens)
        if len(sold) == len(self.offers):
            sold = self.offers
        force_setattr(self, "bounded", all(offer.node.max_in_flight is not None for offer in self.offers))
        force_setattr(self, "output_cap", self.max_output_tokens or default_output_cap(self.model))
        force_setattr(self, "sold", sold)
        force_setattr(self, "dearest", next((offer.rates for offer in sold if _is_dearest(offer, sold)), None))
        keeps_sessions = len(self.offers) > 1 and any(offer.caches for offer in self.offers)
        force_setattr(self, "keeps_sessions", keeps_sessions)


class Need(Struct, frozen=True, gc=False):
    """What a call needs of a node. `input_bound_tokens` is surely enough, `tokens` is likely (input and output).

    The bound leaves room for what rendering for the node adds. `media` is the most that a call for media can use.
    """

    stream: bool = True
    input_bound_tokens: int = 0
    output_tokens: int = 0
    tokens: int = 0
    session: int | None = None
    media: Usage | None = None

    def worst_case_nanocredits(self, offer: Offer) -> int:
        """The most that the node can charge, by its own price where it told one."""
        if offer.own_rates is not None:
            return offer.own_rates.hold_nanocredits(self.input_bound_tokens, self.output_tokens)
        price = offer.own_price or offer.price
        if price is None:
            return 0
        if self.media is not None:
            return cost_nanocredits(self.media, price)
        return hold_nanocredits(self.input_bound_tokens, self.output_tokens, 1, price)


ANY = Need()


class Balancer:
    """Chooses nodes for calls. `random` gives numbers from 0 up to 1."""

    def __init__(self, random: Callable[[], float]) -> None:
        self.random = random
        self.budget = RetryBudget()
        self._sessions: dict[str, Sessions] = {}

    def begin(self, offer: Offer, now_s: float, need: Need = ANY) -> Attempt:
        """A call goes to the offer's node now; it must end in `Attempt.over`."""
        health: Health = offer.node.health
        worst_nanocredits = 0
        # Also before the node tells for the first time: its word will be younger than calls that began before.
        if offer.own_price is not None or health.purse.told_nanocredits is not None:
            worst_nanocredits = need.worst_case_nanocredits(offer)
        return health.begin(offer.lane, now_s, stream=need.stream, worst_case_nanocredits=worst_nanocredits)

    def choose(self, route: Route, tried: Collection[Any], now_s: float, need: Need = ANY) -> Offer:
        """The offer with the lowest score among nodes that are well, not full and not tried yet.

        Half-open ones get one live call at a time. Nodes of which another process warned are compared like the others
        where nobody else is left, or where they and the ejected ones are more than half; then the ejected ones, where
        still nobody is left or they alone are more than half. Raises MiraError where no node may be asked: RATE_LIMITED
        with the least time to wait where all are limited, the node's own obstacle (a local model that is still being
        fetched), what the operator has to see to, or UNAVAILABLE.
        """
        offers = route.offers
        if len(offers) == 1 and not tried:
            offer = offers[0]
            node = offer.node
            health = node.health
            if (
                health.block is None
                and offer.lane.block is None
                and node.obstacle is None
                and (node.max_in_flight is None or health.in_flight < node.max_in_flight)
                and (health.purse.told_nanocredits is None or _can_pay(offer, need))
            ):
                return offer
        return self._choose(route, tried, now_s, need)

    def _choose(self, route: Route, tried: Collection[Any], now_s: float, need: Need) -> Offer:
        well: list[Offer] = []
        ready: list[Offer] = []
        ejected: list[Offer] = []
        hinted: list[Offer] = []
        places = {"": well, "ready": ready, "ejected": ejected, "hinted": hinted}
        able = sick = warned = 0
        for offer in route.offers:
            node = offer.node
            if node.obstacle is not None:
                continue
            state = _state(offer, now_s)
            able += state in places
            warned += state == "hinted"
            sick += node.health.block is not None and state in ("ready", "ejected")
            if node in tried or _full(offer) or not _can_pay(offer, need):
                continue
            if state in places:
                places[state].append(offer)
        if ready and not tried:
            return min(ready, key=_blocked_until_s)
        if not well or sick + warned > able * MOST_EJECTED:
            well += hinted
        if not well or sick > able * MOST_EJECTED:
            well += ready + ejected
        if not well:
            raise refusal(route, tried, now_s, need)
        return self._best(route, well, now_s, need, first=not tried)

    def _best(self, route: Route, well: list[Offer], now_s: float, need: Need, *, first: bool) -> Offer:
        if len(well) == 1:
            return well[0]
        covered = [offer for offer in well if covers(offer.lane.windows, need.tokens, now_s)]
        well = covered or well
        if len(well) > FULL_SCAN:
            return self._of_two(well, now_s, need)
        found = scores(well, now_s, stream=need.stream)
        best = min(found)
        if first:
            shunned = _shunned(well, found, now_s, need, weight=1)
            if shunned is not None:
                return shunned
        alike = [offer for offer, score in zip(well, found, strict=True) if score <= best * ALIKE]
        if need.session is None or not route.keeps_sessions:
            return self._any(alike)
        return self._at_home(route.model, well, found, alike=alike, now_s=now_s, need=need, first=first)

    def _of_two(self, well: list[Offer], now_s: float, need: Need) -> Offer:
        """The better of two, compared with the median of some more."""
        drawn: dict[int, Offer] = {}
        while len(drawn) < MEDIAN_SAMPLE:
            place = int(self.random() * len(well))
            drawn.setdefault(place, well[place])
        sample = list(drawn.values())
        pair = scores(sample, now_s, stream=need.stream)[:2]
        shunned = _shunned(sample[:2], pair, now_s, need, weight=len(well) // 2)
        return shunned or sample[pair.index(min(pair))]

    def _at_home(
        self,
        model: str,
        well: list[Offer],
        found: list[float],
        *,
        alike: list[Offer],
        now_s: float,
        need: Need,
        first: bool,
    ) -> Offer:
        """The session's own node while that is not much worse than the best; else it moves."""
        session = need.session
        caching = [offer for offer in well if offer.caches]
        if session is None or not caching:
            return self._any(alike)
        sessions = self._sessions.get(model)
        if sessions is None:
            sessions = self._sessions[model] = Sessions()
        # A second attempt is no reason to move: the next turn may find the first node well.
        nodes = [(offer.node.name, offer.node.weight) for offer in caching]
        home = sessions.home(session, nodes, now_s) if first else sessions.where(session)
        eased = [_eased(offer, score, need) for offer, score in zip(well, found, strict=True)]
        limit = AFFINITY * min(eased)
        for offer, score in zip(well, eased, strict=True):
            if offer.node.name == home and score <= limit:
                return offer
        others = [offer for offer in alike if offer.caches]
        if not others or not first:
            return self._any(others or alike)
        chosen = min(others, key=lambda offer: sessions.count(offer.node.name) / offer.node.weight)
        sessions.settle(session, chosen.node.name, now_s)
        return chosen

    def _any(self, offers: Sequence[Offer]) -> Offer:
        return offers[int(self.random() * len(offers))] if len(offers) > 1 else offers[0]


def refusal(route: Route, tried: Collection[Any], now_s: float, need: Need) -> MiraError:
    """Why no node may be asked: the mildest reason there is, and when to come again."""
    left = [offer for offer in route.offers if offer.node not in tried]
    usable = [offer for offer in left if offer.node.obstacle is None]
    limited = [offer for offer in usable if offer.lane.block is not None and offer.lane.block.state == "limited"]
    if limited:
        wait_s = min(max(_blocked_until_s(offer) - now_s, 0.0) for offer in limited)
        message = f"every node that serves {route.model} limits the rate of requests now"
        return MiraError(Kind.RATE_LIMITED, message, retry_after_s=wait_s)
    for offer in left:
        if offer.node.obstacle is not None:
            error: MiraError = offer.node.obstacle
            return error
    states = {_state(offer, now_s) for offer in usable}
    if usable and not any(map(_full, usable)):
        if "model-missing" in states:
            return MiraError(Kind.MODEL_NOT_FOUND, "The upstream does not know this model.", param="model")
        if "exhausted" in states or not all(_can_pay(offer, need) for offer in usable):
            return refused_account(Kind.UPSTREAM_CREDITS)
        if "bad-credentials" in states:
            return refused_account(Kind.UPSTREAM_AUTH)
    return no_room(route)


def is_full(route: Route) -> bool:
    """Whether every node that serves the model has as many calls as it may, so that none needs to be paid for."""
    return route.bounded and all(map(_full, route.offers))


def no_room(route: Route) -> MiraError:
    """What a client is told then."""
    message = f"no node can take a call for {route.model} now; try again shortly"
    return MiraError(Kind.UNAVAILABLE, message, retry_after_s=1)


def _state(offer: Offer, now_s: float) -> str:
    """Empty for an offer that is well, `ready` for one that may show it, else the word for why it may not.

    `hinted`: another process warned of it, and nothing that this one has seen stands over that.
    """
    state = ""
    for seen in (offer.lane, offer.node.health):
        block = seen.block
        if block is not None:
            if not block.ready(now_s):
                return str(block.state)
            state = "ready"
        elif state == "" and seen.hint is not None and seen.hint.holds(now_s, seen.proved_s):
            state = "hinted"
    return state


def _shunned(offers: Sequence[Offer], found: Sequence[float], now_s: float, need: Need, *, weight: int) -> Offer | None:
    """An offer that lost for too long because of what is known of it; counts those that lose now."""
    due: Offer | None = None
    best = min(found)
    for offer, score in zip(offers, found, strict=True):
        timed = offer.lane.timed(stream=need.stream)
        if score <= best * ALIKE or timed.slowness <= ALIKE:
            continue
        timed.passed_over += weight
        silent_s = now_s - timed.asked_s
        if silent_s >= SHUNNED_LONGEST_S or (silent_s >= SHUNNED_S and timed.passed_over >= SHUNNED_CALLS):
            due = offer
    return due


def _is_dearest(offer: Offer, offers: Sequence[Offer]) -> bool:
    """Whether no call's hold is larger at another of the offers: its rates, with the markup, are at least theirs."""
    ours = offer.rates
    for other in offers:
        theirs = other.rates
        if ours is None or theirs is None:
            return False
        factor, other_factor = offer.markup[0] * other.markup[1], other.markup[0] * offer.markup[1]
        if (
            ours.input_picocredits * factor < theirs.input_picocredits * other_factor
            or ours.output_picocredits * factor < theirs.output_picocredits * other_factor
        ):
            return False
    return True


def _blocked_until_s(offer: Offer) -> float:
    blocks = (offer.lane.block, offer.node.health.block)
    return max((block.until_s for block in blocks if block is not None), default=0.0)


def _eased(offer: Offer, score: float, need: Need) -> float:
    """A score with a few more calls in flight on every side, and without small differences in time."""
    health = offer.node.health
    in_flight: int = health.in_flight - health.hung
    slowness = offer.lane.timed(stream=need.stream).slowness
    if slowness < AFFINITY_SLOWNESS:
        score /= slowness
    return score * (in_flight + 1 + AFFINITY_SLACK) / (in_flight + 1)


def _can_pay(offer: Offer, need: Need) -> bool:
    """Whether our account at the node surely covers the call, as far as its balance is known."""
    purse: Purse = offer.node.health.purse
    return purse.told_nanocredits is None or purse.covers(need.worst_case_nanocredits(offer))


def _full(offer: Offer) -> bool:
    node = offer.node
    return node.max_in_flight is not None and node.health.in_flight >= node.max_in_flight
