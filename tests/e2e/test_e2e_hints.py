"""Two gateways on one PostgreSQL: what one finds out of a node the other acts upon, and no call waits for that."""

import psycopg
import pytest
from tests.support.faulty import FaultyFleet, FaultyNode
from tests.support.gateway import UPSTREAM_KEY, Gateway, eventually, price

MODEL = "x/model-a"


@pytest.fixture(scope="module")
def url(new_postgres_url):
    return new_postgres_url()


@pytest.fixture(scope="module")
def fleet():
    fleet = FaultyFleet([FaultyNode(f"node-{number}") for number in range(3)]).start()
    yield fleet
    fleet.stop()


@pytest.fixture(scope="module")
def pair(fleet, url, tmp_path_factory):
    def rows(weight):
        """The first node is of more weight, so that nearly all calls go there while it is well."""
        return [
            {
                "name": node.name,
                "kind": "openai-compatible",
                "provider": "x",
                "base_url": node.url,
                "api_key": UPSTREAM_KEY,
                "models": [node.model],
                "weight": weight if node is fleet.nodes[0] else 1,
            }
            for node in fleet.nodes
        ]

    made = [
        Gateway(tmp_path_factory.mktemp("hints"), nodes=rows(weight), prices=[price(MODEL)], MIRA_DATABASE_URL=url)
        for weight in (1000, 1)
    ]
    for gateway in made:
        gateway.start()
    yield made
    for gateway in made:
        gateway.close()


@pytest.fixture(autouse=True)
def well(pair, fleet):
    yield
    fleet.reset()
    for gateway in pair:
        for node in fleet.nodes:
            gateway.admin("POST", f"/nodes/{node.name}/probe")
    for gateway in pair:
        eventually(lambda gateway=gateway: all(is_well(node) for node in nodes(gateway).values()))


def nodes(gateway):
    return {node["name"]: node for node in gateway.admin("GET", "/nodes")["data"]}


def is_well(node):
    """Nobody is kept from it; that it looks slow may be the machine's fault."""
    return node["state"] in ("active", "degraded") and not node["conditions"]


def is_slow(node):
    return (node["state"], node["reason"]) == ("degraded", "slow")


def ask(gateway):
    answer = gateway.chat(MODEL, max_tokens=8)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-mira-node"]


def until_blocked(gateway, name):
    """Calls until this gateway itself has left the node."""

    def blocked():
        ask(gateway)
        node = nodes(gateway)[name]
        return node["state"] in ("ejected", "bad-credentials") or node["conditions"]

    eventually(blocked)


def warned(gateway, name):
    node = nodes(gateway)[name]
    words = [node, *node["conditions"]]
    return any((one["reason"] or "").startswith("another process") for one in words)


def answering_while_warned(pair, fleet, times):
    """The nodes that answer for the second gateway while it is warned, which leaves the first of them alone.

    A warning that ends because the machine is slow is given again.
    """
    first, second = pair
    answered = []
    while len(answered) < times:
        before, seen = warned(second, "node-0"), len(fleet.nodes[0].seen)
        name = ask(second)
        if before and warned(second, "node-0"):
            assert len(fleet.nodes[0].seen) == seen
            answered.append(name)
        else:
            until_blocked(first, "node-0")
            eventually(lambda: warned(second, "node-0"))
    return set(answered)


def test_a_node_that_fails_for_one_gateway_is_left_by_the_other_and_returns_to_both(pair, fleet):
    first, second = pair
    fleet.become(0, fault="500")
    until_blocked(first, "node-0")
    eventually(lambda: warned(second, "node-0"))
    assert nodes(second)["node-0"]["consecutive_faults"] == 0
    assert answering_while_warned(pair, fleet, 20) <= {"node-1", "node-2"}
    fleet.become(0)
    first.admin("POST", "/nodes/node-0/probe")
    eventually(lambda: not warned(second, "node-0"))
    eventually(lambda: ask(second) == "node-0" or is_slow(nodes(second)["node-0"]))


def test_a_limit_of_one_model_at_a_node_is_shared_too(pair, fleet):
    first, second = pair
    fleet.become(0, fault="429", retry_after_s=20)
    until_blocked(first, "node-0")
    eventually(lambda: warned(second, "node-0"))
    assert answering_while_warned(pair, fleet, 20) <= {"node-1", "node-2"}


def test_a_table_that_is_locked_stops_no_call_and_each_gateway_keeps_its_own_observations(pair, fleet, url):
    first, second = pair
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE hint IN ACCESS EXCLUSIVE MODE")
        fleet.become(0, fault="401")
        until_blocked(first, "node-0")
        until_blocked(second, "node-0")
        assert {ask(first) for _ in range(10)} | {ask(second) for _ in range(10)} <= {"node-1", "node-2"}
        assert not warned(second, "node-0")
        connection.rollback()
