"""At most four cache marks a request, the long-lived ones first, as Anthropic demands."""

from collections.abc import Iterator
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from mira.core.conversation import (
    AssistantTurn,
    CacheMark,
    SystemTurn,
    Tool,
    ToolTurn,
    Turn,
    UserTurn,
)

MOST_MARKS = 4
#: Of those, how many the tools and the instructions may have where the messages want the others.
_PREFIX_MARKS = 2
TTLS = ("5m", "1h")

MarkedT = TypeVar("MarkedT", bound=msgspec.Struct)


def limit_marks(
    tools: tuple[Tool, ...], turns: tuple[Turn, ...], dropped: set[str], *, automatic: bool
) -> tuple[tuple[Tool, ...], tuple[Turn, ...]]:
    """Tools and turns with the marks that may stay: the last ones, for they cover what stands before them.

    `automatic` takes one of the four away. A mark for an hour behind one for minutes becomes one for minutes.
    """
    prefix = [*_marks_of(tools), *(mark for turn in turns[:1] if _is_system(turn) for mark in _marks_in(turn))]
    behind = [mark for turn in turns[1 if turns and _is_system(turns[0]) else 0 :] for mark in _marks_in(turn)]
    wanted = [*prefix, *behind]
    most = MOST_MARKS - 1 if automatic else MOST_MARKS
    kept = _kept(wanted, len(prefix), most)
    if kept == wanted:
        return tools, turns
    if sum(mark is not None for mark in kept) < len(wanted):
        dropped.add("cache_control")
    left = iter(kept)
    return tuple([_remarked(tool, left) for tool in tools]), tuple([_turn_remarked(turn, left) for turn in turns])


def _kept(wanted: list[CacheMark | None], in_prefix: int, most: int) -> list[CacheMark | None]:
    behind = len(wanted) - in_prefix
    for_prefix = min(in_prefix, max(_PREFIX_MARKS, most - behind))
    first_behind = len(wanted) - min(behind, most - for_prefix)
    kept: list[CacheMark | None] = []
    short = False
    for place, mark in enumerate(wanted):
        stays = in_prefix - for_prefix <= place < in_prefix or place >= first_behind
        if mark is None or not stays:
            kept.append(None)
            continue
        ttl = mark.ttl if mark.ttl in TTLS else None
        if ttl == "1h" and short:
            ttl = "5m"
        short = short or ttl != "1h"
        kept.append(CacheMark(ttl))
    return kept


def _is_system(turn: Turn) -> bool:
    return isinstance(turn, SystemTurn)


def _marks_in(turn: Turn) -> list[CacheMark | None]:
    return _marks_of(turn.results if isinstance(turn, ToolTurn) else turn.parts)


def _marks_of(items: tuple[msgspec.Struct, ...]) -> list[CacheMark | None]:
    return [mark for item in items if (mark := getattr(item, "cache", None)) is not None]


def _turn_remarked(turn: Turn, left: Iterator[CacheMark | None]) -> Turn:
    match turn:
        case ToolTurn():
            return ToolTurn(results=tuple([_remarked(result, left) for result in turn.results]))
        case SystemTurn():
            return replace(turn, parts=tuple([_remarked(part, left) for part in turn.parts]))
        case UserTurn():
            return replace(turn, parts=tuple([_remarked(part, left) for part in turn.parts]))
        case AssistantTurn():
            return replace(turn, parts=tuple([_remarked(part, left) for part in turn.parts]))


def _remarked(item: MarkedT, left: Iterator[CacheMark | None]) -> MarkedT:
    return item if getattr(item, "cache", None) is None else replace(item, cache=next(left))
