"""Speech at Gemini: `generateContent` that is asked for sound, which comes bare (24 kHz, 16 bit, mono).

Source: the Gemini API reference (2026-11). The voices of OpenAI are told by the nearest of Gemini's.
"""

import base64
import binascii
from typing import Any

import msgspec

from mira.codecs.gemini.errors import parse_error, parse_error_in_band
from mira.codecs.gemini.usage import usage_of
from mira.codecs.lenient import answered
from mira.codecs.media.shape import Made, NothingMadeError, Outgoing, Received, Shape, Target
from mira.codecs.media.speech import RATE_HZ, Sound, SpeechRequest, empty
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

DEFAULT_VOICE = "Kore"
VOICES = {
    "alloy": "Kore",
    "ash": "Orus",
    "ballad": "Algieba",
    "cedar": "Charon",
    "coral": "Aoede",
    "echo": "Puck",
    "fable": "Iapetus",
    "marin": "Sulafat",
    "nova": "Leda",
    "onyx": "Fenrir",
    "sage": "Vindemiatrix",
    "shimmer": "Zephyr",
    "verse": "Umbriel",
}
BARE = ("wav", "pcm")


def render(request: SpeechRequest, target: Target) -> Outgoing:
    """One turn with the text."""
    del target
    voice = request.voice if isinstance(request.voice, str) else None
    name = DEFAULT_VOICE if voice is None else VOICES.get(voice.lower(), voice)
    body = {
        "contents": [{"role": "user", "parts": [{"text": request.text}]}],
        "generationConfig": {
            "responseModalities": ["AUDIO"],
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": name}}},
        },
    }
    given = {"instructions": request.instructions, "speed": request.speed}
    dropped = tuple(field for field, value in given.items() if value is not None)
    path = "/v1beta/models/{model}:generateContent"
    return Outgoing(path=path, body=msgspec.json.encode(body), dropped=dropped)


def read(received: Received, request: SpeechRequest) -> Made:
    """A whole answer; MiraError where it holds no sound."""
    told = answered(received.body, parse_error_in_band)
    sound = b"".join(_sounds(told))
    found = usage_of(told.get("usageMetadata"))
    if not sound:
        raise empty() if found is None else NothingMadeError(empty(), found)
    usage = None
    if found is not None:
        # What such a model puts out is sound, whether or not the node says so.
        usage = Usage(
            input_tokens=found.prompt_tokens,
            audio_output_tokens=found.output_tokens + found.audio_output_tokens,
            reasoning_tokens=found.reasoning_tokens,
            media_ms=len(sound) * 1000 // (RATE_HZ * 2),
            characters=len(request.text),
        )
    return Made(content=Sound(sound, "pcm"), usage=usage)


def lacks(request: SpeechRequest) -> str | None:
    """The field that cannot be served: a format that nobody here can make of bare sound, a voice of another vendor."""
    if request.form not in BARE and not request.encodes:
        return "response_format"
    return None if request.voice is None or isinstance(request.voice, str) else "voice"


def _sounds(told: dict[str, Any]) -> list[bytes]:
    found: list[bytes] = []
    for part in _parts(told):
        inline = part.get("inlineData") or part.get("inline_data")
        if not isinstance(inline, dict) or not isinstance(inline.get("data"), str):
            continue
        kind = str(inline.get("mimeType") or inline.get("mime_type") or "")
        if f"rate={RATE_HZ}" not in kind.replace(" ", "").lower() and "rate=" in kind:
            raise MiraError(Kind.UPSTREAM_FAILED, "The upstream sent sound of a kind that is not known here.")
        try:
            found.append(base64.b64decode(inline["data"], validate=True))
        except binascii.Error:
            raise MiraError(Kind.UPSTREAM_FAILED, "The upstream sent sound that cannot be read.") from None
    return found


def _parts(told: dict[str, Any]) -> list[dict[str, Any]]:
    candidates = told.get("candidates")
    first = candidates[0] if isinstance(candidates, list) and candidates else None
    content = first.get("content") if isinstance(first, dict) else None
    parts = content.get("parts") if isinstance(content, dict) else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


SPEECH_GEMINI = Shape(name="gemini speech", render=render, read=read, parse_error=parse_error, lacks=lacks)
