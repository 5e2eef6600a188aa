"""Every page in both themes, wide and narrow: nothing keeps people out, nothing goes wrong, nothing sticks out."""

from typing import Any

import pytest
from playwright.sync_api import Browser
from tests.portal import axe
from tests.portal.browser import WIDTHS_PX, settled, sideways_px
from tests.portal.pages import PAGES, Entry, go, sign_in
from tests.portal.stage import Stage


@pytest.fixture(scope="package")
def signed_in(browser: Browser, furnished: Stage) -> Any:
    """The operator's session, as a browser keeps it."""
    with browser.new_context() as context:
        sign_in(context.new_page(), furnished.url, furnished.operator)
        return context.storage_state()


@pytest.mark.parametrize("entry", PAGES, ids=[entry.id for entry in PAGES])
def test_a_page_is_accessible_in_both_themes_and_fits_a_phone(
    entry: Entry, furnished: Stage, signed_in: Any, open_page: Any
) -> None:
    page, _ = open_page(furnished.url, storage_state=None if entry.role == "public" else signed_in)
    go(page, furnished.url, entry.at(furnished.places))
    assert page.locator("h1").count() == 1
    assert page.get_by_role("heading", name="No such page").count() == 0
    assert page.title().endswith("Mira")
    found = {"light": axe.violations(page)}
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": WIDTHS_PX["narrow"], "height": 800})
    page.locator("html[data-mantine-color-scheme=dark]").wait_for()
    settled(page)
    # Colours that scripts compute follow a change of the theme a little later: what is wrong for good stays wrong.
    found["dark, narrow"] = axe.violations(page) and axe.violations(page)
    assert found == {"light": [], "dark, narrow": []}
    assert sideways_px(page) <= 0
