"""What goes into an extraction and what comes out of it."""

from typing import Literal, TypeAlias

from msgspec import Struct

Format: TypeAlias = Literal["markdown", "html", "text", "raw"]

#: `thin_content`: fewer than 50 words were found; `no_text_layer`: a PDF of pictures; `page_limit`: not every page of a
#: PDF was read; `truncated`: the content was cut at `MAX_CONTENT_CHARS`; `scripts_needed`: the page seems to be written
#: by scripts, which a browser would run.
Caveat: TypeAlias = Literal["thin_content", "no_text_layer", "page_limit", "truncated", "scripts_needed"]

#: characters of one answer's content; more is cut, with a warning
MAX_CONTENT_CHARS = 4_000_000
MAX_LINKS = 2_000
#: Stands with the heading's level before each heading of a text, where these are asked for: a character of no language.
HEADING_MARK = chr(0xE0F6)


class Source(Struct, frozen=True, kw_only=True):
    """What was loaded. `content_type` is the header as it was sent, `url` the final one: relative links start there."""

    data: bytes
    content_type: str
    url: str


class Options(Struct, frozen=True, kw_only=True):
    """What the client wishes, already checked: the words of `POST /v1/fetch`.

    Selectors are CSS: tag, `#id`, `.class`, `[name]`, `[name=value]` (and ^= $= *= ~=), descendants, `>`, commas.
    `pages` of a PDF are counted from one: `"3"`, `"1-20"`, `"5-"`. `mark_headings` puts `HEADING_MARK` before the
    headings of a page as text, which has no other sign of them.
    """

    format: Format = "markdown"
    main_content: bool = True
    include_selectors: list[str] = []
    exclude_selectors: list[str] = []
    links: Literal["inline", "text", "list"] = "inline"
    images: Literal["none", "alt", "inline"] = "none"
    pages: str | None = None
    mark_headings: bool = False


class Metadata(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a page says of itself; None where it says nothing. `published` is a date as written, mostly ISO 8601."""

    description: str | None = None
    author: str | None = None
    published: str | None = None
    site_name: str | None = None
    canonical: str | None = None
    language: str | None = None


class Link(Struct, frozen=True):
    """A link of the content, absolute."""

    text: str
    url: str


class Extracted(Struct, frozen=True, kw_only=True):
    """The content in the format that was asked for.

    `encoding` is `base64` only for pictures taken raw. `links` are those of the content, in order, each once, and only
    for `links: "list"`. `convert_ms` is the worker's time, without waiting for one.
    """

    content: str
    format: Format
    title: str | None = None
    metadata: Metadata = Metadata()
    links: list[Link] = []
    warnings: list[Caveat] = []
    encoding: Literal["utf-8", "base64"] = "utf-8"
    convert_ms: float = 0.0
