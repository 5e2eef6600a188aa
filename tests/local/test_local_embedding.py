"""The embeddings model: its tokens and vectors against the reference's, and what it makes of meaning."""

import numpy as np
import pytest
from tokenizers import Tokenizer

from mira.nodes.local.media.embedding import DIMENSIONS, MiniLm
from mira.nodes.local.packs import MINILM

#: The first numbers of the vectors that sentence-transformers gives for the sentences of the model's own description.
REFERENCE = {
    "This is an example sentence": (0.0676569, 0.0634959, 0.0487131, 0.0793050, 0.0374480, 0.0026528),
    "Each sentence is converted": (0.0864386, 0.1027626, 0.0053946, 0.0020445, -0.0099634),
}
TEXTS = (
    *REFERENCE,
    "Café naïve 日本語!",
    "Hello\u200bworld ﬁ Ⅷ ½ don't $5.00 <a@b.c> ẞ İ",
    "emoji 😀 ok",
    "tab\tnew\nline\x00x",
    "antidisestablishmentarianism " + "x" * 120,
    "ÅÄÖ åäö — “quotes” … 한국어 العربية",
    "",
)


@pytest.fixture(scope="module")
def minilm(media_dir):
    return MiniLm(MINILM.folder(media_dir))


def vectors(minilm, *texts):
    return np.array([minilm.embed(minilm.pieces.tokens(text)) for text in texts])


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_has_the_tokens_that_the_reference_tokenizer_gives(minilm, media_dir, text):
    reference = Tokenizer.from_file(str(MINILM.folder(media_dir) / "tokenizer.json"))
    reference.no_padding()
    reference.no_truncation()
    assert minilm.pieces.tokens(text) == reference.encode(text).ids


@pytest.mark.parametrize("text", REFERENCE)
def test_a_text_has_the_vector_that_the_reference_gives(minilm, text):
    (vector,) = vectors(minilm, text)
    assert vector.shape == (DIMENSIONS,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    expected = REFERENCE[text]
    assert vector[: len(expected)] == pytest.approx(expected, abs=2e-6)


def test_sentences_of_like_meaning_are_near_and_others_are_far(minilm):
    found = vectors(
        minilm,
        "A man is eating food.",
        "A man is eating a piece of bread.",
        "The girl is carrying a baby.",
        "How do I reset my password?",
        "I forgot my login credentials.",
    )
    alike = found @ found.T
    assert alike[0, 1] == pytest.approx(0.755, abs=0.01)
    assert alike[3, 4] > 0.5
    assert abs(alike[0, 2]) < 0.15
    assert abs(alike[0, 3]) < 0.15
