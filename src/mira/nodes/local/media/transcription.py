"""Whisper base: speech to text, segment by segment, told as OpenAI's JSON."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from faster_whisper import WhisperModel
from faster_whisper.tokenizer import _LANGUAGE_CODES as LANGUAGES
from msgspec import Struct

from mira.errors import Kind, MiraError
from mira.nodes.local.media.sound import READ_RATE_HZ, Samples

THREADS = 2
#: Decoded again with more chance where an answer repeats itself; the library's own list has twice as many.
TEMPERATURES = (0.0, 0.4, 0.8)
_FIGURES = ("start", "end", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob")
#: The gateway makes texts and subtitles of these.
FORMS = ("json", "verbose_json")


class Wish(Struct, frozen=True, kw_only=True):
    """What a request asks for beside its sound."""

    language: str | None = None
    prompt: str | None = None
    temperature: float | None = None
    words: bool = False


class Heard(Struct, frozen=True):
    """A transcription: its language, the sound's length in seconds, and its segments as the library makes them."""

    language: str
    seconds: float
    segments: Sequence[Any]

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(segment.text for segment in self.segments).strip()


class Whisper:
    """The model, loaded. One segment is read at a time; several callers take turns between segments."""

    def __init__(self, folder: Path) -> None:
        self._model = WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=THREADS, local_files_only=True
        )
        self._turn = threading.Lock()

    def listen(self, samples: Samples, wish: Wish) -> tuple[str, Iterator[Any]]:
        """The language, and the segments as they are read; MiraError for a language that the model does not know."""
        if wish.language is not None and wish.language not in LANGUAGES:
            message = "language: must be a code of two letters that Whisper knows, like en"
            raise MiraError(Kind.BAD_REQUEST, message, param="language")
        with self._turn:
            segments, info = self._model.transcribe(
                samples,
                language=wish.language,
                initial_prompt=wish.prompt,
                temperature=TEMPERATURES if wish.temperature is None else wish.temperature,
                word_timestamps=wish.words,
                beam_size=1,
                best_of=1,
                condition_on_previous_text=False,
            )
        return info.language, self._one_by_one(segments)

    def _one_by_one(self, segments: Iterable[Any]) -> Iterator[Any]:
        waiting = iter(segments)
        while True:
            with self._turn:
                segment = next(waiting, None)
            if segment is None:
                return
            yield segment


def seconds_of(samples: Samples) -> float:
    """The length of sound as `sound.decode` gives it."""
    return len(samples) / READ_RATE_HZ


def usage_of(seconds: float) -> dict[str, Any]:
    """Usage as OpenAI tells it for models that are billed by the length of the sound."""
    return {"type": "duration", "seconds": round(seconds, 3)}


def brief(heard: Heard) -> dict[str, Any]:
    """The text alone, with the usage."""
    return {"text": heard.text, "usage": usage_of(heard.seconds)}


def verbose(heard: Heard, *, words: bool, segments: bool) -> dict[str, Any]:
    """The text with what is known of it; times of `words` and `segments` where they are asked for."""
    found: dict[str, Any] = {
        "task": "transcribe",
        "language": heard.language,
        "duration": round(heard.seconds, 3),
        "text": heard.text,
        "usage": usage_of(heard.seconds),
    }
    if words:
        found["words"] = [
            {"word": word.word.strip(), "start": float(word.start), "end": float(word.end)}
            for segment in heard.segments
            for word in segment.words or ()
        ]
    if segments:
        found["segments"] = [_segment(segment) for segment in heard.segments]
    return found


def _segment(segment: Any) -> dict[str, Any]:
    # The library counts from 1, OpenAI from 0; some of its figures are numpy's.
    return {
        "id": segment.id - 1,
        "seek": int(segment.seek),
        "text": segment.text,
        "tokens": [int(token) for token in segment.tokens],
        **{name: float(getattr(segment, name)) for name in _FIGURES},
    }
