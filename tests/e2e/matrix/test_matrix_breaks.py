"""Answers that do not end well, in every protocol of clients over every protocol of nodes: faults, cuts, clients that leave."""

import asyncio

import pytest
from tests.e2e.matrix.cells import cells, check_record, nanocredits, statement, streamed
from tests.e2e.matrix.nodes import NODE_RESPONSES
from tests.e2e.protocols import cost_nanocredits
from tests.e2e.wire_client import WireClient
from tests.support.gateway import PROXY_KEY, eventually
from tests.support.said import Counts, Said
from tests.support.schemas import check
from tests.support.upstream import FIN, Cut, Moment, Turn, answers, hangs

SAID = Said(texts=("One", " two", " three", " four"), counts=Counts(input=9, output=4))
#: The texts that come before the break, one token each.
CAME = 3
#: The o200k tokens of the question and the instructions, with the role of each that is told.
WORDS = {"chat": 11, "messages": 10, "responses": 10}
#: What a vendor's tokenizer makes more of the same words, in hundredths, where it is not OpenAI's.
HUNDREDTHS = {"anthropic": 130, "gemini": 105}
#: 3 tokens for each of the two messages, of which the instructions are one, and 3 for the reply.
FIXED = 9


def partial(surface, node) -> tuple[Counts, bool]:
    """What a broken stream is billed as, and whether Mira had to count any of it."""
    if node.name == "gemini":
        # Every event of Gemini's tells the usage so far.
        return Counts(input=9, output=CAME), False
    told = node.behind.wire.early_counts
    return Counts(input=9 if told else prompt(surface, node), output=CAME), True


def prompt(surface, node) -> int:
    """What Mira counts where the node told no prompt."""
    return -(-WORDS[surface.name] * HUNDREDTHS.get(node.name, 100) // 100) + FIXED


@cells
@pytest.mark.parametrize("how", ["told", "cut", "ended"])
def test_a_stream_that_breaks_ends_in_the_protocols_error_and_bills_what_came(gateway, upstream, surface, node, how):
    at_client = Moment()
    # The vendor's own error, a connection that is lost, and a body that ends in order without the answer's end.
    then: dict[str, list[bytes | Cut]] = {"told": [node.behind.wire.fault], "cut": [FIN], "ended": []}
    upstream.script(node.behind.bare, node.behind.wire.begins(SAID, [at_client, *then[how]], texts=CAME))
    held = gateway.balance()["held"]
    headers = {"authorization": f"Bearer {PROXY_KEY}"}
    data = b""
    body = surface.ask(node.behind.model, True)
    with gateway.http.stream("POST", surface.path, json=body, headers=headers) as response:
        for piece in response.iter_bytes():
            data += piece
            if b" three" in data:
                at_client.happen()
    seen = surface.read_stream(data)
    assert seen.text == "One two three"
    assert seen.error is not None
    assert (seen.finish, seen.counts) == (None, None)
    assert b"secret" not in data
    record = gateway.call(response.headers["x-request-id"])
    assert record["status"] == 200
    assert record["error"] == ("unavailable" if how == "told" and node is not NODE_RESPONSES else "upstream_failed")
    counts, estimated = partial(surface, node)
    check_record(gateway, record, counts, cost_nanocredits(counts), estimated=estimated)
    assert gateway.balance()["held"] == held
    assert len(upstream.received(1)) == 1


@cells
@streamed
@pytest.mark.parametrize(("told", "status", "kind"), [(500, 502, "upstream_failed"), (400, 400, "bad_request")])
def test_a_node_that_refuses_is_the_protocols_error_and_free(
    gateway, upstream, surface, node, stream, told, status, kind
):
    refusal = {"error": {"message": "No, says sk-secret-0123456789.", "type": "invalid_request_error"}}
    upstream.script(node.behind.bare, answers(refusal, told))
    check_refusal(gateway, gateway.post(surface.path, surface.ask(node.behind.model, stream)), surface, status, kind)


@cells
def test_a_whole_answer_that_is_cut_is_the_protocols_error_and_free(gateway, upstream, surface, node):
    async def script(turn: Turn) -> None:
        await turn.head(200, length=1_000)
        await turn.send(b'{"id":"x","secret')
        turn.cut(FIN)

    upstream.script(node.behind.bare, script)
    response = gateway.post(surface.path, surface.ask(node.behind.model, False))
    check_refusal(gateway, response, surface, 502, "upstream_failed")


def check_refusal(gateway, response, surface, status, kind):
    """The error is what the protocol's vendor says an error is, keeps the node's secrets, and costs nothing."""
    assert response.status_code == status
    check(surface.name, "error", response.json())
    assert b"secret" not in response.content
    record = gateway.call(response.headers["x-request-id"])
    assert (record["status"], record["error"]) == (status, kind)
    assert nanocredits(record["cost"]) == 0
    assert all(line["credit"] != "revenue" for line in statement(gateway, record))


@cells
async def test_a_client_that_leaves_a_stream_closes_the_node_and_pays_for_what_came(gateway, upstream, surface, node):
    upstream.script(node.behind.bare, node.behind.wire.begins(SAID, [Moment()], texts=CAME))
    client = await WireClient.ask(gateway, surface.ask(node.behind.model, True), path=surface.path)
    await client.until(1, b" three")
    counts, estimated = partial(surface, node)
    await leave(gateway, upstream, client, counts, estimated=estimated)


@cells
async def test_a_client_that_leaves_before_a_whole_answer_closes_the_node_and_pays_its_prompt(
    gateway, upstream, surface, node
):
    upstream.script(node.behind.bare, hangs())
    client = await WireClient.ask(gateway, surface.ask(node.behind.model, False), path=surface.path)
    await asyncio.to_thread(upstream.received, 1)
    await leave(gateway, upstream, client, Counts(input=prompt(surface, node), output=0), estimated=True)


async def leave(gateway, upstream, client, counts, *, estimated):
    """Lets a client leave, and checks what becomes of its call."""
    (request,) = await asyncio.to_thread(upstream.received, 1)
    await client.leave()
    await asyncio.to_thread(request.closed.wait, 5)
    request_id = request.headers["x-request-id"]

    def written():
        return next((call for call in gateway.admin("GET", "/calls?limit=5")["data"] if call["id"] == request_id), None)

    record = await asyncio.to_thread(eventually, written)
    assert (record["status"], record["error"]) == (499, None)
    check_record(gateway, record, counts, cost_nanocredits(counts), estimated=estimated)
