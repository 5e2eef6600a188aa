"""The gate before a call's body: it takes a place for the call, lets it wait its turn, or sends it away."""

import asyncio
from collections.abc import Callable

from mira.collaborators import ClientLeft, Waiting
from mira.core.places import LONGEST_WAIT_S, Places, Tide
from mira.errors import Kind, MiraError

RETRY_AFTER_S = 1.0


class Gate:
    """The places of one process (see `mira.core.places`). `most` is how many calls may run at a time at best."""

    longest_wait_s = LONGEST_WAIT_S

    def __init__(self, most: int, monotonic_s: Callable[[], float]) -> None:
        self.places: Places[asyncio.Future[None]] = Places(most)
        #: takes a place where one is free; else False, and one may `wait`. Whoever has one must `leave`
        self.take = self.places.take
        self._tide = Tide(most)
        self._monotonic_s = monotonic_s

    async def enter(self, workspace_id: str, exchange: Waiting) -> None:
        """Takes a place, which its caller must `leave`. MiraError UNAVAILABLE, ClientLeft."""
        if not self.take():
            await self.wait(workspace_id, exchange)

    def leave(self) -> None:
        """Gives a place back, and calls whose turn it is."""
        self.places.leave(self._monotonic_s())
        if self.places.waiting:
            self._call()

    def loop_lagged(self, late_s: float) -> None:
        """Moves the number of places with a measure of the event loop."""
        places = self.places
        places.limit = self._tide.limit(places.limit, places.running, late_s)
        self._call()

    async def wait(self, workspace_id: str, exchange: Waiting) -> None:
        """Waits for a place where none is free; otherwise as `enter`."""
        loop = asyncio.get_running_loop()
        ticket: asyncio.Future[None] = loop.create_future()
        if not self.places.line_up(workspace_id, ticket, self._monotonic_s()):
            raise _sent_away()
        timer = loop.call_later(self.longest_wait_s, _give_up, ticket)
        exchange.on_gone = ticket.cancel
        try:
            if exchange.gone:
                ticket.cancel()
            await ticket
        except BaseException as error:
            if not self.places.withdraw(workspace_id, ticket) and _was_called(ticket):
                self.leave()  # its turn came in the same moment, and is somebody else's now
            if isinstance(error, asyncio.CancelledError) and exchange.gone:
                raise ClientLeft from None
            raise
        finally:
            exchange.on_gone = None
            timer.cancel()

    def _call(self) -> None:
        while (ticket := self.places.next()) is not None:
            if ticket.done():
                self.places.unused()
            else:
                ticket.set_result(None)


def _was_called(ticket: asyncio.Future[None]) -> bool:
    return ticket.done() and not ticket.cancelled() and ticket.exception() is None


def _give_up(ticket: asyncio.Future[None]) -> None:
    if not ticket.done():
        ticket.set_exception(_sent_away())


def _sent_away() -> MiraError:
    return MiraError(
        Kind.UNAVAILABLE, "Mira has more to do than it can now; try again shortly", retry_after_s=RETRY_AFTER_S
    )
