"""Single sign-on, with a real provider in a process of its own."""

import re
from collections.abc import Iterator

import pytest
from tests.accounts.browser import PASSWORD, Browser, invited
from tests.accounts.oidc_provider import OidcProvider, oidc_provider, sign_on
from tests.support.gateway import Gateway

SECRET = "the-client-secret-of-these-tests"


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    with oidc_provider() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, provider: OidcProvider) -> Iterator[Gateway]:
    oidc = {"issuer": provider.issuer, "client_id": "mira", "client_secret": SECRET, "operators": ["Boss@x.test"]}
    running = Gateway(tmp_path_factory.mktemp("oidc"), tables={"oidc": oidc}).start()
    yield running
    running.close()


@pytest.fixture
def browser(gateway: Gateway) -> Iterator[Browser]:
    made = Browser(gateway.url)
    yield made
    made.close()


def code_of(response) -> str | None:
    found = re.search(r"error=(\w+)", response.headers["location"])
    return found[1] if found else None


def test_an_operator_who_is_named_comes_as_one(gateway, provider, browser):
    provider.put("boss", email="Boss@x.test", email_verified=True, name="The Boss")
    back = sign_on(browser.http, "boss")
    assert (back.headers["location"], code_of(back)) == (f"{gateway.url}/#/", None)
    told = browser.http.get("/portal/v1/session").json()
    assert told["user"] | {"id": ""} == {
        "id": "", "email": "boss@x.test", "name": "The Boss", "role": "operator", "has_password": False,
    }  # fmt: skip
    assert browser.http.get("/admin/v1/nodes").status_code == 200
    entries = browser.http.get("/admin/v1/audit?actor=boss@x.test").json()["data"]
    assert {(entry["action"], entry["actor"]["kind"]) for entry in entries} >= {
        ("user.identify", "oidc"),
        ("session.begin", "oidc"),
    }


def test_nobody_comes_without_an_invitation_or_with_an_address_that_is_not_verified(gateway, provider, browser):
    provider.put("nobody", email="nobody@x.test", email_verified=True)
    assert code_of(sign_on(browser.http, "nobody")) == "oidc_refused"
    for number, claims in enumerate(
        [{"email": "boss@x.test", "email_verified": False}, {"email": "boss@x.test"}, {"email_verified": True}, {}]
    ):
        provider.put(f"unverified{number}", **claims)
        assert code_of(sign_on(browser.http, f"unverified{number}")) == "oidc_unverified", claims
    assert not browser.signed_in


def test_an_invited_address_joins_and_is_known_by_its_subject_from_then_on(gateway, provider, browser):
    gateway.admin("POST", "/workspaces/ws_default/invitations", {"email": "guest@x.test"})
    provider.put("guest", email="guest@x.test", email_verified=True)
    assert code_of(sign_on(browser.http, "guest")) is None
    session = browser.http.get("/portal/v1/session").json()
    assert (session["workspace"]["id"], session["user"]["role"]) == ("ws_default", "member")
    # The provider now knows them under another address, and somebody else under theirs.
    provider.put("guest", email="moved@x.test", email_verified=True)
    provider.put("stranger", email="guest@x.test", email_verified=True)
    again, stranger = Browser(gateway.url), Browser(gateway.url)
    assert code_of(sign_on(again.http, "guest")) is None
    assert again.http.get("/portal/v1/session").json()["user"]["email"] == "guest@x.test"
    assert code_of(sign_on(stranger.http, "stranger")) == "oidc_refused"
    for one in (again, stranger):
        one.close()


def test_an_account_with_a_password_is_joined_and_keeps_both_ways(gateway, provider, browser):
    invited(gateway, "two-ways@x.test").close()
    provider.put("two-ways", email="two-ways@x.test", email_verified=True)
    assert code_of(sign_on(browser.http, "two-ways")) is None
    browser.sign_in("two-ways@x.test", PASSWORD)
    user_id = browser.session["user"]["id"]
    gateway.admin("PATCH", f"/users/{user_id}", {"disabled": True})
    assert code_of(sign_on(browser.http, "two-ways")) == "oidc_disabled"


def test_who_was_not_sent_from_this_browser_is_not_let_in(gateway, provider, browser):
    provider.put("boss", email="boss@x.test", email_verified=True)
    for path in (
        "/portal/v1/oidc/callback",
        "/portal/v1/oidc/callback?code=x&state=y",
        "/portal/v1/oidc/callback?error=access_denied",
    ):
        assert code_of(browser.http.get(path)) == "oidc_failed"
    other = Browser(gateway.url)
    sent = other.http.get("/portal/v1/oidc/start").headers["location"]
    # Somebody has this browser open the callback of a trip that began in another one.
    browser.http.get("/portal/v1/oidc/start")
    state = re.search(r"state=([^&]+)", sent)[1]
    assert code_of(browser.http.get(f"/portal/v1/oidc/callback?code=x&state={state}")) == "oidc_failed"
    assert not browser.signed_in
    other.close()


def test_a_code_is_good_once(gateway, provider, browser):
    provider.put("boss", email="boss@x.test", email_verified=True)
    assert code_of(sign_on(browser.http, "boss")) is None
    assert "mira_sign_on" not in {cookie.name for cookie in browser.http.cookies.jar if cookie.value}


def test_the_way_there_carries_state_nonce_and_a_challenge_and_no_secret(gateway, browser):
    sent = browser.http.get("/portal/v1/oidc/start").headers["location"]
    for part in ("state=", "nonce=", "code_challenge=", "code_challenge_method=S256", "response_type=code"):
        assert part in sent
    assert SECRET not in sent
    assert SECRET not in gateway.log
    assert SECRET not in str(gateway.admin("GET", "/settings"))
