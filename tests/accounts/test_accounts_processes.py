"""Two gateways on one PostgreSQL: what ends a session in one has ended it in the other."""

import re
from collections.abc import Callable, Iterator

import pytest
from tests.accounts.browser import PASSWORD, Browser, invited
from tests.support.gateway import Gateway, eventually
from tests.support.replicas import replicas
from tests.support.upstream import Upstream


@pytest.fixture(scope="module")
def pair(new_postgres_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Gateway]]:
    upstream = Upstream([]).start()
    folder = tmp_path_factory.mktemp("pair")
    with replicas(new_postgres_url(), upstream, folder, 2, MIRA_SECRET_KEY="s" * 40) as gateways:
        yield gateways
    upstream.stop()


def elsewhere(browser: Browser, gateway: Gateway) -> bool:
    """Whether another gateway knows the browser's session."""
    cookie = {"cookie": f"mira_session={browser.http.cookies.get('mira_session')}"}
    return bool(gateway.http.get("/portal/v1/session", headers=cookie).json()["signed_in"])


def test_a_session_of_one_process_ends_in_the_other_with_the_request_that_ends_it(pair):
    here, there = pair
    browser = invited(here, "both@x.test")
    kept = browser.http.cookies.get("mira_session")
    assert elsewhere(browser, there)
    second = Browser(there.url).sign_in("both@x.test", PASSWORD)
    second.take(second.ask("PUT", "/portal/v1/me/password", {"current": PASSWORD, "new": "another password"}))
    # The very next request is refused: there is nothing that would have to hear of it.
    assert not browser.signed_in
    assert not elsewhere(browser, there)
    browser.sign_in("both@x.test", "another password")
    assert browser.http.cookies.get("mira_session") != kept
    assert second.ask("DELETE", "/portal/v1/session").status_code == 204
    assert not browser.signed_in
    for one in (browser, second):
        one.close()


def test_the_keys_of_a_user_who_is_disabled_in_one_process_stop_in_the_other(pair):
    here, there = pair
    browser = invited(here, "keys@x.test")
    secret = browser.change("POST", "/portal/v1/keys", {"name": "of theirs"})["secret"]
    user = f"/users/{browser.session['user']['id']}"

    def opens(gateway: Gateway) -> bool:
        return gateway.get("/v1/models", key=secret).status_code == 200

    assert opens(here)
    assert opens(there)
    here.admin("PATCH", user, {"disabled": True})
    assert not opens(here)
    eventually(lambda: not opens(there))
    here.admin("PATCH", user, {"disabled": False})
    assert opens(here)
    eventually(lambda: opens(there))
    browser.close()


def test_wrong_passwords_are_counted_over_all_processes(pair):
    here, there = pair
    invited(here, "guessed@x.test").close()
    wrong = {"email": "guessed@x.test", "password": "wrong"}
    told = [gateway.http.post("/portal/v1/session", json=wrong).status_code for gateway in (here, there) * 3]
    assert told == [401] * 5 + [429]


def test_an_operators_password_that_is_replaced_opens_no_process_with_http_basic_any_more(pair):
    here, there = pair
    [operator] = [user for user in here.admin("GET", "/users")["data"] if user["id"] == "user_operator"]
    first = here.admin("POST", f"/users/{operator['id']}/reset-password")["password"]

    def opens(gateway: Gateway) -> bool:
        auth = (operator["email"], first)
        return gateway.request("GET", "/admin/v1/nodes", key=None, auth=auth).status_code == 200

    assert opens(here)
    assert opens(there)
    here.admin("POST", f"/users/{operator['id']}/reset-password")
    assert not opens(here)
    eventually(lambda: not opens(there))


def test_prices_that_one_process_sets_count_in_the_other(pair):
    here, there = pair
    here.admin("POST", "/nodes", {
        "name": "priced", "kind": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": "x", "models": ["new-one"],
    })  # fmt: skip
    here.admin("PUT", "/prices/openai/new-one", {"input": "3", "output": "4"})

    def told(gateway: Gateway) -> str | None:
        rows = {row["model"]: row for row in gateway.admin("GET", "/prices")["data"]}
        sale = rows.get("openai/new-one", {}).get("sale")
        return sale["input"] if sale else None

    assert told(here) == "3"
    eventually(lambda: told(there) == "3")
    assert re.match(r"[\d.]+$", told(there) or "")
