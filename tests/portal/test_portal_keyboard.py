"""Everything by keyboard: signing in, finding a page, and its main action with the focus where it belongs."""

from typing import Any

from tests.portal.browser import settled
from tests.portal.pages import go
from tests.portal.stage import Stage

FOCUSED = "() => document.activeElement?.tagName === 'INPUT'"


def test_signing_in_and_making_a_key_need_no_pointer(furnished: Stage, open_page: Any) -> None:
    page, _ = open_page(furnished.url)
    page.goto(f"{furnished.url}/")
    page.get_by_label("E-mail").wait_for()
    page.wait_for_function(FOCUSED)
    page.keyboard.type(furnished.operator.email)
    page.get_by_label("E-mail").press("Tab")
    page.keyboard.type(furnished.operator.password)
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="Overview").wait_for()

    page.keyboard.press("Control+k")
    page.get_by_role("dialog").get_by_role("combobox").or_(page.get_by_placeholder("Go to")).first.wait_for()
    page.wait_for_function(FOCUSED)
    page.keyboard.type("Keys")
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="Keys").wait_for()

    go(page, furnished.url, "#/keys")
    page.reload()
    page.get_by_role("heading", level=1, name="Keys").wait_for()
    settled(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    create = page.get_by_role("button", name="Create key").first
    for _ in range(5):
        page.keyboard.press("Tab")
        if create.evaluate("element => element === document.activeElement"):
            break
    assert create.evaluate("element => element === document.activeElement")
    page.keyboard.press("Enter")
    name = page.get_by_role("dialog").get_by_label("Name")
    name.wait_for()
    page.wait_for_function(FOCUSED)
    assert name.evaluate("element => element === document.activeElement")
    page.keyboard.press("Escape")
    name.wait_for(state="hidden")
    page.wait_for_function("() => document.activeElement?.textContent.includes('Create key')")
