"""Chat Completions on both sides, streams: frames go through as they came, and only those that matter are decoded.

Nearly every frame of a stream is one delta that neither bills nor ends anything. A few scans of its bytes show that,
and it is forwarded without being parsed. Parsed are: all frames up to the first content, and later those that tell a
usage, an error, a finish reason or the end. The final usage and `[DONE]` are kept for `finish`, since the client is
told what Mira charges only when the charge is durable.
"""

import contextlib
import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from mira.codecs.chat.errors import parse_error_in_band, render_error
from mira.codecs.chat.passing import add_said, shown_model, with_cost
from mira.codecs.chat.usage import read_usage, usage_body
from mira.codecs.codec import Context, Tally
from mira.codecs.lenient import loose
from mira.codecs.sse import DONE, Frames, data_frame, read
from mira.core.octets import CR
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

#: Forwarded bytes are kept as they are up to here, then reduced to the text they say.
TALLY_BYTES = 64 * 1024

#: What can stand between the quotes of a JSON string and ends neither it nor the line.
_TEXT = re.compile(rb'[^"\\\r\n]*+(?:\\[^\r\n][^"\\\r\n]*+)*+')
_CONTENT = re.compile(rb'content": ?"')
#: OpenAI pads its frames with noise that differs each time.
_NOISE = re.compile(rb'"obfuscation": ?"')
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_SAID = frozenset(
    (
        "content",
        "reasoning_content",
        "reasoning",
        "reasoning_details",
        "refusal",
        "tool_calls",
        "function_call",
        "audio",
        "images",
        "annotations",
    )
)
_HEAD = ("id", "object", "created", "model", "system_fingerprint", "service_tier")


class _Choice(Struct):
    index: int = 0
    delta: dict[str, Any] | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)


def _is_plain(data: bytes) -> bool:
    """Whether these whole frames are deltas and nothing else: one data line each, no usage, error, finish or end."""
    lines = data.count(b"\n")
    return (
        data.startswith(b"data: ")
        and data.endswith(b"\n\n")
        and (lines == 2 or data.count(b"\n\ndata: ") * 2 == lines - 2)
        and data.find(b"[]") < 0
        and data.find(b'"error"') < 0
        and data.count(b'"finish_reason"') == data.count(b'"finish_reason":null') + data.count(b'"finish_reason": null')
        and data.count(b'"usage"') == data.count(b'"usage":null') + data.count(b'"usage": null')
        and data.find(b"[DONE]") < 0
        and CR not in data
    )


class PassedStream:
    """One streamed answer from a Chat Completions node to a Chat Completions client."""

    __slots__ = (
        "_after", "_after_bytes", "_before", "_before_bytes", "_context", "_finished", "_frames", "_head", "_kept",
        "_kept_bytes", "_lessons", "_middle", "_open", "_renames", "_seen", "_straight", "_tally", "_texts",
        "_usage_raw", "answer_id", "ended", "failed", "has_content", "usage",
    )  # fmt: skip

    def __init__(self, context: Context) -> None:
        self._context = context
        self._frames = Frames()
        #: `_seen` and `_finished`: indexes of the choices that spoke and of those that are complete
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._head: dict[str, Raw] | None = None
        self._renames = False
        self._usage_raw: Raw | None = None
        #: whether frames may go through without being decoded
        self._open = False
        #: whether so, the next byte begins a frame, and it is known what an ordinary frame looks like
        self._straight = False
        #: the bytes around the text of an ordinary frame, learned from the first few; `_middle` ends where noise begins
        self._before, self._middle, self._after = b"", b"", b""
        self._before_bytes = self._after_bytes = 0
        self._lessons = 4
        #: for the tally, read when somebody asks: frames as forwarded, texts in JSON's escapes
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._texts: list[bytes] = []
        self._tally = Tally(text=[])
        self.answer_id: str | None = None
        self.usage: Usage | None = None
        self.failed: MiraError | None = None
        self.ended = False
        self.has_content = False

    def feed(self, data: bytes) -> bytes:
        """The node's bytes as the client gets them; whole frames only."""
        if self._straight and data.startswith(self._before) and data.endswith(self._after):
            # Nothing in such a text ends the string or the frame, so all the rest of these bytes is known.
            said = _TEXT.fullmatch(data, self._before_bytes, len(data) - self._after_bytes)
            if said is None and self._middle:
                said = self._before_noise(data)
            if said is not None:
                self._texts.append(said[0])
                return data
        out = self._feed(data)
        self._straight = self._open and self._before_bytes > 0 and self._frames.idle
        return out

    def close(self) -> bytes:
        """The node closed: a stream that said how it finished is complete, any other was cut."""
        self._straight = False
        out = b""
        if not self._is_over() and (frame := self._frames.close()):
            message = read(frame)
            if message is not None and (message.data == DONE or loose(message.data) is not None):
                out = self._take(frame)
        if self._is_over():
            return out
        self._read_kept()
        if self._finished and self._seen <= self._finished:
            self.ended = True
            self._open = False
        else:
            self._fail(MiraError(Kind.UPSTREAM_FAILED, "The upstream's stream was cut before its end."))
        return out

    def tally(self) -> Tally:
        """What was delivered so far."""
        self._read_kept()
        self._read_texts()
        return self._tally

    def finish(self, usage: Usage, cost_nanocredits: int | None) -> bytes:
        """The usage chunk where the client asked for it, then `[DONE]`."""
        done = data_frame(DONE)
        if not self._context.include_usage:
            return done
        chunk: dict[str, Any] = dict(self._head or {})
        chunk["choices"] = Raw(b"[]")
        if self._usage_raw is None:
            chunk["usage"] = Raw(msgspec.json.encode(usage_body(usage, cost_nanocredits)))
        elif cost_nanocredits is None:
            chunk["usage"] = self._usage_raw
        else:
            chunk["usage"] = with_cost(self._usage_raw, cost_nanocredits)
        return data_frame(msgspec.json.encode(chunk)) + done

    def abort(self, error: MiraError) -> bytes:
        """The error frame; no `[DONE]` follows."""
        return data_frame(render_error(error, self._context.request_id))

    def _feed(self, data: bytes) -> bytes:
        if self._open and self._frames.idle and self._is_delta(data):
            return data
        if self._is_over():
            return b""
        try:
            frames = self._frames.feed(data)
        except MiraError as error:
            self._fail(error)
            return b""
        return b"".join([self._take(frame) for frame in frames])

    def _before_noise(self, data: bytes) -> re.Match[bytes] | None:
        """The text of an ordinary frame in which another string differs each time."""
        text, found, noise = data[self._before_bytes : -self._after_bytes].partition(self._middle)
        return _TEXT.fullmatch(text) if found and _TEXT.fullmatch(noise) else None

    def _is_over(self) -> bool:
        return self.ended or self.failed is not None

    def _fail(self, error: MiraError) -> None:
        self.failed = error
        self._open = False

    def _is_delta(self, data: bytes) -> bool:
        """Whether these bytes are deltas to forward as they are; if so, they are counted."""
        if not _is_plain(data):
            return False
        if self._lessons:
            self._lessons -= 1
            if shape := _shape(data):
                self._before, self._middle, self._after = shape
                self._before_bytes, self._after_bytes = len(self._before), len(self._after)
        self._kept.append(data)
        self._kept_bytes += len(data)
        if self._kept_bytes >= TALLY_BYTES:
            self._read_kept()
        return True

    def _take(self, frame: bytes) -> bytes:
        if self._open and self._is_delta(frame):
            return frame
        if self._is_over():
            return b""
        message = read(frame)
        if message is None:
            return b""
        # JSON has no line break inside a string, so a blank says the same.
        data = message.data.replace(b"\n", b" ")
        if not frame.startswith(b"data: ") or frame.count(b"\n") != 2:
            # Comments, names, ids and data over several lines: clients of this protocol get one data line, as promised.
            frame = data_frame(data)
        if message.data == DONE:
            self._end()
            return b""
        try:
            fields = _FIELDS.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._fail(MiraError(Kind.UPSTREAM_FAILED, "The upstream sent a stream event that is not JSON."))
            return b""
        return self._inspect(frame, fields)

    def _inspect(self, frame: bytes, fields: dict[str, Raw]) -> bytes:
        if error := _error_in(fields):
            self._fail(parse_error_in_band(error))
            return b""
        choices = loose(fields.get("choices", b"[]"))
        choices = choices if isinstance(choices, list) else []
        if any(isinstance(choice, dict) and choice.get("finish_reason") == "error" for choice in choices):
            self._fail(MiraError(Kind.UPSTREAM_FAILED, "The upstream failed while it answered."))
            return b""
        self._begin(fields)
        changed = self._take_usage(fields, keep_null=bool(choices))
        if not choices and (changed or "usage" in fields or not self._context.include_usage):
            return b""
        for choice in choices:
            if isinstance(choice, dict):
                self._note(choice)
        if self._renames and (model := shown_model(fields.get("model"), self._context)):
            fields["model"] = model
            changed = True
        if changed:
            frame = data_frame(msgspec.json.encode(fields))
        self._kept.append(frame)
        self._kept_bytes += len(frame)
        self._open = self.has_content and not self._renames
        return frame

    def _begin(self, fields: dict[str, Raw]) -> None:
        if self._head is not None:
            return
        model = shown_model(fields.get("model"), self._context)
        self._renames = model is not None
        self._head = {name: fields[name] for name in _HEAD if name in fields}
        told = loose(fields.get("id", b"null"))
        self.answer_id = told if isinstance(told, str) else None
        if model is not None:
            self._head["model"] = model

    def _take_usage(self, fields: dict[str, Raw], *, keep_null: bool) -> bool:
        """Takes a usage out of the chunk; whether there was one."""
        found = None
        raw = fields.get("usage")
        if raw is not None and bytes(raw) != b"null":
            found = read_usage(raw)
        if found is None and (beside := fields.get("x_groq")) is not None:
            told = loose(beside)
            if isinstance(told, dict) and isinstance(told.get("usage"), dict):
                raw = _FIELDS.decode(beside)["usage"]
                found = read_usage(raw)
        if found is None or raw is None:
            return False
        self.usage, self._usage_raw = found, raw
        if "usage" in fields:
            if keep_null and self._context.include_usage:
                fields["usage"] = Raw(b"null")
            else:
                del fields["usage"]
        return True

    def _note(self, choice: dict[str, Any]) -> None:
        index = choice.get("index")
        index = index if isinstance(index, int) else 0
        self._seen.add(index)
        if choice.get("finish_reason"):
            self._finished.add(index)
            self.has_content = True
        delta = choice.get("delta")
        if isinstance(delta, dict):
            for name, said in delta.items():
                if said and name in _SAID:
                    self.has_content = True

    def _end(self) -> None:
        if self._head is None:
            self._fail(MiraError(Kind.UPSTREAM_FAILED, "The upstream ended its stream without an answer."))
        else:
            self.ended = True
            self._open = False

    def _read_kept(self) -> None:
        kept, self._kept, self._kept_bytes = b"".join(self._kept), [], 0
        try:
            # Nearly always one line a frame: then all of them are JSON lines but for the prefix.
            chunks = _CHUNK.decode_lines(kept[6:].replace(b"\n\ndata: ", b"\n")) if kept.startswith(b"data: ") else []
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            chunks = _one_by_one(kept)
        for chunk in chunks:
            for choice in chunk.choices or ():
                self._seen.add(choice.index)
                if choice.delta:
                    add_said(self._tally, choice.delta)

    def _read_texts(self) -> None:
        texts, self._texts = [text for text in self._texts if text], []
        if not texts:
            return
        whole = b"".join(texts)
        said = loose(b'"' + whole + b'"')
        self._tally.deltas += len(texts)
        self._tally.text.append(said if isinstance(said, str) else whole.decode("utf-8", "replace"))


def _shape(frame: bytes) -> tuple[bytes, bytes, bytes] | None:
    """The bytes before the text of a delta, up to its noise if it has any, and behind all; None for another form."""
    texts = list(_CONTENT.finditer(frame))
    if not texts or b"\\" in frame or frame.count(b"\n") != 2 or not frame.startswith(b"data: "):
        return None
    start = texts[-1].end()
    before, middle, after = frame[:start], b"", frame[frame.find(b'"', start) :]
    if noise := _NOISE.search(after):
        middle, after = after[: noise.end()], after[after.find(b'"', noise.end()) :]
    # What stands around the text must be a frame of its own, whatever the text, and say nothing itself.
    return (before, middle, after) if _is_silent(before[6:] + middle + after) else None


def _is_silent(data: bytes) -> bool:
    """Whether this is a chunk, and nothing is said in it."""
    try:
        choices = _CHUNK.decode(data).choices or ()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    tally = Tally(text=[])
    for choice in choices:
        add_said(tally, choice.delta)
    return tally.deltas == 0


def _one_by_one(kept: bytes) -> list[_Chunk]:
    chunks = []
    for frame in kept.split(b"\n\n"):
        message = read(frame + b"\n\n")
        if message is not None:
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                chunks.append(_CHUNK.decode(message.data))
    return chunks


def _error_in(fields: dict[str, Raw]) -> Any:
    """The error that a chunk tells, falsy where it tells none."""
    if "error" in fields:
        return loose(fields["error"])
    # vLLM writes its errors flat.
    if fields.get("object") == Raw(b'"error"') and "message" in fields:
        return {name: loose(value) for name, value in fields.items()}
    return None
