"""Makes a worker ready: the first page must not pay for libraries, weights and patterns."""

from mira.fetch.extract.documents import convert
from mira.fetch.extract.shapes import Options, Source

_PAGE = (
    "<html><head><title>Ready</title></head><body><nav><ul><li><a href='/a'>Home</a></li></ul></nav>"
    "<main><h1>Ready</h1>"
    + "<p>A page of some words, so that every step is taken once before anybody waits for it.</p>" * 8
    + "<ul><li>one of them</li></ul></main><footer>All rights reserved</footer></body></html>"
)


def warm_up() -> None:
    """Converts a small page."""
    convert(Source(data=_PAGE.encode(), content_type="text/html; charset=utf-8", url="https://example.com/"), Options())
