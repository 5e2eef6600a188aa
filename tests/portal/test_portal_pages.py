"""Every page in both themes, wide and narrow: nothing keeps people out, nothing goes wrong, nothing sticks out."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, Route
from tests.portal import axe
from tests.portal.browser import WIDTHS_PX, Watch, drawn, settled, sideways_px, visitor
from tests.portal.pages import PAGES, Entry, go, sign_in
from tests.portal.stage import MODELS, Stage

Scheme = Literal["light", "dark"]
#: Each differs from the one before in one thing alone.
LOOKS: tuple[tuple[Scheme, str], ...] = (("light", "wide"), ("light", "narrow"), ("dark", "narrow"), ("dark", "wide"))
#: Where a dialog is, and the button that opens it.
DIALOGS = {
    "a new key": ("#/keys", "Create key"),
    "a call": ("#/logs", "2"),
    "an invitation": ("#/members", "Invite"),
    "a new node": ("#/fleet", "Add node"),
    "a price": ("#/prices", "Set the price of"),
    "a payment": ("#/workspaces/ws_default", "Top up"),
}


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
    look(page, *LOOKS[0])
    go(page, furnished.url, entry.at(furnished.places))
    assert page.locator("h1").count() == 1
    assert page.get_by_role("heading", name="No such page").count() == 0
    assert page.title().endswith("Mira")
    assert flaws(page, LOOKS) == {}
    watch.check()


@pytest.mark.parametrize("name", DIALOGS)
def test_a_dialog_is_accessible_in_both_themes_and_fits_a_phone(name: str, furnished: Stage, windows: Any) -> None:
    page, watch = windows[True]
    path, button = DIALOGS[name]
    look(page, *LOOKS[0])
    go(page, furnished.url, path)
    page.locator("main").get_by_role("button", name=button).first.click()
    page.get_by_role("dialog").wait_for()
    settled(page)
    assert flaws(page, (LOOKS[0], LOOKS[-1])) == {}
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    watch.check()


def test_models_are_compared_side_by_side_on_a_phone_too(furnished: Stage, windows: Any) -> None:
    page, watch = windows[True]
    look(page, "light", "narrow")
    go(page, furnished.url, "#/models")
    models = sorted(f"openai/{model}" for model in MODELS)
    for model in models:
        page.get_by_role("checkbox", name=f"Compare {model}", exact=True).check()
    assert flaws(page, LOOKS[1:3]) == {}
    page.get_by_text("3 of 4 chosen").wait_for()
    page.get_by_role("button", name="Compare", exact=True).click()
    dialog = page.get_by_role("dialog", name="Compare models")
    dialog.wait_for()
    assert flaws(page, LOOKS) == {}
    look(page, "light", "narrow")
    region = dialog.get_by_role("region", name="Comparison")
    heads = region.get_by_role("columnheader").all()
    assert [head.inner_text() for head in heads] == ["Property", *models]
    window = region.bounding_box()
    assert window is not None
    assert region.evaluate("element => { element.scrollLeft = 9999; return element.scrollLeft; }") > 0
    drawn(page)
    for shown in (region.get_by_role("rowheader", name="Input", exact=True), heads[0], heads[-1]):
        box = shown.bounding_box()
        assert box is not None
        assert window["x"] - 1 <= box["x"]
        assert box["x"] + box["width"] <= window["x"] + window["width"] + 1
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    page.get_by_role("button", name="Clear", exact=True).click()
    assert page.get_by_role("checkbox", checked=True).count() == 0
    watch.check()


def look(page: Page, scheme: Scheme, width: str) -> None:
    """Shows the page in a theme and at a width."""
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": WIDTHS_PX[width], "height": 900})


def flaws(page: Page, looks: Iterable[tuple[Scheme, str]]) -> dict[str, list[str]]:
    """By theme and width: what keeps people out, and by how much the page sticks out; of those without flaws nothing."""
    found = {}
    for scheme, width in looks:
        look(page, scheme, width)
        settled(page)
        found[f"{scheme}, {width}"] = steady(page, scheme)
        if width == "narrow" and (sideways := sideways_px(page)) > 0:
            found[f"{scheme}, {width}"].append(f"{sideways} px wider than its window")
    return {name: wrong for name, wrong in found.items() if wrong}


def steady(page: Page, scheme: str) -> list[str]:
    """What is wrong for good: colours that scripts compute follow a change of the theme a little later."""
    page.locator(f"html[data-mantine-color-scheme={scheme}]").wait_for()
    return axe.violations(page) and axe.violations(page)


def test_every_page_says_so_where_it_cannot_be_read_and_offers_another_try(furnished: Stage, open_page: Any) -> None:
    page, watch = open_page(furnished.url)
    watch.expect("status of 503")
    sign_in(page, furnished.url, furnished.operator)
    for path in ("**/portal/v1/**", "**/admin/v1/**"):
        page.route(path, refuse)
    for entry in PAGES:
        if entry.role != "public":
            page.goto(f"{furnished.url}/{entry.at(furnished.places)}")
            page.reload()
            told = page.locator("main").get_by_role("alert").first
            told.get_by_text("Not now.").wait_for()
            told.get_by_role("button", name="Try again").wait_for()


def refuse(route: Route) -> None:
    """Answers what a page reads as a gateway without its database does; changes and the session go through."""
    if route.request.method != "GET" or route.request.url.endswith("/portal/v1/session"):
        route.fallback()
    else:
        route.fulfill(status=503, json={"error": {"message": "Not now.", "code": "store_down"}})
