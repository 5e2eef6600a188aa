"""Carries a stream from a node to a client inside the transport's own callback: no task, no suspension per piece."""

import asyncio
from collections.abc import Callable

from mira.codecs.codec import AnswerStream
from mira.collaborators import Exchange, Hold, Response
from mira.core.fleet import Offer
from mira.errors import Kind, MiraError

#: Pieces of content beyond so many times the output cap, and some more: no way of counting tokens explains these.
RUNAWAY_FACTOR, RUNAWAY_TOKENS = 4, 1000


class Pump:
    """One stream on its way.

    The answer (`begin` sends its head) waits for the first content, until which another node may be tried, and for the
    durable hold. A slow client pauses the node. `flowing` is true once content went out; `spoke` is set whenever
    something does, for whoever watches over silence.
    """

    def __init__(
        self,
        exchange: Exchange,
        hold: Hold,
        offer: Offer,
        response: Response,
        stream: AnswerStream,
        *,
        begin: Callable[[], None],
    ) -> None:
        self.exchange = exchange
        self.hold = hold
        self.offer = offer
        self.response = response
        self.stream = stream
        self.flowing = False
        self.spoke = False
        self._begin = begin
        self._held_back: list[bytes] = []
        self._waiting = False
        exchange.on_resume = response.resume

    def on_data(self, data: bytes) -> None:
        """Takes a piece of the node's stream and sends what it becomes."""
        out = self.stream.feed(data)
        if self.flowing:
            if out:
                self.spoke = True
                self.exchange.write(out)
                if self.exchange.paused:
                    self.response.pause()
        else:
            if out:
                self._held_back.append(out)
            if self.stream.has_content:
                self._try_start()
        if self.stream.failed is not None:
            self.response.close()

    def start(self) -> None:
        """Sends the head and what was held back."""
        if self.flowing or self.exchange.gone:
            return
        self.flowing = self.spoke = True
        self._begin()
        if self._held_back:
            self.exchange.write(b"".join(self._held_back))
            self._held_back.clear()

    def give_up_beyond(self, cap_tokens: int) -> None:
        """Ends the stream in an error where its node has long passed the output cap, and would go on for ever."""
        stream = self.stream
        most = RUNAWAY_FACTOR * cap_tokens + RUNAWAY_TOKENS
        if stream.tally().deltas > most and stream.failed is None and not stream.ended:
            stream.failed = MiraError(Kind.UPSTREAM_FAILED, "the upstream did not stop at the output cap")
            self.response.close()

    def detach(self) -> None:
        """The node's stream is over: a hold that becomes durable later must not start an answer that was given up."""
        self.hold.durable.remove_done_callback(self._on_durable)

    def _try_start(self) -> None:
        if not self.hold.durable.done():
            if not self._waiting:
                self._waiting = True
                self.response.pause()
                self.hold.durable.add_done_callback(self._on_durable)
        elif not is_lost(self.hold):
            self.start()

    def _on_durable(self, _: asyncio.Future[None]) -> None:
        if self.flowing or self.exchange.gone:
            return
        self._try_start()
        self.response.resume()


def is_lost(hold: Hold | None) -> bool:
    """Whether the hold could not be written: its call is neither served nor charged."""
    return (
        hold is not None and hold.durable.done() and (hold.durable.cancelled() or hold.durable.exception() is not None)
    )
