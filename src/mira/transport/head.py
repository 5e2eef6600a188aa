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

    __slots__ = ("_after_target", "_before", "_names", "_starts")

    def __init__(self, authority: str, before_target: str, extra: bytes = b"") -> None:
        self._before = before_target
        self._after_target = b" HTTP/1.1\r\nhost: " + authority.encode("ascii") + b"\r\n" + extra
        self._starts: dict[tuple[bytes | str, str], bytes] = {}
        self._names: dict[bytes, bool] = {}

    def write(self, method: bytes | str, target: str, headers: Sequence[tuple[bytes, bytes]], body_bytes: int) -> bytes:
        """The complete head, blank line included.

        ValueError where a method, target, name or value cannot stand in a head, or a header is the client's own
        (framing, `host`, `connection`); the text never repeats a value.
        """
        start = self._starts.get((method, target)) or self._start(method, target)
        names = self._names
        lines = []
        plain = True
        for name, value in headers:
            chooses_encoding = names.get(name)
            if chooses_encoding is None:
                chooses_encoding = self._learn(name)
            if chooses_encoding:
                plain = False
            lines.append(name + b": " + value)
        told = b"".join(lines)
        if CR in told or LF in told or NUL in told:
            raise ValueError("a header value holds a line break or a NUL")
        if plain:
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

    def _learn(self, name: bytes) -> bool:
        """Check and remember a header name; says whether it is `accept-encoding`."""
        lower = name.lower()
        if not _NAME.fullmatch(name):
            raise ValueError("a header name holds a character that is not allowed")
        if lower in _OURS:
            raise ValueError(f"the header {lower.decode('ascii')} is written by the client itself")
        if len(self._names) >= _KEPT:
            self._names.clear()
        self._names[name] = lower == b"accept-encoding"
        return self._names[name]
