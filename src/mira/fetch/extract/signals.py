"""What a page's blocks and containers look like, as numbers: the raw material of the features."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from operator import attrgetter

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from mira.fetch.extract.dom import Block, Element, Node, words_of
from mira.fetch.extract.names import Names, names_of

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_TAGS = {
    tag: place
    for place, tags in enumerate(
        (
            "p",
            "li ul ol",
            "h1",
            "h2",
            "h3",
            "h4 h5 h6",
            "td th tr table tbody thead caption",
            "pre",
            "blockquote",
            "dt dd dl",
            "figcaption figure",
            "div",
            "section",
            "article",
            "main",
            "nav",
            "header",
            "footer",
            "aside",
            "form fieldset legend",
            "summary details",
            "address",
            "center",
            "body",
        )
    )
    for tag in tags.split()
}
OTHER_TAG = 24
#: Ancestors whose nearness is told.
ANCESTORS = (
    "nav header footer aside main article form table ul figure section pre blockquote details dl h1 h2 h3".split()
)
_ANCESTOR = {tag: place for place, tag in enumerate(ANCESTORS)} | {"ol": ANCESTORS.index("ul")}

# These look at lower-case text.
_BOILERPLATE = re.compile(
    r"cookie|subscrib|newsletter|privacy|terms|log ?in|sign ?(?:in|up)|copyright|©|all rights|read more|follow us"
    r"|skip to|menu|accept|learn more|click here|contact us|load more|show more|view all|see all"
)
_TRADE = re.compile(
    r"add to (?:cart|bag|basket|wish)|wishlist|in stock|out of stock|sold out|quantity|checkout|shipping|returns|sku"
    r"|free delivery|buy now|reviews?\b|ratings?\b|sale\b|compare"
)
_TALK = re.compile(
    # The first letters, told once, spare most of the way.
    r"(?=[acejlmpqrsuv])(?:\brepl(?:y|ies)\b|\bquote\b|\blikes?\b|upvote|\bposts?\b|joined|member|reputation|\bago\b|\bviews\b|report|edited"
    r"|solved|\breact|comment)"
)
_ABOUT = re.compile(
    r"related|recommended|you may|you might|more from|popular|trending|recent posts|share|tags?:|filed under|categor"
)
_DATE = re.compile(
    r"(?=[\dadfjmnos])(?:\b(?:19|20)\d\d\b|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? \d"
    r"|\d{1,2}[./-]\d{1,2}[./-]\d{2,4})"
)
_PRICE = re.compile(r"[$£€¥₹]\s?\d|\d\s?(?:€|kr\b|zł|usd|eur)|rs\.? ?\d")
_BYLINE = re.compile(r"^(?:by|written by|posted by|author|published|updated|von|par|por)\b")
_COMMON = frozenset(
    "the of and to a in is that for it as was with be by on not he his but are this have from or which one had"
    " at you all were we they there their been has if more will would about so what can who out up no when my"
    " into do said she some its time could them than then now only other your our these may also der die und"
    " das ist von mit den nicht ein eine de la le les et des en un une est que pour el los las por con para del"
    " se al no es su il di che per".split()
)
#: What a page's data may say of a block: that it is of the text itself, of a description, of a review.
TOLD = ("body", "description", "review")
_HEAD_CHARS = 500
_START_CHARS = 200


class Signals(Struct, frozen=True, kw_only=True):
    """A page in numbers. `raw` has a row per block, `page` one for all; nodes are block-level elements.

    `node_of` tells each block's node; `parents` each node's parent (-1 for the first); `vote` and `second` are 0 or 1
    per block, `told` has a row for each of `TOLD`; `names` belong to nodes, `words` to blocks.
    """

    raw: Floats
    words: list[list[str]]
    names: list[Names]
    node_of: Ints
    parents: Ints
    depths: Ints
    tags: Ints
    siblings: Ints
    sibling_places: Ints
    groups: Ints
    kinds: Ints
    nearness: Floats
    vote: Floats
    second: Floats
    told: Floats
    page: Floats


def signals(
    document: Element,
    blocks: Sequence[Block],
    nodes: Sequence[Node],
    *,
    vote: Sequence[bool],
    second: Sequence[bool],
    told: Floats,
) -> Signals:
    """The page in numbers; there is at least one block."""
    known: dict[str, Names] = {}
    names = [names_of(node.element, known) for node in nodes]
    parents = np.fromiter((node.parent.index if node.parent else -1 for node in nodes), np.int32, len(nodes))
    tags = np.fromiter((_TAGS.get(node.element.tag, OTHER_TAG) for node in nodes), np.int32, len(nodes))
    depths = np.fromiter((node.depth for node in nodes), np.int32, len(nodes))
    ancestors = np.fromiter((_ANCESTOR.get(node.element.tag, -1) for node in nodes), np.int32, len(nodes))
    siblings, places, groups = _families(nodes, names)
    raw = _block_rows(document, blocks)
    return Signals(
        raw=raw,
        words=[block.words for block in blocks],
        names=names,
        node_of=np.fromiter((block.node.index for block in blocks), np.int32, len(blocks)),
        parents=parents,
        depths=depths,
        tags=tags,
        siblings=siblings,
        sibling_places=places,
        groups=groups,
        kinds=_kinds(nodes, names),
        nearness=_nearness(parents, depths, ancestors),
        vote=np.array(vote, np.float32),
        second=np.array(second, np.float32),
        told=told,
        page=page_row(document, blocks, raw),
    )


def _families(nodes: Sequence[Node], names: Sequence[Names]) -> tuple[Ints, Ints, Ints]:
    """For each node: how many siblings look like it, which of them it is, and a number that they share."""
    keys: dict[tuple[int, str, str], int] = {}
    members: list[int] = []
    groups = np.zeros(len(nodes), np.int32)
    places = np.zeros(len(nodes), np.int32)
    for node in nodes:
        tokens = names[node.index].tokens
        key = (node.parent.index if node.parent else -1, node.element.tag, tokens[0] if tokens else "")
        group = keys.setdefault(key, len(keys))
        if group == len(members):
            members.append(0)
        groups[node.index] = group
        places[node.index] = members[group]
        members[group] += 1
    return np.array(members, np.int32)[groups], places, groups


def _kinds(nodes: Sequence[Node], names: Sequence[Names]) -> Ints:
    """A number that nodes share which look alike, with their parents and grandparents, wherever they stand."""
    known: dict[tuple[object, ...], int] = {}
    own: list[tuple[str, str]] = []
    kinds = np.zeros(len(nodes), np.int32)
    for node in nodes:
        tokens = names[node.index].tokens
        own.append((node.element.tag, tokens[0] if tokens else ""))
        key: list[object] = []
        above: Node | None = node
        while above is not None and len(key) < 3:
            key.append(own[above.index])
            above = above.parent
        kinds[node.index] = known.setdefault(tuple(key), len(known))
    return kinds


def _nearness(parents: Ints, depths: Ints, own: Ints) -> Floats:
    """A row per node: how far above each of `ANCESTORS` is, 0 for none, else 1 / distance (its own tag: 1)."""
    steps = np.zeros((len(parents), len(ANCESTORS)), np.float32)
    for level in (np.zeros(1, np.int32), *by_depth(depths)):
        above = steps[parents[level]]
        steps[level] = np.where(above > 0, above + 1, 0)
        named = level[own[level] >= 0]
        steps[named, own[named]] = 1
    return np.divide(1, steps, out=np.zeros_like(steps), where=steps > 0)


def by_depth(depths: Ints) -> list[Ints]:
    """The nodes of each depth, the first depth left out."""
    order = np.argsort(depths, kind="stable")
    bounds = np.searchsorted(depths[order], np.arange(1, int(depths.max()) + 2))
    return [order[start:end].astype(np.int32) for start, end in pairwise(bounds)]


RAW = (
    "log_words log_chars link_share links comma_share stop_end colon_end upper_first digit_share upper_share word_chars"
    " common_share boilerplate trade talk about date price byline title_share repeats repeat_place separators words_24"
    " at_sign question marks"
).split()


def _digits_and_capitals(text: str) -> tuple[int, int]:
    if not text.isascii():
        return sum(map(str.isdigit, text)), sum(map(str.isupper, text))
    data = text.encode()
    size = len(data)
    return size - len(data.translate(None, _DIGITS)), size - len(data.translate(None, _CAPITALS))


_DIGITS, _CAPITALS = string.digits.encode(), string.ascii_uppercase.encode()


def _block_rows(document: Element, blocks: Sequence[Block]) -> Floats:
    title = document.find(".//title")
    title_words = set(words_of(title.text or "")) if title is not None else set()
    total = Counter(block.text for block in blocks)
    seen: Counter[str] = Counter()
    rows = []
    for block in blocks:
        text, words = block.text, block.words
        count = len(words) or 1
        chars = len(text)
        head = text[:_HEAD_CHARS]
        small = head.lower()
        length = len(head)
        digits, capitals = _digits_and_capitals(head)
        row = (
            len(words),
            chars,
            min(block.link_chars / chars, 1),
            block.links,
            (head.count(",") + head.count(".") + head.count(";")) / length,
            text[-1] in '.!?…。”"',
            text[-1] == ":",
            text[0].isupper(),
            digits / length,
            capitals / length,
            chars / count,
            sum(map(_COMMON.__contains__, words[:80])) / min(count, 80),
            _BOILERPLATE.search(small) is not None,
            _TRADE.search(small) is not None,
            _TALK.search(small) is not None,
            _ABOUT.search(small) is not None,
            digits > 0 and _DATE.search(small) is not None,
            digits > 0 and _PRICE.search(small) is not None,
            _BYLINE.search(small) is not None,
            len(title_words.intersection(words)) / count if title_words else 0,
            total[text],
            seen[text],
            "|" in head or (not head.isascii() and any(mark in head for mark in "›»•·")),
            count >= 24,
            "@" in head,
            "?" in head,
            any(part[0].tag in ("b", "strong", "em", "i") for part in block.parts),
        )
        rows.append(row)
        seen[text] += 1
    found = np.array(rows, np.float32)
    found[:, :2] = np.log1p(found[:, :2])
    return found


PAGE = (
    "log_chars link_share log_blocks long_share og_article og_product og_site og_none ld_product ld_article"
    " ld_talk ld_list ld_faq main article h1s h2s lis tables pres ps forms prices dates trades talks images"
    " generator_shop generator_talk generator_docs path_depth path_home path_product path_list path_article"
    " path_talk path_docs path_digits"
).split()
_SHOP = re.compile(r"shopify|woocommerce|magento|bigcommerce|prestashop|add[-_ ]to[-_ ](?:cart|bag)", re.IGNORECASE)
_FORUM = re.compile(r"discourse|vbulletin|xenforo|phpbb|mybb|smf|invision|ipsfocus|flarum|nodebb|forum", re.IGNORECASE)
_DOCS = re.compile(
    r"docusaurus|sphinx|mkdocs|gitbook|readthedocs|jekyll|hugo|vitepress|doxygen|javadoc|readme", re.IGNORECASE
)
_PATHS = (
    re.compile(r"/(?:products?|p|item|dp|shop)/|-p-?\d+|\.html?$", re.IGNORECASE),
    re.compile(
        r"/(?:collections?|categor(?:y|ies)|c|tags?|archive|list|browse|search)(?:/|$)|[?&]page=", re.IGNORECASE
    ),
    re.compile(r"/(?:blog|news|articles?|posts?|stor(?:y|ies)|20\d\d)(?:/|-)", re.IGNORECASE),
    re.compile(
        r"/(?:forums?|threads?|topics?|t|questions?|community|discussions?|comments|viewtopic|showthread)",
        re.IGNORECASE,
    ),
    re.compile(
        r"/(?:docs?|documentation|guide|reference|api|manual|wiki|help|tutorials?)(?:/|$)|//docs?\.", re.IGNORECASE
    ),
)


def page_row(document: Element, blocks: Sequence[Block], raw: Floats) -> Floats:
    """What the page as a whole is like, in the order of `PAGE`; `raw` are the blocks' rows."""
    meta = meta_of(document)
    data = _data_of(document)
    counts = Counter(map(attrgetter("tag"), document.iter("*")))
    chars = sum(len(block.text) for block in blocks) or 1
    count = len(blocks) or 1
    kind = meta.get("og:type", "")
    generator = meta.get("generator", "") + " " + meta.get("og:site_name", "")
    address = meta.get("og:url") or canonical_of(document) or ""
    path = re.sub(r"^https?://[^/]+", "", address).split("?")[0]
    body = " ".join((element.get("class") or "") for element in document.iter("html", "body"))
    generator += " " + body[:500]
    return np.array(
        [
            np.log1p(chars),
            sum(block.link_chars for block in blocks) / chars,
            np.log1p(count),
            sum(len(block.words) >= 20 for block in blocks) / count,
            _OG_ARTICLE in kind,
            "product" in kind,
            "website" in kind,
            not kind,
            '"Product"' in data,
            any(mark in data for mark in _LD_ARTICLE),
            'DiscussionForumPosting"' in data or 'QAPage"' in data,
            'ItemList"' in data or 'CollectionPage"' in data,
            'FAQPage"' in data or 'Service"' in data,
            counts["main"] > 0,
            counts["article"],
            counts["h1"],
            *(np.log1p(counts[tag]) for tag in ("h2", "li", "table", "pre", "p", "form")),
            *(
                np.log1p(_blocks_that_say(pattern, raw[:, RAW.index(name)], blocks))
                for name, pattern in (("price", _PRICE), ("date", _DATE), ("trade", _TRADE), ("talk", _TALK))
            ),
            np.log1p(counts["img"]),
            _SHOP.search(generator) is not None,
            _FORUM.search(generator) is not None,
            _DOCS.search(generator) is not None,
            path.count("/") if address else -1,
            bool(address) and path in ("", "/"),
            *(pattern.search(address) is not None for pattern in _PATHS),
            sum(map(str.isdigit, path)),
        ],
        np.float32,
    )


_OG_ARTICLE = "article"
_LD_ARTICLE = ('Article"', 'BlogPosting"')


def says_article(document: Element) -> bool:
    """Whether the page says of itself that it is an article."""
    data = _data_of(document)
    return _OG_ARTICLE in meta_of(document).get("og:type", "") or any(mark in data for mark in _LD_ARTICLE)


def _data_of(document: Element) -> str:
    return " ".join(
        (script.text or "")[:20000] for script in document.iter("script") if "ld+json" in (script.get("type") or "")
    )


def _blocks_that_say(pattern: re.Pattern[str], said: Floats, blocks: Sequence[Block]) -> int:
    """In how many blocks the pattern stands at the beginning; `said` marks those whose head holds it."""
    return sum(
        len(text := blocks[place].text) <= _START_CHARS or pattern.search(text[:_START_CHARS].lower()) is not None
        for place in np.flatnonzero(said).tolist()
    )


def meta_of(document: Element) -> dict[str, str]:
    """The page's `meta` by lower-case name, the first of each."""
    found: dict[str, str] = {}
    for element in document.iter("meta"):
        name = (element.get("property") or element.get("name") or element.get("itemprop") or "").lower()
        content = element.get("content")
        if name and content:
            found.setdefault(name, content)
    return found


def canonical_of(document: Element) -> str | None:
    """The page's own address, as it tells it."""
    for element in document.iter("link"):
        if "canonical" in (element.get("rel") or "").lower():
            href: str | None = element.get("href")
            return href
    return None
