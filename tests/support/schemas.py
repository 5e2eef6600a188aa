"""The vendors' own schemas (`tests/vectors/specs`), as a check over what a client gets.

check("responses", "event", {"type": "response.created", …})

An event is held against the schema of its own type, so that a mistake is named by its field. OpenAI's protocols are
described twice, by its SDK and by its older OpenAPI file, which demands more fields: both must be met.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SPECS = Path(__file__).parents[1] / "vectors" / "specs"
#: Where the schemas of a protocol stand: (file, root).
PLACES = {
    ("chat", "answer"): (("chat-answer-sdk", "answer"), ("openai-openapi", "chat.answer")),
    ("chat", "event"): (("chat-event-sdk", "event"), ("openai-openapi", "chat.event")),
    ("chat", "error"): (("openai-openapi", "openai.error"),),
    ("responses", "answer"): (("responses-sdk", "answer"), ("openai-openapi", "responses.answer")),
    ("responses", "event"): (("responses-sdk", "event"), ("openai-openapi", "responses.event")),
    ("responses", "error"): (("openai-openapi", "openai.error"),),
    ("messages", "answer"): (("messages-sdk", "answer"),),
    ("messages", "event"): (("messages-sdk", "event"),),
    ("messages", "error"): (("messages-error-sdk", "error"),),
}


def check(protocol: str, what: str, value: dict[str, Any]) -> None:
    """AssertionError where an "answer", an "event" or an "error" body of a protocol is not what its vendor says."""
    if protocol == "messages" and what == "event":
        if value["type"] == "ping":
            # The SDK's types leave out what it keeps to itself.
            return
        what = "error" if value["type"] == "error" else what
    if protocol == "chat" and what == "event" and "error" in value:
        what = "error"
    for file, root in PLACES[protocol, what]:
        kind = value["type"] if what == "event" and protocol != "chat" else ""
        faults = [
            f"{'/'.join(map(str, fault.path))}: {fault.message[:300]}" for fault in _faults(file, root, kind, value)
        ]
        assert not faults, f"{file} {root} {kind}: {faults}"


def _faults(file: str, root: str, kind: str, value: Any) -> Iterator[Any]:
    for fault in _validator(file, root, kind).iter_errors(value):
        yield from _inner(fault, value)


def _inner(fault: Any, value: Any) -> Iterator[Any]:
    """The faults that matter: of a choice's branches the one that was meant, by the type that it names."""
    meant: dict[int, list[Any]] = {}
    for inner in fault.context or ():
        meant.setdefault(inner.schema_path[0], []).append(inner)
    branches = [faults for faults in meant.values() if not any(one.path and one.path[-1] == "type" for one in faults)]
    if not branches:
        yield fault
    for faults in branches[:1]:
        for inner in faults:
            yield from _inner(inner, value)


@cache
def _load(file: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((SPECS / f"{file}.json").read_text())
    return told


@cache
def _validator(file: str, root: str, kind: str) -> Draft202012Validator:
    told = _load(file)
    schema = told["roots"][root]
    if kind:
        schema = _branch(schema, told["$defs"], kind)
    return Draft202012Validator({**schema, "$defs": told["$defs"]})


def _branch(schema: dict[str, Any], defs: dict[str, Any], kind: str) -> dict[str, Any]:
    """The branch of a union whose `type` is this one."""
    if name := schema.get("$ref", "").rpartition("/")[2]:
        schema = defs[name]
    branches = schema.get("anyOf") or schema.get("oneOf") or []
    for branch in branches:
        inner = defs[branch["$ref"].rpartition("/")[2]]
        told = inner["properties"]["type"]
        if told.get("const") == kind or kind in told.get("enum", ()):
            return dict(branch)
    raise AssertionError(f"no event is of the type {kind}")
