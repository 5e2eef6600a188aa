"""A body may hold a million messages: whatever follows each other there is read and told in time that grows with it.

Tuples are joined, and lists searched, without a line of Python, so no count of lines or calls shows what they cost. The
processor's time does, as a ratio: eight times the messages take about eight times as long, and 64 times as long where
each is put to all before it. Waiting does not count, the least of several tries does, and the bound lies far from both.
"""

import gc
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Raw

from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec, Context, Target
from mira.codecs.gemini import GEMINI
from mira.codecs.messages import MESSAGES
from mira.codecs.responses import RESPONSES
from mira.codecs.responses.encoder import Encoder
from mira.core.attachments import references
from mira.core.capabilities import Capabilities
from mira.core.conversation import Conversation
from mira.core.events import ReasoningDelta, Start
from mira.core.links import path_of
from mira.errors import Kind, MiraError

FEW = 2_000
TIMES = 8
BOUND = 24
TRIES = 5
CAN = Capabilities(prefill=True, mid_system=True)
NODES = {
    "chat": (CHAT, Target(model="m", output_cap=9, dialect="openai", capabilities=CAN)),
    "messages": (MESSAGES, Target(model="m", output_cap=9, capabilities=CAN)),
    "responses": (RESPONSES, Target(model="m", output_cap=9, dialect="openai", capabilities=CAN)),
    "gemini": (GEMINI, Target(model="gemini-3-pro", output_cap=9, capabilities=CAN)),
}
CLIENTS: dict[str, Codec] = {"chat": CHAT, "messages": MESSAGES, "responses": RESPONSES}
HI = {"role": "user", "content": "Hi"}


def _call(own: str) -> dict[str, Any]:
    return {"id": own, "type": "function", "function": {"name": "f", "arguments": "{}"}}


#: By client and kind of run: what stands before the run, the n-th message of it, and what stands behind.
RUNS: dict[tuple[str, str], tuple[list[Any], Callable[[int], Any], list[Any]]] = {
    ("chat", "user"): ([], lambda _: HI, []),
    ("chat", "system"): ([HI], lambda _: {"role": "system", "content": "Be"}, [HI]),
    ("chat", "assistant"): ([HI], lambda _: {"role": "assistant", "content": "Yes"}, [HI]),
    ("chat", "assistant and nothing"): (
        [HI], lambda n: {"role": "user", "content": ""} if n % 2 else {"role": "assistant", "content": "Yes"}, [HI],
    ),
    ("chat", "calls"): ([HI], lambda n: {"role": "assistant", "tool_calls": [_call(f"c{n}")]}, [HI]),
    ("chat", "calls of one id"): ([HI], lambda _: {"role": "assistant", "tool_calls": [_call("c")]}, [HI]),
    ("chat", "results"): ([HI], lambda n: {"role": "tool", "tool_call_id": f"c{n}", "content": "1"}, [HI]),
    ("chat", "results between nothing"): (
        [HI],
        lambda n: {"role": "tool", "tool_call_id": f"c{n}", "content": "1"} if n % 2 else {"role": "system", "content": ""},
        [HI],
    ),
    ("chat", "functions"): (
        [HI],
        lambda n: {"role": "function", "name": "f0", "content": "1"}
        if n % 2
        else {"role": "assistant", "function_call": {"name": f"f{n}", "arguments": "{}"}},
        [HI],
    ),
    ("messages", "user"): ([], lambda _: HI, []),
    ("messages", "system"): ([HI], lambda _: {"role": "system", "content": "Be"}, [HI]),
    ("messages", "assistant"): ([HI], lambda _: {"role": "assistant", "content": "Yes"}, [HI]),
    ("messages", "calls"): (
        [HI],
        lambda n: {"role": "assistant", "content": [{"type": "tool_use", "id": f"c{n}", "name": "f", "input": {}}]},
        [HI],
    ),
    ("messages", "results"): (
        [HI],
        lambda n: {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"c{n}", "content": "1"}]},
        [HI],
    ),
    ("responses", "user"): ([], lambda _: HI, []),
    ("responses", "system"): ([HI], lambda _: {"role": "system", "content": "Be"}, [HI]),
    ("responses", "assistant"): ([HI], lambda _: {"role": "assistant", "content": "Yes"}, [HI]),
    ("responses", "calls"): (
        [HI], lambda n: {"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": "{}"}, [HI],
    ),
    ("responses", "results"): (
        [HI], lambda n: {"type": "function_call_output", "call_id": f"c{n}", "output": "1"}, [HI],
    ),
}  # fmt: skip


def _body(client: str, run: str, count: int) -> bytes:
    before, each, behind = RUNS[client, run]
    told = [*before, *(each(n) for n in range(count)), *behind]
    return json.dumps({"model": "m", "max_tokens": 9, "input" if client == "responses" else "messages": told}).encode()


def _parsed(client: str, body: bytes) -> Conversation:
    codec = CLIENTS[client]
    return codec.parse_request(codec.open_request(body))


def _spent_s(work: Callable[[], object]) -> float:
    gc.collect()
    gc.disable()
    try:
        start_s = time.process_time()
        work()
        return time.process_time() - start_s
    finally:
        gc.enable()


def grows_with_its_input(prepared: Callable[[int], Callable[[], object]], few: int = FEW) -> None:
    """Asserts it of the work that `prepared` makes for a size of the input."""
    small, large = prepared(few), prepared(few * TIMES)
    ratios = []
    for _ in range(TRIES):
        ratios.append(_spent_s(large) / _spent_s(small))
        if ratios[-1] < BOUND:
            return
    pytest.fail(f"{TIMES} times the input took {min(ratios):.0f} times as long")


@pytest.mark.parametrize(("client", "run"), RUNS, ids=lambda told: told)
def test_a_run_is_read_in_time_that_grows_with_it(client: str, run: str) -> None:
    def prepared(count: int) -> Callable[[], object]:
        body = _body(client, run, count)
        return lambda: _parsed(client, body)

    grows_with_its_input(prepared)


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize(("client", "run"), RUNS, ids=lambda told: told)
def test_a_run_is_told_in_time_that_grows_with_it(client: str, run: str, node: str) -> None:
    codec, target = NODES[node]

    def prepared(count: int) -> Callable[[], object]:
        conversation = _parsed(client, _body(client, run, count))
        return lambda: codec.render_request(conversation, target)

    grows_with_its_input(prepared)


@pytest.mark.parametrize("client", CLIENTS)
def test_tools_of_a_provider_are_read_in_time_that_grows_with_them(client: str) -> None:
    def prepared(count: int) -> Callable[[], object]:
        tools = [{"type": "web_search", "name": f"t{n}"} for n in range(count)]
        told = {"input" if client == "responses" else "messages": [HI], "tools": tools}
        body = json.dumps({"model": "m", "max_tokens": 9, **told}).encode()
        return lambda: _parsed(client, body)

    grows_with_its_input(prepared, few=500)


def test_thoughts_with_ids_are_told_in_time_that_grows_with_them() -> None:
    def prepared(count: int) -> Callable[[], object]:
        thoughts = [
            ReasoningDelta(block=n, kind="encrypted", data="x", format="openai-responses-v1", id=f"rs_{n}")
            for n in range(count)
        ]

        def work() -> None:
            encoder = Encoder(Context(answer_id="resp_1", created_s=1))
            for event in (Start(model="m"), *thoughts):
                encoder.feed(event)
            encoder.abort(MiraError(Kind.UPSTREAM_FAILED, "It failed."))

        return work

    grows_with_its_input(prepared, few=1_000)


def test_a_file_or_a_link_is_looked_for_in_time_that_grows_with_the_body() -> None:
    """The way to it is put together where it is told, not at every step: a name may be as long as the body."""

    def prepared(count: int) -> Callable[[], object]:
        tree = {"x" * (count * 10): [{}] * count}
        raw = json.dumps(tree).encode()

        def work() -> None:
            assert references(tree, 21) == {}
            assert path_of({"messages": Raw(raw)}, "https://nowhere") is None

        return work

    grows_with_its_input(prepared, few=5_000)
