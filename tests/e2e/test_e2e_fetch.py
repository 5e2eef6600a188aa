"""`POST /v1/fetch` as clients and their bills see it."""

import asyncio
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from tests.support.gateway import PATIENCE_S, PROXY_KEY, Gateway, eventually

PAGE = b"<html><head><title>Rivers</title></head><body><main><h1>Rivers</h1><p>Water flows downhill.</p></main></body></html>"
PRICE = Decimal("0.001")
BOMB = gzip.compress(bytes(64 << 20), compresslevel=1)


class Site(BaseHTTPRequestHandler):
    """A site with good and bad pages; remembers the heads that it was sent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.heads.append({name.lower(): value for name, value in self.headers.items()})
        path = self.path.partition("?")[0]
        try:
            getattr(self, f"_{path.strip('/').replace('-', '_')}", self._page)()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _page(self):
        self._send(PAGE)

    def _gone(self):
        self._send(b"<p>gone</p>", 404)

    def _program(self):
        self._send(b"MZ\x90\0" + bytes(5000), mime="application/octet-stream")

    def _bomb(self):
        self._send(BOMB, more={"content-encoding": "gzip"})

    def _attributes(self):
        self._send(b"<p " + b" ".join(b"a%d=1" % n for n in range(300_000)) + b">text</p>")

    def _deep(self):
        self._send(b"<div>" * 100_000 + b"deep" + b"</div>" * 100_000)

    def _endless(self):
        self._head(200, "text/html", {"connection": "close"})
        while not self.server.over.is_set():
            self.wfile.write(b"<p>word word word</p>\n" * 5000)

    def _drip(self):
        self._head(200, "text/html", {"connection": "close"})
        while not self.server.over.wait(0.05):
            self.wfile.write(b".")

    def _hang(self):
        self.server.hanging.set()
        self.server.over.wait(PATIENCE_S)
        self.close_connection = True

    def _loop(self):
        self._head(302, "text/html", {"location": "/loop", "content-length": "0"})

    def _send(self, body, status=200, mime="text/html; charset=utf-8", more=None):
        self._head(status, mime, {"content-length": str(len(body)), **(more or {})})
        self.wfile.write(body)

    def _head(self, status, mime, more):
        self.send_response(status)
        self.send_header("content-type", mime)
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.daemon_threads = True
    server.heads, server.over, server.hanging = [], threading.Event(), threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def gateway(site, make_gateway) -> Gateway:
    return make_gateway(tables={"fetch": {"allow": [place(site)]}})


def place(site) -> str:
    return f"127.0.0.1:{site.server_address[1]}"


@pytest.fixture
def fetch(gateway, site):
    def ask(path: str = "/", *, key: str = PROXY_KEY, headers: dict | None = None, **fields):
        url = path if "://" in path else f"http://{place(site)}{path}"
        return gateway.post("/v1/fetch", {"url": url, **fields}, key=key, headers=headers or {})

    return ask


def refusal(answer: httpx2.Response) -> tuple[int, str, bool]:
    error = answer.json()["error"]
    assert {"message", "type", "param", "code", "retryable"} <= error.keys()
    assert answer.headers["x-request-id"]
    assert answer.headers["x-should-retry"] == str(error["retryable"]).lower()
    return answer.status_code, error["code"], error["retryable"]


def available(gateway) -> Decimal:
    return Decimal(gateway.balance()["available"])


def test_a_page_costs_its_price_and_stands_in_the_usage(gateway, fetch) -> None:
    before = available(gateway)
    answer = fetch(headers={"x-request-id": "mine"})
    body = answer.json()
    assert (answer.status_code, answer.headers["x-mira-cost"]) == (200, "0.001")
    assert answer.headers["x-mira-model"] == "fetch"
    assert (body["object"], body["id"], body["usage"]) == (
        "fetch",
        answer.headers["x-request-id"],
        {"pages": 1, "cost": 0.001},
    )
    assert body["content"] == body["markdown"] == "# Rivers\n\nWater flows downhill.\n"
    assert before - available(gateway) == PRICE
    call = gateway.call(body["id"])
    assert (call["protocol"], call["model"], call["status"]) == ("fetch", "fetch", 200)
    assert (call["cost"], call["client_request_id"]) == ("0.001", "mine")
    assert [row["id"] for row in gateway.get("/v1/extras/usage?model=fetch&limit=1").json()["data"]] == [body["id"]]
    assert gateway.says(lambda line: body["id"] in line and '"fetch"' in line)
    gateway.check_ledger()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("file:///etc/passwd", (400, "invalid_url", False)),
        ("http://127.0.0.1:1/", (403, "url_not_allowed", False)),
        ("http://169.254.169.254/latest/meta-data/", (403, "url_not_allowed", False)),
        ("/program", (415, "unsupported_content_type", False)),
        ("/loop", (502, "too_many_redirects", False)),
        ("/bomb", (413, "response_too_large", False)),
        ("/endless", (413, "response_too_large", False)),
        ("/drip", (504, "timeout", True)),
    ],
)
def test_what_brings_no_page_costs_nothing(gateway, fetch, path: str, told: tuple) -> None:
    before = available(gateway)
    answer = fetch(path, timeout_ms=1000 if path == "/drip" else 20_000)
    assert refusal(answer) == told
    assert "x-mira-cost" not in answer.headers
    assert available(gateway) == before
    assert gateway.call(answer.headers["x-request-id"])["cost"] == "0"
    assert Decimal(gateway.balance()["held"]) == 0


def test_a_site_that_has_no_such_page_is_told_and_free(gateway, fetch) -> None:
    before = available(gateway)
    answer = fetch("/gone")
    assert (answer.status_code, answer.json()["status"], answer.headers["x-mira-cost"]) == (200, 404, "0")
    assert answer.json()["usage"] == {"pages": 0, "cost": 0.0}
    assert available(gateway) == before


def test_markdown_alone_for_whom_that_is_enough(fetch) -> None:
    answer = fetch(headers={"accept": "text/markdown, */*"})
    assert answer.headers["content-type"].startswith("text/markdown")
    assert answer.text == "# Rivers\n\nWater flows downhill.\n"
    assert int(answer.headers["x-markdown-tokens"]) > 3
    assert answer.headers["x-mira-cost"] == "0.001"
    assert fetch(headers={"accept": "application/json"}).json()["object"] == "fetch"
    assert fetch(format="html", headers={"accept": "text/markdown"}).json()["format"] == "html"


def test_a_site_learns_nothing_of_the_client(site, fetch) -> None:
    site.heads.clear()
    fetch("/echo", headers={"cookie": "mine=1", "x-caller": "secret", "accept-language": "de"})
    assert {name for head in site.heads for name in head} == {"host", "accept", "accept-encoding", "user-agent"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"formats": "x"}, "formats"), ({"format": "pdf"}, "format"), ({"max_tokens": 0}, "max_tokens"),
     ({"timeout_ms": 60_000}, "timeout_ms"), ({"headers": {"cookie": "x"}}, "headers.cookie"),
     ({"include_selectors": ["a["]}, "include_selectors"), ({"wait_for": "#x"}, "wait_for")],
)  # fmt: skip
def test_a_wrong_option_is_named(gateway, site, fields: dict, param: str) -> None:
    answer = gateway.post("/v1/fetch", {"url": f"http://{place(site)}/", **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_who_has_no_credits_or_no_scope_fetches_nothing(gateway, site, fetch) -> None:
    _, poor = gateway.new_key(gateway.new_workspace(None))
    site.heads.clear()
    assert refusal(fetch("/poor", key=poor))[:2] == (402, "insufficient_quota")
    _, narrow = gateway.new_key(models=["openai/gpt-4o-mini"])
    assert refusal(fetch("/narrow", key=narrow))[0] == 403
    _, wide = gateway.new_key(models=["openai/gpt-4o-mini", "fetch"])
    assert fetch("/wide", key=wide).status_code == 200
    assert refusal(fetch(key="sk-mira-nobody"))[0] == 401
    assert len(site.heads) == 1


def test_a_key_is_held_to_its_sites(gateway, fetch) -> None:
    key_id, secret = gateway.new_key()
    lists = gateway.admin("PUT", f"/keys/{key_id}/fetch", {"allow": ["Example.org"], "block": ["x.example.org"]})
    assert (
        lists == gateway.admin("GET", f"/keys/{key_id}/fetch") == {"allow": ["example.org"], "block": ["x.example.org"]}
    )
    assert refusal(fetch(key=secret)) == (403, "url_not_allowed", False)
    gateway.admin("PUT", f"/keys/{key_id}/fetch", {"block": ["example.org"]})
    assert fetch(key=secret).status_code == 200
    gateway.admin("PUT", f"/keys/{key_id}/fetch", {"allow": ["a b"]}, status=400)
    gateway.admin("GET", "/keys/key_of_nobody/fetch", status=404)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("accept", ["*/*", "text/markdown"])
def test_the_same_key_and_page_are_charged_once(gateway, site, fetch, accept) -> None:
    before, asked = available(gateway), len(site.heads)
    headers = {"idempotency-key": f"page-{accept}", "accept": accept}
    first = fetch("/?once", headers=headers, max_age=0)
    second = fetch("/?once", headers=headers, max_age=0)
    assert first.status_code == second.status_code == 200
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["x-mira-cost"] == first.headers["x-mira-cost"] == "0.001"
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert before - available(gateway) == PRICE
    assert len(site.heads) == asked + 1
    other = fetch("/?other", headers=headers, max_age=0)
    assert refusal(other)[0] == 422
    gateway.check_ledger()


def test_what_failed_for_free_may_be_tried_again_under_its_key(gateway, fetch) -> None:
    before = available(gateway)
    for _ in range(2):
        answer = fetch("/program", headers={"idempotency-key": "a program"})
        assert answer.status_code == 415
        assert "idempotent-replayed" not in answer.headers
    assert available(gateway) == before


def test_the_limits_of_a_key_hold_for_pages(gateway, fetch) -> None:
    _, key = gateway.new_key(rpm=2)
    assert [fetch("/", key=key).status_code for _ in range(3)] == [200, 200, 429]
    _, key = gateway.new_key(budget={"amount": "0.0025", "period": "day"})
    answers = [fetch("/", key=key) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 402]
    assert refusal(answers[-1])[1] == "budget_exceeded"


def test_the_line_of_the_readme_works_as_it_stands(gateway, site) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (line,) = [block for block in re.findall(r"```sh\n(.*?)```", readme, re.DOTALL) if "/v1/fetch" in block]
    line = line.replace("http://localhost:4000", gateway.url).replace("https://example.com", f"http://{place(site)}")
    environ = {"PATH": os.environ["PATH"], "MIRA_API_KEY": PROXY_KEY, "NO_PROXY": "*"}
    done = subprocess.run(["sh", "-c", line], env=environ, capture_output=True, check=True, timeout=PATIENCE_S)
    assert json.loads(done.stdout)["markdown"].startswith("# Rivers")


def test_an_operator_fetches_without_a_charge(gateway, site) -> None:
    before = available(gateway)
    url = f"http://{place(site)}/"
    assert gateway.admin("POST", "/fetch", {"url": url})["content"].startswith("# Rivers")
    assert gateway.post("/admin/v1/fetch", {"url": url}).status_code == 401
    assert available(gateway) == before


async def test_a_client_that_leaves_pays_nothing(gateway, site) -> None:
    site.hanging.clear()
    before = available(gateway)
    body = f'{{"url": "http://{place(site)}/hang"}}'
    head = f"POST /v1/fetch HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {PROXY_KEY}\r\ncontent-length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write((head + body).encode())
    assert await asyncio.to_thread(site.hanging.wait, PATIENCE_S)
    writer.close()
    await writer.wait_closed()
    del reader
    row = await asyncio.to_thread(
        eventually, lambda: next((r for r in gateway.admin("GET", "/usage")["data"] if r["status"] == 499), None)
    )
    assert (row["protocol"], row["cost"], row["error"]) == ("fetch", "0", "client_left")
    assert available(gateway) == before


def test_price_and_exceptions_are_read_again(site, make_gateway) -> None:
    gateway = make_gateway(tables={"fetch": {"price": "0"}})
    ask = {"url": f"http://{place(site)}/"}
    assert gateway.post("/v1/fetch", ask).status_code == 403
    gateway.write_config(tables={"fetch": {"price": "0.25", "allow": [place(site)]}})
    reload(gateway, "reloaded: ")
    assert gateway.post("/v1/fetch", ask).headers["x-mira-cost"] == "0.25"
    gateway.write_config(tables={"fetch": {"price": "-1"}})
    reload(gateway, "not reloaded")
    assert gateway.post("/v1/fetch", ask).headers["x-mira-cost"] == "0.25"


def reload(gateway, said: str) -> None:
    told = len(gateway.log.splitlines())
    gateway.process.send_signal(signal.SIGHUP)
    gateway.says(lambda line: said in line, since=told)


def test_hostile_pages_among_good_ones_leave_nothing_behind(gateway, fetch) -> None:
    paths = ["/bomb", "/attributes", "/deep", "/drip", "/endless", "/", "/gone", "/", "/program", "/loop"] * 2
    answers: list[httpx2.Response] = []

    def work(share: list[str]) -> None:
        for number, path in enumerate(share):
            # Those that never end take all of their time; none of the others is to run out of it.
            timeout_ms = 2000 if path in ("/drip", "/endless") else 20_000
            answers.append(fetch(f"{path}?{number}", timeout_ms=timeout_ms, max_age=0))

    threads = [threading.Thread(target=work, args=(paths[start::3],)) for start in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert gateway.http.get("/ready").status_code == 200
        threads[0].join(0.05)
    assert len(answers) == len(paths)
    assert all(answer.status_code in (200, 413, 415, 502, 504) for answer in answers)
    assert sum(answer.status_code == 200 for answer in answers) >= 6
    children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children")
    # At most two that convert, and the one that counts tokens.
    eventually(lambda: len(children.read_text().split()) <= 3)
    assert Decimal(gateway.balance()["held"]) == 0
    gateway.check_ledger()
