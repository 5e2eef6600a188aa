"""Which kind of node makes which media, and in which shape: one row for each kind of node and medium.

Another shape is a file in `mira.codecs.media` and a row here.
"""

from mira.codecs.media.images_chat import IMAGES_CHAT
from mira.codecs.media.images_gemini import IMAGES_GEMINI
from mira.codecs.media.images_openai import IMAGES_OPENAI
from mira.codecs.media.shape import Shape

#: (kind of node, what is put out) -> shape
SHAPES: dict[tuple[str, str], Shape] = {
    ("openai", "image"): IMAGES_OPENAI,
    ("gemini", "image"): IMAGES_GEMINI,
    ("openai-compatible", "image"): IMAGES_CHAT,
    ("mira", "image"): IMAGES_OPENAI,
}


def shape_of(kind: str, output: str) -> Shape | None:
    """The shape in which a kind of node is asked for what is to be put out; None where it makes none."""
    return SHAPES.get((kind, output))
