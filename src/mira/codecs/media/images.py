"""Images as clients ask for them: OpenAI's bodies and Mira's own short one, and the answer to both.

Source: the OpenAI API reference (2026-11).
"""

from collections.abc import Sequence
from functools import reduce
from math import ceil
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from mira.codecs import sse
from mira.codecs.chat.usage import cost_literal
from mira.codecs.media.shape import Made
from mira.core.usage import Usage, added

MOST_IMAGES = 10
MOST_PROMPT = 32_000
MOST_REFERENCES = 16
#: What a picture that is read counts as at most: OpenAI's at high fidelity, with room.
REFERENCE_TOKENS = 6_500
#: Words beside the pictures, and thoughts about them, of models that do both.
WORDS_TOKENS = 4_096
#: A picture that is shown while it is being made.
PARTIAL_TOKENS = 100
#: Tokens of a picture by quality, at 1024×1024 and at the two longer sizes, as OpenAI publishes them.
TOKENS = {"low": (272, 408), "medium": (1056, 1584), "high": (4160, 6240)}
SQUARE = 1024 * 1024
LONG = 1024 * 1536
#: The tokens of any picture at most, for each pixel: those of high quality.
PIXELS_PER_TOKEN = 250
LARGEST = 4096 * 4096


class Picture(Struct, frozen=True):
    """A picture: its media type and its bytes."""

    mime_type: str
    data: bytes


class ImageRequest(Struct, frozen=True, kw_only=True):
    """What is asked, whoever asked it. `images` and `mask` are references (a file's id or address, a data URL, a URL)
    or pictures; they are all pictures once the request is complete. With any of them it is an edit.

    `size` is "auto" or "WIDTHxHEIGHT"; None is the model's own.
    """

    prompt: str
    n: int = 1
    size: str | None = None
    quality: str | None = None
    background: str | None = None
    output_format: str | None = None
    output_compression: int | None = None
    moderation: str | None = None
    input_fidelity: str | None = None
    style: str | None = None
    user: str | None = None
    partial_images: int | None = None
    stream: bool = False
    images: tuple[Any, ...] = ()
    mask: Any = None

    @property
    def is_edit(self) -> bool:
        """Whether it changes pictures rather than making them anew."""
        return bool(self.images)


class Image(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image that was made: base64, or an address where the node keeps it."""

    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str | None = None


class Images(Struct, frozen=True, kw_only=True):
    """The content of `Made`: the images, and what the node says that they are."""

    data: tuple[Image, ...]
    background: str | None = None
    output_format: str | None = None
    quality: str | None = None
    size: str | None = None
    text: str | None = None


class Body(Struct, kw_only=True):
    """`POST /v1/images/generations`, and with `image` or `images` also `/v1/images/edits` as JSON."""

    prompt: Annotated[str, Meta(min_length=1, max_length=MOST_PROMPT)]
    model: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    n: Annotated[int, Meta(ge=1, le=MOST_IMAGES)] | None = None
    size: str | None = None
    quality: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    background: Literal["transparent", "opaque", "auto"] | None = None
    output_format: Literal["png", "webp", "jpeg", "gif", "svg"] | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    moderation: Literal["low", "auto"] | None = None
    input_fidelity: Literal["low", "high"] | None = None
    response_format: Literal["url", "b64_json"] | None = None
    style: Annotated[str, Meta(max_length=32)] | None = None
    user: Annotated[str, Meta(max_length=512)] | None = None
    stream: bool | None = None
    partial_images: Annotated[int, Meta(ge=0, le=3)] | None = None


def variants(request: ImageRequest) -> tuple[str, ...]:
    """The names of what one image is, for the price table: quality and size, each alone; "*" where the model decides.

    Source of the form "high/1024x1536": the price lists of OpenAI by quality and size.
    """
    quality, size = request.quality or "auto", request.size or "auto"
    if "auto" in (quality, size):
        return (*(name for name in (quality, size) if name != "auto"), "*")
    return (f"{quality}/{size}", quality, size)


def bound(request: ImageRequest) -> Usage:
    """The most that a request can use at any node."""
    largest = max(_pixels(request.size or "auto"), LONG)
    each = ceil(largest / PIXELS_PER_TOKEN)
    references = len(request.images) + (request.mask is not None)
    return Usage(
        input_tokens=len(request.prompt.encode()) + 256,
        image_input_tokens=references * REFERENCE_TOKENS,
        output_tokens=WORDS_TOKENS,
        image_output_tokens=request.n * (each + PARTIAL_TOKENS * (request.partial_images or 0)),
        images=request.n,
    )


def brought(request: ImageRequest) -> Usage:
    """What a request uses even if nothing comes of it: its words and its pictures, estimated."""
    references = len(request.images) + (request.mask is not None)
    return Usage(input_tokens=ceil(len(request.prompt.encode()) / 4), image_input_tokens=references * 1_000)


def estimate(request: ImageRequest, made: Made | None) -> Usage:
    """The usage of a request at a node that tells none; `made` None counts every image that was asked for."""
    count = len(made.content.data) if made is not None else request.n
    told: Images | None = made.content if made is not None else None
    each = tokens_of(
        (told.quality if told else None) or request.quality or "auto",
        (told.size if told else None) or request.size or "auto",
    )
    given = brought(request)
    return Usage(
        input_tokens=given.input_tokens,
        image_input_tokens=given.image_input_tokens,
        image_output_tokens=count * (each + PARTIAL_TOKENS * (request.partial_images or 0)),
        images=count,
        estimated=True,
    )


def tokens_of(quality: str, size: str) -> int:
    """The tokens of one image by OpenAI's table; other qualities count as medium, larger sizes by their pixels."""
    square, long = TOKENS.get(quality, TOKENS["medium"])
    pixels = _pixels(size) if size != "auto" else SQUARE
    if pixels <= SQUARE:
        return square
    return long if pixels <= LONG else ceil(long * pixels / LONG)


def _pixels(size: str) -> int:
    width, _, height = size.partition("x")
    return min(int(width) * int(height), LARGEST) if height else LONG


def read_usage(value: dict[str, Any]) -> Usage:
    """OpenAI's usage of images: tokens of words and pictures, in and out. Nonsense in single counts is read as 0."""
    inputs, outputs = _inner(value, "input_tokens_details"), _inner(value, "output_tokens_details")
    total_in, total_out = _count(value, "input_tokens"), _count(value, "output_tokens")
    cached = min(_count(inputs, "cached_tokens"), total_in)
    images_in = min(_count(inputs, "image_tokens"), total_in - cached)
    # What is put out is pictures, unless the node says that some of it is words.
    words_out = min(_count(outputs, "text_tokens"), total_out)
    return Usage(
        input_tokens=total_in - cached - images_in,
        cache_read_tokens=cached,
        image_input_tokens=images_in,
        output_tokens=words_out,
        image_output_tokens=total_out - words_out,
    )


def one_by_one(request: ImageRequest) -> tuple[ImageRequest, ...]:
    """As many requests for one image."""
    return (replace(request, n=1),) * request.n


def joined(parts: Sequence[Made]) -> Made:
    """Several answers as one; without a usage where one of them told none."""
    contents: list[Images] = [made.content for made in parts]
    usages = [made.usage for made in parts if made.usage is not None]
    text = "".join(content.text for content in contents if content.text)
    content = replace(contents[0], data=tuple(image for one in contents for image in one.data), text=text or None)
    return Made(content=content, usage=reduce(added, usages) if len(usages) == len(parts) else None)


def as_images(usage: Usage, images: int) -> Usage:
    """The usage of a conversation that was asked for pictures: what it does not tell apart was pictures."""
    output = usage.output_tokens
    if usage.image_output_tokens:
        return replace(usage, images=images)
    return replace(usage, images=images, output_tokens=0, image_output_tokens=output)


def usage_body(usage: Usage, cost_nanocredits: int) -> dict[str, Any]:
    """OpenAI's usage of images, with the cost."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "text_tokens": usage.prompt_tokens - usage.image_input_tokens,
            "image_tokens": usage.image_input_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {
            "text_tokens": usage.completion_tokens - usage.image_output_tokens,
            "image_tokens": usage.image_output_tokens,
        },
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "cost": cost_literal(cost_nanocredits),
    }


def _inner(value: dict[str, Any], name: str) -> dict[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def _count(value: dict[str, Any], name: str) -> int:
    count = value.get(name)
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 < count < 2**53 else 0


def answer_body(request: ImageRequest, made: Made, model: str, cost_nanocredits: int, created_s: int) -> bytes:
    """The answer to a request for images: OpenAI's body, with the `model` and the `cost`."""
    told: Images = made.content
    body: dict[str, Any] = {"created": created_s, "data": told.data, "model": model}
    body.update(_words(request, told))
    if told.text:
        body["text"] = told.text
    body["usage"] = usage_body(made.usage or estimate(request, made), cost_nanocredits)
    body["cost"] = cost_literal(cost_nanocredits)
    return msgspec.json.encode(body)


def events(request: ImageRequest, made: Made, cost_nanocredits: int, created_s: int) -> bytes:
    """The same as a stream, for nodes that do not stream: each image is finished at once, the last tells the usage."""
    told: Images = made.content
    kind = "image_edit.completed" if request.is_edit else "image_generation.completed"
    frames: list[bytes] = []
    for number, image in enumerate(told.data):
        event: dict[str, Any] = {"type": kind, "b64_json": image.b64_json, "created_at": created_s}
        event.update(_words(request, told))
        last = number == len(told.data) - 1
        usage = made.usage or estimate(request, made)
        event["usage"] = usage_body(usage if last else Usage(), cost_nanocredits if last else 0)
        frames.append(sse.event_frame(kind.encode(), msgspec.json.encode(event)))
    return b"".join(frames)


def _words(request: ImageRequest, told: Images) -> dict[str, str]:
    words = {
        "background": told.background or request.background,
        "output_format": told.output_format or request.output_format,
        "quality": told.quality or request.quality,
        "size": told.size or request.size,
    }
    return {name: word for name, word in words.items() if word is not None}
