"""axe-core on a page: what keeps people out, as readable lines."""

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

#: WCAG 2.2 AA and what it stands on, and axe's own advice; the test decides by impact.
OPTIONS = {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa",
                                                      "best-practice"]}  # fmt: skip
GRAVE = ("serious", "critical")


def violations(page: Page) -> list[str]:
    """The serious and critical issues of the page as it stands, one line each with the element."""
    # Evaluated through the debugger, which the page's policy does not bind; a script element would be refused.
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found: dict[str, Any] = page.evaluate("options => axe.run(document, options)", OPTIONS)
    return [
        f"{issue['impact']} {issue['id']}: {node['html'][:160]} – {_why(node)}"
        for issue in found["violations"]
        if issue["impact"] in GRAVE
        for node in issue["nodes"]
    ]


def _why(node: dict[str, Any]) -> str:
    checks = [*node["any"], *node["all"], *node["none"]]
    return checks[0]["message"] if checks else node["failureSummary"]
