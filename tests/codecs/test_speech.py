"""Speech and transcriptions on the wire: what any split of a stream gives, and what a request can use at most."""

import base64
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.codecs.media import speech, transcription
from mira.codecs.media.shape import Made, Received, Target
from mira.codecs.media.speech import Sound, SpeechRequest
from mira.codecs.media.speech_gemini import SPEECH_GEMINI
from mira.codecs.media.speech_openai import SPEECH_OPENAI, SpeechStream
from mira.codecs.media.transcription import TranscriptionRequest, render_answer
from mira.codecs.media.transcription_openai import TRANSCRIPTIONS_LOCAL, TRANSCRIPTIONS_OPENAI, TranscriptStream
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

TEXT = "Hello there."
SOUNDS = (b"\xff\xf3\x84\xc4", bytes(range(256)), b"data: not an event", b"end")
CLASSES = ("input_tokens", "audio_input_tokens", "output_tokens", "audio_output_tokens", "media_ms", "characters")


def frames(*events):
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def delta(sound):
    return {"type": "speech.audio.delta", "audio": base64.b64encode(sound).decode()}


DONE = {"type": "speech.audio.done", "usage": {"input_tokens": 4, "output_tokens": 50, "total_tokens": 54}}
EVENTS = frames(*map(delta, SOUNDS), DONE)
BARE = b"".join(SOUNDS)
DELTAS = [{"type": "transcript.text.delta", "delta": piece} for piece in ("Hel", "lo ", "thére.")]
TOKENS = {"type": "tokens", "input_tokens": 30, "output_tokens": 5, "input_token_details": {"audio_tokens": 28}}
TRANSCRIPT = frames(*DELTAS, {"type": "transcript.text.done", "text": "Hello thére.", "usage": TOKENS})
WHOLE = json.dumps({"text": "Hello thére.", "usage": TOKENS}).encode()


def request(**fields):
    return SpeechRequest(text=TEXT, **fields)


def recording(**fields):
    given = {"data": b"ID3" + bytes(1000), "filename": "a.mp3", "mime_type": "audio/mpeg"}
    return TranscriptionRequest(**{**given, **fields})


def fed(stream, data, cuts):
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]
    out = b"".join(stream.feed(data[a:b]) for a, b in pairwise(edges))
    return out + (b"" if stream.ended else stream.close())


def told(events):
    return [json.loads(line[6:]) for line in events.decode().split("\n\n") if line]


@given(cuts=st.lists(st.integers(1, len(EVENTS)), max_size=12))
@pytest.mark.parametrize("wire", [EVENTS, BARE], ids=["events", "bare"])
def test_sound_is_the_same_however_the_nodes_answer_is_split(wire, cuts):
    bare = SpeechStream(request())
    assert fed(bare, wire, cuts) == BARE
    assert bare.ended
    assert bare.has_content
    events = SpeechStream(request(events=True))
    found = told(fed(events, wire, cuts) + events.finish(7))
    assert b"".join(base64.b64decode(event["audio"]) for event in found[:-1]) == BARE
    assert found[-1]["type"] == "speech.audio.done"
    assert found[-1]["usage"]["cost"] == pytest.approx(7e-9)
    usage = Usage(input_tokens=4, audio_output_tokens=50, characters=12) if wire is EVENTS else Usage(characters=12)
    assert bare.usage == events.usage == usage


@given(cuts=st.lists(st.integers(1, len(TRANSCRIPT)), max_size=12))
@pytest.mark.parametrize("wire", [TRANSCRIPT, WHOLE], ids=["events", "whole"])
def test_a_transcript_is_the_same_however_the_nodes_answer_is_split(wire, cuts):
    stream = TranscriptStream(recording(stream=True))
    found = told(fed(stream, wire, cuts) + stream.finish(7))
    assert "".join(event["delta"] for event in found[:-1]) == "Hello thére."
    assert (found[-1]["type"], found[-1]["text"]) == ("transcript.text.done", "Hello thére.")
    assert found[-1]["usage"] == {**TOKENS, "cost": pytest.approx(7e-9)}
    assert stream.usage == Usage(input_tokens=2, audio_input_tokens=28, output_tokens=5)


@pytest.mark.parametrize(
    "wire",
    [
        frames({"error": {"message": "busy", "type": "server_error"}}),
        frames({"type": "error", "message": "busy", "code": "server_error"}),
        frames({"type": "speech.audio.delta", "audio": "no base64!"}),
    ],
)
def test_an_error_inside_a_stream_is_no_sound(wire):
    stream = SpeechStream(request())
    assert fed(stream, wire, []) == b""
    assert stream.failed is not None
    assert not stream.has_content


@pytest.mark.parametrize("wire", [b"", frames(DONE)[:10], frames(delta(b"ab"))])
def test_an_answer_without_sound_or_without_an_end_is_not_whole(wire):
    with pytest.raises(MiraError) as refused:
        SPEECH_OPENAI.read(Received(body=wire), request())
    assert refused.value.kind is Kind.UPSTREAM_FAILED


@pytest.mark.parametrize(
    ("model", "dialect", "stream_format", "dropped"),
    [
        ("tts-1-hd", "openai", None, ("instructions",)),
        ("gpt-4o-mini-tts", "openai", "sse", ()),
        ("mira/speech", "local", None, ("instructions",)),
        ("openai/tts-1", "mira", "sse", ()),
        ("kokoro", "", None, ()),
    ],
)
def test_events_are_asked_for_where_they_end_in_a_usage(model, dialect, stream_format, dropped):
    outgoing = SPEECH_OPENAI.render(request(instructions="Softly."), Target(model, dialect))
    assert json.loads(outgoing.body).get("stream_format") == stream_format
    assert outgoing.dropped == dropped


@pytest.mark.parametrize("form", speech.CONTENT_TYPES)
def test_gemini_lacks_formats_only_where_nobody_can_encode(form):
    assert SPEECH_GEMINI.lacks(request(form=form, encodes=True)) is None
    expected = None if form in ("wav", "pcm") else "response_format"
    assert SPEECH_GEMINI.lacks(request(form=form)) == expected


def test_sound_of_an_unknown_rate_is_not_taken_for_something_else():
    inline = {"mimeType": "audio/L16;rate=48000", "data": base64.b64encode(bytes(4)).decode()}
    body = json.dumps({"candidates": [{"content": {"parts": [{"inlineData": inline}]}}]}).encode()
    with pytest.raises(MiraError, match="not known here"):
        SPEECH_GEMINI.read(Received(body=body), request())


def test_the_embedded_model_lacks_what_only_newer_models_have():
    assert TRANSCRIPTIONS_LOCAL.lacks(recording(form="diarized_json")) == "response_format"
    assert TRANSCRIPTIONS_LOCAL.lacks(recording(more=(("include[]", "logprobs"),))) == "include[]"
    assert TRANSCRIPTIONS_OPENAI.lacks(recording(more=(("include[]", "logprobs"),))) is None


@given(
    text=st.text(min_size=1, max_size=4096),
    speed=st.none() | st.floats(0.25, 4),
    size=st.integers(0, 2_000_000),
    form=st.sampled_from(["wav", "pcm", "mp3"]),
)
def test_no_estimate_of_speech_is_above_what_was_held(text, speed, size, form):
    asked = SpeechRequest(text=text, speed=speed, form=form)
    most = speech.bound(asked)
    for usage in (speech.brought(asked), speech.estimate(asked, None)):
        assert all(getattr(usage, name) <= getattr(most, name) for name in CLASSES)
    exact = speech.estimate(asked, Made(content=Sound(bytes(size), form)))
    assert exact.characters == len(text)
    if form != "mp3":
        assert exact.media_ms == max(size - (44 if form == "wav" else 0), 0) // 48 or exact.media_ms > 0


@given(
    size=st.integers(1, 3_000_000), mime_type=st.sampled_from(["audio/wav", "audio/mpeg"]), prompt=st.text(max_size=99)
)
def test_no_estimate_of_a_transcription_is_above_what_was_held(size, mime_type, prompt):
    wav = speech.as_wav(bytes(size))
    asked = recording(data=wav, mime_type=mime_type, prompt=prompt)
    most = transcription.bound(asked)
    for usage in (transcription.brought(asked), transcription.estimate(asked, None)):
        assert all(getattr(usage, name) <= getattr(most, name) for name in CLASSES)
    if mime_type == "audio/wav":
        assert most.media_ms <= size / 48 + 2_100, "a WAV file is held by its own rate"


@pytest.mark.parametrize("content", [{"text": "a"}, {"segments": None}, {"segments": [3, {"start": "x", "end": None}]}])
@pytest.mark.parametrize("form", transcription.CONTENT_TYPES)
def test_whatever_a_node_tells_can_be_rendered(form, content):
    assert isinstance(render_answer(form, content, 5), bytes)
