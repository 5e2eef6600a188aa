"""Speech: OpenAI's route and Mira's own short one; bare sound, events, or JSON with the sound in it."""

import base64
import logging
from functools import partial
from importlib.util import find_spec
from typing import Any

import msgspec
from msgspec.structs import replace
from starlette.responses import Response

from mira.api import media
from mira.api.bodies import decode, read_into
from mira.api.services import Asked, Services
from mira.calls.media_wish import Answer, Told, Wish
from mira.codecs.chat.usage import cost_literal
from mira.codecs.media.shape import Made
from mira.codecs.media.speech import (
    CONTENT_TYPES,
    ShortSpeechBody,
    Sound,
    SpeechBody,
    SpeechRequest,
    as_wav,
    bound,
    brought,
    delta_event,
    done_event,
    estimate,
)
from mira.core.caller import Face
from mira.nodes.node import Node

MAX_BODY_BYTES = 2**18
MAX_SOUND_BYTES = 2**27
PROTOCOL = "speech"
EVENT_STREAM = "text/event-stream; charset=utf-8"
log = logging.getLogger("mira.media")


async def speech(services: Services, asked: Asked) -> Response:
    """Text to sound as OpenAI has it."""

    async def read() -> Wish:
        raw = await read_into(asked, MAX_BODY_BYTES)
        body = decode(raw, SpeechBody)
        request = SpeechRequest(
            text=body.input,
            voice=body.voice,
            form=body.response_format or "mp3",
            speed=body.speed,
            instructions=body.instructions,
            events=body.stream_format == "sse",
            encodes=_encoder(services) is not None,
        )
        return _wish(services, asked, body.model, request, media.surplus(media.names_of(raw), SpeechBody))

    return await media.answer(services, asked, PROTOCOL, read)


async def short(services: Services, asked: Asked) -> Response:
    """Text to sound, with as little as a text."""

    async def read() -> Wish:
        body = decode(await read_into(asked, MAX_BODY_BYTES), ShortSpeechBody)
        request = SpeechRequest(
            text=body.text,
            voice=body.voice,
            form=body.format or "mp3",
            speed=body.speed,
            encodes=_encoder(services) is not None,
        )
        return _wish(services, asked, body.model, request)

    return await media.answer(services, asked, PROTOCOL, read)


def _wish(
    services: Services, asked: Asked, model: str | None, request: SpeechRequest, surplus: tuple[str, ...] = ()
) -> Wish:
    as_json = _wants_json(asked) and not request.events
    return Wish(
        output="speech",
        request=request,
        model=model,
        bound=bound(request),
        brought=brought(request),
        digest=media.digest(request, model, as_json),
        surplus=surplus,
        stream=not as_json,
        stream_type=EVENT_STREAM if request.events else CONTENT_TYPES[request.form],
        estimate=partial(estimate, request),
        finish=partial(_finish, services, asked, request),
        render=partial(_json if as_json else _bare, asked, request),
    )


async def _finish(services: Services, asked: Asked, request: SpeechRequest, made: Made) -> Made:
    """Puts bare sound into the format that was asked for."""
    sound: Sound = made.content
    if sound.form == request.form:
        return made
    encoder = _encoder(services) if request.form != "wav" else None
    if encoder is not None:
        try:
            response: Any = await encoder.post(
                f"/audio/encode?format={request.form}",
                sound.data,
                asked.request_id,
                model="",
                passed=None,
                content_type=CONTENT_TYPES["pcm"],
            )
            data = await response.read(MAX_SOUND_BYTES)
            if response.status == 200:
                return replace(made, content=Sound(data, request.form))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, what is made is delivered
            log.warning("the sound of request %s could not be encoded: %s", asked.request_id, type(error).__name__)
    # It is made and must be paid for: better in another format than not at all.
    return replace(made, content=Sound(as_wav(sound.data), "wav"))


def _bare(asked: Asked, request: SpeechRequest, made: Made, told: Told) -> Answer:
    """The whole sound of a node that does not stream."""
    del asked
    sound: Sound = made.content
    if request.events:
        return Answer(EVENT_STREAM, delta_event(sound.data) + done_event(made.usage, told.cost_nanocredits))
    return Answer(CONTENT_TYPES[sound.form], sound.data)


def _json(asked: Asked, request: SpeechRequest, made: Made, told: Told) -> Answer:
    del request
    assert asked.caller is not None
    sound: Sound = made.content
    model = told.model
    if asked.caller.face is Face.INFERENCE:
        model = model.partition("/")[2] or model
    body = {
        "audio": base64.b64encode(sound.data).decode(),
        "format": sound.form,
        "mime_type": CONTENT_TYPES[sound.form],
        "model": model,
        "cost": cost_literal(told.cost_nanocredits),
    }
    return Answer("application/json", msgspec.json.encode(body))


def _wants_json(asked: Asked) -> bool:
    """Whether the client accepts JSON and names no sound: SDKs that take anything get the sound."""
    accept = asked.request.headers.get("accept", "").lower()
    types = {part.partition(";")[0].strip() for part in accept.split(",")}
    return "application/json" in types and not any(kind.startswith(("audio/", "application/octet")) for kind in types)


def _encoder(services: Services) -> Node | None:
    """The embedded node, whose process can put sound into formats; None where it is not there."""
    node = next((node for node in services.fleet.nodes if node.kind.name == "local-media"), None)
    return node if node is not None and find_spec("av") is not None else None
