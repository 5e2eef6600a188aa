"""The three protocols of clients, each as a way to ask, to read what came, and to go on with the results of tools."""

import json
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from tests.grammar.chat import check_chat_stream
from tests.grammar.messages import check_messages_stream, content_of
from tests.grammar.responses import check_responses_stream
from tests.support.said import Called, Counts

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"name": "weather", "description": "The weather of a city", "parameters": PARAMETERS}
QUESTION = "Weather in Zürich and Oslo?"


class Seen(Struct, kw_only=True):
    """What a client makes of an answer. `turn` is what it sends back of it, in its own protocol's items.

    `error` is the type (Chat Completions, Messages) or code (Responses) of an error that ended a stream.
    """

    text: str = ""
    thinking: str = ""
    calls: tuple[Called, ...] = ()
    finish: str | None = None
    counts: Counts | None = None
    cost: str | None = None
    turn: tuple[dict[str, Any], ...] = ()
    error: str | None = None


class Surface(Struct, frozen=True, kw_only=True):
    """One protocol of clients.

    `ask(model, stream)` is a body with the question; `with_tools`, `with_thinking` and `with_cap` add to it; `go_on`
    adds an answer's turn and the results (call id to text). `finishes` are its words for stop, tools and length.
    """

    name: str
    path: str
    ask: Callable[[str, bool], dict[str, Any]]
    with_tools: Callable[[dict[str, Any]], dict[str, Any]]
    with_thinking: Callable[[dict[str, Any]], dict[str, Any]]
    with_cap: Callable[[dict[str, Any], int], dict[str, Any]]
    go_on: Callable[[dict[str, Any], Seen, dict[str, str]], dict[str, Any]]
    read_whole: Callable[[bytes], Seen]
    read_stream: Callable[[bytes], Seen]
    finishes: tuple[str, str, str]

    def read(self, data: bytes, *, stream: bool) -> Seen:
        return self.read_stream(data) if stream else self.read_whole(data)


def _cost(usage: dict[str, Any]) -> str | None:
    cost = usage.get("cost")
    return None if cost is None else str(cost)


def _loads(data: bytes) -> Any:
    """JSON with numbers as they are written."""
    return json.loads(data, parse_float=str)


# Chat Completions


def _chat_counts(usage: dict[str, Any]) -> Counts:
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
    return Counts(
        input=usage["prompt_tokens"] - cached,
        cache_read=cached,
        output=usage["completion_tokens"] - reasoning,
        reasoning=reasoning,
    )


def _chat_whole(data: bytes) -> Seen:
    told = _loads(data)
    assert told["object"] == "chat.completion"
    (choice,) = told["choices"]
    message = choice["message"]
    return Seen(
        text=message["content"] or "",
        thinking=message.get("reasoning_content") or "",
        calls=tuple(_chat_call(call) for call in message.get("tool_calls") or ()),
        finish=choice["finish_reason"],
        counts=_chat_counts(told["usage"]),
        cost=_cost(told["usage"]),
        turn=(message,),
    )


def _chat_call(call: dict[str, Any]) -> Called:
    assert call["type"] == "function"
    return Called(call["id"], call["function"]["name"], call["function"]["arguments"])


def _chat_stream(data: bytes) -> Seen:
    chunks = check_chat_stream(data, include_usage=True)
    seen = Seen()
    calls: list[dict[str, Any]] = []
    details: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        if "error" in chunk:
            seen.error = chunk["error"]["type"]
            continue
        for choice in chunk["choices"]:
            delta = choice["delta"]
            seen.text += delta.get("content") or ""
            seen.thinking += delta.get("reasoning_content") or ""
            seen.finish = choice["finish_reason"] or seen.finish
            for piece in delta.get("reasoning_details") or ():
                _add_detail(details, piece)
            for piece in delta.get("tool_calls") or ():
                _add_call(calls, piece)
        if chunk.get("usage"):
            seen.counts, seen.cost = _chat_counts(chunk["usage"]), _last_cost(data)
    seen.calls = tuple(_chat_call(call) for call in calls)
    message = {"role": "assistant", "content": seen.text or None, "reasoning_details": list(details.values())}
    seen.turn = ({**message, "tool_calls": calls} if calls else message,)
    return seen


def _add_detail(details: dict[int, dict[str, Any]], piece: dict[str, Any]) -> None:
    """Details with one index are one: their texts add up, of other fields the last that says something holds."""
    known = details.setdefault(piece["index"], {})
    for name, value in piece.items():
        if value is not None:
            known[name] = known.get(name, "") + value if name == "text" else value


def _add_call(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    if piece["index"] == len(calls):
        calls.append({name: value for name, value in piece.items() if name != "index"})
    else:
        calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]


def _frames(data: bytes) -> list[Any]:
    lines = [line[6:] for line in data.split(b"\n") if line.startswith(b"data: {")]
    return [_loads(line) for line in lines]


def _last_cost(data: bytes) -> str | None:
    return _cost([told for told in _frames(data) if told.get("usage")][-1]["usage"])


def _chat_ask(model: str, stream: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}],
        "stream": stream,
    }
    return {**body, "stream_options": {"include_usage": True}} if stream else body


def _chat_go_on(body: dict[str, Any], seen: Seen, results: dict[str, str]) -> dict[str, Any]:
    told = [{"role": "tool", "tool_call_id": call, "content": text} for call, text in results.items()]
    return {**body, "messages": [*body["messages"], *seen.turn, *told]}


CHAT = Surface(
    name="chat",
    path="/v1/chat/completions",
    ask=_chat_ask,
    with_tools=lambda body: {**body, "tools": [{"type": "function", "function": TOOL}]},
    with_thinking=lambda body: {**body, "reasoning_effort": "low"},
    with_cap=lambda body, cap: {**body, "max_completion_tokens": cap},
    go_on=_chat_go_on,
    read_whole=_chat_whole,
    read_stream=_chat_stream,
    finishes=("stop", "tool_calls", "length"),
)


# Messages


def _messages_counts(usage: dict[str, Any]) -> Counts:
    thinking = (usage.get("output_tokens_details") or {}).get("thinking_tokens", 0)
    assert not usage["cache_creation_input_tokens"]
    return Counts(
        input=usage["input_tokens"],
        cache_read=usage["cache_read_input_tokens"],
        output=usage["output_tokens"] - thinking,
        reasoning=thinking,
    )


def _messages_seen(blocks: list[dict[str, Any]]) -> Seen:
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


def _messages_whole(data: bytes) -> Seen:
    told = _loads(data)
    assert told["type"] == "message"
    seen = _messages_seen(told["content"])
    seen.finish, seen.counts, seen.cost = told["stop_reason"], _messages_counts(told["usage"]), _cost(told["usage"])
    return seen


def _messages_stream(data: bytes) -> Seen:
    events = check_messages_stream(data)
    blocks = content_of(events)
    if events[-1]["type"] == "error":
        blocks = [block for block in blocks if block["type"] != "tool_use"]
    for block in blocks:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block["input"] or "{}")
    seen = _messages_seen(blocks)
    if events[-1]["type"] == "error":
        seen.error = events[-1]["error"]["type"]
        return seen
    seen.finish = events[-2]["delta"]["stop_reason"]
    seen.counts = _messages_counts(events[-2]["usage"])
    seen.cost = _last_cost(data)
    return seen


def _messages_go_on(body: dict[str, Any], seen: Seen, results: dict[str, str]) -> dict[str, Any]:
    told = [{"type": "tool_result", "tool_use_id": call, "content": text} for call, text in results.items()]
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
    go_on=_messages_go_on,
    read_whole=_messages_whole,
    read_stream=_messages_stream,
    finishes=("end_turn", "tool_use", "max_tokens"),
)


# Responses


def _responses_counts(usage: dict[str, Any]) -> Counts:
    cached = usage["input_tokens_details"]["cached_tokens"]
    reasoning = usage["output_tokens_details"]["reasoning_tokens"]
    return Counts(
        input=usage["input_tokens"] - cached,
        cache_read=cached,
        output=usage["output_tokens"] - reasoning,
        reasoning=reasoning,
    )


def _responses_whole(data: bytes) -> Seen:
    return _responses_seen(_loads(data))


def _responses_seen(told: dict[str, Any]) -> Seen:
    assert told["object"] == "response"
    items = told["output"]
    seen = Seen(
        text="".join(part["text"] for item in items if item["type"] == "message" for part in item["content"]),
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
    seen.counts, seen.cost = _responses_counts(told["usage"]), _cost(told["usage"])
    return seen


def _responses_stream(data: bytes) -> Seen:
    events = check_responses_stream(data)
    if events[-1]["type"] == "error":
        return Seen(error=events[-1]["code"])
    seen = _responses_seen(_frames(data)[-1]["response"])
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    if seen.error is not None:
        seen.text = text
    assert seen.text == text
    return seen


def _responses_go_on(body: dict[str, Any], seen: Seen, results: dict[str, str]) -> dict[str, Any]:
    told = [{"type": "function_call_output", "call_id": call, "output": text} for call, text in results.items()]
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
    go_on=_responses_go_on,
    read_whole=_responses_whole,
    read_stream=_responses_stream,
    finishes=("completed", "completed", "max_output_tokens"),
)

SURFACES = (CHAT, MESSAGES, RESPONSES)
