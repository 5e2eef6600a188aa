"""A fleet at work: sessions stay where their cache is, spread over the nodes, and move only when theirs dies."""

import pytest
from tests.support.faulty import FaultyFleet, FaultyNode
from tests.support.gateway import UPSTREAM_KEY, price

from mira.core.scoring import ALIKE_S

MODEL = "x/model-a"
PREFIX = "You are a careful assistant. " * 40


@pytest.fixture(scope="module")
def nodes():
    """Four nodes of one model."""
    fleet = FaultyFleet([FaultyNode(f"node-{number}") for number in range(4)]).start()
    yield fleet
    fleet.stop()


@pytest.fixture(scope="module")
def new_gateway(nodes, make_gateway):
    """Makes gateways before the four nodes."""
    rows = [
        {
            "name": node.name,
            "kind": "openai-compatible",
            "provider": "x",
            "base_url": node.url,
            "api_key": UPSTREAM_KEY,
            "models": [node.model],
        }
        for node in nodes.nodes
    ]
    return lambda: make_gateway(nodes=rows, prices=[price(MODEL, cache_read="0.1")])


@pytest.fixture
def undisturbed(new_gateway):
    """Plays a scenario before a new gateway, and again where the machine made one of the nodes look slow meanwhile.

    From a slow node sessions move away, and rightly so.
    """

    def play(scenario):
        for _ in range(10):
            gateway = new_gateway()
            found = scenario(gateway)
            times_ms = sorted(node["latency_ms"] or 0 for node in gateway.admin("GET", "/nodes")["data"])
            gateway.stop()
            if times_ms[-1] < 2 * max(times_ms[1], ALIKE_S * 1000):
                return found
        raise AssertionError("the machine always held up one of the nodes")

    return play


class Session:
    """A conversation that grows with each turn."""

    def __init__(self, gateway, number, **fields):
        self.gateway = gateway
        self.fields = fields
        self.messages = [{"role": "system", "content": f"{PREFIX} This is project {number}."}]

    def turn(self):
        """Asks once more; the node that answered."""
        self.messages.append({"role": "user", "content": "And then?"})
        body = {"model": MODEL, "messages": self.messages, "max_tokens": 64, **self.fields}
        answer = self.gateway.post("/v1/chat/completions", body)
        assert answer.status_code == 200, answer.text
        self.messages.append(answer.json()["choices"][0]["message"])
        return answer.headers["x-mira-node"]


@pytest.mark.parametrize("fields", [{}, {"prompt_cache_key": "mine"}])
def test_a_session_stays_with_its_node(undisturbed, fields):
    def turns(gateway):
        session = Session(gateway, f"stays {fields}", **fields)
        return [session.turn() for _ in range(8)]

    assert len(set(undisturbed(turns))) == 1


def test_sessions_spread_over_the_fleet(undisturbed):
    homes = undisturbed(lambda gateway: [Session(gateway, number).turn() for number in range(16)])
    assert len(set(homes)) == 4


def test_only_the_sessions_of_a_node_that_dies_move(undisturbed, nodes):
    def before_and_after(gateway):
        sessions = [Session(gateway, number) for number in range(12)]
        homes = [session.turn() for session in sessions]
        dead = next(index for index, node in enumerate(nodes.nodes) if node.name == homes[0])
        nodes.become(dead, fault="refuse")
        now = [session.turn() for session in sessions]
        nodes.become(dead)
        return homes, now

    homes, now = undisturbed(before_and_after)
    assert homes[0] not in now
    stayed = [(before, after) for before, after in zip(homes, now, strict=True) if before != homes[0]]
    assert stayed
    assert all(before == after for before, after in stayed)
