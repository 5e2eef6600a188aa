"""`mira fetch` and `mira keys domains`, beside a running gateway and without one."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cli_gateway import Gateway, Mira

PAGE = b"<html><head><title>T</title></head><body><main><h1>Rivers</h1><p>Long \x1b[31mred\x1b[0m water.</p></main></body></html>"


class Site(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404 if self.path == "/gone" else 200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def page_url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module", params=["running", "stopped"])
def mira_cli(request, tmp_path_factory, page_url):
    """Commands beside a running gateway and after it has stopped, which may reach the site on loopback."""
    gateway = Gateway(
        tmp_path_factory.mktemp("home") / "mira", MIRA_ALLOW_PRIVATE_NETWORKS=page_url.removeprefix("http://")
    )
    try:
        gateway.wait_until_it_answers()
        if request.param == "stopped":
            assert gateway.stop() == 0
        yield Mira(gateway.env, gateway if request.param == "running" else None)
    finally:
        if gateway.process.poll() is None:
            gateway.stop()


def test_a_page_is_printed_as_markdown_without_what_steers_a_terminal(mira_cli, page_url):
    result = mira_cli("fetch", page_url)
    assert result.stdout == "# Rivers\n\nLong [31mred[0m water.\n"
    assert "thin_content" in result.stderr
    assert mira_cli.json("fetch", page_url, "--format", "raw")["content"] == PAGE.decode()
    assert mira_cli.json("credits", "show")["balance"] == "10"


def test_a_site_that_has_no_such_page_is_an_error(mira_cli, page_url):
    result = mira_cli("fetch", f"{page_url}/gone", status=1)
    assert "status 404" in result.stderr


def test_a_url_that_may_not_be_loaded_is_refused_in_one_line(mira_cli, page_url):
    assert mira_cli("fetch", "http://127.0.0.1:1/", status=1).stderr.strip() == "Error: This URL may not be loaded."
    assert "http://" in mira_cli("fetch", "nonsense", status=1).stderr


def test_the_sites_of_a_key_are_shown_and_replaced(mira_cli):
    mira_cli("keys", "create", "reader")
    assert mira_cli("keys", "domains", "reader").stdout == "allowed: every site\nblocked: none\n"
    told = mira_cli("keys", "domains", "reader", "--allow", "Example.org", "--block", "*.ads.example.org").stdout
    assert told == "allowed: example.org\nblocked: ads.example.org\n"
    assert mira_cli.json("keys", "domains", "reader") == {"allow": ["example.org"], "block": ["ads.example.org"]}
    assert "not a domain" in mira_cli("keys", "domains", "reader", "--block", "http://x/y", status=1).stderr
    assert mira_cli("keys", "domains", "reader", "--all").stdout == "allowed: every site\nblocked: none\n"
