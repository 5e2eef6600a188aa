"""The portal's bundle: made of these sources, with these types, small enough, and without code in the page."""

import gzip
import json
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import hatch_build
import pytest
from scripts import web_types

from mira.api.portal.shapes import PasswordChange
from mira.api.reference import describe
from mira.api.table import TABLE

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
BUNDLE = ROOT / hatch_build.BUNDLE
REMAKE = "the bundle is not made of these sources: run scripts/web"
FIRST_LOAD_BYTES = 200_000
#: What somebody meets first, before and after the sign-in.
FIRST_PAGES = ("src/pages/public/SignIn.tsx", "src/pages/member/Overview.tsx")


def test_the_types_of_the_portal_are_those_of_the_table():
    assert web_types.TARGET.read_text() == web_types.write_types(describe(TABLE, "")), "run scripts/web_types.py"


def test_the_bundle_is_made_of_these_sources():
    assert (BUNDLE / "stamp").is_file(), REMAKE
    assert (BUNDLE / "stamp").read_text() == hatch_build.source_hash(WEB), REMAKE


def test_the_first_load_fits_its_budget():
    manifest = json.loads((BUNDLE / "manifest.json").read_text())
    files = {"index.html", "theme.js"}
    for chunk in ("index.html", *FIRST_PAGES):
        files |= _files_of(manifest, chunk)
    sizes = {name: len(gzip.compress((BUNDLE / name).read_bytes())) for name in files}
    assert sum(sizes.values()) <= FIRST_LOAD_BYTES, sizes
    assert manifest["src/components/Chart.tsx"]["file"] not in files, "charts are to be fetched when one is shown"


def test_the_page_has_no_code_of_its_own_and_works_under_any_prefix():
    page = (BUNDLE / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert "<style" not in page
    assert 'content="__MIRA_NONCE__"' in page
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(addresses) > 3
    assert all(address.startswith("./") for address in addresses)


def test_every_page_of_the_list_is_there():
    pages = json.loads((WEB / "src/pages.json").read_text())
    assert [page["file"] for page in pages if not (WEB / f"src/pages/{page['file']}.tsx").is_file()] == []
    assert len({page["id"] for page in pages}) == len({page["path"] for page in pages}) == len(pages)


def test_the_portal_asks_for_passwords_that_the_gateway_takes():
    [told] = re.findall(r"SHORTEST_PASSWORD = (\d+);", (WEB / "src/app/passwords.ts").read_text())
    limits = get_args(get_type_hints(PasswordChange, include_extras=True)["new"])[1]
    assert int(told) == limits.min_length


def test_the_lock_names_no_registry():
    assert "resolved" not in (WEB / "package-lock.json").read_text()


def test_packages_of_one_family_have_one_version():
    dependencies = json.loads((WEB / "package.json").read_text())["dependencies"]
    assert len({version for name, version in dependencies.items() if name.startswith("@mantine/")}) == 1


def test_a_bundle_is_made_again_only_when_a_source_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MIRA_PORTAL_BUILD", raising=False)
    assert not hatch_build.is_stale(tmp_path)  # no web/ at all: a wheel from an sdist without it
    source, installed = tmp_path / "web/src/main.ts", tmp_path / "web/node_modules/some/file.js"
    for file in (source, installed):
        file.parent.mkdir(parents=True)
        file.write_text("first")
    assert hatch_build.is_stale(tmp_path)
    stamp = tmp_path / hatch_build.BUNDLE / "stamp"
    stamp.parent.mkdir(parents=True)
    stamp.write_text(hatch_build.source_hash(tmp_path / "web"))
    assert not hatch_build.is_stale(tmp_path)
    installed.write_text("second")
    assert not hatch_build.is_stale(tmp_path)
    source.write_text("second")
    assert hatch_build.is_stale(tmp_path)
    source.rename(source.with_name("other.ts"))
    source.with_name("other.ts").write_text("first")
    assert hatch_build.is_stale(tmp_path)
    monkeypatch.setenv("MIRA_PORTAL_BUILD", "off")
    assert not hatch_build.is_stale(tmp_path)


def _files_of(manifest: dict[str, Any], name: str) -> set[str]:
    """A chunk with its styles and everything that it imports at once, not what it imports later."""
    found: set[str] = set()
    wanted = [name]
    seen: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        chunk = manifest[name]
        found |= {chunk["file"], *chunk.get("css", ())}
        wanted += chunk.get("imports", ())
    return found
