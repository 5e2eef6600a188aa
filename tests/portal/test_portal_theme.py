"""The theme is there before the first paint."""

import pytest
from playwright.sync_api import Browser
from tests.portal.browser import visitor
from tests.portal.stage import Stage

GROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.mark.parametrize(
    ("system", "chosen", "dark"),
    [("dark", None, True), ("light", None, False), ("light", "dark", True), ("dark", "light", False)],
)
def test_the_ground_has_its_colour_before_the_portal_runs(
    browser: Browser, furnished: Stage, system: str, chosen: str | None, dark: bool
):
    context = visitor(browser, color_scheme="dark" if system == "dark" else "light")
    try:
        page = context.new_page()
        if chosen:
            page.add_init_script(f"localStorage.setItem('mantine-color-scheme-value', '{chosen}')")
        page.route("**/assets/*.js", lambda route: route.abort())  # the portal's own code never comes
        page.goto(f"{furnished.url}/")
        red, green, blue = (int(part) for part in page.evaluate(GROUND)[4:-1].split(","))
    finally:
        context.close()
    assert (red + green + blue < 150) is dark
