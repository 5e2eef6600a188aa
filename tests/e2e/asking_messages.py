"""Messages as its clients ask and read it."""

import json
from typing import Any

from tests.e2e.asking import PARAMETERS, PNG, QUESTION, TOOL, Result, Seen, Surface, cost_in, last_cost, loads
from tests.grammar.messages import check_messages_stream, content_of
from tests.support.said import Called, Counts
from tests.support.schemas import check


def _counts(usage: dict[str, Any]) -> Counts:
    thinking = (usage.get("output_tokens_details") or {}).get("thinking_tokens", 0)
    by_ttl = usage["cache_creation"]
    short, long = by_ttl["ephemeral_5m_input_tokens"], by_ttl["ephemeral_1h_input_tokens"]
    assert usage["cache_creation_input_tokens"] == short + long
    return Counts(
        input=usage["input_tokens"],
        cache_read=usage["cache_read_input_tokens"],
        cache_write_5m=short,
        cache_write_1h=long,
        output=usage["output_tokens"] - thinking,
        reasoning=thinking,
    )


def _seen(blocks: list[dict[str, Any]]) -> Seen:
    return Seen(
        text="".join(block["text"] for block in blocks if block["type"] == "text"),
        thinking="".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        calls=tuple(
            Called(block["id"], block["name"], json.dumps(block["input"], ensure_ascii=False, separators=(",", ":")))
            for block in blocks
            if block["type"] == "tool_use"
        ),
        turn=({"role": "assistant", "content": blocks},),
    )


def _end(seen: Seen, told: dict[str, Any]) -> None:
    """Takes over why the model stopped. Words that a translated refusal shows as text stand in its explanation too."""
    seen.finish, seen.stopped_at = told["stop_reason"], told["stop_sequence"]
    if told.get("stop_details"):
        seen.refusal = told["stop_details"]["explanation"] or ""
        seen.text = seen.text.removesuffix(seen.refusal) if seen.refusal else seen.text


def _whole(data: bytes) -> Seen:
    check("messages", "answer", json.loads(data))
    told = loads(data)
    seen = _seen(told["content"])
    _end(seen, told)
    seen.counts, seen.cost = _counts(told["usage"]), cost_in(told["usage"])
    return seen


def _stream(data: bytes) -> Seen:
    events = check_messages_stream(data)
    for event in events:
        check("messages", "event", event)
    blocks = content_of(events)
    if events[-1]["type"] == "error":
        blocks = [block for block in blocks if block["type"] != "tool_use"]
    for block in blocks:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block["input"] or "{}")
    seen = _seen(blocks)
    if events[-1]["type"] == "error":
        seen.error = events[-1]["error"]["type"]
        return seen
    _end(seen, events[-2]["delta"])
    seen.counts = _counts(events[-2]["usage"])
    seen.cost = last_cost(data)
    return seen


def _content(result: Result) -> str | list[dict[str, Any]]:
    if not result.picture:
        return result.text
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    return [{"type": "text", "text": result.text}, {"type": "image", "source": source}]


def _go_on(body: dict[str, Any], seen: Seen, results: tuple[Result, ...]) -> dict[str, Any]:
    told = [
        {"type": "tool_result", "tool_use_id": result.call_id, "content": _content(result)}
        | ({"is_error": True} if result.failed else {})
        for result in results
    ]
    return {**body, "messages": [*body["messages"], *seen.turn, {"role": "user", "content": told}]}


MESSAGES = Surface(
    name="messages",
    path="/v1/messages",
    ask=lambda model, stream: {
        "model": model,
        "max_tokens": 2048,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": stream,
    },
    with_tools=lambda body: {
        **body,
        "tools": [{"name": TOOL["name"], "description": TOOL["description"], "input_schema": PARAMETERS}],
    },
    with_thinking=lambda body: {**body, "thinking": {"type": "enabled", "budget_tokens": 1024}},
    with_cap=lambda body, cap: {**body, "max_tokens": cap},
    with_schema=lambda body, schema: {**body, "output_config": {"format": {"type": "json_schema", "schema": schema}}},
    with_stop=lambda body, stop: {**body, "stop_sequences": [stop]},
    go_on=_go_on,
    read_whole=_whole,
    read_stream=_stream,
    finishes={
        "stop": "end_turn",
        "tools": "tool_use",
        "length": "max_tokens",
        "sequence": "stop_sequence",
        "refusal": "refusal",
    },
    flags_failures=True,
)
