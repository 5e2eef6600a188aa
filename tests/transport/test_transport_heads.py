"""What is read from the bytes of a head is what the parser finds in it."""

from httptools import HttpParserError, HttpResponseParser
from hypothesis import given
from hypothesis import strategies as st

from mira.transport.answer_head import framing_of, values_of
from mira.transport.response import Response

FRAMING = {b"content-length", b"content-encoding", b"transfer-encoding"}
NAMES = st.sampled_from(
    [b"Content-Length", b"content-encoding", b"Transfer-Encoding", b"X-Request-Id", b"x-request-id", b"a", b"Id"]
)
VALUES = st.one_of(
    st.sampled_from(
        [b"0", b"chunked", b"identity", b"", b"x-request-id: 7", b"id:", b"a\r\nb: c", b"\r\n\r\nHTTP/1.1"]
    ),
    st.binary(max_size=8),
)
BLANKS = st.sampled_from([b"", b" ", b"\t", b"  \t"])
LINES = st.lists(st.tuples(NAMES, BLANKS, VALUES, BLANKS), max_size=6)
STARTS = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.0 404 ", b"HTTP/1.1 503", b"\r\n\r\nHTTP/1.1 200 a: b", b"\n\r\r\nHTTP/1.1 299 -"]
)


class Seen:
    """Collects what the parser tells of a head."""

    def __init__(self):
        self.headers = []
        self.complete = False

    def on_header(self, name, value):
        self.headers.append((name.lower(), value.strip()))

    def on_headers_complete(self):
        self.complete = True


def parsed(data):
    """The headers as the parser tells them; None for what is not a whole head, or not one at all."""
    seen = Seen()
    try:
        HttpResponseParser(seen).feed_data(data)
    except HttpParserError:
        # Also where a head is refused for what it says of the body.
        return None
    return seen.headers if seen.complete else None


@given(STARTS, LINES)
def test_every_header_is_found_where_the_parser_finds_it(start, lines):
    data = start + b"\r\n" + b"".join(n + b":" + b1 + v + b2 + b"\r\n" for n, b1, v, b2 in lines) + b"\r\n"
    head = data.lstrip(b"\r\n")
    end = head.find(b"\r\n\r\n") + 2
    expected = parsed(head[: end + 2])
    if expected is None:
        return
    # Not a byte earlier.
    assert parsed(head[: end + 1]) is None
    lower = head[:end].lower()
    assert framing_of(lower) == [name for name, _ in expected if name in FRAMING]
    response = Response(None, 200, head[:end], lower, None, 0)
    last = dict(expected)
    for name in {*last, b"b", b"none", b"request-id", b"http/1.1 200 a"}:
        told = response.header(name)
        assert told == (last[name].decode("latin-1") if name in last else None)
        assert values_of(lower, name) == [value.lower() for other, value in expected if other == name]


def test_the_heads_of_most_examples_are_accepted_by_the_parser():
    head = b"HTTP/1.1 200 OK\r\nX-Request-Id:  7\t\r\nid:\r\ncontent-length: 0\r\n\r\n"
    assert parsed(head) == [(b"x-request-id", b"7"), (b"id", b""), (b"content-length", b"0")]


def test_a_response_shows_nothing_of_its_head_or_body():
    response = Response(None, 200, b"HTTP/1.1 200 secret\r\n", b"http/1.1 200 secret\r\n", None, 0, [b"secret"])
    assert "secret" not in repr(response)
