"""Bodies of many messages, streams of many events: eight times as many take eight times the processor's time, not 64.

    python benchmarks/growth.py

Long runs of one kind of message are read under each client's protocol and told to each kind of node, 2,000 of them and
16,000; the ratio is the least of several tries. Tuples that are joined and lists that are searched again for each
message show in nothing but this. Exit status 1 where one grows faster than its input.
"""

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Raw

from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec, Context, Target
from mira.codecs.gemini import GEMINI
from mira.codecs.messages import MESSAGES
from mira.codecs.responses import RESPONSES
from mira.codecs.responses.decoder import Decoder
from mira.codecs.responses.encoder import Encoder
from mira.codecs.restoring import Own, Restorer
from mira.core.attachments import references
from mira.core.capabilities import Capabilities
from mira.core.conversation import Conversation, FinishReason
from mira.core.events import Finish, ReasoningDelta, Start, ToolCallDelta, ToolCallStart
from mira.core.links import path_of
from mira.errors import Kind, MiraError

FEW = 2_000
TIMES = 8
#: Far from 8 and from 64: what is done once for a body, and a cache that is outgrown, blur the ratio.
GOAL = 24
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


def _result(n: int) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"c{n}", "content": "1"}


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
    ("chat", "results"): ([HI], _result, [HI]),
    ("chat", "results between nothing"): (
        [HI],
        lambda n: _result(n) if n % 2 else {"role": "system", "content": ""},
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


def ratio(prepared: Callable[[int], Callable[[], object]], few: int = FEW) -> float:
    """How many times as long `TIMES` times the input takes; `prepared` makes the work for a size of the input."""
    small, large = prepared(few), prepared(few * TIMES)
    least = float("inf")
    for _ in range(TRIES):
        least = min(least, _spent_s(large) / _spent_s(small))
        if least <= GOAL:
            break
    return least


def _reading(client: str, run: str) -> Callable[[int], Callable[[], object]]:
    def prepared(count: int) -> Callable[[], object]:
        body = _body(client, run, count)
        return lambda: _parsed(client, body)

    return prepared


def _telling(client: str, run: str, node: str) -> Callable[[int], Callable[[], object]]:
    codec, target = NODES[node]

    def prepared(count: int) -> Callable[[], object]:
        conversation = _parsed(client, _body(client, run, count))
        return lambda: codec.render_request(conversation, target)

    return prepared


def _provider_tools(client: str) -> Callable[[int], Callable[[], object]]:
    def prepared(count: int) -> Callable[[], object]:
        tools = [{"type": "web_search", "name": f"t{n}"} for n in range(count)]
        told = {"input" if client == "responses" else "messages": [HI], "tools": tools}
        body = json.dumps({"model": "m", "max_tokens": 9, **told}).encode()
        return lambda: _parsed(client, body)

    return prepared


def _thoughts(count: int) -> Callable[[], object]:
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


def _files_and_links(count: int) -> Callable[[], object]:
    # A name may be as long as the body, and stands in the way to each file.
    tree = {"x" * (count * 10): [{}] * count}
    raw = json.dumps(tree).encode()

    def work() -> None:
        references(tree, 21)
        path_of({"messages": Raw(raw)}, "https://nowhere")

    return work


def _repeated_ends(count: int) -> Callable[[], object]:
    # What was said in many pieces is said to be over again and again, always as less than that.
    delta = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "word "}
    over = {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "word"}
    stream = b"".join(b"data: " + json.dumps(told).encode() + b"\n\n" for told in [*[delta] * count, *[over] * count])
    return lambda: Decoder().feed(stream)


def _choices(count: int) -> Callable[[], object]:
    tools = {"apply_patch": Own("apply_patch", None, custom=True)}
    calls = [ToolCallStart(index=0, id="c", name="apply_patch", choice=n) for n in range(count)]
    told = [ToolCallDelta(index=0, fragment='{"input":"x"}', choice=n) for n in range(count)]
    ends = [Finish(reason=FinishReason.TOOL_CALLS, choice=n) for n in range(count)]

    def work() -> None:
        restorer = Restorer(tools)
        for event in (*calls, *told, *ends):
            restorer.feed(event)

    return work


def ratios() -> Iterator[tuple[str, float]]:
    """What was done, and how it grows."""
    for client, run in RUNS:
        yield f"{client}: {run}, read", ratio(_reading(client, run))
        for node in NODES:
            yield f"{client}: {run}, told to {node}", ratio(_telling(client, run, node))
    for client in CLIENTS:
        yield f"{client}: tools of a provider, read", ratio(_provider_tools(client), few=500)
    yield "responses: thoughts with ids, streamed", ratio(_thoughts, few=1_000)
    yield "responses: ends that are told again, streamed", ratio(_repeated_ends, few=1_000)
    yield "free-form calls in many choices, streamed", ratio(_choices, few=500)
    yield "files and links of a body", ratio(_files_and_links, few=5_000)


def main() -> int:
    found = list(ratios())
    for name, grown in found:
        print(f"{'ok  ' if grown <= GOAL else 'MISS'} {name}: {grown:.1f} times")
    print(f"{TIMES} times the input takes {max(grown for _, grown in found):.1f} times as long at most; goal <= {GOAL}")
    return int(any(grown > GOAL for _, grown in found))


if __name__ == "__main__":
    sys.exit(main())
