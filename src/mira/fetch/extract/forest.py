"""Evaluates the block scorer: decision trees over features, in NumPy alone.

The weights are data (`data/blocks.npz`, made by `scripts/train_blocks`), trained on pages of WCXB: see
`docs/fetch-training.md` and `NOTICE`.
"""

from functools import lru_cache
from importlib.resources import files

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from mira.fetch.extract.signals import Floats

#: Blocks that are judged at once: small enough for the processor's cache.
_ROWS = 64


class Forest(Struct, frozen=True, kw_only=True):
    """Trees as arrays of nodes, one tree behind the other; a leaf is its own child.

    `roots` are the first nodes of the trees; `children` holds two places a node: where rows go whose value is above the
    threshold, and where the others go. `steps` is the greatest depth. The sum of the leaves' values is the logit.
    """

    roots: NDArray[np.intp]
    feature: NDArray[np.intp]
    threshold: NDArray[np.float32]
    children: NDArray[np.intp]
    value: NDArray[np.float32]
    steps: int

    def scores(self, rows: Floats) -> NDArray[np.float64]:
        """For each row how likely it is content, 0 to 1."""
        logits = [self._logits(rows[start : start + _ROWS]) for start in range(0, len(rows), _ROWS)]
        scores: NDArray[np.float64] = 1 / (1 + np.exp(-np.concatenate(logits).astype(np.float64)))
        return scores

    def _logits(self, rows: Floats) -> Floats:
        # `take` on flat arrays: three times as fast as indexing.
        # Indices are right by construction; "clip" spares the check.
        flat = rows.ravel()
        starts = np.repeat(np.arange(len(rows), dtype=np.intp) * rows.shape[1], len(self.roots))
        nodes = np.tile(self.roots, len(rows))
        for _ in range(self.steps):
            values = flat.take(self.feature.take(nodes, mode="clip") + starts, mode="clip")
            nodes = self.children.take(2 * nodes + (values <= self.threshold.take(nodes, mode="clip")), mode="clip")
        logits: Floats = self.value.take(nodes).reshape(len(rows), -1).sum(axis=1)
        return logits


class Words(Struct, frozen=True):
    """How much names and words speak for content, as they were learned."""

    names: dict[str, float]
    words: dict[str, float]

    def name(self, token: str) -> float:
        """For a piece of a class, an id or a role; 0 where nothing is known."""
        return self.names.get(token, 0.0)

    def word(self, word: str) -> float:
        """For a word of the text."""
        return self.words.get(word, 0.0)


class Model(Struct, frozen=True):
    """The block scorer: trees, and the words that their features need."""

    forest: Forest
    lexicon: Words


#: Steps of a word's score: they are kept as bytes.
LEXICON_STEP = 1 / 32


@lru_cache(maxsize=1)
def load() -> Model:
    """The scorer of this package, read once."""
    with files("mira.fetch.extract").joinpath("data/blocks.npz").open("rb") as file, np.load(file) as data:
        counts = data["nodes_per_tree"].astype(np.int32)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int32)
        base = np.repeat(starts, counts)
        forest = Forest(
            roots=starts.astype(np.intp),
            feature=data["feature"].astype(np.intp),
            threshold=data["threshold"].astype(np.float32),
            children=np.stack([data["right"] + base, data["left"] + base], axis=1).ravel().astype(np.intp),
            value=data["value"].astype(np.float32),
            steps=int(data["steps"]),
        )
        names = _scored(data["name_tokens"], data["name_scores"])
        words = _scored(data["word_tokens"], data["word_scores"])
    return Model(forest, Words(names, words))


def _scored(text: NDArray[np.uint8], scores: NDArray[np.int8]) -> dict[str, float]:
    tokens = text.tobytes().decode().split("\n")
    return dict(zip(tokens, (scores * LEXICON_STEP).tolist(), strict=True))
