"""Videos of Veo at Gemini: a long-running operation, polled under its name; the result is fetched with the key.

Source: the Gemini API reference, video generation (2026-11).
"""

import base64
from typing import Any

import msgspec

from mira.codecs.gemini.errors import parse_error
from mira.codecs.lenient import loose
from mira.codecs.media.shape import Made, Outgoing, Received, Shape, Target
from mira.codecs.media.video import (
    Looking,
    VideoRequest,
    failed,
    no_sense,
    orientation,
    resolution,
    submitted,
)
from mira.core.jobs import Failed, Happening, Progressed, Ready

#: What Veo makes: 720p, 1080p and 4k in its two forms. Any other size would come out as another one, or be refused.
SIZES = ("1280x720", "720x1280", "1920x1080", "1080x1920", "3840x2160", "2160x3840")


def lacks(request: VideoRequest) -> str | None:
    """Sizes other than Veo's."""
    return "size" if request.size is not None and request.size not in SIZES else None


def render(request: VideoRequest, target: Target) -> Outgoing:
    """One instance and its parameters; a size becomes a form and a resolution."""
    del target
    instance: dict[str, Any] = {"prompt": request.prompt}
    if request.image is not None:
        data = base64.b64encode(request.image.data).decode()
        instance["image"] = {"bytesBase64Encoded": data, "mimeType": request.image.mime_type}
    parameters: dict[str, Any] = {}
    if request.seconds is not None:
        parameters["durationSeconds"] = request.seconds
    if (form := orientation(request.size)) is not None:
        parameters["aspectRatio"] = form
        parameters["resolution"] = resolution(request.size)
    fields = {"instances": [instance], "parameters": parameters} if parameters else {"instances": [instance]}
    return Outgoing(path="/v1beta/models/{model}:predictLongRunning", body=msgspec.json.encode(fields))


def read_submission(received: Received, _: VideoRequest) -> Made:
    """The name of the operation."""
    told = loose(received.body)
    return submitted(told.get("name") if isinstance(told, dict) else None)


def look(upstream_id: str) -> str:
    """Where the operation is."""
    return f"/v1beta/{upstream_id}"


def read(body: bytes, _: str) -> Happening:
    """How the operation stands."""
    told = loose(body)
    if not isinstance(told, dict):
        raise no_sense()
    if told.get("done") is not True:
        meta = told.get("metadata")
        progress = meta.get("progressPercent") if isinstance(meta, dict) else None
        return Progressed(progress if isinstance(progress, int) and 0 <= progress <= 100 else None)
    error = told.get("error")
    if isinstance(error, dict):
        return failed(error.get("message"))
    return _made(told.get("response"))


def _made(response: Any) -> Happening:
    result = response.get("generateVideoResponse") if isinstance(response, dict) else None
    if not isinstance(result, dict):
        raise no_sense()
    samples = result.get("generatedSamples")
    first = samples[0] if isinstance(samples, list) and samples else None
    video = first.get("video") if isinstance(first, dict) else None
    uri = video.get("uri") if isinstance(video, dict) else None
    if isinstance(uri, str):
        return Ready(uri)
    if result.get("raiMediaFilteredCount") or result.get("raiMediaFilteredReasons"):
        return failed("filtered")
    return Failed("upstream_error", "the upstream made no video")


VIDEO_GEMINI = Shape(
    name="gemini videos",
    render=render,
    read=read_submission,
    parse_error=parse_error,
    lacks=lacks,
    instead={"size": f"send one of {', '.join(SIZES)}, or none"},
)
LOOKING_GEMINI = Looking(look=look, read=read)
