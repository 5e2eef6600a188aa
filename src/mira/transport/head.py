"""Request heads: written once per request, with nothing in them that could be read as two requests."""

import re
from collections.abc import Sequence

from mira.core.octets import CR, LF, NUL

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(r"/[!-~]*")
_METHOD = re.compile(rb"[A-Z]{1,16}")
_OURS = frozenset(
    (
        b"host",
        b"connection",
        b"content-length",
        b"transfer-encoding",
        b"keep-alive",
        b"te",
        b"trailer",
        b"upgrade",
        b"expect",
        b"proxy-connection",
        b"proxy-authorization",
    )
)
_KEPT = 256


class HeadWriter:
    """Writes the heads of all requests to one origin; remembers what it has checked, so a request costs little.

    `before_target` is the base path, or the whole absolute form where a plain HTTP proxy is used. `extra` is a
    complete header line for every request (the proxy's credential), or empty.
    """

    __slots__ = ("_after_target", "_before", "_encodings", "_lines", "_starts")

    def __init__(self, authority: str, before_target: str, extra: bytes = b"") -> None:
        self._before = before_target
        self._after_target = b" HTTP/1.1\r\nhost: " + authority.encode("ascii") + b"\r\n" + extra
        self._starts: dict[tuple[bytes | str, str], bytes] = {}
        self._lines: dict[tuple[bytes, bytes], bytes] = {}
        #: those of them that choose an encoding
        self._encodings: set[bytes] = set()

    def write(self, method: bytes | str, target: str, headers: Sequence[tuple[bytes, bytes]], body_bytes: int) -> bytes:
        """The complete head, blank line included.

        ValueError where a method, target, name or value cannot stand in a head, or a header is the client's own
        (framing, `host`, `connection`); the text never repeats a value.
        """
        start = self._starts.get((method, target)) or self._start(method, target)
        known = self._lines
        if len(known) >= _KEPT:
            known.clear()
            self._encodings.clear()
        lines = [known.get(header) or self._line(header) for header in headers]
        if self._encodings.isdisjoint(lines):
            lines.append(b"accept-encoding: identity")
        if body_bytes or method not in {b"GET", b"HEAD", "GET", "HEAD"}:
            lines.append(b"content-length: %d" % body_bytes)
        return start + b"\r\n".join(lines) + b"\r\n\r\n"

    def _start(self, method: bytes | str, target: str) -> bytes:
        """Check and remember a request line together with the lines that every request has."""
        verb = method.encode("ascii", "replace") if isinstance(method, str) else method
        if not _METHOD.fullmatch(verb):
            raise ValueError("not a method of HTTP")
        if not _TARGET.fullmatch(target) or "#" in target:
            raise ValueError("a target is a path that starts with a slash, in printable ASCII")
        start = verb + b" " + (self._before + target).encode("ascii") + self._after_target
        if len(self._starts) >= _KEPT:
            self._starts.clear()
        self._starts[method, target] = start
        return start

    def _line(self, header: tuple[bytes, bytes]) -> bytes:
        """Check and remember a header: nearly all of a request's are those of the request before."""
        name, value = header
        lower = name.lower()
        if not _NAME.fullmatch(name):
            raise ValueError("a header name holds a character that is not allowed")
        if lower in _OURS:
            raise ValueError(f"the header {lower.decode('ascii')} is written by the client itself")
        if CR in value or LF in value or NUL in value:
            raise ValueError("a header value holds a line break or a NUL")
        line = self._lines[header] = name + b": " + value
        if lower == b"accept-encoding":
            self._encodings.add(line)
        return line
