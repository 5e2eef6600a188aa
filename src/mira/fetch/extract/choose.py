"""Chooses the blocks of a page that are its content: by the learned scorer, and by the votes of other extractors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mira.fetch.extract.dom import Block, Element, Node
from mira.fetch.extract.features import features, under_heading
from mira.fetch.extract.forest import Model
from mira.fetch.extract.mend import mended
from mira.fetch.extract.prune import whole_units
from mira.fetch.extract.signals import PAGE, TOLD, Floats, Signals, signals

# All of these were found on the devset, with whole domains left out.
_CAUTION = 0.9
_LOWEST, _HIGHEST = 0.25, 0.5
_AGREED = 0.7
_VOTE, _STRICT = 0.4, 0.5
_TOLD = 0.75

_BODY = TOLD.index("body")
_ARTICLE_MARKS = [PAGE.index(name) for name in ("og_article", "ld_article")]


def choose(
    model: Model,
    document: Element,
    blocks: Sequence[Block],
    nodes: Sequence[Node],
    *,
    vote: Sequence[bool],
    second: Sequence[bool],
    told: Floats,
) -> NDArray[np.bool_]:
    """Which blocks are content; there is at least one block."""
    page = signals(document, blocks, nodes, vote=vote, second=second, told=told)
    scores = whole_units(blocks, model.forest.scores(features(page, model.lexicon)))
    return mended(blocks, scores, decide(page, scores), strictly=_is_article(page))


def decide(page: Signals, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which blocks of the page are content, by their scores.

    Where an article gives its text in its data, and that is most of what would be chosen, its text is chosen, with the
    headings that would be.
    """
    weights = np.maximum(np.expm1(page.raw[:, 0]), 0.5).astype(np.float64)
    is_article = _is_article(page)
    keep = select(scores, weights, page.vote > 0, is_article=is_article)
    body = page.told[:, _BODY] > 0
    if is_article and weights[keep & body].sum() >= _TOLD * weights[keep].sum():
        keep = body | (keep & under_heading(page))
    return keep


def _is_article(page: Signals) -> bool:
    return bool(page.page[_ARTICLE_MARKS].any())


def select(
    scores: NDArray[np.float64], weights: NDArray[np.float64], vote: NDArray[np.bool_], *, is_article: bool
) -> NDArray[np.bool_]:
    """The blocks that promise the best F1, if the scores were probabilities, within bounds.

    An article that says it is one, and of which both judges think much the same, is read strictly: its captions and
    headlines need the vote of both.
    """
    order = np.argsort(-scores, kind="stable")
    gain = np.cumsum((weights * scores)[order])
    size = np.cumsum(weights[order])
    expected = 2 * gain / (size + _CAUTION * float((weights * scores).sum()))
    threshold = float(scores[order][int(np.argmax(expected))])
    keep: NDArray[np.bool_] = scores >= min(max(threshold, _LOWEST), _HIGHEST)
    if is_article:
        both = float(weights[keep & vote].sum())
        either = float(weights[keep | vote].sum())
        if both >= _AGREED * either:
            keep = (1 - _VOTE) * scores + _VOTE * vote >= _STRICT
    if not keep.any():
        keep = scores >= 0.7 * float(scores.max())
    return keep
