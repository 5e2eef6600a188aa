"""Answers that are kept for a client's Idempotency-Key: what goes out is written down, to be sent again on demand."""

from collections.abc import Callable
from hashlib import blake2b

from mira.calls.call import Call
from mira.calls.outgoing import JSON, answer_headers
from mira.collaborators import Exchange, Headers
from mira.core.ledger import Claim, StoredAnswer
from mira.errors import Kind, MiraError

IDEMPOTENCY_KEY = b"idempotency-key"
LONGEST_KEY = 255
#: Kept a little longer than the store will take, so that it sees that the answer is too long.
MOST_BYTES = 2**20 + 1
REPLAYED = (b"idempotent-replayed", b"true")


class Keeping:
    """An exchange that remembers what goes out; otherwise the one that it is given."""

    def __init__(self, exchange: Exchange) -> None:
        self.head = exchange.head
        self._exchange = exchange
        self._status = 0
        self._headers: Headers = []
        self._body = bytearray()

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self._exchange.gone

    @gone.setter
    def gone(self, gone: bool) -> None:
        self._exchange.gone = gone

    @property
    def paused(self) -> bool:
        """Whether the client is slow."""
        return self._exchange.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._exchange.paused = paused

    @property
    def on_gone(self) -> Callable[[], object] | None:
        """Called when the client leaves."""
        return self._exchange.on_gone

    @on_gone.setter
    def on_gone(self, called: Callable[[], object] | None) -> None:
        self._exchange.on_gone = called

    @property
    def on_resume(self) -> Callable[[], object] | None:
        """Called when a slow client has caught up."""
        return self._exchange.on_resume

    @on_resume.setter
    def on_resume(self, called: Callable[[], object] | None) -> None:
        self._exchange.on_resume = called

    def header(self, name: bytes) -> str | None:
        """A request header by its lower-case name."""
        return self._exchange.header(name)

    async def body(self, limit_bytes: int) -> bytes:
        """The whole body."""
        return await self._exchange.body(limit_bytes)

    def start(self, status: int, headers: Headers) -> None:
        """Sends the head of a streamed answer."""
        self._status, self._headers = status, headers
        self._exchange.start(status, headers)

    def write(self, data: bytes) -> None:
        """Sends a piece of a streamed answer."""
        if len(self._body) < MOST_BYTES:
            self._body += data
        self._exchange.write(data)

    async def end(self, data: bytes) -> None:
        """Sends the last piece."""
        await self._exchange.end(data)

    def cancel(self) -> None:
        """Cancels the task that answers this request."""
        self._exchange.cancel()

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Sends a whole answer."""
        await self._exchange.respond(status, headers, body)

    def stored(self, last: bytes) -> StoredAnswer | None:
        """The stream that was begun, ended by its last piece; None where nothing was."""
        if self._status == 0:
            return None
        return StoredAnswer(self._status, lines(self._headers), bytes(self._body) + last)


def keep_for_repetition(call: Call, body: bytes) -> None:
    """Claims a model request's Idempotency-Key, under which its answer is kept; MiraError BAD_REQUEST for none."""
    key = call.exchange.header(IDEMPOTENCY_KEY)
    if key:
        call.claim = claim_for(key, body, f"{call.surface.codec.name} {call.surface.face.value}")
        call.exchange = Keeping(call.exchange)


def claim_for(key: str, body: bytes | bytearray, kind: str) -> Claim:
    """The claim of an Idempotency-Key on a request of this kind; MiraError BAD_REQUEST where it is none."""
    if len(key) > LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise MiraError(
            Kind.BAD_REQUEST,
            f"Idempotency-Key: must be at most {LONGEST_KEY} printable ASCII characters",
            param="Idempotency-Key",
        )
    digest = blake2b(body, digest_size=16, person=b"mira-claim")
    digest.update(kind.encode())
    return Claim(key, digest.digest())


def keep_whole(call: Call, final: Callable[[int], bytes], billed_nanocredits: int) -> StoredAnswer:
    """What is kept of an answer that is sent whole."""
    headers = answer_headers(call, JSON, cost_nanocredits=billed_nanocredits)
    return StoredAnswer(200, lines(headers), final(billed_nanocredits))


def keep_stream(call: Call, final: Callable[[int], bytes], billed_nanocredits: int) -> StoredAnswer | None:
    """What is kept of a stream for its Idempotency-Key; None where it has none, or nothing was sent."""
    exchange = call.exchange
    return exchange.stored(final(billed_nanocredits)) if isinstance(exchange, Keeping) else None


def lines(headers: Headers) -> bytes:
    """Headers as they are stored."""
    return b"\r\n".join(name + b": " + value for name, value in headers)


def head_of(stored: StoredAnswer) -> Headers:
    """The headers of a stored answer, and the sign that it was not made anew."""
    headers: Headers = []
    for line in stored.headers.split(b"\r\n"):
        name, _, value = line.partition(b": ")
        headers.append((name, value))
    return [*headers, REPLAYED]


class Final:
    """The last piece of an answer, made once its cost is known; asked twice with one cost, it is made once."""

    def __init__(self, make: Callable[[int], bytes]) -> None:
        self._make = make
        self._made: tuple[int, bytes] | None = None

    def __call__(self, billed_nanocredits: int) -> bytes:
        """The piece, for a cost in nano-credits."""
        if self._made is None or self._made[0] != billed_nanocredits:
            self._made = billed_nanocredits, self._make(billed_nanocredits)
        return self._made[1]
