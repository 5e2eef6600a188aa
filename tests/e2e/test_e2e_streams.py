"""Streams through the gateway, byte by byte: the grammar, any split of the upstream's bytes, cuts, disconnects."""

import json
import random
import socket
import time
from pathlib import Path

import pytest
from tests.grammar.chat import check_chat_stream
from tests.support.gateway import PATIENCE_S, PROXY_KEY, eventually
from tests.support.upstream import (
    DONE,
    FIN,
    RST,
    USAGE,
    Moment,
    answers,
    chunk,
    chunks,
    completion,
    frames,
    hangs,
    streams,
)

GOLDEN = (Path(__file__).parents[1] / "vectors/chat/golden.sse").read_bytes()
TALKATIVE = b": keep-alive\r\n\r\n" + b"event: message\r\nid: 7\r\nretry: 10\r\n".join(
    frame.replace(b"\n\n", b"\r\n\r\n") for frame in [b"", *frames(*chunks("Grüße ☀", " \U0001f600", "\\n\n")), DONE]
)
STREAMS = {
    "golden": GOLDEN,
    "plain": b"".join([*frames(*chunks("Hello", " there")), DONE]),
    "comments and CRLF": TALKATIVE,
    "no blank, several lines": b"".join(
        frame.replace(b"data: ", b"data:").replace(b', "model"', b',\ndata: "model"')
        for frame in [*frames(*chunks("Hello", " there", "data: x")), DONE]
    ),
    "no usage": b"".join([*frames(*chunks("Hello", " there", usage=None)), DONE]),
    "no DONE": b"".join(frames(*chunks("Hello", " there"))),
}


def ask(gateway, *, include_usage, **fields):
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    return gateway.chat("openai/gpt-4o-mini", stream=True, **options, **fields)


def splits(data, seed):
    """The same bytes in pieces: as one, byte by byte, and at random places."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    random_places = random.Random(seed)
    for count in (1, 3, 20, 100):
        cuts = sorted(random_places.sample(range(1, len(data)), min(count, len(data) - 1)))
        yield [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@pytest.mark.parametrize("include_usage", [False, True], ids=["usage hidden", "usage asked for"])
@pytest.mark.parametrize("name", STREAMS)
def test_any_split_of_the_upstreams_bytes_gives_the_same_bytes(gateway, upstream, name, include_usage):
    told = []
    for pieces in splits(STREAMS[name], name):
        upstream.script("gpt-4o-mini", streams(pieces))
        response = ask(gateway, include_usage=include_usage)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        told.append(response.content)
    check_chat_stream(told[0], include_usage=include_usage)
    assert len(set(told)) == 1


@pytest.mark.parametrize("cut", [FIN, RST])
@pytest.mark.parametrize("include_usage", [False, True])
@pytest.mark.parametrize("bytes_left", [1, 8, 15, 200, 500])
def test_a_cut_upstream_ends_in_an_error_and_never_in_done(gateway, upstream, cut, include_usage, bytes_left):
    data = b"".join([*frames(*chunks(*(f" word{number}" for number in range(20)), usage=None)), DONE])
    before = float(gateway.balance()["balance"])
    arrived = Moment()
    first, rest = data[:900], data[900:-bytes_left]
    # A finish whose frame lacks only its blank line has said how the answer ended.
    whole = bytes_left <= len(DONE) + 1
    upstream.script("gpt-4o-mini", streams([first, arrived, rest, cut]))
    status, told = read_slowly(gateway, arrived, include_usage=include_usage)
    assert status == 200
    read = check_chat_stream(told, include_usage=include_usage)
    assert read[-1].get("error") or whole
    if not whole:
        assert b"[DONE]" not in told
        assert read[-1]["error"]["code"] == "upstream_error"
    spent = before - float(gateway.balance()["balance"])
    assert 0 < spent < 0.01
    gateway.check_ledger()


def read_slowly(gateway, arrived, **options):
    """Reads a stream; `arrived` happens once its first bytes are here."""
    fields = {"stream_options": {"include_usage": True}} if options.get("include_usage") else {}
    body = {
        "model": "openai/gpt-4o-mini",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        **fields,
    }
    with gateway.http.stream(
        "POST", "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {PROXY_KEY}"}
    ) as response:
        told = b""
        for data in response.iter_raw():
            told += data
            arrived.happen()
        return response.status_code, told


def test_chunks_reach_the_client_before_the_upstream_is_done(gateway, upstream):
    arrived = Moment()
    told = frames(*chunks("Hello", " there"))
    upstream.script("gpt-4o-mini", streams([*told[:2], arrived, *told[2:], DONE]))
    status, data = read_slowly(gateway, arrived)
    assert status == 200
    check_chat_stream(data, include_usage=False)


def test_an_upstream_that_ends_without_done_after_its_finish_ends_in_done(gateway, upstream):
    upstream.script("gpt-4o-mini", streams([*frames(*chunks("Hello"))]))
    assert ask(gateway, include_usage=False).content.endswith(b"data: [DONE]\n\n")


def test_a_cut_stream_bills_its_input_and_the_tokens_that_came(gateway, upstream):
    arrived = Moment()
    words = frames(*chunks(*["word"] * 20, usage=None))
    upstream.script("gpt-4o-mini", streams([*words[:11], arrived, FIN]))
    read_slowly(gateway, arrived)
    record = gateway.get("/v1/extras/usage?limit=1").json()["data"][0]
    assert record["usage"]["estimated"] is True
    assert record["usage"]["completion_tokens"] == 10
    assert record["error"] == "upstream_failed"
    assert float(record["cost"]) == pytest.approx((record["usage"]["prompt_tokens"] + 2 * 10) * 1e-6)


def test_an_answer_of_the_wrong_kind_is_an_error_not_a_stream(gateway, upstream):
    upstream.script("gpt-4o-mini", answers(completion()))
    response = ask(gateway, include_usage=False)
    if response.status_code == 200:
        check_chat_stream(response.content, include_usage=False)
    else:
        assert response.status_code == 502
        assert response.json()["error"]["code"] == "upstream_error"


def test_an_error_inside_200_after_content_ends_the_stream_in_an_error(gateway, upstream):
    arrived = Moment()
    told = frames(*chunks("Hello")[:2], {"error": {"message": "secret-words", "type": "overloaded_error"}})
    upstream.script("gpt-4o-mini", streams([*told[:2], arrived, told[2], DONE]))
    _, data = read_slowly(gateway, arrived)
    read = check_chat_stream(data, include_usage=False)
    assert read[-1]["error"]["code"] == "overloaded"
    assert b"secret-words" not in data


def test_an_error_status_before_the_stream_is_answered_with_a_status(gateway, upstream):
    upstream.script("gpt-4o-mini", answers({"error": {"message": "no"}}, 500))
    response = ask(gateway, include_usage=False)
    assert response.status_code == 502
    assert response.headers["content-type"] == "application/json"


def test_interleaved_parallel_calls_keep_the_grammar(gateway, upstream):
    deltas = [
        {"role": "assistant", "content": None},
        {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}, {"index": 1, "function": {"arguments": "{}"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
    ]
    told = [*map(chunk, deltas), chunk({}, finish="tool_calls"), chunk(usage=USAGE)]
    upstream.script("gpt-4o-mini", streams([*frames(*told), DONE]))
    check_chat_stream(ask(gateway, include_usage=True).content, include_usage=True)


def connect(gateway, body):
    """Sends a chat request over a bare socket."""
    data = json.dumps({"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], **body}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: mira\r\nauthorization: Bearer {PROXY_KEY}\r\n"
    client = socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE_S)
    client.sendall(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
    return client


def test_a_client_that_leaves_mid_stream_closes_the_upstream_and_pays_for_what_was_read(gateway, upstream):
    sent, forever = Moment(), Moment()
    words = frames(*chunks(*["word"] * 5, usage=None))[:6]
    upstream.script("gpt-4o-mini", streams([*words, sent, forever]))
    client = connect(gateway, {"stream": True})
    told = b""
    while told.count(b"word") < 5:
        told += client.recv(65536)
    client.close()
    request = upstream.received(1)[0]
    request.closed.wait()
    record = eventually(lambda: record_of(gateway, request))
    assert record["status"] == 499
    assert record["usage"]["completion_tokens"] == 5
    assert float(record["cost"]) == pytest.approx((record["usage"]["prompt_tokens"] + 2 * 5) * 1e-6)
    sent.happen()
    forever.happen()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_before_the_first_byte_closes_the_upstream_and_pays_its_input(gateway, upstream, stream):
    upstream.script("gpt-4o-mini", hangs())
    client = connect(gateway, {"stream": stream})
    request = upstream.received(1)[0]
    client.close()
    request.closed.wait()
    record = eventually(lambda: record_of(gateway, request))
    assert record["status"] == 499
    assert record["usage"]["completion_tokens"] == 0
    assert record["usage"]["prompt_tokens"] > 0
    assert float(record["cost"]) == pytest.approx(record["usage"]["prompt_tokens"] * 1e-6)
    assert float(eventually(gateway.balance)["held"]) == 0


def record_of(gateway, request):
    response = gateway.request(
        "GET", f"/admin/v1/calls/{request.headers['x-request-id']}", key=gateway.environ["MIRA_ADMIN_KEY"]
    )
    return response.json() if response.status_code == 200 else None


def test_a_client_that_reads_slowly_gets_every_byte_and_holds_the_upstream_back(gateway, upstream):
    sent = []
    word = "x" * 8000

    async def script(turn):
        await turn.head(200, "text/event-stream")
        for piece in frames(*chunks(*[word] * 3000)):
            await turn.send(piece)
            sent.append(len(piece))
        await turn.send(DONE)
        await turn.end()

    upstream.script("gpt-4o-mini", script)
    client = connect(gateway, {"stream": True})
    client.recv(1000)
    request = upstream.received(1)[0]
    # 24 MB do not fit into the buffers of the sockets in between: the upstream comes to a halt until the client reads.
    still, before = 0, 0
    while still < 20:
        assert not request.answered.happened
        still = still + 1 if len(sent) == before else 0
        before = len(sent)
        time.sleep(0.01)
    told = 0
    while data := client.recv(2**20):
        told += data.count(b"x")
        if b"[DONE]" in data or data.endswith(b"0\r\n\r\n"):
            break
    client.close()
    request.answered.wait()
    assert told >= 8000 * 3000
