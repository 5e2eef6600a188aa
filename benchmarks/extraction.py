"""How long pages take in an extraction worker, beside trafilatura alone on the same pages in this process.

    uv run python benchmarks/extraction.py CORPUS [--pages 100] [--seed 1]

CORPUS is a folder with `items.jsonl` (id, url) and `pages/ID.html`, each plain or packed as `.gz` or `.xz`. Told are
the medians and 95th percentiles of the wall time of `Extractor.convert`, of the worker's own time, of its processor
time (Linux), and of trafilatura's wall and processor time, page by page in turns, so that other work on the machine
disturbs both alike. The worker gives way to other processes (nice 5): where many work, its wall time tells of those.
"""

import argparse
import asyncio
import gzip
import lzma
import random
import time
from pathlib import Path

import msgspec
import trafilatura

from mira.fetch.extract.charset import decode
from mira.fetch.extract.pool import Extractor
from mira.fetch.extract.shapes import Options, Source

CONTENT_TYPE = "text/html; charset=utf-8"


class Item(msgspec.Struct):
    id: str
    url: str


def unpacked(path: Path) -> bytes:
    for ending, unpack in (("", bytes), (".gz", gzip.decompress), (".xz", lzma.decompress)):
        packed = path.with_name(path.name + ending)
        if packed.is_file():
            return unpack(packed.read_bytes())
    raise FileNotFoundError(path)


def processor_ms(pids: list[int]) -> float:
    """What these processes have used so far, as Linux counts it; 0 where nobody does."""
    counts = [path for pid in pids if (path := Path(f"/proc/{pid}/schedstat")).exists()]
    return sum(int(path.read_text().split()[0]) for path in counts) / 1e6


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    wish = parser.parse_args()
    lines = unpacked(wish.corpus / "items.jsonl").decode().split("\n")
    items = [msgspec.json.decode(line, type=Item) for line in lines if line]
    chosen = random.Random(wish.seed).sample(items, min(wish.pages, len(items)))
    names = ("convert", "in the worker", "worker, processor", "trafilatura", "trafilatura, processor")
    times: dict[str, list[float]] = {name: [] for name in names}
    extractor = Extractor(workers=1)
    try:
        for place, item in enumerate([chosen[0], *chosen]):
            data = unpacked(wish.corpus / "pages" / f"{item.id}.html")
            source = Source(data=data, content_type=CONTENT_TYPE, url=item.url)
            start, used_ms = time.perf_counter(), processor_ms(extractor.pids)
            found = await extractor.convert(source, Options(), deadline_s=60)
            wall_ms = (time.perf_counter() - start) * 1000
            worker_ms = processor_ms(extractor.pids) - used_ms
            start, used_s = time.perf_counter(), time.process_time()
            trafilatura.extract(decode(data, CONTENT_TYPE), url=item.url, include_comments=False)
            peer_ms, peer_used_ms = (time.perf_counter() - start) * 1000, (time.process_time() - used_s) * 1000
            # The first page is only there to warm both up.
            if place:
                taken_ms = (wall_ms, found.convert_ms, worker_ms, peer_ms, peer_used_ms)
                for name, ms in zip(names, taken_ms, strict=True):
                    times[name].append(ms)
    finally:
        await extractor.close()
    print(f"{len(chosen)} pages, ms              p50    p95    most")
    for name, taken in times.items():
        taken.sort()
        print(f"{name:24s} {taken[len(taken) // 2]:8.1f} {taken[int(len(taken) * 0.95)]:6.1f} {taken[-1]:7.1f}")


if __name__ == "__main__":
    asyncio.run(main())
