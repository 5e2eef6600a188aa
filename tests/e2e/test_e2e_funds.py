"""A node whose account runs out of credits is left alone in time, and nobody notices."""

from tests.support.faulty import FaultyFleet, FaultyNode, Purse
from tests.support.gateway import UPSTREAM_KEY, eventually

POOR_NANOCREDITS = 2_000_000


def test_a_node_is_not_asked_for_what_it_cannot_pay_for(make_gateway):
    poor, rich = FaultyNode("poor", purse=Purse(POOR_NANOCREDITS)), FaultyNode("rich", purse=Purse(10**15))
    fleet = FaultyFleet([poor, rich]).start()
    rows = [
        {"name": node.name, "kind": "mira", "base_url": node.url, "api_key": UPSTREAM_KEY, "weight": weight}
        for node, weight in ((poor, 1000), (rich, 0.001))
    ]
    try:
        gateway = make_gateway(nodes=rows)
        eventually(lambda: gateway.get("/v1/models").json()["data"])

        def asked_rich():
            answer = gateway.chat("model-a", max_tokens=64)
            assert answer.status_code == 200
            return answer.headers["x-mira-node"] == "rich"

        eventually(asked_rich)
        assert poor.seen
        assert not any(seen.unpayable for seen in poor.seen)
        row = gateway.admin("GET", "/nodes/poor")
        assert 0 <= float(row["credits"]) < POOR_NANOCREDITS * 1e-9
        assert row["runway_s"] is None or row["runway_s"] >= 0

        def told_alike():
            credits_left = float(gateway.admin("GET", "/nodes/poor")["credits"])
            return f'mira_node_credits{{node="poor"}} {credits_left}' in gateway.get("/metrics").text

        eventually(told_alike)
        poor.purse.balance_nanocredits += POOR_NANOCREDITS
        gateway.admin("POST", "/nodes/poor/probe")
        assert gateway.chat("model-a", max_tokens=64).headers["x-mira-node"] == "poor", "topped up"
        gateway.stop()
    finally:
        fleet.stop()


def test_where_no_node_can_pay_nobody_is_asked_and_the_client_hears_of_no_402(make_gateway):
    poor = FaultyNode("poor", purse=Purse(1_000))
    fleet = FaultyFleet([poor]).start()
    try:
        gateway = make_gateway(
            nodes=[{"name": "poor", "kind": "mira", "base_url": poor.url, "api_key": UPSTREAM_KEY}],
            prices=[{"model": "model-a", "free": True}],
        )
        eventually(lambda: gateway.admin("GET", "/nodes/poor")["credits"] is not None)
        eventually(lambda: gateway.get("/v1/models").json()["data"])
        answer = gateway.chat("model-a", max_tokens=64)
        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "upstream_auth"
        assert not poor.seen, "free for clients, but not for us"
        assert float(gateway.balance()["held"]) == 0
        poor.purse.balance_nanocredits += POOR_NANOCREDITS
        gateway.admin("POST", "/nodes/poor/probe")
        assert gateway.chat("model-a", max_tokens=64).status_code == 200
        # Another client of that workspace takes what is left.
        poor.purse.balance_nanocredits = 0
        assert gateway.chat("model-a", max_tokens=64).status_code == 502
        row = gateway.admin("GET", "/nodes/poor")
        assert (row["state"], row["credits"]) == ("exhausted", "0")
        asked = len(poor.seen)
        assert gateway.chat("model-a", max_tokens=64).status_code == 502
        assert len(poor.seen) == asked
        poor.purse.balance_nanocredits = POOR_NANOCREDITS
        eventually(lambda: gateway.chat("model-a", max_tokens=64).status_code == 200)
        gateway.stop()
    finally:
        fleet.stop()
