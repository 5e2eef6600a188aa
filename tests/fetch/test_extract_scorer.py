"""The block scorer is what its weights say, and weighs little."""

from importlib.resources import files

import numpy as np

from mira.fetch.extract.choose import select
from mira.fetch.extract.dom import blocks_of, body_of, parse
from mira.fetch.extract.features import features
from mira.fetch.extract.forest import load
from mira.fetch.extract.mend import mended
from mira.fetch.extract.prune import whole_units
from mira.fetch.extract.signals import signals
from mira.fetch.extract.vote import chosen


def walked(forest, row) -> float:
    """The logit of one row, tree by tree and step by step."""
    total = 0.0
    for root in forest.roots:
        node = root
        while forest.children[2 * node] != node:
            node = forest.children[2 * node + int(row[forest.feature[node]] <= forest.threshold[node])]
        total += float(forest.value[node])
    return total


def test_all_trees_at_once_give_what_a_walk_through_each_gives() -> None:
    forest = load().forest
    rows = np.random.default_rng(7).normal(0.5, 2, (70, forest.feature.max() + 1)).astype(np.float32)
    expected = [1 / (1 + np.exp(-walked(forest, row))) for row in rows]
    assert np.allclose(forest.scores(rows), expected, atol=1e-5)
    assert len(set(np.round(expected, 3))) > 10


def test_the_weights_fit_the_features_and_the_package() -> None:
    document = parse("<html><body><main><h1>One</h1><p>Two, three and four.</p></main></body></html>")
    assert document is not None
    blocks, nodes = blocks_of(body_of(document))
    rows = features(signals(document, blocks, nodes, [True, True], [False, True]), load().lexicon)
    assert rows.shape[0] == 2
    assert load().forest.feature.max() < rows.shape[1]
    assert np.isfinite(rows).all()
    weights = files("mira.fetch.extract").joinpath("data/blocks.npz")
    assert len(weights.read_bytes()) < 400 * 1024


def test_the_choice_follows_the_scores_within_bounds() -> None:
    sizes = np.full(4, 30.0)
    nobody = np.zeros(4, bool)
    clear = np.array([0.9, 0.8, 0.1, 0.05])
    assert select(clear, sizes, nobody, is_article=False).tolist() == [True, True, False, False]
    poor = np.array([0.2, 0.1, 0.01, 0.01])
    assert select(poor, sizes, nobody, is_article=False).tolist() == [True, False, False, False]


def test_an_article_that_says_so_is_read_strictly() -> None:
    sizes = np.array([90.0, 90.0, 3.0])
    scores = np.array([0.95, 0.9, 0.7])
    vote = np.array([True, True, False])
    assert select(scores, sizes, vote, is_article=False).tolist() == [True, True, True]
    assert select(scores, sizes, vote, is_article=True).tolist() == [True, True, False]


def blocks_in(html: str):
    document = parse(f"<html><body>{html}</body></html>")
    assert document is not None
    return blocks_of(body_of(document))[0]


def test_a_table_is_taken_whole_or_not_at_all() -> None:
    blocks = blocks_in(
        "<p>before</p><table><tr><td>one</td><td>two</td></tr><tr><td>three</td><td>four</td></tr></table>"
    )
    even = whole_units(blocks, np.array([0.9, 1.0, 0.0, 1.0, 0.0]))
    assert even.tolist() == [0.9, 0.5, 0.5, 0.5, 0.5]


def test_text_keeps_its_heading_and_a_list_its_items() -> None:
    blocks = blocks_in(
        "<p>before</p><h2>Heading</h2><ul><li>one two</li><li>three four</li><li>five six</li></ul><p>after</p>"
    )
    keep = mended(blocks, np.full(6, 0.1), np.array([True, False, True, True, False, True]))
    assert keep.tolist() == [True] * 6
    torn = mended(blocks, np.full(6, 0.1), np.array([True, False, False, False, True, False]))
    assert torn.tolist() == [True, False, False, False, True, False]


def test_words_of_another_text_are_found_in_blocks_short_ones_by_their_neighbours() -> None:
    text = "The first line of it\nSecond line that is longer than the first one\nShort"
    blocks = [
        ["the", "first", "line", "of", "it"],
        ["something", "else", "altogether", "here"],
        ["short"],
        ["line"],
        [],
    ]
    assert chosen(blocks, text) == [True, False, True, True, False]
