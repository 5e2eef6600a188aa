"""What the portal's form for a price takes and tells: every price that applies, by the token and by the piece."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from tests.support.gateway import ADMIN_KEY, Gateway, eventually, openai_node
from tests.support.pictures import openai_images
from tests.support.upstream import Upstream, answers

#: Known by its name to make images, of no known price; and one that our own list prices by resolution.
UNPRICED, VARIED = "openai/dall-e-9", "google/veo-3.1-generate-001"
MARKUP = Decimal("1.3")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    upstream = Upstream(["gpt-4o-mini"]).start()
    upstream.script("dall-e-9", answers(openai_images(2, usage=None)))
    nodes = [
        openai_node(upstream.url, models=["dall-e-9"], markup=str(MARKUP)),
        openai_node(upstream.url, "films", kind="openai-compatible", provider="google", models=[VARIED[7:]]),
    ]
    gateway = Gateway(tmp_path_factory.mktemp("prices"), nodes=nodes).start()
    yield gateway
    gateway.close()
    upstream.stop()


def test_a_price_by_the_piece_that_is_set_in_the_portal_is_billed_exactly(gateway):
    body = {"model": UNPRICED, "prompt": "gulls", "n": 2}
    row = _row(gateway, UNPRICED)
    assert (row["source"], row["in_force"], row["varied"]) == (None, None, [])
    assert gateway.post("/v1/images/generations", body).status_code == 400
    told = gateway.admin("PUT", f"/prices/{UNPRICED}", {"image": "0.0333"})
    assert (told["source"], told["sale"]["units"][0]["unit"]) == ("portal", "image")
    assert told["in_force"] == {"input": "0", "output": "0", "image": "0.0333"}
    answer = gateway.post("/v1/images/generations", body)
    assert answer.status_code == 200, answer.text
    path = f"/admin/v1/calls/{answer.headers['x-request-id']}/detail"
    eventually(lambda: gateway.request("GET", path, key=ADMIN_KEY).status_code == 200)
    call = gateway.request("GET", path, key=ADMIN_KEY).json()["call"]
    assert Decimal(call["cost"]) == 2 * Decimal("0.0333") * MARKUP


def test_what_is_in_force_is_told_in_the_words_that_set_it(gateway):
    given = {
        "input": "1.25", "output": "10.000001", "cache_read": "0.1", "cache_write_5m": "1.5", "cache_write_1h": "2",
        "reasoning": "12", "audio_input": "3", "audio_output": "4", "image_input": "5", "image_output": "6",
        "web_search": "0.01", "image": "0.000000000001", "second": "0.3", "character": "0.000015", "page": "0.0025",
    }  # fmt: skip
    given = {**given, "tiers": [{**given, "above": 200_000, "input": "2.5"}]}
    told = gateway.admin("PUT", f"/prices/{UNPRICED}", given)
    assert told["in_force"] == given == _row(gateway, UNPRICED)["in_force"]
    assert gateway.admin("PUT", f"/prices/{UNPRICED}", {"free": True})["in_force"] == {"free": True}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"image": "-0.04"}, "image"),
        ({"second": "a lot"}, "second"),
        ({"page": "0.0000000000001"}, "page"),
        ({"character": "0"}, "character"),
        ({"image": {"*": "0.04", "high": "0.17"}}, "image"),
        ({"painting": "0.04"}, "painting"),
        ({"image": "0.04", "tiers": [{"above": 0, "input": "1"}]}, "tiers[0].above"),
        ({}, "input"),
    ],
)  # fmt: skip
def test_a_price_that_is_none_is_refused_with_its_field(gateway, given, field):
    answer = gateway.request("PUT", f"/admin/v1/prices/{UNPRICED}", json=given, key=ADMIN_KEY)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == field


def test_prices_by_resolution_are_not_lost_unless_every_piece_has_a_new_one(gateway):
    row = _row(gateway, VARIED)
    assert (row["varied"], row["in_force"].get("second"), row["editable"]) == (["second"], None, True)
    tokens = {"input": "1", "output": "2"}
    lost = gateway.request("PUT", f"/admin/v1/prices/{VARIED}", json=tokens, key=ADMIN_KEY)
    assert (lost.status_code, lost.json()["error"]["param"]) == (400, "second")
    assert "resolution" in lost.json()["error"]["message"]
    assert _row(gateway, VARIED) == row
    told = gateway.admin("PUT", f"/prices/{VARIED}", {"second": "0.45"})
    assert (told["varied"], told["in_force"]["second"]) == ([], "0.45")
    gateway.admin("DELETE", f"/prices/{VARIED}")
    assert _row(gateway, VARIED) == row


def _row(gateway: Gateway, model: str) -> dict[str, Any]:
    [row] = [row for row in gateway.admin("GET", "/prices")["data"] if row["model"] == model]
    found: dict[str, Any] = row
    return found
