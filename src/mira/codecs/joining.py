"""Turns that follow each other as one, for protocols whose turns must alternate: in time that grows with them alone."""

from collections.abc import Iterable
from itertools import chain, groupby

from mira.core.conversation import AssistantTurn, SystemTurn, ToolTurn, Turn, UserTurn


def joined(turns: Iterable[Turn], *kinds: type[Turn]) -> list[Turn]:
    """The turns, where those of one of these kinds that follow each other are one; a single one stays as it is."""
    told: list[Turn] = []
    for kind, group in groupby(turns, type):
        run = list(group)
        told += [_one(run)] if len(run) > 1 and kind in kinds else run
    return told


def _one(run: list[Turn]) -> Turn:
    match run[0]:
        case SystemTurn():
            told = (turn.parts for turn in run if isinstance(turn, SystemTurn))
            return SystemTurn(parts=tuple(chain.from_iterable(told)))
        case UserTurn():
            heard = (turn.parts for turn in run if isinstance(turn, UserTurn))
            return UserTurn(parts=tuple(chain.from_iterable(heard)))
        case AssistantTurn():
            said = (turn.parts for turn in run if isinstance(turn, AssistantTurn))
            return AssistantTurn(parts=tuple(chain.from_iterable(said)))
        case ToolTurn():
            results = (turn.results for turn in run if isinstance(turn, ToolTurn))
            return ToolTurn(results=tuple(chain.from_iterable(results)))
