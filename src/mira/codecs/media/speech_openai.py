"""Speech at OpenAI, at what speaks like it, at another Mira, and at the embedded model.

Sound comes bare, or as events that end in a usage. Events are asked for where a usage is worth having and the node has
them: at a Mira, which tells its charge, and at OpenAI's models that are billed by tokens.

Source: the OpenAI API reference (2026-11).
"""

import base64
import binascii
from typing import Any

import msgspec
from msgspec.structs import replace

from mira.codecs import sse
from mira.codecs.chat.errors import parse_error, parse_error_in_band
from mira.codecs.chat.usage import cost_nanocredits_of, reported_nanocredits
from mira.codecs.lenient import loose
from mira.codecs.media.shape import Made, Outgoing, Received, Shape, Target
from mira.codecs.media.speech import (
    Sound,
    SpeechRequest,
    delta_event,
    done_event,
    empty,
    error_event,
    length_ms,
    usage_of,
)
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

#: OpenAI demands a voice.
DEFAULT_VOICE = "alloy"
#: These are billed by the character, have no events and hear no instructions.
_OLD = "tts-1"
_EVENTS = (b"data:", b"event:")


def render(request: SpeechRequest, target: Target) -> Outgoing:
    """A request for sound."""
    old = target.model.startswith(_OLD)
    fields: dict[str, Any] = {"model": target.model, "input": request.text, "response_format": request.form}
    voice = request.voice
    if voice is None and target.dialect not in ("mira", "local"):
        voice = DEFAULT_VOICE
    if voice is not None:
        fields["voice"] = voice
    if request.speed is not None:
        fields["speed"] = request.speed
    dropped: tuple[str, ...] = ()
    if request.instructions:
        if old or target.dialect == "local":
            dropped = ("instructions",)
        else:
            fields["instructions"] = request.instructions
    if target.dialect == "mira" or (target.dialect == "openai" and not old):
        fields["stream_format"] = "sse"
    return Outgoing(path="/audio/speech", body=msgspec.json.encode(fields), dropped=dropped)


def read(received: Received, request: SpeechRequest) -> Made:
    """A whole answer; MiraError where it holds no sound."""
    stream = SpeechStream(replace(request, events=False))
    data = stream.feed(received.body) + stream.close()
    if stream.failed is not None:
        raise stream.failed
    if not data or not stream.ended:
        raise empty()
    usage = stream.usage
    if received.cost is not None and usage is not None and usage.reported_cost_nanocredits is None:
        usage = replace(usage, reported_cost_nanocredits=cost_nanocredits_of(received.cost))
    return Made(content=Sound(data, request.form), usage=usage)


class SpeechStream:
    """Sound on its way through, as the client wants it: bare or as events."""

    def __init__(self, request: SpeechRequest) -> None:
        self.has_content = False
        self.ended = False
        self.failed: MiraError | None = None
        self.usage: Usage | None = None
        self._request = request
        self._frames: sse.Frames | None = None
        self._head: bytes | None = b""
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """The sound in a piece of the node's answer."""
        if self._head is not None:
            head = self._head + data
            if any(start.startswith(head[: len(start)]) and len(head) < len(start) for start in _EVENTS):
                self._head = head
                return b""
            self._head, data = None, head
            self._frames = sse.Frames() if head.startswith(_EVENTS) else None
        if self._frames is None:
            return self._sound(data)
        return b"".join(self._event(frame) for frame in self._frames.feed(data))

    def close(self) -> bytes:
        """The node's answer is over: bare sound is whole then, events have had their last before."""
        head, self._head = self._head, None
        if self._frames is not None:
            last = self._frames.close()
            return self._event(last) if last else b""
        out = self._sound(head) if head else b""
        self.ended = self.has_content
        self.usage = usage_of(None, self._request)
        if milliseconds := length_ms(self._size, self._request.form):
            self.usage = replace(self.usage, media_ms=milliseconds)
        return out

    def finish(self, cost_nanocredits: int) -> bytes:
        """The last event; nothing where the sound is bare."""
        return done_event(self.usage, cost_nanocredits) if self._request.events else b""

    def abort(self, error: MiraError) -> bytes:
        """An event that says what went wrong; nothing where the sound is bare, which is cut then."""
        return error_event(error) if self._request.events else b""

    def _sound(self, data: bytes) -> bytes:
        if not data:
            return b""
        self.has_content = True
        self._size += len(data)
        return delta_event(data) if self._request.events else data

    def _event(self, frame: bytes) -> bytes:
        message = sse.read(frame)
        value = loose(message.data) if message is not None else None
        if not isinstance(value, dict):
            return b""
        if value.get("error") or value.get("type") == "error":
            self.failed = parse_error_in_band(value.get("error") or value)
        elif value.get("type") == "speech.audio.delta":
            try:
                return self._sound(base64.b64decode(str(value.get("audio", "")), validate=True))
            except binascii.Error:
                self.failed = MiraError(Kind.UPSTREAM_FAILED, "The upstream sent sound that cannot be read.")
        elif value.get("type") == "speech.audio.done":
            self.ended = True
            told = value.get("usage")
            reported = reported_nanocredits(told) if isinstance(told, dict) else None
            self.usage = replace(usage_of(told, self._request), reported_cost_nanocredits=reported)
        return b""


SPEECH_OPENAI = Shape(name="openai speech", render=render, read=read, parse_error=parse_error, open_stream=SpeechStream)
