"""Images of models that make them in a conversation: what such can be told, and what they have in common as answers."""

from math import gcd
from typing import Any

from mira.codecs.media.images import Image, ImageRequest, Images, as_images
from mira.codecs.media.shape import Made, NothingMadeError
from mira.core.usage import Usage
from mira.errors import MiraError

#: What no such node can be told.
_UNTOLD = ("quality", "background", "output_compression", "moderation", "input_fidelity", "style", "partial_images")
#: The ratios that such models know.
RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")


def form_of(request: ImageRequest, ratios: tuple[str, ...] = RATIOS) -> tuple[str | None, list[str]]:
    """The one of `ratios` to ask for, None for the model's own; and the names of what the request says beyond it."""
    dropped = [name for name in _UNTOLD if getattr(request, name) is not None]
    ratio = aspect_ratio(request.size)
    if ratio not in ratios:
        ratio = None
    if ratio is None and request.size not in (None, "auto"):
        dropped.append("size")
    if request.output_format not in (None, "png"):
        dropped.append("output_format")
    return ratio, dropped


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


def made_of(images: list[Image], words: list[str], usage: Usage | None, nothing: MiraError) -> Made:
    """The pictures and what was said beside them; `usage` is that of the conversation.

    Raises `nothing` where there is no picture, as NothingMadeError where that used something.
    """
    if not images:
        raise nothing if usage is None else NothingMadeError(nothing, usage)
    counted = as_images(usage, len(images)) if usage is not None else None
    return Made(content=Images(data=tuple(images), text="".join(words) or None), usage=counted)


def rows(value: Any) -> list[Any]:
    """A list of the node's; empty where it is none."""
    return value if isinstance(value, list) else []
