"""The harness itself sees what it has to see, on a page that does everything wrong."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import Browser
from tests.portal import axe
from tests.portal.browser import WIDTHS_PX, Watch, settled, sideways_px, visitor

WRONG = b"""<html><body><main><h1>Wrong</h1><img src="http://10.0.0.1/x.png"><button></button>
<div style="width:2000px">wide</div></main><script src="/fault.js"></script></body></html>"""
POLICY = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; require-trusted-types-for 'script'"


class Wrong(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        script = self.path == "/fault.js"
        body = b"throw new Error('a fault of the page')" if script else WRONG
        self.send_response(200 if self.path in ("/", "/fault.js") else 404)
        self.send_header("content-type", "text/javascript" if script else "text/html")
        self.send_header("content-security-policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def wrong() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Wrong)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_whatever_a_page_does_wrong_is_seen(browser: Browser, wrong: str) -> None:
    with visitor(browser, viewport={"width": WIDTHS_PX["narrow"], "height": 700}) as context:
        watch = Watch(context, wrong)
        page = context.new_page()
        page.goto(wrong)
        settled(page)
        assert sideways_px(page) > 1000
        told = "\n".join(axe.violations(page))
        assert "critical button-name" in told
        assert "critical image-alt" in told
    faults = "\n".join(watch.faults)
    assert "a fault of the page" in faults
    assert "CSP: img-src refused http://10.0.0.1/x.png" in faults
    assert "another host: http://10.0.0.1/x.png" in faults
    with pytest.raises(AssertionError, match="another host"):
        watch.check()
