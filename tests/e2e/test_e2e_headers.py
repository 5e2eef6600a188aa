"""What goes to a node beside the body: versions and previews of Anthropic, and nothing that is not for it."""

from collections.abc import Callable

import pytest
from tests.e2e.protocols import BEHIND_ANTHROPIC, BEHIND_CHAT, BEHIND_GEMINI, BEHIND_OPENAI, nodes, prices
from tests.e2e.surfaces import CHAT, MESSAGES, RESPONSES
from tests.support.gateway import PROXY_KEY, Gateway
from tests.support.said import Said
from tests.support.upstream import Upstream


@pytest.fixture(scope="module")
def gateway(scripted: Upstream, make_gateway: Callable[..., Gateway]) -> Gateway:
    """The module's gateway: one node of every kind in front of the upstream."""
    return make_gateway(nodes=nodes(scripted), prices=prices())


def test_an_anthropic_node_gets_the_clients_version_and_betas_where_its_request_passes_through(gateway, upstream):
    upstream.script(BEHIND_ANTHROPIC.bare, *BEHIND_ANTHROPIC.wire.says(Said(texts=("Hi.",))))
    told = {"anthropic-version": "2026-10-21", "anthropic-beta": "one-2026,two-2026", "x-other": "not for the node"}
    body = MESSAGES.ask(BEHIND_ANTHROPIC.model, stream=False)
    assert gateway.post(MESSAGES.path, body, headers=told).status_code == 200
    headers = upstream.received(1)[0].headers
    assert headers["anthropic-version"] == "2026-10-21"
    assert headers["anthropic-beta"] == "one-2026,two-2026"
    assert "x-other" not in headers


def test_betas_that_come_in_several_headers_all_reach_the_node(gateway, upstream):
    upstream.script(BEHIND_ANTHROPIC.bare, *BEHIND_ANTHROPIC.wire.says(Said(texts=("Hi.",))))
    told = [
        ("authorization", f"Bearer {PROXY_KEY}"),
        ("anthropic-beta", "one-2026"),
        ("anthropic-beta", "two-2026,three-2026"),
    ]
    body = MESSAGES.ask(BEHIND_ANTHROPIC.model, stream=False)
    assert gateway.http.post(MESSAGES.path, json=body, headers=told).status_code == 200
    assert upstream.received(1)[0].headers["anthropic-beta"] == "one-2026,two-2026,three-2026"


@pytest.mark.parametrize("surface", [CHAT, RESPONSES], ids=lambda surface: surface.name)
def test_an_anthropic_node_gets_miras_version_where_its_request_is_translated(gateway, upstream, surface):
    upstream.script(BEHIND_ANTHROPIC.bare, *BEHIND_ANTHROPIC.wire.says(Said(texts=("Hi.",))))
    told = {"anthropic-version": "2026-10-21", "anthropic-beta": "one-2026"}
    assert gateway.post(surface.path, surface.ask(BEHIND_ANTHROPIC.model, False), headers=told).status_code == 200
    headers = upstream.received(1)[0].headers
    assert headers["anthropic-version"] == "2023-06-01"
    assert "anthropic-beta" not in headers


@pytest.mark.parametrize("behind", [BEHIND_CHAT, BEHIND_GEMINI, BEHIND_OPENAI], ids=lambda behind: behind.kind)
def test_no_other_node_gets_anthropic_headers(gateway, upstream, behind):
    surface = RESPONSES if behind is BEHIND_OPENAI else MESSAGES
    upstream.script(behind.bare, *behind.wire.says(Said(texts=("Hi.",))))
    told = {"anthropic-version": "2026-10-21", "anthropic-beta": "one-2026"}
    assert gateway.post(surface.path, surface.ask(behind.model, False), headers=told).status_code == 200
    assert not told.keys() & upstream.received(1)[0].headers.keys()
