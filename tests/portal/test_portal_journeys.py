"""What people come for, walked in a browser from end to end: the first answer, a node that comes and goes, a new member."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tests.accounts.browser import PASSWORD, invited
from tests.portal.browser import settled
from tests.portal.pages import go, sign_in
from tests.portal.reverse_proxy import reverse_proxy
from tests.portal.stage import CHAT, Account, Stage, stage
from tests.support.gateway import UPSTREAM_KEY, eventually
from tests.support.upstream import Upstream

NEW_MODEL = "openai/gpt-brand-new"
NEW_VOICE = "openai/brand-new-voice"


@pytest.fixture(scope="module")
def fresh(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A gateway on its first day: one node, one workspace, nothing called yet."""
    with stage(tmp_path_factory.mktemp("fresh"), furnished=False) as made:
        yield made


def run_as_printed(page: Page, client: str) -> str:
    """Runs what the Connect page prints for a client, in a shell or a Python of its own; what it wrote."""
    page.get_by_role("tab", name=client, exact=True).click()
    panel = page.get_by_role("tabpanel", name=client, exact=True)
    panel.get_by_test_id("snippet").first.wait_for()
    texts = panel.get_by_test_id("snippet").all_inner_texts()
    assert texts
    code = "\n".join(text for text in texts if not text.startswith("pip install"))
    if client == "Python":
        exports = [line for line in code.splitlines() if line.startswith("export ")]
        program = "\n".join(line for line in code.splitlines() if line not in exports)
        code = "\n".join([*exports, f"{sys.executable} - <<'END'", program, "END"])
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(["bash", "-c", code], env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown_balance(page: Page, url: str) -> Decimal:
    """The balance as the Credits page shows it."""
    go(page, url, "#/credits")
    page.reload()
    settled(page)
    figure = page.locator("dl > div").filter(has=page.get_by_text("Balance", exact=True)).first
    return Decimal(figure.locator("dd").first.inner_text().split()[0].replace(",", ""))


def test_from_the_first_start_to_an_answer_that_is_paid_to_the_nano_credit(fresh: Stage, open_page: Any) -> None:
    page, _ = open_page(fresh.url)
    sign_in(page, fresh.url, fresh.operator)
    before = shown_balance(page, fresh.url)
    go(page, fresh.url, "#/")
    page.locator("header").get_by_role("button", name="Create key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("My laptop")
    dialog.get_by_role("button", name="Create key").click()
    secret = page.get_by_test_id("secret").inner_text()
    dialog.get_by_role("button", name="Copy key").click()
    eventually(lambda: page.evaluate("navigator.clipboard.readText()") == secret)
    dialog.get_by_role("button", name="Connect a client").click()
    light = page.get_by_test_id("first-request")
    light.wait_for()
    assert light.get_attribute("data-received") == "false"
    assert "Hello there." in run_as_printed(page, "curl")
    page.locator("[data-testid=first-request][data-received=true]").wait_for()
    first = fresh.gateway.admin("GET", "/calls")["data"][0]
    assert Decimal(first["cost"]) > 0
    assert first["cost"] in light.inner_text()
    light.get_by_role("link", name="Show it in the logs").click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_text(first["id"]).first.wait_for()
    sheet.get_by_text(first["cost"]).first.wait_for()
    sheet.get_by_role("button", name="Close").click()
    row = page.get_by_role("table", name="Calls").get_by_role("row").filter(has_text="My laptop")
    assert first["cost"] in row.inner_text()
    assert secret not in page.content()
    assert before - shown_balance(page, fresh.url) == Decimal(first["cost"])
    fresh.gateway.check_ledger()


def test_the_python_snippet_runs_as_it_is_printed(fresh: Stage, open_page: Any) -> None:
    page, _ = open_page(fresh.url)
    sign_in(page, fresh.url, fresh.operator)
    go(page, fresh.url, "#/connect")
    page.locator("header").get_by_role("button", name="Create key").click()
    page.get_by_role("dialog").get_by_label("Name").fill("A script")
    page.get_by_role("dialog").get_by_role("button", name="Create key").click()
    page.get_by_role("button", name="I have kept it").click()
    assert "Hello there." in run_as_printed(page, "Python")


def test_an_operator_adds_a_node_drains_it_and_finds_both_in_the_audit(fresh: Stage, open_page: Any) -> None:
    gateway = fresh.gateway
    second = Upstream(["gpt-brand-new", "brand-new-voice"]).start()
    try:
        page, _ = open_page(fresh.url)
        sign_in(page, fresh.url, fresh.operator)
        go(page, fresh.url, "#/fleet")
        add_with_the_wizard(page, second.url)
        row = page.get_by_role("table", name="Nodes").get_by_role("row").filter(has_text="second-account")
        row.wait_for()
        assert gateway.chat(NEW_MODEL).status_code == 200
        [voice] = [row for row in gateway.admin("GET", "/prices")["data"] if row["model"] == NEW_VOICE]
        assert (voice["in_force"]["second"], voice["in_force"]["input"]) == ("0.01", "0")
        choose(page, "Drain")
        row.get_by_text("draining").wait_for()
        assert gateway.chat(NEW_MODEL).status_code in (404, 503)
        choose(page, "Return to service")
        row.get_by_text("draining").wait_for(state="hidden")
        assert eventually(lambda: gateway.chat(NEW_MODEL).status_code == 200)
        go(page, fresh.url, "#/audit")
        changes = page.get_by_role("table", name="Changes").get_by_role("row").filter(has_text="second-account")
        texts = changes.all_inner_texts()
        assert sum("node.change" in text and "draining" in text for text in texts) == 2
        assert sum("node.create" in text for text in texts) == 1
        assert all(fresh.operator.email in text for text in texts)
        assert UPSTREAM_KEY not in page.content()
    finally:
        gateway.admin("DELETE", "/nodes/second-account")
        second.stop()


def add_with_the_wizard(page: Page, url: str) -> None:
    """The three steps: reach the node, take what it lists, price what has no price."""
    page.get_by_role("button", name="Add node").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("second-account")
    dialog.get_by_label("Base URL").fill("http://127.0.0.1:1/v1")
    dialog.get_by_label("API key").fill(UPSTREAM_KEY)
    dialog.get_by_role("button", name="Test connection").click()
    dialog.get_by_role("alert").wait_for()
    dialog.get_by_label("Base URL").fill(url)
    dialog.get_by_role("button", name="Test connection").click()
    dialog.get_by_text(NEW_MODEL).wait_for()
    dialog.get_by_role("button", name="Continue").click()
    tokens = dialog.get_by_role("group", name=NEW_MODEL, exact=True)
    tokens.get_by_label("Input").fill("0.15")
    tokens.get_by_label("Output").fill("0.60")
    voice = dialog.get_by_role("group", name=NEW_VOICE, exact=True)
    voice.get_by_role("combobox", name="Priced by").click()
    page.get_by_role("option", name="Second of sound or video").click()
    voice.get_by_label("For one").fill("0.01")
    dialog.get_by_role("button", name="Add node").click()
    dialog.wait_for(state="hidden")


def choose(page: Page, action: str) -> None:
    """Picks an action from the node's menu."""
    page.get_by_role("button", name="Actions for second-account").click()
    page.get_by_role("menuitem", name=action).click()


def test_an_invited_member_joins_and_sees_nothing_of_the_operators(fresh: Stage, open_page: Any) -> None:
    page, _ = open_page(fresh.url)
    sign_in(page, fresh.url, fresh.operator)
    go(page, fresh.url, "#/workspaces/ws_default")
    page.get_by_role("button", name="Invite", exact=True).click()
    page.get_by_role("dialog").get_by_label("E-mail").fill("ada@example.com")
    page.get_by_role("dialog").get_by_role("button", name="Invite", exact=True).click()
    link = page.get_by_test_id("secret").inner_text()

    member, _ = open_page(fresh.url)
    member.goto(link)
    settled(member)
    member.get_by_label(re.compile("password", re.IGNORECASE)).first.fill("a long enough password")
    member.get_by_role("button", name=re.compile("join|accept", re.IGNORECASE)).click()
    member.get_by_role("heading", level=1, name="Overview").wait_for()
    settled(member)
    assert member.get_by_role("link", name="Keys", exact=True).count() == 1
    assert member.get_by_role("link", name="Fleet").count() == 0
    go(member, fresh.url, "#/fleet")
    assert member.get_by_role("heading", name="No such page").count() == 1

    again, _ = open_page(fresh.url)
    sign_in(again, fresh.url, Account(email="ada@example.com", password="a long enough password"))


def test_a_member_whose_last_membership_ends_is_told_and_can_leave(fresh: Stage, open_page: Any) -> None:
    people = invited(fresh.gateway, "leaves@example.com")
    [member] = [row for row in people.get("/portal/v1/members")["data"] if row["you"]]
    people.close()
    page, _ = open_page(fresh.url)
    sign_in(page, fresh.url, Account(email="leaves@example.com", password=PASSWORD))
    fresh.gateway.admin("PATCH", f"/members/{member['id']}", {"disabled": True})
    page.reload()
    page.get_by_role("heading", level=1, name="No workspace").wait_for()
    assert "leaves@example.com" in page.locator("main").inner_text()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", level=1, name="Sign in").wait_for()


def test_the_portal_works_under_a_path_behind_a_reverse_proxy(
    tmp_path_factory: pytest.TempPathFactory, open_page: Any
) -> None:
    home = tmp_path_factory.mktemp("prefixed")
    with reverse_proxy("/tools/mira") as proxy, stage(home, furnished=False, MIRA_PUBLIC_URL=proxy.url) as prefixed:
        proxy.towards(prefixed.gateway.port)
        page, _ = open_page(proxy.url)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        sign_in(page, proxy.url, prefixed.operator)
        for path, heading in (("#/fleet", "Fleet"), ("#/logs", "Logs"), ("#/connect", "Connect")):
            go(page, proxy.url, path)
            assert page.get_by_role("heading", level=1).inner_text() == heading
        assert f"{proxy.url}/v1" in page.locator("main").inner_text()
        outside = [url for url in asked if not url.startswith((f"{proxy.url}/", "data:", "blob:"))]
        assert outside == []
        assert prefixed.gateway.chat(CHAT).status_code == 200
        # Connect waits for a first request, which the end of the gateway would cut.
        page.close()


def test_a_wrong_password_is_told_and_no_session_begins(fresh: Stage, open_page: Any) -> None:
    page, watch = open_page(fresh.url)
    watch.expect(r"status of 401 .*portal/v1/session")
    page.goto(f"{fresh.url}/")
    page.get_by_label("E-mail").fill(fresh.operator.email)
    page.get_by_label("Password", exact=True).fill("not the password")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("alert").get_by_text("do not go together").wait_for()
    assert page.context.cookies() == []
