"""The routes beside the models, and what holds on every route: keys, errors, documents, browsers, prefixes."""

import json
import re

import jsonschema
import pytest
from tests.support.gateway import ADMIN_KEY, INFERENCE_KEY, PROXY_KEY, openai_node, price
from tests.support.said import Said
from tests.support.upstream import answers
from tests.support.wires_openai import RESPONSES_WIRE

from mira import __version__
from mira.api.table import TABLE, Billing, Policy

#: enough for any of the model routes
BODY = {
    "model": "openai/gpt-4o-mini",
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 100,
    "input": "Hi",
}


def path_of(row):
    return row.path.replace("{id:path}", "openai/gpt-4o-mini").replace("{id}", "x").replace("{name}", "x")


def check_error(row, body, *, code, anthropic_type):
    """The error has the shape of the route's protocol."""
    error = body["error"]
    if row.path.startswith("/v1/messages"):
        assert (body["type"], error["type"]) == ("error", anthropic_type)
    else:
        assert error.keys() >= {"message", "type", "param", "code"}
        assert error["code"] == code


def key_of(row):
    if row.policy in (Policy.OPERATOR, Policy.LOOPBACK_OR_OPERATOR):
        return ADMIN_KEY
    return {Policy.PROXY_KEY: PROXY_KEY, Policy.INFERENCE_KEY: INFERENCE_KEY}[row.policy]


def rows(*policies):
    found = [row for row in TABLE if row.policy in policies]
    return pytest.mark.parametrize("row", found, ids=[f"{row.method} {row.path}" for row in found])


WITH_KEY = rows(Policy.PROXY_KEY, Policy.INFERENCE_KEY)
EVERY_CLOSED = rows(Policy.PROXY_KEY, Policy.INFERENCE_KEY, Policy.OPERATOR)


# Keys


@EVERY_CLOSED
def test_no_route_answers_without_a_key_or_with_a_wrong_one(gateway, upstream, row):
    for headers in (
        {},
        {"authorization": "Bearer sk-mira-wrong"},
        {"x-api-key": "sk-mira-wrong"},
        {"authorization": ""},
    ):
        response = gateway.request(row.method, path_of(row), key=None, json=BODY, headers=headers)
        assert response.status_code == 401, headers
        check_error(row, response.json(), code="invalid_api_key", anthropic_type="authentication_error")
        assert response.headers["x-request-id"]
        assert "sk-mira-wrong" not in response.text
    assert upstream.chats() == []


@WITH_KEY
def test_every_route_with_a_key_takes_it_as_bearer_and_as_x_api_key(gateway, upstream, row):
    key = key_of(row)
    if row.path == "/v1/responses":
        upstream.script("gpt-4o-mini", *RESPONSES_WIRE.says(Said(texts=("Hi.",))))
    elif row.path.endswith("/embeddings"):
        upstream.script("gpt-4o-mini", answers({"object": "list", "data": [{"index": 0, "embedding": [0.5]}]}))
    for headers in (
        {"authorization": f"Bearer {key}"},
        {"authorization": f"bearer  {key}"},
        {"x-api-key": key},
        {"authorization": f"Bearer {key}", "x-api-key": "sk-mira-another-key"},
        {"authorization": f"Basic {key}", "x-api-key": key},
    ):
        response = gateway.request(row.method, path_of(row), key=None, json=BODY, headers=headers)
        # Whose body or file is another one says so, which is behind the door as well.
        is_media = row.billing is Billing.MEDIA or "/video" in row.path or row.group == "Files"
        expected = {200, 400, 404, 415} if is_media else {400, 404} if row.group == "Fetch" else {200}
        assert response.status_code in expected, (headers, response.text)
        assert response.headers["x-request-id"]


@WITH_KEY
def test_of_two_keys_authorization_decides(gateway, upstream, row):
    headers = {"authorization": "Bearer sk-mira-wrong", "x-api-key": key_of(row)}
    assert gateway.request(row.method, path_of(row), key=None, json=BODY, headers=headers).status_code == 401


@WITH_KEY
def test_a_key_opens_only_its_own_face(gateway, upstream, row):
    other = INFERENCE_KEY if row.policy is Policy.PROXY_KEY else PROXY_KEY
    response = gateway.request(row.method, path_of(row), key=other, json=BODY)
    assert response.status_code == 403
    check_error(row, response.json(), code="permission_denied", anthropic_type="permission_error")


def test_the_operators_key_is_not_a_model_key_nor_the_other_way_round(gateway, upstream):
    assert gateway.get("/v1/models", key=ADMIN_KEY).status_code == 401
    assert gateway.get("/admin/v1/workspaces", key=PROXY_KEY).status_code == 401
    response = gateway.request("GET", "/admin/v1/workspaces", key=None, headers={"x-api-key": PROXY_KEY})
    assert response.status_code == 401


# Status and documents


def test_status_routes_need_no_key(gateway):
    assert gateway.get("/health", key=None).json() == {"status": "ok", "version": __version__}
    assert gateway.get("/ready", key=None).json() == {"status": "ready"}
    assert gateway.get("/inference/v1/health", key=None).json() == {
        "status": "ok",
        "service": "inference-service",
        "version": __version__,
    }


def test_the_openapi_document_tells_every_route_and_who_may_call_it(gateway):
    document = gateway.get("/openapi.json", key=None).json()
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": gateway.url}]
    told = set()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            told.add((method.upper(), path))
            assert operation["operationId"]
            assert operation["x-mira-billing"] in {billing.value for billing in Billing}
            declared = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path))
    assert told == {(row.method, row.path.replace(":path}", "}")) for row in TABLE}
    for row in TABLE:
        operation = document["paths"][row.path.replace(":path}", "}")][row.method.lower()]
        assert bool(operation["security"]) == (row.policy is not Policy.PUBLIC)
        assert ("requestBody" in operation) == (row.surface is not None or row.body is not None)
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))


def test_the_schemas_of_the_openapi_document_are_schemas_and_every_reference_resolves(gateway):
    text = gateway.get("/openapi.json", key=None).text
    document = json.loads(text)
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for name in re.findall(r'"#/components/schemas/([^"]+)"', text):
        assert name in schemas
    for operation in (one for methods in document["paths"].values() for one in methods.values()):
        for requirement in operation["security"]:
            assert requirement.keys() <= document["components"]["securitySchemes"].keys()


def test_the_reference_page_shows_every_route_and_the_seeds_sections(gateway):
    page = gateway.get("/docs", key=None)
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for row in TABLE:
        assert row.path in page.text
    for words in ("OpenCode", gateway.url, "/v1/chat/completions", "/inference/v1", "token-count"):
        assert words in page.text
    assert "{{" not in page.text


# Errors on routes that are none


def test_unknown_routes_and_methods_answer_in_the_protocols_shape(gateway, upstream):
    for method, path, status in [
        ("GET", "/v1/nothing", 404),
        ("POST", "/nothing", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/inference/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/v1/chat/completions/", 404),
    ]:
        response = gateway.request(method, path)
        assert response.status_code == status, (method, path)
        error = response.json()["error"]
        assert error.keys() >= {"message", "type", "param", "code"}
        assert response.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/extras/token-count", "/admin/v1/workspaces"])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b"null", b'{"a":' * 3000, b"[" * 100000, b'"\xff"', b'{"model": "\\ud800"}', b"\x00"]
)
def test_no_body_makes_a_500(gateway, upstream, path, body):
    key = ADMIN_KEY if path.startswith("/admin") else PROXY_KEY
    response = gateway.request("POST", path, key=key, content=body, headers={"content-type": "application/json"})
    assert 400 <= response.status_code < 500, response.text
    assert response.json()["error"]["message"]


def test_a_body_that_is_not_json_is_a_415(gateway, upstream):
    response = gateway.request("POST", "/v1/chat/completions", files={"file": b"data"})
    assert response.status_code == 415
    response = gateway.request("POST", "/v1/chat/completions", content=b"x", headers={"content-encoding": "gzip"})
    assert response.status_code == 415


# Extras


def test_tokens_are_counted_for_texts_and_requests_and_cost_nothing(gateway):
    before = gateway.balance()
    text = gateway.post("/v1/extras/token-count", {"model": "openai/gpt-4o-mini", "text": "Hello, world!"}).json()
    assert text["tokens"] == text["input_tokens"] == 4
    assert text["method"] == "exact"
    assert text["model"] == "openai/gpt-4o-mini"
    assert text["tokenizer"]
    messages = gateway.post("/v1/extras/token-count", BODY).json()
    assert messages["tokens"] > 1
    more = gateway.post("/v1/extras/token-count", {**BODY, "system": "Be brief, please.", "tools": []}).json()
    assert more["tokens"] > messages["tokens"]
    unknown = gateway.post("/v1/extras/token-count", {"text": "Hello, world!"}).json()
    assert unknown["method"] == "estimate"
    assert unknown["model"] is None
    assert gateway.balance() == before


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "text"),
        ({"text": "x", "messages": []}, "text"),
        ({"text": 7}, "text"),
        ({"messages": "x"}, "messages"),
        ({"text": "x", "model": 1}, "model"),
    ],
)
def test_a_bad_token_count_names_the_field(gateway, body, param):
    response = gateway.post("/v1/extras/token-count", body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize("prefix", ["/v1/extras", "/inference/v1"])
def test_credits_and_usage_tell_what_a_call_cost(gateway, upstream, prefix):
    face = "/inference/v1" if prefix.startswith("/inference") else "/v1"
    workspace = gateway.new_workspace("1")
    key_id, key = gateway.new_key(workspace, kind="inference" if prefix.startswith("/inference") else "proxy")
    assert gateway.get(f"{prefix}/credits", key=key).json() == {
        "balance": "1",
        "held": "0",
        "available": "1",
        "currency": "credit",
    }
    answer = gateway.post(f"{face}/chat/completions", BODY, key=key, headers={"x-request-id": "mine-7"})
    assert answer.headers["x-mira-cost"] == "0.000017"
    assert answer.headers["x-mira-node"] == "scripted"
    assert answer.headers["x-mira-model"] == "openai/gpt-4o-mini"
    assert gateway.get(f"{prefix}/credits", key=key).json()["balance"] == "0.999983"
    refused = gateway.post(f"{face}/chat/completions", {**BODY, "model": "nothing"}, key=key)
    assert refused.status_code == 404
    usage = gateway.get(f"{prefix}/usage", key=key).json()
    first = usage["data"][-1]
    assert first["id"] == answer.headers["x-request-id"]
    assert first["client_request_id"] == "mine-7"
    assert first["key_id"] == key_id
    assert first["cost"] == "0.000017"
    assert first["usage"]["prompt_tokens"] == 11
    assert first["usage"]["completion_tokens"] == 3
    assert "Hi" not in json.dumps(usage)


def test_usage_is_paged_and_filtered(gateway, upstream):
    workspace = gateway.new_workspace("1")
    _, key = gateway.new_key(workspace)
    other_id, other = gateway.new_key(workspace)
    asked = [gateway.chat(model, key=key).headers["x-request-id"] for model in ["gpt-4o-mini", "gpt-4o"] * 2]
    asked.append(gateway.chat("gpt-4o", key=other).headers["x-request-id"])
    told, cursor = [], None
    while True:
        page = gateway.get("/v1/extras/usage", key=key, params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        told += [row["id"] for row in page.json()["data"]]
        cursor = page.json()["next"]
        if cursor is None:
            break
    assert told == asked[::-1]
    by_model = gateway.get("/v1/extras/usage", key=key, params={"model": "openai/gpt-4o"}).json()["data"]
    assert [row["id"] for row in by_model] == [asked[4], asked[3], asked[1]]
    by_key = gateway.get("/v1/extras/usage", key=key, params={"key": other_id}).json()["data"]
    assert [row["id"] for row in by_key] == [asked[4]]
    assert gateway.get("/v1/extras/usage", key=key, params={"until_ms": 1}).json()["data"] == []
    for name, value in [("limit", "0"), ("limit", "x"), ("since_ms", "-1")]:
        response = gateway.get("/v1/extras/usage", key=key, params={name: value})
        assert response.status_code == 400
        assert response.json()["error"]["param"] == name


def test_models_of_both_faces_tell_prices_limits_and_nodes(gateway):
    for path, key in (("/v1/models", PROXY_KEY), ("/inference/v1/models", INFERENCE_KEY)):
        listed = gateway.get(path, key=key).json()
        row = next(row for row in listed["data"] if row["id"] == "openai/gpt-4o-mini")
        assert row["pricing"]["prompt"] == "0.000001"
        assert row["pricing"]["completion"] == "0.000002"
        assert row["context_length"] == 128000
        assert row["available"] is True
        assert row["nodes"] == [{"name": "scripted", "state": "active"}]
        assert row["created"] > 0
        assert "127.0.0.1" not in json.dumps(listed)


# Browsers and reverse proxies


def test_browsers_of_a_configured_origin_may_call_and_no_others(make_gateway, scripted, upstream):
    gateway = make_gateway(
        nodes=[openai_node(scripted.url)],
        prices=[price("openai/gpt-4o-mini")],
        tables={"server": {"cors_origins": ["https://app.example"]}},
    )
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    for path in ("/v1/chat/completions", "/v1/models"):
        allowed = gateway.request("OPTIONS", path, key=None, headers={"origin": "https://app.example", **asks})
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        assert "authorization" in allowed.headers["access-control-allow-headers"]
        refused = gateway.request("OPTIONS", path, key=None, headers={"origin": "https://evil.example", **asks})
        assert "access-control-allow-origin" not in refused.headers
    for fields in ({}, {"stream": True}, {"model": ""}):
        response = gateway.post("/v1/chat/completions", {**BODY, **fields}, headers={"origin": "https://app.example"})
        assert response.headers["access-control-allow-origin"] == "https://app.example", fields
        assert "x-request-id" in response.headers["access-control-expose-headers"].lower()
    gateway.stop()


def test_without_configured_origins_no_browser_is_allowed(gateway, upstream):
    response = gateway.post("/v1/chat/completions", BODY, headers={"origin": "https://app.example"})
    assert "access-control-allow-origin" not in response.headers


def test_the_path_prefix_of_the_public_address_is_served_and_shown(make_gateway, scripted, upstream):
    gateway = make_gateway(
        nodes=[openai_node(scripted.url)],
        prices=[price("openai/gpt-4o-mini")],
        MIRA_PUBLIC_URL="https://ai.example/mira",
    )
    for prefix in ("/mira", ""):
        assert gateway.post(f"{prefix}/v1/chat/completions", BODY).status_code == 200
        assert gateway.get(f"{prefix}/v1/models").status_code == 200
    assert gateway.get("/mira/openapi.json", key=None).json()["servers"] == [{"url": "https://ai.example/mira"}]
    assert "https://ai.example/mira" in gateway.get("/mira/docs", key=None).text
    assert gateway.get("/miracle/v1/models").status_code == 404
    gateway.stop()


def test_no_secret_and_no_prompt_is_in_the_log(make_gateway, scripted, upstream):
    gateway = make_gateway(nodes=[openai_node(scripted.url)], prices=[price("openai/gpt-4o-mini")])
    assert gateway.chat("openai/gpt-4o-mini", "a very private prompt").status_code == 200
    assert gateway.chat("openai/gpt-4o-mini", "a very private prompt", stream=True).status_code == 200
    assert gateway.get("/v1/models", key="sk-mira-somebody-elses-key").status_code == 401
    gateway.stop()
    for secret in (PROXY_KEY, INFERENCE_KEY, ADMIN_KEY, "sk-upstream", "very private", "sk-mira-somebody"):
        assert secret not in gateway.log
