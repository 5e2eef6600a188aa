"""Videos: what becomes of jobs whose gateway is killed, and what a large download takes of memory.

    python benchmarks/videos.py [kills] [download] [--kills 50]        (or `make media`)

kills: `kill -9` at each stage of a job in turn, on SQLite with one gateway; every job must end once, and be paid for
once or not at all. download: 100 MiB stored from the node and handed out, and handed on from the node; growth of the
gateway's resident memory. Exit status 1 where a goal is missed.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from typing import Self

from tests.support.gateway import Gateway
from tests.support.video_kills import MODELS, STAGES, Killing, settings
from tests.support.videos import VideoUpstream

MIB = 2**20
DOWNLOAD_BYTES = 100 * MIB
MOST_GROWTH_MIB = 40


def kills(number: int) -> bool:
    """Kills at each stage in turn, the last stage at random moments of the first half second."""
    chance = random.Random(7)
    upstream = VideoUpstream().start()
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(Path(folder), **settings(upstream)).start()
        try:
            killing = Killing([gateway], upstream)
            for turn in range(number):
                stage = STAGES[turn % len(STAGES)]
                killing.kill(stage, MODELS[turn // len(STAGES) % 2], after_s=chance.random() / 2)
        finally:
            gateway.close()
            upstream.stop()
    for outcome, times in sorted(killing.outcomes.items()):
        print(f"  {outcome:<24} {times:>4}")
    for wrong in killing.wrong:
        print("  WRONG:", wrong)
    print(f"{number} kills: {len(killing.wrong)} jobs that did not end once, or were paid for otherwise (goal 0)")
    return not killing.wrong


def download() -> bool:
    """The growth of resident memory over storing and downloading, from the file store and from the node."""
    met = True
    for kind, store_mib in (("kept in the file store", 512), ("handed on from its node", 0)):
        upstream = VideoUpstream().start()
        upstream.size_bytes = DOWNLOAD_BYTES
        with tempfile.TemporaryDirectory() as folder:
            options = settings(upstream)
            options["tables"]["video"]["store_mib"] = store_mib
            gateway = Gateway(Path(folder), **options).start()
            try:
                upstream.size_bytes = MIB
                _fetch(gateway, _made(gateway))  # what is loaded once is no growth
                upstream.size_bytes = DOWNLOAD_BYTES
                with Watch(gateway.pid) as watch:
                    began_s = time.monotonic()
                    size = _fetch(gateway, _made(gateway))
                    took_s = time.monotonic() - began_s
            finally:
                gateway.close()
                upstream.stop()
        whole = size == DOWNLOAD_BYTES
        met = met and whole and watch.growth_mib <= MOST_GROWTH_MIB
        print(
            f"100 MiB, {kind}: {size // MIB} MiB in {took_s:.1f} s, memory grew by {watch.growth_mib:.1f} MiB "
            f"(goal at most {MOST_GROWTH_MIB})"
        )
    return met


class Watch:
    """The most that a process's resident memory grew by inside of the context, looked at every 5 ms."""

    def __init__(self, pid: int) -> None:
        self._statm = Path(f"/proc/{pid}/statm")
        self._before = self._most = self._now()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def growth_mib(self) -> float:
        """In MiB."""
        return (self._most - self._before) * 4096 / MIB

    def _look(self) -> None:
        while not self._over.wait(0.005):
            self._most = max(self._most, self._now())

    def _now(self) -> int:
        return int(self._statm.read_text().split()[1])


def _made(gateway: Gateway) -> str:
    job = gateway.post("/v1/video?wait=60", {"prompt": "On", "model": MODELS[0], "seconds": 4}, timeout=90).json()
    assert job["status"] == "completed", job
    return str(job["id"])


def _fetch(gateway: Gateway, job_id: str) -> int:
    size = 0
    headers = {"authorization": f"Bearer {gateway.environ['MIRA_BOOTSTRAP_KEY']}"}
    with gateway.http.stream("GET", f"/v1/video/{job_id}/content", headers=headers) as response:
        for piece in response.iter_raw(65_536):
            size += len(piece)
    return size


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=["kills", "download", []])
    parser.add_argument("--kills", type=int, default=50)
    told = parser.parse_args()
    parts = told.parts or ["kills", "download"]
    met = [kills(told.kills) if part == "kills" else download() for part in parts]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
