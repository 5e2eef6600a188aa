"""What goes to a node beside the body: versions and previews of Anthropic, and nothing that is not for it."""

from collections.abc import Callable

import pytest
from tests.e2e.protocols import BEHIND_ANTHROPIC, BEHIND_CHAT, BEHIND_GEMINI, BEHIND_OPENAI, nodes, prices
from tests.e2e.surfaces import CHAT, MESSAGES, RESPONSES
from tests.support.gateway import PROXY_KEY, Gateway
from tests.support.said import Said
from tests.support.upstream import Upstream

PARALLEL = "tool_choice.disable_parallel_tool_use"


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


def test_fields_that_are_left_out_are_told_in_a_header_whatever_their_names(gateway, upstream):
    upstream.script(BEHIND_ANTHROPIC.bare, *BEHIND_ANTHROPIC.wire.says(Said(texts=("Hi.",))))
    body = CHAT.ask(BEHIND_ANTHROPIC.model, stream=False)
    hostile = {"evil\r\nx-injected: 1": 1, "ü,ü": 2, "seed": 3}
    answer = gateway.post(CHAT.path, {**body, **hostile, "tools": [{"type": "web\nsearch"}]})
    assert answer.status_code == 200
    assert "x-injected" not in answer.headers
    assert answer.headers["x-mira-dropped"] == "???,evil??x-injected:?1,seed,tools.web?search"
    answer = gateway.post(CHAT.path, {**body, **{f"field-{number}": number for number in range(1000)}})
    assert answer.status_code == 200
    told = answer.headers["x-mira-dropped"]
    assert len(told) < 1100
    assert told.startswith("field-0,field-1,")
    assert told.endswith(",...")


@pytest.mark.parametrize(
    ("surface", "fields", "dropped"),
    [
        (CHAT, {"stop": ["a", " "]}, "stop"),
        (MESSAGES, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, PARALLEL),
        (RESPONSES, {"truncation": "auto"}, "truncation"),
    ],
    ids=["chat", "messages", "responses"],
)
def test_what_is_left_out_is_named_as_the_client_named_it(gateway, upstream, surface, fields, dropped):
    behind = BEHIND_GEMINI if surface is MESSAGES else BEHIND_ANTHROPIC
    upstream.script(behind.bare, *behind.wire.says(Said(texts=("Hi.",))))
    body = surface.with_tools(surface.ask(behind.model, stream=False))
    answer = gateway.post(surface.path, {**body, **fields})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-mira-dropped"] == dropped


def test_what_is_refused_is_named_as_the_client_named_it(gateway, upstream):
    image = {"type": "input_image", "file_id": "file-of-openai"}
    body = {**RESPONSES.ask(BEHIND_ANTHROPIC.model, stream=False), "input": [{"role": "user", "content": [image]}]}
    told = gateway.post(RESPONSES.path, body).json()["error"]
    assert (told["code"], told["param"]) == ("unsupported_parameter", "input")
    source = {"type": "file", "file_id": "a-file-of-anthropic"}
    content = [{"type": "document", "source": source}]
    body = MESSAGES.ask(BEHIND_CHAT.model, stream=False) | {"messages": [{"role": "user", "content": content}]}
    told = gateway.post(MESSAGES.path, body).json()["error"]
    assert told["type"] == "invalid_request_error"
    assert told["message"].startswith("messages: ")
    assert upstream.chats() == []


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
