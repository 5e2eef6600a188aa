"""Fetching: what is kept and for how long, who waits for whom, what is refused, what is told."""

import asyncio
from typing import Any

import pytest
from loopback_web import PUBLIC, Web, ok, redirect
from msgspec import UNSET

from mira.errors import Kind, MiraError
from mira.fetch.addresses import parse_allowed
from mira.fetch.cache import Cache, Entry, Key
from mira.fetch.domains import Domains, parse_domain
from mira.fetch.egress import Loaded
from mira.fetch.extract.documents import Refusing, convert
from mira.fetch.service import KEY_LINE, PER_HOST, PER_KEY, Fetcher, Who
from mira.fetch.shapes import FetchRequest
from mira.fetch.urls import parse_url

PAGE = b"<html><head><title>Rivers</title></head><body><main><h1>Rivers</h1><p>Water flows downhill.</p></main></body></html>"
LONG = (
    b"<html><body><main><h1>Long</h1>" + b"<p>" + b"many words stand here in a row " * 20 + b"</p></main></body></html>"
)


EVERY_SITE = Domains()


class InProcess:
    """The conversion without its processes."""

    def warm(self) -> None:
        pass

    async def convert(self, source, options, *, deadline_s):
        try:
            return convert(source, options)
        except Refusing as refusal:
            raise MiraError(Kind.BAD_MEDIA_TYPE, refusal.reason, code="unsupported_content_type") from None


class Words:
    async def count_each(self, texts):
        return [len(text.split()) for text in texts]


class Renderer:
    """A browser that knows one page."""

    obstacle: str | None = None

    def __init__(self) -> None:
        self.urls: list[str] = []

    async def render(self, url, *, permit, wait_for, language, total_s):
        self.urls.append(url)
        return Loaded(
            data=LONG, mime_type="text/html", content_type="text/html", final_url=url, status=200, hops=(url,)
        )


class Desk:
    """A fetcher in front of the small web, with a clock that stands still."""

    def __init__(self, web: Web, **more: Any) -> None:
        self.web = web
        self.now_ms = 1_000_000
        self.egress = web.egress()
        self.browser = Renderer()
        self.fetcher = Fetcher(self.egress, InProcess(), Words(), self.browser, now_ms=lambda: self.now_ms, **more)
        web.site.answer = lambda path: ok(PAGE, mime="text/html")

    async def fetch(self, path: str = "/", who: str = "ws", domains: Domains = EVERY_SITE, **fields: Any):
        url = path if "://" in path else f"http://public.test:{self.web.site.port}{path}"
        asker = Who(workspace_id=who, key_id=f"key of {who}", domains=domains)
        return await self.fetcher.fetch(FetchRequest(url=url, **fields), asker)

    async def refused(self, path: str = "/", **fields: Any) -> MiraError:
        with pytest.raises(MiraError) as caught:
            await self.fetch(path, **fields)
        return caught.value


@pytest.fixture
def desk(web: Web) -> Desk:
    return Desk(web)


async def test_a_page_is_told_with_what_it_is(desk: Desk) -> None:
    found = await desk.fetch("/a#part")
    assert (found.title, found.content, found.markdown) == ("Rivers", *["# Rivers\n\nWater flows downhill.\n"] * 2)
    assert found.final_url == f"http://public.test:{desk.web.site.port}/a"
    assert (found.status, found.tokens, found.truncated, found.cached, found.age_s) == (200, 5, False, False, 0)
    assert found.fetched_at == "1970-01-01T00:16:40.000Z"
    assert found.warnings == ["thin_content"]
    assert "accept: text/markdown" in desk.web.site.heads[0]


async def test_a_page_is_kept_for_as_long_as_the_client_takes_it(desk: Desk) -> None:
    await desk.fetch()
    desk.now_ms += 60_000
    found = await desk.fetch(max_age=60)
    assert (found.cached, found.age_s, found.timing_ms.fetch) == (True, 60, 0.0)
    desk.now_ms += 1000
    assert (await desk.fetch(max_age=60)).cached is False
    assert desk.web.site.connections == 2


async def test_what_is_kept_is_the_source_and_not_one_reading_of_it(desk: Desk) -> None:
    await desk.fetch()
    found = await desk.fetch(format="raw")
    assert (found.cached, found.content) == (True, PAGE.decode())
    assert found.markdown is UNSET


async def test_a_maximum_age_of_zero_asks_the_site(desk: Desk) -> None:
    await desk.fetch()
    assert (await desk.fetch(max_age=0)).cached is False
    assert desk.web.site.connections == 2


@pytest.mark.parametrize("line", ["cache-control: no-store", "cache-control: max-age=60, Private", "vary: *"])
async def test_what_a_site_keeps_to_itself_is_not_kept(desk: Desk, line: str) -> None:
    desk.web.site.answer = lambda path: ok(PAGE, line, mime="text/html")
    await desk.fetch()
    assert (await desk.fetch()).cached is False


async def test_a_failed_page_is_told_and_not_kept(desk: Desk) -> None:
    gone = b"HTTP/1.1 404 Gone\r\ncontent-type: text/html\r\ncontent-length: 11\r\n\r\n<p>gone</p>"
    desk.web.site.answer = lambda path: gone
    found = await desk.fetch()
    assert (found.status, found.content) == (404, "gone\n")
    assert (await desk.fetch()).cached is False


async def test_an_old_page_is_asked_for_again_by_its_validators(desk: Desk) -> None:
    first = ok(PAGE, 'etag: "v1"', "last-modified: Sat, 21 Nov 2026 10:00:00 GMT", mime="text/html")
    desk.web.site.answer = lambda path: first
    await desk.fetch()
    desk.web.site.answer = lambda path: b'HTTP/1.1 304 Not Modified\r\netag: "v1"\r\n\r\n'
    desk.now_ms += 10_000_000
    found = await desk.fetch()
    assert (found.cached, found.age_s, found.status) == (True, 0, 200)
    assert found.content.startswith("# Rivers")
    assert 'if-none-match: "v1"' in desk.web.site.heads[1]
    assert "if-modified-since: Sat, 21 Nov 2026 10:00:00 GMT" in desk.web.site.heads[1]
    # It is young again.
    assert (await desk.fetch()).cached
    assert desk.web.site.connections == 2


async def test_a_site_that_wants_to_be_asked_each_time_is(desk: Desk) -> None:
    desk.web.site.answer = lambda path: ok(PAGE, "cache-control: no-cache", 'etag: "v1"', mime="text/html")
    await desk.fetch()
    await desk.fetch()
    assert 'if-none-match: "v1"' in desk.web.site.heads[1]


async def test_workspaces_languages_and_keys_of_other_sites_do_not_share_pages(desk: Desk) -> None:
    await desk.fetch()
    assert (await desk.fetch(who="other")).cached is False
    assert (await desk.fetch(headers={"Accept-Language": "de"})).cached is False
    assert "accept-language: de" in desk.web.site.heads[2]
    blocked = await desk.refused(domains=Domains(block=("public.test",)))
    assert (blocked.kind, blocked.code) == (Kind.FORBIDDEN, "url_not_allowed")


async def test_a_kept_page_is_refused_once_its_address_may_not_be_reached_any_more(desk: Desk) -> None:
    desk.web.names["moves.test"] = [[PUBLIC]]
    url = f"http://moves.test:{desk.web.site.port}/"
    await desk.fetch(url)
    assert (await desk.fetch(url)).cached
    desk.web.names["moves.test"] = [["127.0.0.1"]]
    assert (await desk.refused(url)).code == "url_not_allowed"
    # Also what the operator allowed, and does not any more.
    here = f"http://127.0.0.1:{desk.web.site.port}/"
    desk.egress.allow(parse_allowed([f"127.0.0.1:{desk.web.site.port}"]))
    await desk.fetch(here)
    assert (await desk.fetch(here)).cached
    desk.egress.allow(parse_allowed([]))
    assert (await desk.refused(here)).code == "url_not_allowed"


async def test_a_kept_redirect_is_checked_at_every_hop(desk: Desk) -> None:
    desk.web.names["hop.test"] = [[PUBLIC]]
    target = f"http://hop.test:{desk.web.site.port}/end"
    desk.web.site.answer = lambda path: ok(PAGE, mime="text/html") if path == "/end" else redirect(target)
    assert (await desk.fetch("/start")).final_url == target
    assert (await desk.fetch("/start")).cached
    assert (await desk.refused("/start", domains=Domains(allow=("public.test",)))).code == "url_not_allowed"
    assert (await desk.refused("/start", domains=Domains(block=("hop.test",)))).code == "url_not_allowed"


def test_domains_hold_all_below_them_and_nothing_beside() -> None:
    lists = Domains(allow=("example.org",), block=("private.example.org",))
    lists.check(parse_url("http://example.org/"))
    lists.check(parse_url("http://a.b.EXAMPLE.org/"))
    for url in ("http://badexample.org/", "http://example.org.evil.test/", "http://x.private.example.org/"):
        with pytest.raises(MiraError):
            lists.check(parse_url(url))
    assert parse_domain("*.Bücher.example") == "xn--bcher-kva.example"
    for wrong in ("", "http://a", "a/b", "a:80:80", "a b"):
        with pytest.raises(MiraError):
            parse_domain(wrong)


async def test_many_who_want_the_same_page_wait_for_one_load(desk: Desk) -> None:
    answers = [desk.fetch("/same") for _ in range(PER_KEY)]
    found = await asyncio.gather(*answers, desk.fetch("/same", who="other"))
    assert all(page.content == found[0].content for page in found)
    assert desk.web.site.connections == 2


async def test_one_who_leaves_does_not_take_the_page_from_the_others(desk: Desk) -> None:
    desk.web.site.answer = lambda path: b""
    first = asyncio.create_task(desk.fetch("/same"))
    second = asyncio.create_task(desk.fetch("/same"))
    async with asyncio.timeout(120):
        await desk.web.site.asked.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not desk.web.site.left.is_set()
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        # The last one has gone: nobody wants the page any more.
        await desk.web.site.left.wait()
    desk.web.site.answer = lambda path: ok(PAGE, mime="text/html")
    assert (await desk.fetch("/same")).status == 200


async def test_the_memory_of_pages_is_bounded(web: Web) -> None:
    cache = Cache(most_bytes=10_000)
    for number in range(100):
        url = f"http://public.test/{number}"
        loaded = Loaded(data=bytes(1000), mime_type="", content_type="", final_url=url, status=200, hops=(url,))
        cache.put(Key("ws", url, None, False), Entry(loaded=loaded, fetched_at_ms=0))
        assert cache.size_bytes <= 10_000
    assert cache.get(Key("ws", "http://public.test/99", None, False)) is not None
    assert cache.get(Key("ws", "http://public.test/0", None, False)) is None


@pytest.mark.parametrize(
    ("robots", "allowed"),
    [
        (b"User-agent: *\nDisallow: /private\n", False),
        (b"User-agent: mira\nDisallow: /\nUser-agent: *\nAllow: /\n", False),
        (b"User-agent: *\nDisallow: /\nAllow: /private/page\n", True),
        (b"User-agent: other\nDisallow: /\n", True),
    ],
)
async def test_robots_are_asked_where_the_client_wishes_it(desk: Desk, robots: bytes, allowed: bool) -> None:
    pages = {"/robots.txt": ok(robots, mime="text/plain")}
    desk.web.site.answer = lambda path: pages.get(path, ok(PAGE, mime="text/html"))
    if allowed:
        assert (await desk.fetch("/private/page", respect_robots=True)).status == 200
    else:
        assert (await desk.refused("/private/page", respect_robots=True)).code == "url_not_allowed"
    assert (await desk.fetch("/private/page")).status == 200


async def test_a_redirect_leads_nowhere_that_robots_close(desk: Desk) -> None:
    pages = {
        "/robots.txt": ok(b"User-agent: *\nDisallow: /private\n", mime="text/plain"),
        "/open": b"HTTP/1.1 302 Found\r\nlocation: /private/page\r\ncontent-length: 0\r\n\r\n",
    }
    asked: list[str] = []

    def answer(path: str) -> bytes:
        asked.append(path)
        return pages.get(path, ok(PAGE, mime="text/html"))

    desk.web.site.answer = answer
    assert (await desk.refused("/open", respect_robots=True)).code == "url_not_allowed"
    assert asked == ["/robots.txt", "/open"]
    # Kept for somebody who did not ask, it stays closed to who does.
    assert (await desk.fetch("/open")).status == 200
    assert (await desk.refused("/open", respect_robots=True)).code == "url_not_allowed"
    assert asked == ["/robots.txt", "/open", "/open", "/private/page"]


@pytest.mark.parametrize(("status", "allowed"), [(404, True), (403, True), (500, False), (503, False)])
async def test_a_site_without_robots_is_open_and_one_that_cannot_tell_is_not(
    desk: Desk, status: int, allowed: bool
) -> None:
    failed = f"HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n".encode()
    desk.web.site.answer = lambda path: failed if path == "/robots.txt" else ok(PAGE, mime="text/html")
    if allowed:
        assert (await desk.fetch(respect_robots=True)).status == 200
    else:
        assert (await desk.refused(respect_robots=True)).code == "url_not_allowed"


@pytest.mark.parametrize("name", ["authorization", "Cookie", "x-forwarded-for", "host"])
async def test_only_the_language_may_be_sent_along(desk: Desk, name: str) -> None:
    error = await desk.refused(headers={name: "x"})
    assert (error.kind, error.param) == (Kind.BAD_REQUEST, f"headers.{name}")
    assert (await desk.refused(headers={"accept-language": "de\r\nx: y"})).kind is Kind.BAD_REQUEST
    assert desk.web.site.connections == 0


async def test_a_browser_is_asked_only_where_the_page_is_thin_and_the_client_wishes_it(desk: Desk) -> None:
    await desk.fetch()
    assert desk.browser.urls == []
    found = await desk.fetch(render="auto")
    assert (found.rendered, len(desk.browser.urls)) == (True, 1)
    desk.web.site.answer = lambda path: ok(LONG, mime="text/html")
    assert (await desk.fetch("/long", render="auto")).rendered is False
    assert (await desk.fetch("/long", render="always")).rendered is True
    assert len(desk.browser.urls) == 2
    # What somebody else's page did not wait for may not be in it.
    assert (await desk.fetch("/long", render="always", wait_for="#late")).cached is False
    assert (await desk.fetch("/long", render="always", wait_for="#late")).cached is True
    assert len(desk.browser.urls) == 3


async def test_a_gateway_without_a_browser_says_so(desk: Desk) -> None:
    desk.browser.obstacle = "there is none"
    error = await desk.refused(render="always")
    assert (error.kind, error.param, error.message) == (Kind.UNSUPPORTED, "render", "render: there is none")
    assert "render_unavailable" in (await desk.fetch(render="auto")).warnings
    assert (await desk.refused(wait_for="#x")).param == "wait_for"


async def test_sections_that_fit_a_question_are_told_alone(desk: Desk) -> None:
    page = b"<main><h1>Rivers</h1><h2>Nile</h2><p>Crocodiles live here.</p><h2>Rhine</h2><p>Castles stand.</p></main>"
    desk.web.site.answer = lambda path: ok(page, mime="text/html")
    found = await desk.fetch(query="castle")
    assert found.content == "## Rhine\n\nCastles stand."
    assert [chunk.headings for chunk in found.chunks] == [["Rivers", "Rhine"]]
    assert (await desk.fetch(query="submarine")).content == ""
    desk.web.site.answer = lambda path: ok(page.replace(b"Rhine", b"<div>Rhine</div>"), mime="text/html")
    text = await desk.fetch("/text", query="castle", format="text")
    assert (text.content, text.chunks[0].headings) == ("Rhine\nCastles stand.", ["Rivers", "Rhine"])
    for name in ("html", "raw"):
        error = await desk.refused(query="castle", format=name)
        assert (error.status, error.param) == (400, "query")


async def test_a_key_that_wants_too_much_at_once_is_sent_away(desk: Desk) -> None:
    desk.web.site.answer = lambda path: b""
    waiting = [asyncio.create_task(desk.fetch(f"/{n}")) for n in range(PER_KEY + KEY_LINE)]
    async with asyncio.timeout(120):
        await desk.web.site.asked.wait()
        error = await desk.refused("/more")
        assert (error.status, error.code) == (429, "rate_limited")
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    desk.web.site.answer = lambda path: ok(PAGE, mime="text/html")
    assert (await desk.fetch("/more")).status == 200


async def test_one_host_is_asked_for_two_pages_at_a_time(desk: Desk) -> None:
    desk.web.names["other.test"] = [[PUBLIC]]
    desk.web.site.answer = lambda path: ok(PAGE, mime="text/html") if path == "/other" else b""
    waiting = [asyncio.create_task(desk.fetch(f"/{n}", timeout_ms=20_000)) for n in range(PER_KEY)]
    # Whoever may ask has asked by the time that another host, which was asked after them, has answered.
    for _ in range(3):
        found = await desk.fetch(f"http://other.test:{desk.web.site.port}/other", who="other", max_age=0)
        assert found.status == 200
    assert len([head for head in desk.web.site.heads if "/other " not in head]) == PER_HOST
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_host_is_asked_for_its_robots_by_two_at_a_time(desk: Desk) -> None:
    desk.web.names["other.test"] = [[PUBLIC]]
    gate = asyncio.Event()
    desk.web.site.held = ("/robots.txt", gate)
    asking = [
        asyncio.create_task(desk.fetch(f"/{n}", respect_robots=True, timeout_ms=20_000)) for n in range(PER_HOST + 1)
    ]
    loading = [asyncio.create_task(desk.fetch("/page", who="other", timeout_ms=20_000))]
    # Whoever may ask has asked by the time that another host, which was asked after them, has answered.
    for _ in range(3):
        await desk.fetch(f"http://other.test:{desk.web.site.port}/other", who="other", max_age=0)
    assert desk.web.site.paths("/robots.txt", "/page", "/0", "/1", "/2") == ["/robots.txt"] * PER_HOST
    gate.set()
    assert [page.status for page in await asyncio.gather(*asking, *loading)] == [200] * (PER_HOST + 2)
    # Who came third found the robots.txt that the others had loaded.
    assert len(desk.web.site.paths("/robots.txt")) == PER_HOST


@pytest.mark.parametrize("target", ["the same host", "the other host"])
async def test_pages_that_redirect_do_not_wait_for_each_other_to_ask_robots(desk: Desk, target: str) -> None:
    """All places of two hosts are taken by pages that lead to one whose robots are not known any more."""
    hosts = ("here.test", "there.test")
    for host in hosts:
        desk.web.names[host] = [[PUBLIC]]
    gate, port = asyncio.Event(), desk.web.site.port
    desk.web.site.held = ("/from", gate)

    def answer(path: str) -> bytes:
        if path == "/robots.txt":
            return ok(b"User-agent: *\nDisallow: /private\n", mime="text/plain")
        if not path.startswith("/from"):
            return ok(PAGE, mime="text/html")
        own = hosts.index(path.partition("?")[2].rstrip("01"))
        return redirect(f"http://{hosts[own if target == 'the same host' else 1 - own]}:{port}/end")

    desk.web.site.answer = answer
    loads = [
        asyncio.create_task(desk.fetch(f"http://{host}:{port}/from?{host}{n}", respect_robots=True, timeout_ms=20_000))
        for host in hosts
        for n in range(PER_HOST)
    ]
    await desk.web.site.came("/from", len(loads))
    desk.now_ms += 2 * 3600 * 1000
    gate.set()
    assert [page.status for page in await asyncio.gather(*loads)] == [200] * len(loads)


async def test_a_redirected_page_counts_where_it_leads(desk: Desk) -> None:
    for host in ("from.test", "to.test", "other.test"):
        desk.web.names[host] = [[PUBLIC]]
    port, gate = desk.web.site.port, asyncio.Event()
    desk.web.site.held = ("/end", gate)
    desk.web.site.answer = lambda path: (
        redirect(f"http://to.test:{port}/end{path[6:]}") if path.startswith("/start") else ok(PAGE, mime="text/html")
    )
    loads = [
        asyncio.create_task(desk.fetch(f"http://from.test:{port}/start{n}", timeout_ms=20_000)) for n in range(PER_KEY)
    ]
    await desk.web.site.came("/start", len(loads))
    for _ in range(3):
        await desk.fetch(f"http://other.test:{port}/other", who="other", max_age=0)
    assert len(desk.web.site.paths("/end")) == PER_HOST
    gate.set()
    assert [page.status for page in await asyncio.gather(*loads)] == [200] * len(loads)


async def test_who_is_in_a_hurry_does_not_close_a_site_to_others(desk: Desk) -> None:
    gate = asyncio.Event()
    desk.web.site.held = ("/robots.txt", gate)
    error = await desk.refused(respect_robots=True, timeout_ms=100)
    assert error.code in ("timeout", "rate_limited")
    gate.set()
    assert (await desk.fetch(respect_robots=True)).status == 200


async def test_a_page_that_does_not_come_is_left_in_time(desk: Desk) -> None:
    desk.web.site.answer = lambda path: b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"
    while not desk.web.site.connections:  # the time may be over before a busy machine has begun
        error = await desk.refused(timeout_ms=200)
        assert (error.status, error.code) == (504, "timeout")
    async with asyncio.timeout(120):
        await desk.web.site.left.wait()
