"""Cuts a long text into pages by tokens: at paragraphs where that is near, else between words."""

import asyncio
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from msgspec import Struct

from mira.core.tokens import rough_tokens
from mira.errors import MiraError

#: characters that a piece is cut at: the grain in which pages can begin and end
_PIECE_CHARS = 240
#: a piece without any white space ends here
_LONGEST_PIECE_CHARS = 1000
#: A token never goes beyond these: before a space between two words, and after the end of a line.
_CUT = re.compile(r"(?<=\S) (?=\S)|(?<=\n)(?=\S)")


class Counter(Protocol):
    """Counts tokens."""

    async def count_each(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text; MiraError where they cannot be counted."""


class Page(Struct, frozen=True, kw_only=True):
    """A part of a text. `next_offset` is where the following part begins in tokens, None at the end."""

    content: str
    tokens: int
    total_tokens: int
    next_offset: int | None


async def cut(counter: Counter, text: str, *, max_tokens: int, offset: int) -> Page:
    """The part of a text that begins `offset` tokens in and has at most `max_tokens`, but always one piece.

    The parts that follow each other by `next_offset` are the whole text.
    """
    if not text:
        return Page(content="", tokens=0, total_tokens=0, next_offset=None)
    if offset == 0:
        (total,) = await _count(counter, [text])
        if total <= max_tokens:
            return Page(content=text, tokens=total, total_tokens=total, next_offset=None)
    # In a thread: the longest texts take a while.
    pieces = await asyncio.to_thread(split, text)
    ends = list(accumulate(await _count(counter, pieces)))
    starts = [0, *ends[:-1]]
    first = next((index for index, end in enumerate(ends) if end > offset), len(pieces))
    last = first
    while last < len(pieces) and (last == first or ends[last] - starts[first] <= max_tokens):
        last += 1
    if last < len(pieces):
        last = _at_paragraph(pieces, first, last)
    return Page(
        content="".join(pieces[first:last]),
        tokens=ends[last - 1] - starts[first] if last > first else 0,
        total_tokens=ends[-1],
        next_offset=ends[last - 1] if last < len(pieces) else None,
    )


def split(text: str) -> list[str]:
    """The pieces of a text in order, nothing left out."""
    pieces: list[str] = []
    start = 0
    while len(text) - start > _PIECE_CHARS:
        found = _CUT.search(text, start + _PIECE_CHARS, start + _LONGEST_PIECE_CHARS)
        end = found.start() if found else min(start + _LONGEST_PIECE_CHARS, len(text))
        # A paragraph that ends inside of the piece is a better place to cut.
        paragraph = text.rfind("\n\n", start + 1, start + _PIECE_CHARS)
        if paragraph > start and text[paragraph + 2 : paragraph + 3].strip():
            end = paragraph + 2
        pieces.append(text[start:end])
        start = end
    if start < len(text):
        pieces.append(text[start:])
    return pieces


def _at_paragraph(pieces: Sequence[str], first: int, last: int) -> int:
    """The last end of a paragraph in the second half of a page, else the page's own end."""
    for index in range(last, first + (last - first) // 2, -1):
        if pieces[index - 1].endswith("\n\n"):
            return index
    return last


async def _count(counter: Counter, texts: list[str]) -> list[int]:
    try:
        return await counter.count_each(texts)
    except MiraError:
        # The page is here: a guess of its size is better than to refuse it.
        return [rough_tokens(len(text)) for text in texts]
