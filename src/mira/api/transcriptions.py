"""Transcriptions: OpenAI's route, a form with a file of sound."""

from functools import partial
from hashlib import blake2b
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace
from starlette.datastructures import UploadFile
from starlette.responses import Response

from mira.api import media
from mira.api.bodies import wrong_field
from mira.api.forms import form_of, is_form
from mira.api.services import Asked, Services
from mira.calls.media_wish import Answer, Told, Wish
from mira.codecs.media.shape import Made
from mira.codecs.media.transcription import (
    CONTENT_TYPES,
    PROMPT_BYTES,
    Form,
    TranscriptionRequest,
    bound,
    brought,
    estimate,
    render_answer,
)
from mira.codecs.media.transcription_openai import TranscriptStream
from mira.core.media_types import HEAD_BYTES, binary_type
from mira.errors import Kind, MiraError
from mira.files.uploads import clean_name

PROTOCOL = "transcription"
SURPLUS_BYTES = 64 * 1024
#: What is taken, by content, with the endings that fit it, the usual one first: some nodes judge files by their names.
ENDINGS = {
    "audio/wav": "wav",
    "audio/mpeg": "mp3 mpga mpeg",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/ogg": "ogg oga opus",
    "audio/mp4": "m4a mp4",
    "video/mp4": "mp4 m4a",
    "video/quicktime": "mp4 mov",
    "video/webm": "webm",
}
#: Fields of OpenAI's that go on as they came, to nodes that know them.
MORE = ("include[]", "chunking_strategy", "known_speaker_names[]", "known_speaker_references[]")

GRAINS = "timestamp_granularities[]"


class TranscriptionBody(Struct, kw_only=True):
    """`POST /v1/audio/transcriptions`: the fields of the form, beside `file`."""

    model: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    language: Annotated[str, Meta(max_length=32)] | None = None
    prompt: Annotated[str, Meta(max_length=PROMPT_BYTES)] | None = None
    response_format: Form = "json"
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    timestamp_granularities: list[Literal["word", "segment"]] = []
    stream: bool = False


async def transcribe(services: Services, asked: Asked) -> Response:
    """Sound to text."""

    async def read() -> Wish:
        return _wish(*await _form(services, asked))

    return await media.answer(services, asked, PROTOCOL, read)


def _wish(body: TranscriptionBody, request: TranscriptionRequest, surplus: tuple[str, ...]) -> Wish:
    if request.stream and request.form not in ("json", "text"):
        message = "response_format: a stream brings its text as events; ask for json or text, or for no stream"
        raise MiraError(Kind.BAD_REQUEST, message, param="response_format")
    if request.grains and request.form != "verbose_json":
        message = "timestamp_granularities: only with response_format verbose_json"
        raise MiraError(Kind.BAD_REQUEST, message, param="timestamp_granularities")
    return Wish(
        output="transcription",
        request=request,
        model=body.model,
        bound=bound(request),
        brought=brought(request),
        digest=media.digest(replace(request, data=blake2b(request.data).digest()), body.model),
        surplus=surplus,
        stream=request.stream,
        estimate=partial(estimate, request),
        render=partial(_render, request),
    )


def _render(request: TranscriptionRequest, made: Made, told: Told) -> Answer:
    if request.stream:
        stream = TranscriptStream(request)
        events = stream.whole(made.content)
        return Answer("text/event-stream; charset=utf-8", events + stream.finish(told.cost_nanocredits))
    body = render_answer(request.form, made.content, told.cost_nanocredits)
    return Answer(CONTENT_TYPES[request.form], body)


async def _form(services: Services, asked: Asked) -> tuple[TranscriptionBody, TranscriptionRequest, tuple[str, ...]]:
    if not is_form(asked):
        message = "this route takes a form (multipart/form-data) with the parts `file` and `model`"
        raise MiraError(Kind.BAD_MEDIA_TYPE, message)
    limit = services.uploads.max_bytes
    async with form_of(asked, limit + SURPLUS_BYTES, part_bytes=SURPLUS_BYTES) as form:
        part = form.get("file")
        if not isinstance(part, UploadFile):
            raise MiraError(Kind.BAD_REQUEST, "file: the form needs a part of this name with the sound", param="file")
        data = await part.read(limit + 1)
        filename = part.filename
        words = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    if len(data) > limit:
        raise MiraError(Kind.TOO_LARGE, f"file: larger than {limit // 2**20} MiB", param="file")
    mime_type = binary_type(data[:HEAD_BYTES]) or ""
    if mime_type not in ENDINGS:
        message = "file: this is no sound in flac, mp3, mp4, m4a, ogg, wav, webm or aac"
        raise MiraError(Kind.BAD_REQUEST, message, param="file")
    body = _fields(words)
    request = TranscriptionRequest(
        data=data,
        filename=_named(filename, mime_type),
        mime_type=mime_type,
        form=body.response_format,
        language=body.language or None,
        prompt=body.prompt or None,
        temperature=body.temperature,
        grains=tuple(dict.fromkeys(body.timestamp_granularities)),
        stream=body.stream,
        more=tuple((name, value) for name, value in words if name in MORE),
    )
    return body, request, media.surplus((name for name, _ in words), TranscriptionBody, more=(*MORE, GRAINS))


def _fields(words: list[tuple[str, str]]) -> TranscriptionBody:
    """The fields of a form: all are text, and numbers are read as such."""
    known = {field.encode_name for field in msgspec.structs.fields(TranscriptionBody)}
    told: dict[str, Any] = {name: value for name, value in words if name in known and value != ""}
    grains = [value for name, value in words if name in (GRAINS, "timestamp_granularities")]
    told["timestamp_granularities"] = grains
    if "stream" in told:
        told["stream"] = told["stream"].lower()
    try:
        return msgspec.convert(told, TranscriptionBody, strict=False)
    except msgspec.ValidationError as error:
        raise wrong_field(error) from None


def _named(filename: str | None, mime_type: str) -> str:
    """A name whose ending fits the content: nodes judge files by it."""
    name = clean_name(filename, mime_type)
    endings = ENDINGS[mime_type].split()
    return name if name.rpartition(".")[2].lower() in endings else f"audio.{endings[0]}"
