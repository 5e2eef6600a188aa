"""Fetches a page: from the cache or the site, converted, cut to what was asked for, all within one deadline."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from mira.errors import Kind, MiraError
from mira.fetch import chunks, paging
from mira.fetch.cache import Cache, Entry, Flights, Key, must_ask
from mira.fetch.domains import Domains
from mira.fetch.egress import Egress, Inquiry, Limits, Loaded, Permit, Validators, Wishes
from mira.fetch.extract.shapes import Extracted, Options, Source
from mira.fetch.robots import Robots
from mira.fetch.shapes import Chunk, FetchAnswer, FetchRequest, Timing
from mira.fetch.turns import Place, Turns, rate_limited
from mira.fetch.urls import Destination, parse_url

ACCEPT = "text/markdown, text/html;q=0.9, application/xhtml+xml;q=0.9, */*;q=0.8"
WIRE_BYTES = 10 * 1024 * 1024
BODY_BYTES = 20 * 1024 * 1024
#: What one key, one host and all together have under way, and how many more of each may wait.
PER_KEY, PER_HOST, AT_ONCE = 4, 2, 32
KEY_LINE, HOST_LINE, ALL_LINE = 16, 64, 256
#: Headers of a client that go along.
_LANGUAGE = "accept-language"
_LANGUAGE_VALUE = re.compile(r"[A-Za-z0-9*,;=.\- ]{1,200}")
#: Below so many words a page is thin, and worth a browser where the client wishes one.
_THIN = frozenset(("thin_content", "scripts_needed"))


class Extractor(Protocol):
    """Converts what was loaded, in processes that can be killed (`mira.fetch.extract.pool.Extractor`)."""

    def warm(self) -> None:
        """Gets ready in the background."""

    async def convert(self, source: Source, options: Options, *, deadline_s: float) -> Extracted:
        """The content of what was loaded; MiraError."""


class Browser(Protocol):
    """Renders pages whose text is made by scripts (`mira.fetch.render.browser.Browser`)."""

    @property
    def obstacle(self) -> str | None:
        """Why nothing can be rendered, in words for the client; None where it can."""

    async def render(
        self, url: str, *, permit: Permit, wait_for: str | None, language: str | None, total_s: float
    ) -> Loaded:
        """The page as HTML once its scripts have run; MiraError as of the egress."""


class Who(Struct, frozen=True, kw_only=True):
    """For whom a page is fetched. Turns are counted by key, pages are kept by workspace."""

    workspace_id: str
    key_id: str
    domains: Domains = Domains()


class _Load(Struct, frozen=True, kw_only=True):
    """What is to be loaded and for whom: once for the page as it lies there, and perhaps again by a browser.

    `language` is the checked value of `accept-language`, `until_s` the end of the request on the loop's clock.
    """

    request: FetchRequest
    who: Who
    destination: Destination
    language: str | None
    until_s: float
    rendered: bool


class _Got(Struct, frozen=True, kw_only=True):
    """A page, and how it was come by. `fetch_s` is 0 for what was kept."""

    entry: Entry
    cached: bool
    rendered: bool
    fetch_s: float


class Fetcher:
    """`POST /v1/fetch` without its HTTP and its money. Belongs to one event loop. `now_ms` is Unix milliseconds."""

    def __init__(
        self,
        egress: Egress,
        extractor: Extractor,
        counter: paging.Counter,
        browser: Browser,
        *,
        now_ms: Callable[[], int],
        cache: Cache | None = None,
    ) -> None:
        self._egress = egress
        self._extractor = extractor
        self._counter = counter
        self._browser = browser
        self._now_ms = now_ms
        self._cache = cache or Cache()
        self._flights: Flights[_Got] = Flights()
        self._robots = Robots(egress, now_ms)
        self._keys = Turns(PER_KEY, KEY_LINE)
        self._hosts = Turns(PER_HOST, HOST_LINE)
        self._all = Turns(AT_ONCE, ALL_LINE)

    async def fetch(self, request: FetchRequest, who: Who) -> FetchAnswer:
        """The page. MiraError with the codes of docs/fetch.md; none tells the URL's addresses or the page's words."""
        destination = parse_url(request.url)
        language = _language(request.headers)
        if request.wait_for is not None and request.render == "never":
            raise MiraError(Kind.BAD_REQUEST, "wait_for: needs render auto or always", param="wait_for")
        if request.query and request.format not in ("markdown", "text"):
            raise MiraError(Kind.BAD_REQUEST, "query: needs format markdown or text", param="query")
        if request.render == "always" and self._browser.obstacle is not None:
            raise MiraError(Kind.UNSUPPORTED, f"render: {self._browser.obstacle}", param="render")
        who.domains.check(destination)
        until_s = _clock_s() + request.timeout_ms / 1000
        began = _Progress()
        try:
            async with asyncio.timeout_at(until_s), self._turn(who, began):
                return await self._fetch(
                    _Load(
                        request=request,
                        who=who,
                        destination=destination,
                        language=language,
                        until_s=until_s,
                        rendered=request.render == "always",
                    )
                )
        except TimeoutError:
            if not began.running:
                raise rate_limited() from None
            raise MiraError(Kind.UPSTREAM_TIMEOUT, "The page did not come within timeout_ms.", code="timeout") from None

    @asynccontextmanager
    async def _turn(self, who: Who, began: "_Progress") -> AsyncIterator[None]:
        async with self._keys.turn(who.key_id), self._all.turn(""):
            began.running = True
            yield

    async def _fetch(self, load: _Load) -> FetchAnswer:
        request, until_s = load.request, load.until_s
        self._extractor.warm()
        await self._ask_robots(load, [load.destination])
        warnings: list[str] = []
        got = await self._get(load)
        began_s = _clock_s()
        found = await self._convert(request, got.entry.loaded, until_s)
        if request.render == "auto" and not _THIN.isdisjoint(found.warnings) and _is_page(got.entry.loaded):
            if self._browser.obstacle is None:
                got = await self._get(replace(load, rendered=True))
                found = await self._convert(request, got.entry.loaded, until_s)
            else:
                warnings.append("render_unavailable")
        convert_s = _clock_s() - began_s
        answer = await self._answer(request, got, found, [*found.warnings, *warnings])
        answer.timing_ms = Timing(
            dns=_ms(0.0 if got.cached else got.entry.loaded.dns_s),
            connect=_ms(0.0 if got.cached else got.entry.loaded.connect_s),
            fetch=_ms(got.fetch_s),
            convert=_ms(convert_s),
        )
        return answer

    # The page, kept or loaded

    async def _get(self, load: _Load) -> _Got:
        got = await self._found(load)
        # What was kept may have been loaded for somebody who did not ask, and a browser follows redirects by itself.
        await self._ask_robots(load, [parse_url(hop) for hop in got.entry.loaded.hops])
        return got

    async def _ask_robots(self, load: _Load, hops: Sequence[Destination]) -> None:
        """Asks the robots.txt of addresses, where the client wishes that."""
        if load.request.respect_robots:
            async with Place(self._hosts) as place:
                for hop in hops:
                    await self._robots.check(hop, load.who.domains.check, _entering(place))

    async def _found(self, load: _Load) -> _Got:
        request, who, destination, rendered = load.request, load.who, load.destination, load.rendered
        key = Key(who.workspace_id, destination.url, load.language, rendered, request.wait_for if rendered else None)
        known = self._cache.get(key) if request.max_age > 0 else None
        if known is not None and not must_ask(known.loaded) and self._age_s(known) <= request.max_age:
            await self._may_reach(known.loaded, who.domains)
            return _Got(entry=known, cached=True, rendered=rendered, fetch_s=0.0)

        # Others may wait longer for the same load than who came first.
        total_s = load.until_s - _clock_s() if request.max_age == 0 else Limits().total_s

        async def fly() -> _Got:
            async with Place(self._hosts) as place:
                await _entering(place)(destination)
                began_s = _clock_s()
                got = await self._load(load, key, known, total_s, place)
                return replace(got, fetch_s=0.0 if got.cached else _clock_s() - began_s)

        if request.max_age == 0:
            return await fly()
        return await self._flights.join((key, who.domains, request.respect_robots), fly)

    async def _load(self, load: _Load, key: Key, known: Entry | None, total_s: float, place: Place) -> _Got:
        permit, enter = load.who.domains.check, _entering(place)

        async def inquiry(hop: Destination) -> None:
            if load.request.respect_robots:
                await self._robots.check(hop, permit, enter)
            await enter(hop)

        validators = None
        if key.rendered:
            loaded = await self._browser.render(
                key.url, permit=permit, wait_for=key.wait_for, language=key.language, total_s=total_s
            )
        else:
            if known is not None and (known.loaded.etag or known.loaded.last_modified):
                old = known.loaded
                validators = Validators(url=old.final_url, etag=old.etag, last_modified=old.last_modified)
            loaded = await self._egress.get(
                key.url,
                limits=Limits(total_s=total_s, wire_bytes=WIRE_BYTES, body_bytes=BODY_BYTES),
                wishes=Wishes(
                    accept=ACCEPT, language=key.language, validators=validators, permit=permit, inquiry=inquiry
                ),
            )
        now_ms = self._now_ms()
        if loaded.status == 304 and known is not None and validators is not None:
            entry = Entry(loaded=known.loaded, fetched_at_ms=now_ms)
            self._cache.put(key, entry)
            return _Got(entry=entry, cached=True, rendered=False, fetch_s=0.0)
        entry = Entry(loaded=loaded, fetched_at_ms=now_ms)
        if loaded.status < 500:  # a site that is down for a moment takes nothing from what is known
            self._cache.put(key, entry)
        return _Got(entry=entry, cached=False, rendered=key.rendered, fetch_s=0.0)

    async def _may_reach(self, loaded: Loaded, domains: Domains) -> None:
        """What was allowed when the page was loaded may not be any more; names are looked up as for a load."""
        for url in loaded.hops:
            hop = parse_url(url)
            domains.check(hop)
            await self._egress.addresses(hop)

    def _age_s(self, entry: Entry) -> int:
        return max(0, self._now_ms() - entry.fetched_at_ms) // 1000

    # What is made of it

    async def _convert(self, request: FetchRequest, loaded: Loaded, until_s: float) -> Extracted:
        if not loaded.data:
            return Extracted(content="", format=request.format, warnings=["thin_content"])
        options = Options(
            format=request.format,
            main_content=request.main_content,
            include_selectors=request.include_selectors,
            exclude_selectors=request.exclude_selectors,
            links=request.links,
            images=request.images,
            pages=request.pages,
            mark_headings=bool(request.query),
        )
        source = Source(data=loaded.data, content_type=loaded.content_type, url=loaded.final_url)
        try:
            return await self._extractor.convert(source, options, deadline_s=max(until_s - _clock_s(), 0.0))
        except MiraError as error:
            # What a site says beside its refusal is of less interest than the refusal.
            if loaded.status >= 400 and error.kind in (Kind.BAD_MEDIA_TYPE, Kind.UPSTREAM_FAILED):
                return Extracted(content="", format=request.format, warnings=["thin_content"])
            raise

    async def _answer(self, request: FetchRequest, got: _Got, found: Extracted, warnings: list[str]) -> FetchAnswer:
        loaded = got.entry.loaded
        text = found.content
        answer = FetchAnswer(
            url=request.url,
            final_url=loaded.final_url,
            status=loaded.status,
            content_type=loaded.content_type,
            title=found.title,
            format=found.format,
            content=text,
            encoding=found.encoding,
            metadata=found.metadata,
            links=found.links,
            tokens=0,
            total_tokens=0,
            truncated=False,
            next_offset=None,
            cached=got.cached,
            age_s=self._age_s(got.entry),
            fetched_at=_rfc3339(got.entry.fetched_at_ms),
            rendered=got.rendered,
            warnings=warnings,
            timing_ms=Timing(),
        )
        if found.encoding == "base64":
            return answer
        if request.query:
            # In a thread: the longest texts take a while.
            best = await asyncio.to_thread(chunks.best, text, request.query, request.max_chunks)
            answer.chunks = [Chunk(headings=list(section.headings), score=section.score) for section in best]
            text = "\n\n".join(section.text for section in best)
        page = await paging.cut(self._counter, text, max_tokens=request.max_tokens, offset=request.offset)
        answer.content = page.content
        if found.format == "markdown":
            answer.markdown = page.content
        answer.tokens, answer.total_tokens = page.tokens, page.total_tokens
        answer.next_offset, answer.truncated = page.next_offset, page.next_offset is not None
        return answer


def _entering(place: Place) -> Inquiry:
    """Waits for a turn at the host of an address, and gives back the one before."""

    async def enter(destination: Destination) -> None:
        await place.move(f"{destination.host}:{destination.port}")

    return enter


class _Progress:
    """Whether the turn has come."""

    running = False


def _language(headers: dict[str, str]) -> str | None:
    language = None
    for name, value in headers.items():
        if name.lower() != _LANGUAGE:
            message = f"headers.{name[:50]}: only {_LANGUAGE} may be sent along"
            raise MiraError(Kind.BAD_REQUEST, message, param=f"headers.{name[:50]}")
        if not _LANGUAGE_VALUE.fullmatch(value):
            message = f"headers.{_LANGUAGE}: must be a list such as en, de;q=0.5"
            raise MiraError(Kind.BAD_REQUEST, message, param=f"headers.{_LANGUAGE}")
        language = value
    return language


def _is_page(loaded: Loaded) -> bool:
    return loaded.mime_type in ("text/html", "application/xhtml+xml")


def _clock_s() -> float:
    return asyncio.get_running_loop().time()


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _rfc3339(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
