"""Makes a choice of blocks whole: lists and tables are not torn, text keeps the headings it stands under."""

from collections.abc import Sequence

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
_BEFORE_HEADING = 4


def mended(blocks: Sequence[Block], scores: NDArray[np.float64], keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The choice with what belongs to it."""
    keep = keep.copy()
    sizes = np.array([max(len(block.words), 1) for block in blocks], float)
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
