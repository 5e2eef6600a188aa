"""The table of routes: no row without a policy and a billing class, no path that nobody serves."""

import pytest

from mira.api import status
from mira.api.table import TABLE, Billing, Policy, Row
from mira.calls.call import Surface
from mira.codecs.chat import CHAT
from mira.core.caller import Face

GOOD = {
    "method": "GET",
    "path": "/x",
    "policy": Policy.PUBLIC,
    "billing": Billing.FREE,
    "summary": "s",
    "group": "g",
    "endpoint": status.health,
}


@pytest.mark.parametrize("name", ["policy", "billing", "method", "path", "summary", "group"])
def test_a_row_that_leaves_something_out_does_not_start(name):
    with pytest.raises(TypeError, match=name):
        Row(**{key: value for key, value in GOOD.items() if key != name})


@pytest.mark.parametrize(("name", "value"), [("policy", None), ("policy", "public"), ("billing", None), ("billing", 0)])
def test_a_row_with_something_else_than_a_policy_and_a_billing_class_does_not_start(name, value):
    with pytest.raises(TypeError, match="a route needs a policy and a billing class"):
        Row(**{**GOOD, name: value})


@pytest.mark.parametrize("change", [{"endpoint": None}, {"surface": Surface(CHAT, Face.PROXY)}])
def test_a_row_has_either_an_endpoint_or_a_surface(change):
    with pytest.raises(TypeError, match="either an endpoint or a surface"):
        Row(**{**GOOD, **change})


def test_only_relayed_routes_are_billed_by_tokens_and_none_of_them_is_public():
    for row in TABLE:
        assert (row.billing is Billing.TOKENS) == (row.surface is not None), row.path
        if row.surface is not None:
            expected = Policy.PROXY_KEY if row.surface.face is Face.PROXY else Policy.INFERENCE_KEY
            assert row.policy is expected, row.path


def test_no_route_stands_in_the_table_twice():
    rows = [(row.method, row.path) for row in TABLE]
    assert len(rows) == len(set(rows))
