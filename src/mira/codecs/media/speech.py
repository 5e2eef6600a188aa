"""Speech as clients ask for it: Mira's short body and OpenAI's, and the sound that answers both.

Source: the OpenAI API reference (2026-11).
"""

import base64
from math import ceil
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from mira.codecs import sse
from mira.codecs.chat.errors import render_error
from mira.codecs.chat.usage import cost_literal
from mira.codecs.media.shape import Made
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

MOST_CHARACTERS = 4096
#: Sound without a container, and inside of WAV: mono, signed 16-bit numbers, the small byte first.
RATE_HZ = 24_000
BYTES_PER_MS = RATE_HZ * 2 // 1000
WAV_HEAD_BYTES = 44
#: How long a character is spoken, and at most (digits are read as words), with a moment of silence around all.
MS_PER_CHARACTER = 65
MOST_MS_PER_CHARACTER = 600
AROUND_MS = 2_000
#: Tokens of one second of sound, and the most that any known model counts.
TOKENS_PER_S = 25
MOST_TOKENS_PER_S = 50
CONTENT_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
Format = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
Text = Annotated[str, Meta(min_length=1, max_length=MOST_CHARACTERS)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Speed = Annotated[float, Meta(ge=0.25, le=4.0)]


class VoiceId(Struct):
    """A voice of one's own, by its id."""

    id: Name


class SpeechBody(Struct, kw_only=True):
    """`POST /v1/audio/speech`."""

    input: Text
    model: Name | None = None
    voice: Name | VoiceId | None = None
    response_format: Format | None = None
    speed: Speed | None = None
    instructions: Annotated[str, Meta(max_length=MOST_CHARACTERS)] | None = None
    stream_format: Literal["audio", "sse"] | None = None


class ShortSpeechBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/speech`."""

    text: Text
    model: Name | None = None
    voice: Name | VoiceId | None = None
    format: Format | None = None
    speed: Speed | None = None


class SpeechRequest(Struct, frozen=True, kw_only=True):
    """What is to be said, whoever asks for it. `voice` None is the model's own.

    `events` asks for the sound as events rather than bare. `encodes`: sound that a node makes in no container can be
    put into any format here.
    """

    text: str
    voice: str | VoiceId | None = None
    form: str = "mp3"
    speed: float | None = None
    instructions: str | None = None
    events: bool = False
    encodes: bool = False


class Sound(Struct, frozen=True):
    """The content of `Made`: bytes in one of the formats."""

    data: bytes
    form: str


def bound(request: SpeechRequest) -> Usage:
    """The most that a request can use at any node."""
    milliseconds = AROUND_MS + _slowed(len(request.text) * MOST_MS_PER_CHARACTER, request)
    told = request.text + (request.instructions or "")
    return Usage(
        input_tokens=len(told.encode()) + 64,
        audio_output_tokens=ceil(milliseconds * MOST_TOKENS_PER_S / 1000),
        media_ms=milliseconds,
        characters=len(request.text),
    )


def brought(request: SpeechRequest) -> Usage:
    """What a request uses even if nothing comes of it: its text."""
    return Usage(input_tokens=ceil(len(request.text.encode()) / 4), characters=len(request.text))


def estimate(request: SpeechRequest, made: Made | None) -> Usage:
    """The usage of a request at a node that tells none; `made` None is the whole text."""
    milliseconds = _slowed(len(request.text) * MS_PER_CHARACTER, request)
    if made is not None:
        milliseconds = length_ms(len(made.content.data), made.content.form) or milliseconds
    given = brought(request)
    return Usage(
        input_tokens=given.input_tokens,
        audio_output_tokens=ceil(milliseconds * TOKENS_PER_S / 1000),
        media_ms=milliseconds,
        characters=given.characters,
        estimated=True,
    )


def length_ms(size_bytes: int, form: str) -> int:
    """Milliseconds of sound in so many bytes, 0 for formats that do not tell it by their size."""
    if form not in ("wav", "pcm"):
        return 0
    return max(size_bytes - (WAV_HEAD_BYTES if form == "wav" else 0), 0) // BYTES_PER_MS


def as_wav(pcm: bytes) -> bytes:
    """Bare sound in a WAV file."""
    numbers = ((16, 4), (1, 2), (1, 2), (RATE_HZ, 4), (RATE_HZ * 2, 4), (2, 2), (16, 2))
    form = b"".join(number.to_bytes(size, "little") for number, size in numbers)
    size = len(pcm).to_bytes(4, "little")
    whole = (len(pcm) + WAV_HEAD_BYTES - 8).to_bytes(4, "little")
    return b"RIFF" + whole + b"WAVEfmt " + form + b"data" + size + pcm


def usage_of(value: Any, request: SpeechRequest) -> Usage:
    """The usage that OpenAI tells of speech, with the characters that were sent; without one, the characters alone."""
    told = value if isinstance(value, dict) else {}
    return Usage(
        input_tokens=_count(told, "input_tokens"),
        audio_output_tokens=_count(told, "output_tokens"),
        characters=len(request.text),
    )


def usage_body(usage: Usage | None, cost_nanocredits: int) -> dict[str, Any]:
    """OpenAI's usage of speech, with the cost."""
    usage = usage or Usage()
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "cost": cost_literal(cost_nanocredits),
    }


def delta_event(sound: bytes) -> bytes:
    """A piece of sound as an event."""
    return _event({"type": "speech.audio.delta", "audio": base64.b64encode(sound).decode()})


def done_event(usage: Usage | None, cost_nanocredits: int) -> bytes:
    """The last event."""
    return _event({"type": "speech.audio.done", "usage": usage_body(usage, cost_nanocredits)})


def error_event(error: MiraError) -> bytes:
    """The last event of an answer that was cut."""
    told = msgspec.json.decode(render_error(error, ""), type=dict[str, Any])
    return _event({"type": "error", **told})


def empty() -> MiraError:
    """A node answered without sound."""
    return MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer has no sound.")


def _event(fields: dict[str, Any]) -> bytes:
    return sse.data_frame(msgspec.json.encode(fields))


def _slowed(milliseconds: int, request: SpeechRequest) -> int:
    return ceil(milliseconds / (request.speed or 1.0))


def _count(value: dict[str, Any], name: str) -> int:
    count = value.get(name)
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 < count < 2**53 else 0
