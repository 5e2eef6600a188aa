"""Invitations: once, for one address, and for nobody who has only heard of it."""

from tests.accounts.browser import PASSWORD, Browser


def invite(browser: Browser, email: str, **more: object) -> tuple[str, str]:
    """An invitation's token and id."""
    made = browser.change("POST", "/portal/v1/invitations", {"email": email, **more})
    return made["url"].rpartition("/")[2], made["invitation"]["id"]


def accept(browser: Browser, token: str, password: str = PASSWORD) -> int:
    return browser.http.post("/portal/v1/invitations/accept", json={"token": token, "password": password}).status_code


def look(browser: Browser, token: str) -> int:
    return browser.http.post("/portal/v1/invitations/look", json={"token": token}).status_code


def test_an_invitation_works_once(people, visitor):
    token, made = invite(people.member, "Once@one.test")
    first, second = visitor(), visitor()
    seen = first.http.post("/portal/v1/invitations/look", json={"token": token}).json()
    assert seen | {"expires_at_ms": 0} == {
        "email": "once@one.test",
        "role": "member",
        "workspace_name": "default",
        "has_account": False,
        "expires_at_ms": 0,
    }
    assert accept(first, token) == 200
    assert first.signed_in
    assert accept(second, token) == look(second, token) == 404
    assert not second.signed_in
    [row] = [row for row in people.member.get("/portal/v1/invitations")["data"] if row["id"] == made]
    assert row["state"] == "accepted"


def test_a_withdrawn_or_unknown_invitation_opens_nothing(people, visitor):
    token, made = invite(people.member, "withdrawn@one.test")
    assert people.member.ask("DELETE", f"/portal/v1/invitations/{made}").status_code == 204
    assert people.member.ask("DELETE", f"/portal/v1/invitations/{made}").status_code == 404
    for wrong in (token, token[:-1], "x", "' OR 1=1 --"):
        assert accept(visitor(), wrong) == 404


def test_a_weak_password_uses_no_invitation_up(people, visitor):
    token, _ = invite(people.member, "weak@one.test")
    assert accept(visitor(), token, "short") == 400
    assert accept(visitor(), token) == 200


def test_the_link_alone_does_not_open_an_account_that_was_there_before(people, newcomer, visitor):
    browser = newcomer("both@one.test")
    token, _ = invite(people.other, "both@one.test")
    assert accept(visitor(), token, "a guess of a password") == 401
    assert accept(visitor(), token, PASSWORD) == 200
    places = browser.http.get("/portal/v1/session").json()["workspaces"]
    assert {place["id"] for place in places} == {"ws_default", people.other_workspace}
    browser.change("PUT", "/portal/v1/session/workspace", {"workspace_id": people.other_workspace})
    emails = {row["email"] for row in browser.get("/portal/v1/members")["data"]}
    assert "o@two.test" in emails
    assert "m@one.test" not in emails


def test_a_disabled_member_does_not_come_back_by_an_invitation(people, newcomer, visitor):
    browser = newcomer("put-out@one.test")
    spare, _ = invite(browser, "put-out@one.test")
    [member] = [row for row in browser.get("/portal/v1/members")["data"] if row["you"]]
    people.gateway.admin("PATCH", f"/members/{member['id']}", {"disabled": True})
    again = visitor()
    assert accept(again, spare) == 200
    refused = again.ask("GET", "/portal/v1/keys")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "no_workspace")
    people.gateway.admin("PATCH", f"/members/{member['id']}", {"disabled": False})
    assert again.ask("GET", "/portal/v1/keys").status_code == 200


def test_a_member_cannot_invite_operators_and_an_operator_can(people, visitor):
    refused = people.member.ask("POST", "/portal/v1/invitations", {"email": "x@y.test", "role": "operator"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (403, "role")
    made = people.operator.change(
        "POST", "/admin/v1/workspaces/ws_default/invitations", {"email": "second@operator.test", "role": "operator"}
    )
    second = visitor()
    assert accept(second, made["url"].rpartition("/")[2]) == 200
    assert second.http.get("/admin/v1/nodes").status_code == 200


def test_an_address_must_be_one(people):
    for wrong in ("", "nobody", "a@", "@b", "a@b@c", "a\n@b", " "):
        assert people.member.ask("POST", "/portal/v1/invitations", {"email": wrong}).status_code == 400, wrong
