"""Renders pages in the system's Chromium: one browser for all, a context of its own for each page.

The browser has no way out but the proxy that stands for one page (`mira.fetch.render.proxy`); it resolves no name and
keeps nothing. It is started when it is first needed and ended when nobody has needed it for a while.
"""

import asyncio
import os
import shutil
from contextlib import AsyncExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mira.errors import Kind, MiraError
from mira.fetch.egress import USER_AGENT, Egress, Loaded, Permit
from mira.fetch.inflate import too_large
from mira.fetch.render.proxy import REFUSED_HEADER, BrowserProxy
from mira.fetch.urls import parse_url

if TYPE_CHECKING:
    from playwright.async_api import Browser as Chromium
    from playwright.async_api import BrowserContext, Page, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: What the browser itself would connect to, beside pages, finds a proxy that is not there.
_NOWHERE = {"server": "http://127.0.0.1:1", "bypass": "<-loopback>"}
_ARGUMENTS = (
    "--disable-quic",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--js-flags=--max-old-space-size=512",
    "--no-first-run",
)
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "HOME")
#: What a page may look like without.
_LEFT_OUT = frozenset(("image", "media", "font"))
#: What comes in for one page, and the HTML that is taken of it.
_MOST_BYTES = 30 * 1024 * 1024
_MOST_HTML_CHARS = 10 * 1024 * 1024
#: How long a page may go on loading after it is there, in milliseconds, where nothing is waited for.
_SETTLE_MS = 2000
_CLOSE_S = 3.0
_MOST_PAGES = 100


class Browser:
    """Renders at most `at_once` pages at a time. Belongs to one event loop; `close` when done.

    `chromium` is the browser's path, None looks for the usual names. It ends after `idle_s` without a page.
    """

    def __init__(self, egress: Egress, chromium: str | None, *, at_once: int = 2, idle_s: float = 60.0) -> None:
        self._egress = egress
        self._path = chromium or next(filter(None, map(shutil.which, NAMES)), None)
        self._slots = asyncio.Semaphore(at_once)
        self._starting = asyncio.Lock()
        self._idle_s = idle_s
        self._ending: asyncio.TimerHandle | None = None
        self._farewell: asyncio.Task[None] | None = None
        self._playwright: Playwright | None = None
        self._chromium: Chromium | None = None
        self._pages = self._open = 0

    @property
    def obstacle(self) -> str | None:
        """Why nothing can be rendered, in words for the client; None where it can."""
        if find_spec("playwright") is None:
            return "this gateway cannot render pages: the extra `render` (mira[render]) is not installed"
        if self._path is None or not Path(self._path).exists():
            return "this gateway cannot render pages: it has no Chromium"
        return None

    async def render(
        self, url: str, *, permit: Permit, wait_for: str | None, language: str | None, total_s: float
    ) -> Loaded:
        """The page as HTML once its scripts have run; MiraError as of the egress.

        `wait_for` is a CSS selector, waited for as long as the time allows; a page without it is taken as it is then.
        """
        destination = parse_url(url)
        permit(destination)
        await self._egress.addresses(destination)
        until_s = asyncio.get_running_loop().time() + total_s
        try:
            async with asyncio.timeout_at(until_s), self._slots:
                self._open += 1
                try:
                    return await self._rendered(destination.url, permit, wait_for, language, until_s)
                finally:
                    self._open -= 1
                    self._end_later()
        except TimeoutError:
            raise MiraError(Kind.UPSTREAM_TIMEOUT, "The page was not rendered in time.", code="timeout") from None

    async def close(self) -> None:
        """Ends the browser."""
        if self._ending is not None:
            self._ending.cancel()
        if self._farewell is not None:
            await self._farewell
        await self._stop()

    async def _rendered(
        self, url: str, permit: Permit, wait_for: str | None, language: str | None, until_s: float
    ) -> Loaded:
        from playwright.async_api import Error  # noqa: PLC0415 - an extra, and heavy

        async with AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(BrowserProxy(self._egress, permit, most_bytes=_MOST_BYTES))
            try:
                chromium = await self._launched()
                context = await chromium.new_context(
                    proxy={"server": proxy.url, "bypass": "<-loopback>"},
                    service_workers="block",
                    accept_downloads=False,
                    user_agent=USER_AGENT,
                    extra_http_headers={"accept-language": language} if language else None,
                )
                stack.push_async_callback(self._close, context)
                page = await context.new_page()
                await page.route("**/*", _without_media)
                return await _taken(page, url, wait_for, until_s)
            except Error:
                if proxy.refused:
                    raise _not_allowed() from None
                raise MiraError(Kind.UPSTREAM_FAILED, "The page could not be rendered.", code="fetch_failed") from None

    async def _launched(self) -> "Chromium":
        from playwright.async_api import async_playwright  # noqa: PLC0415 - an extra, and heavy

        async with self._starting:
            if self._farewell is not None:
                await self._farewell
            if self._ending is not None:
                self._ending.cancel()
            if self._chromium is not None and (
                not self._chromium.is_connected() or (self._pages >= _MOST_PAGES and self._open == 1)
            ):
                await self._stop()
            if self._chromium is None:
                self._pages = 0
                self._playwright = await async_playwright().start()
                self._chromium = await self._playwright.chromium.launch(
                    executable_path=self._path,
                    args=list(_ARGUMENTS),
                    proxy=_NOWHERE,  # type: ignore[arg-type]  # a TypedDict of these keys
                    env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                    # The sandbox cannot be had by root.
                    chromium_sandbox=os.geteuid() != 0,
                    handle_sigint=False,
                    handle_sigterm=False,
                    handle_sighup=False,
                )
            self._pages += 1
            return self._chromium

    async def _close(self, context: "BrowserContext") -> None:
        """Closes a page's context; a browser that does not do it in time is ended, with all that it has open."""
        from playwright.async_api import Error  # noqa: PLC0415 - an extra, and heavy

        try:
            async with asyncio.timeout(_CLOSE_S):
                await context.close()
        except TimeoutError:
            await self._stop()
        except Error:
            pass

    def _end_later(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        if self._open == 0:
            self._ending = asyncio.get_running_loop().call_later(self._idle_s, self._end)

    def _end(self) -> None:
        self._farewell = asyncio.create_task(self._stop())
        self._farewell.add_done_callback(lambda _: setattr(self, "_farewell", None))

    async def _stop(self) -> None:
        """Ends the browser and its driver, which takes the browser with it where it does not listen."""
        chromium, self._chromium = self._chromium, None
        playwright, self._playwright = self._playwright, None
        if chromium is not None:
            with suppress(Exception):
                async with asyncio.timeout(_CLOSE_S):
                    await chromium.close()
        if playwright is not None:
            with suppress(Exception):
                await playwright.stop()


async def _without_media(route: Any) -> None:
    if route.request.resource_type in _LEFT_OUT:
        await route.abort()
    else:
        await route.continue_()


async def _taken(page: "Page", url: str, wait_for: str | None, until_s: float) -> Loaded:
    """The page's HTML. Read in a world of its own, where the page's scripts cannot change what is read."""
    from playwright.async_api import Error  # noqa: PLC0415 - an extra, and heavy

    def left_ms() -> float:
        return max((until_s - asyncio.get_running_loop().time()) * 1000, 1)

    response = await page.goto(url, wait_until="domcontentloaded", timeout=left_ms())
    if response is None or REFUSED_HEADER in response.headers:
        raise _not_allowed()
    with suppress(Error):
        if wait_for is not None:
            # Leaves time to take what is there.
            await page.wait_for_selector(wait_for, state="attached", timeout=max(left_ms() - 1500, 1))
        else:
            await page.wait_for_load_state("networkidle", timeout=min(_SETTLE_MS, left_ms()))
    session = await page.context.new_cdp_session(page)
    tree = await session.send("Page.getFrameTree")
    world = await session.send("Page.createIsolatedWorld", {"frameId": tree["frameTree"]["frame"]["id"]})
    expression = f"document.documentElement.outerHTML.slice(0, {_MOST_HTML_CHARS + 1})"
    found = await session.send(
        "Runtime.evaluate",
        {"expression": expression, "contextId": world["executionContextId"], "returnByValue": True},
    )
    html = found["result"].get("value")
    if not isinstance(html, str):
        raise MiraError(Kind.UPSTREAM_FAILED, "The page could not be rendered.", code="fetch_failed")
    if len(html) > _MOST_HTML_CHARS:
        raise too_large()
    final = parse_url(page.url).url
    return Loaded(
        data=html.encode("utf-8", "replace"),
        mime_type="text/html",
        content_type="text/html; charset=utf-8",
        final_url=final,
        status=response.status,
        hops=(url, final) if final != url else (url,),
        cache_control=response.headers.get("cache-control", "").lower(),
    )


def _not_allowed() -> MiraError:
    return MiraError(Kind.FORBIDDEN, "This URL may not be loaded.", code="url_not_allowed")
