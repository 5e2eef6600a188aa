"""Images: OpenAI's generations and edits, and Mira's own short route over both."""

import base64
import logging
import re
from collections.abc import AsyncIterator, Mapping
from functools import partial
from hashlib import sha256
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import replace
from starlette.datastructures import UploadFile
from starlette.responses import Response

from mira.api import media
from mira.api.bodies import decode, read_into, wrong_field
from mira.api.forms import form_of, is_form
from mira.api.services import Asked, Services
from mira.calls.media_wish import Answer, Told, Wish
from mira.codecs.media.images import (
    MOST_REFERENCES,
    Body,
    Image,
    ImageRequest,
    Images,
    Picture,
    answer_body,
    bound,
    brought,
    estimate,
    events,
    variants,
)
from mira.codecs.media.shape import Made
from mira.core.caller import Face
from mira.core.media_types import HEAD_BYTES, binary_type
from mira.errors import Kind, MiraError

MAX_BODY_BYTES = 64 * 2**20
SURPLUS_BYTES = 64 * 1024
PROTOCOL = "images"
_SIZE = re.compile(r"auto|[1-9][0-9]{1,4}x[1-9][0-9]{1,4}")
log = logging.getLogger("mira.media")


class Reference(msgspec.Struct):
    """A picture to be changed, in the words of OpenAI's JSON: `file_id` of an upload, or `image_url`."""

    file_id: str | None = None
    image_url: str | None = None


class EditBody(Body, kw_only=True):
    """`POST /v1/images/edits` as JSON: `image` or `images` are ids, addresses, data URLs or base64."""

    image: str | Annotated[list[str], Meta(min_length=1, max_length=MOST_REFERENCES)] | None = None
    images: Annotated[list[str | Reference], Meta(min_length=1, max_length=MOST_REFERENCES)] | None = None
    mask: str | Reference | None = None


class ShortBody(EditBody, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/image`: with `image` it changes that picture, without it makes one."""


async def generate(services: Services, asked: Asked) -> Response:
    """Makes images from words."""

    async def read() -> Wish:
        raw = await read_into(asked, 2**20)
        body = decode(raw, Body)
        return _wish(services, asked, body, _request(body, (), None), media.surplus(media.names_of(raw), Body))

    return await media.answer(services, asked, PROTOCOL, read)


async def edit(services: Services, asked: Asked) -> Response:
    """Changes images: a form as OpenAI's SDKs send it, or JSON."""

    async def read() -> Wish:
        if is_form(asked):
            body, images, mask, surplus = await _form(asked)
        else:
            raw = await read_into(asked, MAX_BODY_BYTES)
            told = decode(raw, EditBody)
            body, images, mask = told, _references(told), _reference(told.mask)
            surplus = media.surplus(media.names_of(raw), EditBody)
        if not images:
            raise MiraError(Kind.BAD_REQUEST, "Missing required field: 'image'.", param="image")
        return _wish(services, asked, body, _request(body, images, mask), surplus)

    return await media.answer(services, asked, PROTOCOL, read)


async def short(services: Services, asked: Asked) -> Response:
    """Mira's own route: one body for both."""

    async def read() -> Wish:
        body = decode(await read_into(asked, MAX_BODY_BYTES), ShortBody)
        return _wish(services, asked, body, _request(body, _references(body), _reference(body.mask)))

    return await media.answer(services, asked, PROTOCOL, read)


def _request(body: Body, images: tuple[Any, ...], mask: Any) -> ImageRequest:
    if mask is not None and not images:
        raise MiraError(Kind.BAD_REQUEST, "mask: there is no image that it could be laid over", param="mask")
    if body.size is not None and not _SIZE.fullmatch(body.size):
        raise MiraError(Kind.BAD_REQUEST, 'size: must be "auto" or "WIDTHxHEIGHT", such as 1024x1024', param="size")
    return ImageRequest(
        prompt=body.prompt,
        n=body.n or 1,
        size=body.size,
        quality=body.quality,
        background=body.background,
        output_format=body.output_format,
        output_compression=body.output_compression,
        moderation=body.moderation,
        input_fidelity=body.input_fidelity,
        style=body.style,
        user=body.user,
        partial_images=body.partial_images if body.stream else None,
        stream=bool(body.stream),
        images=images,
        mask=mask,
    )


def _wish(services: Services, asked: Asked, body: Body, request: ImageRequest, surplus: tuple[str, ...] = ()) -> Wish:
    if body.partial_images is not None and not request.stream:
        surplus += ("partial_images",)
    as_url = body.response_format == "url"
    if as_url and request.stream:
        raise MiraError(Kind.BAD_REQUEST, "response_format: a stream brings its images itself", param="response_format")

    def exact(made: Made | None) -> tuple[str, ...]:
        told: Images | None = made.content if made is not None else None
        if told is None:
            return variants(request)
        return variants(replace(request, quality=told.quality or request.quality, size=told.size or request.size))

    return Wish(
        output="image",
        request=request,
        model=body.model,
        bound=bound(request),
        bound_of=bound,
        brought=brought(request),
        variants=exact,
        digest=_digest(asked, request, body),
        surplus=surplus,
        stream=request.stream,
        prepare=partial(_prepare, services, asked) if request.is_edit else None,
        estimate=partial(estimate, request),
        finish=partial(_finish, services, asked, as_url=as_url),
        render=partial(_render, asked, request),
    )


async def _prepare(services: Services, asked: Asked, request: ImageRequest) -> ImageRequest:
    """The request with pictures in place of what refers to them."""
    images = []
    for number, image in enumerate(request.images):
        field = "image" if len(request.images) == 1 else f"image[{number}]"
        images.append(await media.picture(services, asked, image, field) if isinstance(image, str) else image)
    mask = request.mask
    if isinstance(mask, str):
        mask = await media.picture(services, asked, mask, "mask")
    return replace(request, images=tuple(images), mask=mask)


async def _finish(services: Services, asked: Asked, made: Made, *, as_url: bool) -> Made:
    """Loads what a node keeps behind an address, and stores what the client wants to have behind one."""
    content: Images = made.content
    images = [await _given(services, image) for image in content.data]
    if as_url:
        try:
            images = [await _stored(services, asked, image) for image in images]
        except MiraError as error:
            if error.kind is Kind.UPSTREAM_FAILED:
                raise
            # The images are made and must be paid for: better in another form than not at all.
            log.warning("images of request %s could not be stored: %s", asked.request_id, error.message)
    return replace(made, content=replace(content, data=tuple(images)))


async def _given(services: Services, image: Image) -> Image:
    if image.url is None:
        return image
    try:
        data = await services.relay.loader.load(image.url, "")
    except MiraError:
        message = "The upstream's answer names an image that could not be loaded."
        raise MiraError(Kind.UPSTREAM_FAILED, message) from None
    return replace(image, url=None, b64_json=base64.b64encode(data).decode())


async def _stored(services: Services, asked: Asked, image: Image) -> Image:
    assert asked.caller is not None
    assert image.b64_json is not None
    try:
        data = base64.b64decode(image.b64_json)
    except ValueError:
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer has no image.") from None
    mime_type = binary_type(data[:HEAD_BYTES]) or "application/octet-stream"
    name = f"image.{mime_type.rpartition('/')[2]}"
    file = await services.uploads.keep(asked.caller.workspace_id, _once(data), declared_type=mime_type, filename=name)
    return replace(image, b64_json=None, url=f"{services.config.base_url}/v1/files/{file.id}")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _render(asked: Asked, request: ImageRequest, made: Made, told: Told) -> Answer:
    assert asked.caller is not None
    model = told.model
    if asked.caller.face is Face.INFERENCE:
        model = model.partition("/")[2] or model
    if request.stream:
        # The node does not stream: what it made comes as the events of a stream that ends at once.
        return Answer("text/event-stream; charset=utf-8", events(request, made, told.cost_nanocredits, told.created_s))
    return Answer("application/json", answer_body(request, made, model, told.cost_nanocredits, told.created_s))


def _references(body: EditBody) -> tuple[str, ...]:
    if body.image is not None and body.images is not None:
        raise MiraError(Kind.BAD_REQUEST, "write image or images, not both", param="images")
    if body.images is not None:
        return tuple(reference for one in body.images if (reference := _reference(one)) is not None)
    if body.image is None:
        return ()
    return (body.image,) if isinstance(body.image, str) else tuple(body.image)


def _reference(told: str | Reference | None) -> str | None:
    if not isinstance(told, Reference):
        return told
    reference = told.file_id or told.image_url
    if reference is None:
        raise MiraError(Kind.BAD_REQUEST, "images: each needs a file_id or an image_url", param="images")
    return reference


async def _form(asked: Asked) -> tuple[Body, tuple[Any, ...], Any, tuple[str, ...]]:
    async with form_of(asked, MAX_BODY_BYTES, most_files=MOST_REFERENCES + 1, part_bytes=SURPLUS_BYTES * 4) as form:
        images = [await _part(part, "image") for name in ("image", "image[]") for part in form.getlist(name)]
        mask = form.get("mask")
        words = {name: value for name, value in form.items() if isinstance(value, str)}
        surplus = media.surplus(form.keys(), Body, more=("image", "image[]", "mask"))
        return _words(words), tuple(images), None if mask is None else await _part(mask, "mask"), surplus


async def _part(part: Any, field: str) -> Any:
    """A file of the form as a picture; a text is a reference."""
    if isinstance(part, UploadFile):
        return media.as_picture(await part.read(), field)
    return str(part)


def _words(words: Mapping[str, str]) -> Body:
    """The fields of a form: all are text, and numbers are read as such."""
    known = {field.encode_name for field in msgspec.structs.fields(Body)}
    told = {name: value for name, value in words.items() if name in known}
    try:
        return msgspec.convert(told, Body, strict=False)
    except msgspec.ValidationError as error:
        raise wrong_field(error) from None


def _digest(asked: Asked, request: ImageRequest, body: Body) -> bytes:
    """What an Idempotency-Key stands for; pictures may be large, and most requests bring no key."""
    if "idempotency-key" not in asked.request.headers:
        return b""
    pictures = [*request.images, request.mask]
    seen = [sha256(one.data).hexdigest() if isinstance(one, Picture) else one for one in pictures]
    return media.digest(replace(request, images=(), mask=None), seen, body.model, body.response_format)
