"""One browser and one furnished gateway for the portal's tests; pages that fail their test when anything went wrong.

The package's scope ends with this folder: Playwright keeps an event loop in the main thread, which other tests could not
run theirs beside.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from tests.portal.browser import WIDTHS_PX, Watch, chromium, obstacle, visitor
from tests.portal.stage import Stage, stage


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The browser, without any page."""
    reason = obstacle()
    if reason is not None:
        pytest.skip(reason)
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def furnished(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A gateway that has been used. Its tests look and do not touch."""
    with stage(tmp_path_factory.mktemp("furnished"), furnished=True) as made:
        yield made


class Opened:
    """Contexts that a test opened, each with its watch."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[tuple[BrowserContext, Watch]] = []

    def __call__(self, origin: str, *, width: str = "wide", scheme: str = "light", **more: Any) -> tuple[Page, Watch]:
        """A page of a new visitor, who goes nowhere but to `origin`."""
        context = visitor(
            self._browser,
            viewport={"width": WIDTHS_PX[width], "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            permissions=["clipboard-read", "clipboard-write"],
            reduced_motion="reduce",
            **more,
        )
        watch = Watch(context, origin)
        self._contexts.append((context, watch))
        return context.new_page(), watch

    def close(self) -> None:
        """Ends them; whatever went wrong in one fails the test."""
        for context, _ in self._contexts:
            context.close()
        for _, watch in self._contexts:
            watch.check()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., tuple[Page, Watch]]]:
    """Opens pages as new visitors."""
    opened = Opened(browser)
    yield opened
    opened.close()
