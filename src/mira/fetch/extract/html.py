"""An HTML page as markdown, plain HTML or text: its main content, or what the selectors name, or all of it."""

import json
import re
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from lxml import etree

from mira.fetch.extract import css
from mira.fetch.extract.caps import cut_down
from mira.fetch.extract.choose import choose
from mira.fetch.extract.dom import WORD, Element, blocks_of, body_of, drop_unseen, parse
from mira.fetch.extract.forest import load
from mira.fetch.extract.metadata import linked_data, metadata_of, objects_in, title_of
from mira.fetch.extract.prune import drop_empty, prune
from mira.fetch.extract.render import link_target, settle_images, settle_links, to_html, to_markdown, to_text
from mira.fetch.extract.shapes import Caveat, Extracted, Link, Options
from mira.fetch.extract.signals import says_article
from mira.fetch.extract.told import told_of
from mira.fetch.extract.vote import chosen, second_vote, vote

#: Fewer words than these are hardly a page.
THIN_WORDS = 50
#: Pages of more blocks are judged without trafilatura, which would take too long.
_VOTED_BLOCKS = 6000
#: Pages of still more blocks are not judged at all: their tables of numbers would take too much memory.
_JUDGED_BLOCKS = 20_000
_SENTENCE_CHARS = 80
_DATA_TEXTS = 200
_APPLICATION = re.compile(r"id=[\"']?(?:root|app|__next|__nuxt|___gatsby|svelte)\b", re.IGNORECASE)


def convert_html(text: str, url: str, options: Options) -> Extracted:
    """The page in the wished format; BadSelectorError for a selector that cannot be read."""
    css.check([*options.include_selectors, *options.exclude_selectors])
    html = cut_down(text)
    document = parse(html)
    if document is None:
        return Extracted(content="", format=options.format, warnings=["thin_content"])
    data = list(linked_data(document))
    title, metadata = title_of(document), metadata_of(document, url, data)
    body = _selected(document, options)
    main = options.main_content and not options.include_selectors
    if main:
        _keep_main_content(document, body, html, url, data)
    warnings: list[Caveat] = []
    if (words := _words(body)) < THIN_WORDS:
        warnings.append("thin_content")
        if main and (fuller := _fuller(html, options, words)) is not None:
            body = fuller
        if len(text) > 10 * len(html) or ("<script" in text and _APPLICATION.search(html)):
            warnings.append("scripts_needed")
    content, links = _rendered(body, url, options)
    if main and not content.strip():
        content = _told_by_data(html)
    return Extracted(
        content=content, format=options.format, title=title, metadata=metadata, links=links, warnings=warnings
    )


def _selected(document: Element, options: Options) -> Element:
    body = body_of(document)
    drop_unseen(body)
    if options.include_selectors:
        css.keep_only(body, options.include_selectors)
    if options.exclude_selectors:
        css.drop(body, options.exclude_selectors)
    return body


def _keep_main_content(document: Element, body: Element, html: str, url: str, data: Sequence[dict[str, Any]]) -> None:
    blocks, nodes = blocks_of(body)
    if not blocks:
        return
    words = [block.words for block in blocks]
    second = second_vote(html)
    voted = len(blocks) <= _VOTED_BLOCKS
    first = vote(document, url, is_article=says_article(document)) if voted else second
    if len(blocks) > _JUDGED_BLOCKS:
        prune(body, blocks, np.array(chosen(words, second)))
        return
    keep = choose(
        load(),
        document,
        blocks,
        nodes,
        vote=chosen(words, first),
        second=chosen(words, second),
        told=told_of(document, data, words),
    )
    prune(body, blocks, keep)


def _fuller(html: str, options: Options, words: int) -> Element | None:
    """The whole page in place of a poor choice, if the page is small or nothing was chosen of it."""
    document = parse(html)
    if document is None:
        return None
    body = _selected(document, options)
    there = _words(body)
    return body if words < THIN_WORDS / 5 or there < 3 * THIN_WORDS else None


def _words(body: Element) -> int:
    """How many words there are, as far as anybody asks."""
    return sum(1 for _ in islice(WORD.finditer(" ".join(body.itertext())), 3 * THIN_WORDS))


def _rendered(body: Element, url: str, options: Options) -> tuple[str, list[Link]]:
    base = next((base.get("href") for base in body.getroottree().iter("base") if base.get("href")), None)
    settle_images(body, url, options.images)
    drop_empty(body)
    links = settle_links(body, _joined(url, base), options.links)
    match options.format:
        case "html":
            return to_html(body), links
        case "text":
            return to_text(body, mark_headings=options.mark_headings), links
        case _:
            return to_markdown(body), links


def _joined(url: str, base: str | None) -> str:
    return (link_target(base, url) if base else None) or url


def _told_by_data(html: str) -> str:
    """What a page without text says in its data: JSON-LD, the state of Next.js."""
    document = parse(html)
    if document is None:
        return ""
    texts: dict[str, None] = {}
    for entry in linked_data(document):
        for name in ("headline", "name", "articleBody", "description", "text"):
            if isinstance(value := entry.get(name), str) and value.strip():
                texts[" ".join(value.split())] = None
    for script in document.iter("script"):
        if script.get("id") == "__NEXT_DATA__":
            for value in _sentences(script.text or ""):
                texts[value] = None
    return "\n\n".join(list(texts)[:_DATA_TEXTS])


def _sentences(data: str) -> list[str]:
    try:
        state: Any = json.loads(data)
    except (ValueError, RecursionError):
        return []
    found = []
    for entry in objects_in(state):
        for value in entry.values():
            if isinstance(value, str) and len(value) >= _SENTENCE_CHARS and " " in value:
                plain = value if "<" not in value else " ".join(etree.HTML(f"<p>{value}</p>").itertext())
                found.append(" ".join(plain.split()))
    return found
