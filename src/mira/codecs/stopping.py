"""Ends an answer at the client's own stop sequences, where it named more of them than its node takes.

The node is told as many as it takes and stops at those by itself; whatever it writes past another one stays here.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from mira.core.conversation import Answer, AssistantPart, Choice, Conversation, FinishReason, Text
from mira.core.events import Event, Finish, Start, TextDelta

#: So many every node takes that takes any (OpenAI; Google takes five).
COMMON_STOPS = 4


def own_stops(request: Conversation) -> tuple[str, ...]:
    """The sequences to look for here; none where every node takes all of them."""
    stops = request.sampling.stop
    return tuple(stop for stop in stops if stop) if len(stops) > COMMON_STOPS else ()


class Stopper:
    """An interpreter of events: ends the text at the first stop sequence, which may come in pieces.

    What could be the beginning of one is held until more is known. After it nothing is told but the reason. There is
    one choice, since no translated request asks for more.
    """

    __slots__ = ("_block", "_held", "_stopped_at", "_stops")

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self._block = 0
        self._stopped_at: str | None = None

    def feed(self, event: Event) -> list[Event]:
        """The events that are certain after this one."""
        if self._stopped_at is not None:
            if isinstance(event, Finish):
                return [replace(event, reason=FinishReason.STOP_SEQUENCE, stop_sequence=self._stopped_at)]
            return []
        match event:
            case Start():
                return [event]
            case TextDelta(text=text, block=block):
                told = self.close() if block != self._block else []
                self._block = block
                return told + self._take(self._held + text)
            case _:
                return [*self.close(), event]

    def close(self) -> list[Event]:
        """What was held back."""
        held, self._held = self._held, ""
        return [TextDelta(text=held, block=self._block)] if held else []

    def _take(self, text: str) -> list[Event]:
        found = first_stop(text, self._stops)
        if found is not None:
            at, self._stopped_at = found
            self._held = ""
            text = text[:at]
        else:
            kept = _beginning_at(text, self._stops)
            self._held = text[kept:]
            text = text[:kept]
        return [TextDelta(text=text, block=self._block)] if text else []


def stopped(answer: Answer, stops: Sequence[str]) -> Answer:
    """A whole answer up to the first stop sequence."""
    return replace(answer, choices=tuple([_cut(choice, stops) for choice in answer.choices])) if stops else answer


def first_stop(text: str, stops: Sequence[str]) -> tuple[int, str] | None:
    """Where the stop sequence that is complete first begins in a text, and which it is."""
    found = [(at + len(stop), at, stop) for stop in stops if (at := text.find(stop)) >= 0]
    return min(found)[1:] if found else None


def _beginning_at(text: str, stops: Sequence[str]) -> int:
    """From where on a text may be the beginning of a stop sequence; its length where nothing of it may."""
    longest = max(len(stop) for stop in stops) - 1
    for at in range(max(len(text) - longest, 0), len(text)):
        tail = text[at:]
        if any(stop.startswith(tail) for stop in stops):
            return at
    return len(text)


def _cut(choice: Choice, stops: Sequence[str]) -> Choice:
    parts: list[AssistantPart] = []
    for part in choice.parts:
        found = first_stop(part.text, stops) if isinstance(part, Text) else None
        if found is None or not isinstance(part, Text):
            parts.append(part)
            continue
        at, stop = found
        if at:
            parts.append(replace(part, text=part.text[:at]))
        return replace(choice, parts=tuple(parts), finish=FinishReason.STOP_SEQUENCE, stop_sequence=stop)
    return choice
