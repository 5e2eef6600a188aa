"""Request heads: each target and set of headers is checked and written once; nothing in them reads as two requests."""

import re
from collections.abc import Sequence

from mira.core.octets import CR, LF, NUL

Headers = Sequence[tuple[bytes, bytes]]

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(r"/[!-~]*")
_BREAK = re.compile(rb"[\r\n\0]")
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
_BODYLESS = frozenset((b"GET", b"HEAD", "GET", "HEAD"))
_KEPT = 256


class HeadWriter:
    """Writes the heads of all requests to one origin; remembers what it has checked, so a request costs little.

    `before_target` is the base path, or the whole absolute form where a plain HTTP proxy is used. `extra` is a
    complete header line for every request (the proxy's credential), or empty.
    """

    __slots__ = ("_after_target", "_before", "_starts")

    def __init__(self, authority: str, before_target: str, extra: bytes = b"") -> None:
        self._before = before_target
        self._after_target = b" HTTP/1.1\r\nhost: " + authority.encode("ascii") + b"\r\n" + extra
        #: by method, target and headers: all of a head but its id and its length
        self._starts: dict[tuple[bytes | str, str, tuple[tuple[bytes, bytes], ...]], bytes] = {}

    def write(
        self, method: bytes | str, target: str, headers: Headers, body_bytes: int, request_id: bytes = b""
    ) -> bytes:
        """The complete head, blank line included; `request_id` is the value of `x-request-id`, if there is one.

        ValueError where a method, target, name or value cannot stand in a head, or a header is the client's own
        (framing, `host`, `connection`); the text never repeats a value.
        """
        start = self._starts.get((method, target, tuple(headers))) or self._start(method, target, tuple(headers))
        if request_id:
            if CR in request_id or LF in request_id or NUL in request_id:
                raise ValueError("a request's id holds a line break or a NUL")
            start += b"x-request-id: %b\r\n" % request_id
        if body_bytes or method not in _BODYLESS:
            return b"%bcontent-length: %d\r\n\r\n" % (start, body_bytes)
        return start + b"\r\n"

    def _start(self, method: bytes | str, target: str, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
        """Check and remember: nearly every request has the target and the headers of one before."""
        verb = method.encode("ascii", "replace") if isinstance(method, str) else method
        if not _METHOD.fullmatch(verb):
            raise ValueError("not a method of HTTP")
        if not _TARGET.fullmatch(target) or "#" in target:
            raise ValueError("a target is a path that starts with a slash, in printable ASCII")
        lines = [verb + b" " + (self._before + target).encode("ascii") + self._after_target]
        lines += [_line(name, value) for name, value in headers]
        if not any(name.lower() == b"accept-encoding" for name, _ in headers):
            lines.append(b"accept-encoding: identity\r\n")
        if len(self._starts) >= _KEPT:
            self._starts.clear()
        start = self._starts[method, target, headers] = b"".join(lines)
        return start


def _line(name: bytes, value: bytes) -> bytes:
    if not _NAME.fullmatch(name):
        raise ValueError("a header name holds a character that is not allowed")
    if name.lower() in _OURS:
        raise ValueError(f"the header {name.lower().decode('ascii')} is written by the client itself")
    if _BREAK.search(value):
        raise ValueError("a header value holds a line break or a NUL")
    return name + b": " + value + b"\r\n"
