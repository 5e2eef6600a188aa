"""What is computed once of a route for all calls is what each call would find out by looking at every offer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.core.fleet import Offer, Route, is_full
from mira.core.health import Health
from mira.core.models import DEFAULT_OUTPUT_CAP
from mira.core.pricing import FREE, PAR, Markup, Price, Tier, flat_rates, hold_nanocredits

rates = st.integers(0, 10**7)
prices = st.builds(Price, input_picocredits=rates, output_picocredits=rates)
markups = st.sampled_from([PAR, (5, 4), (1, 3), (1000, 999)])
offered = st.lists(st.tuples(prices, markups), min_size=1, max_size=5)


class Node:
    def __init__(self, max_in_flight: int | None) -> None:
        self.max_in_flight = max_in_flight
        self.health = Health()


def offer(price: Price | None, max_in_flight: int | None = None, markup: Markup = PAR) -> Offer:
    node: Any = Node(max_in_flight)
    return Offer(node=node, upstream_model="m", price=price, markup=markup, rates=flat_rates(price, markup))


def route(*told: tuple[Price, Markup]) -> Route:
    return Route(model="m", offers=tuple(offer(price, markup=markup) for price, markup in told))


def test_what_has_no_price_for_tokens_is_not_sold():
    paid, free = offer(Price(input_picocredits=0, output_picocredits=1)), offer(FREE)
    by_the_piece = offer(Price(input_picocredits=0, output_picocredits=0, image_picocredits=5))
    mixed = Route(model="m", offers=(offer(None), paid, by_the_piece, free))
    assert mixed.sold == (paid, free)
    assert Route(model="m", offers=(offer(None),)).sold == ()


def test_where_all_offers_are_sold_they_are_the_same():
    paid = Route(model="m", offers=(offer(FREE), offer(Price(input_picocredits=1, output_picocredits=1))))
    assert paid.sold is paid.offers


@given(offered, st.integers(0, 10**6), st.integers(0, 10**6))
def test_no_hold_is_larger_than_at_the_dearest_rates(offers, input_tokens, output_tokens):
    dearest = route(*offers).dearest
    if dearest is not None:
        holds = [hold_nanocredits(input_tokens, output_tokens, 1, price, markup) for price, markup in offers]
        assert dearest.hold_nanocredits(input_tokens, output_tokens) == max(holds)


@given(prices, markups)
def test_the_only_rates_are_the_dearest(price, markup):
    priced = Price(input_picocredits=price.input_picocredits + 1, output_picocredits=price.output_picocredits)
    assert route((priced, markup)).dearest == flat_rates(priced, markup)
    assert route((priced, markup), (priced, markup)).dearest == flat_rates(priced, markup)


def test_rates_that_depend_on_the_call_are_not_the_dearest():
    deep = Price(input_picocredits=9, output_picocredits=1)
    wide = Price(input_picocredits=1, output_picocredits=9)
    tiers = (Tier(above_prompt_tokens=5, price=Price(input_picocredits=1, output_picocredits=1)),)
    tiered = Price(input_picocredits=0, output_picocredits=0, tiers=tiers)
    assert route((deep, PAR), (wide, PAR)).dearest is None
    assert route((deep, PAR), (tiered, PAR)).dearest is None
    assert route((tiered, PAR)).dearest is None
    assert route().dearest is None


def test_of_the_same_price_the_higher_markup_is_the_dearest():
    price = Price(input_picocredits=9, output_picocredits=1)
    assert route((price, PAR), (price, (5, 4))).dearest == flat_rates(price, (5, 4))


@pytest.mark.parametrize(("most", "cap"), [(None, DEFAULT_OUTPUT_CAP), (10, 10)])
def test_a_call_that_names_no_cap_gets_the_models(most, cap):
    assert Route(model="nobody/knows-it", offers=(), max_output_tokens=most).output_cap == cap


def test_a_route_is_full_while_each_of_its_nodes_has_as_many_calls_as_it_may():
    offers = (offer(FREE, 1), offer(FREE, 2))
    limited = Route(model="m", offers=offers)
    offers[0].node.health.in_flight = 1
    assert not is_full(limited)
    offers[1].node.health.in_flight = 2
    assert is_full(limited)
    assert not is_full(Route(model="m", offers=(*offers, offer(FREE))))


def test_a_session_is_kept_where_there_is_a_choice_and_a_cache():
    caching = Price(input_picocredits=9, output_picocredits=9, cache_read_picocredits=1)
    assert Route(model="m", offers=(offer(FREE), offer(caching))).keeps_sessions
    assert not Route(model="m", offers=(offer(FREE), offer(FREE))).keeps_sessions
    assert not Route(model="m", offers=(offer(caching),)).keeps_sessions
