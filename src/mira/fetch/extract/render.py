"""A pruned tree as markdown, HTML or text, with absolute links and nothing in it that runs."""

import re
from collections.abc import Iterator
from typing import Literal
from urllib.parse import urljoin, urlsplit

import html_to_markdown as converter
from lxml import etree

from mira.fetch.extract.dom import Element, remove
from mira.fetch.extract.shapes import HEADING_MARK, MAX_LINKS, Link

# Without these html-to-markdown drops headers, forms and hidden nodes on its own.
_AS_MARKDOWN = converter.ConversionOptions(
    extract_metadata=False,
    hidden_content=converter.HiddenContent.ALL,
    preprocessing=converter.PreprocessingOptions(enabled=False),
    autolinks=False,
    expand_abbreviations=False,
    compact_tables=True,
)
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_SCHEMES = frozenset(("http", "https", "mailto", "tel"))
#: What stays of elements where HTML is asked for.
_KEPT_ATTRIBUTES = frozenset("href src alt title colspan rowspan start lang dir datetime".split())
_LANGUAGE = re.compile(r"\b(?:language|lang|brush:?)[-\s]([\w+#-]+)|\bhighlight-(?:source-)?([\w+#]+)")
_MAX_URL_CHARS = 2000
_HERE = re.compile(r"#[^\s<>\"]+")
_BLOCKS = ("p", "div", "section", "article", "ul", "ol", "table", "pre", "blockquote", "dl", "figure", *_HEADINGS)

# html-to-markdown writes these signs as they are. They are put in as characters of no language and written at the end.
_LESS, _AND, _STAR, _UNDERSCORE, _TICK = (chr(code) for code in range(0xE0F0, 0xE0F5))
_ESCAPES = (
    (re.compile(r"<(?=[A-Za-z/!?])"), _LESS, "&lt;"),
    (re.compile(r"&(?=#?\w+;)"), _AND, "&amp;"),
    (re.compile(r"\*"), _STAR, "\\*"),
    (re.compile(r"(?<!\w)_|_(?!\w)"), _UNDERSCORE, "\\_"),
    (re.compile(r"`"), _TICK, "\\`"),
)
_SIGNS = re.compile("[<&*_`]")
#: Stands before the signs of a heading, so that these are not taken for text.
_HEADING = chr(0xE0F5)
_WRITTEN = str.maketrans({sign: written for _, sign, written in _ESCAPES} | {_HEADING: ""})
_LONE_MARK = re.compile(f"^({HEADING_MARK}[1-6])\n", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n{3,}")


def link_target(href: str, base: str) -> str | None:
    """The absolute address, None for what is not an address to go to (`javascript:`, `data:`)."""
    # As browsers read it: no line breaks or tabs, and spaces written out.
    text = re.sub(r"[\x00-\x1f]", "", href).strip().replace(" ", "%20")
    try:
        absolute = urljoin(base, text)
        scheme = urlsplit(absolute).scheme.lower()
    except ValueError:
        return None
    if scheme not in _SCHEMES or len(absolute) > _MAX_URL_CHARS:
        return None
    return absolute


def settle_links(body: Element, base: str, mode: Literal["inline", "text", "list"]) -> list[Link]:
    """Makes links absolute, or takes them off their text; returns the content's links, each once.

    A link to a place of the same page stays as it is.
    """
    found: dict[str, Link] = {}
    for anchor in list(body.iter("a")):
        href = anchor.get("href")
        here = _HERE.fullmatch(href.strip()) if href else None
        target = link_target(href, base) if href and href.strip() not in ("#", "") else None
        if target is None:
            _unlink(anchor)
            continue
        anchor.set("href", here[0] if here else target)
        text = " ".join("".join(anchor.itertext()).split())
        if text and len(found) < MAX_LINKS:
            found.setdefault(target, Link(text[:500], target))
        if mode != "inline":
            _unlink(anchor)
    return list(found.values()) if mode == "list" else []


def settle_images(body: Element, base: str, mode: Literal["none", "alt", "inline"]) -> None:
    """Takes pictures out, puts their words in their place, or makes their addresses absolute."""
    for picture in list(body.iter("img")):
        words = " ".join((picture.get("alt") or "").split())
        source = picture.get("src") or ""
        if source.startswith("data:") or not source:
            source = picture.get("data-src") or picture.get("data-lazy-src") or ""
        target = link_target(source, base) if source else None
        if mode == "inline" and target is not None and not target.startswith(("mailto:", "tel:")):
            picture.set("src", target)
        elif mode == "alt" and words:
            picture.tag = "span"
            picture.text = words
        else:
            remove(picture)


def to_markdown(body: Element) -> str:
    """The tree as markdown; it is changed on the way."""
    _unlink_around_headings(body)
    _headings_in_lists(body)
    for element in list(body.iter("b", "strong", "em", "i", "u", "small", "mark", "font", "label", "button", "code")):
        # Signs of emphasis cannot go around paragraphs.
        in_code = element.tag == "code" and element.getparent().tag == "pre"
        if not in_code and next(element.iterdescendants(*_BLOCKS), None) is not None:
            element.tag = "div"
    _plain_code(body)
    _plain_cells(body)
    for text_holder, where in _texts(body):
        text = getattr(text_holder, where)
        if _SIGNS.search(text):
            for pattern, sign, _ in _ESCAPES:
                text = pattern.sub(sign, text)
            setattr(text_holder, where, text)
    body.tag = "body"
    source = etree.tostring(body, encoding="unicode", method="html", with_tail=False)
    written = converter.convert(source, _AS_MARKDOWN).content or ""
    return _BLANK_LINES.sub("\n\n", written.translate(_WRITTEN)).strip() + "\n" if written.strip() else ""


def to_html(body: Element) -> str:
    """The tree as plain HTML: structure, links and pictures, no styles, no handlers."""
    for element in body.iter():
        for name in list(element.attrib):
            if name not in _KEPT_ATTRIBUTES:
                del element.attrib[name]
        if element is not body and element.tag in ("div", "span", "font", "center", "form", "button", "label"):
            element.tag = "span" if element.tag in ("span", "font", "button", "label") else "div"
    body.tag = "div"
    source: str = etree.tostring(body, encoding="unicode", method="html", with_tail=False)
    return source + "\n"


def to_text(body: Element, *, mark_headings: bool = False) -> str:
    """The tree's text, a line for each block; with a mark and its level before each heading where that is wished."""
    if mark_headings:
        for heading in body.iter(*_HEADINGS):
            if "".join(heading.itertext()).strip():
                heading.text = f"{HEADING_MARK}{heading.tag[1]}{heading.text or ''}"
    lines: list[str] = []
    pending: list[str] = []

    def finish() -> None:
        line = " ".join("".join(pending).split())
        if line:
            lines.append(line)
        pending.clear()

    for event, element in etree.iterwalk(body, events=("start", "end")):
        block = element.tag not in _RUNNING
        if block:
            finish()
        if event == "start":
            pending.append(element.text or "")
        elif element is not body:
            pending.append(element.tail or "")
    finish()
    # The words of a heading may stand in an element of their own.
    return _LONE_MARK.sub(r"\1", "\n".join(lines)) + "\n" if lines else ""


_RUNNING = frozenset(
    "a abbr b bdi bdo button cite code em font i kbd label mark q s small span strong sub sup time u var".split()
)


def _unlink(anchor: Element) -> None:
    anchor.tag = "span"
    anchor.attrib.clear()


def _unlink_around_headings(body: Element) -> None:
    """A link around a whole card would swallow its heading: the heading gets the link instead."""
    for anchor in list(body.iter("a")):
        headings = list(anchor.iterdescendants(*_HEADINGS))
        if not headings:
            continue
        for heading in headings:
            inner = etree.SubElement(heading, "a", {"href": anchor.get("href") or ""})
            inner.text, heading.text = heading.text, None
            for child in list(heading):
                if child is not inner:
                    inner.append(child)
        anchor.tag = "div"
        anchor.attrib.clear()


def _headings_in_lists(body: Element) -> None:
    """The converter writes them as plain text, though markdown can say them: their signs are put in by hand."""
    for heading in list(body.iter(*_HEADINGS)):
        if next(heading.iterancestors("li"), None) is not None and next(heading.iterancestors("td"), None) is None:
            heading.text = f"{_HEADING}{'#' * int(heading.tag[1])} {(heading.text or '').lstrip()}"
            heading.tag = "p"


def _plain_code(body: Element) -> None:
    """Code that a table numbers line by line is code; the language is written where the converter looks for it."""
    for table in list(body.iter("table")):
        codes = list(table.iterdescendants("pre"))
        if codes and sum(1 for _ in table.iterdescendants("tr")) == 1:
            code = max(codes, key=lambda pre: sum(map(len, pre.itertext())))
            code.tail = table.tail
            parent = table.getparent()
            if parent is not None:
                parent.replace(table, code)
    for code in body.iter("pre"):
        for button in list(code.iterdescendants("button")):
            remove(button)
        inner = next(code.iterdescendants("code"), None)
        around = code.getparent()
        for element in (inner, code, around):
            found = _LANGUAGE.search(element.get("class") or "") if element is not None else None
            if found:
                (code if inner is None else inner).set("class", f"language-{found[1] or found[2]}")
                break


def _plain_cells(body: Element) -> None:
    """Tables of one column or with headings in them are there for the layout; lists say nothing within cells."""
    for table in list(body.iter("table")):
        if next(table.iterdescendants("table", *_HEADINGS, "pre", "ul", "ol"), None) is None and _columns(table) > 1:
            continue
        if next(table.iterdescendants("table"), None) is None and _columns(table) > 1 and not _is_layout(table):
            continue
        for element in table.iterdescendants("tr", "td", "th", "tbody", "thead", "tfoot", "caption", "colgroup", "col"):
            if _owner(element) is table:
                element.tag = "div"
        table.tag = "div"


def _columns(table: Element) -> int:
    return max((sum(cell.tag in ("td", "th") for cell in row) for row in table.iterdescendants("tr")), default=0)


def _is_layout(table: Element) -> bool:
    return any(
        next(cell.iterdescendants(*_HEADINGS, "pre"), None) is not None
        or sum(1 for _ in cell.iterdescendants("p", "li")) > 6
        for cell in table.iterdescendants("td")
    )


def _owner(element: Element) -> Element | None:
    above = element.getparent()
    while above is not None and above.tag != "table":
        above = above.getparent()
    return above


def _texts(body: Element) -> Iterator[tuple[Element, Literal["text", "tail"]]]:
    """Text that markdown could misread, which that of code is not."""
    code = 0
    for event, element in etree.iterwalk(body, events=("start", "end")):
        is_code = element.tag in ("pre", "code", "kbd", "samp")
        if event == "start":
            code += is_code
            if element.text and not code:
                yield element, "text"
        else:
            code -= is_code
            if element.tail and not code and element is not body:
                yield element, "tail"
