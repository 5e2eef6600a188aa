"""Which blocks of a page another extractor chose: its text, found again in the blocks."""

from collections.abc import Sequence
from itertools import chain

from mira.fetch.extract.dom import Element, words_of

_GRAM = 4
_SHARE = 0.6


def vote(document: Element, url: str, *, is_article: bool) -> str:
    """The text that trafilatura takes for the main content, without comments; empty where it finds none.

    Where the page is no article it is asked for all it may find at once: else it would go over the page up to three
    times, and mostly find no better text.
    """
    from trafilatura import extract  # noqa: PLC0415 - 40 MB, 0.5 s: only workers need it

    try:
        # It works on a copy of its own.
        return extract(document, url=url, include_comments=False, deduplicate=False, favor_recall=not is_article) or ""
    except Exception:  # noqa: BLE001 - what it cannot read has no vote
        return ""


def second_vote(html: str) -> str:
    """The text that resiliparse takes for the main content: quick, and of another mind."""
    from resiliparse.extract.html2text import extract_plain_text  # noqa: PLC0415 - only workers need it

    text: str = extract_plain_text(html, main_content=True, alt_texts=False, links=False, list_bullets=False)
    return text


def chosen(blocks: Sequence[list[str]], text: str) -> list[bool]:
    """For each block, told by its words, whether they stand in the text, in their order.

    Short blocks must be a line of it; where they are only a part of one, the blocks around them decide.
    """
    told = [words_of(line) for line in text.splitlines()]
    words = list(chain.from_iterable(told))
    run = f" {' '.join(words)} "
    lines = {" ".join(line) for line in told}
    known = set(words)
    grams = set(zip(*(words[start:] for start in range(_GRAM)), strict=False))
    found = [_stands_in(block, run, lines, known, grams) for block in blocks]
    return [_by_neighbours(found, place) if mark is None else mark for place, mark in enumerate(found)]


def _stands_in(
    words: list[str], run: str, lines: set[str], known: set[str], grams: set[tuple[str, ...]]
) -> bool | None:
    if not words:
        return None
    # Most blocks do not stand there: their words tell sooner than a search through the whole text.
    if len(words) < _GRAM:
        own = " ".join(words)
        if own in lines:
            return True
        return None if known.issuperset(words) and f" {own} " in run else False
    if tuple(words[:_GRAM]) in grams and f" {' '.join(words)} " in run:
        return True
    mine = list(zip(*(words[start:] for start in range(_GRAM)), strict=False))
    return sum(map(grams.__contains__, mine)) >= _SHARE * len(mine)


def _by_neighbours(found: list[bool | None], place: int) -> bool:
    around = [mark for mark in found[max(0, place - 3) : place + 4] if mark is not None]
    return bool(around) and sum(around) >= _SHARE * len(around)
