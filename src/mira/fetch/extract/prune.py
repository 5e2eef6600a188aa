"""Takes the blocks that were not chosen out of the page's own tree, and what is empty without them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mira.fetch.extract.dom import Block, Element, remove

#: Empty ones of these still carry meaning.
_MEANT_EMPTY = frozenset(("img", "br", "td", "th", "tr"))
#: A table of which one cell holds more paragraphs than this is there for the layout.
_LAYOUT_PARAGRAPHS = 3
_WHOLE = frozenset(("table", "pre"))
_LAYOUT_CHARS = 600


def whole_units(blocks: Sequence[Block], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scores, those within one table or one piece of code evened out: these are taken whole or not at all."""
    units: dict[Element, list[int]] = {}
    known: dict[Element, Element | None] = {}
    for place, block in enumerate(blocks):
        unit = unit_of(block.node.element, _WHOLE, known)
        if unit is not None:
            units.setdefault(unit, []).append(place)
    even = scores.copy()
    for unit, places in units.items():
        if unit.tag == "table" and is_layout(unit):
            continue
        words = np.array([max(len(blocks[place].words), 1) for place in places], float)
        even[places] = float((words * scores[places]).sum() / words.sum())
    return even


def unit_of(element: Element, tags: frozenset[str], known: dict[Element, Element | None]) -> Element | None:
    """The nearest element of these tags, the element itself included; `known` remembers the ways that were gone."""
    way: list[Element] = []
    found: Element | None = None
    step: Element | None = element
    while step is not None:
        if step in known:
            found = known[step]
            break
        way.append(step)
        if step.tag in tags:
            found = step
            break
        step = step.getparent()
    for passed in way:
        known[passed] = found
    return found


def is_layout(table: Element) -> bool:
    """Whether the table is there to place text rather than to compare it."""
    if next(table.iterdescendants("table"), None) is not None:
        return True
    return any(
        sum(1 for _ in cell.iterdescendants("p", "h1", "h2", "h3", "h4")) > _LAYOUT_PARAGRAPHS
        and sum(map(len, cell.itertext())) > _LAYOUT_CHARS
        for cell in table.iterdescendants("td")
    )


def prune(body: Element, blocks: Sequence[Block], keep: NDArray[np.bool_]) -> None:
    """Leaves the kept blocks in the tree, with all elements around them."""
    for block, kept in zip(blocks, keep, strict=True):
        if kept:
            continue
        for element, where in block.parts:
            if where == "tail":
                element.tail = " "
            else:
                element.text = None
    drop_empty(body)


def drop_empty(body: Element) -> None:
    """Takes out elements without text, tables without any, and pictures that no text is left around."""
    code = {element for unit in body.iter("pre") for element in unit.iterdescendants()}
    for element in reversed(list(body.iterdescendants())):
        if element in code:
            continue
        if element.tag == "table":
            if not _has_text(element):
                remove(element)
        elif element.tag == "img":
            if not _near_text(element):
                remove(element)
        elif not len(element) and not (element.text and element.text.strip()) and element.tag not in _MEANT_EMPTY:
            remove(element)


def _has_text(element: Element) -> bool:
    return any(text.strip() for text in element.itertext())


def _near_text(picture: Element) -> bool:
    around: Element | None = picture
    for _ in range(3):
        around = around.getparent() if around is not None else None
        if around is None or around.tag in ("body", "main", "article"):
            return False
        if _has_text(around):
            return True
    return False
