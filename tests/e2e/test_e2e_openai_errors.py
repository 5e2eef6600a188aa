"""Every error as the official SDK raises it, and how often the upstream was asked for it."""

import openai
import pytest
from tests.e2e.sdk import Sdk
from tests.support.gateway import INFERENCE_KEY, PROXY_KEY, UPSTREAM_KEY, openai_node, price
from tests.support.upstream import (
    FIN,
    RST,
    Moment,
    Upstream,
    answers,
    chunk,
    chunks,
    completion,
    frame,
    frames,
    streams,
)

RAW_WORDS = f"account acct-77 of key {UPSTREAM_KEY} at http://10.1.2.3:8080/v1 says no"


@pytest.fixture(params=["sync", "async"])
def sdk(request, gateway):
    return Sdk(gateway, request.param)


def upstream_error(status, *, message="no", headers=(), **fields):
    error = {"message": message, "type": "server_error", "param": None, "code": None, **fields}
    return answers({"error": error}, status, headers=headers)


def test_an_unknown_key_is_an_authentication_error(sdk, upstream):
    with pytest.raises(openai.AuthenticationError) as raised:
        sdk.create(key="sk-mira-nobody-has-this-key-000000000000")
    assert raised.value.code == "invalid_api_key"
    assert "sk-mira-nobody" not in str(raised.value)
    assert upstream.chats() == []


def test_used_up_credits_are_a_402_with_the_figures(sdk, upstream, gateway):
    workspace = gateway.new_workspace("0.00001")
    _, key = gateway.new_key(workspace)
    with pytest.raises(openai.APIStatusError) as raised:
        sdk.create(key=key)
    assert raised.value.status_code == 402
    assert raised.value.code == "insufficient_quota"
    assert raised.value.type == "insufficient_quota"
    assert "0.00001" in raised.value.message
    figures = raised.value.body["details"]
    assert figures["balance"] == figures["available"] == "0.00001"
    assert float(figures["needed"]) > 0.00001
    assert figures["needed"] in raised.value.message
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert upstream.chats() == []


def test_402_is_not_retried_by_the_sdk(sdk, upstream, gateway):
    _, key = gateway.new_key(gateway.new_workspace(None))
    with pytest.raises(openai.APIStatusError) as raised:
        sdk.create(key=key, retries=2)
    assert raised.value.status_code == 402
    assert len(sdk.sent) == 1


def test_a_model_outside_the_keys_scope_is_a_permission_error(sdk, upstream, gateway):
    _, key = gateway.new_key(models=["openai/gpt-4o"])
    with pytest.raises(openai.PermissionDeniedError) as raised:
        sdk.create(key=key)
    assert raised.value.code == "model_not_allowed"
    assert raised.value.param == "model"
    assert upstream.chats() == []
    assert sdk.create(key=key, model="openai/gpt-4o").choices
    assert [model.id for model in sdk.call(lambda client: client.models.list(), key=key).data] == ["openai/gpt-4o"]


@pytest.mark.parametrize(("key", "face"), [(PROXY_KEY, "/inference/v1"), (INFERENCE_KEY, "/v1")])
def test_a_key_of_the_other_face_is_a_permission_error(sdk, upstream, key, face):
    with pytest.raises(openai.PermissionDeniedError) as raised:
        sdk.create(key=key, face=face)
    assert raised.value.code == "permission_denied"
    assert upstream.chats() == []


def test_an_unknown_model_is_not_found_and_near_names_are_listed(sdk, upstream):
    with pytest.raises(openai.NotFoundError) as raised:
        sdk.create(model="openai/gpt-4o-mimi")
    assert raised.value.code == "model_not_found"
    assert "openai/gpt-4o-mini" in raised.value.message
    with pytest.raises(openai.NotFoundError):
        sdk.call(lambda client: client.models.retrieve("openai/nothing"))
    assert upstream.chats() == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": "hello"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"temperature": "warm"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"stream_options": {"include_usage": "yes"}, "stream": True}, "stream_options.include_usage"),
        ({"model": ""}, "model"),
    ],
)
def test_a_bad_request_names_the_field(sdk, upstream, fields, param):
    with pytest.raises(openai.BadRequestError) as raised:
        sdk.create(**fields)
    assert raised.value.param == param
    assert upstream.chats() == []


def test_an_upstreams_refusal_of_a_field_is_a_bad_request_without_its_secrets(sdk, upstream):
    upstream.script("gpt-4o-mini", upstream_error(400, message=f"temperature: {RAW_WORDS}", param="temperature"))
    with pytest.raises(openai.BadRequestError) as raised:
        sdk.create(retries=2)
    assert raised.value.param == "temperature"
    assert "temperature" in raised.value.message
    assert UPSTREAM_KEY not in raised.value.message
    assert "10.1.2.3" not in raised.value.message
    assert len(upstream.chats()) == 1


def test_a_body_over_the_limit_is_a_413(sdk, upstream):
    with pytest.raises(openai.APIStatusError) as raised:
        sdk.create(messages=[{"role": "user", "content": "x" * (33 * 2**20)}])
    assert raised.value.status_code == 413
    assert raised.value.code == "request_too_large"
    assert upstream.chats() == []


def test_an_upstreams_rate_limit_is_raised_with_its_retry_after(sdk, upstream):
    upstream.script("gpt-4o-mini", upstream_error(429, message=RAW_WORDS, headers=[("retry-after", "7")]))
    with pytest.raises(openai.RateLimitError) as raised:
        sdk.create()
    assert raised.value.response.headers["retry-after"] == "7"
    assert "acct-77" not in raised.value.message
    assert len(upstream.chats()) == 1


@pytest.mark.parametrize("status", [401, 402, 403])
def test_an_upstreams_refusal_of_our_account_is_a_502_without_its_words(sdk, upstream, status):
    upstream.script("gpt-4o-mini", upstream_error(status, message=RAW_WORDS))
    with pytest.raises(openai.InternalServerError) as raised:
        sdk.create(retries=2)
    assert raised.value.status_code == 502
    assert raised.value.code == "upstream_auth"
    for secret in ("acct-77", UPSTREAM_KEY, "10.1.2.3", "sk-upstream"):
        assert secret not in str(raised.value.body)
    assert len(upstream.chats()) == 1


@pytest.mark.parametrize(
    ("upstream_status", "status", "retried"),
    [(500, 502, False), (502, 502, False), (503, 503, True), (529, 503, True), (504, 504, False)],
)
def test_the_sdk_retries_only_what_mira_says_should_be(sdk, upstream, upstream_status, status, retried):
    upstream.script("gpt-4o-mini", upstream_error(upstream_status, message=RAW_WORDS))
    with pytest.raises(openai.InternalServerError) as raised:
        sdk.create(retries=1)
    assert raised.value.status_code == status
    assert raised.value.response.headers["x-should-retry"] == str(retried).lower()
    assert "acct-77" not in str(raised.value.body)
    assert len(upstream.chats()) == 1 + retried


@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_cannot_be_reached_is_a_502(make_gateway, stream):
    gone = Upstream().start()
    gone.stop()
    gateway = make_gateway(nodes=[openai_node(gone.url)], prices=[price("openai/gpt-4o-mini")])
    with pytest.raises(openai.InternalServerError) as raised:
        Sdk(gateway, "sync").create(stream=stream)
    assert raised.value.status_code == 502
    assert str(gone.port) not in str(raised.value.body)
    gateway.stop()


@pytest.mark.parametrize(
    "script",
    [
        answers(b"<html>Bad gateway</html>", content_type="text/html"),
        answers(b"", content_type=None),
        answers(b'{"id": "half'),
        answers(b"[]"),
        answers({"object": "chat.completion", "choices": []}),
        answers({"error": {"message": "inside 200", "code": 500}}),
        streams([b'{"id"', RST], content_type="application/json"),
    ],
    ids=["html", "empty", "half", "list", "no choices", "error inside 200", "cut"],
)
def test_an_answer_that_is_none_is_a_502_and_costs_nothing(gateway, upstream, script):
    before = gateway.balance()
    upstream.script("gpt-4o-mini", script)
    with pytest.raises(openai.InternalServerError) as raised:
        Sdk(gateway, "sync").create()
    assert raised.value.status_code == 502
    assert gateway.balance() == before
    assert gateway.call(raised.value.request_id)["error"] == "upstream_failed"


@pytest.mark.parametrize(
    "script",
    [
        streams([frame({"error": {"message": RAW_WORDS, "code": 500}})]),
        streams([FIN]),
        streams([RST]),
        streams([*frames(chunk({"role": "assistant", "content": ""})), RST]),
        streams([b": waiting\n\n", FIN]),
        answers(b"<html>Bad gateway</html>", content_type="text/html"),
    ],
    ids=["error first", "fin", "rst", "role only", "comment only", "html"],
)
def test_a_stream_that_fails_before_its_content_is_a_502_and_costs_nothing(gateway, upstream, script):
    before = gateway.balance()
    upstream.script("gpt-4o-mini", script)
    with pytest.raises(openai.InternalServerError) as raised:
        Sdk(gateway, "sync").create(stream=True)
    assert raised.value.status_code == 502
    assert "acct-77" not in str(raised.value.body)
    assert gateway.balance() == before


@pytest.mark.parametrize(
    "end",
    [[frame({"error": {"message": RAW_WORDS, "type": "server_error"}})], [FIN], [RST]],
    ids=["error", "fin", "rst"],
)
def test_a_stream_that_fails_after_its_content_raises_an_api_error(sdk, upstream, end):
    seen = Moment()
    upstream.script("gpt-4o-mini", streams([*frames(*chunks("Hello", " there")[:3]), seen, *end]))
    with pytest.raises(openai.APIError) as raised:
        sdk.stream(seen=seen)
    assert not isinstance(raised.value, openai.APIStatusError)
    assert raised.value.code == "upstream_error"
    assert "acct-77" not in str(raised.value.body)


def test_a_model_without_a_price_is_refused_before_the_upstream_is_called(make_gateway, scripted, upstream):
    gateway = make_gateway(nodes=[openai_node(scripted.url, models=["nobody-knows-its-price"])])
    with pytest.raises(openai.BadRequestError) as raised:
        Sdk(gateway, "sync").create(model="openai/nobody-knows-its-price")
    assert raised.value.code == "model_not_priced"
    assert raised.value.param == "model"
    assert upstream.chats() == []
    gateway.stop()


def test_another_node_serves_a_call_whose_first_node_fails(make_gateway, scripted, upstream):
    gateway = make_gateway(
        nodes=[
            openai_node(scripted.url, name="one", models=["gpt-4o-mini"], weight=1000.0),
            openai_node(scripted.url, name="two", models=["gpt-4o-mini"]),
        ],
        prices=[price("openai/gpt-4o-mini")],
    )
    upstream.script("gpt-4o-mini", upstream_error(500), answers(completion("From the second.")))
    answer = gateway.chat("openai/gpt-4o-mini")
    assert answer.json()["choices"][0]["message"]["content"] == "From the second."
    assert answer.headers["x-mira-node"] == "two"
    assert gateway.call(answer.headers["x-request-id"])["attempts"] == 2
    gateway.check_ledger()
    gateway.stop()


def test_after_all_these_errors_the_ledger_is_well_and_nothing_is_held(gateway):
    gateway.check_ledger()
    assert float(gateway.balance()["held"]) == 0
