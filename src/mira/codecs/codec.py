"""The shape that every codec has: a record of pure functions, the same four pairs for the client and the node side.

A protocol stands on both sides. Where client and node speak the same one, the request and the answer pass through:
decoded to `dict[str, Raw]`, patched, encoded, every other value byte for byte as it came. Where they differ, one codec
parses and the other renders. The relay sees only what stands here.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Raw, Struct

from mira.core.capabilities import UNKNOWN, Capabilities
from mira.core.conversation import Answer, Conversation
from mira.core.events import Event
from mira.core.usage import Usage
from mira.errors import MiraError

#: Top-level names of a request that begin so are Mira's own and never leave it.
OWN_PREFIX = "mira"


class Envelope(Struct, kw_only=True):
    """A client's request, validated and opened as far as admission, routing and pass-through need.

    `output_cap` is the client's own (None where it set none), `choices` the answers it asked for (`n`). `input_bytes`
    bounds the input tokens of the text (a token is at least one byte), `media_parts` counts images, audio and files,
    which are bounded each. `fields` are the top-level values as they came, `wire` the codec's typed form of the body.
    """

    model: str
    stream: bool
    include_usage: bool
    output_cap: int | None
    choices: int
    input_bytes: int
    media_parts: int
    uses_tools: bool
    fields: dict[str, Raw]
    wire: Any


class Target(Struct, frozen=True, kw_only=True):
    """The node side of a request: how the node spells the model, the cap that was held, and the node's dialect.

    `cap_field` is the name that carries the cap (`max_tokens` or `max_completion_tokens`). `dialect` is a row of the
    codec's table of quirks, `capabilities` is what the model itself takes.
    """

    model: str
    output_cap: int
    cap_field: str = "max_tokens"
    dialect: str = ""
    capabilities: Capabilities = UNKNOWN


class Context(Struct, frozen=True, kw_only=True):
    """What an encoder must be told, since a codec has no clock and no randomness.

    `answer_id` is the id of the answer, `request_id` that of the call, `created_s` Unix seconds. `model` is the name to
    show, or None to keep the upstream's. `strip_provider` drops the provider prefix of the upstream's model (the
    Inference Service). `request` is the client's, which an answer in some protocols repeats or follows (tool names,
    legacy functions); only translation needs it.
    """

    answer_id: str
    created_s: int
    request_id: str = ""
    model: str | None = None
    strip_provider: bool = False
    include_usage: bool = True
    request: Conversation | None = None


class Decoder(Protocol):
    """Turns the bytes of a node's stream into events; any split of the bytes gives the same events."""

    def feed(self, data: bytes) -> list[Event]:
        """Events that are complete after these bytes."""

    def close(self) -> list[Event]:
        """The last events; a stream that was cut ends in an `ErrorEvent`, never in a clean stop."""


class Encoder(Protocol):
    """Turns events into the bytes of a client's stream."""

    def feed(self, event: Event) -> bytes:
        """Bytes to send now; the final usage and the terminal are kept for `finish`."""

    def finish(self, usage: Usage, cost_nanocredits: int | None) -> bytes:
        """The end of a successful stream: usage (with the cost) where asked for, then the terminal."""

    def abort(self, error: MiraError) -> bytes:
        """The end of a failed stream: the protocol's error and no success terminal."""


class Tally(Struct):
    """What a stream has delivered so far: the floor of the bill when it is cut before the usage.

    `deltas` counts the pieces of content, reasoning and tool arguments, `text` is what they said. `prompt` holds the
    input counts where the node told them before it answered (Anthropic): its other counts mean nothing.
    """

    deltas: int = 0
    text: list[str] = []
    prompt: Usage | None = None


class AnswerStream(Protocol):
    """One streamed answer on its way from a node to a client: pass-through or translation, the relay cannot tell.

    `usage` is set once the node told it. `failed` is set when the node reported an error in the stream. `ended` is true
    once the node said that the answer is complete. `has_content` is true once something was delivered that rules out a
    failover. `answer_id` is what the node calls its answer, None until it told that.
    """

    answer_id: str | None
    usage: Usage | None
    failed: MiraError | None
    ended: bool
    has_content: bool

    def feed(self, data: bytes) -> bytes:
        """Takes the node's bytes, gives the client's. Never the final usage nor the terminal."""

    def close(self) -> bytes:
        """The node's stream is over: flushes what was held back; sets `ended` or `failed`."""

    def tally(self) -> Tally:
        """What was delivered so far."""

    def finish(self, usage: Usage, cost_nanocredits: int | None) -> bytes:
        """The end of a successful stream."""

    def abort(self, error: MiraError) -> bytes:
        """The end of a failed stream."""


class PassedAnswer(Protocol):
    """A whole answer on pass-through."""

    usage: Usage | None

    def tally(self) -> Tally:
        """What the answer says, for a node that told no usage."""

    def render(self, usage: Usage, cost_nanocredits: int | None) -> bytes:
        """The body for the client: `usage.cost` added (credits), the model's prefix stripped where asked for."""


def takes_links(_target: Target) -> frozenset[str]:
    """For protocols whose nodes load every URL themselves: nothing must be data."""
    return frozenset()


def _status_of(error: MiraError) -> int:
    return error.status


class NodeCodec(Struct, frozen=True, kw_only=True):
    """The node side of a wire protocol: all that a protocol has which only nodes speak (Gemini)."""

    name: str
    render_request: Callable[[Conversation, Target], tuple[bytes, tuple[str, ...]]]
    parse_answer: Callable[[bytes], Answer]
    decoder: Callable[[], Decoder]
    #: a node's (status, body) becomes ours
    parse_error: Callable[[int, bytes], MiraError]
    #: the kinds of media ("image", "document") that a node takes as data only, not by URL
    needs_data: Callable[[Target], frozenset[str]] = takes_links


class Codec(NodeCodec, frozen=True, kw_only=True):
    """One wire protocol, both sides.

    `passes_only` is true for an operation that has one shape everywhere: only nodes that speak it can serve it.
    """

    #: request: validates and opens (MiraError BAD_REQUEST with the field's name), then, only to translate, parses whole
    open_request: Callable[[bytes], Envelope]
    parse_request: Callable[[Envelope], Conversation]
    #: same protocol on both sides
    pass_request: Callable[[Envelope, Target], bytes]
    pass_answer: Callable[[bytes, Context], PassedAnswer]
    pass_stream: Callable[[Context], AnswerStream]
    #: whole answers and streams towards the client
    render_answer: Callable[[Answer, Context, int | None], bytes]
    encoder: Callable[[Context], Encoder]
    #: ours becomes the client's body
    render_error: Callable[[MiraError, str], bytes]
    passes_only: bool = False
    #: what a silent stream is kept open with: clients skip it
    keepalive: bytes = b": keepalive\n\n"
    #: the HTTP status under which an error is told
    status_of: Callable[[MiraError], int] = _status_of
    #: its own names of what other codecs call by the name of Chat Completions
    words: Mapping[str, str] = {}
    #: the request without the model's earlier reasoning, where nodes may be unable to read that
    forget: Callable[[Envelope], Envelope] | None = None


class References(Struct, frozen=True):
    """What a request refers to: an earlier answer, and single items of earlier answers."""

    response_id: str | None
    item_ids: tuple[str, ...]


class Remembered(Struct, frozen=True):
    """One answer to keep: its id, all that was said up to its end, and its own items by id."""

    response_id: str
    context: tuple[Raw, ...]
    items: dict[str, Raw]


class Recall(Struct, frozen=True, kw_only=True):
    """How a protocol lets clients refer to earlier answers (see `mira.codecs.responses.memory`)."""

    references: Callable[[Envelope], References]
    keeps: Callable[[Envelope], bool]
    resolved: Callable[[Envelope, tuple[Raw, ...] | None, Mapping[str, Raw], bool], Envelope]
    remembered: Callable[[Envelope, bytes], Remembered | None]
