"""Speech, transcription and embeddings by the embedded models, for real: the seed's body in, its sentence back."""

import asyncio
import base64
import io
import os
import re
import shutil
import signal
import socket
import struct
from contextlib import suppress
from pathlib import Path

import av
import pytest
from openai import OpenAI
from tests.support.gateway import ADMIN_KEY, INFERENCE_KEY, PROXY_KEY, eventually, price
from tests.support.upstream import answers

from mira.nodes.local.packs import MEDIA_PACKS, MINILM, SMOLLM2, default_cache_dir
from mira.nodes.local.pull import pull

SEED = "Hello, this is a test AI voice speaking."
LONG_S = 120


@pytest.fixture(scope="module")
def cache():
    """The ordinary cache with every small pack in it, fetched once per machine."""
    cache_dir = default_cache_dir(os.environ)
    for pack in (SMOLLM2, *MEDIA_PACKS.values()):
        asyncio.run(pull(pack, cache_dir, lambda _report: None))
    return cache_dir


@pytest.fixture(scope="module")
def gateway(cache, scripted, make_gateway):
    gemini = {"name": "gemini", "kind": "gemini", "base_url": scripted.url.removesuffix("/v1"), "api_key": "k"}
    made = make_gateway(
        nodes=[{**gemini, "models": ["gemini-tts"]}],
        prices=[price("google/gemini-tts", "0.5", "10")],
        MIRA_LOCAL_NODE="on",
        MIRA_LOCAL_MODEL=SMOLLM2.name,
    )
    made.http.timeout = LONG_S
    return made


@pytest.fixture(scope="module")
def sdk(gateway):
    with OpenAI(api_key=PROXY_KEY, base_url=f"{gateway.url}/v1", max_retries=0, timeout=LONG_S) as client:
        yield client


@pytest.fixture(scope="module")
def spoken(gateway):
    """The answer to the seed's body, as it stands there."""
    return gateway.post("/v1/speech", {"text": SEED})


def words(text):
    return re.sub(r"[^a-z ]", "", text.lower()).split()


def seconds(data):
    with av.open(io.BytesIO(data)) as source:
        return sum(frame.samples / frame.sample_rate for frame in source.decode(audio=0))


def recorded(gateway, answer):
    """The record of a call, once it is written: an answer without a bill does not wait for it."""

    def find():
        path = f"/admin/v1/calls/{answer.headers['x-request-id']}"
        found = gateway.request("GET", path, key=ADMIN_KEY)
        return found.json() if found.status_code == 200 else None

    return eventually(find)


def media_processes(gateway):
    """The process ids of the gateway's children for media."""
    children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()
    found = []
    for pid in children:
        with suppress(OSError):  # another child may have ended meanwhile
            if b"mira.nodes.local.media.program" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
    return found


def test_nothing_is_started_for_media_before_the_first_call(gateway):
    assert media_processes(gateway) == []
    assert gateway.get("/v1/models/mira/speech").json()["available"]


def test_the_seeds_sentence_is_spoken_and_heard_again(gateway, spoken):
    assert spoken.status_code == 200, spoken.text
    assert spoken.headers["content-type"] == "audio/mpeg"
    assert spoken.headers["x-mira-model"] == "mira/speech"
    assert spoken.headers["x-mira-cost"] == "0"
    assert 2 < seconds(spoken.content) < 6
    files = {"file": ("speech.mp3", spoken.content)}
    heard = gateway.request("POST", "/v1/audio/transcriptions", files=files, data={"model": "mira/transcribe"})
    assert heard.status_code == 200, heard.text
    assert words(heard.json()["text"]) == words(SEED)
    assert heard.json()["usage"]["seconds"] == pytest.approx(seconds(spoken.content), abs=0.1)
    assert heard.headers["x-mira-cost"] == "0"
    for answer, protocol in ((spoken, "speech"), (heard, "transcription")):
        record = gateway.call(answer.headers["x-request-id"])
        assert (record["protocol"], record["cost"], record["node"], record["status"]) == (
            protocol,
            "0",
            "local-media",
            200,
        )
    assert gateway.balance()["balance"] == "10"
    gateway.check_ledger()


def test_the_sdk_streams_speech_to_a_file_and_transcribes_it(sdk, tmp_path):
    path = tmp_path / "speech.flac"
    with sdk.audio.speech.with_streaming_response.create(
        model="mira/speech", voice="echo", input="Good morning.", response_format="flac", speed=1.2
    ) as response:
        assert response.headers["content-type"] == "audio/flac"
        response.stream_to_file(path)
    assert path.read_bytes()[:4] == b"fLaC"
    with path.open("rb") as file:
        told = sdk.audio.transcriptions.create(model="mira/transcribe", file=file)
    assert words(told.text) == ["good", "morning"]


def test_the_sdk_gets_times_and_events(sdk, spoken):
    file = ("speech.mp3", spoken.content)
    full = sdk.audio.transcriptions.create(
        model="mira/transcribe",
        file=file,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
        language="en",
    )
    assert words(full.text) == words(SEED)
    assert full.duration == pytest.approx(seconds(spoken.content), abs=0.1)
    assert [word for each in full.words for word in words(each.word)] == words(SEED)
    assert all(each.start <= each.end <= full.duration + 0.5 for each in full.words)
    assert "".join(segment.text for segment in full.segments).strip() == full.text
    events = list(sdk.audio.transcriptions.create(model="mira/transcribe", file=file, stream=True))
    assert [event.type for event in events[:-1]] == ["transcript.text.delta"] * (len(events) - 1)
    assert events[-1].type == "transcript.text.done"
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == full.text


def test_sound_comes_in_json_where_that_is_accepted(gateway):
    answer = gateway.post("/v1/speech", {"text": "Yes.", "format": "wav"}, headers={"accept": "application/json"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["format"], told["mime_type"], told["model"], told["cost"]) == ("wav", "audio/wav", "mira/speech", 0)
    assert 0.3 < seconds(base64.b64decode(told["audio"])) < 3
    assert answer.headers["x-mira-cost"] == "0"


def test_speech_comes_as_events_and_the_first_sentence_before_the_last_is_spoken(gateway):
    body = {"input": "One. Two.", "voice": {"id": "af_nova"}, "response_format": "pcm", "stream_format": "sse"}
    with gateway.http.stream(
        "POST",
        "/inference/v1/audio/speech",
        json={**body, "model": "mira/speech", "instructions": "Whisper."},
        headers={"authorization": f"Bearer {INFERENCE_KEY}"},
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-mira-dropped"] == "instructions"
        events = [line for line in answer.iter_lines() if line]
    kinds = [re.search(r'"type":"([^"]+)"', event)[1] for event in events]
    assert kinds == ["speech.audio.delta", "speech.audio.delta", "speech.audio.done"]


def test_another_mira_speaks_through_this_one(gateway, make_gateway):
    back = {"name": "back", "kind": "mira", "base_url": f"{gateway.url}/inference/v1", "api_key": INFERENCE_KEY}
    free = [{"model": model, "free": True} for model in ("mira/speech", "mira/transcribe")]
    front = make_gateway(nodes=[back], prices=free)
    eventually(lambda: front.get("/v1/models/mira/speech").status_code == 200)
    answer = front.post("/v1/speech", {"model": "mira/speech", "text": "Yes.", "format": "wav"})
    assert answer.status_code == 200, answer.text
    assert 0.3 < seconds(answer.content) < 3
    told = recorded(front, answer)
    assert (told["node"], told["cost"], told["usage"]["characters"]) == ("back", "0", 4)
    files = {"file": ("speech.wav", answer.content)}
    fields = {"model": "mira/transcribe", "response_format": "text"}
    heard = front.request("POST", "/v1/audio/transcriptions", files=files, data=fields)
    assert heard.status_code == 200, heard.text
    assert words(heard.text) == ["yes"]


@pytest.mark.parametrize(("form", "head"), [("mp3", b"\xff\xf3"), ("opus", b"OggS")])
def test_bare_sound_of_a_node_is_put_into_the_format_that_was_asked_for(gateway, upstream, form, head):
    sound = {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": base64.b64encode(bytes(48_000)).decode()}
    content = {"role": "model", "parts": [{"inlineData": sound}]}
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 25, "totalTokenCount": 35}
    upstream.script("gemini-tts", answers({"candidates": [{"content": content}], "usageMetadata": usage}))
    answer = gateway.post("/v1/speech", {"text": "Hi", "model": "google/gemini-tts", "format": form})
    assert answer.status_code == 200, answer.text
    assert answer.content.startswith(head)
    assert seconds(answer.content) == pytest.approx(1, abs=0.1)
    assert answer.headers["x-mira-cost"] == "0.000255"


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_the_sdk_embeds_texts_locally(sdk, encoding):
    texts = ["A man is eating food.", "A man is eating a piece of bread.", "The girl is carrying a baby."]
    answer = sdk.embeddings.create(model="mira/embed", input=texts, encoding_format=encoding)
    rows = [row.embedding for row in answer.data]
    if encoding == "base64":
        rows = [struct.unpack("<384f", base64.b64decode(row)) for row in rows]
    assert [len(row) for row in rows] == [384] * 3
    near, far = (sum(a * b for a, b in zip(rows[0], other, strict=True)) for other in rows[1:])
    assert near > 0.7
    assert far < 0.2
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 15


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": "word " * 300}, "input[0]"),
        ({"input": ["ok", ""]}, "input[1]"),
        ({"input": "ok", "dimensions": 256}, "dimensions"),
        ({"input": [1, 2, 3]}, "input"),
        ({"input": "ok", "model": "mira/speech"}, "model"),
    ],
)
def test_what_cannot_be_embedded_is_refused_by_name(gateway, fields, param):
    answer = gateway.post("/v1/embeddings", {"model": "mira/embed", **fields})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"text": ""}, "text"),
        ({"text": "x" * 4097}, "text"),
        ({"text": "Привет"}, "input"),
        ({"text": "Hi", "voice": "nobody"}, "voice"),
        ({"text": "Hi", "format": "midi"}, "format"),
        ({"text": "Hi", "speed": 9}, "speed"),
        ({"text": "Hi", "model": "mira/embed"}, "model"),
        ({"text": "Hi", "words": 1}, "words"),
    ],
)
def test_speech_that_cannot_be_made_is_refused_by_name_and_costs_nothing(gateway, body, param):
    answer = gateway.post("/v1/speech", body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert recorded(gateway, answer)["cost"] == "0"


WAV = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 24000, 48000, 2, 16)
HOSTILE = {
    "garbage": (os.urandom(2000), 400),
    "nothing": (b"", 400),
    "a web page": (b"<html><script>alert(1)</script></html>", 400),
    "a list of files": (b"#EXTM3U\nfile:///etc/passwd", 400),
    "a cut mp3": (b"\xff\xf3\x84\xc4" + bytes(40), 400),
    "a wav that claims hours": (WAV + b"data\xff\xff\xff\xff", 400),
    "an ogg of noise": (b"OggS" + os.urandom(5000), 400),
    "too large": (b"ID3" + bytes(26 * 2**20), 413),
}


@pytest.mark.parametrize(("data", "status"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_sound_is_refused_and_the_next_file_is_heard(gateway, data, status):
    answer = gateway.request("POST", "/v1/audio/transcriptions", files={"file": ("x.mp3", data)})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"language": "xx"}, "language"),
        ({"temperature": "7"}, "temperature"),
        ({"response_format": "docx"}, "response_format"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities"),
        ({"model": "mira/local-mini"}, "model"),
    ],
)
def test_a_transcription_that_cannot_be_made_is_refused_by_name(gateway, spoken, fields, param):
    files = {"file": ("speech.mp3", spoken.content)}
    answer = gateway.request("POST", "/v1/audio/transcriptions", files=files, data=fields)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


def test_a_client_that_leaves_frees_the_process_and_is_recorded(gateway):
    # All of it would take minutes.
    text = "Go on. " * 500
    with gateway.http.stream(
        "POST", "/v1/speech", json={"text": text}, headers={"authorization": f"Bearer {PROXY_KEY}"}
    ) as answer:
        next(answer.iter_bytes())
    assert recorded(gateway, answer)["status"] == 499
    assert gateway.balance()["held"] == "0"
    # The next one need not wait for the rest of that text.
    assert gateway.post("/v1/speech", {"text": "Next."}).status_code == 200
    gateway.check_ledger()


def test_a_process_that_dies_fails_its_call_and_is_back_for_the_next(gateway):
    text = "Go on. " * 500
    with gateway.http.stream(
        "POST", "/v1/speech", json={"text": text}, headers={"authorization": f"Bearer {PROXY_KEY}"}
    ) as answer:
        pieces = answer.iter_bytes()
        next(pieces)
        (pid,) = media_processes(gateway)
        os.kill(pid, signal.SIGKILL)
        # Bare sound has no place for an error: the answer must not look whole.
        with pytest.raises(Exception, match=r"incomplete|closed|peer"):
            list(pieces)
    answer = eventually(lambda: _ok(gateway.post("/v1/speech", {"text": "Back."})))
    assert answer.headers["content-type"] == "audio/mpeg"
    assert media_processes(gateway) != [pid]


def _ok(answer):
    return answer if answer.status_code == 200 else None


def test_the_first_use_of_a_model_is_refused_while_it_is_fetched_and_served_when_it_is_there(
    cache, make_gateway, tmp_path
):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # Every source hangs: an index that takes connections and says nothing.
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        gateway = make_gateway(
            MIRA_LOCAL_NODE="on",
            MIRA_LOCAL_MODEL=str(SMOLLM2.model_path(cache)),
            XDG_CACHE_HOME=str(tmp_path),
            PIP_INDEX_URL=f"{address}/simple",
            https_proxy=address,
        )
        asked = [("/v1/embeddings", {"model": "mira/embed", "input": "Hello"}), ("/v1/speech", {"text": "Hello"})]
        for path, body in asked * 2:
            refused = gateway.post(path, body)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.headers["x-should-retry"] == "true"
            error = refused.json()["error"]
            assert error["code"] == "model_not_ready"
            assert "is being fetched on its first use" in error["message"]
        folder = MINILM.folder(tmp_path / "mira/models")
        folder.mkdir(parents=True, exist_ok=True)
        for file in MINILM.files:
            shutil.copy(MINILM.folder(cache) / file.name, folder / file.name)
        answer = gateway.post("/v1/embeddings", {"model": "mira/embed", "input": "Hello"})
        assert answer.status_code == 200, answer.text
        gateway.check_ledger()
