"""How one kind of node makes one kind of media: a record of pure functions, one for each kind of node and medium.

What a client asks is a typed request of its medium (`images.ImageRequest` and others). A shape writes it as the node
reads it, and reads the node's answer into `Made`. `mira.nodes.media` is the table of shapes by kind of node.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from mira.core.usage import Usage
from mira.errors import MiraError


class Target(Struct, frozen=True):
    """For which model (the node's own spelling) and which dialect of the node's wire a request is written."""

    model: str
    dialect: str = ""


class Outgoing(Struct, frozen=True, kw_only=True):
    """A request as it goes to a node: `path` is appended to the base URL, `{model}` in it stands for the model.

    `content_type` None is JSON. `dropped` are the fields of the client's that this node cannot be told.
    """

    path: str
    body: bytes
    content_type: str | None = None
    dropped: tuple[str, ...] = ()


class Received(Struct, frozen=True, kw_only=True):
    """A node's whole answer with a status of 200 to 299. `cost` is the text of its `x-mira-cost`, if it told one."""

    body: bytes
    content_type: str = ""
    cost: str | None = None


class Made(Struct, frozen=True, kw_only=True):
    """What a node made: `content` in the terms of the medium, and the usage that it told, with its own charge."""

    content: Any
    usage: Usage | None = None


class NothingMadeError(MiraError):
    """A node's answer in which nothing was made, although it tells a usage: its node charges that all the same."""

    def __init__(self, why: MiraError, usage: Usage) -> None:
        super().__init__(why.kind, why.message, param=why.param, code=why.code)
        self.usage = usage


class Reader(Protocol):
    """Carries a streamed answer from node to client. One that knows no end by itself has `ended` after `close`.

    `has_content` tells that something was made, after which no other node is asked. `failed` is an error that the node
    told in its stream.
    """

    has_content: bool
    ended: bool
    failed: MiraError | None
    usage: Usage | None

    def feed(self, data: bytes) -> bytes:
        """A piece of the node's answer; returns what the client gets of it."""

    def close(self) -> bytes:
        """The node's answer is over; returns what was held back, but for the end."""

    def finish(self, cost_nanocredits: int) -> bytes:
        """The end for the client, with the cost where the protocol has a place for it."""

    def abort(self, error: MiraError) -> bytes:
        """The end for the client of an answer that was cut; empty where it has no place to say so."""


class Shape(Struct, frozen=True, kw_only=True):
    """How a kind of node makes a medium.

    `render` writes a request for a node, `read` reads a whole answer: MiraError UPSTREAM_FAILED where it is none, or
    what the node refused inside of it; NothingMadeError where that tells a usage. `parse_error` reads an answer with an
    error status. `open_stream` is set where the node can stream; other nodes answer whole. `lacks` names the field of a
    request that the node cannot serve and that must not be dropped, so that another node is asked or the request is
    refused; `instead` says by field what the node can serve. `parts` takes a request apart into those that are asked
    side by side, where a node makes one thing at a time; `join` puts together what they made.
    """

    name: str
    render: Callable[[Any, Target], Outgoing]
    read: Callable[[Received, Any], Made]
    parse_error: Callable[[int, bytes], MiraError]
    open_stream: Callable[[Any], Reader] | None = None
    lacks: Callable[[Any], str | None] = lambda _: None
    instead: Mapping[str, str] = {}
    parts: Callable[[Any], Sequence[Any]] | None = None
    join: Callable[[Sequence[Made]], Made] = lambda made: made[0]
