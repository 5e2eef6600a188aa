"""Limits of keys and members, and Idempotency-Keys, as clients and operators meet them."""

import asyncio
from decimal import Decimal

import httpx2
import pytest
from tests.support.gateway import ADMIN_KEY, PATIENCE_S, Gateway, openai_node, price
from tests.support.upstream import DONE, RST, Moment, answers, chunks, completion, frames, streams

MODEL = "openai/gpt-4o-mini"
#: 11 tokens at 1 and 3 tokens at 2 credits a million
COST = Decimal("0.000017")


@pytest.fixture(scope="module")
def gateway(scripted, make_gateway) -> Gateway:
    return make_gateway(
        nodes=[openai_node(scripted.url, models=("gpt-4o-mini", "flat"))],
        prices=[price(MODEL), price("openai/flat", "0", "2")],
    )


def key_of(gateway, key_id: str, workspace_id: str = "ws_default") -> dict:
    return next(key for key in gateway.admin("GET", f"/workspaces/{workspace_id}/keys")["data"] if key["id"] == key_id)


def test_limits_are_shown_as_they_were_set_and_can_be_changed_and_taken_away(gateway):
    key_id, _ = gateway.new_key(rpm=60, tpm=1000, concurrency=2, budget={"amount": "1.50", "period": "week"})
    made = key_of(gateway, key_id)
    assert (made["rpm"], made["tpm"], made["concurrency"]) == (60, 1000, 2)
    budget = made["budget"]
    assert (budget["amount"], budget["period"], budget["spent"], budget["left"]) == ("1.5", "week", "0", "1.5")
    assert budget["resets_at_ms"] % 86_400_000 == 0
    changed = gateway.admin("PATCH", f"/keys/{key_id}", {"rpm": 5, "budget": None})
    assert (changed["rpm"], changed["tpm"], changed["concurrency"], changed["budget"]) == (5, 1000, 2, None)
    nothing = gateway.admin("PATCH", f"/keys/{key_id}", {"rpm": None, "tpm": None, "concurrency": None})
    assert (nothing["rpm"], nothing["tpm"], nothing["concurrency"]) == (None, None, None)
    gateway.admin("PATCH", f"/keys/{key_id}", {"rpm": 0}, status=400)


@pytest.mark.parametrize(
    ("path", "shape"),
    [("/v1/chat/completions", ("rate_limit_error", "rate_limit_exceeded")), ("/v1/messages", ("rate_limit_error",))],
)
def test_a_request_above_the_rate_is_told_when_to_come_again(gateway, upstream, path, shape):
    _, key = gateway.new_key(rpm=2)
    body = {"max_tokens": 10}
    assert [gateway.chat(MODEL, key=key, path=path, **body).status_code for _ in range(2)] == [200, 200]
    refused = gateway.chat(MODEL, key=key, path=path, **body)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    error = refused.json()["error"]
    assert error["type"] == shape[0]
    if len(shape) > 1:
        assert error["code"] == shape[1]
        assert error["details"] == {"scope": "key", "limit": "rpm", "allowed": "2"}
    assert "may make 2 requests a minute (rpm)" in error["message"]
    assert len(upstream.chats("gpt-4o-mini")) == 2


def test_a_used_up_budget_is_402_with_its_figures(gateway, upstream):
    workspace_id = gateway.new_workspace("10")
    key_id, key = gateway.new_key(workspace_id, budget={"amount": "0.001", "period": "month"})
    first = gateway.chat("openai/flat", key=key, max_tokens=400)
    assert Decimal(first.headers["x-mira-cost"]) == Decimal("0.000006")
    assert key_of(gateway, key_id, workspace_id)["budget"]["spent"] == "0.000006"
    clamped = gateway.chat("openai/flat", key=key, max_tokens=4000)
    assert clamped.headers["x-mira-max-tokens"] == "497", "what the budget has left, at 2 credits a million"
    gateway.admin("PATCH", f"/keys/{key_id}", {"budget": {"amount": "0.00001", "period": "month"}})
    refused = gateway.chat("openai/flat", key=key, max_tokens=400)
    assert refused.status_code == 402
    error = refused.json()["error"]
    assert error["code"] == "budget_exceeded"
    assert error["details"]["scope"] == "key"
    assert (error["details"]["budget"], error["details"]["spent"]) == ("0.00001", "0.000012")
    assert error["details"]["resets_at"].endswith("-01T00:00:00Z")
    assert refused.headers["x-should-retry"] == "false"


def test_a_call_larger_than_the_token_rate_is_clamped_to_it(gateway, upstream):
    _, key = gateway.new_key(tpm=1000)
    answer = gateway.chat(MODEL, key=key, max_tokens=5000)
    cap = int(answer.headers["x-mira-max-tokens"])
    assert 900 < cap < 1000
    assert upstream.chats("gpt-4o-mini")[0].json["max_completion_tokens"] == cap
    again = gateway.chat(MODEL, key=key, max_tokens=900)
    assert again.status_code == 200, "what the first call did not use is free again"


def test_the_members_limits_count_all_of_its_keys(gateway, upstream):
    workspace_id = gateway.new_workspace("10")
    member = gateway.admin(
        "POST", f"/workspaces/{workspace_id}/members", {"name": "Ada", "email": "ada@example.org", "rpm": 3}, status=201
    )
    keys = [gateway.new_key(workspace_id, member=member["id"])[1] for _ in range(2)]
    statuses = [gateway.chat(MODEL, key=keys[number % 2]).status_code for number in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    refused = gateway.chat(MODEL, key=keys[0]).json()["error"]
    assert refused["details"]["scope"] == "member"
    changed = gateway.admin("PATCH", f"/members/{member['id']}", {"rpm": None, "disabled": True})
    assert (changed["rpm"], changed["disabled"], changed["name"]) == (None, True, "Ada")
    assert gateway.chat(MODEL, key=keys[0]).status_code == 401
    gateway.admin("PATCH", f"/members/{member['id']}", {"disabled": False})
    assert gateway.chat(MODEL, key=keys[0]).status_code == 200
    assert gateway.admin("GET", f"/members/{member['id']}")["email"] == "ada@example.org"
    assert [one["id"] for one in gateway.admin("GET", f"/workspaces/{workspace_id}/members")["data"]] == [member["id"]]
    gateway.admin("POST", "/workspaces/ws_default/keys", {"name": "k", "member": member["id"]}, status=404)
    gateway.admin("GET", "/members/nobody", status=404)


async def test_calls_at_a_time_are_bounded_and_free_when_they_end(gateway, upstream):
    _, key = gateway.new_key(concurrency=2)
    hold = Moment()
    upstream.script("gpt-4o-mini", answers(completion(), hold=hold), answers(completion(), hold=hold))
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=gateway.url, timeout=PATIENCE_S, trust_env=False) as client:
        running = [asyncio.create_task(client.post("/v1/chat/completions", json=body, headers=headers)) for _ in "ab"]
        await asyncio.to_thread(upstream.received, 2, "gpt-4o-mini")
        refused = await client.post("/v1/chat/completions", json=body, headers=headers)
        assert refused.status_code == 429
        assert refused.json()["error"]["details"]["limit"] == "concurrency"
        hold.happen()
        assert [answer.status_code for answer in await asyncio.gather(*running)] == [200, 200]
        assert (await client.post("/v1/chat/completions", json=body, headers=headers)).status_code == 200


# Idempotency-Key


def ask(gateway, name: str, *, key: str, text: str = "Hi", **fields) -> httpx2.Response:
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}
    return gateway.post("/v1/chat/completions", body, key=key, headers={"idempotency-key": name})


@pytest.mark.parametrize("stream", [False, True])
def test_a_repeated_request_gets_the_same_answer_and_costs_nothing(gateway, upstream, stream):
    workspace_id = gateway.new_workspace("1")
    _, key = gateway.new_key(workspace_id)
    fields = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    first = ask(gateway, "one", key=key, **fields)
    after = gateway.balance(workspace_id)
    second = ask(gateway, "one", key=key, **fields)
    assert (second.status_code, second.content) == (200, first.content)
    assert second.headers["x-request-id"] == first.headers["x-request-id"]
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert gateway.balance(workspace_id) == after
    assert Decimal(after["balance"]) == 1 - COST
    assert len(upstream.chats("gpt-4o-mini")) == 1
    other = ask(gateway, "one", key=key, text="Something else", **fields)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    gateway.check_ledger()


async def test_a_request_under_way_is_a_conflict_that_must_not_be_retried(gateway, upstream):
    _, key = gateway.new_key(gateway.new_workspace("1"))
    hold = Moment()
    upstream.script("gpt-4o-mini", answers(completion(), hold=hold))
    running = asyncio.create_task(asyncio.to_thread(ask, gateway, "two", key=key))
    await asyncio.to_thread(upstream.received, 1, "gpt-4o-mini")
    refused = await asyncio.to_thread(ask, gateway, "two", key=key)
    assert (refused.status_code, refused.headers["x-should-retry"]) == (409, "false")
    hold.happen()
    assert (await running).status_code == 200
    assert len(upstream.chats("gpt-4o-mini")) == 1


def test_a_cut_stream_replays_its_error_and_is_charged_once(gateway, upstream):
    workspace_id = gateway.new_workspace("1")
    _, key = gateway.new_key(workspace_id)
    upstream.script("gpt-4o-mini", streams([*frames(*chunks("Hello", " there"))[:3], RST]))
    first = ask(gateway, "three", key=key, stream=True)
    after = gateway.balance(workspace_id)
    again = ask(gateway, "three", key=key, stream=True)
    assert (again.status_code, again.content) == (200, first.content)
    assert b'"error"' in first.content
    assert DONE not in first.content
    assert gateway.balance(workspace_id) == after
    assert Decimal(after["balance"]) < 1
    assert len(upstream.chats("gpt-4o-mini")) == 1


def test_a_refused_or_failed_request_may_be_tried_again_under_its_key(gateway, upstream):
    workspace_id = gateway.new_workspace(None)
    _, key = gateway.new_key(workspace_id)
    assert ask(gateway, "four", key=key).status_code == 402
    gateway.admin("POST", f"/workspaces/{workspace_id}/credits", {"amount": "1", "reference": "now"})
    upstream.script("gpt-4o-mini", answers({"error": {"message": "no"}}, status=400), answers(completion()))
    assert ask(gateway, "four", key=key).status_code == 400
    assert ask(gateway, "four", key=key).status_code == 200


@pytest.mark.parametrize("name", ["x" * 256, "tab\there"])
def test_a_key_that_is_none_is_refused(gateway, upstream, name):
    refused = ask(gateway, name, key=gateway.new_key()[1])
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "Idempotency-Key")


# Usage and calls


def test_a_calls_price_is_the_sum_of_its_transfers(gateway, upstream):
    _, key = gateway.new_key(gateway.new_workspace("1"))
    answer = gateway.chat(MODEL, key=key)
    call = gateway.call(answer.headers["x-request-id"])
    assert [(line["reference"], line["credit"]) for line in call["transfers"]] == [(f"settle:{call['id']}", "revenue")]
    assert sum(Decimal(line["amount"]) for line in call["transfers"]) == Decimal(call["cost"]) == COST


def test_usage_is_told_as_sums_and_calls_by_filters(gateway, upstream):
    workspace_id = gateway.new_workspace("1")
    key_id, key = gateway.new_key(workspace_id)
    for model in (MODEL, MODEL, "openai/flat"):
        assert gateway.chat(model, key=key).status_code == 200
    unknown = gateway.chat("openai/unknown", key=key).headers["x-request-id"]
    while gateway.request("GET", f"/admin/v1/calls/{unknown}", key=ADMIN_KEY).status_code == 404:
        continue  # a refusal does not wait for its record
    path = f"/usage?workspace={workspace_id}&group_by="
    by_model = gateway.admin("GET", path + "model")["data"]
    assert [(row["model"], row["calls"], row["failed"]) for row in by_model] == [
        (MODEL, 2, 0),
        ("openai/flat", 1, 0),
        ("openai/unknown", 1, 1),
    ]
    assert Decimal(by_model[0]["cost"]) == 2 * COST
    [total] = gateway.admin("GET", path)["data"]
    assert (total["calls"], total["prompt_tokens"], total["completion_tokens"]) == (4, 33, 9)
    [day] = gateway.admin("GET", path + "day,key")["data"]
    assert (day["day_ms"] % 86_400_000, day["key_id"], day["calls"]) == (0, key_id, 4)
    refused = gateway.request("GET", f"/admin/v1{path}colour", key=None)
    assert refused.status_code == 401
    assert gateway.admin("GET", path + "colour", status=400)["error"]["param"] == "group_by"

    def models(query: str) -> list[str]:
        return [row["model"] for row in gateway.admin("GET", f"/calls?workspace={workspace_id}&{query}")["data"]]

    assert models("status=failed") == ["openai/unknown"]
    assert models("status=404") == ["openai/unknown"]
    assert models(f"key={key_id}&status=ok&model=openai/flat") == ["openai/flat"]
    assert models("node=nobody") == []
    assert gateway.admin("GET", "/calls?status=bad", status=400)["error"]["param"] == "status"


def test_the_check_of_the_ledger_shows_limits_and_alarms(gateway):
    checked = gateway.check_ledger()
    assert checked["invariants"]["limits"]["ok"] is True
    assert set(checked["alarms"]) == {
        "overrun",
        "attempt_cost",
        "calls_reported_otherwise_than_computed",
        "reported_less_computed",
    }
