"""What a model says, in every protocol of clients over every protocol of nodes: words, stops, refusals, forms, caches."""

import json

import pytest
from tests.e2e.asking import SCHEMA, Surface
from tests.e2e.matrix.cells import cells, nanocredits, passes, streamed
from tests.e2e.matrix.nodes import Node
from tests.e2e.surfaces import MESSAGES
from tests.support.said import Counts, Said
from tests.support.schemas import check

STOP = "END"
FOUND = '{"city":"Zürich","celsius":21}'


@cells
@streamed
def test_a_text_is_answered_and_billed_to_the_token(ask, upstream, surface, node, stream):
    behind = node.behind
    said = Said(texts=("Grüezi ", "from ", "afar ☀."), counts=Counts(input=101, output=7))
    upstream.script(behind.bare, *behind.wire.says(said))
    asked = ask(surface, surface.ask(behind.model, stream))
    assert (asked.seen.text, asked.seen.thinking, asked.seen.calls) == ("Grüezi from afar ☀.", "", ())
    assert asked.seen.finish == surface.finishes["stop"]
    asked.check_bill(said.counts)
    assert asked.record["protocol"] == surface.name
    assert asked.record["node"] == behind.kind
    assert asked.dropped == set()
    (request,) = upstream.received(1)
    behind.check(request, stream=stream)
    assert request.model == behind.bare
    assert "Be brief." in request.body.decode()


@cells
@streamed
def test_an_answer_at_its_cap_says_so(ask, upstream, surface, node, stream):
    said = Said(texts=("Once upon", " a"), length=True, counts=Counts(input=15, output=16))
    upstream.script(node.behind.bare, *node.behind.wire.says(said))
    asked = ask(surface, surface.with_cap(surface.ask(node.behind.model, stream), 16))
    assert asked.seen.text == "Once upon a"
    assert asked.seen.finish == surface.finishes["length"]
    asked.check_bill(said.counts)
    assert node.behind.cap(upstream.received(1)[0].json) == 16


@cells
@streamed
def test_an_answer_that_meets_a_stop_sequence_says_so_where_both_sides_can(
    gateway, ask, upstream, surface, node, stream
):
    said = Said(texts=("One", " two"), stopped_at=STOP, counts=Counts(input=12, output=4))
    upstream.script(node.behind.bare, *node.behind.wire.says(said))
    body = surface.ask(node.behind.model, stream)
    if surface.with_stop is not None and not node.takes_stop:
        refused(gateway, upstream, surface, surface.with_stop(body, STOP))
        return
    # Responses has no stop sequences: its clients ask for none, and what stopped is complete.
    asked = ask(surface, body if surface.with_stop is None else surface.with_stop(body, STOP))
    assert asked.seen.text == "One two"
    told = node.tells_stop
    assert asked.seen.finish == surface.finishes["sequence" if told else "stop"]
    # Chat Completions has no field for it: a node's own goes through, no other is told.
    named = told and (surface is MESSAGES or passes(surface, node))
    assert asked.seen.stopped_at == (STOP if named else None)
    asked.check_bill(said.counts)
    if surface.with_stop is not None:
        assert node.stop(upstream.received(1)[0].json) == [STOP]


def refused(gateway, upstream, surface: Surface, body):
    """A request whose meaning would change is refused by the field's name, before a node is asked, and is free."""
    response = gateway.post(surface.path, body)
    assert response.status_code == 400
    check(surface.name, "error", response.json())
    field = "stop_sequences" if surface is MESSAGES else "stop"
    assert f"'{field}'" in response.json()["error"]["message"]
    record = gateway.call(response.headers["x-request-id"])
    assert (record["status"], nanocredits(record["cost"])) == (400, 0)
    assert upstream.chats() == []


def finish_of_refusal(surface: Surface, node: Node) -> str:
    """Messages has a reason of its own; the others name a filter where the node gave that as the reason."""
    if surface is MESSAGES or not node.refuses_in_words:
        return surface.finishes["refusal"]
    return surface.finishes["stop"]


@cells
@streamed
def test_a_refusal_keeps_its_words_and_is_none_of_the_answer(ask, upstream, surface, node, stream):
    said = Said(refusal="I will not help with that.", counts=Counts(input=21, output=8))
    upstream.script(node.behind.bare, *node.behind.wire.says(said))
    asked = ask(surface, surface.ask(node.behind.model, stream))
    assert asked.seen.text == ""
    assert asked.seen.refusal == (said.refusal if node.explains_refusal else "")
    assert asked.seen.finish == finish_of_refusal(surface, node)
    asked.check_bill(said.counts)


@cells
@streamed
def test_a_form_reaches_the_node_and_the_answer_that_keeps_to_it_comes_back(ask, upstream, surface, node, stream):
    said = Said(texts=(FOUND[:9], FOUND[9:]), counts=Counts(input=55, output=12))
    upstream.script(node.behind.bare, *node.behind.wire.says(said))
    asked = ask(surface, surface.with_schema(surface.ask(node.behind.model, stream), SCHEMA))
    assert json.loads(asked.seen.text) == {"city": "Zürich", "celsius": 21}
    assert asked.dropped == set()
    asked.check_bill(said.counts)
    assert node.schema(upstream.received(1)[0].json) == SCHEMA


@cells
@streamed
@pytest.mark.parametrize(
    "counts",
    [
        Counts(input=13, cache_read=2_048, output=3),
        Counts(input=13, cache_read=2_048, cache_write_5m=512, output=3),
        Counts(input=13, cache_read=64, cache_write_5m=512, cache_write_1h=4_096, output=3, reasoning=2),
    ],
    ids=["read", "read-written", "read-written-for-an-hour"],
)
def test_what_came_from_and_went_into_a_cache_is_told_and_costs_its_own_price(
    ask, upstream, surface, node, stream, counts
):
    told = node.told(counts)
    upstream.script(node.behind.bare, *node.behind.wire.says(Said(texts=("Hi.",), counts=told)))
    asked = ask(surface, surface.ask(node.behind.model, stream))
    asked.check_bill(told)
