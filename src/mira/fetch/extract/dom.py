"""A page as a tree, without what nobody sees, and cut into blocks of text that can be judged one by one.

A block is a run of text with nothing but inline markup in it. It remembers which text nodes it was made of, so that it
can be taken out of the tree again while everything around it stays as the page has it.
"""

import re
from collections.abc import Iterable
from typing import TypeAlias

from lxml import etree
from lxml import html as lxml_html

Element: TypeAlias = etree._Element  # noqa: SLF001 - lxml gives its class no other name

INLINE = frozenset(
    "a abbr acronym b bdi bdo big button cite code data del dfn em font i img input ins kbd label mark output picture q"
    " rp rt ruby s samp small source span strike strong sub sup time tt u var wbr".split()
)
#: What holds no text of the page.
_WITHOUT_TEXT = frozenset(
    "script style template iframe frame frameset object embed canvas audio video map math svg noscript head link meta"
    " select option datalist textarea dialog progress meter".split()
)
#: Tags that some pages never close: all that follows would go with them.
_LARGE_CHARS = 1500
_HIDDEN_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)"
    r"|font-size\s*:\s*0(?:\.0*)?\s*(?:px|pt|r?em|%|vw)?\s*(?:[;!]|$)"
    r"|text-indent\s*:\s*-\d{3,}|(?<![\w-])(?:left|top|right)\s*:\s*-\d{4,}"
    r"|clip(?:-path)?\s*:\s*(?:rect\s*\(\s*0(?:px)?[\s,]+0|inset\s*\(\s*(?:50|100)%)",
    re.IGNORECASE,
)
#: React puts what it streams into such an element, and then in its place.
_STREAMED = re.compile(r"S:[0-9a-f]{1,6}")
_OPENING = re.compile(r"collaps|accordion|expand|tab-?(?:pane|panel|content)", re.IGNORECASE)
#: A share of the page's text that nobody would write only to hide it, and the least there must be.
_BULK = 0.4
_BULK_CHARS = 600
_NO_SIZE = re.compile(r"(?<![\w-])(?:max-)?(?:width|height)\s*:\s*0(?:px)?\s*(?:[;!]|$)", re.IGNORECASE)
_CUT_OFF = re.compile(r"overflow(?:-[xy])?\s*:\s*(?:hidden|clip)", re.IGNORECASE)
#: Zero-width and direction characters, soft hyphens, tags: text that nobody sees, or that hides other text.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ff]"
)
WORD = re.compile(r"\w+")
#: What `_is_textless` need look at, and what `_is_hidden` need.
_TEXTLESS = (etree.Comment, etree.ProcessingInstruction, etree.Entity, *_WITHOUT_TEXT)
_STYLED = etree.XPath(".//*[@hidden or @style]")


class Node:
    """A block-level element, and what its blocks hold together (filled by `blocks_of`)."""

    __slots__ = ("depth", "element", "index", "parent")

    def __init__(self, element: Element, parent: "Node | None", index: int) -> None:
        self.element = element
        self.parent = parent
        self.index = index
        self.depth: int = parent.depth + 1 if parent else 0


class Block:
    """A run of text. `parts` name its text nodes; `links` counts its anchors, `link_chars` the text in them."""

    __slots__ = ("link_chars", "links", "node", "parts", "text", "words")

    def __init__(self, node: Node, parts: list[tuple[Element, str]], text: str, link_chars: int, links: int) -> None:
        self.node = node
        self.parts = parts
        self.text = text
        self.words = WORD.findall(text.lower())
        self.link_chars = link_chars
        self.links = links


def parse(html: str) -> Element | None:
    """The tree of a page, None for one without elements."""
    parser = etree.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    # Trafilatura needs the methods of this class; lxml.html's own parser asks Python for the class of every element.
    parser.set_element_class_lookup(etree.ElementDefaultClassLookup(element=lxml_html.HtmlElement))
    try:
        visible = html if html.isascii() else _INVISIBLE.sub("", html)
        return lxml_html.document_fromstring(visible.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return None


def body_of(document: Element) -> Element:
    """The body, or what there is instead of one."""
    body = document.find("body")
    return document if body is None else body


def drop_unseen(body: Element) -> None:
    """Takes out what holds no text of the page, and what the page's author hides.

    Hidden text stays where a reader gets to see it: in what opens at a click (tabs, accordions) and where most of the
    page is hidden, which a script will show.
    """
    for element in [element for element in body.iterdescendants(*_TEXTLESS) if _is_textless(element)]:
        remove(element)
    hidden = [element for element in _STYLED(body) if _is_hidden(element)]
    if not hidden:
        return
    opened = _opened_ids(body)
    bulk_chars = max(_BULK * _chars(body), _BULK_CHARS)
    for element in hidden:
        if not _opens(element, opened) and _chars(element) < bulk_chars:
            remove(element)


def _is_textless(element: Element) -> bool:
    tag = element.tag
    if tag not in ("svg", "noscript", "map", "object", "dialog") or not _is_large(element):
        return True
    element.tag = "div"
    return False


def _is_hidden(element: Element) -> bool:
    hidden = element.get("hidden")
    if hidden is not None and hidden != "until-found":
        return True
    style = element.get("style")
    return style is not None and is_hiding(style)


def _opened_ids(body: Element) -> set[str]:
    """The ids of what a control of the page opens."""
    ids: set[str] = set()
    for element in body.iter("a", "button", "summary", "div", "li", "span", "h2", "h3", "h4"):
        for name in ("aria-controls", "data-target", "data-bs-target"):
            ids.update((element.get(name) or "").replace("#", " ").split())
        href = element.get("href") or ""
        if href.startswith("#"):
            ids.add(href[1:])
    return ids


def _opens(element: Element, opened: set[str]) -> bool:
    name = element.get("id") or ""
    return (
        name in opened
        or _STREAMED.fullmatch(name) is not None
        or element.get("role") == "tabpanel"
        or (element.get("role") == "region" and element.get("aria-labelledby") is not None)
        or _OPENING.search(element.get("class") or "") is not None
    )


def is_hiding(style: str) -> bool:
    """Whether nobody sees an element of this style."""
    return bool(_HIDDEN_STYLE.search(style)) or bool(_NO_SIZE.search(style) and _CUT_OFF.search(style))


def _is_large(element: Element) -> bool:
    return element.find(".//p") is not None and _chars(element) > _LARGE_CHARS


def _chars(element: Element) -> int:
    return sum(len(text.strip()) for text in element.itertext())


def remove(element: Element, space: str = "") -> None:
    """Takes an element out; the text behind it stays."""
    parent = element.getparent()
    if parent is None:
        return
    tail = space + (element.tail or "")
    if tail:
        before = element.getprevious()
        if before is None:
            parent.text = (parent.text or "") + tail
        else:
            before.tail = (before.tail or "") + tail
    element.tail = None
    parent.remove(element)


def blocks_of(body: Element) -> tuple[list[Block], list[Node]]:
    """The blocks in order, and the block-level elements, parents before children; the body is the first."""
    walk = _Walk(body)
    for event, element in etree.iterwalk(body, events=("start", "end")):
        if event == "start":
            walk.open(element)
        else:
            walk.close(element)
    return walk.blocks, walk.nodes


class _Walk:
    """Goes through a tree and closes a block wherever a block-level element begins or ends."""

    def __init__(self, body: Element) -> None:
        self.blocks: list[Block] = []
        self.nodes: list[Node] = []
        self._body = body
        self._node: Node | None = None
        self._links = 0
        self._pending: list[tuple[Element, str, str, bool]] = []

    def open(self, element: Element) -> None:
        if element.tag in INLINE and element is not self._body:
            self._links += element.tag == "a"
        else:
            self._finish()
            if element.tag == "br":
                return
            self._node = Node(element, self._node, len(self.nodes))
            self.nodes.append(self._node)
        if element.text:
            self._pending.append((element, "text", element.text, self._links > 0))

    def close(self, element: Element) -> None:
        if element is self._body:
            self._finish()
            return
        if element.tag in INLINE:
            self._links -= element.tag == "a"
        elif element.tag != "br":
            self._finish()
            assert self._node is not None
            self._node = self._node.parent
        if element.tail:
            self._pending.append((element, "tail", element.tail, self._links > 0))

    def _finish(self) -> None:
        pending = self._pending
        if not pending:
            return
        text = " ".join("".join(part[2] for part in pending).split())
        if text and self._node is not None:
            linked = [part for part in pending if part[3]]
            self.blocks.append(
                Block(
                    self._node,
                    [(part[0], part[1]) for part in pending],
                    text,
                    sum(len(part[2].strip()) for part in linked),
                    sum(part[1] == "text" for part in linked),
                )
            )
        self._pending = []


def words_of(text: str) -> list[str]:
    """The words of a text, lower-case."""
    return WORD.findall(text.lower())


def texts(elements: Iterable[Element]) -> str:
    """The text of elements, with single spaces."""
    return " ".join(" ".join("".join(element.itertext()) for element in elements).split())
