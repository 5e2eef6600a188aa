"""Tools and thinking over two turns, in every protocol of clients over every protocol of nodes: calls, results, signatures."""

import pytest
from tests.e2e.asking import Result, Seen
from tests.e2e.matrix.cells import CALLS, CELLS, cells, streamed
from tests.e2e.matrix.nodes import NODE_DETAILS, NODE_GEMINI_3, NODES
from tests.e2e.surfaces import SURFACES
from tests.support.said import SIGNATURE, Counts, Said

RESULTS = (
    Result(call_id="call_1", text='{"sky": "☀"}'),
    Result(call_id="call_2", text="No such city.", failed=True),
    Result(call_id="call_3", text="The map of Oslo:", picture=True),
)
#: Signed thinking over Chat Completions and the newer Gemini differ here, and only here, from their columns.
DETAILED = [*CELLS, *((surface, node) for surface in SURFACES for node in (NODE_DETAILS, NODE_GEMINI_3))]
detailed = pytest.mark.parametrize(
    ("surface", "node"), DETAILED, ids=[f"{surface.name}-{node.name}" for surface, node in DETAILED]
)


@cells
@streamed
def test_parallel_calls_stay_apart_though_their_pieces_come_in_turns(ask, upstream, surface, node, stream):
    said = Said(texts=("Let me look.",), calls=CALLS, interleaved=True, counts=Counts(input=40, output=22))
    frames = b"".join(node.behind.wire.frames(said, "m"))
    if node.interleaves:
        assert pieces_come_in_turns(frames)
    else:
        # Such a node has no way to mix them: each call is over before the next one begins.
        assert not pieces_come_in_turns(frames)
    upstream.script(node.behind.bare, *node.behind.wire.says(said))
    asked = ask(surface, surface.with_tools(surface.ask(node.behind.model, stream)))
    assert asked.seen.text == "Let me look."
    assert asked.seen.calls == CALLS
    assert asked.seen.finish == surface.finishes["tools"]
    asked.check_bill(said.counts)
    (request,) = upstream.received(1)
    assert b"The weather of a city" in request.body


def pieces_come_in_turns(frames: bytes) -> bool:
    """Whether the second call begins before the first one's city was named whole."""
    return 0 < frames.find(b"call_2") < frames.find(b"rich", frames.find(b"call_1"))


@detailed
@streamed
def test_results_with_pictures_and_failures_reach_the_node(ask, upstream, surface, node, stream):
    first = Said(texts=("Let me look.",), calls=CALLS, counts=Counts(input=40, output=22))
    second = Said(texts=("Sun", " and a map."), counts=Counts(input=90, output=5))
    upstream.script(node.behind.bare, *node.behind.wire.says(first, second, second))
    body = surface.with_tools(surface.ask(node.behind.model, stream))
    asked = ask(surface, body)
    asked.check_bill(first.counts)
    body = surface.go_on(body, asked.seen, RESULTS)
    asked = ask(surface, body)
    assert asked.seen.text == "Sun and a map."
    assert asked.dropped == set()
    asked.check_bill(second.counts)
    ask(surface, body).check_bill(second.counts)
    _, request, again = upstream.received(3)
    node.behind.check(request, stream=stream)
    assert node.behind.calls(request.json) == [(call.id, call.name) for call in CALLS]
    assert node.tail(request.json) == node.results(RESULTS, surface)
    # Caches and signatures hang on it: the same request is the same bytes.
    assert request.body == again.body


@detailed
@streamed
def test_thinking_is_shown_billed_and_goes_back_with_what_its_provider_signed(ask, upstream, surface, node, stream):
    thinking = "Let me see … ✓"
    first = Said(thinking=thinking, texts=("I look.",), calls=CALLS, counts=Counts(input=15, output=9, reasoning=30))
    second = Said(thinking="Hm.", texts=("42.",), counts=Counts(input=60, output=3, reasoning=2))
    upstream.script(node.behind.bare, *node.behind.wire.says(first, second))
    body = surface.with_thinking(surface.with_tools(surface.ask(node.behind.model, stream)))
    asked = ask(surface, body)
    assert (asked.seen.thinking, asked.seen.text, asked.seen.calls) == (thinking, "I look.", CALLS)
    asked.check_bill(first.counts)
    results = tuple(Result(call_id=call.id, text="fine") for call in CALLS)
    asked = ask(surface, surface.go_on(body, asked.seen, results))
    assert (asked.seen.thinking, asked.seen.text) == ("Hm.", "42.")
    asked.check_bill(second.counts)
    asking, request = upstream.received(2)
    assert node.behind.thinks(asking.json)
    assert node.thought(request.json) == node.thinking


#: Whose signatures there are, and to whom a client may turn with them. What OpenRouter passes on is Anthropic's own.
FOREIGN = [(signer, other) for signer in NODES[1:] for other in NODES if other is not signer]
FOREIGN += [(NODE_DETAILS, other) for other in NODES if other.name != "anthropic"]


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
@pytest.mark.parametrize(("signer", "other"), FOREIGN, ids=[f"{a.name}-then-{b.name}" for a, b in FOREIGN])
def test_what_a_provider_signed_never_goes_to_another(ask, upstream, surface, signer, other):
    said = Said(thinking="Hm.", texts=("I look.",), calls=CALLS)
    upstream.script(signer.behind.bare, *signer.behind.wire.says(said))
    upstream.script(other.behind.bare, *other.behind.wire.says(Said(texts=("Sun.",))))
    body = surface.with_thinking(surface.with_tools(surface.ask(signer.behind.model, stream=False)))
    seen: Seen = ask(surface, body).seen
    body = surface.go_on({**body, "model": other.behind.model}, seen, RESULTS)
    assert ask(surface, body).seen.text == "Sun."
    sent = upstream.received(2)[1].body
    assert SIGNATURE.encode() not in sent
    assert b"mira1:" not in sent
