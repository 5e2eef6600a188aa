"""A reverse proxy that shows one server under a path: it cuts the path off, as people's proxies do, and passes the rest."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

PATIENCE_S = 120.0
#: What belongs to one connection and is not passed on.
_OWN = frozenset(("connection", "keep-alive", "transfer-encoding", "content-length", "host"))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    prefix: str
    target: tuple[str, int]


class _Passing(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.0"

    def _pass(self) -> None:
        if not self.path.startswith(f"{self.server.prefix}/"):
            self.send_error(404, "the proxy shows nothing here")
            return
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length) if length else None
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
        headers |= {
            "Host": self.headers["host"],
            "X-Forwarded-For": self.client_address[0],
            "X-Forwarded-Proto": "http",
        }
        upstream = http.client.HTTPConnection(*self.server.target, timeout=PATIENCE_S)
        try:
            upstream.request(self.command, self.path.removeprefix(self.server.prefix), body, headers)
            answer = upstream.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _OWN:
                    self.send_header(name, value)
            self.end_headers()
            while piece := answer.read1(65536):
                self.wfile.write(piece)
        except (ConnectionError, http.client.HTTPException):
            self.close_connection = True
        finally:
            upstream.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Proxy:
    """Listens from the start; passes on once `target` is known."""

    def __init__(self, prefix: str) -> None:
        self._server = _Server(("127.0.0.1", 0), _Passing)
        self._server.prefix = prefix
        self.url = f"http://127.0.0.1:{self._server.server_port}{prefix}"

    def towards(self, port: int) -> None:
        """Says which local server it shows."""
        self._server.target = ("127.0.0.1", port)

    def serve(self) -> None:
        """Answers until it is closed."""
        self._server.serve_forever()

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def reverse_proxy(prefix: str) -> Iterator[Proxy]:
    """A proxy that runs until the block ends."""
    proxy = Proxy(prefix)
    thread = Thread(target=proxy.serve)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
