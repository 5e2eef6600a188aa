"""What a client asks of a video, as JSON or as the form that OpenAI's SDKs send, read into a typed request."""

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from starlette.datastructures import UploadFile

from mira.api import media
from mira.api.bodies import decode, read_into, wrong_field
from mira.api.forms import form_of, is_form
from mira.api.services import Asked, Services
from mira.codecs.media.images import Picture
from mira.codecs.media.video import VideoRequest
from mira.core.ledger import Account
from mira.core.refusals import no_credits
from mira.errors import Kind, MiraError

#: A picture to begin from, which is kept in the database until a node has taken it.
MAX_IMAGE_BYTES = 10 * 2**20
MAX_BODY_BYTES = 15 * 2**20
MOST_SECONDS = 60
MOST_WAIT_S = 300.0
_SIZE = re.compile(r"[1-9]\d{1,3}x[1-9]\d{1,3}")
_URL = re.compile(r"https?://[!-~]{1,2000}")


class Reference(Struct, forbid_unknown_fields=True):
    """A picture in OpenAI's words: `file_id` of an upload, or `image_url`."""

    file_id: str | None = None
    image_url: str | None = None


class VideoBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/video` and `/v1/videos`.

    `image` (OpenAI: `input_reference`) is an upload's id or address, a URL, a data URL or base64. `wait` is how many
    seconds the answer may be held back for the finished video. `webhook` is told when the job has ended.
    """

    prompt: Annotated[str, Meta(min_length=1, max_length=32_000)]
    model: Annotated[str, Meta(max_length=200)] | None = None
    seconds: int | str | None = None
    size: str | None = None
    image: str | None = None
    input_reference: str | Reference | None = None
    wait: Annotated[float, Meta(ge=0)] | None = None
    webhook: str | None = None


class Wanted(Struct, frozen=True):
    """A request as it was understood; `picture` is what came with a form, `reference` what is to be loaded."""

    body: VideoBody
    video: VideoRequest
    reference: str | None = None


async def read(asked: Asked) -> Wanted:
    """Reads a request; MiraError BAD_REQUEST with the field's name."""
    picture: Picture | None = None
    if is_form(asked):
        body, picture = await _form(asked)
    else:
        body = decode(await read_into(asked, MAX_BODY_BYTES), VideoBody)
    if body.size is not None and not _SIZE.fullmatch(body.size):
        raise _wrong("size", 'must be "WIDTHxHEIGHT", such as 1280x720')
    if body.webhook is not None and not _URL.fullmatch(body.webhook):
        raise _wrong("webhook", "must be an http or https address")
    reference = body.image
    if body.input_reference is not None:
        if reference is not None:
            raise _wrong("input_reference", "is another word for image; send one of them")
        reference = _referred(body.input_reference)
    video = VideoRequest(prompt=body.prompt, seconds=_seconds(body.seconds), size=body.size, image=picture)
    return Wanted(body, video, reference)


async def completed(services: Services, asked: Asked, wanted: Wanted, hold_nanocredits: int) -> VideoRequest:
    """The request with the picture that it refers to; MiraError with the field.

    An address is loaded only for somebody who can pay for the video.
    """
    video, reference = wanted.video, wanted.reference
    if reference is not None:
        if reference.startswith(("http://", "https://")):
            await _require(services, asked, hold_nanocredits)
        video = msgspec.structs.replace(video, image=await media.picture(services, asked, reference, "image"))
    if video.image is not None and len(video.image.data) > MAX_IMAGE_BYTES:
        raise MiraError(Kind.TOO_LARGE, f"image: larger than {MAX_IMAGE_BYTES // 2**20} MiB", param="image")
    return video


def wait_s(asked: Asked, body: VideoBody | None = None) -> float:
    """How long the answer may be held back: `?wait=` or the body's word, up to a bound. MiraError BAD_REQUEST."""
    text = asked.request.query_params.get("wait")
    if text is None:
        told = body.wait if body is not None else None
        return min(told or 0.0, MOST_WAIT_S)
    if not re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text):
        raise _wrong("wait", "must be a number of seconds")
    return min(float(text), MOST_WAIT_S)


async def _form(asked: Asked) -> tuple[VideoBody, Picture | None]:
    picture = None
    words: dict[str, Any] = {}
    async with form_of(asked, MAX_BODY_BYTES, most_fields=20, part_bytes=MAX_BODY_BYTES) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name not in ("input_reference", "image"):
                    raise _wrong(name[:100], "this field is not known here")
                picture = media.as_picture(await value.read(), name)
            elif (inner := re.fullmatch(r"input_reference\[(\w+)\]", name)) is not None:
                words.setdefault("input_reference", {})[inner[1]] = value
            else:
                words[name] = value
    try:
        return msgspec.convert(words, VideoBody, strict=False), picture
    except msgspec.ValidationError as error:
        raise wrong_field(error) from None


def _referred(reference: str | Reference) -> str:
    if isinstance(reference, str):
        return reference
    told = reference.file_id or reference.image_url
    if told is None:
        raise _wrong("input_reference", "needs `file_id` or `image_url`")
    return told


def _seconds(told: int | str | None) -> int | None:
    if told is None:
        return None
    text = str(told)
    if not re.fullmatch(r"\d{1,3}", text) or not 1 <= int(text) <= MOST_SECONDS:
        raise _wrong("seconds", f"must be a whole number from 1 to {MOST_SECONDS}")
    return int(text)


async def _require(services: Services, asked: Asked, needed_nanocredits: int) -> None:
    assert asked.caller is not None
    posted, held = await services.ledger.balance(asked.caller.workspace_id)
    if posted - held < needed_nanocredits:
        raise no_credits(Account(asked.caller.workspace_id, posted, held), needed_nanocredits)


def _wrong(field: str, why: str) -> MiraError:
    return MiraError(Kind.BAD_REQUEST, f"{field}: {why}", param=field)
