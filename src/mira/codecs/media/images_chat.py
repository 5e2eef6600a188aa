"""Images through Chat Completions, as OpenRouter has them: `modalities` asks for them, `message.images` holds them.

Source: OpenRouter's documentation of image generation (2026-11).
"""

from typing import Any

import msgspec

from mira.codecs.chat.errors import parse_error, parse_error_in_band
from mira.codecs.chat.usage import usage_of
from mira.codecs.lenient import answered
from mira.codecs.media.images import Image, ImageRequest, joined, one_by_one
from mira.codecs.media.images_openai import data_url
from mira.codecs.media.images_talk import form_of, made_of, no_mask, rows
from mira.codecs.media.shape import Made, Outgoing, Received, Shape, Target
from mira.errors import Kind, MiraError


def render(request: ImageRequest, target: Target) -> Outgoing:
    """A conversation of one turn: the words and the pictures."""
    content: Any = request.prompt
    if request.is_edit:
        content = [{"type": "text", "text": request.prompt}]
        content += [{"type": "image_url", "image_url": {"url": data_url(picture)}} for picture in request.images]
    body: dict[str, Any] = {
        "model": target.model,
        "messages": [{"role": "user", "content": content}],
        "modalities": ["image", "text"],
        "usage": {"include": True},
    }
    if request.user is not None:
        body["user"] = request.user
    ratio, dropped = form_of(request)
    if ratio is not None:
        body["image_config"] = {"aspect_ratio": ratio}
    return Outgoing(path="/chat/completions", body=msgspec.json.encode(body), dropped=tuple(dropped))


def read(received: Received, _: ImageRequest) -> Made:
    """A whole answer; MiraError where it holds no image."""
    told = answered(received.body, parse_error_in_band)
    images: list[Image] = []
    words: list[str] = []
    for choice in rows(told.get("choices")):
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            continue
        images += [image for part in rows(message.get("images")) if (image := _image(part))]
        if isinstance(message.get("content"), str):
            words.append(message["content"])
    nothing = MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer has no image.")
    return made_of(images, words, usage_of(told.get("usage")), nothing)


def _image(part: Any) -> Image | None:
    address = part.get("image_url") if isinstance(part, dict) else None
    url = address.get("url") if isinstance(address, dict) else address
    if not isinstance(url, str) or not url:
        return None
    head, found, data = url.partition(";base64,")
    return Image(b64_json=data) if found and head.startswith("data:image/") else Image(url=url)


IMAGES_CHAT = Shape(
    name="chat images",
    render=render,
    read=read,
    parse_error=parse_error,
    lacks=no_mask,
    parts=one_by_one,
    join=joined,
)
