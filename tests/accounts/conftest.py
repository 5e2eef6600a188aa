"""One gateway for the tests of accounts, with two workspaces, and a way to have browsers closed."""

import re
from collections.abc import Callable, Iterator

import msgspec
import pytest
from tests.accounts.browser import Browser, invited
from tests.support.gateway import Gateway, openai_node, price
from tests.support.upstream import Upstream

MODEL = "openai/gpt-4o-mini"


class People(msgspec.Struct, frozen=True):
    """A gateway with an operator and a member of each of two workspaces, `other` of the second."""

    gateway: Gateway
    upstream: Upstream
    operator: Browser
    member: Browser
    other: Browser
    other_workspace: str


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    upstream = Upstream(["gpt-4o-mini"]).start()
    gateway = Gateway(
        tmp_path_factory.mktemp("people"), nodes=[openai_node(upstream.url)], prices=[price(MODEL)]
    ).start()
    browsers: list[Browser] = []
    try:
        line = gateway.says(lambda text: "sign-in" in text)
        found = re.search(r"(\S+@\S+)\s+password (\S+)", line)
        assert found is not None
        operator = Browser(gateway.url).sign_in(found[1], found[2])
        other_workspace = gateway.new_workspace(name="the other one")
        member, other = invited(gateway, "m@one.test"), invited(gateway, "o@two.test", other_workspace)
        browsers += [operator, member, other]
        yield People(gateway, upstream, operator, member, other, other_workspace)
    finally:
        for browser in browsers:
            browser.close()
        gateway.close()
        upstream.stop()


@pytest.fixture
def newcomer(people: People) -> Iterator[Callable[..., Browser]]:
    """Makes members who may end their sessions without harm to other tests."""
    made: list[Browser] = []

    def new(email: str, workspace_id: str = "ws_default", **more: str) -> Browser:
        made.append(invited(people.gateway, email, workspace_id, **more))
        return made[-1]

    yield new
    for browser in made:
        browser.close()


@pytest.fixture
def visitor(people: People) -> Iterator[Callable[[], Browser]]:
    """Makes browsers in which nobody is signed in."""
    made: list[Browser] = []

    def new() -> Browser:
        made.append(Browser(people.gateway.url))
        return made[-1]

    yield new
    for browser in made:
        browser.close()
