"""Silence: what a client hears while its node thinks, and what that costs the choice of another node."""

import asyncio

import pytest
from relay_fakes import DONE, ROLE, USAGE, FakeResponse, Streaming, World, chunk, completion, over, plays, says, soon

from mira.calls.silence import SILENT_TICKS

SIGN = b": keepalive\n\n"
REST = (chunk("Hello"), chunk(finish="stop"), chunk(usage=USAGE), DONE)


def tick(world, times=SILENT_TICKS):
    for _ in range(times):
        world.relay.keep_alive()


class Gated:
    """A node that says nothing at all until it may."""

    def __init__(self, script):
        self.asked = asyncio.Event()
        self.may = asyncio.Event()
        self._script = script

    async def __call__(self, node, number):
        self.asked.set()
        await self.may.wait()
        return await self._script(node, number)


async def test_a_silent_answer_begins_with_a_sign_of_life_and_ends_as_any_other():
    world = World()
    script = Streaming()
    world.serve(script)
    exchange = world.ask(stream=True)
    await script.feed(ROLE)
    # A call begins between two ticks, so the first one does not count.
    tick(world)
    assert exchange.heads == 0
    tick(world, 1)
    assert (exchange.status, exchange.sent) == (200, SIGN)
    # Which node will have answered is not known yet.
    assert "x-mira-node" not in exchange.headers
    assert exchange.headers["x-mira-model"]
    tick(world)
    assert exchange.sent == SIGN * 2
    await script.feed(*REST)
    script.response.finish()
    await over(exchange)
    assert exchange.heads == 1
    assert exchange.ended
    assert exchange.sent.startswith(SIGN * 2 + b"data: ")
    assert exchange.sent.endswith(DONE)
    how, _, record = world.ledger.closing
    assert (how, record.status, record.error) == ("settle", 200, None)
    assert not world.relay.awaited


async def test_an_answer_that_speaks_gets_no_sign_and_one_that_stops_does():
    world = World()
    script = Streaming()
    world.serve(script)
    exchange = world.ask(stream=True)
    for _ in range(5):
        await script.feed(chunk("x"))
        tick(world, SILENT_TICKS)
    assert SIGN not in exchange.sent
    tick(world, 1)
    assert exchange.sent.count(SIGN) == 1
    script.response.finish()
    await over(exchange)
    tick(world, 5)
    assert exchange.sent.count(SIGN) == 1


async def test_after_a_sign_a_failure_of_the_last_node_is_an_error_in_the_stream():
    world = World()
    gated = Gated(says({"error": {"message": "full", "type": "x", "code": None}}, 503))
    (first,) = world.serve(gated)
    exchange = world.ask(stream=True)
    await gated.asked.wait()
    tick(world, SILENT_TICKS + 1)
    assert exchange.sent == SIGN
    gated.may.set()
    await over(exchange)
    assert exchange.ended
    assert b'"code":"overloaded"' in exchange.sent
    assert b'"request_id":"req_1"' in exchange.sent
    assert DONE not in exchange.sent
    how, _, record = world.ledger.closing
    assert (how, record.status, record.error) == ("void", 200, "unavailable")
    assert first.health.faults == 1


async def test_after_a_sign_and_before_content_another_node_is_asked():
    world = World()
    gated = Gated(says({"error": {"message": "full", "type": "x", "code": None}}, 503))
    world.serve(gated, plays(*REST))
    exchange = world.ask(stream=True)
    await gated.asked.wait()
    tick(world, SILENT_TICKS + 1)
    assert exchange.sent == SIGN
    gated.may.set()
    await over(exchange)
    assert exchange.heads == 1
    assert exchange.sent.startswith(SIGN + b"data: ")
    assert exchange.sent.endswith(DONE)
    assert b"error" not in exchange.sent
    assert world.ledger.closing[2].node == "node-1"


async def test_no_sign_comes_before_the_hold_is_durable():
    world = World()
    world.ledger.durable_at_once = False
    script = Streaming()
    world.serve(script)
    exchange = world.ask(stream=True)
    await script.opened.wait()
    tick(world, 10)
    assert exchange.heads == 0
    world.ledger.holds[0].durable.set_result(None)
    tick(world, 1)
    assert exchange.sent == SIGN
    await script.feed(*REST)
    script.response.finish()
    await over(exchange)
    assert exchange.sent.endswith(DONE)


async def test_a_client_that_does_not_read_gets_no_signs():
    world = World()
    script = Streaming()
    world.serve(script)
    exchange = world.ask(stream=True)
    await script.feed(chunk("x"))
    exchange.paused = True
    tick(world, 10)
    assert SIGN not in exchange.sent
    exchange.read_on()
    script.response.finish()
    await over(exchange)


async def test_a_whole_answer_knows_no_signs():
    world = World()
    gated = Gated(says(completion()))
    world.serve(gated)
    exchange = world.ask()
    await gated.asked.wait()
    tick(world, 10)
    assert exchange.heads == 0
    gated.may.set()
    await over(exchange)
    assert exchange.json["choices"]


@pytest.mark.parametrize("opened", [False, True], ids=["not answering", "answering"])
async def test_a_client_that_leaves_after_a_sign_pays_its_input(opened):
    world = World()
    gated = Gated(Streaming())
    world.serve(gated)
    exchange = world.ask(stream=True)
    await gated.asked.wait()
    if opened:
        gated.may.set()
        await soon(lambda: world.relay.streams)
    tick(world, SILENT_TICKS + 1)
    exchange.leave()
    await over(exchange)
    how, _, record = world.ledger.closing
    assert (how, record.status, record.usage.input_tokens, record.usage.output_tokens) == ("settle", 499, 7, 0)
    assert not world.relay.awaited


async def test_a_shutdown_after_a_sign_is_told_in_the_stream():
    world = World()
    gated = Gated(Streaming())
    world.serve(gated)
    exchange = world.ask(stream=True)
    await gated.asked.wait()
    tick(world, SILENT_TICKS + 1)
    exchange.cancel()
    await over(exchange)
    assert exchange.ended
    assert b"Mira is stopping" in exchange.sent
    assert world.ledger.closing[0] == "void"


async def test_a_cut_after_a_sign_and_before_content_costs_nothing():
    world = World()
    responses = []

    async def script(node, number):
        responses.append(FakeResponse(node.diary))
        return responses[-1]

    world.serve(script)
    exchange = world.ask(stream=True)
    await soon(lambda: responses)
    await responses[0].feed(ROLE)
    tick(world, SILENT_TICKS + 1)
    responses[0].cut()
    await over(exchange)
    # What was held back for another try stays back: the error is all that the client hears.
    assert exchange.sent.startswith(SIGN + b'data: {"error"')
    assert world.ledger.closing[0] == "void"
