"""Makes a worker ready: the first page must not pay for libraries, weights and patterns."""

from mira.fetch.extract.documents import convert
from mira.fetch.extract.shapes import Options, Source

#: Of a short page trafilatura asks one more judge, who has word lists to read.
_PARAGRAPHS = (8, 1)


def warm_up() -> None:
    """Converts a small page and a smaller one."""
    for paragraphs in _PARAGRAPHS:
        page = (
            "<html><head><title>Ready</title></head><body><nav><ul><li><a href='/a'>Home</a></li></ul></nav>"
            "<main><h1>Ready</h1>"
            + "<p>A page of some words, so that every step is taken once before anybody waits for it.</p>" * paragraphs
            + "<ul><li>one of them</li></ul></main><footer>All rights reserved</footer></body></html>"
        )
        source = Source(data=page.encode(), content_type="text/html; charset=utf-8", url="https://example.com/")
        convert(source, Options())
