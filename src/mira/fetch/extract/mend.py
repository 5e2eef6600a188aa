"""Makes a choice of blocks whole: what text stands around belongs to it, lists and tables are not torn, text keeps the
headings it stands under.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mira.fetch.extract.dom import Block, Element
from mira.fetch.extract.prune import is_layout, unit_of

_UNITS = frozenset(("ul", "ol", "dl", "table"))
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
#: How far up a block's heading may be.
_HEADING_LEVELS = 4
#: A list is taken whole if this much of it was chosen, or if it stands within chosen text, scores so much at least, and
#: is no list of links. Found on the devset.
_CHOSEN_SHARE = 0.5
_LEAST_SCORE = 0.2
_LINK_SHARE = 0.5
_NEAR = 2
#: What stands between chosen blocks needs a lower score than what stands alone. Found by cross-validation: code and
#: tables are hardly ever anything but content there; gaps are filled if they are short beside the whole.
_LEAST_INSIDE = {"pre": 0.1, "table": 0.1, "ul": 0.3, "ol": 0.3}
_STRICTLY_INSIDE = {"pre": 0.1, "table": 0.1}
_LEAST_GAP_SCORE = 0.3
_GAP_LINK_SHARE = 0.4
_GAP_SHARE = 0.1
_BEFORE_HEADING = 4


def mended(
    blocks: Sequence[Block], scores: NDArray[np.float64], keep: NDArray[np.bool_], *, strictly: bool = False
) -> NDArray[np.bool_]:
    """The choice with what belongs to it; `strictly` takes only code, tables, lists and headings along."""
    sizes = np.array([max(len(block.words), 1) for block in blocks], float)
    keep = _with_inside(blocks, scores, keep, _STRICTLY_INSIDE if strictly else _LEAST_INSIDE)
    if not strictly:
        keep = _with_gaps(blocks, scores, sizes, keep)
    for unit, members in _units(blocks).items():
        places = np.array(members)
        if keep[places].all() or (unit.tag == "table" and is_layout(unit)):
            continue
        weights = sizes[places] / sizes[places].sum()
        if weights @ keep[places] >= _CHOSEN_SHARE or (
            _is_within(keep, members)
            and weights @ scores[places] >= _LEAST_SCORE
            and _link_share(blocks, members) < _LINK_SHARE
        ):
            keep[places] = True
    for place in range(len(blocks) - 2, -1, -1):
        if not keep[place] and keep[place + 1] and _is_heading(blocks[place]):
            keep[place] = keep[max(0, place - _BEFORE_HEADING) : place].any()
    return keep


def _with_inside(
    blocks: Sequence[Block], scores: NDArray[np.float64], keep: NDArray[np.bool_], least_scores: dict[str, float]
) -> NDArray[np.bool_]:
    """The choice with code, tables and items of lists between the first and the last chosen block."""
    keep = keep.copy()
    chosen = np.flatnonzero(keep)
    known: dict[str, dict[Element, Element | None]] = {tag: {} for tag in least_scores}
    layout: dict[Element, bool] = {}
    for place in range(chosen[0], chosen[-1]) if len(chosen) else ():
        if keep[place]:
            continue
        block = blocks[place]
        for tag, least in least_scores.items():
            if scores[place] < least:
                continue
            unit = unit_of(block.node.element, frozenset((tag,)), known[tag])
            if unit is None:
                continue
            if tag == "table":
                if unit not in layout:
                    layout[unit] = is_layout(unit)
                keep[place] |= not layout[unit]
            else:
                keep[place] |= tag == "pre" or _link_share(blocks, [place]) < _LINK_SHARE
    return keep


def _with_gaps(
    blocks: Sequence[Block], scores: NDArray[np.float64], sizes: NDArray[np.float64], keep: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The choice with short runs of text between chosen blocks that are no lists of links."""
    filled = keep.copy()
    most = _GAP_SHARE * float(sizes[keep].sum())
    chosen = np.flatnonzero(keep)
    for before, behind in pairwise(chosen.tolist()):
        places = list(range(before + 1, behind))
        size = float(sizes[places].sum()) if places else 0.0
        if (
            places
            and size <= most
            and float(sizes[places] @ scores[places]) >= _LEAST_GAP_SCORE * size
            and _link_share(blocks, places) < _GAP_LINK_SHARE
        ):
            filled[places] = True
    return filled


def _units(blocks: Sequence[Block]) -> dict[Element, list[int]]:
    """The blocks of each list and table, those of inner ones left out."""
    units: dict[Element, list[int]] = {}
    known: dict[Element, Element | None] = {}
    for place, block in enumerate(blocks):
        unit = unit_of(block.node.element, _UNITS, known)
        if unit is not None:
            units.setdefault(unit, []).append(place)
    return units


def _is_within(keep: NDArray[np.bool_], places: list[int]) -> bool:
    first, last = places[0], places[-1]
    return bool(keep[max(0, first - _NEAR) : first].any() and keep[last + 1 : last + 1 + _NEAR].any())


def _link_share(blocks: Sequence[Block], places: list[int]) -> float:
    return sum(blocks[place].link_chars for place in places) / sum(len(blocks[place].text) for place in places)


def _is_heading(block: Block) -> bool:
    element: Element | None = block.node.element
    for _ in range(_HEADING_LEVELS):
        if element is None:
            return False
        if element.tag in _HEADINGS:
            return True
        element = element.getparent()
    return False
