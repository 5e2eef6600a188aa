"""What an element is called: by its class, id, role and the like, which tell what it is for."""

import re
from functools import lru_cache

from msgspec import Struct

from mira.fetch.extract.dom import Element

#: Words in classes, ids, roles and item properties that tell what an element is for; the order is part of the weights.
NAME_GROUPS = (
    r"nav|menu",
    r"foot",
    r"head(?!ing|line)|masthead",
    r"sidebar|aside|rail\b|secondary",
    r"relat|recommend|popular|trending|similar|also|upsell|cross-?sell|recent",
    r"share|social|follow",
    r"comment|disqus|respond",
    r"cookie|consent|gdpr|notice",
    r"banner|promo|cta\b|newsletter|subscri|signup|optin",
    r"crumb",
    r"paginat|pager|page-?nav|prev\b|next\b",
    r"modal|popup|overlay|dialog|drawer|tooltip|offcanvas",
    r"\bads?\b|advert|sponsor",
    r"widget|toolbar|search|filter|facet|sort|login|account|cart",
    r"meta|tags?\b|byline|author|bio\b|date|avatar|user",
    r"hidden|sr-only|screen-?reader|visually|skip",
    r"content|body",
    r"article|post|entry|story|blog",
    r"main|primary",
    r"text|markdown|prose|rich|copy|rte\b",
    r"product|descr|detail|spec|price|sku",
    r"thread|message|reply|answer|question|topic|forum",
    r"item|card|tile|teaser",
    r"grid|list|result|collection|category|archive",
    r"hero|feature|faq|testimonial|review|rating",
    r"accordion|tab\b|tabs|panel|collaps",
    r"title|heading|headline",
    r"caption|credit|figure|image|media|video|gallery|carousel|slide",
)
_GROUPS = re.compile("|".join(f"(?P<g{place}>{words})" for place, words in enumerate(NAME_GROUPS)))
#: The same without groups, which finds the places several times as fast.
_ANY_GROUP = re.compile("|".join(NAME_GROUPS))
_NAMES = ("class", "id", "role", "itemprop", "data-testid", "itemtype")
_SPLIT = re.compile(r"[\s/:#.]+")
_PIECES = re.compile(r"[A-Z]?[a-z]+|[A-Z]{2,}(?![a-z])")
_NAMED_CHARS = 400
_MAX_TOKENS = 24
_LONGEST_NAME = 40


class Names(Struct, frozen=True):
    """What an element is called: which of `NAME_GROUPS` (bits), and the pieces of its names."""

    groups: int
    tokens: tuple[str, ...]


def names_of(element: Element, known: dict[str, Names]) -> Names:
    """What an element is called; `known` remembers names, which pages repeat often."""
    attributes = dict(element.items())
    if not attributes:
        return _NAMELESS
    text = " ".join(value[:_NAMED_CHARS] for name in _NAMES if (value := attributes.get(name)))
    if not text:
        return _NAMELESS
    found = known.get(text)
    if found is None:
        groups = 0
        for word in text.split():
            groups |= _groups_in(word)
        tokens = {token: None for whole in _SPLIT.split(text)[:_MAX_TOKENS] for token in _tokens_in(whole)}
        found = known[text] = Names(groups, tuple(list(tokens)[:_MAX_TOKENS]))
    return found


_NAMELESS = Names(0, ())


# Pages, and pages of one site all the more, use the same names again and again.
@lru_cache(maxsize=20_000)
def _groups_in(word: str) -> int:
    groups = 0
    small = word.lower()
    for found in _ANY_GROUP.finditer(small):
        match = _GROUPS.match(small, found.start())
        assert match is not None
        assert match.lastindex is not None
        groups |= 1 << match.lastindex - 1
    return groups


@lru_cache(maxsize=20_000)
def _tokens_in(whole: str) -> tuple[str, ...]:
    """A name in small letters without digits, and its pieces."""
    if not 2 <= len(whole) <= _LONGEST_NAME:
        return ()
    pieces = [piece.lower() for piece in _PIECES.findall(whole)]
    joined = "-".join(pieces)
    return tuple(dict.fromkeys([joined] * bool(joined) + [piece for piece in pieces if len(piece) > 2]))
