"""Three gateways on one PostgreSQL: money and limits hold to the last call, whoever is asked and whoever dies."""

import random

import psycopg
import pytest
from tests.support import postgres
from tests.support.gateway import PROXY_KEY
from tests.support.recount import Recount, holds_of
from tests.support.replicas import demand, kill_at_random, phantoms, race, replicas
from tests.support.traffic import FLAT, HOLD_NANOCREDITS, Traffic, until, uses
from tests.support.upstream import Upstream

RPM = 100


@pytest.fixture(scope="module")
def server():
    """A server of these tests' own, since they kill it."""
    with postgres.cluster() as server:
        yield server


@pytest.fixture(scope="module")
def url(server):
    return server.create("replicas")


@pytest.fixture(scope="module")
def upstream():
    upstream = Upstream([FLAT]).start()
    yield upstream
    upstream.stop()


@pytest.fixture(scope="module")
def gateways(url, upstream, tmp_path_factory):
    with replicas(url, upstream, tmp_path_factory.mktemp("replicas"), MIRA_BOOTSTRAP_CREDITS="1000") as gateways:
        yield gateways


def funded(gateway, calls):
    """A key of a workspace with funds for so many calls."""
    return gateway.new_key(gateway.new_workspace(credits_of(calls)))[1]


def credits_of(calls):
    return f"{calls * HOLD_NANOCREDITS / 10**9:.9f}"


def living(url, since_ms):
    """How many processes were heard of since a moment."""
    with psycopg.connect(url) as connection:
        counted = connection.execute("SELECT count(*) FROM epoch WHERE heartbeat_at_ms > %s", [since_ms])
        return counted.fetchone()[0]


async def test_512_clients_of_three_gateways_on_funds_for_500_dispatch_exactly_500(gateways, upstream, url):
    workspace_id = gateways[0].new_workspace(credits_of(500))
    _, key = gateways[0].new_key(workspace_id)
    assert await race(gateways, upstream, key, 512, 500) == {"dispatched": 500, "200": 500, "402": 12, "others": 0}
    after = [gateway.balance(workspace_id) for gateway in gateways]
    assert [(float(one["balance"]), float(one["held"])) for one in after] == [(0, 0)] * 3
    assert gateways[1].check_ledger()["invariants"]["I1"]["sum"] == "0"
    recount = Recount(url)
    assert recount.wrong == []
    assert recount.holds == []


async def test_nobody_is_refused_whom_the_funds_would_carry(gateways, upstream):
    statuses = await phantoms(gateways, upstream, funded(gateways[0], 48), clients=48, turns=6)
    assert statuses == {200: 48 * 6}


async def test_a_rate_is_exact_across_three_gateways(gateways, upstream):
    _, key = gateways[0].new_key(rpm=RPM)
    rate = await demand(gateways, upstream, key, rpm=RPM, clients=24, lasts_s=4)
    assert rate.refused
    assert rate.most_above <= 0
    assert rate.phantom_refusals == 0
    assert len(rate.admitted) >= rate.allowed - 1


def test_kills_of_gateways_and_of_postgresql_cost_nobody_anything(gateways, upstream, url, server):
    upstream.reset()
    upstream.script(FLAT, uses())
    before = Recount(url).charges.keys()
    traffic = Traffic(gateways)
    try:
        kill_at_random(gateways, server, traffic, kills=4, every=2, chance=random.Random(7))
    finally:
        traffic.end()
    assert {told.status for told in traffic.told} <= {0, 200, 503}
    charges = traffic.charges
    assert len(charges) > 100
    # As if the time had passed after which a process that is no more heard of is dead; the living are heard of again.
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE epoch SET heartbeat_at_ms = heartbeat_at_ms - 60000")
        (aged_ms,) = connection.execute("SELECT max(heartbeat_at_ms) FROM epoch").fetchone()
    until(lambda: not holds_of(url) and living(url, aged_ms) == len(gateways))
    recount = Recount(url)
    assert recount.wrong == []
    assert recount.against(charges) == []
    dispatched = {request.headers["x-request-id"] for request in upstream.chats(FLAT)}
    assert charges.keys() <= recount.charges.keys() - before <= dispatched
    for gateway in gateways:
        assert gateway.check_ledger()["ok"]
    assert gateways[0].chat(f"openai/{FLAT}", key=PROXY_KEY).status_code == 200


def test_postgresql_may_be_away_and_nobody_is_told_that_a_key_is_wrong_or_charged_otherwise(
    gateways, upstream, url, server
):
    upstream.reset()
    upstream.script(FLAT, uses())
    traffic = Traffic(gateways, clients=12)
    try:
        traffic.wait(200, 40)
        server.stop()
        traffic.wait(503, 40)
        server.start()
        traffic.wait(200, 100)
    finally:
        traffic.end()
    assert {told.status for told in traffic.told} == {200, 503}
    assert all(told.retry_after for told in traffic.told if told.status == 503)
    until(lambda: not holds_of(url))
    recount = Recount(url)
    assert recount.wrong == []
    assert recount.against(traffic.charges) == []
    assert gateways[0].check_ledger()["ok"]
