"""Images at OpenAI, and at another Mira, which speaks the same: JSON, a form for edits, events for streams.

Source: the OpenAI API reference (2026-11).
"""

import base64
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from mira.codecs import sse
from mira.codecs.chat.errors import parse_error, parse_error_in_band, render_error
from mira.codecs.chat.usage import cost_literal, cost_nanocredits_of, reported_nanocredits
from mira.codecs.lenient import answered, compact, loose
from mira.codecs.media.forms import Part, write_form
from mira.codecs.media.images import Image, ImageRequest, Images, Picture, read_usage
from mira.codecs.media.shape import Made, Outgoing, Received, Shape, Target
from mira.core.usage import Usage, added
from mira.errors import Kind, MiraError

_FIELDS = (
    "n",
    "size",
    "quality",
    "background",
    "output_format",
    "output_compression",
    "moderation",
    "input_fidelity",
    "style",
    "user",
    "partial_images",
)
#: OpenAI's older models answer with addresses unless they are told; the newer ones know no such field.
_ANSWERS_WITH_URLS = "dall-e"


def render(request: ImageRequest, target: Target) -> Outgoing:
    """A generation as JSON, an edit as a form."""
    fields: dict[str, Any] = {"model": target.model, "prompt": request.prompt}
    for name in _FIELDS:
        value = getattr(request, name)
        if value is not None and not (name == "n" and value == 1):
            fields[name] = value
    if request.stream:
        fields["stream"] = True
    if target.dialect != "openai" or _ANSWERS_WITH_URLS in target.model.lower():
        fields["response_format"] = "b64_json"
    if not request.is_edit:
        return Outgoing(path="/images/generations", body=msgspec.json.encode(fields))
    parts = [Part(name, _text(value)) for name, value in fields.items()]
    several = len(request.images) > 1
    for number, picture in enumerate(request.images):
        parts.append(_file("image[]" if several else "image", f"image-{number}", picture))
    if request.mask is not None:
        parts.append(_file("mask", "mask", request.mask))
    content_type, body = write_form(parts)
    return Outgoing(path="/images/edits", body=body, content_type=content_type)


def read(received: Received, _: ImageRequest) -> Made:
    """A whole answer; MiraError where it holds no image."""
    told = answered(received.body, parse_error_in_band)
    rows = told.get("data")
    images = tuple(image for row in rows if (image := _image(row))) if isinstance(rows, list) else ()
    if not images:
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer has no image.")
    words = {name: _word(told.get(name)) for name in ("background", "output_format", "quality", "size")}
    usage = _usage(told.get("usage"), len(images))
    if usage is None and received.cost is not None:
        usage = Usage(images=len(images))
    if usage is not None and usage.reported_cost_nanocredits is None and received.cost is not None:
        usage = replace(usage, reported_cost_nanocredits=cost_nanocredits_of(received.cost))
    return Made(content=Images(data=images, **words), usage=usage)


class ImageStream:
    """Events of images on their way through. The last finished image is held back until its cost is known."""

    def __init__(self, _: ImageRequest) -> None:
        self.has_content = False
        self.ended = False
        self.failed: MiraError | None = None
        self.usage: Usage | None = None
        self._frames = sse.Frames()
        self._last: tuple[bytes, dict[str, Any]] | None = None

    def feed(self, data: bytes) -> bytes:
        """The events that these bytes complete, as they came."""
        return b"".join(self._event(frame) for frame in self._frames.feed(data))

    def close(self) -> bytes:
        """The stream is over; it is whole where an image was finished."""
        last = self._frames.close()
        out = self._event(last) if last else b""
        self.ended = self._last is not None
        return out

    def finish(self, cost_nanocredits: int) -> bytes:
        """The event of the last image, with the cost of all in its usage."""
        if self._last is None:
            return b""
        event, value = self._last
        usage = value.get("usage")
        told = dict(usage) if isinstance(usage, dict) else {}
        value["usage"] = {**told, "cost": cost_literal(cost_nanocredits)}
        return sse.event_frame(event, compact(value))

    def abort(self, error: MiraError) -> bytes:
        """An event that says what went wrong."""
        told = msgspec.json.decode(render_error(error, ""), type=dict[str, Raw])
        return sse.event_frame(b"error", msgspec.json.encode({"type": "error", **told}))

    def _event(self, frame: bytes) -> bytes:
        message = sse.read(frame)
        if message is None or message.data == sse.DONE:
            return b""
        value = loose(message.data)
        if not isinstance(value, dict):
            return b""
        kind = _word(value.get("type")) or message.event
        if kind == "error" or value.get("error"):
            self.failed = parse_error_in_band(value.get("error") or value)
            return b""
        if not kind.endswith((".partial_image", ".completed")):
            return b""
        self.has_content = True
        if kind.endswith(".partial_image"):
            return sse.event_frame(kind.encode(), message.data)
        before = self._last
        self._last = (kind.encode(), value)
        if (usage := _usage(value.get("usage"), 1)) is not None:
            self.usage = usage if self.usage is None else added(self.usage, usage)
        return b"" if before is None else sse.event_frame(before[0], compact(before[1]))


def _image(row: Any) -> Image | None:
    if not isinstance(row, dict):
        return None
    data, url = _word(row.get("b64_json")), _word(row.get("url"))
    if not (data or url):
        return None
    return Image(b64_json=data, url=None if data else url, revised_prompt=_word(row.get("revised_prompt")))


def _usage(value: Any, images: int) -> Usage | None:
    if not isinstance(value, dict):
        return None
    usage = read_usage(value)
    return replace(usage, images=images, reported_cost_nanocredits=reported_nanocredits(value))


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _text(value: Any) -> bytes:
    return (str(value).lower() if isinstance(value, bool) else str(value)).encode()


def _file(name: str, stem: str, picture: Picture) -> Part:
    return Part(name, picture.data, f"{stem}.{picture.mime_type.rpartition('/')[2]}", picture.mime_type)


def data_url(picture: Picture) -> str:
    """A picture inside an address."""
    return f"data:{picture.mime_type};base64,{base64.b64encode(picture.data).decode()}"


IMAGES_OPENAI = Shape(name="openai images", render=render, read=read, parse_error=parse_error, open_stream=ImageStream)
