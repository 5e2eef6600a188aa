"""Videos at OpenAI, and at another Mira, which speaks the same and tells what it charged.

Source: the OpenAI API reference (2026-11).
"""

from decimal import Decimal
from typing import Any

import msgspec

from mira.codecs.chat.errors import parse_error
from mira.codecs.chat.usage import reported_nanocredits
from mira.codecs.lenient import loose
from mira.codecs.media.forms import Part, write_form
from mira.codecs.media.shape import Outgoing, Shape, Target
from mira.codecs.media.video import Looking, VideoRequest, failed, look_under_videos, no_sense, read_submission
from mira.core.jobs import Happening, Progressed, Ready


def render(request: VideoRequest, target: Target) -> Outgoing:
    """JSON, or a form where there is a picture."""
    fields = {"model": target.model, "prompt": request.prompt}
    if request.seconds is not None:
        fields["seconds"] = str(request.seconds)
    if request.size is not None:
        fields["size"] = request.size
    if request.image is None:
        return Outgoing(path="/videos", body=msgspec.json.encode(fields))
    suffix = request.image.mime_type.rpartition("/")[2]
    parts = [Part(name, value.encode()) for name, value in fields.items()]
    parts.append(Part("input_reference", request.image.data, f"reference.{suffix}", request.image.mime_type))
    content_type, body = write_form(parts)
    return Outgoing(path="/videos", body=body, content_type=content_type)


def read(body: bytes, upstream_id: str) -> Happening:
    """How the job stands."""
    told = loose(body)
    if not isinstance(told, dict):
        raise no_sense()
    match told.get("status"):
        case "completed":
            usage = told.get("usage")
            cost = reported_nanocredits(usage) if isinstance(usage, dict) else None
            return Ready(f"/videos/{upstream_id}/content", _whole(told.get("seconds")), cost)
        case "failed" | "cancelled" | "canceled" | "expired":
            error = told.get("error")
            return failed(error.get("code") if isinstance(error, dict) else None)
        case "queued" | "in_progress":
            progress = told.get("progress")
            return Progressed(int(progress) if isinstance(progress, int | Decimal) and 0 <= progress <= 100 else None)
    raise no_sense()


def _whole(seconds: Any) -> int | None:
    """Seconds come as text."""
    text = str(seconds)
    return int(text) if text.isdecimal() and len(text) < 6 and int(text) > 0 else None


VIDEO_OPENAI = Shape(name="openai videos", render=render, read=read_submission, parse_error=parse_error)
LOOKING_OPENAI = Looking(look=look_under_videos, read=read, cancel=look_under_videos)
#: A Mira does the work of one Idempotency-Key once.
LOOKING_MIRA = Looking(look=look_under_videos, read=read, cancel=look_under_videos, works_once=True)
