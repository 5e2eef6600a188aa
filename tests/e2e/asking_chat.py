"""Chat Completions as its clients ask and read it."""

import json
from typing import Any

from tests.e2e.asking import PNG, QUESTION, TOOL, Result, Seen, Surface, cost_in, last_cost, loads
from tests.grammar.chat import check_chat_stream
from tests.support.said import Called, Counts
from tests.support.schemas import check


def _counts(usage: dict[str, Any]) -> Counts:
    inputs, outputs = usage["prompt_tokens_details"], usage["completion_tokens_details"]
    cached, written = inputs["cached_tokens"], inputs.get("cache_write_tokens", 0)
    long, reasoning = inputs.get("cache_write_1h_tokens", 0), outputs["reasoning_tokens"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return Counts(
        input=usage["prompt_tokens"] - cached - written,
        cache_read=cached,
        cache_write_5m=written - long,
        cache_write_1h=long,
        output=usage["completion_tokens"] - reasoning,
        reasoning=reasoning,
    )


def _whole(data: bytes) -> Seen:
    check("chat", "answer", json.loads(data))
    told = loads(data)
    (choice,) = told["choices"]
    message = choice["message"]
    return Seen(
        text=message["content"] or "",
        thinking=message.get("reasoning_content") or message.get("reasoning") or "",
        calls=tuple(_call(call) for call in message.get("tool_calls") or ()),
        refusal=message.get("refusal") or "",
        finish=choice["finish_reason"],
        stopped_at=choice.get("stop_reason"),
        counts=_counts(told["usage"]),
        cost=cost_in(told["usage"]),
        turn=(message,),
    )


def _call(call: dict[str, Any]) -> Called:
    assert call["type"] == "function"
    return Called(call["id"], call["function"]["name"], call["function"]["arguments"])


def _stream(data: bytes) -> Seen:
    chunks = check_chat_stream(data, include_usage=True)
    seen = Seen()
    calls: list[dict[str, Any]] = []
    details: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        check("chat", "event", chunk)
        if "error" in chunk:
            seen.error = chunk["error"]["type"]
            continue
        for choice in chunk["choices"]:
            _add_delta(seen, choice["delta"], calls, details)
            seen.finish = choice["finish_reason"] or seen.finish
            seen.stopped_at = choice.get("stop_reason") or seen.stopped_at
        if chunk.get("usage"):
            seen.counts, seen.cost = _counts(chunk["usage"]), last_cost(data)
    seen.calls = tuple(_call(call) for call in calls)
    message = {"role": "assistant", "content": seen.text or None, "reasoning_details": list(details.values())}
    seen.turn = ({**message, "tool_calls": calls} if calls else message,)
    return seen


def _add_delta(
    seen: Seen, delta: dict[str, Any], calls: list[dict[str, Any]], details: dict[int, dict[str, Any]]
) -> None:
    seen.text += delta.get("content") or ""
    seen.thinking += delta.get("reasoning_content") or delta.get("reasoning") or ""
    seen.refusal += delta.get("refusal") or ""
    for piece in delta.get("reasoning_details") or ():
        _add_detail(details, piece)
    for piece in delta.get("tool_calls") or ():
        _add_call(calls, piece)


def _add_detail(details: dict[int, dict[str, Any]], piece: dict[str, Any]) -> None:
    """Details with one index are one: their texts add up, of other fields the last that says something holds."""
    known = details.setdefault(piece["index"], {})
    for name, value in piece.items():
        if value is not None:
            known[name] = known.get(name, "") + value if name in ("text", "summary") else value


def _add_call(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    if piece["index"] == len(calls):
        calls.append({name: value for name, value in piece.items() if name != "index"})
    else:
        calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]


def _ask(model: str, stream: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}],
        "stream": stream,
    }
    return {**body, "stream_options": {"include_usage": True}} if stream else body


def _go_on(body: dict[str, Any], seen: Seen, results: tuple[Result, ...]) -> dict[str, Any]:
    told: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": result.call_id, "content": result.text} for result in results
    ]
    shown = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        for result in results
        if result.picture
    ]
    if shown:
        told.append({"role": "user", "content": shown})
    return {**body, "messages": [*body["messages"], *seen.turn, *told]}


CHAT = Surface(
    name="chat",
    path="/v1/chat/completions",
    ask=_ask,
    with_tools=lambda body: {**body, "tools": [{"type": "function", "function": TOOL}]},
    with_thinking=lambda body: {**body, "reasoning_effort": "low"},
    with_cap=lambda body, cap: {**body, "max_completion_tokens": cap},
    with_schema=lambda body, schema: {
        **body,
        "response_format": {"type": "json_schema", "json_schema": {"name": "found", "strict": True, "schema": schema}},
    },
    with_stop=lambda body, stop: {**body, "stop": [stop]},
    go_on=_go_on,
    read_whole=_whole,
    read_stream=_stream,
    finishes={
        "stop": "stop",
        "tools": "tool_calls",
        "length": "length",
        "sequence": "stop",
        "refusal": "content_filter",
    },
    shows_pictures=False,
)
