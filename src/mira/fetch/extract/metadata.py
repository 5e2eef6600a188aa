"""What a page says of itself: title, author, date, address."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from mira.fetch.extract.dom import Element
from mira.fetch.extract.render import link_target
from mira.fetch.extract.shapes import Metadata
from mira.fetch.extract.signals import canonical_of, meta_of

_MAX_CHARS = 1000
_MAX_SCRIPT_CHARS = 500_000
_DEPTH = 6


def title_of(document: Element) -> str | None:
    """The page's title: what it gives to others, else its `title`, else its first heading."""
    given = meta_of(document).get("og:title")
    if given and given.strip():
        return _line(given)
    for path in (".//title", ".//h1"):
        found = document.find(path)
        if found is not None and (text := _line("".join(found.itertext()))):
            return text
    return None


def metadata_of(document: Element, url: str, data: Sequence[dict[str, Any]]) -> Metadata:
    """The rest, from `meta`, `html` and `data`, its JSON-LD; must be read before the tree is pruned."""
    meta = meta_of(document)

    def first(*names: str) -> str | None:
        return next((line for name in names if (line := _line(meta.get(name, "")))), None)

    canonical = canonical_of(document) or meta.get("og:url")
    language = document.get("lang") or document.get("{http://www.w3.org/XML/1998/namespace}lang")
    return Metadata(
        description=first("description", "og:description", "twitter:description"),
        author=_author(data) or first("author", "article:author", "dc.creator", "parsely-author", "sailthru.author"),
        published=_text(data, "datePublished")
        or first("article:published_time", "date", "dc.date", "datepublished", "parsely-pub-date", "pubdate")
        or _time(document),
        site_name=first("og:site_name", "application-name") or _publisher(data),
        canonical=link_target(canonical, url) if canonical else None,
        language=_line(language or "") or first("og:locale", "content-language"),
    )


def linked_data(document: Element) -> Iterator[dict[str, Any]]:
    """The objects of the page's JSON-LD, outer ones first."""
    for script in document.iter("script"):
        if "ld+json" not in (script.get("type") or "") or not script.text or len(script.text) > _MAX_SCRIPT_CHARS:
            continue
        try:
            found = json.loads(script.text, strict=False)
        except (ValueError, RecursionError):
            continue
        yield from objects_in(found)


def objects_in(value: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """The objects within a JSON value, down to a few levels."""
    if depth > _DEPTH:
        return
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from objects_in(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from objects_in(inner, depth + 1)


def _text(data: Sequence[dict[str, Any]], name: str) -> str | None:
    for entry in data:
        if isinstance(value := entry.get(name), str) and value.strip():
            return _line(value)
    return None


def _author(data: Sequence[dict[str, Any]]) -> str | None:
    for entry in data:
        authors = entry.get("author")
        names = []
        for author in authors if isinstance(authors, list) else [authors]:
            name = author.get("name") if isinstance(author, dict) else author
            if isinstance(name, str) and name.strip() and not name.startswith("http"):
                names.append(name.strip())
        if names:
            return _line(", ".join(dict.fromkeys(names)))
    return None


def _publisher(data: Sequence[dict[str, Any]]) -> str | None:
    for entry in data:
        publisher = entry.get("publisher")
        if isinstance(publisher, dict) and isinstance(name := publisher.get("name"), str) and name.strip():
            return _line(name)
    return None


def _time(document: Element) -> str | None:
    for element in document.iter("time"):
        if element.get("datetime"):
            return _line(element.get("datetime") or "")
    return None


def _line(text: str) -> str | None:
    return " ".join(text.split())[:_MAX_CHARS] or None
