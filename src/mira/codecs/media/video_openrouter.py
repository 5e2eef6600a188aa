"""Videos in OpenRouter's shape: a job at `/videos` whose result lies behind addresses, with its charge.

Source: OpenRouter's API reference of video generation (2026-11). The job is looked at under its id, not under the
`polling_url` of the answer: an address that a node names is never sent a key.
"""

import base64
from typing import Any

import msgspec

from mira.codecs.chat.errors import parse_error
from mira.codecs.chat.usage import reported_nanocredits
from mira.codecs.lenient import loose
from mira.codecs.media.shape import Outgoing, Shape, Target
from mira.codecs.media.video import Looking, VideoRequest, failed, look_under_videos, no_sense, read_submission
from mira.core.jobs import Happening, Progressed, Ready


def render(request: VideoRequest, target: Target) -> Outgoing:
    """JSON; the picture as the first frame."""
    fields: dict[str, Any] = {"model": target.model, "prompt": request.prompt}
    if request.seconds is not None:
        fields["duration"] = request.seconds
    if request.size is not None:
        fields["size"] = request.size
    if request.image is not None:
        data = base64.b64encode(request.image.data).decode()
        url = f"data:{request.image.mime_type};base64,{data}"
        fields["frame_images"] = [{"type": "image_url", "image_url": {"url": url}, "frame_type": "first_frame"}]
    return Outgoing(path="/videos", body=msgspec.json.encode(fields))


def read(body: bytes, upstream_id: str) -> Happening:
    """How the job stands."""
    told = loose(body)
    if not isinstance(told, dict):
        raise no_sense()
    match told.get("status"):
        case "completed":
            urls = told.get("unsigned_urls")
            first = urls[0] if isinstance(urls, list) and urls and isinstance(urls[0], str) else None
            usage = told.get("usage")
            cost = reported_nanocredits(usage) if isinstance(usage, dict) else None
            return Ready(first or f"/videos/{upstream_id}/content?index=0", None, cost)
        case "failed" | "cancelled" | "expired":
            error = told.get("error")
            return failed(error.get("code") or error.get("message") if isinstance(error, dict) else error)
        case "pending" | "queued" | "in_progress" | "processing":
            return Progressed()
    raise no_sense()


VIDEO_OPENROUTER = Shape(name="openrouter videos", render=render, read=read_submission, parse_error=parse_error)
LOOKING_OPENROUTER = Looking(look=look_under_videos, read=read)
