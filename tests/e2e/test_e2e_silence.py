"""Nodes that think for long, caches that are to be warmed, and overload: what clients of each protocol hear."""

import httpx2
import pytest
from anthropic import Anthropic, InternalServerError
from openai import OpenAI
from tests.e2e.protocols import BEHIND_ANTHROPIC, BEHIND_CHAT, BEHIND_GEMINI, nodes, prices
from tests.e2e.surfaces import MESSAGES, SURFACES
from tests.support.gateway import PROXY_KEY
from tests.support.upstream import DONE, USAGE, Moment, answers, chunks, frames, streams

SIGNS = {
    "chat": b": keepalive\n\n",
    "responses": b": keepalive\n\n",
    "messages": b'event: ping\ndata: {"type":"ping"}\n\n',
}
MODEL = BEHIND_CHAT.model
DETAILS = {
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}

surfaces = pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)


@pytest.fixture(scope="module")
def gateway(scripted, make_gateway):
    """The module's gateway: a node of every kind, and little patience with silence."""
    return make_gateway(nodes=nodes(scripted), prices=prices(), tables={"server": {"keepalive_s": 0.1}})


def read_with_sign(gateway, surface, heard, after=b""):
    """The whole stream; `heard` happens with the first sign of life behind `after`."""
    sign = SIGNS[surface.name]
    headers = {"authorization": f"Bearer {PROXY_KEY}"}
    with gateway.http.stream("POST", surface.path, json=surface.ask(MODEL, True), headers=headers) as response:
        data = b""
        for piece in response.iter_bytes():
            data += piece
            if sign in data.partition(after)[2] if after else sign in data:
                heard.happen()
    assert heard.happened
    return response, data.replace(sign, b"")


@surfaces
@pytest.mark.parametrize("said", ["nothing", "a head", "a word"])
def test_a_node_that_thinks_does_not_leave_its_client_in_silence(gateway, upstream, surface, said):
    heard = Moment()
    first, *rest = frames(*chunks("Thought", " through.", usage={**USAGE, **DETAILS}))
    pieces = [first, rest[0], heard, *rest[1:], DONE] if said == "a word" else [heard, first, *rest, DONE]
    upstream.script(BEHIND_CHAT.bare, streams(pieces, hold=heard if said == "nothing" else None))
    response, data = read_with_sign(gateway, surface, heard, after=b"Thought" if said == "a word" else b"")
    assert response.status_code == 200
    seen = surface.read_stream(data)
    assert (seen.text, seen.error) == ("Thought through.", None)
    assert gateway.call(response.headers["x-request-id"])["status"] == 200


@surfaces
def test_a_node_that_fails_after_all_is_an_error_in_the_stream_that_costs_nothing(gateway, upstream, surface):
    heard = Moment()
    upstream.script(BEHIND_CHAT.bare, answers({"error": {"message": "full"}}, 503, hold=heard))
    before = gateway.balance()
    response, data = read_with_sign(gateway, surface, heard)
    assert response.status_code == 200
    seen = surface.read_stream(data)
    assert seen.text == ""
    assert seen.error is not None
    if surface is MESSAGES:
        assert response.headers["request-id"].encode() in data
    record = gateway.call(response.headers["x-request-id"])
    assert (record["status"], record["error"], record["cost"]) == (200, "unavailable", "0")
    assert gateway.balance() == before
    gateway.check_ledger()


def test_the_sdks_wait_through_the_silence(gateway, upstream):
    heard = [Moment(), Moment()]
    upstream.script(
        BEHIND_CHAT.bare, *[streams([*frames(*chunks("At", " last.")), DONE], hold=moment) for moment in heard]
    )

    def http(moment):
        # Before any content there is no head either, unless a sign of life brings it.
        return httpx2.Client(event_hooks={"response": [lambda _: moment.happen()]}, trust_env=False, timeout=120)

    with OpenAI(api_key=PROXY_KEY, base_url=f"{gateway.url}/v1", max_retries=0, http_client=http(heard[0])) as client:
        asked = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}], stream=True)
        said = [chunk.choices[0].delta.content or "" for chunk in asked if chunk.choices]
    assert "".join(said) == "At last."
    with (
        Anthropic(auth_token=PROXY_KEY, base_url=gateway.url, max_retries=0, http_client=http(heard[1])) as client,
        client.messages.stream(model=MODEL, max_tokens=100, messages=[{"role": "user", "content": "Hi"}]) as stream,
    ):
        assert stream.get_final_text() == "At last."


@pytest.mark.parametrize("status", [503, 529])
def test_overload_is_529_for_clients_of_anthropic_and_503_for_others(gateway, upstream, status):
    upstream.script(BEHIND_CHAT.bare, answers({"error": {"message": "full"}}, status))
    with (
        Anthropic(auth_token=PROXY_KEY, base_url=gateway.url, max_retries=0) as client,
        pytest.raises(InternalServerError) as raised,
    ):
        client.messages.create(model=MODEL, max_tokens=100, messages=[{"role": "user", "content": "Hi"}])
    assert raised.value.status_code == 529
    assert raised.value.body["error"]["type"] == "overloaded_error"
    assert raised.value.body["request_id"] == raised.value.request_id
    assert gateway.call(raised.value.request_id)["status"] == 529
    assert gateway.chat(MODEL).status_code == 503


@pytest.mark.parametrize("behind", [BEHIND_CHAT, BEHIND_GEMINI], ids=lambda behind: behind.kind)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_cache_that_no_node_has_is_warmed_for_nothing(gateway, upstream, behind, stream):
    before = gateway.balance()
    response = gateway.post("/v1/messages", {**MESSAGES.ask(behind.model, stream), "max_tokens": 0})
    assert response.status_code == 200
    seen = MESSAGES.read(response.content, stream=stream)
    assert (seen.text, seen.calls, seen.finish, seen.counts.prompt, seen.counts.completion) == (
        "",
        (),
        MESSAGES.finishes["length"],
        0,
        0,
    )
    record = gateway.call(response.headers["x-request-id"])
    assert response.headers["x-mira-cost"] == record["cost"] == "0"
    assert (record["status"], record["error"], record["node"]) == (200, None, None)
    assert not upstream.chats()
    assert gateway.balance() == before


def test_the_sdk_warms_a_cache_where_there_is_one(gateway, upstream):
    told = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": BEHIND_ANTHROPIC.bare, "content": [],
        "stop_reason": "max_tokens", "stop_sequence": None,
        "usage": {"input_tokens": 3, "cache_creation_input_tokens": 2000, "output_tokens": 0},
    }  # fmt: skip
    upstream.script(BEHIND_ANTHROPIC.bare, answers(told))
    asked = {"max_tokens": 0, "messages": [{"role": "user", "content": "Hi"}]}
    with Anthropic(auth_token=PROXY_KEY, base_url=gateway.url, max_retries=0) as client:
        message = client.messages.create(model=BEHIND_ANTHROPIC.model, **asked)
        assert (message.content, message.usage.cache_creation_input_tokens) == ([], 2000)
        assert upstream.received(1)[0].json["max_tokens"] == 0
        message = client.messages.create(model=MODEL, **asked)
        assert (message.content, message.stop_reason, message.usage.output_tokens) == ([], "max_tokens", 0)
