"""Pictures of every page of the portal, wide and on a phone, light and dark: `make screenshots`."""

import sys
import tempfile
from pathlib import Path

from tests.portal.browser import WIDTHS_PX, chromium, obstacle
from tests.portal.pages import PAGES, go, sign_in
from tests.portal.stage import stage

FOLDER = Path(".bench/screenshots")


def main() -> int:
    """Writes them into the folder that is named first (by default FOLDER), of the pages that are named after it."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    wanted = sys.argv[2:] or [entry.id for entry in PAGES]
    reason = obstacle()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, stage(Path(home), furnished=True) as shown, chromium() as browser:
        with browser.new_context() as context:
            sign_in(context.new_page(), shown.url, shown.operator)
            signed_in = context.storage_state()
        for scheme in ("light", "dark"):
            for width in ("wide", "phone"):
                for entry in PAGES:
                    if entry.id not in wanted:
                        continue
                    with browser.new_context(
                        viewport={"width": WIDTHS_PX[width], "height": 900},
                        color_scheme="dark" if scheme == "dark" else "light",
                        reduced_motion="reduce",
                        storage_state=None if entry.role == "public" else signed_in,
                    ) as context:
                        page = context.new_page()
                        go(page, shown.url, entry.at(shown.places))
                        picture = folder / f"{entry.id}-{WIDTHS_PX[width]}-{scheme}.png"
                        page.screenshot(path=picture, full_page=True)
                        print(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
