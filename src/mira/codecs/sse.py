"""Server-sent events as bytes: cuts a stream into frames, whatever the pieces it arrives in.

A frame is everything up to a blank line. Lines may end in LF, CRLF or CR; frames come out with LF alone, so that the
same stream gives the same frames however it was split. Nothing is decoded here: a frame stays bytes, because a
character may be cut between two pieces but never between two frames.
"""

from msgspec import Struct

from mira.core.octets import CR
from mira.errors import Kind, MiraError

#: Images travel in frames as base64; beyond this a node is broken.
MAX_FRAME_BYTES = 16 * 1024 * 1024
DONE = b"[DONE]"

_BOM = b"\xef\xbb\xbf"


class Message(Struct, frozen=True):
    """One event of a stream: its name ("" where it has none) and its joined data."""

    event: str
    data: bytes


class Frames:
    """Collects bytes and gives whole frames, each ending in one blank line ("…\\n\\n").

    `feed` raises MiraError UPSTREAM_FAILED where a frame outgrows `MAX_FRAME_BYTES`. `idle` is true while nothing is
    held back, so that the next byte begins a frame.
    """

    __slots__ = ("_after_cr", "_held", "_searched", "idle")

    def __init__(self) -> None:
        self._held = bytearray()
        self._searched = 0
        self._after_cr = False
        self.idle = True

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that these bytes complete."""
        held = self._held
        # Most pieces are one frame.
        if self.idle and data.find(b"\n\n") == len(data) - 2 > 0 and CR not in data and data[:1] != b"\n":
            return [data]
        held += self._with_lf(data)
        frames: list[bytes] = []
        start = 0
        end = held.find(b"\n\n", self._searched)
        while end >= 0:
            frame = bytes(held[start : end + 2])
            start = end + 2
            if frame := frame.lstrip(b"\n"):
                frames.append(frame)
            end = held.find(b"\n\n", start)
        del held[:start]
        self._searched = max(0, len(held) - 1)
        self.idle = not held and not self._after_cr
        if len(held) > MAX_FRAME_BYTES:
            held.clear()
            self.idle = not self._after_cr
            raise MiraError(Kind.UPSTREAM_FAILED, "The upstream sent a stream event that is too large.")
        return frames

    def close(self) -> bytes:
        """The last frame where its blank line never came ("" if nothing is left), closed with one."""
        rest = bytes(self._held).strip(b"\n")
        self._held.clear()
        self.idle = not self._after_cr
        return rest + b"\n\n" if rest else b""

    def _with_lf(self, data: bytes) -> bytes:
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if CR in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data


def read(frame: bytes) -> Message | None:
    """The event in a frame; None where it has no data (comments, retry hints)."""
    if frame.startswith(b"data: ") and frame.count(b"\n") == 2:
        return Message("", frame[6:-2])
    if frame.startswith(b"event: ") and frame.count(b"\n") == 3:
        name, found, value = frame[7:-2].partition(b"\ndata: ")
        if found:
            return Message(name.decode("utf-8", "replace"), value)
    event = ""
    data: list[bytes] = []
    for line in frame.removeprefix(_BOM).split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value.decode("utf-8", "replace")
    return Message(event, b"\n".join(data)) if data else None


def data_frame(data: bytes) -> bytes:
    """A frame without a name, as Chat Completions and Gemini send them."""
    return b"data: " + data + b"\n\n"


def event_frame(event: bytes, data: bytes) -> bytes:
    """A named frame, as Messages and Responses send them."""
    return b"event: " + event + b"\ndata: " + data + b"\n\n"
