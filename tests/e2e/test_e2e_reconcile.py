"""Our books beside a node's: two Miras in a row agree to the nano-credit, and where they do not it is told."""

import sqlite3
import subprocess
import sys
import time

import pytest
from tests.support.gateway import INFERENCE_KEY, eventually, openai_node, price
from tests.support.upstream import Upstream, answers

MODEL = "openai/gpt-4o-mini"


@pytest.fixture(scope="module")
def first(gateway, make_gateway):
    """A Mira whose nodes are two of kind mira: one that always fails, and the module's gateway."""
    broken = Upstream(["gpt-4o-mini"]).start()
    nodes = [
        {
            "name": "broken",
            "kind": "mira",
            "base_url": broken.url,
            "api_key": INFERENCE_KEY,
            "models": [MODEL],
            "weight": 1000,
        },
        {"name": "second", "kind": "mira", "base_url": f"{gateway.url}/inference/v1", "api_key": INFERENCE_KEY},
        openai_node(broken.url, name="plain", models=["gpt-4o"]),
    ]
    first = make_gateway(nodes=nodes, prices=[price(MODEL)])
    first.admin("PATCH", "/nodes/broken", {"draining": True})
    first.admin("POST", "/nodes/second/probe")
    broken.script(MODEL, answers({"error": {"message": "out of order"}}, status=500))
    yield first
    broken.stop()


def compare(gateway, name="second"):
    return gateway.admin("POST", f"/nodes/{name}/reconcile?until_ms={int(time.time() * 1000) + 1000}")


def test_equal_books_agree_and_another_client_of_the_workspace_is_told_apart(first, gateway, upstream):
    before = compare(first)
    for stream in (False, True, False):
        assert first.chat(MODEL, stream=stream).status_code == 200
    own = gateway.chat(MODEL, key=INFERENCE_KEY, path="/inference/v1/chat/completions")
    assert own.status_code == 200
    found = compare(first)
    assert found["requests"] - before["requests"] == 3
    assert found["ours"] == found["theirs"]
    assert (found["alarm"], found["drift"], found["differences"]) == (False, "0", [])
    assert found["foreign_requests"] - before["foreign_requests"] == 1
    assert float(found["foreign"]) > 0
    assert 'mira_node_drift_ratio{node="second"} 0.0' in first.get("/metrics").text


def test_by_itself_only_what_is_surely_over_is_compared(first, upstream):
    first.chat(MODEL)
    assert first.admin("POST", "/nodes/second/reconcile")["requests"] == 0


def test_a_node_without_a_statement_says_so(first):
    assert "kind mira" in first.admin("POST", "/nodes/plain/reconcile", status=400)["error"]["message"]
    assert "cannot be read" in first.admin("POST", "/nodes/broken/reconcile", status=502)["error"]["message"]


def test_a_row_that_was_tampered_with_raises_the_alarm(first, gateway, upstream):
    answer = first.chat(MODEL)
    request_id = answer.headers["x-request-id"]
    with sqlite3.connect(gateway.home / "mira.db", timeout=120) as books:
        changed = books.execute(
            "UPDATE call SET billed_nanocredits = billed_nanocredits + 5000 WHERE client_request_id = ?", (request_id,)
        )
        assert changed.rowcount == 1
    books.close()
    found = compare(first)
    assert found["alarm"]
    assert found["drift"] == "0.000005"
    assert found["differences"] == [{"request_id": request_id, "ours": "0.000017", "theirs": "0.000022"}]
    first.says(lambda line: "the books of node second and ours differ on 1 of" in line)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    told = subprocess.run(
        [sys.executable, "-m", "mira", "nodes", "reconcile", "second", "--until", soon],
        check=False, env=first.environ, cwd=first.home, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert told.returncode == 1
    assert request_id in told.stdout
    assert "0.000022" in told.stdout


def test_the_command_is_content_with_equal_books(first):
    told = subprocess.run(
        [sys.executable, "-m", "mira", "nodes", "reconcile", "second"],
        check=False, env=first.environ, cwd=first.home, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert "second" in told.stdout


def test_the_attempts_of_a_call_are_on_record(first, gateway, upstream):
    answer = first.chat(MODEL)
    single = first.call(answer.headers["x-request-id"])
    assert [(one["number"], one["node"], one["outcome"], one["cost"]) for one in single["tried"]] == [
        (1, "second", "ok", "0.000017")
    ]
    first.admin("PATCH", "/nodes/second", {"draining": True})
    first.admin("PATCH", "/nodes/broken", {"draining": False})
    failed = first.call(first.chat(MODEL).headers["x-request-id"])
    first.admin("PATCH", "/nodes/second", {"draining": False})
    assert [one["outcome"] for one in failed["tried"]] == ["upstream_failed"]

    def asked_both():
        call = first.call(first.chat(MODEL).headers["x-request-id"])
        return call if call["attempts"] == 2 else None

    call = eventually(asked_both)
    assert [(one["number"], one["node"], one["outcome"], one["cost"]) for one in call["tried"]] == [
        (1, "broken", "upstream_failed", "0"),
        (2, "second", "ok", "0.000017"),
    ]
    assert call["started_at_ms"] <= call["tried"][0]["started_at_ms"] <= call["tried"][1]["started_at_ms"]
    assert "tried" not in first.get("/v1/extras/usage").json()["data"][0]
