"""The ways in which an upstream of the tests answers: well, or with one of the faults that gateways meet.

Each fault is a coroutine over a `Turn`, the hands on the wire for one request; `FAULTS` names them all.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
from tests.support.upstream import DONE, frame

FILLER = b"a" * 65_536
PAGE = b"<!doctype html><html><body>Please sign in to the network.</body></html>"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a node answers. `fault` is a name of `FAULTS`, empty for none.

    `first_token_s` passes before anything is said and `gap_s` between words. A stream has `words` words of content, of
    which `after_words` come before the fault. With `burst_s` the fault comes and goes, for so many seconds each time.
    """

    fault: str = ""
    first_token_s: float = 0.0
    gap_s: float = 0.0
    words: int = 4
    after_words: int = 0
    retry_after_s: int = 5
    drip_s: float = 0.005
    burst_s: float = 0.0


class Seen(msgspec.Struct, kw_only=True):
    """One chat request: when it came, when the answer was whole, when the gateway left before that.

    `status` is what was answered (0 for a connection that was cut), `worst_case_nanocredits` what it could have cost.
    """

    at_s: float
    stream: bool
    fault: str
    headers: dict[str, str]
    status: int = 0
    worst_case_nanocredits: int = 0
    unpayable: bool = False
    answered_at_s: float | None = None
    closed_at_s: float | None = None


class Wire(Protocol):
    """A connection on which one request is being answered."""

    writable: asyncio.Event
    asked: "Seen | None"
    transport: Any

    def write(self, data: bytes) -> None: ...
    def answered(self, status: int, data: bytes = b"") -> None: ...
    def cut(self) -> None: ...


class Turn:
    """A fault's hands on the wire, for one request: the body of a whole answer, the pieces of a streamed one."""

    def __init__(self, wire: Wire, seen: Seen, behaviour: Behaviour, body: bytes, pieces: list[bytes]) -> None:
        self.wire = wire
        self.seen = seen
        self.behaviour = behaviour
        self.body = body
        self.pieces = pieces

    async def send(self, data: bytes) -> None:
        self.wire.write(data)
        if not self.wire.writable.is_set():
            await self.wire.writable.wait()

    async def begin(self) -> None:
        """The head, and for a stream the role and the words that come before the fault."""
        if not self.seen.stream:
            await self.send(head(200, len(self.body)))
            return
        words = self.pieces[1 : 1 + self.behaviour.after_words]
        await self.send(STREAM_HEAD + b"".join(map(chunk, [self.pieces[0], *words])))

    async def gone(self) -> None:
        """Waits until the gateway leaves."""
        await asyncio.get_running_loop().create_future()


async def _well(turn: Turn) -> None:
    gap_s = turn.behaviour.gap_s
    if not turn.seen.stream:
        if gap_s:
            await asyncio.sleep(gap_s * turn.behaviour.words)
        turn.wire.answered(200, whole(200, turn.body))
        return
    if not gap_s:
        turn.wire.answered(200, STREAM_HEAD + b"".join(map(chunk, turn.pieces)) + b"0\r\n\r\n")
        return
    await turn.send(STREAM_HEAD)
    for piece in turn.pieces[:-1]:
        await turn.send(chunk(piece))
        await asyncio.sleep(gap_s)
    turn.wire.answered(200, chunk(turn.pieces[-1]) + b"0\r\n\r\n")


async def _hang(turn: Turn) -> None:
    await turn.gone()


async def _hang_after_head(turn: Turn) -> None:
    await turn.begin()
    await turn.gone()


async def _reset(turn: Turn) -> None:
    await turn.begin()
    if not turn.seen.stream:
        await turn.send(turn.body[:20])
    # What was written has to be on its way before the reset, which would overtake it.
    await asyncio.sleep(0.02)
    turn.wire.cut()


async def _too_many(turn: Turn) -> None:
    error = {"error": {"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}}
    turn.wire.answered(429, whole(429, error, f"retry-after: {turn.behaviour.retry_after_s}\r\n"))


async def _broken(turn: Turn) -> None:
    turn.wire.answered(500, whole(500, {"error": {"message": "out of order", "type": "server_error"}}))


def _refusal(status: int, code: str) -> Callable[[Turn], Awaitable[None]]:
    """A refusal that is about our account or the model, not about the request."""

    async def refuse(turn: Turn) -> None:
        turn.wire.answered(
            status, whole(status, {"error": {"message": "refused: the model or the account", "code": code}})
        )

    return refuse


async def _garbage(turn: Turn) -> None:
    if turn.seen.stream:
        turn.wire.answered(
            200, STREAM_HEAD + chunk(b'data: {"id":"chatcmpl-1","choices":[{{{\n\n' + DONE) + b"0\r\n\r\n"
        )
    else:
        turn.wire.answered(200, whole(200, b'{"id":"chatcmpl-1","choices":[{{{'))


async def _partial(turn: Turn) -> None:
    await turn.begin()
    if turn.seen.stream:
        turn.wire.answered(200, chunk(turn.pieces[1][:30]) + b"0\r\n\r\n")
    else:
        await turn.send(turn.body[: len(turn.body) // 2])
        turn.seen.answered_at_s = time.monotonic()
        turn.wire.asked = None
        turn.wire.transport.close()


async def _error_in_200(turn: Turn) -> None:
    error = {"error": {"message": "The server is overloaded", "type": "overloaded_error", "code": 529}}
    if turn.seen.stream:
        turn.wire.answered(200, STREAM_HEAD + chunk(turn.pieces[0]) + chunk(frame(error)) + b"0\r\n\r\n")
    else:
        turn.wire.answered(200, whole(200, error))


async def _drip(turn: Turn) -> None:
    data = STREAM_HEAD + b"".join(map(chunk, turn.pieces)) + b"0\r\n\r\n" if turn.seen.stream else whole(200, turn.body)
    for index in range(len(data) - 1):
        await turn.send(data[index : index + 1])
        await asyncio.sleep(turn.behaviour.drip_s)
    turn.wire.answered(200, data[-1:])


async def _wrong_type(turn: Turn) -> None:
    turn.wire.answered(
        200, b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n" % len(PAGE) + PAGE
    )


async def _endless(turn: Turn) -> None:
    if turn.seen.stream and turn.behaviour.after_words:
        await turn.begin()
        while True:
            await turn.send(chunk(turn.pieces[1]))
            await asyncio.sleep(turn.behaviour.drip_s)
    await turn.send(STREAM_HEAD + chunk(b'data: {"id":"'))
    while True:
        await turn.send(chunk(FILLER))
        await asyncio.sleep(0)


#: Every way to answer. `refuse` closes the port, so no request meets it.
FAULTS: dict[str, Callable[[Turn], Awaitable[None]]] = {
    "": _well,
    "refuse": _well,
    "hang": _hang,
    "hang-after-head": _hang_after_head,
    "reset": _reset,
    "429": _too_many,
    "500": _broken,
    "401": _refusal(401, "invalid_api_key"),
    "402": _refusal(402, "insufficient_quota"),
    "404": _refusal(404, "model_not_found"),
    "garbage": _garbage,
    "partial": _partial,
    "error-in-200": _error_in_200,
    "drip": _drip,
    "wrong-type": _wrong_type,
    "endless": _endless,
}


def whole(status: int, body: Any, more: str = "") -> bytes:
    """A whole answer: bytes as they are, else JSON; `more` are header lines."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return head(status, len(data), more) + data


def head(status: int, length: int, more: str = "") -> bytes:
    return f"HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\n{more}content-length: {length}\r\n\r\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
