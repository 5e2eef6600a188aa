"""Images through Chat Completions, as OpenRouter has them: `modalities` asks for them, `message.images` holds them.

Source: OpenRouter's documentation of image generation (2026-11).
"""

from math import gcd
from typing import Any

import msgspec

from mira.codecs.chat.errors import parse_error, parse_error_in_band
from mira.codecs.chat.usage import usage_of
from mira.codecs.lenient import loose
from mira.codecs.media.images import Image, ImageRequest, Images, as_images, joined, one_by_one
from mira.codecs.media.images_openai import data_url
from mira.codecs.media.shape import Made, NothingMadeError, Outgoing, Received, Shape, Target
from mira.errors import Kind, MiraError

#: What such a node cannot be told.
_UNTOLD = ("quality", "background", "output_compression", "moderation", "input_fidelity", "style", "partial_images")


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
    dropped = [name for name in _UNTOLD if getattr(request, name) is not None]
    ratio = aspect_ratio(request.size)
    if ratio is not None:
        body["image_config"] = {"aspect_ratio": ratio}
    elif request.size not in (None, "auto"):
        dropped.append("size")
    if request.output_format not in (None, "png"):
        dropped.append("output_format")
    return Outgoing(path="/chat/completions", body=msgspec.json.encode(body), dropped=tuple(dropped))


def read(received: Received, _: ImageRequest) -> Made:
    """A whole answer; MiraError where it holds no image."""
    told = loose(received.body)
    if not isinstance(told, dict):
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer is not a JSON object.")
    if told.get("error"):
        raise parse_error_in_band(told["error"])
    images: list[Image] = []
    words: list[str] = []
    for choice in _list(told.get("choices")):
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            continue
        images += [image for part in _list(message.get("images")) if (image := _image(part))]
        if isinstance(message.get("content"), str):
            words.append(message["content"])
    usage = usage_of(told.get("usage"))
    if not images:
        nothing = MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer has no image.")
        raise nothing if usage is None else NothingMadeError(nothing, usage)
    if usage is not None:
        usage = as_images(usage, len(images))
    return Made(content=Images(data=tuple(images), text="".join(words) or None), usage=usage)


#: The ratios that such models know.
RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")


def aspect_ratio(size: str | None) -> str | None:
    """The ratio of a size ("1024x1536" is 2:3); None where it is none of those that are known."""
    width, _, height = (size or "").partition("x")
    if not height:
        return None
    common = gcd(int(width), int(height))
    ratio = f"{int(width) // common}:{int(height) // common}"
    return {"7:4": "16:9", "4:7": "9:16"}.get(ratio, ratio) if ratio in (*RATIOS, "7:4", "4:7") else None


def no_mask(request: ImageRequest) -> str | None:
    """The field that asks for more than such a node can: without its mask, an edit would change all of the picture."""
    return "mask" if request.mask is not None else None


def _image(part: Any) -> Image | None:
    address = part.get("image_url") if isinstance(part, dict) else None
    url = address.get("url") if isinstance(address, dict) else address
    if not isinstance(url, str) or not url:
        return None
    head, found, data = url.partition(";base64,")
    return Image(b64_json=data) if found and head.startswith("data:image/") else Image(url=url)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


IMAGES_CHAT = Shape(
    name="chat images",
    render=render,
    read=read,
    parse_error=parse_error,
    lacks=no_mask,
    parts=one_by_one,
    join=joined,
)
