"""Responses as its clients ask and read it."""

import json
from typing import Any

from tests.e2e.asking import PNG, QUESTION, TOOL, Result, Seen, Surface, cost_in, frames, loads
from tests.grammar.responses import check_responses_stream
from tests.support.said import Called, Counts
from tests.support.schemas import check


def _counts(usage: dict[str, Any]) -> Counts:
    inputs, reasoning = usage["input_tokens_details"], usage["output_tokens_details"]["reasoning_tokens"]
    cached, written = inputs["cached_tokens"], inputs.get("cache_write_tokens", 0)
    long = inputs.get("cache_write_1h_tokens", 0)
    return Counts(
        input=usage["input_tokens"] - cached - written,
        cache_read=cached,
        cache_write_5m=written - long,
        cache_write_1h=long,
        output=usage["output_tokens"] - reasoning,
        reasoning=reasoning,
    )


def _whole(data: bytes) -> Seen:
    check("responses", "answer", json.loads(data))
    return _seen(loads(data))


def _seen(told: dict[str, Any]) -> Seen:
    items = told["output"]
    contents = [part for item in items if item["type"] == "message" for part in item["content"]]
    seen = Seen(
        text="".join(part["text"] for part in contents if part["type"] == "output_text"),
        refusal="".join(part["refusal"] for part in contents if part["type"] == "refusal"),
        thinking="".join(
            part["text"]
            for item in items
            if item["type"] == "reasoning"
            for part in [*item["summary"], *(item.get("content") or ())]
        ),
        calls=tuple(
            Called(item["call_id"], item["name"], item["arguments"])
            for item in items
            if item["type"] == "function_call"
        ),
        turn=tuple(items),
    )
    if told["error"] is not None:
        seen.error = told["error"]["code"]
        return seen
    seen.finish = (told["incomplete_details"] or {}).get("reason") or told["status"]
    seen.counts, seen.cost = _counts(told["usage"]), cost_in(told["usage"])
    return seen


def _stream(data: bytes) -> Seen:
    events = check_responses_stream(data)
    for event in events:
        check("responses", "event", event)
    if events[-1]["type"] == "error":
        return Seen(error=events[-1]["code"])
    seen = _seen(frames(data)[-1]["response"])
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    if seen.error is not None:
        seen.text = text
    assert seen.text == text
    return seen


def _output(result: Result) -> str | list[dict[str, Any]]:
    if not result.picture:
        return result.text
    shown = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}
    return [{"type": "input_text", "text": result.text}, shown]


def _go_on(body: dict[str, Any], seen: Seen, results: tuple[Result, ...]) -> dict[str, Any]:
    told = [
        {"type": "function_call_output", "call_id": result.call_id, "output": _output(result)} for result in results
    ]
    return {**body, "input": [*body["input"], *seen.turn, *told]}


RESPONSES = Surface(
    name="responses",
    path="/v1/responses",
    ask=lambda model, stream: {
        "model": model,
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": QUESTION}],
        "stream": stream,
        "store": False,
    },
    with_tools=lambda body: {**body, "tools": [{"type": "function", "strict": False, **TOOL}]},
    with_thinking=lambda body: {
        **body,
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
    },
    with_cap=lambda body, cap: {**body, "max_output_tokens": cap},
    with_schema=lambda body, schema: {
        **body,
        "text": {"format": {"type": "json_schema", "name": "found", "strict": True, "schema": schema}},
    },
    with_stop=None,
    go_on=_go_on,
    read_whole=_whole,
    read_stream=_stream,
    finishes={
        "stop": "completed",
        "tools": "completed",
        "length": "max_output_tokens",
        "sequence": "completed",
        "refusal": "content_filter",
    },
)
