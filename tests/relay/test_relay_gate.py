"""The gate before the body: who waits is served, who is sent away learns it at once and costs nothing, nobody is lost."""

import asyncio

import pytest
from relay_fakes import World, completion, over, says

from mira.calls.gate import Gate
from mira.collaborators import ClientLeft
from mira.core.caller import Caller, Face
from mira.core.places import MEASURES
from mira.errors import Kind, MiraError

LATE_S = 1.0


def holding(world):
    """A node that answers each of its calls when it is told."""
    release = asyncio.Event()

    async def script(node, number):
        await release.wait()
        return await says(completion())(node, number)

    world.serve(script)
    return release


async def until(condition):
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0)


async def test_a_call_that_finds_no_place_waits_and_is_served_when_one_comes_free():
    world = World(most_calls=1)
    release = holding(world)
    first, second = world.ask(), world.ask()
    await until(lambda: world.relay.gate.places.waiting == 1)
    assert world.diary.count("body") == 1, "who waits has not been read"
    release.set()
    await over(first)
    await over(second)
    assert (first.status, second.status) == (200, 200)
    assert (world.relay.gate.places.running, world.relay.gate.places.waiting) == (0, 0)


async def test_who_would_wait_too_long_is_sent_away_before_the_body_is_read_and_without_a_row():
    world = World(most_calls=1)
    release = holding(world)
    first, second = world.ask(), world.ask()
    await until(lambda: world.relay.gate.places.waiting == 1)
    third = world.ask()
    await over(third)
    assert third.status == 503
    assert (third.headers["retry-after"], third.headers["x-should-retry"]) == ("1", "true")
    assert third.json["error"]["code"] == "overloaded"
    assert world.diary.count("body") == 1
    assert world.diary.count("reserve") == 1
    assert not world.ledger.recorded
    refused = world.observer.records[-1]
    assert (refused.status, refused.error, refused.workspace_id) == (503, "unavailable", "w")
    release.set()
    await over(first)
    await over(second)


async def test_who_waited_long_enough_is_sent_away():
    world = World(most_calls=1)
    release = holding(world)
    world.relay.gate.longest_wait_s = 0.01
    first, second = world.ask(), world.ask()
    await over(second)
    assert second.status == 503
    assert world.relay.gate.places.waiting == 0
    release.set()
    await over(first)
    assert (first.status, world.relay.gate.places.running) == (200, 0)


async def test_a_client_that_leaves_while_it_waits_leaves_the_line():
    world = World(most_calls=1)
    release = holding(world)
    first, second = world.ask(), world.ask()
    await until(lambda: world.relay.gate.places.waiting == 1)
    second.leave()
    await over(second)
    assert world.relay.gate.places.waiting == 0
    assert world.diary.count("body") == 1
    release.set()
    await over(first)
    assert world.relay.gate.places.running == 0


async def test_a_refused_call_gives_its_place_back():
    world = World(most_calls=1)
    for _ in range(3):
        assert (await world.answered(model="no/such-model")).status == 404
    assert world.relay.gate.places.running == 0


async def test_a_wrong_key_takes_no_place():
    world = World(most_calls=1)
    release = holding(world)
    first = world.ask()
    await until(lambda: world.relay.gate.places.running == 1)
    assert (await world.answered(key="another")).status == 401
    release.set()
    await over(first)


async def test_a_call_that_no_node_has_room_for_takes_no_hold_and_no_row():
    world = World()
    world.serve(says(completion()), says(completion()), max_in_flight=0)
    exchange = await world.answered()
    assert (exchange.status, exchange.headers["retry-after"]) == (503, "1")
    assert "reserve" not in world.diary
    assert not world.ledger.recorded
    assert [record.error for record in world.observer.records] == ["unavailable"]


async def test_workspaces_take_turns():
    world = World(most_calls=1)
    world.keyring.callers["other-key"] = Caller("other", "k2", Face.PROXY)
    release = holding(world)
    gate = world.relay.gate
    # Places come free fast enough for lines.
    for _ in range(50):
        assert gate.places.take()
        gate.leave()
    exchanges = [world.ask() for _ in range(4)]
    await until(lambda: gate.places.waiting == 3)
    quiet = world.ask(key="other-key")
    await until(lambda: gate.places.waiting == 4)
    release.set()
    for exchange in (*exchanges, quiet):
        await over(exchange)
    order = [record.workspace_id for record in world.observer.records]
    assert order.index("other") <= 2, order


# The gate itself


class Client:
    """As much of an exchange as the gate sees."""

    def __init__(self):
        self.gone = False
        self.on_gone = None

    def leave(self):
        self.gone = True
        self.on_gone()


async def taken(most=1):
    gate = Gate(most, lambda: 0.0)
    for _ in range(most):
        await gate.enter("w", Client())
    return gate


@pytest.mark.parametrize("how", ["leaves", "is cancelled"])
async def test_a_turn_that_comes_to_one_who_leaves_in_that_moment_goes_to_the_next(how):
    gate = await taken()
    client = Client()
    leaver = asyncio.create_task(gate.enter("a", client))
    stayer = asyncio.create_task(gate.enter("b", Client()))
    await until(lambda: gate.places.waiting == 2)
    gate.leave()  # the leaver's turn, of which it does not know yet
    if how == "leaves":
        client.leave()
        leaver.cancel()
    else:
        leaver.cancel()
    with pytest.raises(ClientLeft if how == "leaves" else asyncio.CancelledError):
        await leaver
    async with asyncio.timeout(120):
        await stayer
    assert (gate.places.running, gate.places.waiting) == (1, 0)
    gate.leave()
    assert gate.places.running == 0


@pytest.mark.parametrize("how", ["leaves", "is cancelled"])
async def test_a_turn_never_goes_to_one_who_left_just_before(how):
    gate = await taken()
    client = Client()
    leaver = asyncio.create_task(gate.enter("a", client))
    stayer = asyncio.create_task(gate.enter("b", Client()))
    await until(lambda: gate.places.waiting == 2)
    if how == "leaves":
        client.leave()
    else:
        leaver.cancel()
    gate.leave()
    with pytest.raises(ClientLeft if how == "leaves" else asyncio.CancelledError):
        await leaver
    async with asyncio.timeout(120):
        await stayer
    assert (gate.places.running, gate.places.waiting) == (1, 0)


async def test_after_any_storm_every_place_is_free_again():
    gate = Gate(3, lambda: 0.0)
    gate.longest_wait_s = 0.02

    async def visit(number):
        client = Client()
        task = asyncio.create_task(gate.enter(f"w{number % 5}", client))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        if number % 3 == 0:
            task.cancel()
        elif number % 4 == 0 and client.on_gone is not None:
            client.leave()
        try:
            await task
        except (asyncio.CancelledError, ClientLeft, MiraError):
            return
        for _ in range(number % 4):
            await asyncio.sleep(0)
        gate.leave()

    await asyncio.gather(*(visit(number) for number in range(2000)))
    assert (gate.places.running, gate.places.waiting) == (0, 0)
    for _ in range(3):
        assert gate.places.take()


async def test_a_late_loop_lets_fewer_in_and_more_wait():
    gate = await taken(40)
    for _ in range(MEASURES):
        gate.loop_lagged(LATE_S)
    assert gate.places.limit == 36
    waits = asyncio.create_task(gate.enter("w", Client()))
    await until(lambda: gate.places.waiting == 1)
    gate.leave()
    await asyncio.sleep(0)
    assert not waits.done(), "there are more than may be"
    for _ in range(20):
        gate.loop_lagged(0.0)
    async with asyncio.timeout(120):
        await waits
    assert gate.places.running == 40


async def test_what_is_refused_says_what_to_do():
    gate = await taken()
    waits = asyncio.create_task(gate.enter("w", Client()))
    await until(lambda: gate.places.waiting == 1)
    with pytest.raises(MiraError) as refused:
        await gate.enter("w", Client())
    assert (refused.value.kind, refused.value.retry_after_s) == (Kind.UNAVAILABLE, 1.0)
    gate.leave()
    await waits
