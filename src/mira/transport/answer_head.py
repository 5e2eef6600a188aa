"""Answer heads: what their bytes say about the body that follows, and the limits that they keep to.

The parser has judged the bytes before they come here: lines end in CRLF and nowhere else, names end in a colon with no
blank before it. A head is kept as its lines, each with its CRLF, and once more in lower case for looking; `b"\r\n"` in
front of a name and a colon behind it find a header and nothing else.
"""

import re

from mira.transport.errors import TransportError
from mira.transport.settings import Limits

#: What frames or codes a body: names as they stand in a head of lower case, in its order.
framing_of = re.compile(rb"\r\n(content-length|content-encoding|transfer-encoding):").findall

_CODING_LINES = re.compile(rb"\r\ncontent-(?:encoding|length):[^\r]*", re.IGNORECASE)
_VERSION = re.compile(rb"http/1\.[01] ")
#: A name, its colon and the line's end: a header line has no fewer bytes.
_SHORTEST_LINE_BYTES = 4


def unsuspicious_bytes(limits: Limits) -> int:
    """The size up to which a head cannot break the limits of `check_size`."""
    return min(limits.line_bytes, limits.head_bytes, limits.header_count * _SHORTEST_LINE_BYTES)


def check_size(lines: bytes, limits: Limits) -> None:
    """TransportError("protocol") for a head with too many lines, or with too many bytes in one or in all."""
    _, *headers = lines.splitlines(keepends=True)
    if len(headers) > limits.header_count:
        raise TransportError("protocol", reached=True, detail="too many header lines")
    if (headers and max(map(len, headers)) > limits.line_bytes) or len(lines) > limits.head_bytes:
        raise TransportError("protocol", reached=True, detail="the head is too large")


def check_framing(lower: bytes, framing: list[bytes]) -> None:
    """What llhttp lets pass: other versions, codings of the transfer besides `chunked`, chunks in HTTP/1.0."""
    chunked = b"transfer-encoding" in framing
    if not _VERSION.match(lower) or (chunked and lower.startswith(b"http/1.0")):
        raise TransportError("protocol", reached=True, detail="a version of HTTP that was not asked for")
    if chunked and values_of(lower, b"transfer-encoding") != [b"chunked"]:
        raise TransportError("protocol", reached=True, detail="an unknown transfer coding")


def values_of(lines: bytes, name: bytes) -> list[bytes]:
    """The values of a header that is named in the same case."""
    return [line.split(b"\r\n", 1)[0].strip() for line in lines.split(b"\r\n%b:" % name)[1:]]


def without_coding(lines: bytes) -> bytes:
    """The head without what tells of a coding that was undone."""
    return _CODING_LINES.sub(b"", lines)
