"""MiniLM-L6-v2: the meaning of a text as 384 numbers, by a forward pass in numpy.

Source of the architecture: BERT (Devlin et al., 2018) as the model's own configuration sets it: 6 layers, 12 heads of
32, mean over all tokens, length 1.
"""

import json
import mmap
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

DIMENSIONS = 384
LAYERS, HEADS, HEAD_SIZE = 6, 12, 32
MOST_TOKENS = 256
MOST_WORD_CHARACTERS = 100
EPSILON = 1e-12

Array = npt.NDArray[np.float32]


class WordPieces:
    """The model's tokenizer: words without case and accents, cut greedily into the longest pieces it knows."""

    def __init__(self, path: Path) -> None:
        self._pieces: dict[str, int] = json.loads(path.read_bytes())["model"]["vocab"]
        self._first, self._last, self._unknown = (self._pieces[name] for name in ("[CLS]", "[SEP]", "[UNK]"))

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, the model's own marks at both ends included; no limit is applied."""
        found = [self._first]
        for word in _words(text):
            found += self._cut(word)
        return [*found, self._last]

    def _cut(self, word: str) -> list[int]:
        if len(word) > MOST_WORD_CHARACTERS:
            return [self._unknown]
        found, start = list[int](), 0
        while start < len(word):
            mark = "##" if start else ""
            for end in range(len(word), start, -1):
                piece = self._pieces.get(mark + word[start:end])
                if piece is not None:
                    break
            else:
                return [self._unknown]
            found.append(piece)
            start = end
        return found


class MiniLm:
    """The model, its weights mapped from the file."""

    def __init__(self, folder: Path) -> None:
        self.pieces = WordPieces(folder / "tokenizer.json")
        self._weights = _mapped(folder / "model.safetensors")
        self._turn = threading.Lock()

    def embed(self, tokens: list[int]) -> Array:
        """The vector of a text, of length 1, from its tokens (`MOST_TOKENS` at most)."""
        with self._turn:
            return self._forward(tokens)

    def _forward(self, tokens: list[int]) -> Array:
        weights = self._weights
        state = weights["embeddings.word_embeddings.weight"][tokens]
        state = state + weights["embeddings.position_embeddings.weight"][: len(tokens)]
        state = state + weights["embeddings.token_type_embeddings.weight"][0]
        state = self._normed(state, "embeddings.LayerNorm")
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            seen = self._linear(self._attended(state, f"{name}.attention.self"), f"{name}.attention.output.dense")
            state = self._normed(state + seen, f"{name}.attention.output.LayerNorm")
            thought = self._linear(_gelu(self._linear(state, f"{name}.intermediate.dense")), f"{name}.output.dense")
            state = self._normed(state + thought, f"{name}.output.LayerNorm")
        mean = state.mean(axis=0)
        vector: Array = (mean / np.linalg.norm(mean)).astype(np.float32)
        return vector

    def _attended(self, state: Array, name: str) -> Array:
        query, key, value = (
            self._linear(state, f"{name}.{part}").reshape(-1, HEADS, HEAD_SIZE).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.float32(HEAD_SIZE**0.5)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        seen: Array = (scores @ value).transpose(1, 0, 2).reshape(-1, DIMENSIONS)
        return seen

    def _linear(self, state: Array, name: str) -> Array:
        result: Array = state @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return result

    def _normed(self, state: Array, name: str) -> Array:
        mean, variance = state.mean(axis=-1, keepdims=True), state.var(axis=-1, keepdims=True)
        scaled: Array = (state - mean) / np.sqrt(variance + np.float32(EPSILON))
        return scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def _gelu(state: Array) -> Array:
    """GELU with the error function by Abramowitz and Stegun 7.1.26, good to 1.5e-7."""
    scaled = np.abs(state) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * scaled)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.sign(state) * (1 - series * np.exp(-scaled * scaled))
    result: Array = (0.5 * state * (1 + erf)).astype(np.float32)
    return result


def _words(text: str) -> Iterator[str]:
    """The words of a text in small letters without accents; punctuation and ideographs stand alone."""
    word = ""
    for letter in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(letter)
        if category == "Mn" or (category[0] == "C" and letter not in "\t\n\r"):
            continue
        if letter.isspace():
            alone = ""
        elif _is_punctuation(letter, category) or _is_ideograph(letter):
            alone = letter
        else:
            word += letter
            continue
        if word:
            yield word
        if alone:
            yield alone
        word = ""
    if word:
        yield word


def _is_punctuation(letter: str, category: str) -> bool:
    return category[0] == "P" or (letter.isascii() and not letter.isalnum())


def _is_ideograph(letter: str) -> bool:
    return any(first <= ord(letter) <= last for first, last in _IDEOGRAPHS)


_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def _mapped(path: Path) -> dict[str, Array]:
    """The tensors of a safetensors file: eight bytes of length, a JSON head, raw numbers."""
    with path.open("rb") as file:
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    start = 8 + int.from_bytes(whole[:8], "little")
    head: dict[str, Any] = json.loads(whole[8:start])
    found: dict[str, Array] = {}
    for name, tensor in head.items():
        if name == "__metadata__" or tensor["dtype"] != "F32":
            continue
        begin, end = tensor["data_offsets"]
        numbers = np.frombuffer(whole, "<f4", (end - begin) // 4, start + begin)
        found[name] = numbers.reshape(tensor["shape"])
    return found
