"""One Chromium for the portal's tests, and pages in it that remember everything which should not have happened."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ("--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync")
#: Scripts that Playwright puts in run before the page's own and outside of its policy, so none of its breaches escapes.
TELL_VIOLATIONS = """addEventListener("securitypolicyviolation", event =>
  console.error(`CSP: ${event.violatedDirective} refused ${event.blockedURI}`))"""
WIDTHS_PX = {"wide": 1440, "phone": 390, "narrow": 360}
PATIENCE_MS = 120_000.0


def chromium_path() -> str | None:
    """The system's Chromium; None where only Playwright may have brought one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def obstacle() -> str | None:
    """Why no browser can be had here; None where one can."""
    if chromium_path() is not None:
        return None
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    return None if own.exists() else "no Chromium: install Debian's `chromium`, or run `playwright install chromium`"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window, until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(),
            args=list(ARGUMENTS),
            # Root cannot have the sandbox.
            chromium_sandbox=os.geteuid() != 0,
            timeout=PATIENCE_MS,
        )
        expect.set_options(timeout=PATIENCE_MS)
        yield browser
        browser.close()


def visitor(browser: Browser, **more: Any) -> BrowserContext:
    """A context of a new visitor, whose pages are waited for."""
    context = browser.new_context(**more)
    context.set_default_timeout(PATIENCE_MS)
    return context


class Watch:
    """What went wrong in a context's pages: console errors, breaches of the policy, requests to other hosts."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.faults: list[str] = []
        self._origin = urlsplit(origin)[:2]
        self._expected: list[re.Pattern[str]] = []
        context.add_init_script(TELL_VIOLATIONS)
        context.on("console", self._console)
        context.on("weberror", lambda error: self._fault(f"uncaught: {error.error}"))
        context.on("request", self._request)

    def expect(self, pattern: str) -> None:
        """Faults that a test provokes on purpose are none."""
        self._expected.append(re.compile(pattern))

    def check(self) -> None:
        """Fails with all that went wrong since the last check."""
        faults = [fault for fault in self.faults if not any(known.search(fault) for known in self._expected)]
        self.faults = []
        assert not faults, "\n".join(faults)

    def _fault(self, what: str) -> None:
        self.faults.append(what)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._fault(f"console {message.type}: {message.text} ({message.location.get('url', '')})")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts[:2] != self._origin:
            self._fault(f"a request to another host: {request.url}")


def settled(page: Page) -> None:
    """Waits until the page shows what it is for: a heading in its main part, and nothing that still loads."""
    page.locator("main h1").first.wait_for(timeout=PATIENCE_MS)
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')", timeout=PATIENCE_MS)
    drawn(page)


def drawn(page: Page) -> None:
    """Waits until what scripts measure and colour after a change is drawn too."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def sideways_px(page: Page) -> int:
    """By how much the page is wider than its window."""
    root = "document.documentElement"
    excess: int = page.evaluate(f"Math.max({root}.scrollWidth, document.body.scrollWidth) - {root}.clientWidth")
    return excess
