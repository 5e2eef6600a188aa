"""Responses on both sides, streams: frames go through as they came, and only those that matter are decoded.

Nearly every event is a delta that neither bills nor ends anything: a few scans of its bytes show that. Parsed are the
events up to the first content, which name the response and its model, and the terminal, which is kept for `finish`,
since the client is told what Mira charges only when the charge is durable.
"""

import contextlib
import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from mira.codecs.codec import Context, Tally
from mira.codecs.lenient import loose
from mira.codecs.responses.answer import read_response
from mira.codecs.responses.decoder import failure_in
from mira.codecs.responses.errors import error_body, error_event
from mira.codecs.responses.passing import settle
from mira.codecs.responses.usage import usage_in
from mira.codecs.sse import DONE, Frames, event_frame, read
from mira.core.octets import CR
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

#: Forwarded bytes are kept as they are up to here, then reduced to the text they say.
TALLY_BYTES = 64 * 1024

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_NUMBER = re.compile(rb'"sequence_number":\s*(\d+)')
#: Events before the first content; they hold the whole response object.
_HEADS = ("response.created", "response.in_progress", "response.queued")
_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled", "error")
_WATCHED = tuple(b"event: " + name.encode() for name in (*_HEADS, *_ENDS))


class _Delta(Struct):
    type: str = ""
    delta: str | None = None


_DELTA = msgspec.json.Decoder(_Delta)


def _is_plain(data: bytes) -> bool:
    """Whether these are whole frames of two lines each, an event's name and its data, and none that matters."""
    lines = data.count(b"\n")
    if not (data.startswith(b"event: response.") and data.endswith(b"\n\n")) or CR in data:
        return False
    if lines == 3:
        return data.find(b"\ndata: ") > 0 and not data.startswith(_WATCHED)
    frames = data.count(b"\n\n")
    return (
        lines == 3 * frames
        and data.count(b"\n\nevent: response.") == frames - 1
        and data.count(b"\ndata: ") == frames
        and not any(name in data for name in _WATCHED)
    )


class PassedStream:
    """One streamed answer from a Responses node to a Responses client."""

    __slots__ = (
        "_context",
        "_end",
        "_frames",
        "_head",
        "_kept",
        "_kept_bytes",
        "_last",
        "_open",
        "_tally",
        "answer_id",
        "ended",
        "failed",
        "has_content",
        "usage",
    )  # fmt: skip

    def __init__(self, context: Context) -> None:
        self._context = context
        self._frames = Frames()
        #: the response object as it was announced, and the terminal's name and fields
        self._head: dict[str, Raw] | None = None
        self._end: tuple[str, dict[str, Raw], bytes] | None = None
        #: whether frames may go through without being decoded
        self._open = False
        #: the last bytes that were forwarded, which number the next event
        self._last = b""
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._tally = Tally(text=[])
        self.answer_id: str | None = None
        self.usage: Usage | None = None
        self.failed: MiraError | None = None
        self.ended = False
        self.has_content = False

    def feed(self, data: bytes) -> bytes:
        """The node's bytes as the client gets them; whole frames only."""
        if self.ended or self.failed is not None:
            return b""
        if self._open and self._frames.idle and _is_plain(data):
            return self._forward(data)
        try:
            frames = self._frames.feed(data)
        except MiraError as error:
            self.failed = error
            return b""
        return b"".join([self._take(frame) for frame in frames])

    def close(self) -> bytes:
        """The node closed: without its terminal the answer was cut."""
        out = b""
        if not self._is_over() and (frame := self._frames.close()):
            message = read(frame)
            if message is not None and loose(message.data) is not None:
                out = self._take(frame)
        if not self._is_over():
            self.failed = MiraError(Kind.UPSTREAM_FAILED, "The upstream's stream was cut before its end.")
        return out

    def tally(self) -> Tally:
        """What was delivered so far."""
        self._read_kept()
        return self._tally

    def finish(self, usage: Usage, cost_nanocredits: int | None) -> bytes:
        """The node's own terminal with what Mira charges in its usage."""
        assert self._end is not None, "finish follows a terminal"
        name, told, data = self._end
        response: dict[str, Any] = {**told}
        settle(response, self._context, usage if self.usage is None else None, cost_nanocredits)
        fields = _FIELDS.decode(data)
        fields["response"] = Raw(msgspec.json.encode(response))
        return event_frame(name.encode(), msgspec.json.encode(fields))

    def abort(self, error: MiraError) -> bytes:
        """`response.failed`, or a bare error where no response was announced."""
        number = self._next_number()
        if self._head is None:
            return error_event(error, number)
        failed = {"status": "failed", "error": error_body(error)}
        told = {"type": "response.failed", "sequence_number": number, "response": {**self._head, **failed}}
        return event_frame(b"response.failed", msgspec.json.encode(told))

    def _is_over(self) -> bool:
        return self.ended or self.failed is not None

    def _forward(self, data: bytes) -> bytes:
        """Plain frames go on, and are kept for the tally where they may say something."""
        self._last = data
        if data.find(b".delta\n") >= 0:
            self._kept.append(data)
            self._kept_bytes += len(data)
            if self._kept_bytes >= TALLY_BYTES:
                self._read_kept()
        return data

    def _take(self, frame: bytes) -> bytes:
        if self._is_over():
            return b""
        if self._open and _is_plain(frame):
            return self._forward(frame)
        message = read(frame)
        if message is None or message.data == DONE:
            return b""
        try:
            fields = _FIELDS.decode(message.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.failed = MiraError(Kind.UPSTREAM_FAILED, "The upstream sent a stream event that is not JSON.")
            return b""
        told = loose(fields["type"]) if "type" in fields else message.event
        name = told if isinstance(told, str) else ""
        if name in _ENDS or not name:
            self._settle(name, fields, message.data)
            return b""
        if name in _HEADS:
            return self._announce(name, fields, message.data)
        if not _is_plain(frame):
            frame = _clean(name, message.data)
        if name.startswith("response."):
            self.has_content = self._open = True
        self._last = frame
        if name.endswith(".delta"):
            self._count(_text(fields.get("delta")))
        return frame

    def _announce(self, name: str, fields: dict[str, Raw], data: bytes) -> bytes:
        """An event before the first content, under the model's name that the client is shown."""
        try:
            response = _FIELDS.decode(fields.get("response", b"{}"))
        except msgspec.ValidationError:
            response = {}
        before = response.get("model")
        settle(response, self._context, None, None)
        self._head = response
        if response.get("model") != before:
            fields["response"] = Raw(msgspec.json.encode(response))
            data = msgspec.json.encode(fields)
        self._last = _clean(name, data)
        return self._last

    def _settle(self, name: str, fields: dict[str, Raw], data: bytes) -> None:
        """The node's terminal: kept where it is a success."""
        if name not in ("response.completed", "response.incomplete"):
            self.failed = failure_in(data)
            return
        try:
            response, _ = read_response(fields.get("response", Raw(b"null")))
        except MiraError as error:
            self.failed = error
            return
        self._end = (name, response, data)
        self.usage = usage_in(response)
        self.ended = True

    def _next_number(self) -> int:
        numbers = _NUMBER.findall(self._last)
        return int(numbers[-1]) + 1 if numbers else 0

    def _read_kept(self) -> None:
        """Reads the texts of plain frames, whose second line of three is their data."""
        kept, self._kept, self._kept_bytes = b"".join(self._kept), [], 0
        lines = kept.split(b"\n")[1::3]
        try:
            told = _DELTA.decode_lines(b"\n".join([line[6:] for line in lines]))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            told = []
            for line in lines:
                with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    told.append(_DELTA.decode(line[6:]))
        for each in told:
            if each.type.endswith(".delta"):
                self._count(each.delta)

    def _count(self, text: str | None) -> None:
        if text:
            self._tally.deltas += 1
            self._tally.text.append(text)


def _clean(name: str, data: bytes) -> bytes:
    """A frame of two lines, whatever the node wrote: clients skip events without a name.

    JSON has no line break inside a string, so a blank says the same.
    """
    return event_frame(name.encode(), data.replace(b"\n", b" "))


def _text(raw: Raw | None) -> str | None:
    told = loose(raw) if raw is not None else None
    return told if isinstance(told, str) else None
