"""Settings put into JSON text without losing a byte of what else it says: comments, order and layout stay.

Reads JSON with comments and trailing commas, as editors and coding agents write it.
"""

import json
import re
from typing import Any, Literal

from msgspec import Struct

from mira.clients.shapes import Default, Rows

_SPACE = re.compile(r"(?:[ \t\r\n]|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_SCALAR = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
_DEEPEST = 200


class UnreadableError(Exception):
    """The text cannot be read, or says something else where a setting belongs; the message is a line for people."""


class _Value(Struct):
    """A value with its place in the text. `names` are an object's, in order; `children` its values or a list's."""

    kind: Literal["object", "list", "scalar"]
    start: int
    end: int
    value: Any = None
    names: list[str] = []
    children: list["_Value"] = []
    trailing_comma: bool = False

    def member(self, name: str) -> "_Value | None":
        # Of a name that stands twice the last one counts, as in every reader.
        found = [at for at, each in enumerate(self.names) if each == name]
        return self.children[found[-1]] if found else None


class _Edit(Struct):
    start: int
    end: int
    text: str


def plain(settings: Any) -> Any:
    """Settings as a fresh file has them."""
    if isinstance(settings, Default):
        return plain(settings.value)
    if isinstance(settings, Rows):
        return [plain(row) for row in settings.rows]
    if isinstance(settings, dict):
        return {name: plain(value) for name, value in settings.items()}
    return [plain(each) for each in settings] if isinstance(settings, list) else settings


def merge(text: str, settings: dict[str, Any]) -> str:
    """The text with the settings in it, unchanged where it says them all; UnreadableError where it cannot be read."""
    mark, body = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    if not body.strip():
        return mark + json.dumps(plain(settings), indent=2, ensure_ascii=False) + "\n"
    root = _read(body)
    if root.kind != "object":
        raise UnreadableError("it holds something else than an object")
    writer = _Writer(body, root)
    writer.put_members(root, settings, ())
    return mark + writer.result()


def lookup(text: str, path: tuple[str, ...]) -> bool:
    """Whether readable text says something at a path."""
    found: _Value | None = _read(text.removeprefix("\ufeff")) if text.strip() else None
    for name in path:
        found = found.member(name) if found is not None and found.kind == "object" else None
    return found is not None


class _Writer:
    """Gathers edits of one text. New lines are laid out as the text lays out its own."""

    def __init__(self, text: str, root: _Value) -> None:
        self._text = text
        self._edits: list[_Edit] = []
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._unit = self._indent(root.children[0].start) if root.children else ""
        self._unit = self._unit or "  "

    def result(self) -> str:
        text = self._text
        for edit in sorted(self._edits, key=lambda edit: (edit.start, edit.end), reverse=True):
            text = text[: edit.start] + edit.text + text[edit.end :]
        return text

    def put_members(self, into: _Value, settings: dict[str, Any], path: tuple[str, ...]) -> None:
        fresh: list[tuple[str, Any]] = []
        for name, setting in settings.items():
            there = into.member(name)
            if there is None:
                fresh.append((f"{json.dumps(name, ensure_ascii=False)}: ", plain(setting)))
            elif not isinstance(setting, Default):
                self._put(there, setting, (*path, name))
        self._add(into, fresh)

    def _put(self, there: _Value, setting: Any, path: tuple[str, ...]) -> None:
        if isinstance(setting, dict):
            self._expect(there, "object", path)
            self.put_members(there, setting, path)
        elif isinstance(setting, Rows):
            self._expect(there, "list", path)
            self._put_rows(there, setting, path)
        elif there.kind != "scalar" or there.value != setting or type(there.value) is not type(setting):
            self._expect(there, "scalar", path)
            self._edits.append(_Edit(there.start, there.end, json.dumps(setting, ensure_ascii=False)))

    def _put_rows(self, into: _Value, setting: Rows, path: tuple[str, ...]) -> None:
        fresh = []
        for row in setting.rows:
            there = next((each for each in into.children if self._is_alike(each, row, setting.alike)), None)
            if there is None:
                fresh.append(("", plain(row)))
            else:
                self.put_members(there, row, path)
        self._add(into, fresh)

    def _is_alike(self, each: _Value, row: dict[str, Any], alike: tuple[str, ...]) -> bool:
        members = [each.member(name) for name in alike] if each.kind == "object" else [None]
        return all(
            member is not None and member.value == row[name] for member, name in zip(members, alike, strict=False)
        )

    def _expect(self, there: _Value, kind: str, path: tuple[str, ...]) -> None:
        if there.kind != kind:
            raise UnreadableError(f"{'.'.join(path)} is something else than {_SAID[kind]}; nothing was changed")

    def _add(self, into: _Value, fresh: list[tuple[str, Any]]) -> None:
        """Puts new children behind the last one, and behind the comment that may follow it."""
        if not fresh:
            return
        inside = self._text[into.start + 1 : into.end - 1]
        end = into.start + 1 + len(inside.rstrip(" \t\r\n"))
        if "\n" not in inside and into.children:
            texts = [head + json.dumps(value, ensure_ascii=False) for head, value in fresh]
            self._edits.append(_Edit(end, end, ("" if into.trailing_comma else ",") + " " + ", ".join(texts)))
            return
        outer = self._indent(into.start)
        inner = self._indent(into.children[-1].start) if into.children else outer + self._unit
        texts = [head + self._laid_out(value, inner) for head, value in fresh]
        block = "".join(f"{self._newline}{inner}{text}," for text in texts)
        if not into.trailing_comma:
            block = block[:-1]
            last = into.children[-1].end if into.children else end
            if last != end:
                self._edits.append(_Edit(last, last, ","))
            elif into.children:
                block = "," + block
        if "\n" not in inside[end - into.start - 1 :]:
            block += self._newline + outer
        self._edits.append(_Edit(end, end, block))

    def _laid_out(self, value: Any, indent: str) -> str:
        lines = json.dumps(value, indent=self._unit, ensure_ascii=False).split("\n")
        return (self._newline + indent).join(lines)

    def _indent(self, at: int) -> str:
        """The white space at the beginning of the line."""
        line = self._text[self._text.rfind("\n", 0, at) + 1 : at]
        return line[: len(line) - len(line.lstrip(" \t"))]


_SAID = {"object": "an object", "list": "a list", "scalar": "a single value"}


def _read(text: str) -> _Value:
    value, at = _value(text, _skip(text, 0), 0)
    at = _skip(text, at)
    if at != len(text):
        raise _at(text, at)
    return value


def _value(text: str, at: int, depth: int) -> tuple[_Value, int]:
    if depth > _DEEPEST:
        raise UnreadableError("it is nested too deeply")
    if text[at : at + 1] in ("{", "["):
        return _container(text, at, depth)
    found = _STRING.match(text, at) or _SCALAR.match(text, at)
    if found is None:
        raise _at(text, at)
    return _Value("scalar", at, found.end(), _decoded(text, found)), found.end()


def _decoded(text: str, found: re.Match[str]) -> Any:
    try:
        return json.loads(found[0])
    except ValueError:
        raise _at(text, found.start()) from None


def _container(text: str, at: int, depth: int) -> tuple[_Value, int]:
    is_object = text[at] == "{"
    close = "}" if is_object else "]"
    into = _Value("object" if is_object else "list", at, at, names=[], children=[])
    at = _skip(text, at + 1)
    while text[at : at + 1] != close:
        if is_object:
            name = _STRING.match(text, at)
            if name is None:
                raise _at(text, at)
            into.names.append(_decoded(text, name))
            at = _skip(text, name.end())
            if text[at : at + 1] != ":":
                raise _at(text, at)
            at = _skip(text, at + 1)
        child, at = _value(text, at, depth + 1)
        into.children.append(child)
        at = _skip(text, at)
        into.trailing_comma = text[at : at + 1] == ","
        if into.trailing_comma:
            at = _skip(text, at + 1)
        elif text[at : at + 1] != close:
            raise _at(text, at)
    into.end = at + 1
    return into, at + 1


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _at(text: str, at: int) -> UnreadableError:
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    return UnreadableError(f"line {line}, column {column} cannot be read")
