"""Writes the portal's TypeScript types from the table of routes: `web/src/api/schema.ts`.

    uv run python scripts/web_types.py

The gateway's OpenAPI document is made in this process from `mira.api.table`, so that no gateway has to run. Only the
routes of the portal are written, and the shapes that they name. A test compares the file with what this would write.
"""

import re
import sys
from pathlib import Path
from typing import Any

from mira.api.reference import describe
from mira.api.table import TABLE

TARGET = Path(__file__).parent.parent / "web/src/api/schema.ts"
PREFIXES = ("/portal/v1/", "/admin/v1/")
#: A shape by the name that it has in the document: with its module before it where another shape has the same name.
SHAPE = re.compile(r"\$([\w.]+)")
HEAD = """// Made by scripts/web_types.py from the table of routes; not to be edited.

"""
PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def write_types(document: dict[str, Any]) -> str:
    """The TypeScript of an OpenAPI document's routes under `PREFIXES`: an interface per shape, then `Routes`."""
    schemas = document["components"]["schemas"]
    routes: list[str] = []
    for path, methods in document["paths"].items():
        if path.startswith(PREFIXES):
            routes += [f"  {route(f'{method.upper()} {path}', told)}" for method, told in methods.items()]
    body = "export interface Routes {\n" + "\n".join(sorted(routes)) + "\n}\n"
    shapes: dict[str, str] = {}
    wanted = _names(body)
    while wanted:
        name = wanted.pop()
        shapes[name] = declaration(name, schemas[name])
        wanted |= _names(shapes[name]) - set(shapes)
    short = {name: name.rpartition(".")[2] for name in shapes}
    if len(set(short.values())) < len(short):
        raise ValueError(f"two shapes of the portal have one name: {sorted(short)}")
    text = HEAD + "\n".join([*(shapes[name] for name in sorted(shapes, key=short.__getitem__)), body])
    return SHAPE.sub(lambda found: short[found[1]], text)


def route(name: str, operation: dict[str, Any]) -> str:
    """One line of `Routes`: what goes in and what comes out; `undefined` where nothing does, `unknown` where untold."""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    answers = [told for status, told in operation.get("responses", {}).items() if status.startswith("2")]
    schema = answers[0].get("content", {}).get("application/json", {}).get("schema") if answers else None
    told_body = type_of(body) if body else "undefined"
    return f'"{name}": {{ body: {told_body}; answer: {type_of(schema) if schema else "unknown"} }};'


def declaration(name: str, schema: dict[str, Any]) -> str:
    """An exported interface, or an alias where the shape is no object."""
    text = type_of(schema, indent=0)
    if text.startswith("{"):
        return f"export interface ${name} {text}\n"
    return f"export type ${name} = {text};\n"


def type_of(schema: dict[str, Any], indent: int = 1) -> str:
    """The TypeScript type of a JSON schema. Shapes by name are marked with `$`, which the caller takes away."""
    if "$ref" in schema:
        return "$" + schema["$ref"].rsplit("/", 1)[1]
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " | ".join(dict.fromkeys(type_of(part, indent) for part in schema[union]))
    if "enum" in schema:
        return " | ".join(_literal(value) for value in schema["enum"])
    if "const" in schema:
        return _literal(schema["const"])
    kind = schema.get("type")
    if kind == "array":
        items = type_of(schema["items"], indent) if schema.get("items") else "unknown"
        return f"({items})[]" if " | " in items else f"{items}[]"
    if kind == "object":
        return _object(schema, indent)
    return PLAIN.get(str(kind), "unknown")


def _object(schema: dict[str, Any], indent: int) -> str:
    fields = schema.get("properties")
    if not fields:
        values = schema.get("additionalProperties")
        return f"Record<string, {type_of(values, indent) if isinstance(values, dict) else 'unknown'}>"
    required = set(schema.get("required", ()))
    pad = "  " * (indent + 1)
    lines = [
        f"{pad}{name}{'' if name in required else '?'}: {type_of(told, indent + 1)};" for name, told in fields.items()
    ]
    return "{\n" + "\n".join(lines) + "\n" + "  " * indent + "}"


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else "null" if value is None else str(value).lower()


def _names(text: str) -> set[str]:
    return set(SHAPE.findall(text))


def main() -> None:
    """Writes the file."""
    TARGET.write_text(write_types(describe(TABLE, "")))
    sys.stdout.write(f"{TARGET}\n")


if __name__ == "__main__":
    main()
