"""Finds the sections that fit a question best, by BM25: of markdown, or of plain text with marked headings."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from msgspec import Struct

from mira.fetch.extract.shapes import HEADING_MARK

_HEADING = re.compile(r"(#{1,6})[ \t]+(.+?)[ \t#]*$")
_MARKED = re.compile(f"{HEADING_MARK}([1-6])(.+)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_WORD = re.compile(r"\w+")
#: Scripts without spaces between words: each character counts as one.
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_K1 = 1.2
_B = 0.75
#: How often the words of the headings above a section count.
_HEADING_WEIGHT = 3
#: A longer section is divided at paragraphs, and a longer paragraph at lines, but for those that are one thing.
_SECTION_CHARS = 2400
_WHOLE = ("|", "```", "~~~")
_MOST_SECTIONS = 4000


class Section(Struct, frozen=True, kw_only=True):
    """A part of a text. `headings` lead to it, its own one last; `score` is how well it fits."""

    headings: tuple[str, ...]
    text: str
    score: float = 0.0


def best(markdown: str, query: str, most: int) -> list[Section]:
    """At most `most` sections that share a word with the query, in the order of the text."""
    found = sections(markdown)
    scores = _scores([_words(section) for section in found], terms(query))
    ranked = sorted(range(len(found)), key=lambda index: (-scores[index], index))[:most]
    chosen = sorted(index for index in ranked if scores[index] > 0)
    return [
        Section(headings=found[index].headings, text=found[index].text, score=round(scores[index], 3))
        for index in chosen
    ]


def sections(markdown: str) -> list[Section]:
    """The text by headings, which stand with what follows them; long sections in parts."""
    found: list[Section] = []
    path: list[tuple[int, str]] = []
    lines: list[str] = []
    fence = ""

    def close() -> None:
        text = "\n".join(lines).strip("\n")
        lines.clear()
        headings = tuple(title for _, title in path)
        found.extend(Section(headings=headings, text=part) for part in _parts(text))

    for line in markdown.split("\n"):
        shown = line
        marks = _FENCE.match(line)
        if fence:
            if marks and marks[1].startswith(fence):
                fence = ""
        elif marks:
            fence = marks[1]
        elif heading := _HEADING.match(line) or _MARKED.match(line):
            close()
            level = int(heading[1]) if heading[1].isdigit() else len(heading[1])
            if heading[1].isdigit():
                # The mark is for nobody else.
                shown = heading[2]
            path = [(depth, title) for depth, title in path if depth < level]
            path.append((level, heading[2]))
        lines.append(shown)
        if len(found) >= _MOST_SECTIONS:
            return found
    close()
    return found


def terms(text: str) -> list[str]:
    """The words of a text, for comparison."""
    words: list[str] = []
    for word in _WORD.findall(text.lower()):
        if _CJK.search(word):
            words += _CJK.findall(word)
        else:
            words.append(_stem(word))
    return words


def _stem(word: str) -> str:
    """A plural and its singular are one word; that is enough to rank sections."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _parts(text: str) -> list[str]:
    if not text.strip():
        return []
    parts: list[str] = []
    gathered = ""
    for paragraph in _paragraphs(text):
        if gathered and len(gathered) + len(paragraph) > _SECTION_CHARS:
            parts.append(gathered)
            gathered = paragraph
        else:
            gathered = f"{gathered}\n\n{paragraph}" if gathered else paragraph
    parts.append(gathered)
    return parts


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        if len(paragraph) <= _SECTION_CHARS or paragraph.lstrip().startswith(_WHOLE):
            yield paragraph
            continue
        gathered = ""
        for line in paragraph.split("\n"):
            if gathered and len(gathered) + len(line) >= _SECTION_CHARS:
                yield gathered
                gathered = line
            else:
                gathered = f"{gathered}\n{line}" if gathered else line
        yield gathered


def _words(section: Section) -> list[str]:
    return terms(section.text) + terms(" ".join(section.headings)) * _HEADING_WEIGHT


def _scores(documents: Sequence[Sequence[str]], query: Sequence[str]) -> list[float]:
    counts = [Counter(words) for words in documents]
    mean_length = sum(map(len, documents)) / max(len(documents), 1) or 1.0
    scores = [0.0] * len(documents)
    for term in set(query):
        having = sum(1 for count in counts if term in count)
        if not having:
            continue
        rarity = math.log(1 + (len(documents) - having + 0.5) / (having + 0.5))
        for index, count in enumerate(counts):
            times = count[term]
            if times:
                length = 1 - _B + _B * len(documents[index]) / mean_length
                scores[index] += rarity * times * (_K1 + 1) / (times + _K1 * length)
    return scores
