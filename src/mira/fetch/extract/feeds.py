"""RSS and Atom as a list of their entries. Entities are never resolved: a declaration of them ends the reading."""

import re

from lxml import etree
from lxml import html as lxml_html

from mira.fetch.extract.render import link_target
from mira.fetch.extract.shapes import MAX_LINKS, Extracted, Link, Metadata, Options

MAX_ENTRIES = 500
_SUMMARY_CHARS = 1000
_DECLARES = re.compile(rb"<!(?:DOCTYPE[^>]*\[|ENTITY)", re.IGNORECASE)
_ROOTS = frozenset(("rss", "feed", "RDF"))


def convert_feed(data: bytes, url: str, options: Options) -> Extracted | None:
    """The feed's entries with link, date and summary; None for what is no feed."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True)
    if _DECLARES.search(data):
        return None
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None
    if root is None or _name(root) not in _ROOTS:
        return None
    channel = next((child for child in root if _name(child) == "channel"), root)
    entries = [element for element in root.iter() if _name(element) in ("item", "entry")][:MAX_ENTRIES]
    title = _child_text(channel, "title")
    links: dict[str, Link] = {}
    lines = [f"# {title}\n"] if title and options.format == "markdown" else [title] if title else []
    lines.extend(_entry(entry, url, options, links) for entry in entries)
    body = "\n".join(lines)
    content = f"<pre>{body.replace('&', '&amp;').replace('<', '&lt;')}</pre>\n" if options.format == "html" else body
    return Extracted(
        content=content,
        format=options.format,
        title=title,
        metadata=Metadata(description=_child_text(channel, "description", "subtitle")),
        links=list(links.values())[:MAX_LINKS] if options.links == "list" else [],
    )


def _entry(entry: etree._Element, url: str, options: Options, links: dict[str, Link]) -> str:
    title = _child_text(entry, "title") or "Untitled"
    target = link_target(_link(entry), url)
    if target:
        links.setdefault(target, Link(title, target))
    date = _child_text(entry, "pubDate", "published", "updated", "date")
    summary = _child_text(entry, "description", "summary", "encoded", "content")
    if options.format != "markdown":
        return "\n".join(part for part in (title, target, date, summary) if part) + "\n"
    plain = title.replace("[", "\\[").replace("]", "\\]").replace("<", "&lt;")
    head = f"[{plain}]({target})" if target and options.links == "inline" else plain
    line = f"- {head}" + (f" ({date})" if date else "")
    return line + (f"\n  {summary.replace('<', '&lt;')}" if summary else "")


def _link(entry: etree._Element) -> str:
    for child in entry:
        if _name(child) == "link" and child.get("rel", "alternate") == "alternate":
            found = child.get("href") or (child.text or "")
            if found.strip():
                return found.strip()
    return _child_text(entry, "guid", "id") or ""


def _child_text(element: etree._Element, *names: str) -> str | None:
    for name in names:
        for child in element:
            if _name(child) == name and (text := "".join(child.itertext()).strip()):
                return _plain(text)[:_SUMMARY_CHARS] or None
    return None


def _plain(text: str) -> str:
    if "<" in text:
        try:
            text = " ".join(lxml_html.fragment_fromstring(text, create_parent="div").itertext())
        except (etree.ParserError, etree.XMLSyntaxError, ValueError):
            text = re.sub(r"<[^>]*>", " ", text)
    return " ".join(text.split())


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""
