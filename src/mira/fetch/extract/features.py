"""The features of a page's blocks: what the block scorer sees.

A block is told by its text, by the containers around it, by blocks that look like it, by its neighbours, by the votes
of other extractors and by the page as a whole. The order of the columns is part of the weights.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from mira.fetch.extract.names import NAME_GROUPS, Names
from mira.fetch.extract.signals import ANCESTORS, PAGE, RAW, TOLD, Floats, Ints, Signals, by_depth

LEVELS = 6
_WORDS, _CHARS, _LINK_SHARE, _LINKS = (RAW.index(name) for name in ("log_words", "log_chars", "link_share", "links"))
_STOP_END, _COMMON, _TITLE = (RAW.index(name) for name in ("stop_end", "common_share", "title_share"))
_PRICE, _DATE, _TRADE, _TALK = (RAW.index(name) for name in ("price", "date", "trade", "talk"))
_HEADINGS = [ANCESTORS.index(tag) for tag in ("h1", "h2", "h3")]
_H1 = ANCESTORS.index("h1")
#: Of `TOLD`, the body and the description.
_OF_CONTENT = 2
_REACH = (-3, -2, -1, 1, 2, 3)
_WINDOWS = (3, 8, 20)


class Lexicon(Protocol):
    """How much a name or a word speaks for content (above 0) or against it; 0 where nothing is known."""

    def name(self, token: str) -> float:
        """For a piece of a class, an id or a role."""

    def word(self, word: str) -> float:
        """For a word of the text."""


class _Sums(Struct, frozen=True):
    """Of each node, with all below it."""

    words: Floats
    chars: Floats
    linked: Floats
    blocks: Floats
    long: Floats
    voted: Floats
    second: Floats
    told: Floats
    prices: Floats
    dates: Floats
    headings: Floats


def features(page: Signals, lexicon: Lexicon) -> Floats:
    """A row of features for each block."""
    count = len(page.node_of)
    sums = _sums(page)
    above = _ancestors(page)
    names = _name_scores(page.names, lexicon)
    columns = [
        page.raw,
        _word_scores(page.words, lexicon),
        _places(page),
        _levels(page, sums, above, names),
        _inherited(page, names)[page.node_of],
        _near_groups(page)[page.node_of],
        page.nearness[page.node_of],
        _alike(page),
        _neighbours(page, names),
        np.repeat(page.page[None, :], count, axis=0),
        np.repeat(_page_votes(page)[None, :], count, axis=0),
    ]
    return np.concatenate(columns, axis=1).astype(np.float32)


def _word_counts(page: Signals) -> Floats:
    return np.maximum(np.expm1(page.raw[:, _WORDS]), 0.5).astype(np.float32)


def _sums(page: Signals) -> _Sums:
    raw = page.raw
    words = _word_counts(page)
    chars = np.expm1(raw[:, _CHARS])
    linked = chars * raw[:, _LINK_SHARE]
    heading = under_heading(page)
    own = np.stack(
        [
            words,
            chars,
            linked,
            np.ones_like(words),
            (words >= 12) & (raw[:, _LINK_SHARE] < 0.4),
            words * page.vote,
            words * page.second,
            words * page.told[:, :_OF_CONTENT].max(axis=1),
            raw[:, _PRICE],
            raw[:, _DATE],
            heading,
        ],
        axis=1,
    ).astype(np.float64)
    total = np.zeros((len(page.parents), own.shape[1]))
    np.add.at(total, page.node_of, own)
    for nodes in reversed(by_depth(page.depths)):
        np.add.at(total, page.parents[nodes], total[nodes])
    return _Sums(*total.T.astype(np.float32))


def under_heading(page: Signals) -> NDArray[np.bool_]:
    """Which blocks stand in a heading of the first three levels."""
    found: NDArray[np.bool_] = page.nearness[page.node_of][:, _HEADINGS].max(axis=1) > 0
    return found


def _ancestors(page: Signals) -> list[Ints]:
    """For each level the blocks' ancestors, -1 above the first node."""
    found = [page.node_of]
    for _ in range(LEVELS - 1):
        last = found[-1]
        found.append(np.where(last >= 0, page.parents[last], -1).astype(np.int32))
    return found


def _name_scores(names: Sequence[Names], lexicon: Lexicon) -> Floats:
    """Mean, least and greatest score of a node's names."""
    known: dict[tuple[str, ...], tuple[float, float, float]] = {(): (0.0, 0.0, 0.0)}
    rows = []
    for name in names:
        row = known.get(name.tokens)
        if row is None:
            scores = [score for token in name.tokens if (score := lexicon.name(token))] or [0.0]
            row = known[name.tokens] = (sum(scores) / len(scores), min(scores), max(scores))
        rows.append(row)
    return np.array(rows, np.float32)


def _word_scores(words: Sequence[list[str]], lexicon: Lexicon) -> Floats:
    """Mean, least and greatest score of a block's first words."""
    score = lexicon.word
    rows = []
    for block in words:
        scores = [score(word) for word in block[:40]] or [0.0]
        rows.append((sum(scores) / len(scores), min(scores), max(scores)))
    return np.array(rows, np.float32)


def _places(page: Signals) -> Floats:
    count = len(page.node_of)
    place = np.arange(count, dtype=np.float32)
    words = _word_counts(page)
    before = np.cumsum(words) - words
    h1 = page.nearness[page.node_of][:, _H1] > 0
    start = int(np.argmax(np.where(h1, page.raw[:, _TITLE] + 1, 0))) if h1.any() else 0
    voted = np.flatnonzero(page.vote)
    first, last = (int(voted[0]), int(voted[-1])) if len(voted) else (0, count - 1)
    return np.stack(
        [
            page.tags[page.node_of],
            page.depths[page.node_of],
            place / count,
            before / words.sum(),
            (place - start) / count,
            np.clip(place - start, -6, 6),
            np.clip(place - first, -12, 12),
            np.clip(last - place, -12, 12),
            (place - first) / count,
            (last - place) / count,
            page.vote,
            page.second,
            *page.told.T,
        ],
        axis=1,
    )


def _levels(page: Signals, sums: _Sums, above: list[Ints], names: Floats) -> Floats:
    """What the block's container is like, and the one around that, and so on."""
    total = sums.words[0]
    family = np.bincount(page.groups, sums.words, minlength=len(page.groups)).astype(np.float32)[page.groups]
    per_node = np.stack(
        [
            sums.words / total,
            sums.linked / np.maximum(sums.chars, 1),
            np.log1p(sums.long),
            np.log1p(sums.blocks),
            sums.words / np.maximum(sums.blocks, 1),
            sums.voted / np.maximum(sums.words, 0.5),
            sums.second / np.maximum(sums.words, 0.5),
            sums.told / np.maximum(sums.words, 0.5),
            np.log1p(sums.prices),
            np.log1p(sums.dates),
            sums.headings / np.maximum(sums.blocks, 1),
            np.log1p(page.siblings),
            page.sibling_places / np.maximum(page.siblings, 1),
            family / total,
            names[:, 0],
            page.tags,
        ],
        axis=1,
    )
    return np.concatenate([np.where(nodes[:, None] >= 0, per_node[nodes], -1) for nodes in above], axis=1)


def _inherited(page: Signals, names: Floats) -> Floats:
    """The sum, the least and the greatest score of names from the node up to the first, and the nearest one."""
    rows = np.stack([names[:, 0], names[:, 1], names[:, 2], names[:, 0]], axis=1)
    for nodes in by_depth(page.depths):
        up = rows[page.parents[nodes]]
        rows[nodes, 0] += up[:, 0]
        rows[nodes, 1] = np.minimum(rows[nodes, 1], up[:, 1])
        rows[nodes, 2] = np.maximum(rows[nodes, 2], up[:, 2])
        rows[nodes, 3] = np.where(rows[nodes, 3] == 0, up[:, 3], rows[nodes, 3])
    return rows


def _near_groups(page: Signals) -> Floats:
    """How near above each of `NAME_GROUPS` is: 1 for the node itself, 1/2 for its parent, and so on, 0 for none."""
    bits = np.array([name.groups for name in page.names], np.int64)
    own = (bits[:, None] >> np.arange(len(NAME_GROUPS)) & 1).astype(np.float32)
    for nodes in by_depth(page.depths):
        up = own[page.parents[nodes]]
        own[nodes] = np.maximum(own[nodes], up / (1 + up))
    return own


def _alike(page: Signals) -> Floats:
    """Blocks whose containers are named alike: how many, how long, how linked, how often voted for."""
    kind = page.kinds[page.node_of]
    words = _word_counts(page)
    size = int(kind.max()) + 1
    count = np.bincount(kind, minlength=size)
    total = np.bincount(kind, words, minlength=size)

    def mean(values: Floats) -> Floats:
        shares = np.bincount(kind, values * words, minlength=size) / np.maximum(total, 0.5)
        return shares.astype(np.float32)

    per_kind = np.stack(
        [
            np.log1p(count),
            total / words.sum(),
            np.log1p(total / np.maximum(count, 1)),
            mean(page.raw[:, _LINK_SHARE]),
            mean(page.vote),
            mean(page.second),
        ],
        axis=1,
    )
    return per_kind[kind].astype(np.float32)


def _neighbours(page: Signals, names: Floats) -> Floats:
    """The blocks before and behind, and means over wider windows."""
    raw = page.raw
    words = _word_counts(page)
    near = page.nearness[page.node_of]
    local = np.stack(
        [
            raw[:, _WORDS],
            raw[:, _LINK_SHARE],
            raw[:, _STOP_END],
            page.vote,
            page.second,
            near[:, _HEADINGS].max(axis=1),
            names[page.node_of, 0],
            page.node_of,
        ],
        axis=1,
    )
    count = len(words)
    columns = []
    for reach in _REACH:
        moved = np.full_like(local, -1)
        if reach > 0:
            moved[: max(count - reach, 0)] = local[reach:]
        else:
            moved[-reach:] = local[: max(count + reach, 0)]
        parents, others = page.parents[page.node_of], moved[:, -1].astype(np.int32)
        moved[:, -1] = np.where(others < 0, -1, (others == page.node_of) * 2 + (page.parents[others] == parents))
        columns.append(moved)
    weighted = np.stack([np.ones_like(words), raw[:, _LINK_SHARE], page.vote, page.second, raw[:, _COMMON]], axis=1)
    running = np.concatenate([np.zeros((1, weighted.shape[1])), np.cumsum(weighted * words[:, None], axis=0)])
    place = np.arange(count)
    for width in _WINDOWS:
        start, end = np.maximum(place - width, 0), np.minimum(place + width + 1, count)
        inside = (running[end] - running[start]).astype(np.float32)
        inside[:, 1:] /= np.maximum(inside[:, :1], 0.5)
        inside[:, 0] = np.log1p(inside[:, 0] / (end - start))
        columns.append(inside)
    return np.concatenate(columns, axis=1)


def _page_votes(page: Signals) -> Floats:
    """How much of the page the votes took, and how far they agree."""
    words = _word_counts(page)
    total = words.sum()
    both = (words * page.vote * page.second).sum()
    either = (words * np.maximum(page.vote, page.second)).sum()
    return np.array(
        [
            (words * page.vote).sum() / total,
            (words * page.second).sum() / total,
            both / max(float(either), 0.5),
            np.log1p((words * page.vote).sum()),
            np.log1p((words * page.second).sum()),
            *np.log1p(words @ page.told),
            (words * page.raw[:, _TRADE]).sum() / total,
            (words * page.raw[:, _TALK]).sum() / total,
        ],
        np.float32,
    )


FEATURES_OF_PAGE = len(PAGE) + 7 + len(TOLD)
