"""Makes the schemas beside this file out of a folder with the vendors' full ones: `python trim.py FOLDER`.

Kept is what an answer, an event or an error body can reach; dropped are titles, descriptions, defaults and examples.
Where the folder's files come from stands in README.md.
"""

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Words of a schema that bind nobody; as names of properties they stay.
NOTES = frozenset({"title", "description", "default", "example", "examples", "externalDocs", "deprecated"})
#: By file: the SDK's type, and the roots in it. What has no name is the type itself.
SDK: dict[str, tuple[str, dict[str, str]]] = {
    "chat-answer-sdk": ("openai-3.54.0.ChatCompletion", {"answer": ""}),
    "chat-event-sdk": ("openai-3.54.0.ChatCompletionChunk", {"event": ""}),
    "responses-sdk": ("openai-3.54.0.ResponseStreamEvent", {"event": "", "answer": "Response"}),
    "messages-sdk": ("anthropic-2.12.0.RawMessageStreamEvent", {"event": "", "answer": "Message"}),
    "messages-error-sdk": ("anthropic-2.12.0.ErrorResponse", {"error": ""}),
}
OPENAPI = {
    "chat.answer": "CreateChatCompletionResponse",
    "chat.event": "CreateChatCompletionStreamResponse",
    "responses.answer": "Response",
    "responses.event": "ResponseStreamEvent",
    "openai.error": "ErrorResponse",
}


def trimmed(node: Any, *, names: bool = False) -> Any:
    """The schema without notes; `names` says that the keys are names of properties or definitions."""
    if isinstance(node, list):
        return [trimmed(value) for value in node]
    if not isinstance(node, dict):
        return node
    return {
        key: trimmed(value, names=not names and key in ("properties", "$defs", "schemas"))
        for key, value in node.items()
        if names or not (key in NOTES or key.startswith("x-"))
    }


def references(node: Any) -> Iterator[str]:
    """The names of the definitions that a schema points to."""
    if isinstance(node, dict):
        if isinstance(place := node.get("$ref"), str):
            yield place.rpartition("/")[2]
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from references(value)


def gathered(roots: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """The roots and every definition that they reach, as one file."""
    reached: dict[str, Any] = {}
    waiting = [name for root in roots.values() for name in references(root)]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached[name] = defs[name]
            waiting += references(defs[name])
    return {"roots": roots, "$defs": dict(sorted(reached.items()))}


def from_sdk(folder: Path, file: str, roots: dict[str, str]) -> dict[str, Any]:
    """A type of a vendor's SDK."""
    whole = trimmed(json.loads((folder / "from-sdk" / f"{file}.json").read_text()))
    defs = whole.pop("$defs")
    told = {root: {"$ref": f"#/$defs/{name}"} if name else whole for root, name in roots.items()}
    return gathered(told, defs)


def with_null(node: Any) -> Any:
    """The schema with null where its words allow it: `nullable`, and in place of a field that may be missing.

    OpenAI's own answers write such fields as null.
    """
    if isinstance(node, list):
        return [with_null(value) for value in node]
    if not isinstance(node, dict):
        return node
    told = {key: with_null(value) for key, value in node.items() if key != "nullable"}
    needed = node.get("required", [])
    if isinstance(properties := told.get("properties"), dict):
        told["properties"] = {
            name: schema if name in needed else {"anyOf": [schema, {"type": "null"}]}
            for name, schema in properties.items()
        }
    return {"anyOf": [told, {"type": "null"}]} if node.get("nullable") is True else told


def from_openapi(folder: Path) -> dict[str, Any]:
    """OpenAI's own description of its API."""
    with gzip.open(folder / "openai-openapi.json.gz") as file:
        defs = trimmed(json.load(file)["components"]["schemas"], names=True)
    told = gathered({name: {"$ref": f"#/components/schemas/{schema}"} for name, schema in OPENAPI.items()}, defs)
    told["$defs"] = {name: with_null(schema) for name, schema in told["$defs"].items()}
    text: str = json.dumps(told).replace("#/components/schemas/", "#/$defs/")
    return dict(json.loads(text))


if __name__ == "__main__":
    source, here = Path(sys.argv[1]), Path(__file__).parent
    files = {stem: from_sdk(source, file, roots) for stem, (file, roots) in SDK.items()}
    files["openai-openapi"] = from_openapi(source)
    for stem, schemas in files.items():
        (here / f"{stem}.json").write_text(json.dumps(schemas, separators=(",", ":"), sort_keys=True) + "\n")
