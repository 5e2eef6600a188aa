"""The way of a node's bytes into a decoder: frames are cut, messages are taken, and every failure is the last event."""

from collections.abc import Callable

from mira.codecs.lenient import loose
from mira.codecs.sse import DONE, Frames, Message, read
from mira.core.events import ErrorEvent, Event
from mira.errors import Kind, MiraError

#: What a decoder does with one message; MiraError where the stream failed.
Take = Callable[[Message, list[Event]], None]


class Framing:
    """Cuts a stream into messages until it is `over`: its decoder said so, or it `failed`."""

    __slots__ = ("_frames", "failed", "over")

    def __init__(self) -> None:
        self._frames = Frames()
        self.over = False
        self.failed = False

    def feed(self, data: bytes, take: Take) -> list[Event]:
        """The events that these bytes complete."""
        events: list[Event] = []
        if self.over:
            return events
        try:
            for frame in self._frames.feed(data):
                message = read(frame)
                if message is not None and not self.over:
                    take(message, events)
        except MiraError as error:
            self._fail(error, events)
        return events

    def close(self, take: Take, is_complete: Callable[[], bool]) -> list[Event]:
        """The node closed: the events of a last frame without its end, and an error where the stream was cut."""
        events: list[Event] = []
        if self.over:
            return events
        try:
            frame = self._frames.close()
            message = read(frame) if frame else None
            # What is whole was only not closed; the rest was cut in the middle.
            if message is not None and (message.data == DONE or loose(message.data) is not None):
                take(message, events)
            if not is_complete():
                raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's stream was cut before its end.")
        except MiraError as error:
            self._fail(error, events)
        self.over = True
        return events

    def _fail(self, error: MiraError, events: list[Event]) -> None:
        self.over = self.failed = True
        events.append(ErrorEvent(error))
