"""The routes that a connection answers itself, without ASGI: found by the bytes of the request line."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import unquote

from httptools import parse_url

from mira.api.exchange import WireExchange

Handler = Callable[[WireExchange], Coroutine[Any, Any, None]]


def without(prefix: str, path: str) -> str:
    """A path without the prefix under which a reverse proxy shows Mira; one that has none stays."""
    return path[len(prefix) :] or "/" if prefix and path.startswith(prefix) else path


class Routes:
    """What takes POST at a path. `prefix` is the reverse proxy's."""

    def __init__(self, handlers: Mapping[str, Handler], prefix: str = "") -> None:
        self._prefix = prefix
        self._by_path = dict(handlers)
        # As nearly every client writes them; all other ways to write the same path are read.
        self._by_target = {
            target.encode(): self._by_path[path]
            for path in handlers
            for target in (path, prefix + path)
            if without(prefix, target) == path
        }

    def find(self, method: bytes, target: bytes) -> Handler | None:
        """What answers a request; None for whatever ASGI has to answer.

        `target` is that of the request line: with a query, escaped or absolute at times. HttpParserInvalidURLError and
        UnicodeDecodeError where it is none.
        """
        if method != b"POST":
            return None
        return self._by_target.get(target) or self._by_path.get(without(self._prefix, path_of(target)))


def path_of(target: bytes) -> str:
    """The path that a request line names, as ASGI has it."""
    path: str = parse_url(target).path.decode("ascii")
    return unquote(path) if "%" in path else path
