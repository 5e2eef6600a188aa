"""The operator API as an operator uses it: workspaces, credits, keys, nodes, calls, the ledger, and who may sign in."""

import re
import threading
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.gateway import ADMIN_KEY, UPSTREAM_KEY, openai_node, price
from tests.support.ports import free_port
from tests.support.upstream import Moment, Upstream, answers, completion

MODEL = "openai/gpt-4o-mini"


def refused(gateway, method, path, body, status, param=None):
    error = gateway.admin(method, path, body, status=status)["error"]
    assert error["param"] == param, error
    return error


# Workspaces and credits


def test_a_workspace_is_made_renamed_listed_and_found(gateway):
    made = gateway.admin("POST", "/workspaces", {"name": "Research"}, status=201)
    assert made["balance"] == "0"
    assert made["name"] == "Research"
    changed = gateway.admin("PATCH", f"/workspaces/{made['id']}", {"name": "Labs ☀"}, status=200)
    assert changed == {**made, "name": "Labs ☀"}
    assert gateway.admin("GET", f"/workspaces/{made['id']}") == changed
    assert changed in gateway.admin("GET", "/workspaces")["data"]


def test_bad_workspaces_are_refused_by_field(gateway):
    refused(gateway, "POST", "/workspaces", {}, 400, "name")
    refused(gateway, "POST", "/workspaces", {"name": ""}, 400, "name")
    refused(gateway, "POST", "/workspaces", {"name": 7}, 400, "name")
    refused(gateway, "POST", "/workspaces", {"name": "x", "colour": "red"}, 400, "colour")
    for method, path in (
        ("GET", "/workspaces/nobody"),
        ("PATCH", "/workspaces/nobody"),
        ("GET", "/workspaces/nobody/keys"),
        ("GET", "/workspaces/nobody/transfers"),
    ):
        refused(gateway, method, path, {"name": "x"}, 404)


def test_the_same_reference_counts_once(gateway):
    workspace = gateway.new_workspace(None)
    path = f"/workspaces/{workspace}/credits"
    first = gateway.admin("POST", path, {"amount": "10.00", "reference": "invoice-1"}, status=201)
    assert first["balance"] == "10"
    again = gateway.admin("POST", path, {"amount": "10.00", "reference": "invoice-1"}, status=200)
    assert again["balance"] == "10"
    assert gateway.admin("POST", path, {"amount": "0.000000001", "reference": "i-2"}, status=201)["balance"] == (
        "10.000000001"
    )
    statement = gateway.admin("GET", f"/workspaces/{workspace}/transfers")["data"]
    assert [line["amount"] for line in statement] == ["0.000000001", "10"]
    other = gateway.new_workspace(None)
    path = f"/workspaces/{other}/credits"
    assert gateway.admin("POST", path, {"amount": "1", "reference": "invoice-1"}, status=201)["balance"] == "1"
    gateway.check_ledger()


@pytest.mark.parametrize("amount", ["0", "-1", "ten", "", "0.0000000001", "1" * 30, "nan", 5])
def test_an_amount_that_is_none_is_refused(gateway, amount):
    path = f"/workspaces/{gateway.new_workspace(None)}/credits"
    refused(gateway, "POST", path, {"amount": amount, "reference": "r"}, 400, "amount")


def test_a_statement_shows_top_ups_and_charges_and_is_paged(gateway, upstream):
    workspace = gateway.new_workspace("1")
    _, key = gateway.new_key(workspace)
    for _ in range(3):
        assert gateway.chat(MODEL, key=key).status_code == 200
    told, cursor = [], None
    while True:
        page = gateway.admin(
            "GET", f"/workspaces/{workspace}/transfers?limit=2" + (f"&cursor={cursor}" if cursor else "")
        )
        told += page["data"]
        cursor = page["next"]
        if cursor is None:
            break
    assert len({line["id"] for line in told}) == len(told)
    assert [line["amount"] for line in told].count("0.000017") == 3
    assert told[-1]["amount"] == "1"


# Keys


def test_a_keys_secret_is_shown_once(gateway):
    made = gateway.admin("POST", "/workspaces/ws_default/keys", {"name": "mine"}, status=201)
    assert made["secret"].startswith("sk-mira-")
    assert made["secret"].endswith(made["last4"])
    listed = gateway.admin("GET", "/workspaces/ws_default/keys")["data"]
    assert {name: value for name, value in made.items() if name != "secret"} in listed
    assert made["secret"] not in str(listed)
    inference = gateway.admin("POST", "/workspaces/ws_default/keys", {"name": "i", "kind": "inference"})
    assert inference["secret"].startswith("mk_inference_")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": "x", "kind": "master"}, "kind"),
        ({"name": "x", "models": "all"}, "models"),
        ({"name": "x", "expires_at": "soon"}, "expires_at"),
        ({"name": "x", "secret": "mine"}, "secret"),
        ({"name": "x", "rpm": 0}, "rpm"),
        ({"name": "x", "tpm": "many"}, "tpm"),
        ({"name": "x", "concurrency": 1.5}, "concurrency"),
        ({"name": "x", "budget": {"amount": "1"}}, "budget.period"),
        ({"name": "x", "budget": {"amount": "-1", "period": "day"}}, "budget.amount"),
        ({"name": "x", "budget": {"amount": "a lot", "period": "day"}}, "budget.amount"),
        ({"name": "x", "budget": {"amount": "1", "period": "year"}}, "budget.period"),
    ],
)
def test_a_bad_key_is_refused_by_field(gateway, body, param):
    refused(gateway, "POST", "/workspaces/ws_default/keys", body, 400, param)


def test_a_revoked_key_is_refused_from_the_next_request_on_and_for_good(gateway, upstream):
    key_id, key = gateway.new_key()
    assert gateway.chat(MODEL, key=key).status_code == 200
    gateway.admin("DELETE", f"/keys/{key_id}", status=204)
    assert gateway.chat(MODEL, key=key).status_code == 401
    gateway.admin("PATCH", f"/keys/{key_id}", {"disabled": False})
    assert gateway.chat(MODEL, key=key).status_code == 401
    refused(gateway, "DELETE", "/keys/nobody", None, 404)


def test_a_key_can_be_disabled_and_enabled(gateway, upstream):
    key_id, key = gateway.new_key()
    for disabled, status in ((True, 401), (False, 200)):
        assert gateway.admin("PATCH", f"/keys/{key_id}", {"disabled": disabled})["disabled"] is disabled
        assert gateway.chat(MODEL, key=key).status_code == status


def test_an_expired_key_is_refused(gateway, upstream):
    now = datetime.now(UTC)
    _, expired = gateway.new_key(expires_at=(now - timedelta(seconds=1)).isoformat())
    assert gateway.chat(MODEL, key=expired).status_code == 401
    key_id, key = gateway.new_key(expires_at=(now + timedelta(hours=1)).isoformat())
    assert gateway.chat(MODEL, key=key).status_code == 200
    gateway.admin("PATCH", f"/keys/{key_id}", {"expires_at": (now - timedelta(hours=1)).isoformat()})
    assert gateway.chat(MODEL, key=key).status_code == 401
    gateway.admin("PATCH", f"/keys/{key_id}", {"expires_at": None})
    assert gateway.chat(MODEL, key=key).status_code == 200


def test_a_keys_scope_can_be_changed(gateway, upstream):
    key_id, key = gateway.new_key(models=["gpt-4o"])
    assert gateway.chat(MODEL, key=key).status_code == 403
    assert gateway.admin("PATCH", f"/keys/{key_id}", {"models": ["gpt-4o-mini"]})["models"] == [MODEL]
    assert gateway.chat(MODEL, key=key).status_code == 200
    assert gateway.chat("openai/gpt-4o", key=key).status_code == 403
    gateway.admin("PATCH", f"/keys/{key_id}", {"models": None})
    assert gateway.chat("openai/gpt-4o", key=key).status_code == 200


def test_a_scope_written_before_its_node_is_known_holds_in_either_form(gateway, upstream):
    _, key = gateway.new_key(models=["acme/llama-9.1"])
    added = {"name": "late", "kind": "openai-compatible", "base_url": upstream.url, "provider": "acme"}
    gateway.admin("POST", "/nodes", {**added, "models": ["llama-9-1"]})
    try:
        assert gateway.get("/v1/models/acme/llama-9.1", key=key).json()["id"] == "acme/llama-9-1"
        assert [row["id"] for row in gateway.get("/v1/models", key=key).json()["data"]] == ["acme/llama-9-1"]
        # It is let through to where a price is missed.
        assert "price" in gateway.chat("acme/llama-9.1", key=key).json()["error"]["message"]
        assert gateway.chat(MODEL, key=key).status_code == 403
    finally:
        gateway.admin("DELETE", "/nodes/late")


# Tenants


def test_a_workspace_sees_nothing_of_another(gateway, upstream):
    one, two = gateway.new_workspace("1"), gateway.new_workspace("2")
    (_, key_one), (_, key_two) = gateway.new_key(one), gateway.new_key(two)
    asked = gateway.chat(MODEL, key=key_one).headers["x-request-id"]
    assert [row["id"] for row in gateway.get("/v1/extras/usage", key=key_one).json()["data"]] == [asked]
    assert gateway.get("/v1/extras/usage", key=key_two).json()["data"] == []
    assert gateway.get("/v1/extras/credits", key=key_two).json()["balance"] == "2"
    gateway.chat(MODEL, key=key_one)
    cursor = gateway.get("/v1/extras/usage?limit=1", key=key_one).json()["next"]
    assert [row["id"] for row in gateway.get(f"/v1/extras/usage?cursor={cursor}", key=key_one).json()["data"]] == [
        asked
    ]
    assert gateway.get(f"/v1/extras/usage?cursor={cursor}", key=key_two).json()["data"] == []
    of_one = gateway.admin("GET", f"/usage?workspace={one}")["data"]
    assert asked in [row["id"] for row in of_one]
    assert {row["workspace_id"] for row in of_one} == {one}
    assert gateway.admin("GET", f"/usage?workspace={two}")["data"] == []


# Nodes


@pytest.fixture
def another():
    upstream = Upstream(["llama-9"]).start()
    yield upstream
    upstream.stop()


@pytest.fixture
def node(gateway, another):
    settings = {
        "name": "added",
        "kind": "openai-compatible",
        "provider": "acme",
        "base_url": another.url,
        "api_key": UPSTREAM_KEY,
    }
    yield gateway.admin("POST", "/nodes", settings, status=201)
    gateway.request("DELETE", "/admin/v1/nodes/added", key=ADMIN_KEY)


def test_an_added_node_is_asked_for_its_models_and_never_shows_its_secret(gateway, node):
    assert node["models"] == ["acme/llama-9"]
    assert node["state"] == "active"
    assert node["has_api_key"] is True
    assert node["origin"] == "api"
    assert gateway.admin("GET", "/nodes/added") == node
    answer = gateway.request("GET", "/admin/v1/nodes", key=ADMIN_KEY)
    assert [one["name"] for one in answer.json()["data"]] == ["scripted", "added"]
    assert UPSTREAM_KEY not in answer.text
    assert "acme/llama-9" in gateway.get("/v1/models").text


def test_a_node_without_a_price_list_refuses_its_models(gateway, node, another):
    response = gateway.chat("acme/llama-9")
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "model_not_priced"
    assert another.chats() == []


def test_a_probe_asks_the_node_again(gateway, node, another):
    another.models.append("llama-10")
    assert gateway.admin("POST", "/nodes/added/probe")["models"] == ["acme/llama-10", "acme/llama-9"]
    assert UPSTREAM_KEY in another.requests[-1].headers["authorization"]


def test_a_drained_node_gets_no_new_calls_and_finishes_those_it_has(gateway, upstream):
    hold = Moment()
    upstream.script("gpt-4o-mini", answers(completion("Late."), hold=hold))
    answered = []
    running = threading.Thread(target=lambda: answered.append(gateway.chat(MODEL)))
    running.start()
    upstream.received(1)
    assert gateway.admin("PATCH", "/nodes/scripted", {"draining": True})["state"] == "draining"
    refusal = gateway.chat(MODEL)
    assert refusal.status_code == 503
    assert refusal.headers["retry-after"]
    assert refusal.headers["x-should-retry"] == "true"
    hold.happen()
    running.join(120)
    assert answered[0].json()["choices"][0]["message"]["content"] == "Late."
    assert gateway.admin("PATCH", "/nodes/scripted", {"draining": False})["state"] == "active"
    assert gateway.chat(MODEL).status_code == 200
    assert float(gateway.balance()["held"]) == 0


def test_a_disabled_nodes_models_are_gone_until_it_is_enabled(gateway, upstream):
    gateway.admin("PATCH", "/nodes/scripted", {"disabled": True})
    assert gateway.chat(MODEL).status_code == 404
    assert MODEL not in gateway.get("/v1/models").text
    gateway.admin("PATCH", "/nodes/scripted", {"disabled": False})
    assert gateway.chat(MODEL).status_code == 200


def test_nodes_of_the_file_are_changed_in_the_file(gateway):
    refused(gateway, "PATCH", "/nodes/scripted", {"weight": 2.0}, 409, "weight")
    refused(gateway, "DELETE", "/nodes/scripted", None, 409)


def test_a_node_of_the_api_can_be_changed_and_removed(gateway, node):
    changed = gateway.admin("PATCH", "/nodes/added", {"weight": 3.0, "markup": "1.5", "max_in_flight": 4})
    assert (changed["weight"], changed["markup"], changed["max_in_flight"]) == (3.0, "1.5", 4)
    assert changed["has_api_key"] is True
    gateway.admin("DELETE", "/nodes/added", status=204)
    refused(gateway, "GET", "/nodes/added", None, 404)
    assert "acme/llama-9" not in gateway.get("/v1/models").text


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"name": "scripted"}, 409),
        ({"name": "a b"}, 400),
        ({"base_url": "ftp://x"}, 400),
        ({"base_url": "http://user:secret@x/v1"}, 400),
        ({"markup": "cheap"}, 400),
        ({"weight": -1.0}, 400),
        ({"max_in_flight": 0}, 400),
        ({"kind": "telepathy"}, 400),
        ({"provider": None}, 400),
        ({"reported": True}, 400),
    ],
)
def test_a_bad_node_is_refused_with_its_setting(gateway, change, status):
    settings = {"name": "bad", "kind": "openai-compatible", "provider": "p", "base_url": "http://127.0.0.1:9/v1"}
    error = gateway.admin("POST", "/nodes", {**settings, **change}, status=status)["error"]
    assert next(iter(change)) in error["message"] or status == 409
    assert "user:secret" not in error["message"]
    assert "bad" not in [one["name"] for one in gateway.admin("GET", "/nodes")["data"]]


# Calls and the ledger


def test_calls_are_found_by_their_id_and_by_workspace(gateway, upstream):
    answer = gateway.chat(MODEL)
    call = gateway.call(answer.headers["x-request-id"])
    assert call["status"] == 200
    assert call["node"] == "scripted"
    assert call["attempts"] == 1
    assert call["cost"] == call["computed_cost"] == "0.000017"
    [settled] = call.pop("transfers")
    assert settled["amount"] == call["cost"]
    assert [attempt["node"] for attempt in call.pop("tried")] == ["scripted"]
    assert call in gateway.admin("GET", "/usage?workspace=ws_default")["data"]
    assert call in gateway.admin("GET", "/calls")["data"]
    refused(gateway, "GET", "/calls/nobody", None, 404)


def test_the_ledger_is_well_after_all_of_this(gateway):
    checked = gateway.check_ledger()
    assert checked["ok"] is True
    assert len(checked) > 1


# Persistence


def test_what_an_operator_made_is_there_after_a_restart_and_after_a_kill(make_gateway, scripted, upstream, another):
    gateway = make_gateway(nodes=[openai_node(scripted.url)], prices=[price(MODEL)])
    workspace = gateway.new_workspace("1")
    _, key = gateway.new_key(workspace)
    gateway.admin(
        "POST",
        "/nodes",
        {
            "name": "added",
            "kind": "openai-compatible",
            "provider": "acme",
            "base_url": another.url,
            "api_key": "k" * 20,
        },
    )
    gateway.admin("PATCH", "/nodes/scripted", {"draining": True})
    gateway.admin("PATCH", "/nodes/scripted", {"draining": False})
    gateway.admin("PATCH", "/nodes/added", {"disabled": True})
    assert gateway.chat(MODEL, key=key).status_code == 200
    for end in (gateway.stop, gateway.kill):
        end()
        gateway.start()
        assert gateway.balance(workspace)["balance"] == "0.999983"
        assert gateway.admin("GET", "/nodes/added")["state"] == "disabled"
        gateway.check_ledger()
    assert gateway.chat(MODEL, key=key).status_code == 200
    gateway.admin("PATCH", "/nodes/added", {"disabled": False})
    gateway.admin("POST", "/nodes/added/probe")
    assert another.requests[-1].headers["authorization"] == "Bearer " + "k" * 20
    gateway.stop()


# Who may sign in, and where


def test_the_printed_sign_in_works_and_is_throttled(make_gateway):
    gateway = make_gateway()
    line = gateway.says(lambda text: "operator@localhost" in text and "password" in text)
    password = re.search(r"password (\S+)", line)[1]

    def sign_in(email, word):
        return gateway.request("GET", "/admin/v1/workspaces", key=None, auth=(email, word))

    assert sign_in("operator@localhost", password).status_code == 200
    assert sign_in("Operator@localhost", password).status_code == 200
    for _ in range(5):
        assert sign_in("operator@localhost", "wrong").status_code == 401
    locked = sign_in("operator@localhost", "wrong")
    assert locked.status_code == 429
    assert int(locked.headers["retry-after"]) > 60
    # The right password is not tried either while the account is locked, unless it is still remembered.
    assert sign_in("operator@localhost", password + " ").status_code == 429
    assert sign_in("somebody@else", "wrong").status_code == 401
    gateway.stop()
    gateway.start()
    assert gateway.log.count(password) == 2
    # A restart forgets no failure; whoever has the machine can set another password, which does.
    assert sign_in("operator@localhost", password).status_code == 429
    [operator] = gateway.admin("GET", "/users")["data"]
    fresh = gateway.admin("POST", f"/users/{operator['id']}/reset-password")["password"]
    assert sign_in("operator@localhost", password).status_code == 401
    assert sign_in("operator@localhost", fresh).status_code == 200
    gateway.stop()


def test_an_operators_listener_of_its_own_hides_the_operator_api_from_the_public_one(make_gateway, scripted, upstream):
    port = free_port()
    gateway = make_gateway(
        nodes=[openai_node(scripted.url)], prices=[price(MODEL)], MIRA_ADMIN_LISTEN=f"127.0.0.1:{port}"
    )
    assert gateway.chat(MODEL).status_code == 200
    for key in (ADMIN_KEY, None):
        assert gateway.get("/admin/v1/workspaces", key=key).status_code == 404
    inner = f"http://127.0.0.1:{port}/admin/v1/workspaces"
    assert gateway.get(inner, key=ADMIN_KEY).status_code == 200
    assert gateway.get(inner, key="wrong").status_code == 401
    gateway.stop()
