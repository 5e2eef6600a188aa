"""Every page in both themes, wide and narrow: nothing keeps people out, nothing goes wrong, nothing sticks out."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tests.portal import axe
from tests.portal.browser import WIDTHS_PX, Watch, settled, sideways_px, visitor
from tests.portal.pages import PAGES, Entry, go, sign_in
from tests.portal.stage import Stage


@pytest.fixture(scope="module")
def windows(browser: Browser, furnished: Stage) -> Iterator[dict[bool, tuple[Page, Watch]]]:
    """A signed-in window (True) and one of nobody (False), in which one page is opened after the other."""
    found = {}
    for signed_in in (True, False):
        context = visitor(browser, reduced_motion="reduce")
        found[signed_in] = (context.new_page(), Watch(context, furnished.url))
    sign_in(found[True][0], furnished.url, furnished.operator)
    yield found
    for page, _ in found.values():
        page.context.close()


@pytest.mark.parametrize("entry", PAGES, ids=[entry.id for entry in PAGES])
def test_a_page_is_accessible_in_both_themes_and_fits_a_phone(entry: Entry, furnished: Stage, windows: Any) -> None:
    page, watch = windows[entry.role != "public"]
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": WIDTHS_PX["wide"], "height": 900})
    go(page, furnished.url, entry.at(furnished.places))
    assert page.locator("h1").count() == 1
    assert page.get_by_role("heading", name="No such page").count() == 0
    assert page.title().endswith("Mira")
    found = {"light": steady(page, "light")}
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": WIDTHS_PX["narrow"], "height": 800})
    settled(page)
    found["dark, narrow"] = steady(page, "dark")
    assert found == {"light": [], "dark, narrow": []}
    assert sideways_px(page) <= 0
    watch.check()


def steady(page: Page, scheme: str) -> list[str]:
    """What is wrong for good: colours that scripts compute follow a change of the theme a little later."""
    page.locator(f"html[data-mantine-color-scheme={scheme}]").wait_for()
    return axe.violations(page) and axe.violations(page)
