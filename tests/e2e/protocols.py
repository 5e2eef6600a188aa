"""One gateway with a node of every kind behind it, and what each kind expects of a request."""

import json
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from tests.support.gateway import UPSTREAM_KEY
from tests.support.said import Counts, Wire
from tests.support.upstream import Request, Upstream
from tests.support.wires_openai import CHAT_WIRE, RESPONSES_WIRE
from tests.support.wires_others import GEMINI_WIRE, MESSAGES_WIRE

#: Credits per million tokens; figures of which no two sums are alike.
PRICES = {
    "input": "3",
    "output": "17",
    "reasoning": "23",
    "cache_read": "0.7",
    "cache_write_5m": "4.3",
    "cache_write_1h": "6.1",
}
MODELS = {
    "plain": "words-1",
    "anthropic": "claude-sonnet-4-5",
    "google": "gemini-2.5-flash",
    "openai": "gpt-5-mini",
}


class Behind(Struct, frozen=True, kw_only=True):
    """A kind of node: its model (`own_model`, or that of its provider), its wire and how a request must look to it.

    `results` reads the results of tools out of a request: (call id, text) in order. `thinks` says whether a request
    asks it to think.
    """

    kind: str
    provider: str
    wire: Wire
    key: tuple[str, str]
    path: str
    stream_path: str
    results: Callable[[Any], list[tuple[str, str]]]
    calls: Callable[[Any], list[tuple[str, str]]]
    thinks: Callable[[Any], bool]
    cap: Callable[[Any], Any]
    own_model: str | None = None

    @property
    def bare(self) -> str:
        return self.own_model or MODELS[self.provider]

    @property
    def model(self) -> str:
        return f"{self.provider}/{self.bare}"

    def check(self, request: Request, *, stream: bool) -> None:
        """The request went to the right place with the node's own key and nobody else's."""
        assert request.path == (self.stream_path if stream else self.path)
        name, value = self.key
        assert request.headers[name] == value
        others = {"authorization", "x-api-key", "x-goog-api-key"} - {name}
        assert not others & request.headers.keys()
        assert "sk-mira-" not in str(request.header_list)
        assert request.headers["x-request-id"].startswith("req")


def cost_nanocredits(counts: Counts) -> int:
    """The exact price of the counts."""
    written = 4_300 * counts.cache_write_5m + 6_100 * counts.cache_write_1h
    return 3_000 * counts.input + 700 * counts.cache_read + written + 17_000 * counts.output + 23_000 * counts.reasoning


def nodes(upstream: Upstream) -> list[dict[str, Any]]:
    """The nodes' tables of `mira.toml`."""
    root = upstream.url.removesuffix("/v1")

    def node(kind: str, prefix: str, base_url: str, **more: Any) -> dict[str, Any]:
        told = {"name": kind, "kind": kind, "base_url": base_url, "api_key": UPSTREAM_KEY}
        return {**told, "models": [MODELS[prefix]], **more}

    return [
        node("openai-compatible", "plain", upstream.url, provider="plain"),
        node("anthropic", "anthropic", root),
        node("gemini", "google", root),
        node("openai", "openai", upstream.url, endpoint="responses"),
    ]


def prices() -> list[dict[str, Any]]:
    """The prices' tables of `mira.toml`."""
    return [{"model": f"{provider}/{model}", **PRICES} for provider, model in MODELS.items()]


def _messages_blocks(body: Any, kind: str) -> list[Any]:
    turns = [turn["content"] for turn in body["messages"] if isinstance(turn["content"], list)]
    return [block for content in turns for block in content if block["type"] == kind]


def _text_of(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _gemini_parts(body: Any, kind: str) -> list[Any]:
    return [part[kind] for turn in body["contents"] for part in turn["parts"] if kind in part]


def _gemini_result(told: dict[str, Any]) -> str:
    """A result's text; one that is an object stands there as such."""
    return told["output"] if told.keys() == {"output"} else json.dumps(told, ensure_ascii=False)


BEHIND_CHAT = Behind(
    kind="openai-compatible",
    provider="plain",
    wire=CHAT_WIRE,
    key=("authorization", f"Bearer {UPSTREAM_KEY}"),
    path="/v1/chat/completions",
    stream_path="/v1/chat/completions",
    results=lambda body: [
        (turn["tool_call_id"], _text_of(turn["content"])) for turn in body["messages"] if turn["role"] == "tool"
    ],
    calls=lambda body: [
        (call["id"], call["function"]["name"]) for turn in body["messages"] for call in turn.get("tool_calls") or ()
    ],
    thinks=lambda body: body.get("reasoning_effort") == "low",
    cap=lambda body: body.get("max_tokens"),
)
BEHIND_ANTHROPIC = Behind(
    kind="anthropic",
    provider="anthropic",
    wire=MESSAGES_WIRE,
    key=("x-api-key", UPSTREAM_KEY),
    path="/v1/messages",
    stream_path="/v1/messages",
    results=lambda body: [
        (block["tool_use_id"], _text_of(block["content"])) for block in _messages_blocks(body, "tool_result")
    ],
    calls=lambda body: [(block["id"], block["name"]) for block in _messages_blocks(body, "tool_use")],
    thinks=lambda body: body.get("thinking", {}).get("type") == "enabled" and body["thinking"]["budget_tokens"] >= 1024,
    cap=lambda body: body["max_tokens"],
)
BEHIND_GEMINI = Behind(
    kind="gemini",
    provider="google",
    wire=GEMINI_WIRE,
    key=("x-goog-api-key", UPSTREAM_KEY),
    path=f"/v1beta/models/{MODELS['google']}:generateContent",
    stream_path=f"/v1beta/models/{MODELS['google']}:streamGenerateContent?alt=sse",
    results=lambda body: [
        (told["id"], _gemini_result(told["response"])) for told in _gemini_parts(body, "functionResponse")
    ],
    calls=lambda body: [(told["id"], told["name"]) for told in _gemini_parts(body, "functionCall")],
    thinks=lambda body: body["generationConfig"].get("thinkingConfig", {}).get("thinkingBudget", 0) > 0,
    cap=lambda body: body["generationConfig"]["maxOutputTokens"],
)
BEHIND_OPENAI = Behind(
    kind="openai",
    provider="openai",
    wire=RESPONSES_WIRE,
    key=("authorization", f"Bearer {UPSTREAM_KEY}"),
    path="/v1/responses",
    stream_path="/v1/responses",
    results=lambda body: [
        (item["call_id"], item["output"]) for item in body["input"] if item.get("type") == "function_call_output"
    ],
    calls=lambda body: [
        (item["call_id"], item["name"]) for item in body["input"] if item.get("type") == "function_call"
    ],
    thinks=lambda body: body["reasoning"]["effort"] == "low",
    cap=lambda body: body["max_output_tokens"],
)
