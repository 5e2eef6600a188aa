"""Sessions: how they begin, how they end, and that nothing of them lies about."""

import re
import sqlite3
from contextlib import closing

from tests.accounts.browser import PASSWORD, Browser


def test_signing_out_ends_every_session_of_the_user(people, newcomer):
    first = newcomer("leaves@one.test")
    second = Browser(people.gateway.url).sign_in("leaves@one.test", PASSWORD)
    assert first.signed_in
    assert second.signed_in
    assert second.ask("DELETE", "/portal/v1/session").status_code == 204
    assert not first.signed_in
    assert not second.signed_in
    assert first.ask("GET", "/portal/v1/keys").status_code == 401
    assert people.member.signed_in
    second.close()


def test_a_new_password_ends_every_other_session_and_gives_this_one_a_new_token(people, newcomer):
    here = newcomer("renews@one.test")
    there = Browser(people.gateway.url).sign_in("renews@one.test", PASSWORD)
    before = here.http.cookies.get("mira_session")
    wrong = here.ask("PUT", "/portal/v1/me/password", {"current": "not this one", "new": "another password"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (401, "current")
    assert there.signed_in
    here.take(here.ask("PUT", "/portal/v1/me/password", {"current": PASSWORD, "new": "another password"}))
    assert not there.signed_in
    assert here.signed_in
    assert here.http.cookies.get("mira_session") != before
    old = Browser(people.gateway.url)
    assert old.http.get("/portal/v1/session", headers={"cookie": f"mira_session={before}"}).json()["signed_in"] is False
    assert (
        old.http.post("/portal/v1/session", json={"email": "renews@one.test", "password": PASSWORD}).status_code == 401
    )
    assert old.sign_in("renews@one.test", "another password").signed_in
    for browser in (there, old):
        browser.close()


def test_signing_in_makes_a_new_token_whatever_the_browser_had(people, newcomer, visitor):
    known = newcomer("again@one.test")
    before = known.http.cookies.get("mira_session")
    known.sign_in("again@one.test", PASSWORD)
    assert known.http.cookies.get("mira_session") != before
    planted = visitor()
    planted.http.cookies.set("mira_session", "planted")
    planted.sign_in("again@one.test", PASSWORD)
    cookies = [cookie.value for cookie in planted.http.cookies.jar]
    assert cookies[-1] != "planted"
    stolen = visitor().http.get("/portal/v1/session", headers={"cookie": f"mira_session={before}"})
    assert stolen.json()["signed_in"] is False


def test_one_session_is_ended_among_several(people, newcomer):
    here = newcomer("several@one.test")
    there = Browser(people.gateway.url).sign_in("several@one.test", PASSWORD)
    rows = here.get("/portal/v1/sessions")["data"]
    assert [row["current"] for row in rows].count(True) == 1
    [other] = [row for row in rows if not row["current"]]
    assert other["address"] == "127.0.0.1"
    assert here.ask("DELETE", f"/portal/v1/sessions/{other['id']}").status_code == 204
    assert not there.signed_in
    assert here.signed_in
    there.close()


def test_a_disabled_user_is_out_at_once_and_cannot_come_back(people, newcomer, visitor):
    browser = newcomer("disabled@one.test")
    user_id = browser.session["user"]["id"]
    people.operator.change("PATCH", f"/admin/v1/users/{user_id}", {"disabled": True})
    assert not browser.signed_in
    refused = visitor().http.post("/portal/v1/session", json={"email": "disabled@one.test", "password": PASSWORD})
    assert refused.json()["error"]["code"] == "wrong_sign_in"
    people.operator.change("PATCH", f"/admin/v1/users/{user_id}", {"disabled": False})
    assert not browser.signed_in
    assert browser.sign_in("disabled@one.test", PASSWORD).signed_in


def test_the_keys_of_a_disabled_user_stop_in_every_workspace_and_come_back_with_them_alone(people, newcomer):
    browser, gateway = newcomer("keys@one.test"), people.gateway
    made = {name: browser.change("POST", "/portal/v1/keys", {"name": name}) for name in ("kept", "paused", "gone")}
    told = gateway.admin("POST", f"/workspaces/{people.other_workspace}/invitations", {"email": "keys@one.test"})
    joining = {"token": told["url"].rpartition("/")[2], "password": PASSWORD}
    browser.take(browser.http.post("/portal/v1/invitations/accept", json=joining))
    made["elsewhere"] = browser.change("POST", "/portal/v1/keys", {"name": "elsewhere"})
    for name, change in (("paused", ("PATCH", {"disabled": True})), ("gone", ("DELETE", None))):
        gateway.admin(change[0], f"/keys/{made[name]['key']['id']}", change[1])
    _, nobodys = gateway.new_key()
    colleagues = people.member.change("POST", "/portal/v1/keys", {"name": "a colleague's"})["secret"]

    def work() -> set[str]:
        secrets = {name: key["secret"] for name, key in made.items()} | {"nobody's": nobodys, "colleague's": colleagues}
        answers = {name: gateway.get("/v1/models", key=secret).status_code for name, secret in secrets.items()}
        assert set(answers.values()) <= {200, 401}
        return {name for name, status in answers.items() if status == 200}

    user_id = browser.session["user"]["id"]
    assert work() == {"kept", "elsewhere", "nobody's", "colleague's"}
    changed = people.operator.change("PATCH", f"/admin/v1/users/{user_id}", {"disabled": True})
    assert changed["keys"] == 2
    assert work() == {"nobody's", "colleague's"}
    states = {key["name"]: key["state"] for key in people.member.get("/portal/v1/keys")["data"]}
    assert (states["kept"], states["paused"], states["a colleague's"]) == ("owner_disabled", "disabled", "active")
    kept_id = made["kept"]["key"]["id"]
    assert people.member.ask("POST", f"/portal/v1/keys/{kept_id}/rotate", {"overlap_s": 0}).status_code == 409
    entry = gateway.admin("GET", "/audit?action=user.")["data"][0]
    assert (entry["object_id"], entry["after"]) == (user_id, {"disabled": True})
    people.operator.change("PATCH", f"/admin/v1/users/{user_id}", {"disabled": False})
    assert work() == {"kept", "elsewhere", "nobody's", "colleague's"}


def test_nobody_takes_their_own_role_away(people):
    user_id = people.operator.session["user"]["id"]
    for change in ({"role": "member"}, {"disabled": True}):
        assert people.operator.ask("PATCH", f"/admin/v1/users/{user_id}", change).status_code == 409


def test_a_members_disabled_membership_shuts_the_workspace_and_its_keys(people, newcomer):
    browser = newcomer("unseated@one.test")
    made = browser.change("POST", "/portal/v1/keys", {"name": "of the unseated"})
    assert people.gateway.get("/v1/models", key=made["secret"]).status_code == 200
    [member] = [row for row in browser.get("/portal/v1/members")["data"] if row["you"]]
    people.gateway.admin("PATCH", f"/members/{member['id']}", {"disabled": True})
    assert people.gateway.get("/v1/models", key=made["secret"]).status_code == 401
    refused = browser.ask("GET", "/portal/v1/keys")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "no_workspace")


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(people, visitor):
    answer = visitor().http.post("/portal/v1/session", json={"email": "m@one.test", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert re.match(r"mira_session=[\w-]{43}; ", cookie)
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert answer.json()["secure"] is False


def test_nothing_of_a_session_stays_in_a_cache(people, newcomer):
    browser = newcomer("cached@one.test")
    made = browser.ask("POST", "/portal/v1/keys", {"name": "uncached"})
    for answer in (made, browser.ask("GET", "/portal/v1/session"), browser.ask("GET", "/portal/v1/overview")):
        assert answer.headers["cache-control"] == "no-store"
    assert people.operator.ask("GET", "/admin/v1/nodes").headers["cache-control"] == "no-store"


def test_the_database_holds_no_token_and_no_password(people, newcomer):
    browser = newcomer("canary@one.test")
    secret = browser.change("POST", "/portal/v1/keys", {"name": "canary"})["secret"]
    invitation = browser.change("POST", "/portal/v1/invitations", {"email": "z@y.test"})["url"].rpartition("/")[2]
    tokens = (browser.http.cookies.get("mira_session"), browser.session["csrf_token"], secret, invitation, PASSWORD)
    with closing(sqlite3.connect(people.gateway.home / "mira.db")) as database:
        dump = "\n".join(database.iterdump())
    answers = [
        browser.ask("GET", row).text for row in ("/portal/v1/keys", "/portal/v1/audit", "/portal/v1/invitations")
    ]
    answers.append(people.operator.ask("GET", "/admin/v1/audit?limit=1000").text)
    answers.append(people.operator.ask("GET", "/admin/v1/settings").text)
    answers.append(people.operator.ask("GET", "/admin/v1/users").text)
    for token in tokens:
        assert token not in dump
        assert token not in people.gateway.log
        assert all(token not in answer for answer in answers)
