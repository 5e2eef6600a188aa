"""JSON Schemas for models that only take Google's subset of OpenAPI.

What the subset lacks is told in other words where it has some (`const` as an `enum`, a union with null as `nullable`,
references in place) and left out where it has none; the model still reads the descriptions.
"""

from typing import Any

from msgspec import Raw

from mira.codecs.lenient import compact, loose

_KEPT = (
    "type", "nullable", "format", "title", "description", "enum", "minItems", "maxItems", "minProperties",
    "maxProperties", "minLength", "maxLength", "minimum", "maximum", "pattern", "propertyOrdering", "required",
)  # fmt: skip
_ORDER = (*_KEPT, "properties", "items", "anyOf")
_FORMATS = {"string": ("enum", "date-time"), "number": ("float", "double"), "integer": ("int32", "int64")}
_ANY_OBJECT = {"type": "object"}
#: References in place make a schema larger; one that outgrows this is told as far as that.
_MAX_NODES = 5000
#: So many characters below a reference count as one more of the nodes: what is told again and again may be long.
_CHARACTERS_OF_A_NODE = 1000
_MAX_OPEN = 32
_MAX_STEPS = 16


def openapi_schema(schema: Raw) -> Raw:
    """The schema in the subset; a schema that is in it already means the same afterwards."""
    told = loose(schema)
    return compact(_Reader(told).plain(told) if isinstance(told, dict) else _ANY_OBJECT)


def is_empty(schema: Raw) -> bool:
    """Whether it describes an object without properties, which the subset cannot say."""
    told = loose(schema)
    return not isinstance(told, dict) or (told.get("type", "object") == "object" and not told.get("properties"))


class _Reader:
    """Writes one schema anew; `_open` holds the references that are being followed."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._left = _MAX_NODES
        self._open: list[str] = []

    def plain(self, schema: Any) -> dict[str, Any]:
        """One schema in the subset."""
        self._left -= 1
        if not isinstance(schema, dict):
            return {}
        if self._left < 0 or len(self._open) > _MAX_OPEN:
            return dict(_ANY_OBJECT)
        depth = len(self._open)
        schema = self._resolved(schema)
        if self._open:
            self._left -= _length(schema) // _CHARACTERS_OF_A_NODE
            if self._left < 0:
                del self._open[depth:]
                return dict(_ANY_OBJECT)
        told = {name: value for name, value in schema.items() if name in _KEPT}
        # Joined parts add to it, and the client's own may be read again behind another reference.
        told["required"] = list(_list(told, "required"))
        if isinstance(inner := schema.get("properties"), dict):
            told["properties"] = {name: self.plain(value) for name, value in inner.items()}
        if "items" in schema:
            told["items"] = self.plain(schema["items"])
        for part in _list(schema, "allOf"):
            _join(told, self.plain(part))
        options = [self.plain(option) for option in _list(schema, "anyOf") or _list(schema, "oneOf")]
        del self._open[depth:]
        _types(told)
        _choose(told, options)
        _values(told, schema)
        return {name: told[name] for name in _ORDER if name in told}

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        for _ in range(_MAX_STEPS):
            place = schema.get("$ref")
            if not isinstance(place, str):
                return schema
            beside = {name: value for name, value in schema.items() if name != "$ref"}
            if place in self._open:
                # A schema within itself has no end: it is told once.
                return {**_ANY_OBJECT, **beside}
            self._open.append(place)
            schema = {**self._found(place), **beside}
        return schema

    def _found(self, place: str) -> dict[str, Any]:
        found: Any = self._root
        for step in place.lstrip("#").split("/")[1:]:
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}


def _length(schema: dict[str, Any]) -> int:
    """The characters of a schema's own words, without the schemas in it."""
    told = 0
    for name, value in schema.items():
        if isinstance(value, str):
            told += len(value)
        elif name in _KEPT and isinstance(value, list):
            told += sum(len(each) if isinstance(each, str) else 1 for each in value)
        elif name == "properties" and isinstance(value, dict):
            told += sum(map(len, value))
    return told


def _list(schema: dict[str, Any], name: str) -> list[Any]:
    value = schema.get(name)
    return value if isinstance(value, list) else []


def _join(told: dict[str, Any], part: dict[str, Any]) -> None:
    if inner := part.pop("properties", None):
        told.setdefault("properties", {}).update(inner)
    if names := part.pop("required", None):
        told.setdefault("required", []).extend(names)
    for name, value in part.items():
        told.setdefault(name, value)


def _types(told: dict[str, Any]) -> None:
    kinds = told.get("type")
    if not isinstance(kinds, list):
        return
    del told["type"]
    kept = [kind for kind in kinds if kind != "null"]
    if len(kept) < len(kinds):
        told["nullable"] = True
    if len(kept) == 1:
        told["type"] = kept[0]
    elif kept:
        told["anyOf"] = [{"type": kind} for kind in kept]


def _choose(told: dict[str, Any], options: list[dict[str, Any]]) -> None:
    kept = [option for option in options if option.get("type") != "null"]
    if len(kept) < len(options):
        told["nullable"] = True
    if len(kept) == 1:
        _join(told, kept[0])
    elif kept:
        told["anyOf"] = kept


def _values(told: dict[str, Any], schema: dict[str, Any]) -> None:
    values = _list(told, "enum") or ([schema["const"]] if "const" in schema else [])
    told.pop("enum", None)
    if None in values:
        told["nullable"] = True
    # Only strings can be enumerated there.
    if values := [value for value in values if isinstance(value, str)]:
        told.setdefault("type", "string")
        told["enum"] = values
    if told.get("format") not in _FORMATS.get(str(told.get("type")), ()):
        told.pop("format", None)
    if "required" in told:
        inner = told.get("properties", {})
        told["required"] = [name for name in dict.fromkeys(map(str, _list(told, "required"))) if name in inner]
        if not told["required"]:
            del told["required"]
