"""How long pages take in an extraction worker, beside trafilatura alone on the same pages in this process.

    uv run python benchmarks/extraction.py CORPUS [--pages 100] [--seed 1]

CORPUS is a folder with `items.jsonl` (id, url) and `pages/ID.html`, each plain or packed as `.gz` or `.xz`. Told are
the medians and 95th percentiles of the wall time of `Extractor.convert`, of the worker's own time, and of trafilatura,
page by page in turns, so that other work on the machine disturbs both alike.
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


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    wish = parser.parse_args()
    lines = unpacked(wish.corpus / "items.jsonl").decode().split("\n")
    items = [msgspec.json.decode(line, type=Item) for line in lines if line]
    chosen = random.Random(wish.seed).sample(items, min(wish.pages, len(items)))
    times: dict[str, list[float]] = {"convert": [], "in the worker": [], "trafilatura": []}
    extractor = Extractor(workers=1)
    try:
        for place, item in enumerate([chosen[0], *chosen]):
            data = unpacked(wish.corpus / "pages" / f"{item.id}.html")
            source = Source(data=data, content_type=CONTENT_TYPE, url=item.url)
            start = time.perf_counter()
            found = await extractor.convert(source, Options(), deadline_s=60)
            wall_ms = (time.perf_counter() - start) * 1000
            start = time.perf_counter()
            trafilatura.extract(decode(data, CONTENT_TYPE), url=item.url, include_comments=False)
            peer_ms = (time.perf_counter() - start) * 1000
            # The first page is only there to warm both up.
            if place:
                for name, taken_ms in zip(times, (wall_ms, found.convert_ms, peer_ms), strict=True):
                    times[name].append(taken_ms)
    finally:
        await extractor.close()
    print(f"{len(chosen)} pages, ms          p50    p95    most")
    for name, taken in times.items():
        taken.sort()
        print(f"{name:20s} {taken[len(taken) // 2]:8.1f} {taken[int(len(taken) * 0.95)]:6.1f} {taken[-1]:7.1f}")


if __name__ == "__main__":
    asyncio.run(main())
