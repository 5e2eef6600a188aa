"""Transcriptions at OpenAI, at what speaks like it, at another Mira, and at the embedded model.

A node is asked for JSON, whatever the client wants: that alone tells a usage. Texts and subtitles are written here.

Source: the OpenAI API reference (2026-11).
"""

from typing import Any

from msgspec.structs import replace

from mira.codecs import sse
from mira.codecs.chat.errors import parse_error, parse_error_in_band
from mira.codecs.chat.usage import cost_nanocredits_of, reported_nanocredits
from mira.codecs.lenient import compact, loose
from mira.codecs.media.forms import Part, write_form
from mira.codecs.media.shape import Made, Outgoing, Received, Shape, Target
from mira.codecs.media.speech import error_event
from mira.codecs.media.transcription import TranscriptionRequest, seconds_told, usage_of, with_cost
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

_ASKED_AS = {"text": "json", "srt": "verbose_json", "vtt": "verbose_json"}
_DELTA, _DONE = "transcript.text.delta", "transcript.text.done"


def render(request: TranscriptionRequest, target: Target) -> Outgoing:
    """A form with the file."""
    form = _ASKED_AS.get(request.form, request.form)
    fields: list[tuple[str, str]] = [("model", target.model), ("response_format", form)]
    fields += [(name, value) for name in ("language", "prompt") if (value := getattr(request, name))]
    if request.temperature is not None:
        fields.append(("temperature", str(request.temperature)))
    fields += [("timestamp_granularities[]", grain) for grain in request.grains]
    if request.stream:
        fields.append(("stream", "true"))
    fields += request.more
    parts = [Part(name, value.encode()) for name, value in fields]
    parts.append(Part("file", request.data, request.filename, request.mime_type))
    content_type, body = write_form(parts)
    return Outgoing(path="/audio/transcriptions", body=body, content_type=content_type)


def lacks_local(request: TranscriptionRequest) -> str | None:
    """The field that the embedded model cannot serve."""
    if request.form == "diarized_json":
        return "response_format"
    return next((name for name, _ in request.more), None)


def read(received: Received, _: TranscriptionRequest) -> Made:
    """A whole answer; MiraError where it is none."""
    told = loose(received.body)
    if isinstance(told, dict) and told.get("error"):
        raise parse_error_in_band(told["error"])
    if not isinstance(told, dict) or not isinstance(told.get("text"), str):
        raise _no_text()
    return Made(content=told, usage=_usage(told, received.cost))


class TranscriptStream:
    """Events of a transcription on their way; a node that does not stream answers whole, and becomes two events."""

    def __init__(self, _: TranscriptionRequest) -> None:
        self.has_content = False
        self.ended = False
        self.failed: MiraError | None = None
        self.usage: Usage | None = None
        self._frames = sse.Frames()
        self._whole: bytearray | None = None
        self._begun = False
        self._last: dict[str, Any] = {}

    def feed(self, data: bytes) -> bytes:
        """The events in a piece of the node's answer, as they came; the last one is held back for its cost."""
        if not self._begun and data:
            self._begun = True
            self._whole = bytearray() if data.lstrip().startswith(b"{") else None
        if self._whole is not None:
            self._whole += data
            return b""
        return b"".join(self._event(frame) for frame in self._frames.feed(data))

    def close(self) -> bytes:
        """What is left; a whole answer is read here."""
        if self._whole is None:
            last = self._frames.close()
            return self._event(last) if last else b""
        told = loose(bytes(self._whole))
        if not isinstance(told, dict) or not isinstance(told.get("text"), str):
            broken = told.get("error") if isinstance(told, dict) else None
            self.failed = parse_error_in_band(broken) if broken else _no_text()
            return b""
        return self.whole(told)

    def whole(self, told: dict[str, Any]) -> bytes:
        """A whole answer as the events before the last."""
        self._end(told)
        return _frame({"type": _DELTA, "delta": told["text"]})

    def finish(self, cost_nanocredits: int) -> bytes:
        """The last event, with the cost in its usage."""
        usage = with_cost(self._last.get("usage"), cost_nanocredits)
        return _frame({"type": _DONE, **self._last, "usage": usage})

    def abort(self, error: MiraError) -> bytes:
        """An event that says what went wrong."""
        return error_event(error)

    def _event(self, frame: bytes) -> bytes:
        message = sse.read(frame)
        value = loose(message.data) if message is not None else None
        if not isinstance(value, dict):
            return b""
        kind = value.get("type")
        if value.get("error") or kind == "error":
            self.failed = parse_error_in_band(value.get("error") or value)
            return b""
        if kind == _DONE:
            self._end(value)
            return b""
        self.has_content = True
        return frame

    def _end(self, told: dict[str, Any]) -> None:
        self.has_content = self.ended = True
        self.usage = _usage(told, None)
        self._last = told


def _usage(told: dict[str, Any], cost: str | None) -> Usage | None:
    value = told.get("usage")
    usage = usage_of(value)
    if usage is None and (seconds := seconds_told(told)):
        usage = Usage(media_ms=round(seconds * 1000))
    reported = reported_nanocredits(value) if isinstance(value, dict) else None
    if reported is None and cost is not None:
        reported = cost_nanocredits_of(cost)
    if reported is None:
        return usage
    return replace(usage or Usage(), reported_cost_nanocredits=reported)


def _no_text() -> MiraError:
    return MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer has no text.")


def _frame(fields: dict[str, Any]) -> bytes:
    return sse.data_frame(bytes(compact(fields)))


TRANSCRIPTIONS_OPENAI = Shape(
    name="openai transcriptions", render=render, read=read, parse_error=parse_error, open_stream=TranscriptStream
)
TRANSCRIPTIONS_LOCAL = replace(TRANSCRIPTIONS_OPENAI, name="local transcriptions", lacks=lacks_local)
