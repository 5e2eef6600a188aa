"""The child's HTTP side: OpenAI's routes for speech, transcription and embeddings, on loopback and under a key."""

import asyncio
import base64
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from mira.codecs.chat.errors import render_error
from mira.core.media_types import HEAD_BYTES
from mira.errors import Kind, MiraError
from mira.nodes.local.media.models import Models, Watch
from mira.nodes.local.media.sentences import readable
from mira.nodes.local.media.voices import DEFAULT_VOICE, own_voice
from mira.nodes.local.packs import KOKORO, MINILM, WHISPER, Pack

SPEECH_RATE_HZ = 24_000
FORMATS = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
MOST_CHARACTERS = 4096
MOST_TEXTS = 2048
EVENT_STREAM = "text/event-stream; charset=utf-8"
ENCODED_AT_ONCE = SPEECH_RATE_HZ * 2

Format = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
Endpoint = Callable[[Request], Awaitable[Response]]
T = TypeVar("T")


class VoiceId(Struct):
    """A voice by the id of an object, OpenAI's other way to name one."""

    id: str


class SpeechRequest(Struct, kw_only=True):
    """`POST /v1/audio/speech`, as far as this model can do it."""

    model: str
    input: Annotated[str, Meta(max_length=MOST_CHARACTERS)]
    voice: str | VoiceId = DEFAULT_VOICE
    response_format: Format = "mp3"
    speed: Annotated[float, Meta(ge=0.25, le=4.0)] = 1.0
    stream_format: Literal["audio", "sse"] = "audio"


class EmbeddingsRequest(Struct, kw_only=True):
    """`POST /v1/embeddings`, as far as this model can do it."""

    model: str
    input: str | Annotated[list[str], Meta(min_length=1, max_length=MOST_TEXTS)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


class Service:
    """The routes. `last_s` is when the last answer ended, `running` how many are on their way."""

    def __init__(self, models: Models, key: str) -> None:
        self._models = models
        self._key = key
        self._watch = Watch()
        self._watch.start()
        self.running = 0
        self.last_s = time.monotonic()

    def app(self) -> Starlette:
        """The routes as an ASGI application."""
        routes = {
            "/v1/audio/speech": self.speech,
            "/v1/audio/transcriptions": self.transcribe,
            "/v1/audio/encode": self.encode,
            "/v1/embeddings": self.embed,
        }
        return Starlette(
            routes=[Route(path, self._guarded(endpoint), methods=["POST"]) for path, endpoint in routes.items()]
        )

    async def speech(self, request: Request) -> Response:
        """Text to sound. The first piece is spoken before the head goes out; the rest follows as it is made."""
        asked = _decoded(await request.body(), SpeechRequest)
        _check(asked.model, KOKORO)
        voice = own_voice(asked.voice if isinstance(asked.voice, str) else asked.voice.id)
        text = readable(asked.input)
        kokoro = await self._work(self._models.kokoro)
        spoken = kokoro.speak(text, voice, asked.speed)
        first = await self._work(lambda: next(spoken, None))
        encoder = await self._encoder(asked.response_format)

        async def sound() -> AsyncIterator[bytes]:
            samples = first
            while samples is not None:
                yield encoder.feed(samples)
                samples = await self._work(lambda: next(spoken, None))
            yield encoder.close()

        if asked.stream_format == "sse":
            return self._stream(_events(sound()), EVENT_STREAM)
        return self._stream(sound(), FORMATS[asked.response_format])

    async def encode(self, request: Request) -> Response:
        """Sound as signed 16-bit numbers at 24 kHz to one of the formats (`?format=`)."""
        import numpy as np  # noqa: PLC0415 - heavy

        form = request.query_params.get("format", "")
        if form not in FORMATS:
            raise MiraError(Kind.BAD_REQUEST, f"format: one of {', '.join(FORMATS)}", param="format")
        body = await request.body()
        samples = np.frombuffer(body, "<i2", len(body) // 2).astype(np.float32) / 32768
        encoder = await self._encoder(form)

        def encoded() -> bytes:
            parts = [encoder.feed(samples[at : at + ENCODED_AT_ONCE]) for at in range(0, len(samples), ENCODED_AT_ONCE)]
            return b"".join((*parts, encoder.close()))

        return Response(await self._work(encoded), media_type=FORMATS[form])

    async def transcribe(self, request: Request) -> Response:
        """Sound to text."""
        from mira.nodes.local.media import sound, transcription  # noqa: PLC0415 - heavy

        async with request.form(max_files=1, max_fields=20) as form:
            part = form.get("file")
            if not isinstance(part, UploadFile):
                raise MiraError(Kind.BAD_REQUEST, "file: the form needs a part with the sound", param="file")
            data = await part.read()
            fields = {name: str(value) for name, value in form.multi_items() if name != "file"}
            grains = {str(value) for name, value in form.multi_items() if name.startswith("timestamp_granularities")}
        _check(fields.get("model", ""), WHISPER)
        if not data[:HEAD_BYTES]:
            raise MiraError(Kind.BAD_REQUEST, "file: the file is empty", param="file")
        shape = _choice(fields, "response_format", transcription.FORMS, "json")
        wish = transcription.Wish(
            language=fields.get("language") or None,
            prompt=fields.get("prompt") or None,
            temperature=_number(fields, "temperature"),
            words="word" in grains and shape == "verbose_json",
        )
        samples = await self._work(lambda: sound.decode(data))
        seconds = transcription.seconds_of(samples)
        whisper = await self._work(self._models.whisper)
        language, segments = await self._work(lambda: whisper.listen(samples, wish))
        if fields.get("stream", "").lower() == "true":
            return self._stream(_transcript(self._each(segments), seconds), EVENT_STREAM)
        heard = []
        async for segment in self._each(segments):
            heard.append(segment)
            if await request.is_disconnected():
                break
        found = transcription.Heard(language, seconds, heard)
        segmented = "segment" in grains or not grains
        answer = (
            transcription.brief(found)
            if shape == "json"
            else transcription.verbose(found, words=wish.words, segments=segmented)
        )
        return Response(msgspec.json.encode(answer), media_type="application/json")

    async def embed(self, request: Request) -> Response:
        """Texts to vectors."""
        from mira.nodes.local.media.embedding import DIMENSIONS, MOST_TOKENS  # noqa: PLC0415 - heavy

        asked = _decoded(await request.body(), EmbeddingsRequest)
        _check(asked.model, MINILM)
        if asked.dimensions not in (None, DIMENSIONS):
            message = f"dimensions: mira/embed has {DIMENSIONS} and no other number"
            raise MiraError(Kind.BAD_REQUEST, message, param="dimensions")
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        minilm = await self._work(self._models.minilm)
        tokens = [await self._work(partial(minilm.pieces.tokens, text)) for text in texts]
        for index, found in enumerate(tokens):
            if not texts[index] or len(found) > MOST_TOKENS:
                what = f"has {len(found)} tokens, mira/embed reads {MOST_TOKENS}" if texts[index] else "is empty"
                raise MiraError(Kind.BAD_REQUEST, f"input[{index}]: the text {what}", param=f"input[{index}]")
        rows: list[dict[str, Any]] = []
        for index, found in enumerate(tokens):
            vector = await self._work(partial(minilm.embed, found))
            packed = base64.b64encode(vector.astype("<f4").tobytes()).decode()
            shown = packed if asked.encoding_format == "base64" else vector.tolist()
            rows.append({"object": "embedding", "index": index, "embedding": shown})
        count = sum(map(len, tokens))
        usage = {"prompt_tokens": count, "total_tokens": count}
        answer = {"object": "list", "data": rows, "model": asked.model, "usage": usage}
        return Response(msgspec.json.encode(answer), media_type="application/json")

    async def _encoder(self, form: str) -> Any:
        from mira.nodes.local.media.sound import Encoder  # noqa: PLC0415 - heavy

        return await self._work(lambda: Encoder(form, SPEECH_RATE_HZ))

    async def _each(self, segments: Iterator[Any]) -> AsyncIterator[Any]:
        while (segment := await self._work(lambda: next(segments, None))) is not None:
            yield segment

    async def _work(self, step: Callable[[], T]) -> T:
        """Takes a step in a thread, watched."""

        def watched() -> T:
            with self._watch.step():
                return step()

        return await asyncio.to_thread(watched)

    def _stream(self, pieces: AsyncIterator[bytes], media_type: str) -> Response:
        return StreamingResponse(self._counted(pieces), media_type=media_type)

    async def _counted(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self.running += 1
        try:
            async for piece in pieces:
                if piece:
                    yield piece
        finally:
            self._ended()

    def _ended(self) -> None:
        self.running -= 1
        self.last_s = time.monotonic()

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            told = request.headers.get("authorization", "")
            self.running += 1
            try:
                if not hmac.compare_digest(told.encode(), f"Bearer {self._key}".encode()):
                    raise MiraError(Kind.BAD_KEY, "this address is Mira's own")
                return await endpoint(request)
            except MiraError as error:
                return _refusal(error)
            except MemoryError:
                return _refusal(MiraError(Kind.TOO_LARGE, "there is not enough memory for this request"))
            finally:
                self._ended()

        return guarded


def _check(model: str, pack: Pack) -> None:
    if model != pack.model_id:
        message = f"model: this route is for {pack.model_id} here"
        raise MiraError(Kind.BAD_REQUEST, message, param="model")


def _refusal(error: MiraError) -> Response:
    return Response(render_error(error, ""), error.status, media_type="application/json")


async def _events(sound: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Sound as OpenAI's events."""
    async for piece in sound:
        if piece:
            yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()})
    yield _event({"type": "speech.audio.done"})


async def _transcript(segments: AsyncIterator[Any], seconds: float) -> AsyncIterator[bytes]:
    """Segments as OpenAI's events."""
    text = ""
    async for segment in segments:
        said = segment.text if text else segment.text.lstrip()
        text += said
        yield _event({"type": "transcript.text.delta", "delta": said})
    usage = {"type": "duration", "seconds": round(seconds, 3)}
    yield _event({"type": "transcript.text.done", "text": text.strip(), "usage": usage})


def _event(fields: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"


def _decoded(body: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$.")
        param = place.rstrip("`").partition("[")[0] or None
        raise MiraError(Kind.BAD_REQUEST, f"{param or 'body'}: {reason}", param=param) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MiraError(Kind.BAD_REQUEST, "the body is not JSON") from None


def _choice(fields: dict[str, str], name: str, known: Any, default: str) -> str:
    value = fields.get(name) or default
    if value not in known:
        raise MiraError(Kind.BAD_REQUEST, f"{name}: mira/transcribe gives {', '.join(known)}", param=name)
    return value


def _number(fields: dict[str, str], name: str) -> float | None:
    try:
        value = float(fields[name]) if fields.get(name) else None
    except ValueError:
        value = -1.0
    if value is not None and not 0 <= value <= 1:
        raise MiraError(Kind.BAD_REQUEST, f"{name}: must be a number from 0 to 1", param=name)
    return value
