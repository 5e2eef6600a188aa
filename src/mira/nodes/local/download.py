"""Opens the URL of a model file with a short limit on connecting, for networks that reach only the package index.

Only the fetching process uses it, and only for addresses that stand in a pack: no address of a client comes here.
"""

import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import IO, Any, cast

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 30.0


def _within(limit_s: float, connect: Callable[[], None]) -> None:
    """Runs `connect`, but not for longer than `limit_s`: a socket's own time-out covers neither the name look-up nor
    several addresses in a row. A late connection is left to end by itself with its thread.
    """
    failure: list[BaseException] = []

    def attempt() -> None:
        try:
            connect()
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread
            failure.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        raise TimeoutError(f"no connection within {limit_s:g} s")
    if failure:
        raise failure[0]


class _PlainConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        _within(CONNECT_TIMEOUT_S, super().connect)
        self.sock.settimeout(READ_TIMEOUT_S)


class _TlsConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        _within(CONNECT_TIMEOUT_S, super().connect)
        self.sock.settimeout(READ_TIMEOUT_S)


class _PlainHandler(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(cast("Any", _PlainConnection), request)


class _TlsHandler(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(cast("Any", _TlsConnection), request)


def open_url(url: str) -> IO[bytes]:
    """The body of `url` as a stream to read and close; redirects and the proxies of the environment apply.

    Raises OSError where the server does not answer with the file; reading raises it too.
    """
    opener = urllib.request.build_opener(_PlainHandler, _TlsHandler)
    try:
        return cast("IO[bytes]", opener.open(url, timeout=READ_TIMEOUT_S))
    except urllib.error.HTTPError as error:
        error.close()
        raise OSError(f"the server answered with status {error.code}") from None
    except urllib.error.URLError as error:
        raise OSError(str(error.reason)) from error
    except http.client.HTTPException as error:
        raise OSError("the server did not answer in HTTP") from error
