"""Messages on both sides, streams: frames go through as they came, and only those that matter are decoded.

Nearly every frame is the delta of a block. Its first line says so, and it is forwarded without being parsed. Parsed are
all frames up to the first content, and later those that tell a usage, an error or the end. The last `message_delta` and
`message_stop` are kept for `finish`, since the client is told what Mira charges only when the charge is durable.
"""

import contextlib
from typing import Any

import msgspec
from msgspec import Raw, Struct

from mira.codecs.chat.passing import shown_model
from mira.codecs.codec import Context, Tally
from mira.codecs.lenient import loose
from mira.codecs.messages.answer import told_finish
from mira.codecs.messages.errors import parse_error_in_band, render_error
from mira.codecs.messages.passing import add_piece, told_usage
from mira.codecs.messages.usage import Running
from mira.codecs.sse import Frames, event_frame, read
from mira.core.octets import CR
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

#: Forwarded bytes are kept as they are up to here, then reduced to the text they say.
TALLY_BYTES = 64 * 1024


class _Said(Struct):
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    name: str | None = None


class _Spoken(Struct):
    delta: _Said | None = None
    content_block: _Said | None = None


_SPOKEN = msgspec.json.Decoder(_Spoken)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_STOP = event_frame(b"message_stop", b'{"type":"message_stop"}')
_PLAIN = (b"event: content_block_", b"event: ping\n")


def _is_plain(data: bytes) -> bool:
    """Whether these are whole frames of two lines each, and all of them parts of blocks, or pings."""
    if not (data.startswith(_PLAIN) and data.endswith(b"\n\n")) or CR in data:
        return False
    lines = data.count(b"\n")
    if lines == 3:
        return data.find(b"\ndata: ") > 0
    frames = data.count(b"\n\n")
    named = data.count(b"\n\nevent: content_block_") + data.count(b"\n\nevent: ping\n") + 1
    return lines == 3 * frames and named == frames and data.count(b"\ndata: ") == frames


class PassedStream:
    """One streamed answer from a Messages node to a Messages client."""

    __slots__ = (
        "_context",
        "_frames",
        "_kept",
        "_kept_bytes",
        "_last",
        "_open",
        "_running",
        "_started",
        "_stopped",
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
        self._running = Running()
        self._started = False
        #: whether the node said why it stopped; the `message_delta` that is not forwarded yet, as frame and fields
        self._stopped = False
        self._last: tuple[bytes, dict[str, Any]] | None = None
        #: whether frames may go through without being decoded
        self._open = False
        #: frames as forwarded, for the tally, read when somebody asks
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
        if self._open and self._frames.idle and _is_plain(data):
            self._keep(data)
            return data
        if self._is_over():
            return b""
        try:
            frames = self._frames.feed(data)
        except MiraError as error:
            self._fail(error)
            return b""
        return b"".join([self._take(frame) for frame in frames])

    def close(self) -> bytes:
        """The node closed: a stream that said why it stopped is complete, any other was cut."""
        out = b""
        if not self._is_over() and (frame := self._frames.close()):
            message = read(frame)
            if message is not None and loose(message.data) is not None:
                out = self._take(frame)
        if self._is_over():
            return out
        if self._stopped:
            self.ended = True
            self._open = False
        else:
            self._fail(MiraError(Kind.UPSTREAM_FAILED, "The upstream's stream was cut before its end."))
        return out

    def tally(self) -> Tally:
        """What was delivered so far."""
        self._read_kept()
        return self._tally

    def finish(self, usage: Usage, cost_nanocredits: int | None) -> bytes:
        """Why the model stopped, with the usage and the cost, then `message_stop`."""
        if self._last is None:
            fields = {"type": "message_delta", "delta": told_finish(None, None, calls=False)}
            told = {**fields, "usage": told_usage(None, usage, cost_nanocredits)}
            return event_frame(b"message_delta", msgspec.json.encode(told)) + _STOP
        frame, fields_told = self._last
        if cost_nanocredits is not None or self.usage is None:
            own = fields_told.get("usage") if self.usage is not None else None
            told = {**fields_told, "usage": told_usage(own, usage, cost_nanocredits)}
            frame = event_frame(b"message_delta", msgspec.json.encode(told))
        return frame + _STOP

    def abort(self, error: MiraError) -> bytes:
        """The error; no `message_stop` follows."""
        return event_frame(b"error", render_error(error, self._context.request_id))

    def _is_over(self) -> bool:
        return self.ended or self.failed is not None

    def _fail(self, error: MiraError) -> None:
        self.failed = error
        self._open = False

    def _take(self, frame: bytes) -> bytes:
        if self._is_over():
            return b""
        if self._open and _is_plain(frame):
            self._keep(frame)
            return frame
        message = read(frame)
        if message is None:
            return b""
        # Clients get a name and one data line, as promised; JSON has no line break inside a string, so a blank says the
        # same.
        data = message.data.replace(b"\n", b" ")
        try:
            fields = _FIELDS.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._fail(MiraError(Kind.UPSTREAM_FAILED, "The upstream sent a stream event that is not JSON."))
            return b""
        kind = loose(fields.get("type", b"null"))
        kind = kind if isinstance(kind, str) and kind else message.event
        if kind == "error" or ("error" in fields and loose(fields["error"])):
            self._fail(parse_error_in_band({name: loose(value) for name, value in fields.items()}))
            return b""
        if message.event != kind or frame.count(b"\n") != 3 or b"\ndata: " not in frame:
            # The official clients skip frames that have no name.
            frame = event_frame(kind.encode(), data)
        return self._inspect(kind, frame, fields)

    def _inspect(self, kind: str, frame: bytes, fields: dict[str, Raw]) -> bytes:
        if kind == "message_start":
            return self._start(frame, fields)
        if kind.startswith(("content_block_", "message_")) and not self._started:
            self._fail(MiraError(Kind.UPSTREAM_FAILED, "The upstream's stream has no beginning."))
            return b""
        if kind == "message_delta":
            return self._end(frame, fields)
        if kind == "message_stop":
            self.ended = True
            self._open = False
            return b""
        self._keep(frame)
        self.has_content = self.has_content or _says_something(kind, fields)
        self._open = self.has_content
        return frame

    def _start(self, frame: bytes, fields: dict[str, Raw]) -> bytes:
        if self._started:
            return b""
        self._started = True
        try:
            message = _FIELDS.decode(fields.get("message", b"{}"))
        except msgspec.DecodeError:
            message = {}
        self._tally.prompt = self._running.take(loose(message.get("usage", b"null")))
        if shown := shown_model(message.get("model"), self._context):
            message["model"] = shown
            fields["message"] = Raw(msgspec.json.encode(message))
            return event_frame(b"message_start", msgspec.json.encode(fields))
        return frame

    def _end(self, frame: bytes, fields: dict[str, Raw]) -> bytes:
        before = self._last[0] if self._last is not None else b""
        self._last = (frame, fields)
        usage = self._running.take(loose(fields.get("usage", b"null")))
        if usage is None:
            fields.pop("usage", None)  # what is told before the end is then Mira's
        else:
            self.usage = usage
        delta = loose(fields.get("delta", b"null"))
        if isinstance(delta, dict) and delta.get("stop_reason"):
            self._stopped = True
            self.has_content = True
        return before

    def _keep(self, data: bytes) -> None:
        self._kept.append(data)
        self._kept_bytes += len(data)
        if self._kept_bytes >= TALLY_BYTES:
            self._read_kept()

    def _read_kept(self) -> None:
        kept, self._kept, self._kept_bytes = b"".join(self._kept), [], 0
        lines = [line[6:] for line in kept.split(b"\n") if line.startswith(b"data: ")]
        try:
            events = _SPOKEN.decode_lines(b"\n".join(lines))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            events = _one_by_one(lines)
        for event in events:
            said = event.delta or event.content_block
            if said is not None and (piece := said.text or said.thinking or said.partial_json or said.name):
                add_piece(self._tally, piece)


def _one_by_one(lines: list[bytes]) -> list[_Spoken]:
    events = []
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            events.append(_SPOKEN.decode(line))
    return events


def _says_something(kind: str, fields: dict[str, Raw]) -> bool:
    """Whether a frame rules out that another node answers instead: an empty text or thought is nothing yet."""
    if kind == "content_block_delta":
        return True
    block: Any = loose(fields.get("content_block", b"null")) if kind == "content_block_start" else None
    if not isinstance(block, dict):
        return False
    return block.get("type") not in ("text", "thinking") or bool(block.get("text") or block.get("thinking"))
