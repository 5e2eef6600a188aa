"""Every page of the portal, from the registry that its router and its navigation are made of."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
from playwright.sync_api import Page
from tests.portal.browser import PATIENCE_MS, settled
from tests.portal.stage import Account

REGISTRY = Path(__file__).parents[2] / "web" / "src" / "pages.json"

#: The heading of another page than the one that is gone to is not taken for its heading.
MARK_OTHER = """path => {
  if ((location.hash || "#/") !== path) document.querySelector("main h1")?.setAttribute("data-before", "");
}"""


class Entry(msgspec.Struct, frozen=True):
    """A page: where it is, and who may see it (`public`, `member` or `operator`)."""

    id: str
    path: str
    title: str
    role: str

    def at(self, values: Mapping[str, str]) -> str:
        """Its address within the portal, its parameters filled in."""
        return "#" + re.sub(r":(\w+)", lambda name: values[name[1]], self.path)


PAGES = [msgspec.convert(row, Entry) for row in json.loads(REGISTRY.read_text())]


def go(page: Page, portal: str, path: str) -> None:
    """Opens a page of the portal (`#/keys`) and waits until it is there, also where another one was before."""
    page.evaluate(MARK_OTHER, path)
    page.goto(f"{portal}/{path}")
    page.locator("main h1:not([data-before])").first.wait_for(timeout=PATIENCE_MS)
    settled(page)


def sign_in(page: Page, portal: str, account: Account) -> None:
    """Signs in as people do, from the portal's front door; ends on the Overview."""
    page.goto(f"{portal}/")
    page.get_by_label("E-mail").fill(account.email)
    page.get_by_label("Password", exact=True).fill(account.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("heading", level=1, name="Overview").wait_for()
    settled(page)
