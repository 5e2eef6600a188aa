"""How long a start takes, and how much memory an idle gateway has: time from exec to `/ready`, and RSS and PSS.

    uv run python benchmarks/startup.py [--rounds 5] [MIRA]

MIRA is the program, by default the one beside this Python. The local node is off. A start is measured with an empty
data folder and with one that is there already; memory is that of the whole process tree (Linux only), after the start,
after a first answer of an upstream that tells no usage (so tokens are counted in the side process), and after that
process has ended for want of work. PSS shares what processes have in common; RSS counts it in each.
"""

import argparse
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KEY = "sk-mira-startup-benchmark-0123456789abcdef"
ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "created": 0,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}],
}
#: The side process ends after a minute without work.
SIDE_PROCESS_IDLE_S = 75


class Upstream(BaseHTTPRequestHandler):
    """Lists one model with a list price and answers everything alike, without usage."""

    def do_GET(self):
        self._answer({"object": "list", "data": [{"id": "gpt-4o-mini"}]})

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(ANSWER)

    def _answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def upstream() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextmanager
def gateway(mira: str, home: Path, config: Path | None = None) -> Iterator[tuple[subprocess.Popen, int, float]]:
    """A running gateway, its port, and the seconds from exec to ready."""
    port = free_port()
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment |= {"MIRA_HOME": str(home), "MIRA_BOOTSTRAP_KEY": KEY, "MIRA_LOCAL_NODE": "off"}
    if config is not None:
        environment["MIRA_CONFIG"] = str(config)
    command = [mira, "serve", "--host", "127.0.0.1", "--port", str(port)]
    began_s = time.perf_counter()
    process = subprocess.Popen(command, env=environment, cwd=home.parent, stdout=subprocess.DEVNULL)
    try:
        while status(port, "/ready") != 200:
            if process.poll() is not None:
                sys.exit(f"{mira} ended with {process.returncode}")
            time.sleep(0.002)
        yield process, port, time.perf_counter() - began_s
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def status(port: int, path: str, body: bytes | None = None) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    try:
        connection.request("POST" if body else "GET", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except OSError:
        return None
    finally:
        connection.close()


def memory_mb(pid: int) -> tuple[int, float, float]:
    """Processes of the tree, their RSS and PSS in MB (10^6 bytes)."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    tree = [pid]
    for member in tree:
        tree += [child for child, parent in parents.items() if parent == member]
    totals = {"Rss:": 0, "Pss:": 0}
    for member in tree:
        for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
            name, *words = line.split()
            if name in totals:
                totals[name] += int(words[0]) * 1024
    return len(tree), totals["Rss:"] / 1e6, totals["Pss:"] / 1e6


def show_start(label: str, seconds: list[float]) -> None:
    print(f"| {label} | {statistics.median(seconds):.2f} | {min(seconds):.2f} | {max(seconds):.2f} |")


def show_memory(label: str, pid: int) -> None:
    processes, rss, pss = memory_mb(pid)
    print(f"| {label} | {processes} | {rss:.0f} | {pss:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mira", nargs="?", default=str(Path(sys.executable).parent / "mira"))
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        print("| exec to /ready, s | median | least | most |\n|---|---|---|---|")
        for label, name in (("empty data folder", "new-{}"), ("data folder of an earlier start", "new-0")):
            seconds = []
            for number in range(given.rounds):
                with gateway(given.mira, Path(work, name.format(number))) as (_, _, start_s):
                    seconds.append(start_s)
            show_start(label, seconds)
        print("\n| idle, process tree | processes | RSS MB | PSS MB |\n|---|---|---|---|")
        with gateway(given.mira, Path(work, "new-0")) as (process, _, _):
            time.sleep(2)
            show_memory("no node, after the start", process.pid)
        measure_with_a_node(given.mira, Path(work))


def measure_with_a_node(mira: str, work: Path) -> None:
    with upstream() as url:
        config = work / "mira.toml"
        config.write_text(f'[[nodes]]\nname = "up"\nkind = "openai"\nbase_url = "{url}"\n')
        with gateway(mira, work / "node", config) as (process, port, _):
            body = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}
            while status(port, "/v1/models/openai/gpt-4o-mini") != 200:
                time.sleep(0.05)
            show_memory("one node, prices looked up", process.pid)
            if status(port, "/v1/chat/completions", json.dumps(body).encode()) != 200:
                sys.exit("the first call was not answered with 200")
            show_memory("after an answer whose tokens were counted", process.pid)
            time.sleep(SIDE_PROCESS_IDLE_S)
            show_memory("a minute later", process.pid)


if __name__ == "__main__":
    main()
