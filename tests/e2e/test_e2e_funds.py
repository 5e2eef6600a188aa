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
        gateway.stop()
    finally:
        fleet.stop()
