"""Images at Gemini: `generateContent` that is asked for pictures; Imagen has `predict`, from words alone.

Source: the Gemini API reference and google-genai 3.4.0 (2026-11).
"""

import base64
from typing import Any

import msgspec

from mira.codecs.gemini.errors import parse_error, parse_error_in_band
from mira.codecs.gemini.usage import usage_of
from mira.codecs.lenient import loose
from mira.codecs.media.images import Image, ImageRequest, Images, as_images, joined, one_by_one
from mira.codecs.media.images_chat import aspect_ratio, no_mask
from mira.codecs.media.shape import Made, NothingMadeError, Outgoing, Received, Shape, Target
from mira.errors import Kind, MiraError

_UNTOLD = (
    "quality",
    "background",
    "output_compression",
    "moderation",
    "input_fidelity",
    "style",
    "partial_images",
    "user",
)
#: Why a model made nothing, where that is about what it was asked for.
_REFUSED = ("SAFETY", "PROHIBITED", "RECITATION", "BLOCKLIST", "SPII")


#: These models know `predict` alone, and fewer ratios.
_IMAGEN = "imagen"
_IMAGEN_RATIOS = ("1:1", "3:4", "4:3", "9:16", "16:9")


def render(request: ImageRequest, target: Target) -> Outgoing:
    """One turn: the pictures, then the words."""
    if target.model.startswith(_IMAGEN):
        return _render_imagen(request)
    parts: list[dict[str, Any]] = [
        {"inlineData": {"mimeType": picture.mime_type, "data": base64.b64encode(picture.data).decode()}}
        for picture in request.images
    ]
    config: dict[str, Any] = {"responseModalities": ["IMAGE"]}
    dropped = [name for name in _UNTOLD if getattr(request, name) is not None]
    ratio = aspect_ratio(request.size)
    if ratio is not None:
        config["imageConfig"] = {"aspectRatio": ratio}
    elif request.size not in (None, "auto"):
        dropped.append("size")
    if request.output_format not in (None, "png"):
        dropped.append("output_format")
    body = {"contents": [{"role": "user", "parts": [*parts, {"text": request.prompt}]}], "generationConfig": config}
    return Outgoing(
        path="/v1beta/models/{model}:generateContent", body=msgspec.json.encode(body), dropped=tuple(dropped)
    )


def read(received: Received, _: ImageRequest) -> Made:
    """A whole answer; MiraError where it holds no image, BAD_REQUEST where the model refused to make one."""
    told = loose(received.body)
    if not isinstance(told, dict):
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer is not a JSON object.")
    if told.get("error"):
        raise parse_error_in_band(told["error"])
    if "candidates" not in told and isinstance(told.get("predictions"), list):
        return _read_imagen(told["predictions"])
    images: list[Image] = []
    words: list[str] = []
    reasons: list[str] = []
    for candidate in _list(told.get("candidates")):
        if not isinstance(candidate, dict):
            continue
        reasons.append(str(candidate.get("finishReason", "")))
        content = candidate.get("content")
        for part in _list(content.get("parts") if isinstance(content, dict) else None):
            if not isinstance(part, dict) or part.get("thought") is True:
                continue
            inline = part.get("inlineData") or part.get("inline_data")
            if isinstance(inline, dict) and isinstance(inline.get("data"), str):
                images.append(Image(b64_json=inline["data"]))
            elif isinstance(part.get("text"), str):
                words.append(part["text"])
    usage = usage_of(told.get("usageMetadata"))
    if not images:
        feedback = told.get("promptFeedback")
        reasons.append(str(feedback.get("blockReason", "")) if isinstance(feedback, dict) else "")
        nothing = _nothing(reasons)
        raise nothing if usage is None else NothingMadeError(nothing, usage)
    if usage is not None:
        usage = as_images(usage, len(images))
    return Made(content=Images(data=tuple(images), text="".join(words) or None), usage=usage)


def _render_imagen(request: ImageRequest) -> Outgoing:
    """MiraError UNSUPPORTED where a picture is to be changed, which these models cannot."""
    if request.is_edit:
        raise MiraError(Kind.UNSUPPORTED, "image: this model makes images and changes none", param="image")
    parameters: dict[str, Any] = {"sampleCount": request.n}
    dropped = [name for name in _UNTOLD if getattr(request, name) is not None]
    ratio = aspect_ratio(request.size)
    if ratio in _IMAGEN_RATIOS:
        parameters["aspectRatio"] = ratio
    elif request.size not in (None, "auto"):
        dropped.append("size")
    if request.output_format not in (None, "png"):
        dropped.append("output_format")
    body = {"instances": [{"prompt": request.prompt}], "parameters": parameters}
    return Outgoing(path="/v1beta/models/{model}:predict", body=msgspec.json.encode(body), dropped=tuple(dropped))


def _read_imagen(predictions: list[Any]) -> Made:
    rows = [row for row in predictions if isinstance(row, dict)]
    data = [row["bytesBase64Encoded"] for row in rows if isinstance(row.get("bytesBase64Encoded"), str)]
    if not data:
        raise _nothing([_REFUSED[0] if row.get("raiFilteredReason") else "" for row in rows])
    return Made(content=Images(data=tuple(Image(b64_json=one) for one in data)))


def _nothing(reasons: list[str]) -> MiraError:
    if any(word in reason for reason in reasons for word in _REFUSED):
        message = "The model refused to make this image: its filter was set off."
        return MiraError(Kind.BAD_REQUEST, message, param="prompt", code="moderation_blocked")
    return MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer has no image.")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


IMAGES_GEMINI = Shape(
    name="gemini images",
    render=render,
    read=read,
    parse_error=parse_error,
    lacks=no_mask,
    parts=one_by_one,
    join=joined,
)
