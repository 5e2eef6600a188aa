"""Sound in and out of files, and how a text is cut for speaking; no model is asked."""

import io
import struct

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.codecs.media.speech import CONTENT_TYPES, as_wav
from mira.errors import Kind, MiraError
from mira.nodes.local.media.sentences import MOST_CHARACTERS, pieces, readable
from mira.nodes.local.media.sound import MOST_SECONDS, READ_RATE_HZ, Encoder, as_pcm, decode

RATE_HZ = 24_000
SECONDS = 2.5


def tone(seconds=SECONDS, rate_hz=RATE_HZ):
    return (np.sin(np.arange(int(seconds * rate_hz)) * 2 * np.pi * 440 / rate_hz) * 0.3).astype(np.float32)


def encoded(form, samples=None):
    encoder = Encoder(form, RATE_HZ)
    samples = tone() if samples is None else samples
    made = [encoder.feed(samples[at : at + 7_001]) for at in range(0, len(samples), 7_001)]
    return [*made, encoder.close()]


def read_back(data):
    with av.open(io.BytesIO(data)) as source:
        return sum(frame.samples / frame.sample_rate for frame in source.decode(audio=0))


@pytest.mark.parametrize("form", [form for form in CONTENT_TYPES if form != "pcm"])
def test_every_format_is_written_piece_by_piece_and_lasts_as_long_as_its_sound(form):
    made = encoded(form)
    assert len(made[0]) > 0, "something can be sent before all is there"
    assert read_back(b"".join(made)) == pytest.approx(SECONDS, abs=0.1)


def test_bare_sound_is_its_samples():
    data = b"".join(encoded("pcm"))
    assert len(data) == int(SECONDS * RATE_HZ) * 2
    assert data == as_pcm(tone())


def test_samples_beyond_the_scale_are_cut_and_do_not_wrap():
    assert as_pcm(np.array([2.0, -2.0], np.float32)) == struct.pack("<2h", 32767, -32767)


@pytest.mark.parametrize("form", [form for form in CONTENT_TYPES if form != "pcm"])
def test_every_format_that_is_written_can_be_read(form):
    samples = decode(b"".join(encoded(form)))
    assert len(samples) / READ_RATE_HZ == pytest.approx(SECONDS, abs=0.1)
    assert np.abs(samples).max() == pytest.approx(0.3, abs=0.1)


def test_a_whole_wav_file_says_its_length():
    data = as_wav(as_pcm(tone()))
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    assert read_back(data) == pytest.approx(SECONDS, abs=0.001)


WAV = as_wav(as_pcm(tone()))
HOSTILE = {
    "nothing that is known": b"hello" * 100,
    "a list of other files": b"#EXTM3U\n#EXT-X-VERSION:3\nfile:///etc/passwd\n",
    "a list of other files of libav's": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "an mp3 of noise": b"\xff\xfb\x90\x00" + bytes(range(256)) * 4,
    "an mp3 cut after its head": b"".join(encoded("mp3"))[:60],
    "an ogg cut after its head": b"".join(encoded("opus"))[:200],
    "an mp4 of noise": b"\0\0\0\x20ftypisom" + bytes(range(256)) * 40,
    "an mp4 whose box is larger than the file": b"\0\0\0\x20ftypisom" + bytes(20) + b"\xff\xff\xff\xffmoov",
    "a webm of noise": b"\x1aE\xdf\xa3" + bytes(range(256)) * 4,
    "a wav without sound": WAV[:44],
    "a wav with a rate of nothing": WAV[:24] + bytes(4) + WAV[28:],
    "a wav of a thousand channels": WAV[:22] + struct.pack("<H", 1000) + WAV[24:],
    "a flac of noise": b"fLaC" + bytes(range(256)) * 4,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_sound_is_refused_by_the_fields_name(data):
    with pytest.raises(MiraError) as refused:
        decode(data)
    assert refused.value.kind is Kind.BAD_REQUEST
    assert refused.value.param == "file"


def test_a_length_that_a_header_invents_reserves_nothing():
    claimed = WAV[:4] + b"\xff\xff\xff\xff" + WAV[8:40] + b"\xff\xff\xff\xff" + WAV[44:]
    assert len(decode(claimed)) / READ_RATE_HZ == pytest.approx(SECONDS, abs=0.1)


def test_sound_that_is_longer_than_allowed_is_given_up_on_the_way():
    # A thousand samples a second, one byte each: half an hour fits into little.
    slow = struct.pack("<IHHIIHH", 16, 1, 1, 1000, 1000, 1, 8)
    data = WAV[:16] + slow + b"data" + struct.pack("<I", 2**31) + bytes((MOST_SECONDS + 1) * 1000)
    with pytest.raises(MiraError, match="longer than 30 minutes"):
        decode(data)


def test_a_text_is_spoken_sentence_by_sentence():
    text = 'Hello there. Dr. Smith paid $3.50 at 10:30! Really?\nYes… "Quite so." Fine'
    assert list(pieces(text)) == [
        "Hello there.",
        "Dr. Smith paid $3.50 at 10 30!",
        "Really?",
        "Yes…",
        '"Quite so."',
        "Fine",
    ]


@given(st.text(alphabet="ab .,;!?\n\"'", max_size=1500))
def test_no_piece_is_long_or_without_a_word_and_no_word_is_lost(text):
    found = list(pieces(text))
    assert all(len(piece) <= MOST_CHARACTERS and any(map(str.isalnum, piece)) for piece in found)
    letters = [letter for letter in text if letter.isalnum()]
    assert [letter for piece in found for letter in piece if letter.isalnum()] == letters


@pytest.mark.parametrize("text", ["Привет", "Hello 日本", "!!!", " ", "…"])
def test_a_text_that_an_english_voice_cannot_speak_is_refused_rather_than_mumbled(text):
    with pytest.raises(MiraError) as refused:
        readable(text)
    assert refused.value.param == "input"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Café déjà vu", "Café déjà vu"),
        ("naïve — “quote” 😀", "naïve — “quote” 😀"),
        ("100 %", "100 %"),
        ("Ｈｉ 𝐭𝐡𝐞𝐫𝐞", "Hi there"),
    ],
)
def test_a_text_in_latin_letters_and_digits_is_spoken(text, read):
    assert readable(text) == read
