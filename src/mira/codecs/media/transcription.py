"""Transcriptions as clients ask for them, and the forms in which they are answered.

Source: the OpenAI API reference (2026-11).
"""

from math import ceil
from typing import Any, Literal

from msgspec import Struct

from mira.codecs.chat.usage import cost_literal
from mira.codecs.lenient import compact
from mira.codecs.media.shape import Made
from mira.core.usage import Usage

Form = Literal["json", "text", "verbose_json", "srt", "vtt", "diarized_json"]
CONTENT_TYPES = {
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
    "verbose_json": "application/json",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "diarized_json": "application/json",
}
#: Bytes of a second of sound: about, and at least, where the file does not say.
BYTES_PER_S = 8_000
LEAST_BYTES_PER_S = 750
TOKENS_PER_S = 10
MOST_TOKENS_PER_S = 25
WORDS_TOKENS_PER_S = 4
PROMPT_BYTES = 8_192


class TranscriptionRequest(Struct, frozen=True, kw_only=True):
    """What is to be heard. `mime_type` is what the bytes are. `more` are further fields of OpenAI's, as they came."""

    data: bytes
    filename: str
    mime_type: str
    form: Form = "json"
    language: str | None = None
    prompt: str | None = None
    temperature: float | None = None
    grains: tuple[str, ...] = ()
    stream: bool = False
    more: tuple[tuple[str, str], ...] = ()


def bound(request: TranscriptionRequest) -> Usage:
    """The most that a request can use at any node: as if its sound were packed as tightly as speech can be."""
    seconds = ceil(length_s(request) or len(request.data) / LEAST_BYTES_PER_S) + 1
    return Usage(
        input_tokens=len((request.prompt or "").encode()) + 64,
        audio_input_tokens=seconds * MOST_TOKENS_PER_S,
        output_tokens=seconds * MOST_TOKENS_PER_S + 64,
        media_ms=seconds * 1000,
    )


def brought(request: TranscriptionRequest) -> Usage:
    """What a request uses even if nothing comes of it: its sound, by its size."""
    milliseconds = ceil((length_s(request) or len(request.data) / BYTES_PER_S) * 1000)
    return Usage(audio_input_tokens=ceil(milliseconds * TOKENS_PER_S / 1000), media_ms=milliseconds)


def estimate(request: TranscriptionRequest, made: Made | None) -> Usage:
    """The usage of a request at a node that tells none."""
    given = brought(request)
    milliseconds = given.media_ms
    if made is not None:
        milliseconds = round(seconds_told(made.content) * 1000) or milliseconds
    return Usage(
        input_tokens=ceil(len((request.prompt or "").encode()) / 4),
        audio_input_tokens=ceil(milliseconds * TOKENS_PER_S / 1000),
        output_tokens=ceil(milliseconds * WORDS_TOKENS_PER_S / 1000),
        media_ms=milliseconds,
        estimated=True,
    )


def length_s(request: TranscriptionRequest) -> float:
    """Seconds of sound in a WAV file by its own rate and its real size; 0 for other files."""
    data = request.data
    if request.mime_type != "audio/wav":
        return 0.0
    place = data.find(b"fmt ", 0, 4096)
    rate = int.from_bytes(data[place + 16 : place + 20], "little") if place >= 0 else 0
    return len(data) / rate if rate >= LEAST_BYTES_PER_S else 0.0


def seconds_told(content: dict[str, Any]) -> float:
    """The length of the sound as an answer tells it, 0 where it does not; some nodes write it as text."""
    try:
        seconds = float(content.get("duration") or 0)
    except (TypeError, ValueError):
        return 0.0
    return seconds if 0 < seconds < 10**7 else 0.0


def usage_of(value: Any) -> Usage | None:
    """OpenAI's usage of a transcription, by tokens or by seconds; None where there is none."""
    if not isinstance(value, dict):
        return None
    if value.get("type") == "duration" or "seconds" in value:
        milliseconds = ceil(seconds_told({"duration": value.get("seconds")}) * 1000)
        return Usage(media_ms=milliseconds) if milliseconds else None
    inputs, outputs = _count(value, "input_tokens"), _count(value, "output_tokens")
    details = value.get("input_token_details")
    sound = min(_count(details, "audio_tokens"), inputs) if isinstance(details, dict) else inputs
    if not inputs and not outputs:
        return None
    return Usage(input_tokens=inputs - sound, audio_input_tokens=sound, output_tokens=outputs)


def render_answer(form: str, content: dict[str, Any], cost_nanocredits: int) -> bytes:
    """A node's transcription (an object as OpenAI's JSON) in the form that the client asked for."""
    match form:
        case "text":
            return (str(content.get("text", "")) + "\n").encode()
        case "srt":
            return "".join(f"{number}\n{cue}" for number, cue in enumerate(_cues(content, ","), 1)).encode()
        case "vtt":
            return ("WEBVTT\n\n" + "".join(_cues(content, "."))).encode()
        case _:
            return bytes(compact({**content, "usage": with_cost(content.get("usage"), cost_nanocredits)}))


def with_cost(usage: Any, cost_nanocredits: int) -> dict[str, Any]:
    """A node's usage with what the call costs here."""
    return {**(usage if isinstance(usage, dict) else {}), "cost": cost_literal(cost_nanocredits)}


def _cues(content: dict[str, Any], point: str) -> list[str]:
    segments = content.get("segments")
    found = [segment for segment in segments if isinstance(segment, dict)] if isinstance(segments, list) else []
    return [
        f"{_clock(each.get('start'), point)} --> {_clock(each.get('end'), point)}\n{_words(each)}\n\n" for each in found
    ]


def _words(segment: dict[str, Any]) -> str:
    return str(segment.get("text", "")).strip()


def _clock(seconds: Any, point: str) -> str:
    whole, thousandths = divmod(round(seconds_told({"duration": seconds}) * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{point}{thousandths:03}"


def _count(value: dict[str, Any], name: str) -> int:
    count = value.get(name)
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 < count < 2**53 else 0
