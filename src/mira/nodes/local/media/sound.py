"""Sound in and out of containers, through libav: encoders that give bytes as they go, and a decoder with bounds."""

import io
from collections.abc import Iterator
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from mira.core.media_types import HEAD_BYTES, binary_type
from mira.errors import Kind, MiraError

#: By response format: (container, encoder, bits per second, the container's options).
CONTAINERS: dict[str, tuple[str, str, int, dict[str, str]]] = {
    "mp3": ("mp3", "libmp3lame", 96_000, {"write_xing": "0", "id3v2_version": "0"}),
    "opus": ("ogg", "libopus", 48_000, {}),
    "aac": ("adts", "aac", 96_000, {}),
    "flac": ("flac", "flac", 0, {}),
}
#: Containers that are read, by what their bytes say they are. Every other is refused before libav sees a byte: some
#: formats that it knows are lists of other files and addresses.
READ = {
    "audio/wav": "wav",
    "audio/mp4": "mov",
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "audio/mpeg": "mp3",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "video/webm": "matroska",
}
#: Whisper's own rate.
READ_RATE_HZ = 16_000
MOST_SECONDS = 1800
MOST_CHANNELS = 8
#: At lower rates a few bytes would become hours.
LEAST_RATE_HZ = 1000
UNKNOWN_LENGTH = 0xFFFFFFFF

Samples = npt.NDArray[np.float32]
#: Its own types know neither which stream is of sound nor what a frame holds.
_av: Any = av


class _Sink:
    """What libav writes into: bytes that are taken away after each step. It cannot seek, as a connection cannot."""

    def __init__(self) -> None:
        self.bytes = bytearray()

    def write(self, data: bytes) -> int:
        self.bytes += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self.bytes)
        self.bytes.clear()
        return taken


class Encoder:
    """Mono sound at `rate_hz` as a file of one of OpenAI's formats, piece by piece."""

    def __init__(self, form: str, rate_hz: int) -> None:
        self._sink = _Sink()
        self._made = 0
        self._raw = form in ("wav", "pcm")
        if self._raw:
            if form == "wav":
                self._sink.write(wav_head(rate_hz))
            return
        container, codec, bit_rate, options = CONTAINERS[form]
        self._container = _av.open(self._sink, "w", format=container, options={**options, "flush_packets": "1"})
        self._stream: Any = self._container.add_stream(codec, rate=rate_hz)
        self._stream.layout = "mono"
        if bit_rate:
            self._stream.bit_rate = bit_rate
        self._resampler = _av.AudioResampler(format=self._stream.codec_context.format, layout="mono", rate=rate_hz)
        self._rate_hz = rate_hz

    def feed(self, samples: Samples) -> bytes:
        """The bytes that are certain after these samples."""
        if self._raw:
            return self._sink.take() + as_pcm(samples)
        frame = _av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate, frame.pts = self._rate_hz, self._made
        self._made += len(samples)
        self._encode(frame)
        return self._sink.take()

    def close(self) -> bytes:
        """The last bytes."""
        if not self._raw:
            self._encode(None)
            for packet in self._stream.encode(None):
                self._container.mux(packet)
            self._container.close()
        return self._sink.take()

    def _encode(self, frame: Any) -> None:
        for ready in self._resampler.resample(frame):
            for packet in self._stream.encode(ready):
                self._container.mux(packet)


def as_pcm(samples: Samples) -> bytes:
    """Samples as signed 16-bit numbers, the small byte first."""
    return (np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes()


def wav_head(rate_hz: int) -> bytes:
    """The head of a WAV file of mono 16-bit sound whose length is not known yet."""
    length = UNKNOWN_LENGTH.to_bytes(4, "little")
    form = b"".join(
        number.to_bytes(size, "little")
        for number, size in ((16, 4), (1, 2), (1, 2), (rate_hz, 4), (rate_hz * 2, 4), (2, 2), (16, 2))
    )
    return b"RIFF" + length + b"WAVEfmt " + form + b"data" + length


def decode(data: bytes) -> Samples:
    """The sound of a file as mono at 16 kHz.

    MiraError BAD_REQUEST where it is no sound that is known here, is broken, or is longer than `MOST_SECONDS`.
    """
    container = READ.get(binary_type(data[:HEAD_BYTES]) or "")
    if container is None:
        raise _refused("is none of flac, mp3, mp4, m4a, ogg, wav, webm or aac")
    found: list[Samples] = []
    total = 0
    try:
        for samples in _frames(data, container):
            total += len(samples)
            if total > MOST_SECONDS * READ_RATE_HZ:
                raise _refused(f"is longer than {MOST_SECONDS // 60} minutes; send it in parts")
            found.append(samples)
    except (av.FFmpegError, ValueError, OverflowError):
        # What came before a break is not told: a client should know that its file is broken.
        raise _refused("cannot be decoded; it may be cut or broken") from None
    if not total:
        raise _refused("holds no sound")
    return np.concatenate(found)


def _frames(data: bytes, container: str) -> Iterator[Samples]:
    with _av.open(io.BytesIO(data), format=container, metadata_errors="ignore") as source:
        stream = next(iter(source.streams.audio), None)
        if stream is None:
            raise _refused("holds no sound")
        if stream.codec_context.sample_rate < LEAST_RATE_HZ:
            raise _refused(f"has fewer than {LEAST_RATE_HZ} samples a second")
        if stream.codec_context.channels > MOST_CHANNELS:
            raise _refused(f"has more than {MOST_CHANNELS} channels")
        stream.codec_context.thread_count = 1
        resampler = _av.AudioResampler(format="flt", layout="mono", rate=READ_RATE_HZ)
        for frame in source.decode(stream):
            for ready in resampler.resample(frame):
                yield ready.to_ndarray().ravel()
        for ready in resampler.resample(None):
            yield ready.to_ndarray().ravel()


def _refused(what: str) -> MiraError:
    return MiraError(Kind.BAD_REQUEST, f"file: the file {what}", param="file")
