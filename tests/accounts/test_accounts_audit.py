"""The audit log: every change that the table of routes knows is in it, by whom, and without secrets."""

import sqlite3
from collections.abc import Callable
from urllib.parse import quote

import msgspec
import pytest
from tests.accounts.browser import PASSWORD, Browser, invited
from tests.accounts.conftest import MODEL, People
from tests.support.gateway import ADMIN_KEY, UPSTREAM_KEY, Gateway

from mira.api.table import TABLE

#: What the audit log calls changes, by the table.
ACTIONS = {row.audits for row in TABLE if row.audits}


def _standing(gateway: Gateway) -> list[object]:
    """All that a change which is not made leaves as it was."""
    nodes = [
        (row["name"], row["weight"], row["draining"], row["disabled"]) for row in gateway.admin("GET", "/nodes")["data"]
    ]
    paths = ("/prices", "/workspaces", "/workspaces/ws_default/transfers", "/audit")
    return [nodes, *(gateway.admin("GET", path) for path in paths)]


class Case(msgspec.Struct, frozen=True):
    """How a change is brought about: by whom, what is asked for, and what entry is expected."""

    ask: Callable[[People], object]
    kind: str
    by: str = "user"


def _key(people: People) -> str:
    made: str = people.member.change("POST", "/portal/v1/keys", {"name": "to be changed"})["key"]["id"]
    return made


def _node(people: People, name: str) -> str:
    body = {"name": name, "kind": "openai", "base_url": people.upstream.url, "api_key": UPSTREAM_KEY, "models": ["n"]}
    people.operator.change("POST", "/admin/v1/nodes", body)
    return name


def _user(people: People, email: str) -> str:
    browser = invited(people.gateway, email)
    browser.close()
    user_id: str = browser.session["user"]["id"]
    return user_id


def _price(people: People) -> str:
    _node(people, "priced-node")
    people.operator.change("PUT", "/admin/v1/prices/openai/n", {"input": "1", "output": "2"})
    return "openai/n"


def _leave(people: People) -> None:
    browser = invited(people.gateway, "audited-leaver@one.test")
    browser.change("DELETE", "/portal/v1/session")
    browser.close()


def _end_one(people: People) -> None:
    browser = invited(people.gateway, "audited-ender@one.test")
    here = browser.get("/portal/v1/sessions")["data"][0]["id"]
    browser.change("DELETE", f"/portal/v1/sessions/{here}")
    browser.close()


def _new_password(people: People) -> None:
    browser = invited(people.gateway, "audited-password@one.test")
    browser.change("PUT", "/portal/v1/me/password", {"current": PASSWORD, "new": "another password"})
    browser.close()


def _withdraw(people: People) -> None:
    made = people.member.change("POST", "/portal/v1/invitations", {"email": "w@y.test"})["invitation"]["id"]
    people.member.change("DELETE", f"/portal/v1/invitations/{made}")


def _member(people: People) -> str:
    made: str = people.operator.change("POST", "/admin/v1/workspaces/ws_default/members", {"name": "M"})["id"]
    return made


CASES = {
    "session.begin": Case(lambda p: Browser(p.gateway.url).sign_in("m@one.test", PASSWORD).close(), "user"),
    "session.end_all": Case(_leave, "user"),
    "session.end": Case(_end_one, "session"),
    "user.password": Case(_new_password, "user"),
    "user.change": Case(
        lambda p: p.operator.change("PATCH", f"/admin/v1/users/{_user(p, 'ch@one.test')}", {"role": "operator"}), "user"
    ),
    "user.reset_password": Case(
        lambda p: p.operator.change("POST", f"/admin/v1/users/{_user(p, 're@one.test')}/reset-password"), "user"
    ),
    "key.create": Case(_key, "key"),
    "key.change": Case(lambda p: p.member.change("PATCH", f"/portal/v1/keys/{_key(p)}", {"rpm": 7}), "key"),
    "key.rotate": Case(lambda p: p.member.change("POST", f"/portal/v1/keys/{_key(p)}/rotate", {}), "key"),
    "key.revoke": Case(lambda p: p.member.change("DELETE", f"/portal/v1/keys/{_key(p)}"), "key"),
    "key.domains": Case(
        lambda p: p.operator.change("PUT", f"/admin/v1/keys/{_key(p)}/fetch", {"allow": ["example.com"]}), "key"
    ),
    "invitation.create": Case(
        lambda p: p.member.change("POST", "/portal/v1/invitations", {"email": "a@y.test"}), "invitation"
    ),
    "invitation.withdraw": Case(_withdraw, "invitation"),
    "invitation.accept": Case(lambda p: _user(p, "accepts@one.test"), "invitation", "invitation"),
    "workspace.create": Case(lambda p: p.operator.change("POST", "/admin/v1/workspaces", {"name": "new"}), "workspace"),
    "workspace.rename": Case(
        lambda p: p.operator.change("PATCH", f"/admin/v1/workspaces/{p.other_workspace}", {"name": "renamed"}),
        "workspace",
    ),
    "credits.add": Case(
        lambda p: p.operator.change(
            "POST", "/admin/v1/workspaces/ws_default/credits", {"amount": "1", "reference": "audited"}
        ),
        "workspace",
    ),
    "member.create": Case(_member, "member"),
    "member.change": Case(
        lambda p: p.operator.change("PATCH", f"/admin/v1/members/{_member(p)}", {"name": "M2"}), "member"
    ),
    "node.create": Case(lambda p: _node(p, "created-node"), "node"),
    "node.change": Case(
        lambda p: p.operator.change("PATCH", f"/admin/v1/nodes/{_node(p, 'changed-node')}", {"api_key": "sk-replaced"}),
        "node",
    ),
    "node.delete": Case(
        lambda p: p.operator.change("DELETE", f"/admin/v1/nodes/{_node(p, 'deleted-node')}"), "node"
    ),
    "configuration.reload": Case(lambda p: p.operator.change("POST", "/admin/v1/reload"), "configuration"),
    "price.set": Case(lambda p: _price(p) and p.operator.change("DELETE", "/admin/v1/nodes/priced-node"), "price"),
    "price.delete": Case(
        lambda p: (
            _price(p),
            p.operator.change("DELETE", "/admin/v1/prices/openai/n"),
            p.operator.change("DELETE", "/admin/v1/nodes/priced-node"),
        ),
        "price",
    ),
}  # fmt: skip


def test_every_change_that_the_table_knows_is_tried_here():
    assert CASES.keys() == ACTIONS


@pytest.mark.parametrize("action", CASES)
def test_a_change_is_noted_with_who_and_what(people, action):
    case = CASES[action]
    newest = people.operator.get("/admin/v1/audit?limit=1")["data"][0]["id"]
    case.ask(people)
    entries = people.operator.get(f"/admin/v1/audit?action={action}&limit=20")["data"]
    fresh = [entry for entry in entries if entry["id"] > newest]
    assert len(fresh) == 1, fresh
    [entry] = fresh
    assert entry["object_kind"] == case.kind
    assert entry["object_id"]
    assert entry["actor"]["kind"] == case.by
    assert entry["actor"]["name"]
    assert entry["request_id"].startswith("req_")
    told = str(entry)
    for secret in (UPSTREAM_KEY, "sk-replaced", PASSWORD, ADMIN_KEY, "another password"):
        assert secret not in told


def test_an_entry_tells_what_was_and_what_is_and_nothing_else(people):
    key_id = _key(people)
    people.member.change("PATCH", f"/portal/v1/keys/{key_id}", {"rpm": 5, "budget": {"amount": "2", "period": "day"}})
    [entry] = people.member.get("/portal/v1/audit?action=key.change&limit=1")["data"]
    assert entry["object_id"] == key_id
    assert entry["before"] == {"rpm": None, "budget": None}
    assert entry["after"] == {"rpm": 5, "budget": "2 a day"}
    assert (entry["actor"]["name"], entry["workspace_id"]) == ("m@one.test", "ws_default")


def test_a_change_that_is_refused_is_not_noted(people):
    newest = people.operator.get("/admin/v1/audit?limit=1")["data"][0]["id"]
    assert people.member.ask("POST", "/portal/v1/keys", {"name": ""}).status_code == 400
    assert people.member.ask("PATCH", "/portal/v1/keys/none", {"rpm": 1}).status_code == 404
    assert people.operator.ask("PUT", f"/admin/v1/prices/{MODEL}", {"input": "1", "output": "1"}).status_code == 409
    assert people.operator.get("/admin/v1/audit?limit=1")["data"][0]["id"] == newest


def test_the_operators_key_and_the_command_line_are_told_apart(people):
    people.gateway.admin("POST", "/workspaces", {"name": "by the key"})
    [entry] = people.operator.get("/admin/v1/audit?action=workspace.create&limit=1")["data"]
    assert entry["actor"] == {"kind": "operator_key", "id": None, "name": None}


def test_the_log_is_paged_without_gaps_and_filtered(people):
    whole = people.operator.get("/admin/v1/audit?limit=1000")["data"]
    paged, cursor = [], None
    while True:
        page = people.operator.get(f"/admin/v1/audit?limit=7{f'&cursor={cursor}' if cursor else ''}")
        paged += page["data"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [entry["id"] for entry in paged] == [entry["id"] for entry in whole]
    by_member = people.operator.get("/admin/v1/audit?actor=m@one.test&limit=1000")["data"]
    assert {entry["actor"]["name"] for entry in by_member} == {"m@one.test"}
    for typed in ("m@one", " M@One.test "):
        some = people.operator.get(f"/admin/v1/audit?actor={quote(typed)}&limit=1000")["data"]
        assert [entry["id"] for entry in some] == [entry["id"] for entry in by_member]
    of_keys = people.operator.get("/admin/v1/audit?action=key.&limit=1000")["data"]
    assert of_keys
    assert [entry["id"] for entry in of_keys] == [entry["id"] for entry in whole if entry["action"].startswith("key.")]
    assert people.operator.get("/admin/v1/audit?action=k%25&limit=1000")["data"] == []
    assert people.operator.ask("GET", "/admin/v1/audit?cursor=' OR 1=1").status_code == 400


def test_a_change_that_cannot_be_noted_is_not_made(tmp_path):
    gateway = Gateway(tmp_path)
    gateway.start()
    name = "kept-node"
    node = {
        "name": name,
        "kind": "openai",
        "base_url": "http://127.0.0.1:9/v1",
        "api_key": UPSTREAM_KEY,
        "models": ["n"],
    }
    gateway.admin("POST", "/nodes", node)
    gateway.admin("PUT", "/prices/openai/n", {"input": "1", "output": "2"})
    gateway.stop()
    with sqlite3.connect(gateway.home / "mira.db") as database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END")
    gateway.start()
    told = _standing(gateway)
    for method, path, body in (
        ("POST", "/nodes", {**node, "name": "another"}),
        ("PATCH", f"/nodes/{name}", {"draining": True}),
        ("PATCH", f"/nodes/{name}", {"weight": 3.0, "disabled": True}),
        ("DELETE", f"/nodes/{name}", None),
        ("PUT", "/prices/openai/n", {"input": "7", "output": "7"}),
        ("DELETE", "/prices/openai/n", None),
        ("POST", "/workspaces/ws_default/credits", {"amount": "5", "reference": "unnoted"}),
        ("POST", "/workspaces", {"name": "unnoted"}),
    ):
        asked = gateway.http.request(
            method, f"/admin/v1{path}", json=body, headers={"authorization": f"Bearer {ADMIN_KEY}"}
        )
        assert asked.status_code >= 500, f"{method} {path}: {asked.text}"
    assert _standing(gateway) == told
    gateway.stop()
    gateway.close()
