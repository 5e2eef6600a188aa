"""Settings put into the text of a configuration file, whatever its format; what else the file says stays as it is."""

import re
from collections.abc import Callable, MutableMapping
from typing import Any

from mira.clients import jsonc
from mira.clients.jsonc import UnreadableError, plain
from mira.clients.shapes import Default, File, Format

#: A key at the margin, its value and the comment behind it: all of YAML that is edited here.
_YAML_LINE = re.compile(
    r"""(?P<head>(?P<name>[A-Za-z0-9_][\w.-]*)[ ]*:)
        (?:[ ]+(?P<value>"(?:[^"\\]|\\.)*" | '(?:[^']|'')*' | [^\s"'\#&*!|>{\[%@`][^\#]*?))?
        (?P<rest>[ ]*(?:[ ]\#.*)?)""",
    re.VERBOSE,
)
_YAML_BARE = re.compile(r"[A-Za-z/][\w./:-]*[\w]")
#: What a line at the margin may begin with besides a key: nothing, a comment, an item of the list of the key above.
_YAML_OTHER = re.compile(r"\s*(?:#.*)?|- .*|-|---\s*")


def merged(file: File, text: str) -> str:
    """The text of a file with its settings in it; of a fresh one where the text is empty or the file is Mira's own.

    UnreadableError where the text cannot be read, or has something else where a setting belongs.
    """
    return MERGERS[file.format]("" if file.owned else text, file.settings)


def stronger(file: File, text: str) -> list[str]:
    """Settings in the text that would win over those of the file, by their names."""
    return [".".join(path) for path in file.stronger if jsonc.lookup(text, path)]


def merge_toml(text: str, settings: dict[str, Any]) -> str:
    """TOML, comments and layout included."""
    # Only the command and one page of the portal need it.
    import tomlkit  # noqa: PLC0415
    from tomlkit.exceptions import ParseError, TOMLKitError  # noqa: PLC0415

    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        where = f"line {error.line}, column {error.col}" if isinstance(error, ParseError) else "a part of it"
        raise UnreadableError(f"{where} cannot be read") from None
    _put_toml(document, settings, ())
    return tomlkit.dumps(document)


def _put_toml(into: MutableMapping[str, Any], settings: dict[str, Any], path: tuple[str, ...]) -> None:
    # Plain values first: behind a table's head they would belong to that table.
    for name, setting in sorted(settings.items(), key=lambda item: isinstance(item[1], dict)):
        there = into.get(name)
        if there is None:
            into[name] = plain(setting)
        elif isinstance(setting, dict):
            if not isinstance(there, MutableMapping):
                raise UnreadableError(f"{'.'.join((*path, name))} is something else than a table; nothing was changed")
            _put_toml(there, setting, (*path, name))
        elif isinstance(there, MutableMapping | list):
            raise UnreadableError(
                f"{'.'.join((*path, name))} is something else than a single value; nothing was changed"
            )
        elif not isinstance(setting, Default) and there != setting:
            into[name] = setting


def merge_yaml(text: str, settings: dict[str, Any]) -> str:
    """YAML, as far as its keys stand one to a line at the margin; whatever else there is at the margin is refused."""
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines()
    places = _yaml_places(lines)
    for name, setting in settings.items():
        value = _yaml_text(str(plain(setting)))
        if name not in places:
            lines.append(f"{name}: {value}")
        elif not isinstance(setting, Default):
            at = places[name]
            lines[at] = _yaml_replaced(lines, at, value)
    return newline.join(lines) + newline


def _yaml_places(lines: list[str]) -> dict[str, int]:
    places: dict[str, int] = {}
    for at, line in enumerate(lines):
        if line.startswith((" ", "\t")) or _YAML_OTHER.fullmatch(line):
            if "\t" in line[: len(line) - len(line.lstrip())]:
                raise UnreadableError(f"line {at + 1} is indented by a tab")
            if line.startswith("---") and places:
                raise UnreadableError(f"line {at + 1} begins another document")
            continue
        found = _YAML_LINE.match(line)
        if found is None or found["name"] in places:
            raise UnreadableError(f"line {at + 1} cannot be read")
        places[found["name"]] = at
    return places


def _yaml_replaced(lines: list[str], at: int, value: str) -> str:
    found = _YAML_LINE.fullmatch(lines[at])
    following = next((line for line in lines[at + 1 :] if line.strip()), "")
    if found is None or following.startswith((" ", "- ")):
        raise UnreadableError(f"line {at + 1} holds something else than a single value; nothing was changed")
    return f"{found['head']} {value}{found['rest']}"


def _yaml_text(value: str) -> str:
    return value if _YAML_BARE.fullmatch(value) else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


MERGERS: dict[Format, Callable[[str, dict[str, Any]], str]] = {
    "json": jsonc.merge,
    "toml": merge_toml,
    "yaml": merge_yaml,
}
