"""Every protocol of clients over every kind of node: what the client sees, what it costs, what the node was asked."""

from collections.abc import Callable

import pytest
from tests.e2e.asking import Result
from tests.e2e.protocols import (
    BEHIND_ANTHROPIC,
    BEHIND_CHAT,
    BEHIND_GEMINI,
    BEHIND_OPENAI,
    cost_nanocredits,
    nodes,
    prices,
)
from tests.e2e.surfaces import CHAT, MESSAGES, RESPONSES, SURFACES
from tests.support.gateway import PROXY_KEY, Gateway
from tests.support.said import SIGNATURE, Called, Counts, Said
from tests.support.upstream import Moment, Upstream

from mira.core.money import credits_text

CELLS = [(surface, behind) for surface in SURFACES for behind in (BEHIND_CHAT, BEHIND_ANTHROPIC, BEHIND_GEMINI)]
CELLS.append((RESPONSES, BEHIND_OPENAI))
CALLS = (Called("call_1", "weather", '{"city":"Zürich"}'), Called("call_2", "weather", '{"city":"Oslo"}'))
RESULTS = (Result(call_id="call_1", text='{"sky": "☀"}'), Result(call_id="call_2", text="rain, 3 °C"))

cells = pytest.mark.parametrize(
    ("surface", "behind"), CELLS, ids=[f"{surface.name}-{behind.kind}" for surface, behind in CELLS]
)
streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def gateway(scripted: Upstream, make_gateway: Callable[..., Gateway]) -> Gateway:
    """The module's gateway: one node of every kind in front of the upstream."""
    return make_gateway(nodes=nodes(scripted), prices=prices())


@pytest.fixture
def ask(gateway):
    """Asks under a surface and reads the answer: what was seen, and the record of the call."""

    def ask(surface, body, **more):
        response = gateway.post(surface.path, body, **more)
        assert response.status_code == 200, response.text
        seen = surface.read(response.content, stream=body["stream"])
        record = gateway.call(response.headers["x-request-id"])
        if not body["stream"]:
            assert response.headers["x-mira-cost"] == record["cost"]
        return seen, record

    return ask


def check_bill(seen, record, counts):
    cost = credits_text(cost_nanocredits(counts))
    assert seen.counts == counts
    assert float(seen.cost) == float(cost)
    assert record["cost"] == cost
    assert record["usage"] == {
        "prompt_tokens": counts.prompt,
        "completion_tokens": counts.completion,
        "total_tokens": counts.prompt + counts.completion,
        "cache_read_tokens": counts.cache_read,
        "cache_write_tokens": 0,
        "reasoning_tokens": counts.reasoning,
        "estimated": False,
    }
    assert record["status"] == 200
    assert record["error"] is None


@cells
@streamed
def test_a_text_is_answered_and_billed_to_the_token(ask, upstream, surface, behind, stream):
    said = Said(texts=("Grüezi ", "from ", "afar ☀."), counts=Counts(input=101, output=7))
    upstream.script(behind.bare, *behind.wire.says(said))
    seen, record = ask(surface, surface.ask(behind.model, stream))
    assert (seen.text, seen.thinking, seen.calls) == ("Grüezi from afar ☀.", "", ())
    assert seen.finish == surface.finishes["stop"]
    check_bill(seen, record, said.counts)
    assert record["protocol"] == surface.name
    assert record["node"] == behind.kind
    (request,) = upstream.received(1)
    behind.check(request, stream=stream)
    assert request.model == behind.bare
    assert "Be brief." in request.body.decode()


@cells
@streamed
def test_parallel_tools_go_out_and_their_results_come_back(ask, upstream, surface, behind, stream):
    first = Said(texts=("Let me look.",), calls=CALLS, counts=Counts(input=40, output=22))
    second = Said(texts=("Sun", " and rain."), counts=Counts(input=90, output=5))
    upstream.script(behind.bare, *behind.wire.says(first, second))
    asked = surface.with_tools(surface.ask(behind.model, stream))
    seen, record = ask(surface, asked)
    assert seen.text == "Let me look."
    assert seen.calls == CALLS
    assert seen.finish == surface.finishes["tools"]
    check_bill(seen, record, first.counts)
    seen, record = ask(surface, surface.go_on(asked, seen, RESULTS))
    assert seen.text == "Sun and rain."
    check_bill(seen, record, second.counts)
    request = upstream.received(2)[1]
    behind.check(request, stream=stream)
    assert behind.calls(request.json) == [(call.id, call.name) for call in CALLS]
    assert behind.results(request.json) == [(result.call_id, result.text) for result in RESULTS]


@cells
@streamed
def test_thinking_is_asked_for_shown_and_billed(ask, upstream, surface, behind, stream):
    said = Said(thinking="Let me see … ✓", texts=("42.",), counts=Counts(input=15, output=3, reasoning=30))
    upstream.script(behind.bare, *behind.wire.says(said))
    seen, record = ask(surface, surface.with_thinking(surface.ask(behind.model, stream)))
    assert (seen.thinking, seen.text) == ("Let me see … ✓", "42.")
    check_bill(seen, record, said.counts)
    assert behind.thinks(upstream.received(1)[0].json)


@cells
@streamed
def test_an_answer_at_its_cap_says_so(ask, upstream, surface, behind, stream):
    said = Said(texts=("Once upon", " a"), length=True, counts=Counts(input=15, output=16))
    upstream.script(behind.bare, *behind.wire.says(said))
    seen, record = ask(surface, surface.with_cap(surface.ask(behind.model, stream), 16))
    assert seen.text == "Once upon a"
    assert seen.finish == surface.finishes["length"]
    check_bill(seen, record, said.counts)
    assert behind.cap(upstream.received(1)[0].json) == 16


@cells
@streamed
def test_what_came_from_a_cache_is_told_and_costs_its_own_price(ask, upstream, surface, behind, stream):
    said = Said(texts=("Hi.",), counts=Counts(input=13, cache_read=2_048, output=3))
    upstream.script(behind.bare, *behind.wire.says(said))
    seen, record = ask(surface, surface.ask(behind.model, stream))
    check_bill(seen, record, said.counts)


@cells
@pytest.mark.parametrize("told", [True, False], ids=["told", "cut"])
def test_a_stream_that_breaks_ends_in_the_protocols_error_and_bills_what_came(gateway, upstream, surface, behind, told):
    said = Said(texts=("Half of", " it."), counts=Counts(input=9, output=4))
    at_client = Moment()
    upstream.script(behind.bare, behind.wire.breaks(said, at_client, told=told))
    held = gateway.balance()["held"]
    response, data = read_until(gateway, surface, surface.ask(behind.model, True), b"Half of", at_client)
    seen = surface.read_stream(data)
    assert seen.text == "Half of"
    assert seen.error is not None
    assert seen.finish is None
    assert b"secret" not in data
    record = gateway.call(response.headers["x-request-id"])
    assert record["status"] == 200
    assert record["error"] == ("upstream_failed" if not told or behind is BEHIND_OPENAI else "unavailable")
    spent = Counts(input=record["usage"]["prompt_tokens"], output=record["usage"]["completion_tokens"])
    assert spent.output > 0
    assert spent.input == 9 if behind.wire.early_counts else spent.input > 0
    assert record["cost"] == credits_text(cost_nanocredits(spent))
    assert gateway.balance()["held"] == held
    assert len(upstream.received(1)) == 1
    gateway.check_ledger()


def read_until(gateway, surface, body, what, moment):
    """The whole answer; the moment happens once something was read."""
    headers = {"authorization": f"Bearer {PROXY_KEY}"}
    with gateway.http.stream("POST", surface.path, json=body, headers=headers) as response:
        data = b""
        for piece in response.iter_bytes():
            data += piece
            if what in data:
                moment.happen()
    return response, data


# What goes to the node beside the body


def test_an_anthropic_node_gets_the_clients_version_and_betas_where_its_request_passes_through(gateway, upstream):
    upstream.script(BEHIND_ANTHROPIC.bare, *BEHIND_ANTHROPIC.wire.says(Said(texts=("Hi.",))))
    told = {"anthropic-version": "2026-10-21", "anthropic-beta": "one-2026,two-2026", "x-other": "not for the node"}
    body = MESSAGES.ask(BEHIND_ANTHROPIC.model, stream=False)
    assert gateway.post(MESSAGES.path, body, headers=told).status_code == 200
    headers = upstream.received(1)[0].headers
    assert headers["anthropic-version"] == "2026-10-21"
    assert headers["anthropic-beta"] == "one-2026,two-2026"
    assert "x-other" not in headers


@pytest.mark.parametrize("surface", [CHAT, RESPONSES], ids=lambda surface: surface.name)
def test_an_anthropic_node_gets_miras_version_where_its_request_is_translated(gateway, upstream, surface):
    upstream.script(BEHIND_ANTHROPIC.bare, *BEHIND_ANTHROPIC.wire.says(Said(texts=("Hi.",))))
    told = {"anthropic-version": "2026-10-21", "anthropic-beta": "one-2026"}
    assert gateway.post(surface.path, surface.ask(BEHIND_ANTHROPIC.model, False), headers=told).status_code == 200
    headers = upstream.received(1)[0].headers
    assert headers["anthropic-version"] == "2023-06-01"
    assert "anthropic-beta" not in headers


@pytest.mark.parametrize("behind", [BEHIND_CHAT, BEHIND_GEMINI, BEHIND_OPENAI], ids=lambda behind: behind.kind)
def test_no_other_node_gets_anthropic_headers(gateway, upstream, behind):
    surface = RESPONSES if behind is BEHIND_OPENAI else MESSAGES
    upstream.script(behind.bare, *behind.wire.says(Said(texts=("Hi.",))))
    told = {"anthropic-version": "2026-10-21", "anthropic-beta": "one-2026"}
    assert gateway.post(surface.path, surface.ask(behind.model, False), headers=told).status_code == 200
    assert not told.keys() & upstream.received(1)[0].headers.keys()


@streamed
@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
def test_signed_thinking_goes_back_to_the_anthropic_node_that_signed_it(ask, upstream, surface, stream):
    said = Said(thinking="Hm.", calls=CALLS, counts=Counts(output=9, reasoning=4))
    upstream.script(BEHIND_ANTHROPIC.bare, *BEHIND_ANTHROPIC.wire.says(said, Said(texts=("Sun.",))))
    asked = surface.with_thinking(surface.with_tools(surface.ask(BEHIND_ANTHROPIC.model, stream)))
    seen, _ = ask(surface, asked)
    ask(surface, surface.go_on(asked, seen, RESULTS))
    turn = upstream.received(2)[1].json["messages"][1]
    assert turn["role"] == "assistant"
    assert turn["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": SIGNATURE}
    assert [block["type"] for block in turn["content"][1:]] == ["tool_use", "tool_use"]


@streamed
@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
def test_the_signature_of_a_gemini_call_goes_back_with_it(ask, upstream, surface, stream):
    upstream.script(BEHIND_GEMINI.bare, *BEHIND_GEMINI.wire.says(Said(calls=CALLS), Said(texts=("Sun.",))))
    asked = surface.with_tools(surface.ask(BEHIND_GEMINI.model, stream))
    seen, _ = ask(surface, asked)
    ask(surface, surface.go_on(asked, seen, RESULTS))
    parts = upstream.received(2)[1].json["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts if "functionCall" in part] == [SIGNATURE, None]
