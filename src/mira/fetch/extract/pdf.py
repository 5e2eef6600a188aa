"""PDF as markdown: pdf-oxide for structure, pypdfium2 for a page where that loses text."""

import re
from contextlib import suppress
from typing import Any

from mira.fetch.extract.shapes import Caveat, Extracted, Metadata, Options

MAX_PAGES = 100
#: pdf-oxide must find at least this share of pypdfium2's characters.
_LEAST_SHARE = 0.9
_RANGE = re.compile(r"(\d{1,6})(-(\d{1,6})?)?|-(\d{1,6})")
_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_SPACE = re.compile(r"\s+")


class BadRangeError(ValueError):
    """A range of pages that cannot be read, or has no pages in this document."""


class UnreadableError(ValueError):
    """The bytes are no PDF, or it is locked."""


def convert_pdf(data: bytes, options: Options) -> Extracted:
    """The pages asked for, at most `MAX_PAGES`; BadRangeError and UnreadableError as they say."""
    import pypdfium2  # noqa: PLC0415 - most workers never see a PDF

    try:
        document = pypdfium2.PdfDocument(data)
        count = len(document)
    except (pypdfium2.PdfiumError, ValueError):
        raise UnreadableError from None
    wished = _pages(options.pages, count)
    pages = wished[:MAX_PAGES]
    told: dict[str, str] = document.get_metadata_dict()
    plain = [_plain(document, page) for page in pages]
    document.close()
    found = plain if options.format == "text" else _structured(data, pages, plain)
    text = "\n\n".join(part.strip() for part in found if part.strip())
    warnings: list[Caveat] = []
    if not any(part.strip() for part in plain):
        warnings.append("no_text_layer")
    if len(wished) > len(pages):
        warnings.append("page_limit")
    content = text + "\n" if text else ""
    if options.format == "html" and content:
        content = f"<pre>{content.replace('&', '&amp;').replace('<', '&lt;')}</pre>\n"
    return Extracted(
        content=content,
        format=options.format,
        title=told.get("Title") or None,
        metadata=Metadata(author=told.get("Author") or None, published=_date(told.get("CreationDate", ""))),
        warnings=warnings,
    )


def _pages(wished: str | None, count: int) -> list[int]:
    """Numbers from zero."""
    if wished is None:
        return list(range(count))
    found = _RANGE.fullmatch(wished.strip())
    if found is None:
        raise BadRangeError
    first = int(found[1] or 1)
    last = int(found[3] or count) if found[2] else int(found[4] or first)
    if not 1 <= first <= min(last, count):
        raise BadRangeError
    return list(range(first - 1, min(last, count)))


def _plain(document: Any, page: int) -> str:
    opened = document[page]
    words = opened.get_textpage()
    text: str = words.get_text_bounded()
    words.close()
    opened.close()
    return text.replace("\r\n", "\n").replace("\ufffe", "")


def _structured(data: bytes, pages: list[int], plain: list[str]) -> list[str]:
    """Markdown of each page, its plain text where the markdown lacks too much of it."""
    import pdf_oxide  # noqa: PLC0415 - most workers never see a PDF

    texts = list(plain)
    with suppress(Exception):  # what it cannot read, the other could
        document = pdf_oxide.PdfDocument.from_bytes(data)
        for place, page in enumerate(pages):
            with suppress(Exception):
                markdown = _PICTURE.sub("", document.to_markdown(page))
                if _size(markdown) >= _LEAST_SHARE * _size(plain[place]):
                    texts[place] = markdown
    return texts


def _size(text: str) -> int:
    return len(_SPACE.sub("", text))


def _date(text: str) -> str | None:
    found = re.match(r"D:(\d{4})(\d{2})?(\d{2})?", text)
    return "-".join(part for part in found.groups() if part) if found else None
