"""Hostile pages among good ones: what a gateway that fetches them keeps, and what its other clients notice.

    uv run python -m benchmarks.fetching soak [--fetches 1000]
    uv run python -m benchmarks.fetching latency [--seconds 20]

`soak` fetches with four in ten hostile (bombs, drips, endless bodies and heads, 300,000 attributes, 200,000 nested
elements, entities that multiply), eight at a time, and prints statuses, the longest answer beside its deadline, memory
of the process tree over time, whether `/ready` always answered, and which processes are left at the end. `latency`
measures chat calls to a scripted node first alone, then while hostile pages are converted: read the ratio.
"""

import argparse
import gzip
import multiprocessing
import random
import statistics
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
from tests.support.gateway import PROXY_KEY, Gateway, openai_node, price
from tests.support.upstream import Upstream

PORTS = 8
TIMEOUT_MS = 3000
#: An answer may be this much later than its deadline: the timers of the client and of the machine are in it.
SLACK_S = 1.0
#: Fetches between two looks at the gateway's memory, and how long it has nothing to do before.
ROUND, REST_S = 250, 2.0
MODEL = "openai/gpt-4o-mini"
GOOD = (
    "<html><head><title>Rivers</title></head><body><nav><a href='/'>Home</a></nav><main><h1>Rivers</h1>"
    + "".join(f"<h2>Part {n}</h2><p>{'Water flows downhill and to the sea. ' * 12}</p>" for n in range(12))
    + "</main></body></html>"
).encode()
BOMB = gzip.compress(bytes(64 << 20), compresslevel=1)
DEFLATED = zlib.compress(bytes(64 << 20), 1)
LOL = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "lol">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, (b"&%c;" % (97 + n)) * 12) for n in range(9))
    + b"]><r>&j;</r>"
)
ATTRIBUTES = b"<p " + b" ".join(b"a%d=1" % n for n in range(300_000)) + b">text</p>"
DEEP = b"<div>" * 200_000 + b"deep text" + b"</div>" * 200_000
HOSTILE = ("bomb", "deflated", "attributes", "deep", "lol", "endless", "drip", "drip_head", "hang", "big_head")
#: Those that reach a converter.
CONVERTED = ("attributes", "deep", "lol")


class Site(BaseHTTPRequestHandler):
    """Good at `/`, and as bad as its path says."""

    protocol_version = "HTTP/1.1"
    over = threading.Event()

    def do_GET(self):
        name = self.path.partition("?")[0].strip("/")
        try:
            if name in HOSTILE:
                getattr(self, name)()
            else:
                self.send(GOOD)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def bomb(self):
        self.send(BOMB, ("content-encoding", "gzip"))

    def deflated(self):
        self.send(DEFLATED, ("content-encoding", "deflate"))

    def attributes(self):
        self.send(ATTRIBUTES)

    def deep(self):
        self.send(DEEP)

    def lol(self):
        self.send(LOL, mime="text/xml")

    def endless(self):
        self.head(("connection", "close"))
        while not self.over.is_set():
            self.wfile.write(b"<p>word word word word</p>\n" * 4000)

    def drip(self):
        self.head(("connection", "close"))
        while not self.over.wait(0.2):
            self.wfile.write(b".")

    def drip_head(self):
        for byte in b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 4000:
            self.wfile.write(bytes((byte,)))
            if self.over.wait(0.2):
                break
        self.close_connection = True

    def hang(self):
        self.over.wait(60)
        self.close_connection = True

    def big_head(self):
        self.head(*((f"x-{n}", "y" * 8000) for n in range(200)), ("content-length", "0"))

    def send(self, body, *more, mime="text/html"):
        self.head(("content-length", str(len(body))), *more, mime=mime)
        self.wfile.write(body)

    def head(self, *more, mime="text/html"):
        self.send_response(200)
        self.send_header("content-type", mime)
        for name, value in more:
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def sites() -> Iterator[list[str]]:
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Site) for _ in range(PORTS)]
    for server in servers:
        server.daemon_threads = True
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield [f"127.0.0.1:{server.server_address[1]}" for server in servers]
    Site.over.set()
    for server in servers:
        server.shutdown()


@contextmanager
def gateway(places: list[str], upstream: Upstream) -> Iterator[Gateway]:
    with tempfile.TemporaryDirectory() as home:
        running = Gateway(
            Path(home), nodes=[openai_node(upstream.url)], prices=[price(MODEL)],
            tables={"fetch": {"allow": places, "price": "0"}},
        )  # fmt: skip
        try:
            yield running.start()
        finally:
            running.close()


def children(pid: int) -> dict[int, str]:
    """Every process below one, with the module that it runs."""
    found: dict[int, str] = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            found[int(child)] = (words[-2] if len(words) > 1 else words[0]).decode()
            found |= children(int(child))
        except OSError:
            continue
    return found


def resident_mb(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6
    except OSError:
        return 0.0


def soak(fetches: int) -> bool:
    draw = random.Random(1)
    with sites() as places, gateway(places, Upstream(("gpt-4o-mini",)).start()) as running:
        keys = [PROXY_KEY, running.new_key()[1]]
        names = [draw.choice(HOSTILE) if draw.random() < 0.4 else "" for _ in range(fetches)]
        work: list[tuple[int, str]] = []
        statuses: Counter[tuple[str, int]] = Counter()
        late: list[float] = []
        taken: list[float] = []
        unready: list[int] = []
        memory: list[tuple[float, float]] = []
        lock, over = threading.Lock(), threading.Event()

        def fetcher(number: int) -> None:
            while True:
                with lock:
                    if not work:
                        return
                    place, name = work.pop()
                body = {"url": f"http://{places[place % PORTS]}/{name}?{place}", "timeout_ms": TIMEOUT_MS}
                began_s = time.monotonic()
                status = running.post("/v1/fetch", body, key=keys[number % 2]).status_code
                took_s = time.monotonic() - began_s
                with lock:
                    statuses[name or "good", status] += 1
                    taken.append(took_s)
                    late.append(took_s - TIMEOUT_MS / 1000)

        def watcher() -> None:
            while not over.wait(0.1):
                unready.append(running.http.get("/ready").status_code)
                tree = sum(resident_mb(pid) for pid in children(running.pid))
                memory.append((resident_mb(running.pid), tree))

        watching = threading.Thread(target=watcher)
        watching.start()
        spent_s = 0.0
        rests = [resident_mb(running.pid)]
        for start in range(0, fetches, ROUND):
            work.extend(enumerate(names[start : start + ROUND], start))
            threads = [threading.Thread(target=fetcher, args=(number,)) for number in range(8)]
            began_s = time.monotonic()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            spent_s += time.monotonic() - began_s
            time.sleep(REST_S)
            rests.append(resident_mb(running.pid))
        over.set()
        watching.join()
        for (name, status), count in sorted(statuses.items()):
            print(f"  {name:12s} {status}  {count}")
        print(
            f"{fetches} fetches in {spent_s:.0f} s; longest {max(taken):.2f} s, {max(late):+.2f} s beside its deadline"
        )
        print(f"gateway RSS MB at rest, every {ROUND} fetches: " + ", ".join(f"{rest:.0f}" for rest in rests))
        print(f"gateway RSS MB, most: {max(m for m, _ in memory):.0f}")
        print(f"children RSS MB: most {max(tree for _, tree in memory):.0f}")
        print(f"/ready: {len(unready)} asked, {sum(status != 200 for status in unready)} not 200")
        print(f"processes at the end: {sorted(children(running.pid).values())}")
        left = children(running.pid)
        waited_s = time.monotonic()
        while left and time.monotonic() - waited_s < 90:
            time.sleep(1)
            left = children(running.pid)
        print(f"a minute later: {sorted(left.values()) or 'none'}")
        good = all(status == 200 for name, status in statuses if name == "good")
        return good and not left and max(late) < SLACK_S and all(status == 200 for status in unready)


def hammer(told: "multiprocessing.Queue", address: "multiprocessing.Queue", end: "multiprocessing.Event") -> None:
    """The sites and four who fetch hostile pages from them without pause, in a process of their own."""
    with sites() as places:
        told.put(places)
        url = address.get()
        done: Counter[int] = Counter()

        def fetcher(number: int) -> None:
            with httpx2.Client(base_url=url, timeout=30, trust_env=False) as client:
                while not end.is_set():
                    name = CONVERTED[number % len(CONVERTED)]
                    body = {"url": f"http://{places[number]}/{name}", "timeout_ms": TIMEOUT_MS, "max_age": 0}
                    answer = client.post("/v1/fetch", json=body, headers={"authorization": f"Bearer {PROXY_KEY}"})
                    done[answer.status_code] += 1

        threads = [threading.Thread(target=fetcher, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told.put(dict(done))


def lags(running: Gateway) -> dict[str, float]:
    """How often the event loop was late, by the most seconds that it was."""
    lines = running.http.get("/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("mira_event_loop_lag_seconds_bucket")]
    return {line.split('le="')[1].split('"')[0]: float(line.split()[-1]) for line in found}


def latency(seconds: float) -> bool:
    upstream = Upstream(("gpt-4o-mini",)).start()
    told, address, end = multiprocessing.Queue(), multiprocessing.Queue(), multiprocessing.Event()
    hostile = multiprocessing.Process(target=hammer, args=(told, address, end), daemon=True)
    hostile.start()
    with gateway(told.get(), upstream) as running:
        running.chat(MODEL)

        def measure() -> list[float]:
            taken: list[float] = []
            until_s = time.monotonic() + seconds
            while time.monotonic() < until_s:
                began_s = time.monotonic()
                assert running.chat(MODEL).status_code == 200
                taken.append((time.monotonic() - began_s) * 1000)
            return taken

        alone = measure()
        before = lags(running)
        address.put(running.url)
        beside = measure()
        after = lags(running)
        end.set()
        print(f"hostile pages meanwhile: {told.get()}")
        again = measure()
        for name, taken in (("alone", alone), ("beside hostile pages", beside), ("alone again", again)):
            cuts = statistics.quantiles(taken, n=100)
            print(f"  {name:22s} {len(taken):5d} calls   p50 {cuts[49]:7.2f} ms   p99 {cuts[98]:7.2f} ms")
        print(f"p50 beside / alone: {statistics.median(beside) / statistics.median([*alone, *again]):.2f}")
        late = {most: int(after[most] - before[most]) for most in ("0.01", "0.025", "0.05", "0.1", "+Inf")}
        print(f"event loop late by at most so many seconds, times: {late}")
    hostile.join(10)
    upstream.stop()
    return True


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("part", choices=["soak", "latency"])
    arguments.add_argument("--fetches", type=int, default=1000)
    arguments.add_argument("--seconds", type=float, default=20)
    options = arguments.parse_args()
    parts: dict[str, Callable[[], bool]] = {
        "soak": lambda: soak(options.fetches),
        "latency": lambda: latency(options.seconds),
    }
    return 0 if parts[options.part]() else 1


if __name__ == "__main__":
    sys.exit(main())
