"""Money, seen from outside: funds are never overspent, and what was charged is what the client was told."""

import asyncio
import json
from collections import Counter
from decimal import Decimal

import httpx2
import pytest
from tests.support.gateway import ADMIN_KEY, PATIENCE_S, PROXY_KEY, Gateway, openai_node, price
from tests.support.traffic import is_overloaded
from tests.support.upstream import DONE, FIN, RST, Moment, answers, chunk, chunks, completion, frame, frames, streams
from wire_client import WireClient

CAP = 256
HOLD = Decimal(2 * CAP) / 10**6
#: 11 tokens at 1 and 3 tokens at 2 credits a million
COST = Decimal("0.000017")


@pytest.fixture(scope="module")
def gateway(scripted, make_gateway) -> Gateway:
    models = ("gpt-4o-mini", "flat")
    return make_gateway(
        nodes=[openai_node(scripted.url, models=models)],
        prices=[price("openai/gpt-4o-mini"), price("openai/flat", "0", "2")],
    )


def statement(gateway, workspace_id):
    """Every transfer of a workspace."""
    rows, cursor = [], None
    while True:
        page = gateway.admin(
            "GET", f"/workspaces/{workspace_id}/transfers?limit=1000" + (f"&cursor={cursor}" if cursor else "")
        )
        rows += page["data"]
        cursor = page["next"]
        if cursor is None:
            return rows


def charged(rows):
    """The amounts of a statement that went from the workspace to the operator, by request."""
    return {
        row["reference"].removeprefix("settle:"): Decimal(row["amount"])
        for row in rows
        if row["reference"].startswith("settle:")
    }


def last_usage(text):
    """The usage that ends a stream, with money exact."""
    frames_ = [json.loads(line[6:], parse_float=Decimal) for line in text.splitlines() if line.startswith("data: {")]
    return frames_[-1]["usage"]


async def test_512_calls_at_once_on_funds_for_50_dispatch_exactly_50(gateway, upstream):
    workspace_id = gateway.new_workspace(str(50 * HOLD))
    _, key = gateway.new_key(workspace_id)
    decided = Moment()
    used = {"prompt_tokens": 9, "completion_tokens": CAP, "total_tokens": 9 + CAP}
    upstream.script("flat", answers(completion(model="flat", usage=used), hold=decided))
    body = {"model": "openai/flat", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": CAP}
    refused = asyncio.Semaphore(0)
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(base_url=gateway.url, timeout=PATIENCE_S, limits=limits, trust_env=False) as client:

        async def ask():
            headers = {"authorization": f"Bearer {key}"}
            answer = await client.post("/v1/chat/completions", json=body, headers=headers)
            while is_overloaded(answer):
                await asyncio.sleep(0.1)
                answer = await client.post("/v1/chat/completions", json=body, headers=headers)
            if answer.status_code == 402:
                refused.release()
            return answer

        asked = [asyncio.create_task(ask()) for _ in range(512)]
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(512 - 50):
                await refused.acquire()
        assert len(await asyncio.to_thread(upstream.received, 50, "flat")) == 50
        held = gateway.balance(workspace_id)
        assert (Decimal(held["held"]), Decimal(held["available"])) == (50 * HOLD, 0)
        decided.happen()
        answered = await asyncio.gather(*asked)
    assert Counter(answer.status_code for answer in answered) == {200: 50, 402: 462}
    assert len(upstream.chats("flat")) == 50
    for answer in answered:
        if answer.status_code == 200:
            assert Decimal(answer.headers["x-mira-cost"]) == HOLD
        else:
            figures = answer.json()["error"]["details"]
            assert Decimal(figures["needed"]) == HOLD
            assert Decimal(figures["available"]) < HOLD
            assert Decimal(figures["balance"]) - Decimal(figures["held"]) == Decimal(figures["available"])
    after = gateway.balance(workspace_id)
    assert [Decimal(after[name]) for name in ("balance", "held", "available")] == [0, 0, 0]
    rows = charged(statement(gateway, workspace_id))
    assert sorted(rows.values()) == [HOLD] * 50
    gateway.check_ledger()


async def test_the_statement_adds_up_to_what_the_clients_were_told(gateway, upstream):
    workspace_id = gateway.new_workspace("1")
    _, key = gateway.new_key(workspace_id)
    told: dict[str, Decimal] = {}
    odd = [{"prompt_tokens": 7 * n, "completion_tokens": n, "total_tokens": 8 * n} for n in range(40)]
    scripts = [
        streams([*frames(*chunks("a", " b", usage=usage)), DONE]) if n % 2 else answers(completion(usage=usage))
        for n, usage in enumerate(odd)
    ]
    upstream.script("gpt-4o-mini", *scripts)
    for n in range(40):
        more = {"stream": True, "stream_options": {"include_usage": True}} if n % 2 else {}
        answer = gateway.chat("openai/gpt-4o-mini", key=key, **more)
        cost = (
            last_usage(answer.text)["cost"] if n % 2 else json.loads(answer.text, parse_float=Decimal)["usage"]["cost"]
        )
        if not n % 2:
            assert Decimal(answer.headers["x-mira-cost"]) == cost
        told[answer.headers["x-request-id"]] = Decimal(cost)
        assert cost == Decimal(7 * n * 1 + n * 2) / 10**6
    rows = statement(gateway, workspace_id)
    assert charged(rows) == {request_id: cost for request_id, cost in told.items() if cost}
    assert 1 - sum(told.values()) == Decimal(gateway.balance(workspace_id)["balance"])
    topped_up = sum(Decimal(row["amount"]) for row in rows if row["reference"].startswith("topup:"))
    assert topped_up == 1
    for request_id, cost in told.items():
        assert Decimal(gateway.call(request_id)["cost"]) == cost
    gateway.check_ledger()


HELLOS = [*frames(chunk({"role": "assistant", "content": ""})), *frames(*[chunk({"content": " hello"})] * 7)]


async def stream_that_ends(gateway, upstream, end):
    """A client's view of a stream of seven words, once it has them, and of its end; and the record of the call."""
    seen = Moment()
    upstream.script("gpt-4o-mini", streams([*HELLOS, seen, end]))
    messages = [{"role": "user", "content": "Say hello often."}]
    client = await WireClient.ask(gateway, {"model": "openai/gpt-4o-mini", "messages": messages, "stream": True})
    await client.until(7, b" hello")
    seen.happen()
    await client.until(1, b"0\r\n\r\n")
    await client.leave()
    return client.seen, await asyncio.to_thread(gateway.call, client.request_id)


@pytest.mark.parametrize("how", [FIN, RST])
async def test_a_stream_that_the_upstream_cuts_bills_what_was_delivered(gateway, upstream, how):
    seen, call = await stream_that_ends(gateway, upstream, how)
    assert seen.count(b" hello") == 7
    assert b"[DONE]" not in seen
    assert b'"code":"upstream_error"' in seen
    prompt = input_tokens(gateway, "Say hello often.")
    assert (call["usage"]["prompt_tokens"], call["usage"]["completion_tokens"]) == (prompt, 7)
    assert Decimal(call["cost"]) == Decimal(prompt * 1 + 7 * 2) / 10**6
    assert (call["error"], call["usage"]["estimated"]) == ("upstream_failed", True)


async def test_the_words_of_an_error_are_never_billed(gateway, upstream):
    words = {"error": {"message": "many words of an error " * 100, "type": "server_error"}}
    seen, call = await stream_that_ends(gateway, upstream, frame(words))
    assert b"many words" not in seen
    assert b"[DONE]" not in seen
    assert call["usage"]["completion_tokens"] == 7

    upstream.script("gpt-4o-mini", answers(words, 500))
    before = gateway.balance()
    answer = gateway.chat("openai/gpt-4o-mini")
    assert answer.status_code == 502
    call = gateway.call(answer.headers["x-request-id"])
    assert (Decimal(call["cost"]), call["usage"]["total_tokens"]) == (0, 0)
    assert gateway.balance() == before


async def test_a_usage_of_zero_is_believed(gateway, upstream):
    none = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    upstream.script("gpt-4o-mini", answers(completion("Words, but none counted.", usage=none)))
    answer = gateway.chat("openai/gpt-4o-mini")
    assert Decimal(answer.headers["x-mira-cost"]) == 0


async def test_more_than_the_hold_is_never_taken_from_others_or_below_zero(gateway, upstream):
    workspace_id = gateway.new_workspace("0.002")
    _, key = gateway.new_key(workspace_id)
    much = {"prompt_tokens": 10**6, "completion_tokens": 10**6, "total_tokens": 2 * 10**6}
    upstream.script("gpt-4o-mini", answers(completion(usage=much)))
    answer = gateway.chat("openai/gpt-4o-mini", key=key, max_tokens=1)
    assert Decimal(answer.headers["x-mira-cost"]) == Decimal("0.002")
    after = gateway.balance(workspace_id)
    assert (Decimal(after["balance"]), Decimal(after["held"])) == (0, 0)
    gateway.check_ledger()
    assert gateway.chat("openai/gpt-4o-mini", key=key).status_code == 402


async def test_a_top_up_counts_once_however_often_it_is_told(gateway):
    workspace_id = gateway.new_workspace(None)

    async def pay(client):
        return await client.post(
            f"/admin/v1/workspaces/{workspace_id}/credits",
            json={"amount": "1.5", "reference": "invoice-7"},
            headers={"authorization": f"Bearer {ADMIN_KEY}"},
        )

    async with httpx2.AsyncClient(base_url=gateway.url, timeout=PATIENCE_S, trust_env=False) as client:
        answered = await asyncio.gather(*(pay(client) for _ in range(20)))
    assert Counter(answer.json()["counted"] for answer in answered) == {True: 1, False: 19}
    assert Decimal(gateway.balance(workspace_id)["balance"]) == Decimal("1.5")
    gateway.check_ledger()


async def test_acknowledged_charges_survive_being_killed(scripted, upstream, make_gateway):
    gateway = make_gateway(nodes=[openai_node(scripted.url)], prices=[price("openai/gpt-4o-mini")])
    told: dict[str, Decimal] = {}
    for number in range(4):
        enough = asyncio.Event()
        clients = [asyncio.create_task(customer(gateway, told, len(told) + 40, enough)) for _ in range(16)]
        async with asyncio.timeout(PATIENCE_S):
            await enough.wait()
        await asyncio.to_thread(gateway.kill)
        await asyncio.gather(*clients)
        await asyncio.to_thread(gateway.start)
        gateway.check_ledger()
        assert Decimal(gateway.balance()["held"]) == 0, f"holds were left after kill {number}"
        rows = charged(statement(gateway, "ws_default"))
        assert told.items() <= rows.items()
        assert Decimal(gateway.balance()["balance"]) == 10 - sum(rows.values())
    for request_id, cost in told.items():
        assert Decimal(gateway.call(request_id)["cost"]) == cost
    assert len(told) >= 160


async def customer(gateway, told, goal, enough):
    """Asks until the gateway is gone; notes what was answered to the end and what it cost."""
    body = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
    stream = {**body, "stream": True, "stream_options": {"include_usage": True}}
    headers = {"authorization": f"Bearer {PROXY_KEY}"}
    try:
        async with httpx2.AsyncClient(base_url=gateway.url, timeout=PATIENCE_S, trust_env=False) as client:
            while True:
                for asked in (body, stream):
                    answer = await client.post("/v1/chat/completions", json=asked, headers=headers)
                    assert answer.status_code == 200, answer.text
                    if asked is body:
                        cost = Decimal(answer.headers["x-mira-cost"])
                    else:
                        assert answer.text.endswith("data: [DONE]\n\n")
                        cost = Decimal(last_usage(answer.text)["cost"])
                    assert cost == COST
                    told[answer.headers["x-request-id"]] = cost
                    if len(told) >= goal:
                        enough.set()
    except httpx2.TransportError:
        return


def input_tokens(gateway, text):
    """What the gateway's own counter says for a message: of a model that no node serves, so that none is asked."""
    body = {"model": "openai/gpt-4o-mini-2024-07-18", "messages": [{"role": "user", "content": text}]}
    return gateway.post("/v1/extras/token-count", body).json()["input_tokens"]
