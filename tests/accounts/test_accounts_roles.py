"""Who may do what: generated from the table of routes, so that a new route is tried without a new test."""

import re

import pytest
from tests.accounts.browser import Browser
from tests.accounts.conftest import MODEL
from tests.support.gateway import Gateway
from tests.support.ports import free_port

from mira.api.table import TABLE, Policy, Row

FILLED = {"model": MODEL, "name": "scripted", "id": "nothing-of-this-id"}
UNDER_A_SESSION = [row for row in TABLE if row.policy is Policy.SESSION]
FOR_OPERATORS = [row for row in TABLE if row.policy is Policy.OPERATOR]


def named(row: Row) -> str:
    return f"{row.method} {row.path}"


def path_of(row: Row, **known: str) -> str:
    return re.sub(r"\{(\w+)(:path)?\}", lambda found: {**FILLED, **known}[found[1]], row.path)


@pytest.mark.parametrize("row", [*UNDER_A_SESSION, *FOR_OPERATORS], ids=named)
def test_without_a_session_every_route_of_the_portal_is_closed(people, visitor, row):
    answer = visitor().http.request(row.method, path_of(row), json={})
    assert answer.status_code == 401, answer.text
    assert answer.json()["error"]["code"] == ("signed_out" if row.policy is Policy.SESSION else "invalid_api_key")


@pytest.mark.parametrize("row", FOR_OPERATORS, ids=named)
def test_a_member_is_refused_every_route_of_operators(people, row):
    answer = people.member.ask(row.method, path_of(row), {} if row.method != "GET" else None)
    assert answer.status_code == 403, answer.text
    assert answer.json()["error"]["code"] == "permission_denied"


@pytest.mark.parametrize("row", [row for row in [*UNDER_A_SESSION, *FOR_OPERATORS] if row.method != "GET"], ids=named)
def test_a_change_without_its_token_is_refused(people, row):
    for headers in ({}, {"x-csrf-token": people.member.session["csrf_token"]}, {"x-csrf-token": ""}):
        answer = people.operator.http.request(row.method, path_of(row), json={}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf"), answer.text


def test_a_change_from_another_sites_page_is_refused_though_its_token_is_right(people):
    for headers in (
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"origin": people.gateway.url.replace("http:", "https:")},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        answer = people.member.ask("PATCH", "/portal/v1/me", {"name": "x"}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf"), headers
    for headers in ({"origin": people.gateway.url}, {"sec-fetch-site": "same-origin"}):
        assert people.member.ask("PATCH", "/portal/v1/me", {"name": "N."}, headers=headers).status_code == 200


def test_a_sign_in_from_another_sites_page_is_refused(people, visitor):
    body = {"email": "m@one.test", "password": "x"}
    foreign = visitor().http.post("/portal/v1/session", json=body, headers={"origin": "https://evil.test"})
    assert foreign.status_code == 403
    form = visitor().http.post("/portal/v1/session", data=body)
    assert form.status_code == 415


def test_every_id_of_another_workspace_is_missing(people):
    """Each route of the portal with an id in its path, asked for things that are there, but not in the own workspace."""
    other = people.other
    key = other.change("POST", "/portal/v1/keys", {"name": "theirs"})["key"]["id"]
    invitation = other.change("POST", "/portal/v1/invitations", {"email": "x@y.test"})["invitation"]["id"]
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
    played = other.ask("POST", "/portal/v1/play/chat/completions", asked)
    things = {
        "/portal/v1/keys/": key,
        "/portal/v1/calls/": played.headers["x-request-id"],
        "/portal/v1/invitations/": invitation,
        "/portal/v1/sessions/": other.get("/portal/v1/sessions")["data"][0]["id"],
    }
    rows = [row for row in UNDER_A_SESSION if "{" in row.path]
    for row in rows:
        [thing] = [found for start, found in things.items() if row.path.startswith(start)]
        body = {"overlap_s": 0} if row.path.endswith("/rotate") else {}
        answer = people.member.ask(row.method, path_of(row, id=thing), body if row.method != "GET" else None)
        missing = people.member.ask(row.method, path_of(row), body if row.method != "GET" else None)
        assert answer.status_code == missing.status_code == 404, f"{named(row)}: {answer.text}"
        # Not even the words tell a thing of somebody else's from one that is not there.
        assert answer.json()["error"] == missing.json()["error"], named(row)
    assert (
        people.member.ask("PUT", "/portal/v1/session/workspace", {"workspace_id": people.other_workspace}).status_code
        == 404
    )
    upload = other.change("POST", "/portal/v1/play/upload", {"data": "aGVsbG8=", "mime_type": "text/plain"})
    assert people.member.ask("GET", f"/portal/v1/play/files/{upload['id']}").status_code == 404
    assert other.ask("GET", f"/portal/v1/play/files/{upload['id']}").status_code == 200


def test_lists_show_the_own_workspace_alone(people):
    other = people.other
    made = other.change("POST", "/portal/v1/keys", {"name": "not for others"})
    for path in ("keys", "calls", "transfers", "invitations", "members", "audit", "usage?group_by=key", "overview"):
        told = people.member.ask("GET", f"/portal/v1/{path}").text
        for word in ("not for others", made["key"]["id"], "o@two.test", people.other_workspace):
            assert word not in told, f"{path} tells of {word}"


def test_where_operators_have_a_listener_of_their_own_their_routes_are_nowhere_else(people, tmp_path):
    assert people.operator.session["operator_pages"]
    assert not people.member.session["operator_pages"]
    apart = free_port()
    gateway = Gateway(tmp_path, MIRA_ADMIN_LISTEN=f"127.0.0.1:{apart}").start()
    line = re.search(r"(\S+@\S+)\s+password (\S+)", gateway.says(lambda text: "sign-in" in text))
    public, inner = Browser(gateway.url), Browser(f"http://127.0.0.1:{apart}")
    for browser, answers in ((public, False), (inner, True)):
        browser.sign_in(line[1], line[2])
        assert browser.session["operator_pages"] is answers
        for row in FOR_OPERATORS:
            status = browser.ask(row.method, path_of(row), {} if row.method != "GET" else None).status_code
            assert answers or status == 404, named(row)
        assert browser.ask("GET", "/admin/v1/nodes").status_code == (200 if answers else 404)
        browser.close()
    gateway.stop()
    gateway.close()


def test_the_playground_opens_no_other_routes(people):
    for path in ("..%2f..%2f..%2fadmin/v1/nodes", "/admin/v1/nodes"):
        assert people.operator.http.get(f"/portal/v1/play/{path}").status_code == 404


def test_a_member_with_limits_cannot_spend_past_them_by_keys_or_people_that_they_do_not_count(people, newcomer):
    limited, free = newcomer("limited@one.test"), newcomer("unlimited@one.test")
    [member] = [row for row in limited.get("/portal/v1/members")["data"] if row["you"]]
    people.gateway.admin("PATCH", f"/members/{member['id']}", {"budget": {"amount": "0", "period": "total"}})
    [told] = [row for row in limited.get("/portal/v1/members")["data"] if row["you"]]
    assert (told["budget"]["amount"], told["budget"]["left"], told["rpm"]) == ("0", "0", None)
    _, shared = people.gateway.new_key(name="of nobody")
    ids = {row["name"]: row["id"] for row in limited.get("/portal/v1/keys")["data"]}
    theirs = free.change("POST", "/portal/v1/keys", {"name": "of the other"})["key"]["id"]
    for key_id in (ids["of nobody"], theirs):
        refused = limited.ask("POST", f"/portal/v1/keys/{key_id}/rotate", {})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "member_limited"), refused.text
    refused = limited.ask("POST", "/portal/v1/invitations", {"email": "second-self@one.test"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "member_limited")
    assert people.gateway.chat(MODEL, key=shared).status_code == 200
    own = limited.change("POST", "/portal/v1/keys", {"name": "of the limited"})
    turned = limited.change("POST", f"/portal/v1/keys/{own['key']['id']}/rotate", {})
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
    for answer in (
        people.gateway.chat(MODEL, key=own["secret"]),
        people.gateway.chat(MODEL, key=turned["secret"]),
        limited.ask("POST", "/portal/v1/play/chat/completions", asked),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (402, "budget_exceeded"), answer.text
    assert free.ask("POST", f"/portal/v1/keys/{ids['of nobody']}/rotate", {}).status_code == 201
