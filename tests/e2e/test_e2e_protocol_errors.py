"""Errors of `/v1/messages` and the routes below it in Anthropic's shape, whatever the status and wherever they arise."""

from collections.abc import Callable

import pytest
from tests.e2e.protocols import BEHIND_ANTHROPIC, BEHIND_CHAT, BEHIND_GEMINI, nodes, prices
from tests.e2e.surfaces import MESSAGES
from tests.support.gateway import INFERENCE_KEY, Gateway
from tests.support.upstream import Upstream, answers

COUNT = "/v1/messages/count_tokens"
BODY = MESSAGES.ask(BEHIND_CHAT.model, False)
paths = pytest.mark.parametrize("path", [MESSAGES.path, COUNT])


@pytest.fixture(scope="module")
def gateway(scripted: Upstream, make_gateway: Callable[..., Gateway]) -> Gateway:
    """The module's gateway: one node of every kind in front of the upstream."""
    return make_gateway(nodes=nodes(scripted), prices=prices())


def check(response, status, kind):
    """The message of an error that has Anthropic's shape."""
    assert response.status_code == status, response.text
    body = response.json()
    assert body.keys() == {"type", "error", "request_id"}
    assert body["type"] == "error"
    assert body["error"]["type"] == kind
    assert body["error"].keys() <= {"type", "message", "details"}
    assert body["request_id"].startswith("req")
    assert response.headers["request-id"] == response.headers["x-request-id"] == body["request_id"]
    assert response.headers["content-type"] == "application/json"
    return body["error"]["message"]


@paths
def test_a_wrong_field_is_named(gateway, path):
    assert "max_tokens" in check(gateway.post(path, {**BODY, "max_tokens": "x"}), 400, "invalid_request_error")
    broken = {**BODY, "messages": [{"role": "user", "content": [{"type": "text"}]}]}
    assert "messages[0].content[0]" in check(gateway.post(path, broken), 400, "invalid_request_error")
    check(gateway.request("POST", path, content=b"{"), 400, "invalid_request_error")


@paths
def test_keys_models_methods_and_sizes_are_refused_alike(gateway, path):
    check(gateway.post(path, BODY, key=None), 401, "authentication_error")
    check(gateway.post(path, BODY, key="sk-mira-wrong"), 401, "authentication_error")
    check(gateway.post(path, BODY, key=INFERENCE_KEY), 403, "permission_error")
    check(gateway.post(path, {**BODY, "model": "nobody/nothing"}), 404, "not_found_error")
    response = gateway.get(path)
    check(response, 405, "invalid_request_error")
    assert response.headers["allow"] == "POST"
    check(gateway.request("POST", path, content=b" " * (33 * 2**20)), 413, "request_too_large")


def test_a_route_below_messages_that_is_none_says_so_in_the_same_shape(gateway):
    check(gateway.get("/v1/messages/batches"), 404, "not_found_error")


def test_an_empty_account_is_told_what_it_needs(gateway):
    _, key = gateway.new_key(gateway.new_workspace(None))
    response = gateway.post(MESSAGES.path, BODY, key=key)
    check(response, 402, "billing_error")
    assert response.json()["error"]["details"]["balance"] == "0"
    assert float(response.json()["error"]["details"]["needed"]) > 0
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("behind", [BEHIND_CHAT, BEHIND_ANTHROPIC, BEHIND_GEMINI], ids=lambda behind: behind.kind)
@pytest.mark.parametrize(
    ("told", "status", "kind"),
    [
        (400, 400, "invalid_request_error"),
        (401, 502, "api_error"),
        (403, 502, "api_error"),
        (413, 413, "request_too_large"),
        (429, 429, "rate_limit_error"),
        (500, 502, "api_error"),
        (529, 529, "overloaded_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_nodes_refusal_is_retold_without_its_secrets(gateway, upstream, behind, told, status, kind, stream):
    words = {"message": "see http://10.1.2.3/secret with sk-ant-api03-abcdefghijkl", "type": "whatever"}
    upstream.script(behind.bare, answers({"type": "error", "error": words}, told, headers=[("retry-after", "7")]))
    held = gateway.balance()["held"]
    response = gateway.post(MESSAGES.path, MESSAGES.ask(behind.model, stream))
    message = check(response, status, kind)
    assert "10.1.2.3" not in message
    assert "sk-ant" not in message
    if told == 429:
        assert response.headers["retry-after"] == "7"
    record = gateway.call(response.headers["request-id"])
    assert (record["cost"], record["status"]) == ("0", status)
    assert gateway.balance()["held"] == held
