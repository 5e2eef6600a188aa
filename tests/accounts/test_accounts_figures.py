"""What members and operators are told of calls and money adds up, to the nano-credit."""

import csv
import io
from decimal import Decimal

import pytest
from tests.accounts.conftest import MODEL
from tests.support.gateway import eventually

from mira.api.portal.usage import table
from mira.store.audit import Actor


@pytest.fixture(scope="module")
def played(people):
    """A key of the other workspace, and what three calls of it were: whole, streamed, refused."""
    made = people.other.change("POST", "/portal/v1/keys", {"name": "figures", "models": [MODEL]})
    gateway, secret = people.gateway, made["secret"]
    ids = [
        gateway.chat(MODEL, key=secret).headers["x-request-id"],
        gateway.chat(MODEL, key=secret, stream=True).headers["x-request-id"],
        gateway.chat("openai/none", key=secret).headers["x-request-id"],
    ]
    return made["key"], ids


def test_a_key_knows_its_use_and_its_first_call(people, played):
    key, ids = played
    path = f"/portal/v1/keys/{key['id']}"
    # A call that was refused is written down after its answer.
    eventually(lambda: people.other.get(path)["calls"] == 3)
    told = people.other.get(path)
    spent = sum(Decimal(people.gateway.call(one)["cost"]) for one in ids[:2])
    assert Decimal(told["spend"]) == spent > 0
    assert told["last_used_at_ms"] >= key["created_at_ms"]
    first = people.other.get(f"/portal/v1/keys/{key['id']}/first-request?wait=5")
    assert (first["received"], first["call"]["id"], first["call"]["key_name"]) == (True, ids[0], "figures")


def test_who_waits_for_a_first_call_hears_of_it_and_of_none_when_the_wait_is_over(people):
    made = people.other.change("POST", "/portal/v1/keys", {"name": "waits"})
    path = f"/portal/v1/keys/{made['key']['id']}/first-request"
    assert people.other.get(f"{path}?wait=1") == {"received": False, "call": None}
    assert people.other.ask("GET", f"{path}?wait=26").status_code == 400
    people.gateway.chat(MODEL, key=made["secret"])
    assert people.other.get(f"{path}?wait=20")["received"]


def test_the_lines_of_a_call_come_to_its_cost_and_its_cost_to_its_transfer(people, played):
    for request_id in played[1][:2]:
        detail = people.other.get(f"/portal/v1/calls/{request_id}")
        sums = detail["arithmetic"]
        assert (sums["rule"], sums["exact"]) == ("price", True)
        assert sum(Decimal(line["cost"]) for line in sums["lines"]) == Decimal(sums["total"])
        for line in sums["lines"]:
            assert Decimal(line["price"]) * Decimal(line["quantity"]) == Decimal(line["cost"]) * line["per"]
        assert sums["total"] == sums["billed"] == detail["call"]["cost"]
        [transfer] = detail["transfers"]
        assert (transfer["kind"], transfer["call_id"]) == ("call", request_id)
        assert Decimal(transfer["amount"]) == -Decimal(sums["billed"])
        assert [attempt["outcome"] for attempt in detail["tried"]] == ["ok"]
        # What nodes charge is for operators.
        assert detail["tried"][0]["cost"] is None
        whole = people.operator.get(f"/admin/v1/calls/{request_id}/detail")
        assert Decimal(whole["tried"][0]["cost"]) > 0


def test_a_statement_runs_from_nothing_to_the_balance_over_all_its_pages(people, played):
    lines, cursor = [], None
    while True:
        page = people.other.get(f"/portal/v1/transfers?limit=2{f'&cursor={cursor}' if cursor else ''}")
        lines += page["data"]
        cursor = page["next"]
        if cursor is None:
            break
    assert lines[0]["balance"] == people.other.get("/portal/v1/credits")["balance"]
    balance = Decimal(0)
    for line in reversed(lines):
        balance += Decimal(line["amount"])
        assert Decimal(line["balance"]) == balance
    assert (lines[-1]["kind"], lines[-1]["reference"]) == ("top_up", "first")
    for wrong in ("x", "1", "1.x", "-1.1", "1.1.1", "９.1"):
        assert people.other.ask("GET", f"/portal/v1/transfers?cursor={wrong}").status_code == 400, wrong
    table = list(csv.DictReader(io.StringIO(people.other.ask("GET", "/portal/v1/transfers?format=csv").text)))
    assert [row["balance"] for row in table] == [line["balance"] for line in lines]


def test_usage_by_groups_comes_to_its_totals_and_to_the_overview(people, played):
    eventually(lambda: people.other.get(f"/portal/v1/keys/{played[0]['id']}")["calls"] == 3)
    totals = people.other.get("/portal/v1/usage")["totals"]
    for group in ("model", "key", "node", "day", "hour", "model,day"):
        told = people.other.get(f"/portal/v1/usage?group_by={group}&compare=previous&limit=1000")
        assert sum(row["calls"] for row in told["data"]) == totals["calls"], group
        assert sum(Decimal(row["cost"]) for row in told["data"]) == Decimal(totals["cost"])
        assert told["previous"]["totals"]["calls"] == 0
        assert told["previous"]["until_ms"] == told["since_ms"]
    overview = people.other.get("/portal/v1/overview")
    assert overview["totals"] == totals
    assert sum(bar["calls"] for bar in overview["series"]) == totals["calls"]
    assert overview["checklist"]["first_request_at_ms"] is not None
    assert overview["checklist"] | {"first_request_at_ms": 0} == {
        "has_credits": True, "has_key": True, "has_model": True, "first_request_at_ms": 0,
    }  # fmt: skip
    assert {row["key_name"] for row in overview["top_keys"]} >= {"figures"}
    assert people.other.ask("GET", "/portal/v1/usage?group_by=workspace").status_code == 400
    assert people.other.ask("GET", "/portal/v1/usage?since_ms=5&until_ms=5").status_code == 400


def test_calls_are_found_by_what_they_were(people, played):
    key, ids = played

    def found(query: str) -> list[str]:
        return [row["id"] for row in people.other.get(f"/portal/v1/calls?key={key['id']}&{query}")["data"]]

    eventually(lambda: found("") == ids[::-1])
    assert found("status=failed") == found("status=404") == ids[2:]
    assert found("status=ok&limit=1") == ids[1:2]
    page = people.other.get(f"/portal/v1/calls?key={key['id']}&histogram=true&limit=1")
    assert sum(bar["calls"] for bar in page["histogram"]) == 3
    everywhere = people.operator.get(f"/admin/v1/calls?key={key['id']}&histogram=true&limit=1")
    assert (everywhere["step"], everywhere["histogram"]) == (page["step"], page["histogram"])
    assert people.operator.get("/admin/v1/calls?limit=1")["histogram"] is None
    following = people.other.get(f"/portal/v1/calls?key={key['id']}&limit=2&cursor={page['next']}")
    assert [row["id"] for row in following["data"]] == ids[1::-1]


def test_a_table_to_download_runs_no_formula(people):
    for name in ("=HYPERLINK(1)", "-2+3+cmd|'/C calc'!A0", "@SUM(1)"):
        made = people.other.change("POST", "/portal/v1/keys", {"name": name})
        people.gateway.chat(MODEL, key=made["secret"])
        text = people.other.ask("GET", "/portal/v1/usage?group_by=key,day&format=csv").text
        assert f",'{name}," in text
        people.other.change("DELETE", f"/portal/v1/keys/{made['key']['id']}")


def test_a_rotated_key_hands_over_to_its_successor(people):
    made = people.member.change("POST", "/portal/v1/keys", {"name": "old", "rpm": 9, "models": [MODEL]})
    turned = people.member.change("POST", f"/portal/v1/keys/{made['key']['id']}/rotate", {"overlap_s": 600})
    assert (turned["key"]["rpm"], turned["key"]["models"]) == (9, [MODEL])
    assert people.gateway.get("/v1/models", key=turned["secret"]).status_code == 200
    assert people.gateway.get("/v1/models", key=made["secret"]).status_code == 200
    soon = people.member.change("POST", f"/portal/v1/keys/{turned['key']['id']}/rotate", {"overlap_s": 1})
    eventually(lambda: people.gateway.get("/v1/models", key=turned["secret"]).status_code == 401)
    turned = soon
    at_once = people.member.change("POST", f"/portal/v1/keys/{turned['key']['id']}/rotate", {"overlap_s": 0})
    assert people.gateway.get("/v1/models", key=turned["secret"]).status_code == 401
    assert at_once["old"]["state"] == "revoked"
    assert people.member.ask("POST", f"/portal/v1/keys/{turned['key']['id']}/rotate", {}).status_code == 409


def test_a_price_that_is_set_sells_a_model_and_margins_tell_what_is_left(people):
    operator, gateway = people.operator, people.gateway
    node = {"name": "sold", "kind": "openai", "base_url": people.upstream.url, "api_key": "x", "models": ["unsold"]}
    trial = {name: node[name] for name in ("kind", "base_url", "api_key")}
    tried = operator.change("POST", "/admin/v1/nodes/test", trial)
    assert (tried["ok"], tried["error"]) == (True, None)
    assert "sold" not in [row["name"] for row in operator.get("/admin/v1/nodes")["data"]]
    away = operator.change("POST", "/admin/v1/nodes/test", {**trial, "base_url": "http://127.0.0.1:9/v1"})
    assert (away["ok"], away["models"]) == (False, [])
    assert "127.0.0.1" not in away["error"]
    operator.change("POST", "/admin/v1/nodes", {**node, "markup": "1.5"})
    unpriced = [row["model"] for row in operator.get("/admin/v1/prices")["data"] if row["sale"] is None]
    assert unpriced == [row["model"] for row in operator.get("/admin/v1/prices")["data"]][: len(unpriced)]
    assert "openai/unsold" in unpriced
    assert operator.get("/admin/v1/fleet/sold")["unpriced_models"] == ["openai/unsold"]
    assert gateway.chat("openai/unsold").status_code == 400
    wrong = operator.ask("PUT", "/admin/v1/prices/openai/unsold", {"input": "1", "output": "-2"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "output")
    priced = operator.change("PUT", "/admin/v1/prices/openai/unsold", {"input": "2", "output": "4"})
    assert (priced["source"], priced["sale"]["input"], priced["sale"]["output"]) == ("portal", "3", "6")
    called = gateway.chat("openai/unsold")
    assert called.status_code == 200, called.text
    rows = operator.get("/admin/v1/margin?group_by=model,node")["data"]
    [row] = [row for row in rows if (row["model"], row["node"]) == ("openai/unsold", "sold")]
    assert Decimal(row["billed"]) * 2 == Decimal(row["node_cost"]) * 3
    assert Decimal(row["margin"]) == Decimal(row["billed"]) - Decimal(row["node_cost"])
    operator.change("DELETE", "/admin/v1/prices/openai/unsold")
    assert gateway.chat("openai/unsold").status_code == 400
    operator.change("DELETE", "/admin/v1/nodes/sold")


def test_the_settings_in_effect_are_told_without_a_secret(people):
    told = people.operator.get("/admin/v1/settings")
    rows = {row["name"]: row for row in told["data"]}
    assert rows["admin_key"]["value"] is True
    assert rows["server.workers"] == {"name": "server.workers", "value": 1, "secret": False, "applies": "restart"}
    assert (rows["nodes"]["value"], rows["nodes"]["applies"]) == (["scripted"], "live")


async def test_a_table_to_download_is_whole_however_long_it_is():
    whole = 12_345

    async def read(cursor: str | None) -> tuple[list[Actor], str | None]:
        first = int(cursor or 0)
        last = min(first + 1000, whole)
        return [Actor("user", str(number)) for number in range(first, last)], str(last) if last < whole else None

    answer = table("long.csv", ["kind", "id"], read)
    lines = "".join([piece async for piece in answer.body_iterator]).splitlines()
    assert lines == ["kind,id", *(f"user,{number}" for number in range(whole))]
