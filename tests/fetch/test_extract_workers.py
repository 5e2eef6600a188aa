"""Pages are converted in processes that are bounded, replaceable, and never outlive their work or their parent."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from mira.errors import Kind, MiraError
from mira.fetch.extract.pool import Extractor
from mira.fetch.extract.shapes import Options, Source

SENTENCE = "The river rises in the hills above the town and reaches the sea after two days of slow travel. "
PAGE = f"<html><head><title>Rivers</title></head><body><h1>Rivers</h1><p>{SENTENCE * 6}</p></body></html>"
LONG_S = 120.0


def source(html: str = PAGE, content_type: str = "text/html; charset=utf-8") -> Source:
    return Source(data=html.encode(), content_type=content_type, url="https://example.com/rivers")


@pytest.fixture
async def extractor():
    pool = Extractor(workers=1)
    yield pool
    await pool.close()


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


async def until(reached) -> None:
    """Polls a condition, with patience."""
    async with asyncio.timeout(LONG_S):
        while not reached():  # noqa: ASYNC110 - processes begin and end unannounced
            await asyncio.sleep(0.01)


async def gone(pid: int) -> None:
    await until(lambda: not lives(pid))


async def test_a_page_comes_back_as_markdown(extractor) -> None:
    found = await extractor.convert(source(), Options(), deadline_s=LONG_S)
    assert found.title == "Rivers"
    assert "The river rises" in found.content
    assert found.convert_ms > 0


async def test_no_worker_runs_before_the_first_page_and_one_is_kept_for_the_next(extractor) -> None:
    assert extractor.pids == []
    await extractor.convert(source(), Options(), deadline_s=LONG_S)
    first = extractor.pids
    await extractor.convert(source(), Options(), deadline_s=LONG_S)
    assert len(first) == 1
    assert extractor.pids == first


async def test_a_worker_can_be_started_ahead(extractor) -> None:
    extractor.warm()
    extractor.warm()
    await until(lambda: extractor.pids)
    ahead = extractor.pids
    await extractor.convert(source(), Options(), deadline_s=LONG_S)
    assert extractor.pids == ahead


async def test_a_late_page_is_an_error_and_its_worker_is_killed(extractor) -> None:
    await extractor.convert(source(), Options(), deadline_s=LONG_S)
    (pid,) = extractor.pids
    with pytest.raises(MiraError) as error:
        await extractor.convert(source("<p>" + SENTENCE * 40_000), Options(), deadline_s=0.05)
    assert (error.value.kind, error.value.code) == (Kind.UPSTREAM_TIMEOUT, "timeout")
    await gone(pid)
    assert "The river" in (await extractor.convert(source(), Options(), deadline_s=LONG_S)).content


async def test_a_page_that_takes_too_much_processor_time_ends_its_worker_only() -> None:
    pool = Extractor(workers=1, cpu_s=0)
    try:
        with pytest.raises(MiraError) as error:
            await pool.convert(source("<div><p>x y z</p><a href=b>c</a></div>" * 150_000), Options(), deadline_s=LONG_S)
        assert (error.value.kind, error.value.code) == (Kind.UPSTREAM_FAILED, "fetch_failed")
        pool._cpu_s = 60
        assert "The river" in (await pool.convert(source(), Options(), deadline_s=LONG_S)).content
    finally:
        await pool.close()


async def test_a_killed_worker_is_replaced(extractor) -> None:
    await extractor.convert(source(), Options(), deadline_s=LONG_S)
    (pid,) = extractor.pids
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not extractor.pids)
    assert "The river" in (await extractor.convert(source(), Options(), deadline_s=LONG_S)).content
    assert extractor.pids != [pid]


async def test_a_worker_is_replaced_after_its_share_of_pages() -> None:
    pool = Extractor(workers=1, pages=2)
    try:
        seen = set()
        for _ in range(4):
            await pool.convert(source(), Options(), deadline_s=LONG_S)
            seen.update(pool.pids)
        assert len(seen) == 2
    finally:
        await pool.close()


async def test_an_idle_worker_ends() -> None:
    pool = Extractor(workers=1, idle_s=0.05)
    try:
        await pool.convert(source(), Options(), deadline_s=LONG_S)
        await until(lambda: not pool.pids)
    finally:
        await pool.close()


async def test_too_many_pages_are_refused_at_once() -> None:
    pool = Extractor(workers=1, max_waiting=1)
    try:
        running = asyncio.create_task(pool.convert(source(), Options(), deadline_s=LONG_S))
        waiting = asyncio.create_task(pool.convert(source(), Options(), deadline_s=LONG_S))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(MiraError) as error:
            await pool.convert(source(), Options(), deadline_s=LONG_S)
        assert error.value.kind is Kind.UNAVAILABLE
        assert "The river" in (await running).content
        assert "The river" in (await waiting).content
    finally:
        await pool.close()


async def test_a_caller_who_leaves_takes_the_worker_along(extractor) -> None:
    await extractor.convert(source(), Options(), deadline_s=LONG_S)
    (pid,) = extractor.pids
    task = asyncio.create_task(extractor.convert(source("<p>" + SENTENCE * 40_000), Options(), deadline_s=LONG_S))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await gone(pid)
    assert "The river" in (await extractor.convert(source(), Options(), deadline_s=LONG_S)).content


async def test_closing_ends_the_workers_and_refuses_pages(extractor) -> None:
    await extractor.convert(source(), Options(), deadline_s=LONG_S)
    (pid,) = extractor.pids
    await extractor.close()
    assert not lives(pid)
    with pytest.raises(MiraError):
        await extractor.convert(source(), Options(), deadline_s=LONG_S)


async def test_a_worker_sees_no_secret_of_the_gateway(extractor, monkeypatch) -> None:
    monkeypatch.setenv("MIRA_SECRET_KEY", "not-for-workers")
    await extractor.convert(source(), Options(), deadline_s=LONG_S)
    (pid,) = extractor.pids
    assert b"not-for-workers" not in environment_of(pid)


async def test_a_worker_ends_with_its_parent() -> None:
    script = (
        "import asyncio\nfrom mira.fetch.extract.pool import Extractor\n"
        "async def main():\n  pool = Extractor(); pool.warm()\n"
        "  while not pool.pids: await asyncio.sleep(0.01)\n"
        "  print(pool.pids[0], flush=True); await asyncio.sleep(3600)\nasyncio.run(main())"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-P", "-c", script, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()
    await gone(pid)


REFUSED = [
    ("image/png", {}, Kind.BAD_MEDIA_TYPE, "unsupported_content_type", None),
    ("application/pdf", {"pages": "x"}, Kind.BAD_REQUEST, None, "pages"),
    ("text/html", {"include_selectors": ["a["]}, Kind.BAD_REQUEST, None, "include_selectors"),
    ("application/pdf", {}, Kind.UPSTREAM_FAILED, "fetch_failed", None),
]


@pytest.mark.parametrize(("content_type", "options", "kind", "code", "param"), REFUSED)
async def test_what_cannot_be_converted_is_told_by_name(extractor, content_type, options, kind, code, param) -> None:
    data = PDF if "pages" in options else PAGE
    with pytest.raises(MiraError) as error:
        await extractor.convert(source(data, content_type), Options(**options), deadline_s=LONG_S)
    assert (error.value.kind, error.value.code, error.value.param) == (kind, code, param)


PDF = (
    "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
HOSTILE = {
    "attributes": "<p>before</p><div " + " ".join(f"a{n}=1" for n in range(300_000)) + ">inside</div>",
    "attributes that hold brackets": "<div " + " ".join(f"a{n}='>'" for n in range(300_000)) + ">inside</div>",
    "many large tags": ("<p " + " ".join(f"a{n}" for n in range(250)) + ">x</p>") * 2_000,
    "depth": "<div>" * 200_000 + "deep" + "</div>" * 200_000,
    "inline depth": "<b><i><a href=x>" * 70_000 + "deep",
    "giant tag": "<p>before</p><a title='" + "x" * 3_000_000 + "'>text</a>",
    "open tags": "<a" * 1_000_000,
    "open quotes": '<a b="' * 500_000,
    "open comments": "<!--" * 500_000,
    "open scripts": "<script>" * 300_000,
    "cells": "<table>" + "<tr><td>1<td>2" * 60_000,
    "nested tables": "<table><tr><td>" * 2_000 + "x",
    "list items": "<ul><li>x" * 100_000,
    "one long word": "<p>" + "x" * 5_000_000,
    "brackets": "<p>" + "[](" * 500_000,
    "entities": "<p>" + "&lt;&amp;#x41;" * 200_000,
    "unclosed button": "<button>" + f"<p>{SENTENCE}</p>" * 500,
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_page_gives_text_or_an_error_in_time(hostile_pool, name) -> None:
    with suppress(MiraError):
        found = await hostile_pool.convert(source("<html><body>" + HOSTILE[name]), Options(), deadline_s=LONG_S)
        assert len(found.content) < 12_000_000
    assert "The river" in (await hostile_pool.convert(source(), Options(), deadline_s=LONG_S)).content


async def test_a_bomb_of_entities_stays_small(hostile_pool) -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha" * 10}">' for n in range(12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE r [{laughs}]><rss><channel><title>&l11;</title></channel></rss>'
    for content_type in ("application/rss+xml", "text/xml", "text/html", "application/xhtml+xml"):
        found = await hostile_pool.convert(source(bomb, content_type), Options(), deadline_s=LONG_S)
        assert len(found.content) < 100_000


@pytest.fixture
async def hostile_pool():
    pool = Extractor(workers=1)
    yield pool
    await pool.close()
