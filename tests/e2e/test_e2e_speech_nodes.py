"""Speech and transcriptions at scripted nodes of every kind: what is asked, what comes back, and the exact bill."""

import base64
import json
from decimal import Decimal

import openai
import pytest
from tests.support.gateway import (
    ADMIN_KEY,
    INFERENCE_KEY,
    PROXY_KEY,
    UPSTREAM_KEY,
    Gateway,
    eventually,
    openai_node,
    price,
)
from tests.support.upstream import FIN, Moment, answers, frames, streams

TEXT = "Hello, this is a test AI voice speaking."
PIECES = [b"\xff\xf3\x84\xc4" + bytes(range(200)), bytes(range(50)), b"the end"]
SOUND = b"".join(PIECES)
#: Nine samples of bare sound.
PCM = bytes(18)
#: Half a second of sound, by its size.
ID3 = b"ID3\x04" + bytes(3996)
OPENAI = ("tts-1", "gpt-4o-mini-tts", "whisper-1", "gpt-4o-transcribe")


def audio(pieces=PIECES, content_type="audio/mpeg"):
    return streams(pieces, content_type=content_type)


def events(*, usage=None, sound=PIECES):
    deltas = [{"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()} for piece in sound]
    return streams(frames(*deltas, {"type": "speech.audio.done", **({"usage": usage} if usage else {})}))


def gemini_sound(data=PCM, *, usage=True, mime_type="audio/L16;codec=pcm;rate=24000"):
    part = {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}}
    body = {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]}
    if usage:
        body["usageMetadata"] = {"promptTokenCount": 10, "candidatesTokenCount": 25, "totalTokenCount": 35}
    return answers(body)


@pytest.fixture
def compatible(others):
    others[1].reset()
    return others[1]


@pytest.fixture(scope="module")
def gateway(scripted, others, make_gateway):
    gemini, compatible, _ = others
    return make_gateway(
        nodes=[
            openai_node(scripted.url, models=[*OPENAI, "tts-unpriced"]),
            {
                "name": "gemini",
                "kind": "gemini",
                "base_url": gemini.url.removesuffix("/v1"),
                "api_key": UPSTREAM_KEY,
                "models": ["gemini-2.5-flash-preview-tts"],
            },
            {
                "name": "compatible",
                "kind": "openai-compatible",
                "provider": "acme",
                "base_url": compatible.url,
                "api_key": UPSTREAM_KEY,
                "models": ["kokoro", "whisper-x"],
            },
        ],
        prices=[
            {"model": "openai/tts-1", "character": "0.000015"},
            price("openai/gpt-4o-mini-tts", "0.6", "12"),
            {"model": "openai/whisper-1", "second": "0.0001"},
            price("openai/gpt-4o-transcribe", "2.5", "10", audio_input="6"),
            price("google/gemini-2.5-flash-preview-tts", "0.5", "10"),
            {"model": "acme/kokoro", "second": "0.001"},
            {"model": "acme/whisper-x", "second": "0.001"},
        ],
        tables={"defaults": {"speech": "openai/tts-1", "transcription": "openai/whisper-1"}},
    )


@pytest.fixture
def sdk(gateway):
    with openai.OpenAI(api_key=PROXY_KEY, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        yield client


def record_of(gateway: Gateway, request_id):
    def find():
        found = gateway.request("GET", f"/admin/v1/calls/{request_id}", key=ADMIN_KEY)
        return found.json() if found.status_code == 200 else None

    return eventually(find)


def transcribe(gateway, data=ID3, key=PROXY_KEY, path="/v1/audio/transcriptions", headers=None, **fields):
    files = {"file": ("talk.mp3", data, "audio/mpeg")}
    return gateway.request("POST", path, files=files, data=fields, key=key, headers=headers or {})


# Speech


def test_the_seeds_body_goes_to_the_default_model_and_is_billed_by_its_characters(gateway, upstream):
    upstream.script("tts-1", audio())
    answer = gateway.post("/v1/speech", {"text": TEXT})
    assert (answer.status_code, answer.content) == (200, SOUND)
    assert answer.headers["content-type"] == "audio/mpeg"
    (request,) = upstream.received(1)
    assert request.path == "/v1/audio/speech"
    assert request.headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert request.json == {"model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": "mp3"}
    record = record_of(gateway, answer.headers["x-request-id"])
    assert Decimal(record["cost"]) == len(TEXT) * Decimal("0.000015")
    assert answer.headers["x-mira-cost"] == record["cost"], "what is billed by characters is known at the start"
    assert record["usage"]["characters"] == len(TEXT)
    assert not record["usage"]["estimated"]
    gateway.check_ledger()


def test_the_sdk_streams_to_a_file_what_a_node_tells_as_events_and_pays_its_tokens(gateway, upstream, sdk, tmp_path):
    usage = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}
    upstream.script("gpt-4o-mini-tts", events(usage=usage))
    path = tmp_path / "speech.aac"
    with sdk.audio.speech.with_streaming_response.create(
        model="openai/gpt-4o-mini-tts",
        voice={"id": "voice_1234"},
        input=TEXT,
        instructions="Speak softly.",
        response_format="aac",
        speed=1.25,
    ) as response:
        assert response.headers["content-type"] == "audio/aac"
        assert "x-mira-cost" not in response.headers, "what is billed by tokens is not known at the start"
        request_id = response.headers["x-request-id"]
        response.stream_to_file(path)
    assert path.read_bytes() == SOUND
    (request,) = upstream.received(1)
    assert request.json == {
        "model": "gpt-4o-mini-tts",
        "input": TEXT,
        "voice": {"id": "voice_1234"},
        "instructions": "Speak softly.",
        "response_format": "aac",
        "speed": 1.25,
        "stream_format": "sse",
    }
    record = record_of(gateway, request_id)
    assert Decimal(record["cost"]) == (14 * Decimal("0.6") + 101 * 12) / 10**6
    assert not record["usage"]["estimated"]


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini-tts", "openai/tts-1"])
def test_events_are_told_whether_the_node_has_them_or_not(gateway, upstream, model):
    usage = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}
    bare = model.removeprefix("openai/")
    upstream.script(bare, events(usage=usage) if "mini" in model else audio())
    body = {"model": bare, "input": TEXT, "stream_format": "sse"}
    answer = gateway.post("/inference/v1/audio/speech", body, key=INFERENCE_KEY)
    told = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
    assert b"".join(base64.b64decode(event["audio"]) for event in told[:-1]) == SOUND
    assert told[-1]["type"] == "speech.audio.done"
    record = record_of(gateway, answer.headers["x-request-id"])
    assert Decimal(str(told[-1]["usage"]["cost"])) == Decimal(record["cost"]) > 0
    if "mini" in model:
        assert told[-1]["usage"]["total_tokens"] == 115


def test_the_older_models_are_not_told_what_they_do_not_hear(gateway, upstream):
    upstream.script("tts-1", audio())
    body = {"model": "openai/tts-1", "input": TEXT, "voice": "nova", "instructions": "Softly."}
    answer = gateway.post("/v1/audio/speech", body)
    assert answer.headers["x-mira-dropped"] == "instructions"
    assert "instructions" not in upstream.received(1)[0].json


def test_sound_in_json_tells_its_cost(gateway, upstream):
    upstream.script("tts-1", audio())
    answer = gateway.post("/v1/speech", {"text": TEXT, "format": "opus"}, headers={"accept": "application/json"})
    told = answer.json()
    assert base64.b64decode(told["audio"]) == SOUND
    assert (told["format"], told["mime_type"], told["model"]) == ("opus", "audio/ogg", "openai/tts-1")
    assert Decimal(str(told["cost"])) == Decimal(answer.headers["x-mira-cost"]) == len(TEXT) * Decimal("0.000015")


def test_a_second_of_bare_sound_is_billed_by_the_second(gateway, compatible):
    compatible.script("kokoro", audio([bytes(24_000), bytes(24_000), bytes(12_000)], "audio/pcm"))
    answer = gateway.post("/v1/speech", {"text": "Hi", "model": "acme/kokoro", "format": "pcm"})
    assert (len(answer.content), answer.headers["content-type"]) == (60_000, "audio/pcm")
    record = record_of(gateway, answer.headers["x-request-id"])
    assert Decimal(record["cost"]) == Decimal("0.00125")
    assert "stream_format" not in compatible.received(1)[0].json


@pytest.mark.parametrize(("form", "head"), [("wav", b"RIFF"), ("pcm", PCM)])
def test_gemini_speaks_in_its_own_words_and_pays_its_tokens(gateway, gemini, form, head):
    gemini.script("gemini-2.5-flash-preview-tts", gemini_sound())
    body = {"text": TEXT, "model": "google/gemini-2.5-flash-preview-tts", "voice": "nova", "format": form, "speed": 2}
    answer = gateway.post("/v1/speech", body)
    assert answer.status_code == 200, answer.text
    assert answer.content.startswith(head)
    assert answer.content.endswith(PCM)
    assert answer.headers["content-type"] == f"audio/{form}"
    assert answer.headers["x-mira-dropped"] == "speed"
    (request,) = gemini.received(1)
    assert request.path == "/v1beta/models/gemini-2.5-flash-preview-tts:generateContent"
    assert request.headers["x-goog-api-key"] == UPSTREAM_KEY
    assert request.json == {
        "contents": [{"role": "user", "parts": [{"text": TEXT}]}],
        "generationConfig": {
            "responseModalities": ["AUDIO"],
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Leda"}}},
        },
    }
    assert Decimal(answer.headers["x-mira-cost"]) == (10 * Decimal("0.5") + 25 * 10) / 10**6


def test_a_format_that_nobody_here_can_make_of_bare_sound_is_refused_before_the_node_is_asked(gateway, gemini):
    answer = gateway.post("/v1/speech", {"text": TEXT, "model": "google/gemini-2.5-flash-preview-tts"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "response_format"
    assert gemini.chats() == []


@pytest.mark.parametrize("body", [{"candidates": []}, {"candidates": [{"content": {"parts": [{"text": "no"}]}}]}])
def test_an_answer_without_sound_is_a_failure_and_costs_nothing(gateway, gemini, body):
    gemini.script("gemini-2.5-flash-preview-tts", answers(body))
    body = {"text": TEXT, "model": "google/gemini-2.5-flash-preview-tts", "format": "wav"}
    answer = gateway.post("/v1/speech", body)
    assert answer.status_code == 502
    assert record_of(gateway, answer.headers["x-request-id"])["cost"] == "0"


def test_a_key_that_is_repeated_hears_the_same_sound_and_pays_once(gateway, upstream):
    upstream.script("tts-1", audio())
    before = Decimal(gateway.balance()["balance"])
    headers = {"idempotency-key": "speech-1"}
    first, again = (gateway.post("/v1/speech", {"text": TEXT}, headers=headers) for _ in range(2))
    assert first.content == again.content == SOUND
    assert len(upstream.chats()) == 1
    assert before - Decimal(gateway.balance()["balance"]) == len(TEXT) * Decimal("0.000015")


def test_a_model_without_a_price_is_not_asked(gateway, upstream):
    answer = gateway.post("/v1/speech", {"text": TEXT, "model": "openai/tts-unpriced"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "model_not_priced")
    assert upstream.chats() == []


def test_bare_sound_that_is_cut_does_not_look_whole_and_is_billed_as_sent(gateway, upstream):
    upstream.script("tts-1", streams([PIECES[0], FIN], content_type="audio/mpeg"))
    with (
        pytest.raises(Exception, match=r"incomplete|closed|peer"),
        gateway.http.stream(
            "POST", "/v1/speech", json={"text": TEXT}, headers={"authorization": f"Bearer {PROXY_KEY}"}
        ) as answer,
    ):
        list(answer.iter_bytes())
    record = record_of(gateway, answer.headers["x-request-id"])
    assert record["error"] == "upstream_failed"
    assert Decimal(record["cost"]) == len(TEXT) * Decimal("0.000015")
    gateway.check_ledger()


def test_events_that_are_cut_end_in_an_error(gateway, upstream):
    delta = {"type": "speech.audio.delta", "audio": base64.b64encode(SOUND).decode()}
    upstream.script("gpt-4o-mini-tts", streams([*frames(delta), FIN]))
    body = {"model": "openai/gpt-4o-mini-tts", "input": TEXT, "stream_format": "sse"}
    answer = gateway.post("/v1/audio/speech", body)
    last = json.loads(answer.text.splitlines()[-2][6:])
    assert (last["type"], last["error"]["code"]) == ("error", "upstream_error")


def test_a_client_that_leaves_closes_the_node_and_pays_the_text(gateway, upstream):
    gate = Moment()
    upstream.script("tts-1", streams([PIECES[0], gate], content_type="audio/mpeg"))
    with gateway.http.stream(
        "POST", "/v1/speech", json={"text": TEXT}, headers={"authorization": f"Bearer {PROXY_KEY}"}
    ) as answer:
        next(answer.iter_bytes())
    upstream.received(1)[0].closed.wait()
    gate.happen()
    record = record_of(gateway, answer.headers["x-request-id"])
    assert record["status"] == 499
    assert Decimal(record["cost"]) == len(TEXT) * Decimal("0.000015")


def test_a_text_that_the_credits_do_not_cover_is_not_sent(gateway, upstream):
    workspace = gateway.new_workspace("0.0001")
    _, secret = gateway.new_key(workspace)
    answer = gateway.post("/v1/speech", {"text": TEXT}, key=secret)
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "insufficient_quota")
    assert upstream.chats() == []


# Transcriptions


def test_the_sdk_transcribes_and_pays_the_seconds_that_the_node_tells(gateway, upstream, sdk):
    told = {"text": "Hello.", "usage": {"type": "duration", "seconds": 7}}
    upstream.script("whisper-1", answers(told))
    raw = sdk.audio.transcriptions.with_raw_response.create(
        model="openai/whisper-1", file=("talk.mp3", ID3), language="en", prompt="Mira", temperature=0.2
    )
    assert raw.parse().text == "Hello."
    assert json.loads(raw.text)["usage"] == {"type": "duration", "seconds": 7, "cost": 0.0007}
    assert raw.headers["x-mira-cost"] == "0.0007"
    (request,) = upstream.received(1)
    assert request.path == "/v1/audio/transcriptions"
    assert request.form == {
        "model": b"whisper-1",
        "response_format": b"json",
        "language": b"en",
        "prompt": b"Mira",
        "temperature": b"0.2",
        "file": ID3,
    }
    record = gateway.call(raw.headers["x-request-id"])
    assert not record["usage"]["estimated"]
    gateway.check_ledger()


def test_tokens_of_sound_and_of_words_have_prices_of_their_own(gateway, upstream):
    usage = {
        "type": "tokens",
        "input_tokens": 114,
        "input_token_details": {"text_tokens": 14, "audio_tokens": 100},
        "output_tokens": 9,
        "total_tokens": 123,
    }
    upstream.script("gpt-4o-transcribe", answers({"text": "Hello.", "usage": usage}))
    answer = transcribe(gateway, model="openai/gpt-4o-transcribe")
    expected = (14 * Decimal("2.5") + 100 * 6 + 9 * 10) / 10**6
    assert Decimal(answer.headers["x-mira-cost"]) == expected
    assert Decimal(str(answer.json()["usage"]["cost"])) == expected


SEGMENTS = [
    {"id": 0, "start": 0.0, "end": 2.5, "text": " One."},
    {"id": 1, "start": 3661.25, "end": 3662, "text": "Two."},
]
VERBOSE = {"task": "transcribe", "language": "english", "duration": "3662.0", "text": "One. Two.", "segments": SEGMENTS}


@pytest.mark.parametrize(
    ("form", "content_type", "text"),
    [
        ("text", "text/plain; charset=utf-8", "One. Two.\n"),
        (
            "srt",
            "application/x-subrip; charset=utf-8",
            "1\n00:00:00,000 --> 00:00:02,500\nOne.\n\n2\n01:01:01,250 --> 01:01:02,000\nTwo.\n\n",
        ),
        (
            "vtt",
            "text/vtt; charset=utf-8",
            "WEBVTT\n\n00:00:00.000 --> 00:00:02.500\nOne.\n\n01:01:01.250 --> 01:01:02.000\nTwo.\n\n",
        ),
    ],
)
def test_texts_and_subtitles_are_made_here_so_that_their_seconds_are_known(gateway, upstream, form, content_type, text):
    upstream.script("whisper-1", answers(VERBOSE))
    answer = transcribe(gateway, response_format=form)
    assert (answer.text, answer.headers["content-type"]) == (text, content_type)
    assert upstream.received(1)[0].form["response_format"] == (b"json" if form == "text" else b"verbose_json")
    assert Decimal(answer.headers["x-mira-cost"]) == Decimal("0.3662")


def test_a_node_that_tells_no_seconds_is_paid_by_the_size_of_the_file(gateway, compatible):
    compatible.script("whisper-x", answers({"text": "Hello."}))
    answer = transcribe(gateway, model="acme/whisper-x")
    record = gateway.call(answer.headers["x-request-id"])
    assert record["usage"]["estimated"]
    assert Decimal(record["cost"]) == Decimal("0.0005")


@pytest.mark.parametrize("streamed", [True, False], ids=["events", "whole"])
def test_the_sdk_gets_events_whether_the_node_streams_or_not(gateway, upstream, sdk, streamed):
    usage = {"type": "tokens", "input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
    deltas = [{"type": "transcript.text.delta", "delta": text} for text in ("Hel", "lo.")]
    done = {"type": "transcript.text.done", "text": "Hello.", "usage": usage}
    whole = answers({"text": "Hello.", "usage": usage})
    upstream.script("gpt-4o-transcribe", streams(frames(*deltas, done)) if streamed else whole)
    found = list(sdk.audio.transcriptions.create(model="openai/gpt-4o-transcribe", file=("a.mp3", ID3), stream=True))
    assert "".join(event.delta for event in found[:-1]) == "Hello."
    assert (found[-1].type, found[-1].text) == ("transcript.text.done", "Hello.")
    assert found[-1].usage.cost == pytest.approx((100 * 6 + 10 * 10) / 10**6)
    assert upstream.received(1)[0].form["stream"] == b"true"


def test_the_inference_service_transcribes_and_a_repeated_form_is_known_by_its_content(gateway, upstream):
    upstream.script("whisper-1", answers({"text": "Hello.", "usage": {"type": "duration", "seconds": 7}}))
    path, headers = "/inference/v1/audio/transcriptions", {"idempotency-key": "transcription-1"}
    # Each form has a boundary of its own.
    first, again = (transcribe(gateway, key=INFERENCE_KEY, path=path, headers=headers) for _ in range(2))
    assert first.content == again.content
    assert len(upstream.chats()) == 1
    other = transcribe(gateway, ID3 + b"x", key=INFERENCE_KEY, path=path, headers=headers)
    assert other.status_code == 422


def test_a_field_that_nobody_knows_is_told(gateway, upstream):
    upstream.script("tts-1", audio())
    told = gateway.post("/v1/audio/speech", {"model": "openai/tts-1", "input": "Hi", "accent": "Welsh"})
    assert (told.status_code, told.headers["x-mira-dropped"]) == (200, "accent")
    upstream.script("whisper-1", answers({"text": "Hello."}))
    told = transcribe(gateway, model="openai/whisper-1", speaker="me")
    assert (told.status_code, told.headers["x-mira-dropped"]) == (200, "speaker")


def test_a_nodes_refusal_is_told_and_costs_nothing(gateway, upstream):
    refusal = {"error": {"message": "The audio is too quiet.", "type": "invalid_request_error", "param": "file"}}
    upstream.script("whisper-1", answers(refusal, 400))
    answer = transcribe(gateway)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "The audio is too quiet."
    assert gateway.call(answer.headers["x-request-id"])["cost"] == "0"


def test_what_is_no_sound_never_leaves_the_gateway(gateway, upstream):
    for data in (b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n" + bytes(99), b""):
        answer = transcribe(gateway, data)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")
    answer = gateway.post("/v1/audio/transcriptions", {"model": "openai/whisper-1"})
    assert answer.status_code == 415
    assert upstream.chats() == []
