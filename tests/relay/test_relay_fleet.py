"""Attempt after attempt: who is asked next, for how long, who is told what, and who pays for what failed."""

import pytest
from relay_fakes import (
    DONE,
    MODEL,
    PRICE,
    ROLE,
    USAGE,
    USAGE_NANOCREDITS,
    FakeResponse,
    Streaming,
    World,
    breaks,
    chunk,
    completion,
    hangs,
    over,
    plays,
    refuses,
    says,
    soon,
)

from mira.core.blocks import Block
from mira.core.deadlines import Timeouts
from mira.core.pricing import Price
from mira.core.retrying import RetryBudget
from mira.errors import Kind, MiraError

FINISH = chunk(finish="stop", usage=USAGE)


def state(node):
    lane = node.health.lane(MODEL).block
    block = node.health.block or lane
    return None if block is None else block.state


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, "bad-credentials"), (403, "bad-credentials"), (402, "exhausted"), (404, "model-missing"), (429, "limited")],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_another_node_answers_and_the_one_that_refused_is_left_alone(status, expected, stream):
    world = World()
    said = plays(ROLE, chunk("Hello"), FINISH, DONE) if stream else says(completion())
    first, second = world.serve(refuses(status), said)
    assert (await world.answered(stream=stream)).headers["x-mira-node"] == "node-1"
    assert state(first) == expected
    await world.answered(stream=stream)
    assert len(first.bodies) == 1
    assert len(second.bodies) == 2
    assert first.health.faults == 0


async def test_a_node_that_has_no_other_beside_it_refuses_from_memory_until_its_time():
    world = World()
    (node,) = world.serve(refuses(401))
    told = [(await world.answered()).json["error"] for _ in range(3)]
    assert {error["code"] for error in told} == {"upstream_auth"}
    assert len(node.bodies) == 1
    world.now_s += 11
    await world.answered()
    assert len(node.bodies) == 2, "half-open: one call shows whether it still refuses"


async def test_three_faults_eject_and_three_good_calls_bring_back():
    world = World()
    flaky = {"well": False}

    async def script(node, number):
        return await (says(completion()) if flaky["well"] else refuses(500))(node, number)

    first, _ = world.serve(script, says(completion()))
    while first.health.block is None:
        world.now_s += 30
        assert (await world.answered()).status == 200
    assert len(first.bodies) == 3
    await world.answered()
    assert len(first.bodies) == 3
    flaky["well"] = True
    for _ in range(3):
        world.now_s += 12
        assert (await world.answered()).headers["x-mira-node"] == "node-0"
    assert first.health.block is None


async def test_without_attempts_to_spare_the_first_failure_is_told():
    world = World()
    world.relay.balancer.budget = RetryBudget(saved=0.0, counted_s=world.now_s)
    _, second = world.serve(refuses(500), says(completion()))
    assert (await world.answered()).status == 502
    assert not second.bodies


async def test_what_a_failed_attempt_used_is_booked_to_the_operator_and_not_to_the_customer():
    world = World()
    world.serve(plays(ROLE, chunk(usage=USAGE), cut=True), plays(ROLE, chunk("Hello"), FINISH, DONE))
    await world.answered(stream=True)
    assert world.ledger.closing[:2] == ("settle", USAGE_NANOCREDITS)
    assert world.ledger.attempt_costs == USAGE_NANOCREDITS
    tried = [(one.node, one.outcome, one.cost_nanocredits) for one in world.ledger.closing[2].tried]
    assert tried == [
        ("node-0", "upstream_failed", USAGE_NANOCREDITS),
        ("node-1", "ok", USAGE_NANOCREDITS),
    ]


async def test_a_single_clean_attempt_leaves_no_record_beside_the_row():
    world = World()
    world.serve(says(completion()))
    await world.answered()
    assert world.ledger.closing[2].tried == ()


async def test_failed_attempts_that_nobody_made_good_are_booked_too():
    world = World()
    world.serve(plays(ROLE, chunk(usage=USAGE), cut=True))
    await world.answered(stream=True)
    assert world.ledger.closing[:2] == ("void", 0)
    assert world.ledger.attempt_costs == USAGE_NANOCREDITS


async def test_where_all_are_limited_a_call_waits_for_the_first_that_is_free_soon():
    world = World()
    first, second = world.serve(says(completion()), says(completion()))
    for node, after_s in ((first, 60.0), (second, 3.0)):
        block = Block(state="limited", reason="x", since_s=world.now_s, until_s=world.now_s + after_s)
        node.health.lane(MODEL).block = block
    exchange = world.ask()
    await soon(lambda: "reserve" in world.diary)
    world.now_s += 2.9
    second.health.lane(MODEL).block.until_s = world.now_s
    await over(exchange)
    assert exchange.headers["x-mira-node"] == "node-1"


async def test_where_all_are_limited_for_long_the_least_time_is_told_at_once():
    world = World()
    world.serve(refuses(429, headers={b"retry-after": "60"}), refuses(429, headers={b"retry-after": "20"}))
    assert (await world.answered()).status == 429
    exchange = await world.answered()
    assert (exchange.status, exchange.headers["retry-after"]) == (429, "20")


async def test_a_client_that_leaves_while_its_call_waits_pays_nothing():
    world = World()
    (node,) = world.serve(says(completion()))
    block = Block(state="limited", reason="x", since_s=world.now_s, until_s=world.now_s + 4)
    node.health.lane(MODEL).block = block
    exchange = world.ask()
    await soon(lambda: exchange.on_gone is not None)
    exchange.leave()
    await over(exchange)
    assert world.ledger.closing[0] == "void"
    assert not node.bodies


async def test_a_stream_without_content_in_time_goes_to_another_node():
    world = World()
    silent = []

    async def script(node, number):
        silent.append(FakeResponse(node.diary))
        return silent[-1]

    first, _ = world.serve(script, plays(ROLE, chunk("Hello"), FINISH, DONE))
    first.timeouts = Timeouts(head_s=0.05)
    exchange = await world.answered(stream=True)
    assert exchange.headers["x-mira-node"] == "node-1"
    assert silent[0].closed
    assert first.health.faults == 1


@pytest.mark.parametrize("told", ["0", "-1", "soon", "1.5", "9" * 20])
async def test_a_time_limit_that_is_none_is_refused_by_name(told):
    world = World()
    (node,) = world.serve(says(completion()))
    exchange = await world.answered(headers={b"x-mira-timeout-ms": told})
    assert exchange.status == 400
    assert "x-mira-timeout-ms" in exchange.json["error"]["message"]
    assert not node.bodies
    assert world.ledger.closing[0] == "void"


async def test_a_clients_own_limit_reaches_the_node_and_is_not_held_against_it():
    world = World()
    seen = []

    async def script(node, number):
        seen.append(node.given)
        world.now_s += 1
        raise TimeoutError

    (node,) = world.serve(script)
    node.fault = lambda error: MiraError(Kind.UPSTREAM_TIMEOUT, "too late")
    exchange = await world.answered(headers={b"x-mira-timeout-ms": "1000"})
    assert exchange.status == 504
    assert seen[0].total_s == 1.0
    assert node.health.faults == 0


@pytest.mark.parametrize("script", [breaks(), refuses(500), refuses(529), says(b"<html>"), says({"error": "x"})])
async def test_whatever_breaks_before_content_is_made_good_by_another(script):
    world = World()
    world.serve(script, says(completion()))
    exchange = await world.answered()
    assert (exchange.status, exchange.headers["x-mira-node"]) == (200, "node-1")
    assert [attempt.node for attempt in world.ledger.closing[2].failed_attempts] == ["node-0"]


async def test_the_turns_of_a_session_go_to_one_node_where_its_cache_is_cheaper():
    world = World()
    cached = Price(input_picocredits=10, output_picocredits=20, cache_read_picocredits=1)
    nodes = world.serve(*[says(completion())] * 4, prices=(cached,) * 4)
    turns = [{"role": "user", "content": "Hi"}]
    for _ in range(6):
        await world.answered(messages=turns)
        turns += [{"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "More"}]
    assert sorted(len(node.bodies) for node in nodes) == [0, 0, 0, 6]


async def test_a_call_that_hangs_is_left_in_flight_and_counts_until_it_ends():
    world = World()
    first, _ = world.serve(hangs(), says(completion()))
    hanging = world.ask()
    await first.asked.wait()
    assert (await world.answered()).headers["x-mira-node"] == "node-1"
    assert first.health.in_flight == 1
    assert len(first.health.lane(MODEL).wholes.waiting) == 1
    hanging.leave()
    await over(hanging)
    assert first.health.in_flight == 0
    assert not first.health.lane(MODEL).wholes.waiting


class TimedOutError(Exception):
    def __init__(self, phase):
        self.phase = phase


def times_out(phase):
    async def script(node, number):
        raise TimedOutError(phase)

    return script


@pytest.mark.parametrize("stream", [False, True])
async def test_an_attempt_that_was_given_up_is_estimated_where_the_node_keeps_a_statement(stream):
    world = World()
    said = plays(ROLE, chunk("Hello"), FINISH, DONE) if stream else says(completion())
    first, _ = world.serve(times_out("timeout-head"), said)
    first.keeps_statement = True
    await world.answered(stream=stream)
    first_cost, second_cost = [one.cost_nanocredits for one in world.ledger.closing[2].tried]
    assert 0 < first_cost < 100 * PRICE.input_picocredits // 1000
    assert second_cost == USAGE_NANOCREDITS
    assert world.ledger.attempt_costs == first_cost


@pytest.mark.parametrize(
    ("script", "keeps_statement"),
    [
        (times_out("timeout-head"), False),
        (times_out("timeout-connect"), True),
        (refuses(504), True),
        (breaks(), True),
    ],
)
async def test_an_attempt_is_not_estimated_where_the_node_has_charged_nothing_or_nobody_could_tell(
    script, keeps_statement
):
    world = World()
    first, _ = world.serve(script, says(completion()))
    first.keeps_statement = keeps_statement
    await world.answered()
    assert world.ledger.attempt_costs == 0


async def test_a_stream_that_was_given_up_before_its_content_is_estimated_too():
    world = World()
    streaming = Streaming()
    first, _ = world.serve(streaming, plays(ROLE, chunk("Hello"), FINISH, DONE))
    first.keeps_statement = True
    first.timeouts = Timeouts(head_s=0.01)
    exchange = world.ask(stream=True)
    await streaming.feed(ROLE)
    await over(exchange)
    assert exchange.headers["x-mira-node"] == "node-1"
    assert world.ledger.attempt_costs > 0
