"""References to a workspace's own files in a request, in the words of any protocol, and the data in their place. Pure.

Providers cannot read Mira's files. Wherever a protocol takes the id of a file or the address of an image or document,
a file of ours becomes what that protocol takes for the data itself.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from mira.core.file import ID

#: What a request must contain to be looked at.
MARK = b"file_"
_ADDRESS = re.compile(rf"https?://[^\s?#]+/v1/files/({ID.pattern})(?:[?#].*)?")


class Attachment(Struct, frozen=True):
    """A file as a request carries it; `data` is base64."""

    filename: str
    mime_type: str
    data: str
    text: str | None = None

    @property
    def url(self) -> str:
        """A data URL."""
        return f"data:{self.mime_type};base64,{self.data}"


def references(tree: Any, most: int) -> dict[str, str]:
    """The ids of files in a decoded JSON value, up to `most`, each with the path at which it stands first."""
    found: dict[str, str] = {}
    for path, name in _found(tree, []):
        if name not in found:
            found[name] = "".join(path).lstrip(".")
            if len(found) == most:
                break
    return found


def attached(tree: Any, files: Mapping[str, Attachment]) -> Any:
    """The value with these files in the place of their ids and addresses; what is not among them stays."""
    if isinstance(tree, list):
        return [attached(each, files) for each in tree]
    if not isinstance(tree, dict):
        return tree
    for name, put in _PLACES:
        found = file_id(tree.get(name))
        if found in files:
            return put({key: value for key, value in tree.items() if key != name}, files[found])
    image = tree.get("image_url")
    if isinstance(image, str) and file_id(image) in files:
        return {**tree, "image_url": files[file_id(image)].url}
    return {name: attached(value, files) for name, value in tree.items()}


def _found(tree: Any, path: list[str]) -> Iterator[tuple[list[str], str]]:
    """The ids with the steps that lead to them, which hold until the next one is asked for.

    The steps are put together by who needs them: names may be as long as the body.
    """
    if isinstance(tree, dict):
        for name in (*(name for name, _ in _PLACES), "image_url"):
            if found := file_id(tree.get(name)):
                yield [*path, f".{name}"], found
        for name, value in tree.items():
            if isinstance(value, dict | list):
                path.append(f".{name}")
                yield from _found(value, path)
                path.pop()
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            if isinstance(value, dict | list):
                path.append(f"[{index}]")
                yield from _found(value, path)
                path.pop()


def file_id(value: Any) -> str:
    """The id of a file in a reference to it (the id itself, or its address), empty where it is none of ours."""
    if not isinstance(value, str):
        return ""
    if ID.fullmatch(value):
        return value
    address = _ADDRESS.fullmatch(value)
    return address[1] if address else ""


def _in_place_of_file_id(rest: dict[str, Any], file: Attachment) -> dict[str, Any]:
    match rest.get("type"):
        case "input_image":
            return {**rest, "image_url": file.url}
        case "input_file":
            return {**rest, "filename": file.filename, "file_data": file.url}
        case "file":
            return _source(rest, file)
        case _:  # the object under `file` of Chat Completions
            return {**rest, "filename": rest.get("filename", file.filename), "file_data": file.url}


def _in_place_of_url(rest: dict[str, Any], file: Attachment) -> dict[str, Any]:
    if rest.get("type") == "url":
        return _source(rest, file)
    return {**rest, "url": file.url}


def _in_place_of_file_url(rest: dict[str, Any], file: Attachment) -> dict[str, Any]:
    return {**rest, "filename": rest.get("filename", file.filename), "file_data": file.url}


def _source(rest: dict[str, Any], file: Attachment) -> dict[str, Any]:
    """Anthropic's `source` of an image or document."""
    if file.text is not None:
        return {**rest, "type": "text", "media_type": "text/plain", "data": file.text}
    return {**rest, "type": "base64", "media_type": file.mime_type, "data": file.data}


_PLACES: tuple[tuple[str, Callable[[dict[str, Any], Attachment], dict[str, Any]]], ...] = (
    ("file_id", _in_place_of_file_id),
    ("url", _in_place_of_url),
    ("file_url", _in_place_of_file_url),
)
