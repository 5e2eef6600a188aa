"""What a request for media is to the steps of a call: its size, its price's variants, and how its answer is written."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from msgspec import Struct

from mira.codecs.media.shape import Made
from mira.collaborators import Headers
from mira.core.caller import Caller
from mira.core.usage import Usage


class Asking(Protocol):
    """Who asks, as the steps of a call see it."""

    caller: Caller
    request_id: str

    def header(self, name: bytes) -> str | None:
        """A request header by its lower-case name."""

    async def left(self) -> None:
        """Returns when the client has left; only to be called when the body has been read."""


class Answer(Struct, frozen=True):
    """What a client is sent: content type, body, further headers."""

    content_type: str
    body: bytes
    headers: Headers = []


class Told(Struct, frozen=True):
    """What is known of a call when its answer is written: canonical model, what it cost, its id, when it began."""

    model: str
    cost_nanocredits: int
    request_id: str
    created_s: int


class Wish(Struct, frozen=True, kw_only=True):
    """A decoded request for media.

    `output` is what is to be put out ("image", …), `request` its typed form, which shapes render. `model` is what the
    client wrote, None for the default. `variants` name the price of what was made, or of what was asked for where it
    is given None (see `core.media.at`). `bound` is the most that it can use, and is held; `bound_of` is that of one
    part, for nodes that are asked part by part. `brought` is what it uses even where its client leaves before anything
    came. `digest` is what an Idempotency-Key stands for. `surplus` are fields of the client's that nobody is told.

    `prepare` completes the request when it is paid for, before a node is asked (it loads what the request links to).
    `estimate` is the usage of what was made, for nodes that tell none; of None, of what was under way. `finish` sees
    to what was made before it is charged (it stores it). `render` writes the answer.
    """

    output: str
    request: Any
    model: str | None
    bound: Usage
    bound_of: Callable[[Any], Usage] | None = None
    digest: bytes
    render: Callable[[Made, Told], Answer]
    estimate: Callable[[Made | None], Usage]
    brought: Usage = Usage()
    variants: Callable[[Made | None], tuple[str, ...]] = lambda _: ()
    surplus: tuple[str, ...] = ()
    stream: bool = False
    stream_type: str = "text/event-stream; charset=utf-8"
    prepare: Callable[[Any], Awaitable[Any]] | None = None
    finish: Callable[[Made], Awaitable[Made]] | None = None
