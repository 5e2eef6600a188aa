"""Hostile and careless input from outside: always a 4xx that says what is wrong, never a 500, a call or a leak."""

import asyncio
import base64
import json

import pytest
from tests.support.gateway import ADMIN_KEY, INFERENCE_KEY, PROXY_KEY, UPSTREAM_KEY, openai_node, price
from tests.support.upstream import FIN, Moment, answers, chunk, frame, frames, streams
from wire_client import PATIENCE_S, WireClient

MODEL = "openai/gpt-4o-mini"
CHAT = "/v1/chat/completions"
GOOD = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}


async def exchange(gateway, data):
    """What comes back for these bytes until the gateway hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        writer.write(data)
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


def raw(method, path, *lines, body=b""):
    head = [f"{method} {path} HTTP/1.1".encode("latin-1"), b"connection: close", b"content-length: %d" % len(body)]
    return b"\r\n".join([*head, *lines, b"", b""]) + body


def status_of(said):
    return int(said.split(b" ", 2)[1])


# Keys

HOSTILE_KEYS = [
    b"'",
    b"' OR '1'='1",
    b'"; DROP TABLE key; --',
    b"\\",
    b"%",
    b"\xff\xfe",
    "schlüssel".encode(),
    b"x" * 60_000,
    PROXY_KEY.encode()[:-1],
    PROXY_KEY.encode() + b"x",
    PROXY_KEY.upper().encode(),
    PROXY_KEY.encode()[:20] + b"-another-secret-with-the-same-beginning",
    b"Bearer " + PROXY_KEY.encode(),
]


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/inference/v1/models", "/admin/v1/workspaces"])
async def test_hostile_keys_all_get_the_same_refusal(gateway, upstream, path):
    method, body = ("POST", json.dumps(GOOD).encode()) if path == CHAT else ("GET", b"")
    told = set()
    for key in HOSTILE_KEYS:
        for name in (b"authorization: Bearer ", b"x-api-key: "):
            said = await exchange(gateway, raw(method, path, b"host: x", name + key, body=body))
            assert status_of(said) == 401, key[:40]
            error = json.loads(said.partition(b"\r\n\r\n")[2])
            del error["request_id"]
            told.add(json.dumps(error))
    assert len(told) == 1
    assert upstream.chats() == []


@pytest.mark.parametrize(
    "credential",
    [
        b"\xff",
        b"a",
        b"===",
        base64.b64encode(b"\xff\xfe:x"),
        base64.b64encode(b"nobody"),
        base64.b64encode(b"a:\x00"),
        b"",
    ],
)
async def test_hostile_sign_ins_are_refused(gateway, credential):
    said = await exchange(gateway, raw("GET", "/admin/v1/nodes", b"host: x", b"authorization: Basic " + credential))
    assert status_of(said) == 401


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/nothing", "/admin/v1/nodes", "/health/", "/v1/models/x"])
async def test_what_the_host_header_says_changes_nothing(gateway, path):
    key = b"authorization: Bearer " + PROXY_KEY.encode()
    usual = await exchange(gateway, raw("GET", path, b"host: gateway", key))
    for host in (b"x/#@y", b"[", b"[::1", b"]", b"a b", b"\xff", b"", b"x:99999999", b"u@h", b"%00", b"../", b"x?y"):
        said = await exchange(gateway, raw("GET", path, b"host: " + host, key))
        assert status_of(said) == status_of(usual), host
        assert b"location:" not in said
    assert status_of(await exchange(gateway, raw("GET", path, key))) in (status_of(usual), 400)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"])
@pytest.mark.parametrize("key", [PROXY_KEY, ADMIN_KEY])
async def test_no_path_makes_a_500(gateway, upstream, method, key):
    paths = (
        "/%00", "/%ff", "//", "/%", "/%zz", "/v1/models/%00", "/v1/models/%ff", "/v1/models/%ed%a0%80",
        "/v1/models/" + "x" * 60_000, "/v1//chat/completions", "/v1/../admin/v1/workspaces", "/admin/v1/workspaces/%00",
        "/admin/v1/workspaces/%ff", "/admin/v1/calls/'", "/admin/v1/nodes/%2e%2e", "http://evil/health", "/v1/models/é",
    )  # fmt: skip
    for path in paths:
        said = await exchange(gateway, raw(method, path, b"host: x", b"authorization: Bearer " + key.encode()))
        assert status_of(said) < 500, path[:50]
    assert upstream.chats() == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT, "POST"),
        ("DELETE", "/v1/models", "GET, HEAD"),
        ("PUT", "/admin/v1/workspaces", "GET, HEAD, POST"),
        ("POST", "/admin/v1/nodes/x", "DELETE, GET, HEAD, PATCH"),
    ],
)
def test_a_method_that_is_not_available_says_which_are(gateway, method, path, allowed):
    answer = gateway.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_head_has_no_body(gateway):
    for path, status in (("/health", 200), ("/nothing", 404), (CHAT, 405)):
        answer = gateway.request("HEAD", path)
        assert (answer.status_code, answer.content) == (status, b"")


# Bodies


def deep(levels):
    return json.dumps({**GOOD, "x": 1}).replace("1}", "[" * levels + "]" * levels + "}")


BAD_BODIES = [
    (b"", None),
    (b"\xff\xfe", None),
    (b"{", None),
    (b"NaN", None),
    (b"[]", None),
    (b'"a string"', None),
    (deep(64).encode(), None),
    (deep(100_000).encode(), None),
    (json.dumps({**GOOD, "temperature": 1}).replace("1}", "NaN}").encode(), None),
    ({"messages": GOOD["messages"]}, "model"),
    ({**GOOD, "model": None}, "model"),
    ({**GOOD, "model": 7}, "model"),
    ({**GOOD, "model": ""}, "model"),
    ({"model": MODEL}, "messages"),
    ({**GOOD, "messages": {}}, "messages"),
    ({**GOOD, "messages": []}, "messages"),
    ({**GOOD, "messages": ["Hi"]}, "messages[0]"),
    ({**GOOD, "messages": [*GOOD["messages"], {"role": "wizard", "content": "x"}]}, "messages[1].role"),
    ({**GOOD, "messages": [{"content": "x"}]}, "messages[0].role"),
    ({**GOOD, "messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    ({**GOOD, "messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({**GOOD, "messages": [{"role": "user", "content": [{"type": "spell"}]}]}, "messages[0].content[0].type"),
    ({**GOOD, "messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    ({**GOOD, "max_tokens": 0}, "max_tokens"),
    ({**GOOD, "max_tokens": -1}, "max_tokens"),
    ({**GOOD, "max_tokens": "many"}, "max_tokens"),
    ({**GOOD, "max_tokens": 1.5}, "max_tokens"),
    ({**GOOD, "max_tokens": 2**63}, "max_tokens"),
    ({**GOOD, "max_completion_tokens": 10**30}, "max_completion_tokens"),
    ({**GOOD, "n": 0}, "n"),
    ({**GOOD, "n": -1}, "n"),
    ({**GOOD, "n": 10**9}, "n"),
    ({**GOOD, "n": 10**30}, "n"),
    ({**GOOD, "stream": "yes"}, "stream"),
    ({**GOOD, "temperature": "hot"}, "temperature"),
    ({**GOOD, "tools": {}}, "tools"),
    ({**GOOD, "tools": [{"type": "function"}]}, "tools[0].function"),
    ({**GOOD, "tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ({**GOOD, "tool_choice": "perhaps", "tools": []}, "tool_choice"),
    ({**GOOD, "response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({**GOOD, "stream": True, "stream_options": 1}, "stream_options"),
]


def shown(case):
    body = case if isinstance(case, bytes) else json.dumps(case).encode()
    return body[-50:].decode("latin-1") if isinstance(case, bytes | dict) else str(case)


@pytest.mark.parametrize(("body", "param"), BAD_BODIES, ids=shown)
def test_a_bad_body_is_a_400_that_names_the_field(gateway, upstream, body, param):
    before = gateway.balance()
    content = body if isinstance(body, bytes) else json.dumps(body)
    answer = gateway.request("POST", CHAT, content=content, headers={"content-type": "application/json"})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error"), error
    # An element of a list may be named by its list.
    assert error["param"] == param or (param and error["param"] and param.startswith(error["param"])), error
    if error["param"]:
        assert error["param"].split("[")[0].split(".")[0] in error["message"]
    assert upstream.chats() == []
    assert gateway.balance() == before


def test_names_that_are_no_models_are_404_with_near_ones(gateway, upstream):
    for name in ("gpt-4o-minii", "openai/gpt-4-mini", "GPT-4O-MINI"):
        answer = gateway.chat(name)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
        assert "gpt-4o-mini" in answer.json()["error"]["message"].replace(name, "")
    for name in ("\x00", "'; --", "../../x", "x" * 100_000, "{}", "%s%n", "é"):
        answer = gateway.chat(name)
        assert answer.status_code in (400, 404)
        assert len(answer.content) < 1000
    assert upstream.chats() == []


@pytest.mark.parametrize("number", [0, -1, 1001, "x", "", "1e3", "%00", "9" * 400])
@pytest.mark.parametrize("path", ["/v1/extras/usage", "/admin/v1/calls", "/admin/v1/workspaces/ws_default/transfers"])
def test_a_bad_page_is_a_400_that_names_it(gateway, path, number):
    key = ADMIN_KEY if path.startswith("/admin") else PROXY_KEY
    answer = gateway.get(f"{path}?limit={number}", key=key)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit")
    answer = gateway.get(f"{path}?cursor={number}&model=%00&key='&since_ms=0", key=key)
    assert answer.status_code in (200, 400)


@pytest.mark.parametrize(
    "amount", ["1e999999999", "Infinity", " 1", "1_000", "１", "0x10", "9223372036.9", "1" * 10_000]
)
def test_an_amount_that_only_looks_like_one_is_refused(gateway, amount):
    body = {"amount": amount, "reference": "r"}
    error = gateway.admin("POST", "/workspaces/ws_default/credits", body, status=400)["error"]
    assert error["param"] == "amount"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", "http://x:99999999"),
        ("base_url", "http://[::1"),
        ("base_url", "http://x?y"),
        ("api_key", "a\r\nx-evil: 1"),
        ("api_key", "\x00"),
        ("api_key", "é"),
        ("models", ["a\nb"]),
        ("models", [""]),
        ("name", "é"),
        ("name", "x" * 101),
        ("name", "../x"),
        ("markup", "-1"),
        ("weight", 1e308),
    ],
)
def test_a_node_that_could_never_serve_is_refused(gateway, field, value):
    body = {"name": "bad", "kind": "openai", "base_url": "http://127.0.0.1:9/v1", field: value}
    assert field in gateway.admin("POST", "/nodes", body, status=400)["error"]["message"]


# Canaries

SECRETS = (PROXY_KEY, INFERENCE_KEY, ADMIN_KEY, UPSTREAM_KEY)
PROMPT = "canary-prompt-that-nobody-may-see"
WORDS = f"upstream-canary-words {UPSTREAM_KEY} http://10.1.2.3:8080/internal"


async def test_no_secret_no_prompt_and_no_upstreams_words_leak_anywhere(make_gateway, scripted, upstream):
    gateway = make_gateway(nodes=[openai_node(scripted.url)], prices=[price(MODEL)])
    told = {"error": {"message": WORDS, "type": "server_error", "code": WORDS, "param": WORDS}}
    scripts = [answers(told, status) for status in (400, 401, 402, 403, 404, 413, 422, 429, 500, 503, 529)]
    scripts += [answers(told), answers(WORDS.encode()), answers(b'{"choices": "' + WORDS.encode() + b'"}')]
    scripts += [streams([frame(told)]), streams([WORDS.encode()]), streams([FIN]), answers(told, 302)]
    seen = []
    for script in scripts:
        for stream in (False, True):
            upstream.script("gpt-4o-mini", script)
            gateway.admin("POST", "/nodes/scripted/probe")
            answer = gateway.chat(MODEL, PROMPT, stream=stream, user=PROMPT)
            assert 400 <= answer.status_code < 600
            assert answer.status_code not in (401, 402, 403, 500)
            seen.append(f"{answer.headers} {answer.text}")
    wrong = ({"temperature": PROMPT}, {"messages": PROMPT}, {"n": PROMPT})
    seen += [gateway.post(CHAT, {**GOOD, **fields}).text for fields in wrong]
    seen.append(gateway.chat(MODEL, PROMPT, key="sk-mira-" + PROMPT).text)

    gate = Moment()
    gateway.admin("POST", "/nodes/scripted/probe")
    upstream.script("gpt-4o-mini", streams([*frames(chunk({"role": "assistant", "content": "a"})), gate, frame(told)]))
    client = await WireClient.ask(gateway, {**GOOD, "stream": True, "user": PROMPT})
    await client.until(1, b'"a"')
    gate.happen()
    await client.until(1, b"0\r\n\r\n")
    await client.leave()
    seen.append(client.seen.decode())

    seen.append(json.dumps(gateway.admin("GET", "/calls?limit=1000")))
    seen.append(json.dumps(gateway.admin("GET", "/nodes")))
    seen.append(gateway.get("/v1/models").text)
    gateway.stop()
    seen.append(gateway.log)
    for text in seen:
        for secret in (*SECRETS, PROMPT, "10.1.2.3"):
            assert secret not in text, text[:500]
    # Of an upstream's words only those of a 400 may be shown, masked.
    assert sum("upstream-canary-words" in text for text in seen) <= 4
    assert "upstream-canary-words" not in seen[-1]
