"""A running or a stopped gateway, and an upstream to serve a model."""

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest
from cli_gateway import Gateway, Mira, Upstream


@pytest.fixture(scope="module", params=["running", "stopped"])
def mira_cli(request, tmp_path_factory) -> Iterator[Mira]:
    """Commands beside a running gateway, and in the same data folder after it has stopped."""
    gateway = Gateway(tmp_path_factory.mktemp("home") / "mira")
    try:
        gateway.wait_until_it_answers()
        if request.param == "stopped":
            assert gateway.stop() == 0
        yield Mira(gateway.env, gateway if request.param == "running" else None)
    finally:
        if gateway.process.poll() is None:
            gateway.stop()


@pytest.fixture(scope="module")
def upstream_url() -> Iterator[str]:
    """A small upstream that lists one model and answers every chat request alike."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
