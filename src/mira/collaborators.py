"""What the relay works with, as it sees it: the client's exchange, the nodes, the ledger, the keys, the counter.

The relay receives these; the packages above and beside it satisfy them without knowing of each other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Raw

from mira.codecs.codec import NodeCodec
from mira.codecs.media.shape import Shape
from mira.codecs.translation import Adapter
from mira.core.call import CallRecord
from mira.core.caller import Caller
from mira.core.conversation import Conversation, Inline
from mira.core.deadlines import Timeouts
from mira.core.file import File
from mira.core.fleet import Route
from mira.core.health import Health
from mira.core.ledger import Reserve, StoredAnswer
from mira.core.links import Linked
from mira.errors import MiraError

Headers = list[tuple[bytes, bytes]]


class ClientLeft(Exception):  # noqa: N818 - an outcome, not an error
    """The client closed its connection before its answer was complete."""


class RequestHeaders(Protocol):
    """The head of a request, all that authentication needs."""

    def header(self, name: bytes) -> str | None:
        """A request header by its lower-case name."""


class Waiting(Protocol):
    """A client as the gate sees it while it waits for its turn."""

    gone: bool
    on_gone: Callable[[], object] | None


class Exchange(Protocol):
    """One HTTP request and its answer, as the relay sees it. Writing never suspends; a slow client is `paused`.

    `head` are the request's headers by lower-case name, for whoever asks whether one was sent; `header` reads it.
    """

    head: Mapping[bytes, bytes]
    gone: bool
    paused: bool
    on_gone: Callable[[], object] | None
    on_resume: Callable[[], object] | None

    def header(self, name: bytes) -> str | None:
        """A request header by its lower-case name."""

    def body(self, limit_bytes: int) -> Awaitable[bytes]:
        """The whole body; MiraError TOO_LARGE, ClientLeft."""

    def start(self, status: int, headers: Headers) -> None:
        """Sends the head of a streamed answer."""

    def write(self, data: bytes) -> None:
        """Sends a piece of a streamed answer."""

    async def end(self, data: bytes) -> None:
        """Sends the last piece."""

    def cancel(self) -> None:
        """Cancels the task that answers this request."""

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Sends a whole answer."""


class Response(Protocol):
    """A node's answer whose head has arrived."""

    status: int

    def header(self, name: bytes) -> str | None:
        """A header by its lower-case name."""

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body."""

    def stream(self, on_data: Callable[[bytes], None]) -> asyncio.Future[None]:
        """Hands over the body piece by piece as it arrives, without suspension."""

    def pause(self) -> None:
        """Stops reading from the node."""

    def resume(self) -> None:
        """Goes on reading."""

    def close(self) -> None:
        """Gives the connection back if the answer is complete, else cuts it at once."""


class Node(Protocol):
    """One upstream of the fleet.

    `keeps_statement`: it lists all its charges; `remembers`: it tells that of one answer afterwards.
    """

    name: str
    cap_field: str
    dialect: str
    trusts_cost: bool
    keeps_statement: bool
    remembers: bool
    health: Health
    timeouts: Timeouts
    adapter: Adapter | None

    def codec_for(self, client: NodeCodec, *, responses: bool = False) -> NodeCodec:
        """The client's own protocol where the node speaks it, else the node's first; Responses where it must be."""

    def open(
        self,
        codec: NodeCodec,
        body: bytes,
        request_id: str,
        *,
        model: str,
        stream: bool,
        passed: RequestHeaders | None,
        timeouts: Timeouts,
        via: str,
    ) -> Awaitable[Response]:
        """Sends a request in a protocol that the node speaks.

        `passed` is the client's head on pass-through, `via` are the Miras that the request has passed.
        """

    def post(
        self,
        path: str,
        body: bytes,
        request_id: str,
        *,
        model: str,
        passed: RequestHeaders | None,
        timeouts: Timeouts | None = None,
        via: str = "",
        content_type: str | None = None,
    ) -> Awaitable[Response]:
        """Sends a body to a path of the node's, JSON where no `content_type` is told."""

    def media(self, output: str) -> Shape | None:
        """How the node is asked for an image, a video and the like; None where it makes none."""

    def fault(self, error: BaseException) -> MiraError:
        """What a broken transport means for the client."""


class Keyring(Protocol):
    """Finds the caller behind a key."""

    def known(self, secret: str) -> Caller | None:
        """The caller where the key was found before and is still good."""

    async def find(self, secret: str) -> Caller | None:
        """The caller, or None where the key is unknown, revoked or expired."""


class Catalog(Protocol):
    """The models of the fleet; `complete` once every node was asked for its own."""

    complete: bool

    def find(self, name: str) -> Route:
        """The route of a model; MiraError MODEL_NOT_FOUND naming near ones."""

    def serving(self, output: str) -> list[Route]:
        """The models that put this out, in the words of `mira.core.media`."""


class Hold(Protocol):
    """Credits set aside. `durable` is done when the hold is on disk, and fails when it could not be written.

    It is the future of all holds of a transaction: whoever awaits it shields it, or would cancel it for the others.
    `on_lost` is called then, where nobody waits for it.
    """

    id: str
    amount_nanocredits: int
    tokens: int
    durable: asyncio.Future[None]
    on_lost: Callable[[], object] | None


class Ledger(Protocol):
    """The only place where money changes."""

    async def reserve(self, request: Reserve) -> Hold:
        """Sets credits aside; returns a `Hold` on decision, MiraError NO_CREDITS with the figures."""

    def settle(
        self,
        hold_id: str,
        actual_nanocredits: int,
        record: CallRecord | None,
        *,
        cap_at_hold: bool = False,
        attempt_cost_nanocredits: int = 0,
        render: Callable[[int], StoredAnswer | None] | None = None,
    ) -> Awaitable[int]:
        """Bills a call, with `cap_at_hold` its hold at most; returns the nano-credits billed once they are durable.

        `render` makes what is kept for the call's Idempotency-Key, once the bill is known. A second settlement changes
        nothing and returns what the first one billed. `attempt_cost_nanocredits` is what failed attempts cost: the
        operator's.
        """

    async def void(self, hold_id: str, record: CallRecord, *, attempt_cost_nanocredits: int = 0) -> None:
        """Gives a hold back; `attempt_cost_nanocredits` as in `settle`."""

    def record(self, record: CallRecord) -> asyncio.Future[None]:
        """Records a call that took no hold; nobody has to wait for it."""

    def checkpoint(
        self, hold_id: str, amount_nanocredits: int, node: str | None = None, answer_id: str | None = None
    ) -> None:
        """Remembers what a running call has cost so far, for a crash, and which node could tell more, about what."""


class Observer(Protocol):
    """Hears of every call: for figures and the log."""

    def began(self, request_id: str) -> None:
        """A call began, in the task that answers it."""

    def ended(self, record: CallRecord) -> None:
        """A call is over; its record is final."""


class Memory(Protocol):
    """Answers of a workspace that its clients may refer to."""

    async def find(
        self, workspace_id: str, answer_id: str | None, item_ids: Sequence[str]
    ) -> tuple[tuple[Raw, ...] | None, Mapping[str, Raw]]:
        """What was said up to the end of an answer, and single items; what is not remembered is missing."""

    async def keep(self, workspace_id: str, answer_id: str, context: Sequence[Raw], items: Mapping[str, Raw]) -> None:
        """Remembers an answer."""


class Files(Protocol):
    """The files that workspaces left with Mira."""

    async def find(self, workspace_id: str, file_id: str) -> File:
        """A file of the workspace's; MiraError NOT_FOUND."""

    async def data(self, file: File) -> bytes:
        """A file's bytes as a whole."""


class Loader(Protocol):
    """Loads the media that a conversation links to, through the guard before all addresses that clients name."""

    async def inlined(
        self,
        conversation: Conversation,
        kinds: frozenset[str],
        fields: Mapping[str, Raw],
        loaded: dict[Linked, Inline],
    ) -> Conversation:
        """The conversation with data in place of links to media of these kinds; MiraError BAD_REQUEST."""

    async def load(self, url: str, field: str) -> bytes:
        """What is behind one address; MiraError BAD_REQUEST with the field."""


class Counter(Protocol):
    """Counts the tokens of texts in the encoding of a model."""

    async def count_request(self, model: str, fields: dict[str, Any]) -> int:
        """Tokens of a request's messages and tools."""

    async def count_text(self, model: str, text: str) -> int:
        """Tokens of a text."""
