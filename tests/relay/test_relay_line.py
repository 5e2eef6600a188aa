"""The straight line of a request: what comes before what, and what is refused before it costs anything."""

import pytest
from relay_fakes import (
    MODEL,
    PRICE,
    USAGE_NANOCREDITS,
    World,
    breaks,
    chunk,
    completion,
    over,
    plays,
    refuses,
    says,
)

from mira.core.caller import Caller, Face
from mira.core.pricing import FREE, Price
from mira.errors import Kind, MiraError


async def test_the_steps_come_in_their_order():
    world = World()
    world.serve(says(completion()))
    exchange = await world.answered()
    assert world.diary == [
        "key", "body", "reserve", "open node-0", "read", "settle", "head 200", "end", "closed",
    ]  # fmt: skip
    assert exchange.headers == {
        "content-type": "application/json",
        "x-request-id": "req_1",
        "x-mira-node": "node-0",
        "x-mira-model": MODEL,
        "x-mira-cost": "0.000017",
    }
    assert exchange.json["usage"]["cost"] == 0.000017


async def test_the_record_says_what_became_of_the_call():
    world = World()
    world.serve(says(completion()))
    await world.answered(headers={b"x-request-id": "mine-1"}, max_tokens=5)
    how, amount, record = world.ledger.closing
    assert (how, amount) == ("settle", USAGE_NANOCREDITS)
    assert (record.request_id, record.client_request_id, record.workspace_id, record.key_id) == (
        "req_1",
        "mine-1",
        "w",
        "k",
    )
    assert (record.face, record.protocol, record.model, record.node) == ("proxy", "chat", MODEL, "node-0")
    assert (record.stream, record.attempts, record.status, record.error) == (False, 1, 200, None)
    assert record.started_at_ms == 1_700_000_000_000
    assert record.first_content_ms == record.duration_ms == 0
    assert record.held_nanocredits == world.ledger.holds[0].amount_nanocredits > USAGE_NANOCREDITS
    assert (record.computed_nanocredits, record.reported_nanocredits) == (USAGE_NANOCREDITS, None)
    assert (record.usage.input_tokens, record.usage.output_tokens, record.usage.estimated) == (11, 3, False)


@pytest.mark.parametrize("hostile", ["a\nb", "é", "\x00"])
async def test_a_clients_request_id_that_could_forge_a_line_is_left_out(hostile):
    world = World()
    world.serve(says(completion()))
    await world.answered(headers={b"x-request-id": hostile})
    assert world.ledger.closing[2].client_request_id is None


async def test_a_wrong_key_is_refused_before_the_body_is_read():
    world = World()
    for key in (None, "", "another"):
        exchange = await world.answered(key=key)
        assert exchange.status == 401
    assert "body" not in world.diary
    assert not world.ledger.recorded


async def test_the_key_may_come_as_x_api_key_and_the_bearer_decides():
    world = World()
    world.serve(says(completion()))
    assert (await world.answered(key=None, headers={b"x-api-key": "the-key"})).status == 200
    assert (await world.answered(key="wrong", headers={b"x-api-key": "the-key"})).status == 401


async def test_a_key_opens_its_own_face_only():
    world = World()
    world.keyring.callers["studio"] = Caller("w", "k2", Face.INFERENCE)
    world.serve(says(completion()))
    assert (await world.answered(key="studio")).status == 403
    assert (await world.answered(face=Face.INFERENCE)).status == 403
    assert (await world.answered(key="studio", face=Face.INFERENCE)).status == 200


async def test_a_scope_may_name_its_models_in_dot_or_dash_form():
    caller = Caller("w", "k", Face.PROXY, frozenset({"anthropic/claude-sonnet-4.5", "x/v1-2"}))
    assert caller.may_use("anthropic/claude-sonnet-4-5")
    assert caller.may_use("anthropic/claude-sonnet-4.5")
    assert caller.may_use("x/v1.2")
    assert not caller.may_use("anthropic/claude-sonnet-4-50")
    assert not caller.may_use("anthropic/claude-sonnet.4-5")
    assert not Caller("w", "k", Face.PROXY, frozenset()).may_use("x/v1.2")
    assert Caller("w", "k", Face.PROXY).may_use("x/v1.2")


async def test_a_model_outside_the_keys_scope_is_refused_and_recorded():
    world = World()
    (node,) = world.serve(says(completion()))
    world.keyring.callers["narrow"] = Caller("w", "k2", Face.PROXY, frozenset({"openai/other"}))
    exchange = await world.answered(key="narrow")
    assert (exchange.status, exchange.json["error"]["code"]) == (403, "model_not_allowed")
    assert not node.bodies
    assert not world.ledger.holds
    assert (world.ledger.recorded[0].status, world.ledger.recorded[0].error) == (403, "model_not_allowed")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (b"content-encoding", "gzip"),
        (b"content-type", "multipart/form-data; boundary=x"),
        (b"content-type", "Image/PNG"),
    ],
)
async def test_other_bodies_than_plain_json_are_refused_unread(header, value):
    world = World()
    exchange = await world.answered(headers={header: value})
    assert exchange.status == 415
    assert "body" not in world.diary


async def test_a_refused_hold_calls_nobody():
    world = World()
    (node,) = world.serve(says(completion()))
    world.ledger.funds = 0
    exchange = await world.answered()
    assert (exchange.status, exchange.json["error"]["details"]) == (402, {"needed": "1"})
    assert not node.bodies
    assert (world.ledger.recorded[0].status, world.ledger.recorded[0].error) == (402, "no_credits")


async def test_a_model_without_a_price_calls_nobody_and_holds_nothing():
    world = World()
    (node,) = world.serve(says(completion()), prices=(None,))
    exchange = await world.answered()
    assert (exchange.status, exchange.json["error"]["code"]) == (400, "model_not_priced")
    assert not node.bodies
    assert not world.ledger.asked


async def test_of_several_nodes_those_without_a_price_are_never_called():
    world = World()
    first, second, third = world.serve(says(completion()), breaks(), says(completion()), prices=(None, PRICE, None))
    exchange = await world.answered()
    assert exchange.status == 502
    assert not first.bodies
    assert len(second.bodies) == 1
    assert not third.bodies


async def test_a_free_model_holds_and_costs_nothing():
    world = World()
    world.ledger.funds = 0
    world.serve(says(completion()), prices=(FREE,))
    exchange = await world.answered()
    assert exchange.headers["x-mira-cost"] == "0"
    assert world.ledger.closing[1] == 0


async def test_a_cap_that_cannot_be_paid_is_clamped_and_told():
    world = World()
    (node,) = world.serve(says(completion()))
    await world.answered(max_tokens=1000)
    bound = world.ledger.asked[0].amount_nanocredits - 1000 * 2000
    world.ledger.funds = bound + 600 * 2000 + 1999
    world.ledger.closings.clear()
    exchange = await world.answered(max_tokens=1000)
    assert exchange.headers["x-mira-max-tokens"] == "600"
    assert node.bodies[1]["max_tokens"] == 600
    assert world.ledger.closing[2].held_nanocredits == world.ledger.funds


async def test_a_cap_is_never_clamped_below_what_is_worth_an_answer():
    world = World()
    world.serve(says(completion()))
    await world.answered(max_tokens=1000)
    asked = world.ledger.asked[0]
    assert asked.amount_nanocredits - asked.least_nanocredits == (1000 - 256) * 2000
    await world.answered(max_tokens=100)
    assert world.ledger.asked[1].amount_nanocredits == world.ledger.asked[1].least_nanocredits


async def test_the_cap_that_was_held_is_always_sent():
    world = World()
    (node,) = world.serve(says(completion()))
    exchange = await world.answered()
    assert node.bodies[0]["max_tokens"] == 1000
    assert "x-mira-max-tokens" not in exchange.headers
    exchange = await world.answered(max_completion_tokens=5000)
    assert node.bodies[1]["max_tokens"] == 1000
    assert "max_completion_tokens" not in node.bodies[1]
    assert exchange.headers["x-mira-max-tokens"] == "1000"


async def test_the_hold_covers_the_dearest_node():
    world = World()
    dear = Price(input_picocredits=5_000_000, output_picocredits=9_000_000)
    world.serve(says(completion()), says(completion()), prices=(PRICE, dear))
    await world.answered()
    other = World()
    other.serve(says(completion()), prices=(dear,))
    await other.answered()
    assert world.ledger.asked[0].amount_nanocredits == other.ledger.asked[0].amount_nanocredits


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_before_content_goes_to_another_node(stream):
    world = World()
    good = plays(chunk("Hi"), chunk(finish="stop"), b"data: [DONE]\n\n") if stream else says(completion())
    world.serve(breaks(), refuses(500), good)
    exchange = await world.answered(stream=stream)
    assert exchange.status == 200
    assert exchange.headers["x-mira-node"] == "node-2"
    assert world.ledger.closing[2].attempts == 3
    assert world.diary.count("reserve") == 1


async def test_attempts_are_bounded_and_the_last_error_is_told():
    world = World()
    nodes = world.serve(breaks(), refuses(500), refuses(503), says(completion()))
    exchange = await world.answered()
    assert exchange.status == 503
    assert not nodes[3].bodies
    how, amount, record = world.ledger.closing
    assert (how, amount, record.attempts, record.status, record.error) == ("void", 0, 3, 503, "unavailable")


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_request_that_is_itself_wrong_is_tried_once(status):
    world = World()
    first, second = world.serve(refuses(status), says(completion()))
    exchange = await world.answered()
    assert exchange.status in (400, 413)
    assert not second.bodies
    assert first.health.faults == 0
    assert world.ledger.closing[0] == "void"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_wrong_request_told_inside_a_200_is_tried_once(stream):
    told = {"error": {"message": "bad", "type": "invalid_request_error", "code": None}}
    world = World()
    _, second = world.serve(plays(told) if stream else says(told), says(completion()))
    exchange = await world.answered(stream=stream)
    assert exchange.status == 400
    assert not second.bodies


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_an_upstreams_quarrel_with_our_account_is_never_the_clients(status):
    world = World()
    world.serve(refuses(status, "Incorrect API key provided: sk-upstream"))
    exchange = await world.answered()
    assert exchange.status == 502
    assert b"sk-upstream" not in exchange.sent
    assert exchange.headers["x-should-retry"] == "false"


async def test_retry_after_reaches_the_client_and_rests_the_node():
    world = World()
    (node,) = world.serve(refuses(429, headers={b"retry-after": "7"}))
    exchange = await world.answered()
    assert (exchange.status, exchange.headers["retry-after"]) == (429, "7")
    block = node.health.lanes[MODEL].block
    assert (block.state, block.until_s) == ("limited", world.now_s + 7)


@pytest.mark.parametrize(
    ("headers", "message", "waits_s"),
    [
        ({b"retry-after": "1.5"}, "", 1.5),
        ({b"retry-after-ms": "2500", b"retry-after": "3"}, "", 2.5),
        (
            {b"retry-after": "Sun, 22 Nov 2026 08:00:30 GMT", b"date": "Sun, 22 Nov 2026 08:00:00 GMT"},
            "",
            30.0,
        ),
        ({b"retry-after": "Sun, 22 Nov 2026 08:00:30 GMT", b"date": "Sun, 22 Nov 2026 09:00:00 GMT"}, "", 0.0),
        ({b"retry-after": "20"}, "Please try again in 6ms.", 20.0),
        ({b"retry-after": "1"}, "Please try again in 20s.", 20.0),
    ],
)
async def test_a_node_that_asks_for_patience_in_any_form_is_left_alone_so_long(headers, message, waits_s):
    world = World()
    (node,) = world.serve(refuses(429, message, headers=headers))
    await world.answered()
    assert node.health.lanes[MODEL].block.until_s == world.now_s + waits_s


@pytest.mark.parametrize("wish", ["soon", "-1", "1e9", "Sun, 99 Nov 2026", "0x10", "9" * 40])
async def test_a_wish_that_is_none_is_passed_over(wish):
    world = World()
    (node,) = world.serve(refuses(429, headers={b"retry-after": wish}))
    await world.answered()
    block = node.health.lanes[MODEL].block
    assert block.state == "limited"
    assert 4 < block.until_s - world.now_s < 6


@pytest.mark.parametrize("body", [b"", b"garbage", {"choices": []}, {"error": {"message": "x"}}, b"[1]", b"null"])
async def test_an_answer_that_is_none_goes_to_another_node(body):
    world = World()
    world.serve(says(body), says(completion()))
    assert (await world.answered()).headers["x-mira-node"] == "node-1"


async def test_a_node_that_answers_is_well_again():
    world = World()
    (node,) = world.serve(says(completion()))
    node.health.faults = 2
    await world.answered()
    assert node.health.faults == 0


async def test_no_node_left_says_what_the_last_one_said():
    world = World()
    node, full = world.serve(refuses(500), says(completion()))
    full.max_in_flight = 0
    assert (await world.answered()).status == 502
    node.obstacle = MiraError(Kind.UNAVAILABLE, "loading", retry_after_s=3)
    exchange = await world.answered()
    assert (exchange.status, exchange.headers["retry-after"]) == (503, "3")


async def test_in_flight_counts_go_back_whatever_happens():
    world = World()
    nodes = world.serve(breaks(), refuses(500), says(completion()))
    exchange = world.ask()
    await over(exchange)
    assert [node.health.in_flight for node in nodes] == [0, 0, 0]


async def test_an_error_inside_mira_is_500_in_the_protocols_shape_and_gives_the_hold_back():
    world = World()
    world.serve(says(completion()))
    world.catalog.routes[MODEL].offers[0].node.codec = None  # a fault of ours, between the hold and the call
    exchange = await world.answered()
    assert (exchange.status, exchange.json["error"]["type"]) == (500, "server_error")
    how, _, record = world.ledger.closing
    assert (how, record.status, record.error) == ("void", 500, "internal")
