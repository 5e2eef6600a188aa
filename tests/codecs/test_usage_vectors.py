"""What every provider's way of counting promises: each token in one class, none lost, and the exact cost.

The vectors lie in `tests/vectors/usage`, one file for each way of counting. `usage` is what an answer tells, `reports`
what a stream tells one after the other, `beside` more fields of the answer; `classes` and `cost_nanocredits` were worked
out apart from the code, the cost in fractions of a credit.
"""

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct

from mira.codecs.chat import CHAT
from mira.codecs.chat import usage as chat_usage
from mira.codecs.codec import Codec, Context, NodeCodec
from mira.codecs.gemini import GEMINI
from mira.codecs.lenient import loose
from mira.codecs.messages import MESSAGES
from mira.codecs.messages import usage as messages_usage
from mira.codecs.responses import RESPONSES
from mira.codecs.responses import usage as responses_usage
from mira.codecs.translation import TranslatedStream
from mira.core.money import MAX_NANOCREDITS
from mira.core.price_rows import price_row
from mira.core.pricing import bill, cost_nanocredits
from mira.core.usage import Usage
from mira.errors import MiraError

CONTEXT = Context(answer_id="a1", created_s=1_700_000_000)
CODECS: dict[str, NodeCodec] = {codec.name: codec for codec in (CHAT, MESSAGES, RESPONSES, GEMINI)}


class Vector(Struct, forbid_unknown_fields=True, kw_only=True):
    name: str
    usage: Raw = Raw()
    reports: list[Raw] = []
    beside: dict[str, Raw] = {}
    classes: dict[str, int]
    price: str
    cost_nanocredits: int


class Counting(Struct, forbid_unknown_fields=True):
    codec: str
    source: str
    prices: dict[str, dict[str, Any]]
    vectors: list[Vector]


COUNTINGS = {
    path.stem: msgspec.json.decode(path.read_bytes(), type=Counting)
    for path in sorted((Path(__file__).parents[1] / "vectors/usage").glob("*.json"))
}
VECTORS = [
    pytest.param(counting, vector, id=f"{name}: {vector.name}")
    for name, counting in COUNTINGS.items()
    for vector in counting.vectors
]
WHOLE = [each for each in VECTORS if not each.values[1].reports]


def expected(vector: Vector) -> Usage:
    told = dict(vector.classes)
    reported, searches = told.pop("reported_nanocredits", None), told.pop("web_searches", 0)
    counts = {f"{name}_tokens": count for name, count in told.items()}
    return Usage(**counts, web_searches=searches, reported_cost_nanocredits=reported)


def answer(codec: str, vector: Vector) -> bytes:
    """A whole answer with the vector's usage."""
    id_and_model = {"id": "a", "created": 1, "created_at": 1, "model": "m"}
    said = {"role": "assistant", "content": "ok"}
    bodies: dict[str, dict[str, Any]] = {
        "chat": {"object": "chat.completion", "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]},
        "messages": {"type": "message", **said, "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn"},
        "responses": {"object": "response", "status": "completed", "output": []},
        "gemini": {"candidates": [{"content": {"parts": [{"text": "ok"}]}, "finishReason": "STOP"}]},
    }
    usage = {"usageMetadata" if codec == "gemini" else "usage": vector.usage}
    return msgspec.json.encode({**id_and_model, **bodies[codec], **usage, **vector.beside})


def frame(body: dict[str, Any]) -> bytes:
    name = f"event: {body['type']}\n" if "type" in body else ""
    return name.encode() + b"data: " + msgspec.json.encode(body) + b"\n\n"


def stream(codec: str, vector: Vector) -> bytes:
    """A stream that tells the vector's reports; a usage of a whole answer at the end, and wherever else it may stand."""
    reports = vector.reports or [vector.usage]
    if codec == "chat":
        head = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        said = {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "ok"}}]}
        done = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        first = [{**said, "usage": report} for report in reports[:-1]] or [said]
        return b"".join(map(frame, [*first, done, {**head, "choices": [], "usage": reports[-1]}])) + b"data: [DONE]\n\n"
    if codec == "messages":
        message = {"id": "a", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
        ends = [
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": report}
            for report in (vector.reports[1:] or [vector.usage])
        ]
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        text = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ok"}}
        start = {"type": "message_start", "message": {**message, "usage": reports[0]}}
        stop = {"type": "content_block_stop", "index": 0}
        return b"".join(map(frame, [start, block, text, stop, *ends, {"type": "message_stop"}]))
    if codec == "responses":
        whole = msgspec.json.decode(answer(codec, vector), type=dict[str, Raw])
        begun = {**whole, "status": "in_progress", "output": [], "usage": None}
        frames = [{"type": "response.created", "response": begun}, {"type": "response.completed", "response": whole}]
        return b"".join(frame({**each, "sequence_number": at}) for at, each in enumerate(frames))
    parts = {"role": "model", "parts": [{"text": "ok"}]}
    chunks = [{"candidates": [{"content": parts}], "usageMetadata": report} for report in reports]
    return b"".join(map(frame, [*chunks, {"candidates": [{"finishReason": "STOP"}], "usageMetadata": reports[-1]}]))


def last_told(vector: Vector) -> dict[str, Any]:
    """All that was told, later words over earlier ones."""
    reports = [msgspec.json.decode(report) for report in vector.reports or [vector.usage]]
    return {name: told for report in reports for name, told in report.items() if told is not None}


@pytest.mark.parametrize(("counting", "vector"), WHOLE)
def test_a_whole_answer_is_counted_class_by_class(counting: Counting, vector: Vector) -> None:
    codec, body = CODECS[counting.codec], answer(counting.codec, vector)
    assert codec.parse_answer(body).usage == expected(vector)
    if isinstance(codec, Codec):
        assert codec.pass_answer(body, CONTEXT).usage == expected(vector)


@pytest.mark.parametrize(("counting", "vector"), VECTORS)
def test_a_stream_is_counted_class_by_class(counting: Counting, vector: Vector) -> None:
    codec, body = CODECS[counting.codec], stream(counting.codec, vector)
    machines = [TranslatedStream(codec, CHAT, CONTEXT, ())]
    machines += [codec.pass_stream(CONTEXT)] if isinstance(codec, Codec) else []
    for machine in machines:
        machine.feed(body)
        machine.close()
        assert (machine.ended, machine.failed, machine.usage) == (True, None, expected(vector))


@pytest.mark.parametrize(("counting", "vector"), VECTORS)
def test_the_cost_is_exact(counting: Counting, vector: Vector) -> None:
    usage, price = expected(vector), price_row(counting.prices[vector.price])
    assert cost_nanocredits(usage, price) == vector.cost_nanocredits
    assert bill(usage, price, trusted=False).actual_nanocredits == vector.cost_nanocredits
    reported = usage.reported_cost_nanocredits
    assert bill(usage, price, trusted=True).actual_nanocredits == (
        vector.cost_nanocredits if reported is None else reported
    )


@pytest.mark.parametrize(("counting", "vector"), VECTORS)
def test_the_classes_add_up_to_what_the_provider_tells(counting: Counting, vector: Vector) -> None:
    usage, told = expected(vector), last_told(vector)
    if counting.codec == "messages":
        asides = [each for each in told.get("iterations", ()) if each["type"] == "compaction"]
        inputs = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        written = 0 if "cache_creation_input_tokens" in told else sum(told.get("cache_creation", {}).values())
        assert usage.prompt_tokens == sum(each.get(name, 0) for each in (told, *asides) for name in inputs) + written
        assert usage.completion_tokens == sum(each["output_tokens"] for each in (told, *asides))
        return
    total = told.get("totalTokenCount" if counting.codec == "gemini" else "total_tokens")
    # Mistral's total counts a recording that is billed by its length.
    if total is not None and "prompt_audio_seconds" not in told:
        assert usage.prompt_tokens + usage.completion_tokens == int(total)


@pytest.mark.parametrize(("counting", "vector"), WHOLE)
def test_a_usage_reads_the_same_after_mira_told_it_to_a_client(counting: Counting, vector: Vector) -> None:
    codec = CODECS[counting.codec]
    if not isinstance(codec, Codec):
        return
    passed = codec.pass_answer(answer(counting.codec, vector), CONTEXT)
    told = codec.pass_answer(passed.render(expected(vector), 42), CONTEXT).usage
    assert told == msgspec.structs.replace(expected(vector), reported_cost_nanocredits=42)


def test_the_vectors_cover_every_protocol_and_class() -> None:
    assert {counting.codec for counting in COUNTINGS.values()} == set(CODECS)
    seen = {name for counting in COUNTINGS.values() for vector in counting.vectors for name in vector.classes}
    counts = {name for name in Usage.__struct_fields__ if name.endswith("_tokens")}
    assert {f"{name}_tokens" for name in seen} >= counts
    assert len(VECTORS) >= 60


ABSURD = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(), st.sampled_from(["many", "-1", "9" * 30, None, [], {}, True, -1, 2**63])
)


@given(st.data())
def test_absurd_counts_of_a_node_never_give_credit(data: st.DataObject) -> None:
    """Any figure of any provider's usage may be anything: the answer is refused, or its cost stays within bounds."""
    counting, vector = data.draw(st.sampled_from([each.values for each in WHOLE]))
    told = msgspec.json.encode(absurd(msgspec.json.decode(vector.usage), data))
    body = answer(counting.codec, msgspec.structs.replace(vector, usage=Raw(told)))
    codec, price = CODECS[counting.codec], price_row(counting.prices[vector.price])
    readers = [lambda: codec.parse_answer(body).usage]
    if isinstance(codec, Codec):
        readers.append(lambda: codec.pass_answer(body, CONTEXT).usage)
    for read in readers:
        try:
            usage = read()
        except MiraError:
            continue
        if usage is not None:
            for trusted in (False, True):
                billed = bill(usage, price, trusted=trusted)
                assert 0 <= billed.computed_nanocredits <= MAX_NANOCREDITS
                assert 0 <= billed.actual_nanocredits <= MAX_NANOCREDITS


COUNTS = st.integers(0, 10_000) | st.sampled_from([0, 0, 0, None, -1, 2**53, 1.0, "7", True])


def some(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def parts(*names: str) -> st.SearchStrategy[Any]:
    return st.none() | some({f"{name}_tokens": COUNTS for name in names})


@st.composite
def openai_usages(draw: st.DrawFn, inputs: str, outputs: str) -> dict[str, Any]:
    """Usages in OpenAI's shape, most of them as OpenAI writes them, some with what others add."""
    prompt, completion = draw(st.integers(0, 10_000)), draw(st.integers(0, 10_000))
    told = {f"{inputs}_tokens": prompt, f"{outputs}_tokens": completion, "total_tokens": prompt + completion}
    told |= draw(some({"total_tokens": COUNTS, f"{inputs}_tokens": COUNTS, f"{outputs}_tokens": COUNTS}))
    told |= draw(some({f"{inputs}_tokens_details": parts("cached", "audio", "cache_write", "image")}))
    told |= draw(some({f"{outputs}_tokens_details": parts("reasoning", "audio", "accepted_prediction", "image")}))
    return told | draw(st.just({}) | some({"cost": st.just(0.5), "prompt_cache_hit_tokens": COUNTS}))


@st.composite
def anthropic_usages(draw: st.DrawFn) -> dict[str, Any]:
    """Usages of Messages, likewise."""
    names = [f"{name}_tokens" for name in ("input", "output", "cache_creation_input", "cache_read_input")]
    by_ttl = {f"ephemeral_{ttl}_input_tokens": st.integers(0, 50) for ttl in ("5m", "1h")}
    told = {name: draw(st.integers(0, 100)) for name in names}
    told |= draw(some({"cache_creation": some(by_ttl), "cache_creation_input_tokens": st.just(0)}))
    told |= draw(some({"service_tier": st.sampled_from(["standard", None]), "server_tool_use": st.none()}))
    odd = some(
        {
            **dict.fromkeys(names, COUNTS),
            "cache_creation": parts("ephemeral_5m_input", "ephemeral_1h_input"),
            "service_tier": st.just(7),
            "server_tool_use": some({"web_search_requests": COUNTS}),
        }
    )
    return told | draw(st.just({}) | odd)


@given(openai_usages("prompt", "completion"))
def test_a_plain_usage_of_chat_is_read_as_any_other(told: dict[str, Any]) -> None:
    raw = msgspec.json.encode(told)
    assert chat_usage.read_usage(raw) == chat_usage.usage_of(loose(raw))


@given(openai_usages("input", "output"))
def test_a_plain_usage_of_responses_is_read_as_any_other(told: dict[str, Any]) -> None:
    raw = msgspec.json.encode(told)
    assert responses_usage.read_usage(raw) == responses_usage.usage_of(loose(raw))


@given(anthropic_usages())
def test_a_plain_usage_of_messages_is_read_as_any_other(told: dict[str, Any]) -> None:
    raw = msgspec.json.encode(told)
    assert messages_usage.read_usage(raw) == messages_usage.usage_of(loose(raw))


def absurd(told: Any, data: st.DataObject) -> Any:
    """The same usage with some of its figures replaced."""
    if isinstance(told, dict):
        return {name: absurd(value, data) for name, value in told.items()}
    if isinstance(told, list):
        return [absurd(value, data) for value in told]
    if isinstance(told, int | float) and data.draw(st.booleans()):
        value = data.draw(ABSURD)
        return None if isinstance(value, float) and not math.isfinite(value) else value
    return told
