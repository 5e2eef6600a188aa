"""Signing in: who guesses is stopped, in every process, and learns nothing."""

import pytest
from tests.accounts.browser import PASSWORD, Browser
from tests.accounts.conftest import MODEL
from tests.support.gateway import Gateway


def tries(gateway: Gateway, email: str, password: str, address: str = "10.1.1.1") -> int:
    """The status of one try from behind a proxy."""
    headers = {"x-forwarded-for": address}
    return gateway.http.post(
        "/portal/v1/session", json={"email": email, "password": password}, headers=headers
    ).status_code


@pytest.fixture(scope="module")
def behind_a_proxy(tmp_path_factory):
    gateway = Gateway(
        tmp_path_factory.mktemp("proxied"), tables={"server": {"trusted_proxies": ["127.0.0.1", "10.9.0.0/16"]}}
    ).start()
    yield gateway
    gateway.close()


def test_five_wrong_passwords_lock_an_account_and_the_sixth_right_one_waits(behind_a_proxy):
    gateway = behind_a_proxy
    user_id = gateway.admin("GET", "/users")["data"][0]["id"]
    password = gateway.admin("POST", f"/users/{user_id}/reset-password")["password"]
    for number in range(5):
        assert tries(gateway, "operator@localhost", "wrong", f"10.1.1.{number}") == 401
    locked = gateway.http.post("/portal/v1/session", json={"email": "Operator@localhost", "password": password})
    assert locked.status_code == 429
    assert int(locked.headers["retry-after"]) > 60
    gateway.stop()
    gateway.start()
    assert tries(gateway, "operator@localhost", password) == 429
    fresh = gateway.admin("POST", f"/users/{user_id}/reset-password")["password"]
    assert tries(gateway, "operator@localhost", fresh) == 200


def test_an_address_has_twenty_tries_over_all_accounts_and_an_ipv6_network_is_one_address(behind_a_proxy):
    gateway = behind_a_proxy
    for number in range(20):
        assert tries(gateway, f"{number}@x.test", "wrong", f"2001:db8:1:2::{number + 1}") == 401
    assert tries(gateway, "20@x.test", "wrong", "2001:db8:1:2:ffff::1") == 429
    assert tries(gateway, "20@x.test", "wrong", "2001:db8:1:3::1") == 401
    # The last hop that is no trusted proxy counts: what a client writes in front of it does not.
    assert tries(gateway, "21@x.test", "wrong", "9.9.9.9, 2001:db8:1:2::77, 10.9.0.3") == 429


def test_a_right_password_takes_its_try_back(behind_a_proxy):
    gateway = behind_a_proxy
    user_id = gateway.admin("GET", "/users")["data"][0]["id"]
    password = gateway.admin("POST", f"/users/{user_id}/reset-password")["password"]
    for _ in range(21):
        assert tries(gateway, "operator@localhost", password) == 200
    for _ in range(4):
        assert tries(gateway, "operator@localhost", "wrong") == 401
    assert tries(gateway, "operator@localhost", password) == 200
    for _ in range(4):
        assert tries(gateway, "operator@localhost", "wrong") == 401


def test_an_unknown_address_and_a_wrong_password_are_answered_alike(people, visitor):
    answers = [
        visitor().http.post("/portal/v1/session", json={"email": email, "password": "wrong one"})
        for email in ("o@two.test", "nobody-of-this-name@two.test", "'; DROP TABLE user; --", "\0@x")
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({str(answer.json()["error"]) for answer in answers}) == 1


def test_a_cookie_over_https_is_bound_to_the_host_and_the_plain_one_is_not_taken_there(behind_a_proxy):
    gateway = behind_a_proxy
    user_id = gateway.admin("GET", "/users")["data"][0]["id"]
    password = gateway.admin("POST", f"/users/{user_id}/reset-password")["password"]
    https = {"x-forwarded-proto": "https", "x-forwarded-host": "mira.test", "x-forwarded-prefix": "/gate"}
    body = {"email": "operator@localhost", "password": password}
    answer = gateway.http.post("/portal/v1/session", json=body, headers={**https, "origin": "https://mira.test"})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-mira_session=")
    assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
    assert (answer.json()["secure"], answer.json()["base_url"]) == (True, "https://mira.test/gate")
    token = cookie.partition("=")[2].partition(";")[0]

    def signed_in(headers: dict[str, str]) -> bool:
        gateway.http.cookies.clear()
        return bool(gateway.http.get("/portal/v1/session", headers=headers).json()["signed_in"])

    assert signed_in({**https, "cookie": f"__Host-mira_session={token}"})
    assert not signed_in({**https, "cookie": f"mira_session={token}"})
    assert not signed_in({"cookie": f"__Host-mira_session={token}"})


def test_what_a_client_says_of_itself_without_a_trusted_proxy_is_not_believed(people, visitor):
    lies = {"x-forwarded-proto": "https", "x-forwarded-host": "evil.test", "x-forwarded-for": "9.9.9.9"}
    told = visitor().http.get("/portal/v1/session", headers=lies).json()
    assert (told["secure"], told["base_url"]) == (False, people.gateway.url)
    browser = Browser(people.gateway.url)
    browser.take(
        browser.http.post("/portal/v1/session", json={"email": "m@one.test", "password": PASSWORD}, headers=lies)
    )
    assert {row["address"] for row in browser.get("/portal/v1/sessions")["data"]} == {"127.0.0.1"}
    browser.close()


def test_the_playground_bills_the_workspace_on_a_key_that_nobody_has(people, newcomer):
    browser = newcomer("plays@one.test")
    before = people.gateway.balance()["balance"]
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
    whole = browser.ask("POST", "/portal/v1/play/chat/completions", asked)
    streamed = browser.ask("POST", "/portal/v1/play/chat/completions", {**asked, "stream": True})
    assert whole.status_code == streamed.status_code == 200
    assert streamed.text.rstrip().endswith("data: [DONE]")
    page = browser.get(f"/portal/v1/calls?key=key_portal_ws_default&limit=2&model={MODEL}")
    assert {row["id"] for row in page["data"]} == {whole.headers["x-request-id"], streamed.headers["x-request-id"]}
    assert {row["key_name"] for row in page["data"]} == {"Portal playground"}
    assert people.gateway.balance()["balance"] != before
    [managed] = [key for key in browser.get("/portal/v1/keys")["data"] if key["managed"]]
    browser.change("PATCH", f"/portal/v1/keys/{managed['id']}", {"disabled": True})
    assert browser.ask("POST", "/portal/v1/play/chat/completions", asked).status_code == 403
    browser.change("PATCH", f"/portal/v1/keys/{managed['id']}", {"disabled": False, "models": ["openai/another"]})
    assert browser.ask("POST", "/portal/v1/play/chat/completions", asked).status_code == 403
    browser.change("PATCH", f"/portal/v1/keys/{managed['id']}", {"models": None})
    assert browser.ask("POST", "/portal/v1/play/chat/completions", asked).status_code == 200
    assert browser.ask("DELETE", f"/portal/v1/keys/{managed['id']}").status_code == 409
    assert people.gateway.check_ledger()["ok"]
