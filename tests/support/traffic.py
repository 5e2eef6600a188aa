"""Customers of several gateways, and what they were told."""

import asyncio
import contextlib
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Any

import httpx2
from tests.support.gateway import PROXY_KEY, Gateway
from tests.support.upstream import DONE, Script, Turn, answers, chunks, completion, frames, streams

#: Costs nothing for input and 2,000 nano-credits a token of output, so that a hold can be what the call costs.
FLAT = "flat"
OUTPUT_NANOCREDITS = 2000
CAP = 256
HOLD_NANOCREDITS = CAP * OUTPUT_NANOCREDITS
PATIENCE_S = 120.0


def asking(**fields: Any) -> dict[str, Any]:
    """The body of a call whose hold is `HOLD_NANOCREDITS`."""
    return {"model": f"openai/{FLAT}", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": CAP, **fields}


def uses(tokens: int | None = None, after_s: float = 0.0) -> Script:
    """Answers with so many tokens of output, or with 1 to 256 by chance, streamed where asked."""
    chance = random.Random(5)

    async def script(turn: Turn) -> None:
        if after_s:
            await asyncio.sleep(after_s)
        output = chance.randint(1, CAP) if tokens is None else tokens
        usage = {"prompt_tokens": 9, "completion_tokens": output, "total_tokens": 9 + output}
        if turn.request.json.get("stream"):
            await streams([*frames(*chunks("Well,", " hello.", model=FLAT, usage=usage)), DONE])(turn)
        else:
            await answers(completion(model=FLAT, usage=usage))(turn)

    return script


@contextlib.asynccontextmanager
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    """A client with as many connections as calls at a time."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(timeout=PATIENCE_S, limits=limits, trust_env=False) as client:
        yield client


class Told:
    """What one customer was told of one call. Times are of the steady clock; `cost_nanocredits` None if cut."""

    def __init__(self, sent_s: float) -> None:
        self.sent_s = sent_s
        self.answered_s = 0.0
        self.status = 0
        self.error = ""
        self.request_id = ""
        self.cost_nanocredits: int | None = None
        self.retry_after: str | None = None


async def call(client: httpx2.AsyncClient, gateway: Gateway, key: str, *, stream: bool = False) -> Told:
    """One call; status 0 where the connection broke. Again where the gateway had more to do than its machine could."""
    body = asking(stream=True, stream_options={"include_usage": True}) if stream else asking()
    url, headers = f"{gateway.url}/v1/chat/completions", {"authorization": f"Bearer {key}"}
    told = Told(time.monotonic())
    try:
        while is_overloaded(answer := await client.post(url, json=body, headers=headers)):
            await asyncio.sleep(0.1)
            told.sent_s = time.monotonic()
    except httpx2.TransportError as error:
        told.error = repr(error)
        told.answered_s = time.monotonic()
        return told
    told.answered_s = time.monotonic()
    told.status = answer.status_code
    told.request_id = answer.headers.get("x-request-id", "")
    told.retry_after = answer.headers.get("retry-after")
    if answer.status_code == 200:
        cost = _last_cost(answer.text) if stream else answer.headers["x-mira-cost"]
        told.cost_nanocredits = None if cost is None else int(Decimal(cost) * 10**9)
    return told


def is_overloaded(answer: httpx2.Response) -> bool:
    """Whether a call was sent away before it was read: nothing of it was decided, and its client is to come again."""
    return answer.status_code == 503 and answer.json()["error"]["code"] == "overloaded"


def _last_cost(text: str) -> str | None:
    """The cost that ends a complete stream."""
    if not text.endswith("data: [DONE]\n\n"):
        return None
    found = [json.loads(line[6:], parse_float=str) for line in text.splitlines() if line.startswith("data: {")]
    cost: str = found[-1]["usage"]["cost"]
    return cost


class Traffic:
    """Customers in a thread of their own that call all the time, every other call a stream.

    With `rate` calls begin so often a second whatever became of the others, else each customer waits for its answer.
    """

    def __init__(self, gateways: Sequence[Gateway], clients: int = 24, rate: float = 0.0) -> None:
        self.told: list[Told] = []
        self._gateways = gateways
        self._clients = clients
        self._rate = rate
        self._ending = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        """Ends the traffic once every answer is there."""
        self._ending.set()
        self._thread.join(2 * PATIENCE_S)
        if self._fault is not None:
            raise self._fault

    def so_far(self, status: int) -> int:
        """How often a status was told."""
        return sum(told.status == status for told in list(self.told))

    def wait(self, status: int, more: int, timeout_s: float = PATIENCE_S) -> None:
        """Waits until a status was told so often from now on."""
        goal = self.so_far(status) + more
        until_s = time.monotonic() + timeout_s
        while self.so_far(status) < goal:
            assert time.monotonic() < until_s, Counter(told.status for told in self.told)
            assert self._fault is None, self._fault
            time.sleep(0.02)

    @property
    def charges(self) -> dict[str, int]:
        """What customers were told that their calls cost, by request."""
        return {told.request_id: told.cost_nanocredits for told in self.told if told.cost_nanocredits is not None}

    def _run(self) -> None:
        try:
            asyncio.run(self._open() if self._rate else self._closed())
        except BaseException as fault:  # noqa: BLE001 - told to whoever ends the traffic
            self._fault = fault

    async def _closed(self) -> None:
        async with http() as client:

            async def customer(number: int) -> None:
                for turn in itertools.count(number):
                    if self._ending.is_set():
                        return
                    gateway = self._gateways[turn % len(self._gateways)]
                    told = await call(client, gateway, PROXY_KEY, stream=turn % 2 == 0)
                    self.told.append(told)
                    if told.status != 200:
                        await asyncio.sleep(0.05)

            await asyncio.gather(*(customer(number) for number in range(self._clients)))

    async def _open(self) -> None:
        async with http() as client:

            async def once(turn: int) -> None:
                gateway = self._gateways[turn % len(self._gateways)]
                self.told.append(await call(client, gateway, PROXY_KEY, stream=turn % 2 == 0))

            begun_s = time.monotonic()
            async with asyncio.TaskGroup() as calls:
                for turn in itertools.count():
                    if self._ending.is_set():
                        return
                    calls.create_task(once(turn))
                    await asyncio.sleep(max(0.0, begun_s + (turn + 1) / self._rate - time.monotonic()))


def until(condition: Callable[[], Any], timeout_s: float = PATIENCE_S) -> float:
    """Waits for a condition; how many seconds that took."""
    begun_s = time.monotonic()
    while not condition():
        assert time.monotonic() < begun_s + timeout_s, "it did not come to hold"
        time.sleep(0.05)
    return time.monotonic() - begun_s
