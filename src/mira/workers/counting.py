"""Token counts by toktok (63 MB once loaded: only ever imported in the side process)."""

import re

import toktok

#: toktok is linear, but its scratch memory grows with one text; longer texts are counted in pieces of this many
#: characters
PIECE_CHARS = 1 << 20

#: A space between two words always begins a token, so a text cut there has exactly the tokens of its pieces.
_CLEAN_CUT = re.compile(r"(?<=\S) (?=\S)")
_SEARCH_CHARS = 4096


def count(texts: list[str], encoding: str) -> list[int]:
    """Tokens of each text; special-token strings count as ordinary text. KeyError for an unknown encoding.

    Exact, except that a text of more than a million characters without a space in 4,096 may be off by one token for
    each further million.
    """
    pieces = [_pieces(text) for text in texts]
    counts = iter(toktok.batch_count([piece for parts in pieces for piece in parts], encoding, threads=1))
    return [sum(next(counts) for _ in parts) for parts in pieces]


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    start = 0
    while len(text) - start > PIECE_CHARS:
        end = start + PIECE_CHARS
        found = _CLEAN_CUT.search(text, end - _SEARCH_CHARS, end)
        cut = found.start() if found else end
        pieces.append(text[start:cut])
        start = cut
    pieces.append(text[start:])
    return pieces
