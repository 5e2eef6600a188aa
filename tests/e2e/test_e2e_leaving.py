"""Clients that leave: the upstream is closed although it would go on, they pay for what had come, and nothing stays behind."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from tests.support.gateway import eventually
from tests.support.upstream import Moment, chunk, chunks, frames, hangs, streams
from wire_client import WireClient

from mira.core.places import LEAST_PLACES

MODEL = "openai/gpt-4o-mini"
#: Counted like the model, but no node is asked: bills of those who leave rest on Mira's own count.
UNSERVED = f"{MODEL}-2024-07-18"
TEXT = "Count to a thousand, please."
ROLE = chunk({"role": "assistant", "content": ""})
#: the cost of a token of input and of output
INPUT, OUTPUT = Decimal("0.000001"), Decimal("0.000002")


def asking(text=TEXT, **fields):
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}


def says_then_waits(words, *more):
    """A stream of one-token chunks that then says no more."""
    return streams([*frames(ROLE, *[chunk({"content": " hello"})] * words, *more), Moment()])


@pytest.fixture
def input_tokens(gateway):
    """What the gateway's own counter says for the question."""
    counted = gateway.post("/v1/extras/token-count", {"model": UNSERVED, "messages": asking()["messages"]})
    return counted.json()["input_tokens"]


def record_of_the_newest(gateway, request):
    """The record of the call that the upstream saw, once it is written."""
    request_id = request.headers["x-request-id"]
    return eventually(
        lambda: next((c for c in gateway.admin("GET", "/calls?limit=5")["data"] if c["id"] == request_id), None)
    )


async def leave_and_look(gateway, upstream, client):
    """Lets a client leave; the record of its call."""
    (request,) = await asyncio.to_thread(upstream.received, 1)
    await client.leave()
    await asyncio.to_thread(request.closed.wait)
    return await asyncio.to_thread(record_of_the_newest, gateway, request)


@pytest.mark.parametrize("words", [1, 40])
async def test_leaving_mid_stream_pays_for_the_words_that_came(gateway, upstream, input_tokens, words):
    upstream.script("gpt-4o-mini", says_then_waits(words))
    client = await WireClient.ask(gateway, asking(stream=True))
    await client.until(words, b" hello")
    call = await leave_and_look(gateway, upstream, client)
    assert (call["usage"]["prompt_tokens"], call["usage"]["completion_tokens"]) == (input_tokens, words)
    assert Decimal(call["cost"]) == input_tokens * INPUT + words * OUTPUT
    assert (call["status"], call["usage"]["estimated"]) == (499, True)


async def test_leaving_after_the_usage_pays_what_the_upstream_told(gateway, upstream):
    told = chunk(usage={"prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130})
    upstream.script("gpt-4o-mini", says_then_waits(3, chunk({}, finish="stop"), told))
    client = await WireClient.ask(gateway, asking(stream=True))
    await client.until(1, b'"finish_reason":"stop"'.replace(b":", b": "))
    call = await leave_and_look(gateway, upstream, client)
    assert Decimal(call["cost"]) == 100 * INPUT + 30 * OUTPUT
    assert not call["usage"]["estimated"]


@pytest.mark.parametrize("fields", [{}, {"stream": True}])
@pytest.mark.parametrize("padding", [0, 300_000])
async def test_leaving_before_the_first_byte_pays_the_input(gateway, upstream, fields, padding):
    # A large body must not keep the gateway from seeing that its client left.
    upstream.script("gpt-4o-mini", hangs())
    client = await WireClient.ask(gateway, asking(**fields, user="x" * padding))
    call = await leave_and_look(gateway, upstream, client)
    prompt = gateway.post("/v1/extras/token-count", {**asking(), "model": UNSERVED}).json()["input_tokens"]
    assert Decimal(call["cost"]) == prompt * INPUT
    assert (call["status"], call["usage"]["completion_tokens"]) == (499, 0)


async def test_leaving_before_the_first_content_pays_the_input(gateway, upstream, input_tokens):
    upstream.script("gpt-4o-mini", says_then_waits(0))
    client = await WireClient.ask(gateway, asking(stream=True))
    call = await leave_and_look(gateway, upstream, client)
    assert Decimal(call["cost"]) == input_tokens * INPUT


async def test_leaving_when_all_was_said_pays_all(gateway, upstream):
    upstream.script("gpt-4o-mini", streams(frames(*chunks("one", " two"))))
    client = await WireClient.ask(gateway, asking(stream=True))
    await client.until(1, b"[DONE]")
    await client.leave()
    call = await asyncio.to_thread(gateway.call, client.request_id)
    assert (call["status"], Decimal(call["cost"])) == (200, 11 * INPUT + 3 * OUTPUT)


class Process:
    """What can be seen of a gateway's process from outside."""

    def __init__(self, pid):
        self._proc = Path(f"/proc/{pid}")

    @property
    def descriptors(self):
        return len(list((self._proc / "fd").iterdir()))

    @property
    def resident_mib(self):
        line = next(line for line in (self._proc / "status").read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


async def test_after_500_clients_that_left_nothing_is_left(gateway, upstream, input_tokens):
    process = Process(gateway.pid)

    async def come_and_go_often(count):
        # So many calls run however late the gateway's loop is; those that left may still have their places.
        places = asyncio.Semaphore(LEAST_PLACES // 2)
        arrived = [Moment() for _ in range(count)]

        async def script(turn):
            number = int(turn.request.json["user"])
            arrived[number].happen()
            await (says_then_waits(5) if number % 2 else hangs())(turn)

        async def come_and_go(number):
            async with places:
                fields = {} if number % 4 == 2 else {"stream": True}
                client = await WireClient.ask(gateway, asking(user=str(number), max_tokens=64, **fields))
                if number % 2:
                    await client.until(5, b" hello")
                else:
                    await arrived[number]
                await client.leave()

        upstream.reset()
        upstream.script("gpt-4o-mini", script)
        await asyncio.gather(*(come_and_go(number) for number in range(count)))
        for request in upstream.chats():
            await asyncio.to_thread(request.closed.wait)
        settled(gateway)
        return {request.headers["x-request-id"] for request in upstream.chats()}

    await come_and_go_often(40)
    descriptors, resident_mib = process.descriptors, process.resident_mib
    left = await come_and_go_often(500)
    eventually(lambda: process.descriptors <= descriptors)
    eventually(lambda: upstream.open_connections <= 2)
    assert process.resident_mib < resident_mib + 20
    gateway.check_ledger()
    calls = [call for call in gateway.admin("GET", "/calls?limit=1000")["data"] if call["id"] in left]
    assert {call["status"] for call in calls} == {499}
    paid = sorted(Decimal(call["cost"]) for call in calls)
    assert paid == [input_tokens * INPUT] * 250 + [input_tokens * INPUT + 5 * OUTPUT] * 250


def settled(gateway):
    """Waits until no call is under way."""
    eventually(lambda: Decimal(gateway.balance()["held"]) == 0)
    eventually(lambda: gateway.admin("GET", "/nodes/scripted")["in_flight"] == 0)
