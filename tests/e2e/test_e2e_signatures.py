"""What Gemini signs goes back to it in its place through every client's protocol, and to nobody else."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.e2e.asking import Result
from tests.e2e.protocols import BEHIND_ANTHROPIC, BEHIND_CHAT, BEHIND_OPENAI, PRICES, nodes, prices
from tests.e2e.surfaces import CHAT, SURFACES
from tests.support.gateway import UPSTREAM_KEY, Gateway
from tests.support.said import Said
from tests.support.upstream import Script, Turn, Upstream, answers, frame, streams

BARE = "gemini-3-pro-preview"
MODEL = f"google/{BARE}"
THOUGHT = {"text": "Two cities, two calls.", "thought": True}
CALLS = [
    {
        "functionCall": {"id": "call_1", "name": "weather", "args": {"city": "Zürich"}},
        "thoughtSignature": "c2lnLWNhbGw=",
    },
    {"functionCall": {"id": "call_2", "name": "weather", "args": {"city": "Oslo"}}},
]
LOOK = {"text": "Let me look.", "thoughtSignature": "c2lnLWxvb2s="}
SUN = [{"text": "Sun "}, {"text": "and rain."}, {"text": "", "thoughtSignature": "c2lnLXN1bg=="}]
RESULTS = (Result(call_id="call_1", text="sun"), Result(call_id="call_2", text="rain"))
COUNTS = {"promptTokenCount": 9, "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 17}

surfaces = pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def says(*parts: dict[str, Any]) -> Script:
    """An answer of these parts, each in a chunk of its own where the request wants a stream."""

    def body(told: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        candidate = {"index": 0, "content": {"role": "model", "parts": told}, **more}
        return {"candidates": [candidate], "modelVersion": BARE, "responseId": "r", "usageMetadata": COUNTS}

    async def script(turn: Turn) -> None:
        if ":streamGenerateContent" in turn.request.path:
            await streams([frame(body([part])) for part in parts] + [frame(body([], finishReason="STOP"))])(turn)
        else:
            await answers(body(list(parts), finishReason="STOP"))(turn)

    return script


@pytest.fixture(scope="module")
def gateway(scripted: Upstream, make_gateway: Callable[..., Gateway]) -> Gateway:
    """The module's gateway: a node of every kind, that of Google with a model whose calls must be signed."""
    root = scripted.url.removesuffix("/v1")
    google = {"name": "gemini", "kind": "gemini", "base_url": root, "api_key": UPSTREAM_KEY, "models": [BARE]}
    others = [node for node in nodes(scripted) if node["name"] != "gemini"]
    return make_gateway(nodes=[*others, google], prices=[*prices(), {"model": MODEL, **PRICES}])


def ask(gateway: Gateway, surface: Any, body: dict[str, Any]) -> Any:
    response = gateway.post(surface.path, body)
    assert response.status_code == 200, response.text
    return surface.read(response.content, stream=body["stream"])


def a_loop(gateway: Gateway, surface: Any, stream: bool) -> dict[str, Any]:
    """Two turns of a loop with tools; what the client would send next, without its new words."""
    asked = surface.with_tools(surface.ask(MODEL, stream))
    seen = ask(gateway, surface, asked)
    assert seen.text == "Let me look."
    assert [call.id for call in seen.calls] == ["call_1", "call_2"]
    asked = surface.go_on(asked, seen, RESULTS)
    seen = ask(gateway, surface, asked)
    assert seen.text == "Sun and rain."
    told: dict[str, Any] = surface.go_on(asked, seen, ())
    return told


def and_then(body: dict[str, Any], model: str) -> dict[str, Any]:
    """The conversation with one more question of the user, for that model."""
    place = "input" if "input" in body else "messages"
    kept = [turn for turn in body[place] if turn.get("content") != []]
    return {**body, "model": model, place: [*kept, {"role": "user", "content": "And tomorrow?"}]}


def signed(request: Any) -> list[list[tuple[str, str | None]]]:
    """The model's turns: each part by what it is, with its signature."""
    turns = [turn["parts"] for turn in request.json["contents"] if turn["role"] == "model"]
    return [[(str(part.get("text", "call")), part.get("thoughtSignature")) for part in parts] for parts in turns]


@surfaces
@streamed
def test_signatures_of_texts_and_calls_come_back_over_two_turns(gateway, upstream, surface, stream):
    upstream.script(BARE, says(THOUGHT, LOOK, *CALLS), says(*SUN), says({"text": "Snow."}))
    asked = a_loop(gateway, surface, stream)
    ask(gateway, surface, and_then(asked, MODEL))
    _, second, third = upstream.received(3)
    first_turn = [("Let me look.", "c2lnLWxvb2s="), ("call", "c2lnLWNhbGw="), ("call", None)]
    assert signed(second) == [first_turn]
    assert signed(third) == [first_turn, [("Sun and rain.", "c2lnLXN1bg==")]]


@surfaces
@streamed
def test_a_signature_behind_the_calls_is_not_lost(gateway, upstream, surface, stream):
    empty = {"text": "", "thoughtSignature": "c2lnLWVuZA=="}
    upstream.script(BARE, says(*CALLS, empty), says({"text": "Snow."}))
    asked = surface.with_tools(surface.ask(MODEL, stream))
    seen = ask(gateway, surface, asked)
    ask(gateway, surface, surface.go_on(asked, seen, RESULTS))
    (turn,) = signed(upstream.received(2)[1])
    # Chat Completions has all that was thought in front of the calls.
    end = [("", "c2lnLWVuZA==")]
    calls = [("call", "c2lnLWNhbGw="), ("call", None)]
    assert turn == (end + calls if surface is CHAT else calls + end)


@surfaces
@streamed
def test_no_other_provider_gets_them(gateway, upstream, surface, stream):
    asked = None
    for behind in (BEHIND_ANTHROPIC, BEHIND_CHAT, BEHIND_OPENAI):
        upstream.script(BARE, says(THOUGHT, LOOK, *CALLS), says(*SUN))
        upstream.script(behind.bare, *behind.wire.says(Said(texts=("Snow.",))))
        asked = asked or a_loop(gateway, surface, stream)
        ask(gateway, surface, and_then(asked, behind.model))
        sent = json.dumps(upstream.received(1, behind.bare)[0].json)
        assert "Let me look." in sent
        assert "c2ln" not in sent
        assert "mira1:" not in sent
        assert "thought_signature" not in sent
