"""A request for a video, typed, and how nodes that work for minutes are asked: sent once, looked at, fetched. Pure."""

import re
from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from mira.codecs.lenient import loose
from mira.codecs.media.images import Picture
from mira.codecs.media.shape import Made, Received
from mira.core.jobs import Failed, Happening
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

#: What is held for, and what counts, where neither the client nor the node says how long a video is.
MOST_UNSAID_S, UNSAID_S = 12, 8
#: Ids of nodes stand in paths.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:=-]*(?:/[A-Za-z0-9][A-Za-z0-9._~:=-]*)*")
_MOST_ID = 512


class VideoRequest(Struct, frozen=True, kw_only=True):
    """What a video is to be like. `size` is "WIDTHxHEIGHT"; `image` is where it begins from."""

    prompt: str
    seconds: int | None = None
    size: str | None = None
    image: Picture | None = None


class Looking(Struct, frozen=True, kw_only=True):
    """How work under way at a kind of node is looked at, and what becomes of it.

    `look` and `cancel` give the path for the node's own id; `cancel` None where a node cannot be told. `read` says what
    an answer with a status of 200 means: MiraError UPSTREAM_FAILED where it makes no sense. `works_once`: a request
    that is sent again under the same `idempotency-key` is the same work. The node's answer to the request itself is
    read by its shape, into the id.
    """

    look: Callable[[str], str]
    read: Callable[[bytes, str], Happening]
    cancel: Callable[[str], str] | None = None
    works_once: bool = False


def bound(request: VideoRequest) -> Usage:
    """The most that can be charged."""
    return Usage(media_ms=(request.seconds or MOST_UNSAID_S) * 1000)


def resolution(size: str | None) -> str | None:
    """ "720p" and the like: what the shorter side stands for."""
    sides = _sides(size)
    if sides is None:
        return None
    shorter = min(sides)
    return "4k" if shorter >= 2160 else f"{shorter}p"


def orientation(size: str | None) -> Literal["16:9", "9:16"] | None:
    """Which of the two forms is meant that nodes know by name."""
    sides = _sides(size)
    if sides is None:
        return None
    return "16:9" if sides[0] >= sides[1] else "9:16"


def variants(request: VideoRequest) -> tuple[str, ...]:
    """The names that a price may have for this video, most exact first; where no size is said, the node may choose."""
    if request.size is None:
        return ("*",)
    told = resolution(request.size)
    return (request.size, *((told,) if told else ()))


def submitted(upstream_id: Any) -> Made:
    """The node's id of the work; MiraError UPSTREAM_FAILED where it is none that can be asked for again."""
    if not isinstance(upstream_id, str) or len(upstream_id) > _MOST_ID or not _ID.fullmatch(upstream_id):
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer names no job.")
    return Made(content=upstream_id)


def read_submission(received: Received, _: VideoRequest) -> Made:
    """The id of a job, where the node tells it as `id`."""
    told = loose(received.body)
    return submitted(told.get("id") if isinstance(told, dict) else None)


def look_under_videos(upstream_id: str) -> str:
    """Where the job is, at nodes that keep them under `/videos`."""
    return f"/videos/{upstream_id}"


def failed(code: Any) -> Failed:
    """A failure in our words, by the node's code."""
    word = str(code or "").lower()
    if any(sign in word for sign in ("moderation", "safety", "policy", "sexual", "filtered", "rai_", "sensitive")):
        return Failed("moderation_blocked", "the upstream's safety system refused this video")
    return Failed("upstream_error", "the upstream could not make this video")


def no_sense() -> MiraError:
    """An answer that cannot be read."""
    return MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer on the job cannot be read.")


def _sides(size: str | None) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d{2,5})x(\d{2,5})", size or "")
    return (int(found[1]), int(found[2])) if found else None
