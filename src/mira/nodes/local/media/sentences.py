"""Cuts a text into what is spoken at once: sentences, and clauses where a sentence is long. Pure."""

import re
import unicodedata
from collections.abc import Iterator

from mira.errors import Kind, MiraError

#: Longer pieces are cut at a clause, then at a word: the first sound comes sooner and the model speaks them better.
MOST_CHARACTERS = 240
_ABBREVIATIONS = frozenset(("mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "vs.", "etc.", "e.g.", "i.e.", "no."))
_END = re.compile(r"[.!?…]+[\"'”’)\]]*\s+|\n+")
_CLAUSE = re.compile(r"[,;:—–]\s+")
_CLOCK = re.compile(r"\b(\d{1,2}):(\d{2})\b")


def readable(text: str) -> str:
    """The text with plain letters in place of their variants (full width, mathematical).

    MiraError BAD_REQUEST where it has letters that an English voice cannot read, or nothing to read.
    """
    text = unicodedata.normalize("NFKC", text)
    spoken = False
    for letter in text:
        if not letter.isalnum():
            continue
        name = unicodedata.name(letter, "")
        if letter.isalpha() and not name.startswith(("LATIN", "MODIFIER")):
            words = f"{name.split(' ')[0].capitalize() or 'unknown'} letters"
            message = f"mira/speech reads English alone; the text has {words}. Name a model that reads this language"
            raise MiraError(Kind.BAD_REQUEST, f"input: {message}", param="input")
        spoken = True
    if not spoken:
        raise MiraError(Kind.BAD_REQUEST, "input: there is no word to speak in the text", param="input")
    return text


def pieces(text: str) -> Iterator[str]:
    """The pieces of a text in their order, none longer than `MOST_CHARACTERS`, each with a letter or digit."""
    # The front end reads the colon of a time as a pause and loses the minutes.
    text = _CLOCK.sub(r"\1 \2", text)
    for sentence in _sentences(text):
        for piece in _short(sentence):
            if any(letter.isalnum() for letter in piece):
                yield piece


def halves(piece: str) -> tuple[str, str]:
    """A piece cut in two near its middle, at a space where there is one."""
    middle = len(piece) // 2
    before, after = piece.rfind(" ", 0, middle), piece.find(" ", middle)
    places = [place for place in (before, after) if place > 0]
    cut = min(places, key=lambda place: abs(place - middle)) if places else middle
    return piece[:cut].strip(), piece[cut:].strip()


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(text):
        last = text[start : end.end()].split()[-1:]
        if last and last[0].lower() in _ABBREVIATIONS and "\n" not in end.group():
            continue
        if sentence := text[start : end.end()].strip():
            yield sentence
        start = end.end()
    if sentence := text[start:].strip():
        yield sentence


def _short(sentence: str) -> Iterator[str]:
    rest = sentence
    while len(rest) > MOST_CHARACTERS:
        clauses = [found.end() for found in _CLAUSE.finditer(rest, 0, MOST_CHARACTERS)]
        cut = clauses[-1] if clauses else rest.rfind(" ", 0, MOST_CHARACTERS)
        cut = cut if cut > 0 else MOST_CHARACTERS
        yield rest[:cut].strip()
        rest = rest[cut:].strip()
    if rest:
        yield rest
