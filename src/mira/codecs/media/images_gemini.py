"""Images at Gemini: `generateContent` that is asked for pictures; Imagen has `predict`, from words alone.

Source: the Gemini API reference and google-genai 3.4.0 (2026-11).
"""

import base64
from typing import Any

import msgspec

from mira.codecs.gemini.errors import parse_error, parse_error_in_band
from mira.codecs.gemini.usage import usage_of
from mira.codecs.lenient import answered
from mira.codecs.media.images import Image, ImageRequest, joined, one_by_one
from mira.codecs.media.images_talk import form_of, made_of, no_mask, rows
from mira.codecs.media.shape import Made, Outgoing, Received, Shape, Target
from mira.errors import Kind, MiraError

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
    ratio, dropped = form_of(request)
    if ratio is not None:
        config["imageConfig"] = {"aspectRatio": ratio}
    if request.user is not None:
        dropped.append("user")
    body = {"contents": [{"role": "user", "parts": [*parts, {"text": request.prompt}]}], "generationConfig": config}
    return Outgoing(
        path="/v1beta/models/{model}:generateContent", body=msgspec.json.encode(body), dropped=tuple(dropped)
    )


def read(received: Received, _: ImageRequest) -> Made:
    """A whole answer; MiraError where it holds no image, BAD_REQUEST where the model refused to make one."""
    told = answered(received.body, parse_error_in_band)
    if "candidates" not in told and isinstance(told.get("predictions"), list):
        return _read_imagen(told["predictions"])
    images: list[Image] = []
    words: list[str] = []
    reasons: list[str] = []
    for candidate in rows(told.get("candidates")):
        if not isinstance(candidate, dict):
            continue
        reasons.append(str(candidate.get("finishReason", "")))
        content = candidate.get("content")
        for part in rows(content.get("parts") if isinstance(content, dict) else None):
            if not isinstance(part, dict) or part.get("thought") is True:
                continue
            inline = part.get("inlineData") or part.get("inline_data")
            if isinstance(inline, dict) and isinstance(inline.get("data"), str):
                images.append(Image(b64_json=inline["data"]))
            elif isinstance(part.get("text"), str):
                words.append(part["text"])
    if not images:
        feedback = told.get("promptFeedback")
        reasons.append(str(feedback.get("blockReason", "")) if isinstance(feedback, dict) else "")
    return made_of(images, words, usage_of(told.get("usageMetadata")), _nothing(reasons))


def _render_imagen(request: ImageRequest) -> Outgoing:
    """MiraError UNSUPPORTED where a picture is to be changed, which these models cannot."""
    if request.is_edit:
        raise MiraError(Kind.UNSUPPORTED, "image: this model makes images and changes none", param="image")
    parameters: dict[str, Any] = {"sampleCount": request.n}
    ratio, dropped = form_of(request, _IMAGEN_RATIOS)
    if ratio is not None:
        parameters["aspectRatio"] = ratio
    if request.user is not None:
        dropped.append("user")
    body = {"instances": [{"prompt": request.prompt}], "parameters": parameters}
    return Outgoing(path="/v1beta/models/{model}:predict", body=msgspec.json.encode(body), dropped=tuple(dropped))


def _read_imagen(predictions: list[Any]) -> Made:
    told = [row for row in predictions if isinstance(row, dict)]
    images = [Image(b64_json=data) for row in told if isinstance(data := row.get("bytesBase64Encoded"), str)]
    refused = [_REFUSED[0] if row.get("raiFilteredReason") else "" for row in told]
    return made_of(images, [], None, _nothing(refused))


def _nothing(reasons: list[str]) -> MiraError:
    if any(word in reason for reason in reasons for word in _REFUSED):
        message = "The model refused to make this image: its filter was set off."
        return MiraError(Kind.BAD_REQUEST, message, param="prompt", code="moderation_blocked")
    return MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer has no image.")


IMAGES_GEMINI = Shape(
    name="gemini images",
    render=render,
    read=read,
    parse_error=parse_error,
    lacks=no_mask,
    parts=one_by_one,
    join=joined,
)
