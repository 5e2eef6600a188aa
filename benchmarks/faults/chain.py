"""Two Miras in a row: tools, costs, ids and departures pass through both, and a ring of them is told for what it is."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.faults.bench import Figure
from benchmarks.faults.load import Client, chat
from msgspec import Struct
from tests.support.gateway import INFERENCE_KEY, PROXY_KEY, Gateway, openai_node, price
from tests.support.upstream import DONE, USAGE, Moment, Upstream, chunk, frames, streams

MODEL, UPSTREAM_MODEL = "openai/gpt-4o-mini", "gpt-4o-mini"
LEAVES = 20
GONE_GOAL_S = 1.0
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
ARGUMENTS = ('{"city": "', "Gent", '"}')


class Chain(Struct):
    """The first Mira asks the second, which asks the upstream."""

    first: Gateway
    second: Gateway
    upstream: Upstream


async def run() -> AsyncIterator[Figure]:
    """Everything over one pair, then a ring of two."""
    with _chain() as chain:
        for figure in (*await _tools(chain), *await _departures(chain)):
            yield figure
    yield await _ring()


@contextlib.contextmanager
def _chain() -> Any:
    upstream = Upstream((UPSTREAM_MODEL,)).start()
    with tempfile.TemporaryDirectory(prefix="mira-chain-") as home:
        second = Gateway(Path(home) / "second", nodes=[openai_node(upstream.url)], prices=[price(MODEL)]).start()
        node = {"name": "second", "kind": "mira", "api_key": INFERENCE_KEY}
        first = Gateway(
            Path(home) / "first", nodes=[{**node, "base_url": f"{second.url}/inference/v1"}], MIRA_HOST="127.0.0.1"
        ).start()
        try:
            first.admin("POST", "/nodes/second/probe")
            yield Chain(first, second, upstream)
        finally:
            first.close()
            second.close()
            upstream.stop()


async def _tools(chain: Chain) -> list[Figure]:
    """A stream that calls a tool: its arguments, its cost on both ledgers, and one request's ids on all sides."""
    begins = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    steps = [chunk({"role": "assistant", "tool_calls": [begins]})]
    steps += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in ARGUMENTS]
    steps += [chunk({}, finish="tool_calls"), chunk(usage=USAGE)]
    chain.upstream.script(UPSTREAM_MODEL, streams([*frames(*steps), DONE]))
    client = Client(chain.first.port, PROXY_KEY)
    outcome = await client.ask(chat(MODEL, stream=True, tools=[TOOL]), more="x-request-id: asked-by-the-client\r\n")
    client.close()
    told = b"".join(outcome.body.split())
    whole = b"[DONE]" in told and b'"tool_calls"' in told and b"Gent" in told
    outer = await asyncio.to_thread(chain.first.call, outcome.headers["x-request-id"])
    request = chain.upstream.received(1)[0]
    inner = await asyncio.to_thread(chain.second.call, request.headers["x-request-id"])
    ids = (
        outer["client_request_id"] == "asked-by-the-client"
        and inner["client_request_id"] == outer["id"]
        and outer.get("upstream_request_id") == inner["id"]
    )
    spent = [Decimal(10) - Decimal(each.balance()["balance"]) for each in (chain.first, chain.second)]
    return [
        Figure("a tool-calling stream, whole through both", "yes" if whole else "no", "yes", whole),
        Figure("spent on the two ledgers", f"{spent[0]} and {spent[1]}", "equal", spent[0] == spent[1] > 0),
        Figure("each record names the other's request id", "yes" if ids else "no", "yes", ids),
    ]


async def _departures(chain: Chain) -> list[Figure]:
    """Clients that leave in the middle of a stream, and before its first token: when does the far upstream learn it?"""
    took_s: list[float] = []
    for number in range(LEAVES):
        stay = Moment()
        begun = frames(chunk({"role": "assistant", "content": "word0"})) if number % 2 else []
        chain.upstream.reset()
        chain.upstream.script(UPSTREAM_MODEL, streams([*begun, stay]))
        client = Client(chain.first.port, PROXY_KEY)
        asking = asyncio.ensure_future(client.ask(chat(MODEL, stream=True)))
        request = (await asyncio.to_thread(chain.upstream.received, 1))[0]
        left_s = time.monotonic()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        try:
            await asyncio.to_thread(request.closed.wait, 10)
        except TimeoutError:
            took_s.append(float("inf"))
        else:
            assert request.closed.at_s is not None
            took_s.append(request.closed.at_s - left_s)
        stay.happen()
    for gateway in (chain.first, chain.second):
        await asyncio.to_thread(_settled, gateway)
    spent = [Decimal(10) - Decimal(each.balance()["balance"]) for each in (chain.first, chain.second)]
    return [
        Figure(
            f"far upstream closed after {LEAVES} departures, at most",
            f"{max(took_s) * 1e3:.0f} ms",
            f"<= {GONE_GOAL_S * 1e3:.0f} ms",
            max(took_s) <= GONE_GOAL_S,
        ),
        Figure("spent on the two ledgers after them", f"{spent[0]} and {spent[1]}", "told", True),
    ]


async def _ring() -> Figure:
    """A asks B, which asks A: the client is told, at once, and nobody pays."""
    with tempfile.TemporaryDirectory(prefix="mira-ring-") as home:
        ring = [Gateway(Path(home) / name, MIRA_HOST="127.0.0.1") for name in ("a", "b")]
        for here, there in (ring, ring[::-1]):
            node = {"name": "other", "kind": "mira", "api_key": INFERENCE_KEY, "models": [MODEL]}
            here.write_config(nodes=[{**node, "base_url": f"{there.url}/inference/v1"}], prices=[price(MODEL)])
        try:
            for each in ring:
                await asyncio.to_thread(each.start)
            client = Client(ring[0].port, PROXY_KEY)
            outcome = await client.ask(chat(MODEL))
            client.close()
            spent = [Decimal(10) - Decimal(each.balance()["balance"]) for each in ring]
        finally:
            for each in ring:
                await asyncio.to_thread(each.close)
    fits = outcome.status == 508 and outcome.code == "loop_detected" and not any(spent)
    return Figure("a ring of two is told", f"{outcome.status} {outcome.code} in {outcome.took_s:.2f} s", "508", fits)


def _settled(gateway: Gateway) -> None:
    deadline_s = time.monotonic() + 10
    while Decimal(gateway.balance()["held"]) and time.monotonic() < deadline_s:
        time.sleep(0.02)
