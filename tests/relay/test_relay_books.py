"""The books of a call: settled or voided exactly once whatever happens, and nothing answered before it is written."""

import asyncio

import pytest
from relay_fakes import (
    DONE,
    PRICE,
    ROLE,
    USAGE,
    USAGE_NANOCREDITS,
    Streaming,
    World,
    breaks,
    chunk,
    completion,
    hangs,
    over,
    plays,
    says,
    soon,
)

from mira.core.pricing import Price
from mira.errors import Kind, MiraError

#: seven tokens of input, as the counter says
PROMPT_NANOCREDITS = 7_000
FINISH = chunk(finish="stop")


def books(world):
    """How the call was closed, for how much, under which status and error."""
    how, amount, record = world.ledger.closing
    return how, amount, record.status, record.error


# What is charged


async def test_a_stream_is_settled_once_and_ends_with_its_cost():
    world = World()
    world.serve(plays(ROLE, chunk("Hello"), chunk(" there"), FINISH, chunk(usage=USAGE), DONE))
    exchange = await world.answered(stream=True, stream_options={"include_usage": True})
    assert books(world) == ("settle", USAGE_NANOCREDITS, 200, None)
    *_, usage, done = exchange.events
    assert done == "[DONE]"
    assert usage["usage"] == {**USAGE, "cost": 0.000017}
    assert "x-mira-cost" not in exchange.headers


async def test_a_stream_ends_only_after_its_settlement():
    world = World()
    world.serve(plays(ROLE, chunk("Hello"), FINISH, chunk(usage=USAGE), DONE))
    await world.answered(stream=True)
    assert world.diary.index("settle") < world.diary.index("end")


@pytest.mark.parametrize("stream", [False, True])
async def test_the_upstreams_usage_wins_even_where_it_is_zero(stream):
    none = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    world = World()
    world.serve(plays(chunk("Hello"), FINISH, chunk(usage=none), DONE) if stream else says(completion(usage=none)))
    await world.answered(stream=stream)
    assert books(world) == ("settle", 0, 200, None)
    assert not world.ledger.closing[2].usage.estimated


@pytest.mark.parametrize("stream", [False, True])
async def test_without_a_usage_the_content_is_counted_and_flagged(stream):
    world = World()
    said = plays(chunk("one"), chunk(" two"), chunk(" three"), FINISH, DONE)
    world.serve(said if stream else says(completion("one two three", usage=None)))
    exchange = await world.answered(stream=stream)
    usage = world.ledger.closing[2].usage
    assert usage.estimated
    assert usage.input_tokens == 7
    assert usage.output_tokens == 3
    if not stream:
        assert exchange.json["usage"]["prompt_tokens"] == 7
        assert exchange.json["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize("stream", [False, True])
async def test_nobody_who_can_count_holds_up_a_bill(stream):
    world = World()
    world.counter.busy = True
    said = plays(chunk("one"), chunk(" more"), FINISH, DONE)
    world.serve(said if stream else says(completion("one more", usage=None)))
    exchange = await world.answered(stream=stream)
    assert exchange.status == 200
    usage = world.ledger.closing[2].usage
    assert usage.estimated
    assert usage.input_tokens > 0
    assert usage.output_tokens == 2  # eight characters of text


@pytest.mark.parametrize(("trusted", "billed"), [(True, 5_000), (False, USAGE_NANOCREDITS)])
async def test_only_a_trusted_nodes_own_charge_counts(trusted, billed):
    world = World()
    world.serve(says(completion(usage={**USAGE, "cost": 0.000005})), trusts_cost=trusted)
    exchange = await world.answered()
    assert world.ledger.closing[1] == billed
    assert world.ledger.closing[2].reported_nanocredits == 5_000
    assert exchange.json["usage"]["cost"] == billed / 10**9


# Durability


async def test_the_call_goes_out_on_the_decision_and_its_answer_waits_for_the_disk():
    world = World()
    world.ledger.durable_at_once = False
    streaming = Streaming()
    world.serve(streaming)
    exchange = world.ask(stream=True)
    await streaming.feed(ROLE, chunk("Hello"))
    assert exchange.heads == 0
    assert streaming.response.paused
    world.ledger.holds[0].durable.set_result(None)
    await exchange.begun.wait()
    assert b"Hello" in exchange.sent
    await soon(lambda: streaming.response.resumed)
    await streaming.feed(FINISH, DONE)
    streaming.response.finish()
    await over(exchange)
    assert exchange.events[-1] == "[DONE]"


async def test_a_stream_that_is_whole_before_its_hold_is_durable_waits():
    world = World()
    world.ledger.durable_at_once = False
    world.serve(plays(ROLE, chunk("Hello"), FINISH, DONE))
    exchange = world.ask(stream=True)
    await soon(lambda: "closed" not in world.diary and world.ledger.holds)
    assert exchange.heads == 0
    world.ledger.holds[0].durable.set_result(None)
    await over(exchange)
    assert exchange.events[-1] == "[DONE]"
    assert len(world.ledger.closings) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_hold_that_could_not_be_written_ends_in_503_and_cancels_the_upstream(stream):
    world = World()
    world.ledger.durable_at_once = False
    first, second = world.serve(hangs(), says(completion()))
    exchange = world.ask(stream=stream)
    await first.asked.wait()
    world.ledger.fail()
    await over(exchange)
    assert (exchange.status, exchange.json["error"]["code"]) == (503, "store_unavailable")
    assert exchange.headers["x-should-retry"] == "true"
    assert "left node-0" in world.diary
    assert not second.bodies
    assert first.health.faults == 0
    assert books(world) == ("void", 0, 503, "store_down")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_hold_that_is_lost_before_its_caller_hears_of_it_sends_nothing(stream):
    """Decided, and not written, before the task that asked for it ran again."""
    world = World()
    world.ledger.loses = True
    (node,) = world.serve(says(completion()))
    exchange = world.ask(stream=stream)
    await over(exchange)
    assert (exchange.status, exchange.json["error"]["code"]) == (503, "store_unavailable")
    assert not node.bodies
    assert books(world) == ("void", 0, 503, "store_down")


@pytest.mark.parametrize("whole", [False, True])
async def test_a_lost_hold_gives_no_content_away(whole):
    world = World()
    world.ledger.durable_at_once = False
    streaming = Streaming()
    _, second = world.serve(streaming, says(completion()))
    exchange = world.ask(stream=True)
    await streaming.feed(ROLE, chunk("Hello"))
    if whole:
        await streaming.feed(FINISH, DONE)
        streaming.response.finish()
    world.ledger.fail()
    await over(exchange)
    assert exchange.status == 503
    assert b"Hello" not in exchange.sent
    assert streaming.response.closed
    assert not second.bodies
    assert books(world) == ("void", 0, 503, "store_down")


async def test_a_careful_gateway_dispatches_only_what_is_durable():
    world = World(wait_for_durable_hold=True)
    world.ledger.durable_at_once = False
    (node,) = world.serve(says(completion()))
    exchange = world.ask()
    await soon(lambda: world.ledger.holds)
    await asyncio.sleep(0)
    assert not node.bodies
    world.ledger.holds[0].durable.set_result(None)
    await over(exchange)
    assert exchange.status == 200

    exchange = world.ask()
    await soon(lambda: len(world.ledger.holds) == 2)
    world.ledger.closings.clear()
    world.ledger.fail()
    await over(exchange)
    assert exchange.status == 503
    assert len(node.bodies) == 1
    assert books(world)[0] == "void"


async def test_a_hold_that_becomes_durable_late_does_not_start_an_answer_that_was_given_up():
    world = World()
    world.ledger.durable_at_once = False
    dead, alive = Streaming(), Streaming()
    world.serve(dead, alive)
    exchange = world.ask(stream=True)
    await dead.feed(ROLE, chunk("from the dead"))
    dead.response.cut()
    await alive.feed(ROLE)
    world.ledger.holds[0].durable.set_result(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert exchange.heads == 0
    await alive.feed(chunk("Hello"), FINISH, DONE)
    alive.response.finish()
    await over(exchange)
    assert b"from the dead" not in exchange.sent
    assert exchange.headers["x-mira-node"] == "node-1"


# Clients that leave


async def test_a_client_that_leaves_before_its_call_went_out_pays_nothing():
    world = World()
    (node,) = world.serve(says(completion()))
    exchange = world.ask()
    await soon(lambda: world.ledger.holds)
    exchange.leave()
    await over(exchange)
    assert books(world) == ("void", 0, 499, "client_left")
    assert not node.bodies


async def test_a_client_that_leaves_while_it_sends_is_recorded_without_a_hold():
    world = World()
    world.serve(says(completion()))
    exchange = world.ask()
    exchange.leave()
    await over(exchange)
    assert not world.ledger.holds
    assert (world.ledger.recorded[0].status, world.ledger.recorded[0].error) == (499, "client_left")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_before_the_head_closes_the_upstream_and_pays_its_input(stream):
    world = World()
    first, second = world.serve(hangs(), says(completion()))
    exchange = world.ask(stream=stream)
    await first.asked.wait()
    first.health.faults = 1
    exchange.leave()
    await over(exchange)
    assert "left node-0" in world.diary
    assert books(world)[:3] == ("settle", PROMPT_NANOCREDITS, 499)
    assert not second.bodies
    assert first.health.faults == 1, "a client that leaves says nothing about the node"


async def test_a_client_that_leaves_before_a_whole_answer_is_read_pays_its_input():
    world = World()

    async def slow(node, number):
        return Slow(node.diary)

    world.serve(slow)
    exchange = world.ask()
    await soon(lambda: "read" in world.diary)
    exchange.leave()
    await over(exchange)
    assert "closed" in world.diary
    assert books(world)[:3] == ("settle", PROMPT_NANOCREDITS, 499)


async def test_a_client_that_leaves_before_the_content_closes_the_upstream_and_pays_its_input():
    world = World()
    streaming = Streaming()
    world.serve(streaming)
    exchange = world.ask(stream=True)
    await streaming.feed(ROLE)
    exchange.leave()
    assert streaming.response.closed
    await over(exchange)
    assert books(world)[:3] == ("settle", PROMPT_NANOCREDITS, 499)


async def test_a_client_that_leaves_mid_stream_pays_for_what_the_upstream_had_said():
    world = World()
    streaming = Streaming()
    world.serve(streaming)
    exchange = world.ask(stream=True)
    await streaming.feed(ROLE, *(chunk(" word") for _ in range(5)))
    exchange.leave()
    assert streaming.response.closed
    await over(exchange)
    assert books(world)[:3] == ("settle", PROMPT_NANOCREDITS + 5 * 2_000, 499)
    assert not exchange.ended


async def test_a_client_that_leaves_after_the_usage_pays_the_usage():
    world = World()
    streaming = Streaming()
    world.serve(streaming)
    exchange = world.ask(stream=True)
    await streaming.feed(ROLE, chunk("Hello"), FINISH, chunk(usage=USAGE))
    exchange.leave()
    await over(exchange)
    assert books(world)[1] == USAGE_NANOCREDITS


async def test_a_client_that_leaves_while_its_bill_is_written_is_billed_once():
    world = World()
    world.serve(says(completion()))
    exchange = world.ask()
    await soon(lambda: world.ledger.closings)
    exchange.leave()
    await over(exchange)
    assert books(world)[:3] == ("settle", USAGE_NANOCREDITS, 200)


# Upstreams that fail


@pytest.mark.parametrize("said", [(), (ROLE,)])
async def test_a_stream_cut_before_its_content_is_voided_where_nobody_else_answers(said):
    world = World()
    (node,) = world.serve(plays(*said, cut=True))
    exchange = await world.answered(stream=True)
    assert exchange.status == 502
    assert books(world) == ("void", 0, 502, "upstream_failed")
    assert node.health.faults == 1


@pytest.mark.parametrize("clean", [False, True])
async def test_a_stream_cut_after_content_ends_in_an_error_and_bills_what_came(clean):
    world = World()
    first, second = world.serve(plays(ROLE, chunk("one"), chunk(" two"), cut=not clean), says(completion()))
    exchange = await world.answered(stream=True)
    assert exchange.status == 200
    assert "[DONE]" not in exchange.events
    assert exchange.events[-1]["error"]["code"] == "upstream_error"
    assert books(world) == ("settle", PROMPT_NANOCREDITS + 2 * 2_000, 200, "upstream_failed")
    assert not second.bodies, "never another node once content has flowed"
    assert first.health.faults == 1


async def test_an_error_in_the_stream_ends_it_and_its_words_are_not_billed():
    world = World()
    told = {"error": {"message": "the words of an error " * 50, "type": "server_error"}}
    world.serve(plays(ROLE, chunk("one"), told, chunk("after")))
    exchange = await world.answered(stream=True)
    assert "error" in exchange.events[-1]
    assert b"after" not in exchange.sent
    assert b"the words" not in exchange.sent
    assert books(world) == ("settle", PROMPT_NANOCREDITS + 2_000, 200, "upstream_failed")
    assert "closed" in world.diary


async def test_an_error_in_the_stream_before_content_goes_to_another_node():
    world = World()
    told = {"error": {"message": "overloaded", "type": "overloaded_error"}}
    world.serve(plays(ROLE, told), plays(ROLE, chunk("Hello"), FINISH, DONE))
    exchange = await world.answered(stream=True)
    assert exchange.headers["x-mira-node"] == "node-1"
    assert len(world.ledger.closings) == 1


# Mira itself


@pytest.mark.parametrize("stream", [False, True])
async def test_a_shutdown_before_content_gives_the_hold_back_and_says_503(stream):
    world = World()
    first, second = world.serve(hangs(), says(completion()))
    exchange = world.ask(stream=stream)
    await first.asked.wait()
    exchange.task.cancel()
    await over(exchange)
    assert exchange.status == 503
    assert books(world) == ("void", 0, 503, "unavailable")
    assert not second.bodies


async def test_a_shutdown_mid_stream_ends_in_an_error_and_bills_what_came():
    world = World()
    streaming = Streaming()
    world.serve(streaming)
    exchange = world.ask(stream=True)
    await streaming.feed(ROLE, chunk("one"), chunk(" two"))
    exchange.task.cancel()
    await over(exchange)
    assert exchange.events[-1]["error"]["code"] == "overloaded"
    assert exchange.ended
    assert streaming.response.closed
    assert books(world) == ("settle", PROMPT_NANOCREDITS + 2 * 2_000, 200, "unavailable")


async def test_a_ledger_that_closes_mid_stream_ends_the_stream_in_an_error():
    world = World()
    world.ledger.settle_fault = MiraError(Kind.STORE_DOWN, "the ledger does not answer")
    world.serve(plays(ROLE, chunk("one"), FINISH, DONE))
    exchange = await world.answered(stream=True)
    assert exchange.heads == 1
    assert exchange.events[-1]["error"]["code"] == "store_unavailable"
    assert len(world.ledger.closings) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_fault_of_the_ledger_is_not_the_nodes_and_calls_nobody_else(stream):
    world = World()
    world.ledger.settle_fault = RuntimeError("a fault of ours")
    said = plays(ROLE, chunk("one"), FINISH, DONE) if stream else says(completion())
    first, second = world.serve(said, says(completion()))
    exchange = await world.answered(stream=stream)
    assert not second.bodies
    assert first.health.faults == 0
    assert len(world.ledger.closings) == 1
    assert exchange.status == (200 if stream else 500)
    if stream:
        assert exchange.events[-1]["error"]["code"] == "internal_error"


async def test_running_streams_tell_the_ledger_what_a_crash_would_cost():
    world = World()
    streaming = Streaming()
    world.serve(streaming)
    exchange = world.ask(stream=True)
    await streaming.feed(ROLE, chunk("one"))
    world.counter.busy = True  # the prompt counts by its size; nobody is asked
    world.relay.checkpoint()
    await streaming.feed(chunk(" two"))
    world.relay.checkpoint()
    (first, before), (second, after) = world.ledger.checkpoints
    assert first == second == "req_1"
    assert before > 2_000
    assert after == before + 2_000
    await streaming.feed(FINISH, DONE)
    streaming.response.finish()
    await over(exchange)
    world.relay.checkpoint()
    assert len(world.ledger.checkpoints) == 2


async def test_a_checkpoint_is_never_more_than_the_hold():
    world = World()
    dear = Price(input_picocredits=0, output_picocredits=PRICE.output_picocredits)
    streaming = Streaming()
    world.serve(streaming, prices=(dear,))
    exchange = world.ask(stream=True, max_tokens=2)
    await streaming.feed(ROLE, *(chunk(" word") for _ in range(9)))
    world.relay.checkpoint()
    assert world.ledger.checkpoints[0][1] == world.ledger.holds[0].amount_nanocredits == 2 * 2_000
    exchange.leave()
    await over(exchange)


async def test_a_node_that_never_stops_is_cut_and_its_client_told():
    world = World()
    streaming = Streaming()
    world.serve(streaming)
    exchange = world.ask(stream=True, max_tokens=2)
    await streaming.feed(ROLE, *(chunk(" word") for _ in range(900)))
    world.relay.checkpoint()
    assert not streaming.response.closed
    await streaming.feed(*(chunk(" word") for _ in range(200)))
    world.relay.checkpoint()
    assert streaming.response.closed
    await over(exchange)
    assert exchange.events[-1]["error"]["code"] == "upstream_error"
    assert books(world)[0] == "settle"


# Slow clients


async def test_a_client_that_reads_slowly_slows_the_node_down():
    world = World()
    streaming = Streaming()
    world.serve(streaming)
    exchange = world.ask(stream=True)
    await streaming.feed(ROLE, chunk("one"))
    assert not streaming.response.paused
    exchange.paused = True
    await streaming.feed(chunk(" two"))
    assert streaming.response.paused == 1
    exchange.read_on()
    assert streaming.response.resumed == 1
    await streaming.feed(chunk(" three"))
    assert streaming.response.paused == 1
    await streaming.feed(FINISH, DONE)
    streaming.response.finish()
    await over(exchange)
    assert exchange.events[-1] == "[DONE]"


async def test_nothing_answers_where_no_node_can_be_reached():
    world = World()
    nodes = world.serve(breaks(), breaks())
    exchange = await world.answered()
    assert exchange.status == 502
    assert books(world) == ("void", 0, 502, "upstream_failed")
    assert [len(node.bodies) for node in nodes] == [1, 1]


class Slow(Streaming):
    """A response whose body never comes."""

    status = 200

    def __init__(self, diary):
        super().__init__()
        self.diary = diary

    def header(self, name):
        return None

    async def read(self, limit_bytes):
        self.diary.append("read")
        await asyncio.get_running_loop().create_future()

    def close(self):
        self.diary.append("closed")
