"""Which kind of node makes which media, and in which shape: one row for each kind of node and medium.

Another shape is a file in `mira.codecs.media` and a row here.
"""

from mira.codecs.media.images_chat import IMAGES_CHAT
from mira.codecs.media.images_gemini import IMAGES_GEMINI
from mira.codecs.media.images_openai import IMAGES_OPENAI
from mira.codecs.media.shape import Shape
from mira.codecs.media.speech_gemini import SPEECH_GEMINI
from mira.codecs.media.speech_openai import SPEECH_OPENAI
from mira.codecs.media.transcription_openai import TRANSCRIPTIONS_LOCAL, TRANSCRIPTIONS_OPENAI
from mira.codecs.media.video import Looking
from mira.codecs.media.video_gemini import LOOKING_GEMINI, VIDEO_GEMINI
from mira.codecs.media.video_openai import LOOKING_MIRA, LOOKING_OPENAI, VIDEO_OPENAI
from mira.codecs.media.video_openrouter import LOOKING_OPENROUTER, VIDEO_OPENROUTER

#: (kind of node, or kind and a route that its settings choose; what is put out) -> shape
SHAPES: dict[tuple[str, str], Shape] = {
    ("openai", "image"): IMAGES_OPENAI,
    ("gemini", "image"): IMAGES_GEMINI,
    ("openai-compatible", "image"): IMAGES_CHAT,
    ("openai-compatible images", "image"): IMAGES_OPENAI,
    ("mira", "image"): IMAGES_OPENAI,
    ("openai", "video"): VIDEO_OPENAI,
    ("gemini", "video"): VIDEO_GEMINI,
    ("openai-compatible", "video"): VIDEO_OPENROUTER,
    ("mira", "video"): VIDEO_OPENAI,
    ("openai", "speech"): SPEECH_OPENAI,
    ("gemini", "speech"): SPEECH_GEMINI,
    ("openai-compatible", "speech"): SPEECH_OPENAI,
    ("mira", "speech"): SPEECH_OPENAI,
    ("local-media", "speech"): SPEECH_OPENAI,
    ("openai", "transcription"): TRANSCRIPTIONS_OPENAI,
    ("openai-compatible", "transcription"): TRANSCRIPTIONS_OPENAI,
    ("mira", "transcription"): TRANSCRIPTIONS_OPENAI,
    ("local-media", "transcription"): TRANSCRIPTIONS_LOCAL,
}


#: kind of node -> how its jobs for videos are looked at
LOOKING: dict[str, Looking] = {
    "openai": LOOKING_OPENAI,
    "gemini": LOOKING_GEMINI,
    "openai-compatible": LOOKING_OPENROUTER,
    "mira": LOOKING_MIRA,
}


def shape_of(kind: str, output: str, route: str = "auto") -> Shape | None:
    """The shape in which a kind of node is asked for what is to be put out; None where it makes none.

    `route` is the node's setting of another than the kind's own (`image_route`).
    """
    return SHAPES.get((f"{kind} {route}", output)) or SHAPES.get((kind, output))
