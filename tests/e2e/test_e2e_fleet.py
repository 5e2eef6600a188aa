"""A fleet at work: sessions stay where their cache is, spread over the nodes, and move only when theirs dies."""

import pytest
from tests.support.faulty import FaultyFleet, FaultyNode
from tests.support.gateway import UPSTREAM_KEY, price

MODEL = "x/model-a"
PREFIX = "You are a careful assistant. " * 40


@pytest.fixture(scope="module")
def nodes():
    """Four nodes of one model."""
    fleet = FaultyFleet([FaultyNode(f"node-{number}") for number in range(4)]).start()
    yield fleet
    fleet.stop()


@pytest.fixture(scope="module")
def gateway(nodes, make_gateway):
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
    return make_gateway(nodes=rows, prices=[price(MODEL, cache_read="0.1")])


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
def test_a_session_stays_with_its_node(gateway, fields):
    session = Session(gateway, f"stays {fields}", **fields)
    assert len({session.turn() for _ in range(8)}) == 1


def test_sessions_spread_over_the_fleet(gateway):
    homes = [Session(gateway, number).turn() for number in range(16)]
    assert len(set(homes)) == 4


def test_only_the_sessions_of_a_node_that_dies_move(gateway, nodes):
    sessions = [Session(gateway, number) for number in range(12)]
    homes = [session.turn() for session in sessions]
    dead = next(index for index, node in enumerate(nodes.nodes) if node.name == homes[0])
    nodes.become(dead, fault="refuse")
    now = [session.turn() for session in sessions]
    assert homes[0] not in now
    stayed = [(before, after) for before, after in zip(homes, now, strict=True) if before != homes[0]]
    assert stayed
    assert all(before == after for before, after in stayed)
    nodes.become(dead)
