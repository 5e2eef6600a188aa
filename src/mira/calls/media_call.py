"""One request for media on its way: the sheet on which the steps write, and what goes back."""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from mira.calls.charge import Charge
from mira.calls.media_pieces import Pieces
from mira.calls.media_wish import Asking, Wish
from mira.codecs.media.shape import Reader
from mira.collaborators import Headers
from mira.core.call import CallRecord
from mira.core.fleet import Offer
from mira.core.health import Attempt


class Reply(Struct, frozen=True):
    """What goes back: a whole body, or a `flow` that writes the rest with the function it is given.

    `flow` returns False for an answer that was cut and has no place to say so: its connection must not end as usual.
    """

    status: int
    headers: Headers
    body: bytes = b""
    flow: Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[bool]] | None = None


class MediaCall(Struct):
    """One request on its way; the working sheet."""

    asking: Asking
    record: CallRecord
    charge: Charge
    started_s: float
    via: str = ""
    limit_s: float | None = None
    chosen: Wish | None = None
    request: Any = None
    dropped: tuple[str, ...] = ()
    #: the offer that was asked last, and what is being learnt of its node
    offer: Offer | None = None
    attempt: Attempt | None = None
    #: whether it has a place among those that run
    placed: bool = False
    #: whether the answer goes on after its head was sent
    flowing: bool = False

    @property
    def wish(self) -> Wish:
        """The decoded request."""
        assert self.chosen is not None
        return self.chosen


class Opened(Struct, frozen=True):
    """A streamed answer of which something has been made: how it begins, and where the rest comes from."""

    first: bytes
    reader: Reader
    pieces: Pieces
