"""The links of a conversation to media, for nodes that take only the data itself."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from mira.core.conversation import (
    AssistantTurn,
    Conversation,
    Document,
    Image,
    Inline,
    Link,
    SystemTurn,
    ToolResult,
    ToolTurn,
    Turn,
    UserTurn,
)

#: The kind of media that is expected behind a URL ("image" or "document"), and the URL.
Linked: TypeAlias = tuple[str, str]
_Part = TypeVar("_Part")


def links_of(conversation: Conversation, kinds: frozenset[str]) -> tuple[Linked, ...]:
    """The links to media of these kinds, each once, in the order in which they stand."""
    found = (_linked(part) for turn in conversation.turns for part in _parts(turn))
    return tuple(dict.fromkeys(link for link in found if link is not None and link[0] in kinds))


def with_data(conversation: Conversation, loaded: Mapping[Linked, Inline]) -> Conversation:
    """The conversation with the data that was found at its links in their place."""
    return replace(conversation, turns=tuple(_turn(turn, loaded) for turn in conversation.turns))


def path_of(fields: Mapping[str, Raw], text: str) -> str | None:
    """Where a text stands in a request, as its client wrote it (`messages[0].content[1].image_url.url`)."""
    for name, raw in fields.items():
        if (found := _search(msgspec.json.decode(raw), text)) is not None:
            return name + found
    return None


def _search(value: Any, text: str) -> str | None:
    """The way from the value to the text, which is put together on the way back: names may be as long as the body."""
    if value == text:
        return ""
    inner: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(value, dict):
        inner = iter(value.items())
    elif isinstance(value, list):
        inner = enumerate(value)
    for step, each in inner:
        if (found := _search(each, text)) is not None:
            return (f"[{step}]" if isinstance(value, list) else f".{step}") + found
    return None


def _parts(turn: Turn) -> Iterator[Any]:
    match turn:
        case ToolTurn(results=results):
            for result in results:
                yield from result.parts
        case UserTurn() | AssistantTurn() | SystemTurn():
            yield from turn.parts


def _linked(part: Any) -> Linked | None:
    match part:
        case Image(source=Link(url=url)):
            return "image", url
        case Document(source=Link(url=url), media="document"):
            return "document", url
        case _:
            return None


def _turn(turn: Turn, loaded: Mapping[Linked, Inline]) -> Turn:
    match turn:
        case ToolTurn(results=results):
            return ToolTurn(results=tuple(_result(result, loaded) for result in results))
        case UserTurn() | AssistantTurn():
            return replace(turn, parts=tuple(_part(part, loaded) for part in turn.parts))
        case SystemTurn():
            return turn


def _result(result: ToolResult, loaded: Mapping[Linked, Inline]) -> ToolResult:
    return replace(result, parts=tuple(_part(part, loaded) for part in result.parts))


def _part(part: _Part, loaded: Mapping[Linked, Inline]) -> _Part:
    link = _linked(part)
    if link is None or link not in loaded:
        return part
    assert isinstance(part, Image | Document)
    return replace(part, source=loaded[link])
