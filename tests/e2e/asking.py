"""What the protocols of clients have in common for tests: a record of functions, and what a client makes of an answer."""

import json
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from tests.support.said import Called, Counts

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"name": "weather", "description": "The weather of a city", "parameters": PARAMETERS}
QUESTION = "Weather in Zürich and Oslo?"
#: A JSON Schema that every vendor takes as it stands.
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "celsius": {"type": "integer"}},
    "required": ["city", "celsius"],
    "additionalProperties": False,
}
#: A picture of one pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Result(Struct, frozen=True, kw_only=True):
    """What a tool answered: words, perhaps a picture behind them, perhaps a failure."""

    call_id: str
    text: str
    picture: bool = False
    failed: bool = False


class Seen(Struct, kw_only=True):
    """What a client makes of an answer. `turn` is what it sends back of it, in its own protocol's items.

    `error` is the type (Chat Completions, Messages) or code (Responses) of an error that ended a stream.
    """

    text: str = ""
    thinking: str = ""
    calls: tuple[Called, ...] = ()
    refusal: str = ""
    finish: str | None = None
    stopped_at: str | None = None
    counts: Counts | None = None
    cost: str | None = None
    turn: tuple[dict[str, Any], ...] = ()
    error: str | None = None


class Surface(Struct, frozen=True, kw_only=True):
    """One protocol of clients.

    `ask(model, stream)` is a body with the question; `with_tools`, `with_thinking`, `with_cap`, `with_schema` and
    `with_stop` (None where the protocol has no stop sequences) add to it; `go_on` adds an answer's turn and the results.
    `finishes` are its words for the ways to end. `flags_failures`: a result can say that it is one; `shows_pictures`: a
    result can hold a picture, which otherwise follows as the user's.
    """

    name: str
    path: str
    ask: Callable[[str, bool], dict[str, Any]]
    with_tools: Callable[[dict[str, Any]], dict[str, Any]]
    with_thinking: Callable[[dict[str, Any]], dict[str, Any]]
    with_cap: Callable[[dict[str, Any], int], dict[str, Any]]
    with_schema: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
    with_stop: Callable[[dict[str, Any], str], dict[str, Any]] | None
    go_on: Callable[[dict[str, Any], Seen, tuple[Result, ...]], dict[str, Any]]
    read_whole: Callable[[bytes], Seen]
    read_stream: Callable[[bytes], Seen]
    finishes: dict[str, str]
    flags_failures: bool = False
    shows_pictures: bool = True

    def read(self, data: bytes, *, stream: bool) -> Seen:
        return self.read_stream(data) if stream else self.read_whole(data)


def cost_in(usage: dict[str, Any]) -> str | None:
    """The cost beside a usage, as it is written."""
    cost = usage.get("cost")
    return None if cost is None else str(cost)


def loads(data: bytes) -> Any:
    """JSON with fractions as they are written."""
    return json.loads(data, parse_float=str)


def frames(data: bytes) -> list[Any]:
    """The values of the frames of a stream, with fractions as they are written."""
    return [loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: {")]


def last_cost(data: bytes) -> str | None:
    """The cost in the last frame of a stream that tells a usage."""
    return cost_in([told for told in frames(data) if told.get("usage")][-1]["usage"])
