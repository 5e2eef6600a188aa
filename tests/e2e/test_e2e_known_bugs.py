"""Known bugs of other gateways that only a whole gateway can show (docs/known-bugs.md): headers, leaving, failing over."""

import gzip
import json
import socket
from collections.abc import Callable

import pytest
from anthropic import Anthropic
from anthropic.types import ModelInfo
from openai import OpenAI
from tests.e2e.protocols import BEHIND_ANTHROPIC, BEHIND_CHAT, BEHIND_GEMINI, BEHIND_OPENAI, nodes, prices
from tests.e2e.surfaces import MESSAGES, SURFACES
from tests.support.gateway import PATIENCE_S, PROXY_KEY, Gateway, eventually, openai_node, price
from tests.support.said import Counts, Said
from tests.support.upstream import FIN, Upstream, answers, hangs, streams

BEHIND = (BEHIND_CHAT, BEHIND_ANTHROPIC, BEHIND_GEMINI, BEHIND_OPENAI)
#: What each kind of node says when it has enough.
LIMITED = {
    "openai-compatible": {"error": {"message": "the secret reason", "type": "rate_limit_error", "code": None}},
    "anthropic": {"type": "error", "error": {"type": "rate_limit_error", "message": "the secret reason"}},
    "gemini": {"error": {"code": 429, "message": "the secret reason", "status": "RESOURCE_EXHAUSTED"}},
    "openai": {"error": {"message": "the secret reason", "type": "rate_limit_error", "code": "rate_limit_exceeded"}},
}
TOOL = {"name": "weather", "description": "The weather of a city", "input_schema": {"type": "object"}}

surfaces = pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
kinds = pytest.mark.parametrize("behind", BEHIND, ids=lambda behind: behind.kind)
CELLS = [(surface, behind) for surface in SURFACES for behind in BEHIND]
cells = pytest.mark.parametrize(
    ("surface", "behind"), CELLS, ids=[f"{surface.name}-{behind.kind}" for surface, behind in CELLS]
)
streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def gateway(scripted: Upstream, make_gateway: Callable[..., Gateway]) -> Gateway:
    """The module's gateway: one node of every kind, a model of the newer sort, and a model that two nodes serve."""
    newer = openai_node(scripted.url, "newer", ["gpt-5.1"])
    pair = [
        {**nodes(scripted)[0], "name": name, "provider": "pair", "models": ["twice-1"]} for name in ("one", "other")
    ]
    more = [price("openai/gpt-5.1"), price("pair/twice-1")]
    return make_gateway(nodes=[*nodes(scripted), newer, *pair], prices=[*prices(), *more])


@pytest.fixture(scope="module")
def limited(scripted: Upstream, make_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway in which every client protocol has nodes of its own, because a node that refused rests for a while."""
    told = [
        {**node, "name": f"{node['name']}-{surface.name}", "models": [f"{node['models'][0]}-{surface.name}"]}
        for surface in SURFACES
        for node in nodes(scripted)
    ]
    for node in told:
        if "provider" in node:
            node["provider"] = f"plain-{node['name'].rpartition('-')[2]}"
    paid = [price(f"{provider}/{node['models'][0]}") for node in told
            for provider in [node.get("provider") or {"gemini": "google"}.get(node["kind"], node["kind"])]]  # fmt: skip
    return make_gateway(nodes=told, prices=paid)


def check_error(surface, body, status):
    """An error stands in the envelope of the protocol, without the node's words."""
    told = body["error"]
    assert "secret" not in json.dumps(body)
    assert told["message"]
    if surface is MESSAGES:
        assert body["type"] == "error"
        assert body.keys() <= {"type", "error", "request_id"}
        known = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error"}
        assert told["type"] == {**known, 429: "rate_limit_error"}[status]
    else:
        assert body.keys() <= {"error", "request_id"}
        assert told.keys() >= {"message", "type", "param", "code"}


def test_bug_20_nobody_else_is_asked_once_content_was_sent(gateway, upstream):
    said = Said(texts=("Half of", " it."))
    frames = BEHIND_CHAT.wire.frames(said, "twice-1")
    at = next(index for index, frame in enumerate(frames) if b"Half of" in frame)
    upstream.script("twice-1", streams([*frames[: at + 1], FIN]), *BEHIND_CHAT.wire.says(said))
    data = gateway.post(MESSAGES.path, MESSAGES.ask("pair/twice-1", True)).content
    assert data.count(b"event: message_start") == 1
    assert data.count(b"Half of") == 1
    assert MESSAGES.read_stream(data).error is not None
    assert len(upstream.received(1)) == 1


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_bug_33_newer_models_get_the_cap_under_the_name_that_they_take(gateway, upstream, field):
    assert gateway.chat("openai/gpt-5.1", **{field: 50}).status_code == 200
    (request,) = upstream.received(1)
    assert request.json["max_completion_tokens"] == 50
    assert "max_tokens" not in request.json


@kinds
def test_bug_43_count_tokens_counts_tools_and_instructions(gateway, upstream, behind):
    async def counts(turn):
        size = len(turn.request.body)
        await answers({"input_tokens": size, "totalTokens": size})(turn)

    upstream.script(behind.bare, counts)

    def count(**more):
        body = {"model": behind.model, "messages": [{"role": "user", "content": "Hi"}], **more}
        response = gateway.post("/v1/messages/count_tokens", body)
        assert response.status_code == 200
        return response.json()["input_tokens"]

    plain, told, both = count(), count(system="Be brief, please."), count(system="Be brief, please.", tools=[TOOL])
    assert 0 < plain < told < both


@cells
def test_bug_44_beta_headers_go_only_where_they_are_known(gateway, upstream, surface, behind):
    upstream.script(behind.bare, *behind.wire.says(Said(texts=("Hi.",))))
    headers = {"anthropic-beta": "interleaved-thinking-2025-05-14", "openai-beta": "responses=v1"}
    assert gateway.post(surface.path, surface.ask(behind.model, False), headers=headers).status_code == 200
    sent = upstream.received(1)[0].headers
    native = surface is MESSAGES and behind is BEHIND_ANTHROPIC
    assert sent.get("anthropic-beta") == ("interleaved-thinking-2025-05-14" if native else None)
    assert ("anthropic-version" in sent) == (behind is BEHIND_ANTHROPIC)
    assert "openai-beta" not in sent


@cells
def test_bug_45_retry_after_reaches_the_client_in_every_protocol(limited, upstream, surface, behind):
    bare = f"{behind.bare}-{surface.name}"
    prefix = f"plain-{surface.name}" if behind is BEHIND_CHAT else behind.provider
    upstream.script(bare, answers(LIMITED[behind.kind], 429, headers=[("retry-after", "7")]))
    response = limited.post(surface.path, surface.ask(f"{prefix}/{bare}", False))
    assert response.status_code == 429
    assert response.headers["retry-after"] == "7"
    check_error(surface, response.json(), 429)


@surfaces
@pytest.mark.parametrize("status", [400, 401, 404])
def test_bug_46_errors_on_every_route_have_the_protocols_envelope(gateway, surface, status):
    body = surface.ask("nobody/nothing" if status == 404 else BEHIND_CHAT.model, False)
    if status == 400:
        body["temperature"] = "warm"
    response = gateway.post(surface.path, body, key="sk-mira-unknown" if status == 401 else PROXY_KEY)
    assert response.status_code == status
    check_error(surface, response.json(), status)


@cells
@streamed
def test_bug_47_a_compressed_answer_is_told_plainly_with_its_own_length(gateway, upstream, surface, behind, stream):
    said = Said(texts=("Grüezi ", "from afar."))
    packed = [("content-encoding", "gzip")]
    if stream:
        data = gzip.compress(b"".join(behind.wire.frames(said, behind.bare)))
        upstream.script(behind.bare, streams([data[:20], data[20:]], headers=packed))
    else:
        whole = gzip.compress(json.dumps(behind.wire.whole(said, behind.bare)).encode())
        upstream.script(behind.bare, answers(whole, headers=packed))
    response = gateway.post(surface.path, surface.ask(behind.model, stream), headers={"accept-encoding": "identity"})
    assert "content-encoding" not in response.headers
    assert surface.read(response.content, stream=stream).text == "Grüezi from afar."
    if not stream:
        assert int(response.headers["content-length"]) == len(response.content)


@cells
def test_bug_48_leaving_before_the_first_byte_closes_the_node(gateway, upstream, surface, behind):
    upstream.script(behind.bare, hangs())
    with connect(gateway, surface, behind):
        request = upstream.received(1)[0]
    request.closed.wait()
    assert record_of(gateway, request)["status"] == 499


@cells
def test_bug_49_what_came_before_a_client_left_is_billed(gateway, upstream, surface, behind):
    said = Said(texts=("Half of", " it."), counts=Counts(input=9))
    frames = behind.wire.frames(said, behind.bare)
    at = next(index for index, frame in enumerate(frames) if b"Half of" in frame)

    async def script(turn):
        await turn.head(200, "text/event-stream")
        for frame in frames[: at + 1]:
            await turn.send(frame)
        await turn.request.closed

    upstream.script(behind.bare, script)
    told = b""
    with connect(gateway, surface, behind) as client:
        while b"Half of" not in told:
            told += client.recv(65536)
    request = upstream.received(1)[0]
    request.closed.wait()
    record = record_of(gateway, request)
    assert record["status"] == 499
    assert record["usage"]["completion_tokens"] > 0
    assert float(record["cost"]) > 0
    gateway.check_ledger()


def test_bug_50_both_vendors_sdks_read_the_models(gateway):
    ids = {"plain/words-1", "anthropic/claude-sonnet-4-5", "google/gemini-2.5-flash", "openai/gpt-5-mini"}
    with OpenAI(api_key=PROXY_KEY, base_url=f"{gateway.url}/v1") as client:
        assert ids <= {model.id for model in client.models.list()}
        assert client.models.retrieve("anthropic/claude-sonnet-4-5").object == "model"
    with Anthropic(api_key=PROXY_KEY, base_url=gateway.url) as client:
        models = list(client.models.list(limit=1000))
        assert ids <= {model.id for model in models}
        for model in [*models, client.models.retrieve("claude-sonnet-4-5")]:
            ModelInfo.model_validate(model.model_dump(exclude_unset=True))
            assert model.type == "model"
            assert model.created_at.year >= 2025


def connect(gateway, surface, behind):
    """A client that has asked for a stream and can hang up."""
    data = json.dumps(surface.ask(behind.model, True)).encode()
    head = f"POST {surface.path} HTTP/1.1\r\nhost: mira\r\nauthorization: Bearer {PROXY_KEY}\r\n"
    client = socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE_S)
    client.sendall(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
    return client


def record_of(gateway, request):
    """The record of a call that nobody waits for any more."""
    path = f"/admin/v1/calls/{request.headers['x-request-id']}"

    def look():
        response = gateway.request("GET", path, key=gateway.environ["MIRA_ADMIN_KEY"])
        return response.json() if response.status_code == 200 else None

    return eventually(look)
