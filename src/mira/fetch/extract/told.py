"""What a page's data says of its text: the JSON-LD of an article, a product, a question and its answers."""

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mira.fetch.extract.dom import Element
from mira.fetch.extract.signals import TOLD, Floats, meta_of
from mira.fetch.extract.vote import chosen

#: By column of `TOLD`: the names of JSON-LD that hold such text.
_NAMES = (("articleBody", "text"), ("description",), ("reviewBody",))
#: Shorter ones are labels.
_LEAST_CHARS = 20
_MOST_CHARS = 200_000
_MARKUP = re.compile(r"<[^<>]{0,2000}>")


def told_of(document: Element, data: Iterable[dict[str, Any]], words: Sequence[list[str]]) -> Floats:
    """For each block, told by its words, a row of 0 or 1: whether it stands in each kind of `TOLD` of the page's data.

    `data` are the objects of its JSON-LD.
    """
    texts: list[dict[str, None]] = [{} for _ in TOLD]
    for entry in data:
        for found, names in zip(texts, _NAMES, strict=True):
            for name in names:
                if isinstance(value := entry.get(name), str):
                    found[value] = None
    meta = meta_of(document)
    for name in ("description", "og:description"):
        texts[1][meta.get(name, "")] = None
    columns = np.zeros((len(words), len(TOLD)), np.float32)
    for column, found in enumerate(texts):
        text = "\n".join(_plain(value) for value in found if len(value) >= _LEAST_CHARS)[:_MOST_CHARS]
        if text:
            columns[:, column] = chosen(words, text)
    return columns


def _plain(text: str) -> str:
    return html.unescape(_MARKUP.sub("\n", html.unescape(text)) if "<" in text or "&" in text else text)
