"""The block scorer is what its weights say, and weighs little."""

from importlib.resources import files

import numpy as np

from mira.fetch.extract.choose import decide, select
from mira.fetch.extract.dom import blocks_of, body_of, parse
from mira.fetch.extract.features import features
from mira.fetch.extract.forest import load
from mira.fetch.extract.mend import mended
from mira.fetch.extract.prune import whole_units
from mira.fetch.extract.signals import TOLD, signals
from mira.fetch.extract.told import told_of
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


def numbers_of(document, blocks, nodes, body=0.0):
    told = np.zeros((len(blocks), len(TOLD)), np.float32)
    told[:, TOLD.index("body")] = body
    nobody = [False] * len(blocks)
    return signals(document, blocks, nodes, vote=nobody, second=nobody, told=told)


def test_the_weights_fit_the_features_and_the_package() -> None:
    document = parse("<html><body><main><h1>One</h1><p>Two, three and four.</p></main></body></html>")
    assert document is not None
    blocks, nodes = blocks_of(body_of(document))
    rows = features(numbers_of(document, blocks, nodes), load().lexicon)
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


def test_an_article_that_gives_its_text_as_data_is_taken_at_its_word() -> None:
    text = "The river rises in the hills above the town and reaches the sea after two days."
    html = "<html><head>{}</head><body><main><h2>One</h2><p>{}</p><p>The caption of a picture.</p></main></body></html>"
    scores = np.array([0.9, 0.9, 0.9])
    for head, chosen_blocks in (
        ('<meta property="og:type" content="article">', [True, True, False]),
        ("", [True, True, True]),
    ):
        document = parse(html.format(head, text * 2))
        assert document is not None
        blocks, nodes = blocks_of(body_of(document))
        page = numbers_of(document, blocks, nodes, body=np.array([0, 1, 0]))
        assert decide(page, scores).tolist() == chosen_blocks


def test_data_tell_of_the_body_of_descriptions_and_of_reviews() -> None:
    document = parse("<html><head><meta name='description' content='All about the rivers of the north.'></head></html>")
    assert document is not None
    data = [
        {"articleBody": "<p>Water flows downhill &amp; to the sea.</p>"},
        {"reviewBody": "I liked the rivers very much, and so did we all.", "text": 7},
    ]
    words = [
        block.split()
        for block in (
            "all about the rivers of the north",
            "water flows downhill to the sea",
            "i liked the rivers very much and so did we all",
            "nobody says this of any river",
        )
    ]
    assert told_of(document, data, words).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]]


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


def test_code_and_short_gaps_between_chosen_text_belong_to_it() -> None:
    blocks = blocks_in("<p>before and more of it</p><pre>x = 1</pre><p>gap</p>" + "<p>a long text behind it</p>" * 3)
    scores = np.array([0.9, 0.15, 0.35, 0.9, 0.9, 0.9])
    keep = scores > 0.5
    assert mended(blocks, scores, keep).tolist() == [True] * 6
    assert mended(blocks, scores, keep, strictly=True).tolist() == [True, True, False, True, True, True]
    assert mended(blocks, scores / 10, keep).tolist() == keep.tolist()
