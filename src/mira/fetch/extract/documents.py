"""Converts what a URL gave, by what it is: pages, PDF, JSON, feeds, texts, office documents, pictures."""

import base64
import json
import re
from contextlib import suppress
from urllib.parse import urlsplit

import msgspec

from mira.fetch.extract import feeds, office, pdf
from mira.fetch.extract.charset import decode
from mira.fetch.extract.css import BadSelectorError
from mira.fetch.extract.frames import Refusal
from mira.fetch.extract.html import convert_html
from mira.fetch.extract.shapes import MAX_CONTENT_CHARS, Extracted, Options, Source

MAX_PICTURE_BYTES = 5 * 1024 * 1024
_PICTURES = frozenset(("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "image/tiff"))
_HTML = frozenset(("text/html", "application/xhtml+xml"))
_FEEDS = frozenset(("application/rss+xml", "application/atom+xml", "application/rdf+xml"))
_XML = frozenset(("text/xml", "application/xml"))
#: What says nothing: the bytes tell more.
_UNTOLD = frozenset(("", "application/octet-stream", "binary/octet-stream", "application/unknown", "unknown/unknown"))
_CODE = frozenset(
    ("application/javascript", "application/x-javascript", "application/typescript", "application/x-sh",
     "application/x-python", "application/sql", "application/x-yaml", "application/yaml", "application/toml",
     "application/x-tex", "application/x-ndjson", "application/jsonl", "application/graphql")
)  # fmt: skip
_LOOKS_HTML = re.compile(
    rb"(?:<\?xml[^>]{0,200}>\s*)?<(?:!doctype html|html|head|body|title|div|p|h1|table|article|main|meta)\b",
    re.IGNORECASE,
)
_LOOKS_FEED = re.compile(rb"<(?:rss|feed|rdf:RDF)\b")
_SNIFF_BYTES = 1024
_JSON_INDENT = 2


class Refusing(Exception):  # noqa: N818 - it is an answer, not a fault
    """What cannot be converted, and why."""

    def __init__(self, reason: Refusal, param: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.param = param


def convert(source: Source, options: Options) -> Extracted:
    """The content in the wished format; Refusing where there is none to be had."""
    mime_type = source.content_type.partition(";")[0].strip().lower()
    if mime_type in _UNTOLD:
        mime_type = sniffed(source.data)
    if options.format == "raw":
        return _raw(source, mime_type)
    extracted = _converted(source, options, mime_type)
    if len(extracted.content) <= MAX_CONTENT_CHARS:
        return extracted
    return msgspec.structs.replace(
        extracted, content=extracted.content[:MAX_CONTENT_CHARS], warnings=[*extracted.warnings, "truncated"]
    )


def sniffed(data: bytes) -> str:
    """What bytes are whose sender does not say; Refusing for what is no document."""
    head = data[:_SNIFF_BYTES].lstrip()
    if head.startswith(b"%PDF-"):
        return "application/pdf"
    if _LOOKS_FEED.search(head):
        return "application/xml"
    if _LOOKS_HTML.search(head):
        return "text/html"
    if not head or b"\0" in head or sum(byte < 9 or 13 < byte < 32 for byte in head) > 0:
        raise Refusing("unsupported")
    return "text/plain"


def _converted(source: Source, options: Options, mime_type: str) -> Extracted:
    if mime_type in _HTML:
        return _page(source, options)
    if mime_type in _FEEDS or mime_type in _XML or mime_type.endswith("+xml"):
        return _xml(source, options, mime_type)
    if mime_type in ("application/pdf", "application/x-pdf"):
        try:
            return pdf.convert_pdf(source.data, options)
        except pdf.BadRangeError:
            raise Refusing("bad_option", "pages") from None
        except pdf.UnreadableError:
            raise Refusing("unreadable") from None
    if mime_type == "application/json" or mime_type.endswith("+json"):
        return _json(source, options)
    if (ending := office.ENDINGS.get(mime_type)) is not None:
        try:
            return office.convert_office(source.data, ending, options)
        except office.MissingError:
            raise Refusing("office_missing") from None
        except office.TooLargeError:
            raise Refusing("too_large") from None
        except office.UnreadableError:
            raise Refusing("unreadable") from None
    if mime_type.startswith("text/") or mime_type in _CODE:
        return _text(source, options)
    raise Refusing("unsupported")


def _page(source: Source, options: Options) -> Extracted:
    try:
        return convert_html(decode(source.data, source.content_type), source.url, options)
    except BadSelectorError:
        param = "include_selectors" if options.include_selectors else "exclude_selectors"
        raise Refusing("bad_option", param) from None


def _xml(source: Source, options: Options, mime_type: str) -> Extracted:
    feed = feeds.convert_feed(source.data, source.url, options)
    if feed is not None:
        return feed
    if mime_type == "image/svg+xml":
        raise Refusing("unsupported")
    if mime_type not in _FEEDS and _LOOKS_HTML.match(source.data[:_SNIFF_BYTES].lstrip()):
        return _page(source, options)
    return _text(source, options, language="xml")


def _json(source: Source, options: Options) -> Extracted:
    text = decode(source.data, source.content_type)
    # What is not quite JSON stays as it is.
    with suppress(ValueError, RecursionError):
        indented = json.dumps(json.loads(text), ensure_ascii=False, indent=_JSON_INDENT)
        # Escapes may name half a surrogate pair, which no text can hold.
        text = indented.encode("utf-8", "replace").decode()
    return Extracted(content=fenced(text, "json", options), format=options.format)


def _text(source: Source, options: Options, language: str | None = None) -> Extracted:
    text = decode(source.data, source.content_type).replace("\r\n", "\n")
    ending = urlsplit(source.url).path.rpartition("/")[2]
    content = fenced(text, language, options) if language else text
    if options.format == "html":
        content = fenced(text, language or "", options)
    return Extracted(content=content, format=options.format, title=ending or None)


def fenced(text: str, language: str, options: Options) -> str:
    """Text as a piece of code, as the format writes it."""
    if options.format == "markdown":
        longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
        fence = "`" * (longest + 1)
        return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"
    if options.format == "html":
        escaped = text.replace("&", "&amp;").replace("<", "&lt;")
        return f"<pre>{escaped}</pre>\n"
    return text


def _raw(source: Source, mime_type: str) -> Extracted:
    if mime_type in _PICTURES:
        if len(source.data) > MAX_PICTURE_BYTES:
            raise Refusing("too_large")
        return Extracted(content=base64.b64encode(source.data).decode(), format="raw", encoding="base64")
    textual = mime_type.startswith("text/") or mime_type.endswith(("xml", "json")) or mime_type in _CODE
    if not textual:
        raise Refusing("unsupported")
    text = decode(source.data, source.content_type)
    if len(text) > MAX_CONTENT_CHARS:
        return Extracted(content=text[:MAX_CONTENT_CHARS], format="raw", warnings=["truncated"])
    return Extracted(content=text, format="raw")
