"""The API reference at `/docs` under the same eyes as the portal."""

from tests.portal import axe
from tests.portal.browser import sideways_px
from tests.portal.stage import Stage


def test_the_api_reference_is_accessible_and_fits(furnished: Stage, open_page) -> None:
    page, _ = open_page(furnished.url, width="narrow")
    page.goto(f"{furnished.url}/docs")
    assert axe.violations(page) == []
    assert sideways_px(page) <= 0
