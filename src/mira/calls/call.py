"""One request on its way: the surface it came in by, and the sheet on which the relay's steps write."""

from collections.abc import Callable

from msgspec import Struct

from mira.calls.pump import Pump
from mira.codecs.codec import Codec, Envelope, Recall
from mira.collaborators import Exchange, Hold
from mira.core.call import CallRecord
from mira.core.caller import Caller, Face
from mira.core.capabilities import UNKNOWN, Capabilities
from mira.core.conversation import Inline
from mira.core.deadlines import Timeouts
from mira.core.fleet import ANY, Need
from mira.core.health import Attempt, Trouble
from mira.core.links import Linked
from mira.errors import MiraError


class Surface(Struct, frozen=True):
    """A face of Mira under one protocol. `request_id_headers` are the names under which answers tell their id.

    `recall` is set where clients may refer to earlier answers.
    """

    codec: Codec
    face: Face
    answer_prefix: str = "chatcmpl-"
    request_id_headers: tuple[bytes, ...] = (b"x-request-id",)
    recall: Recall | None = None


class Call(Struct):
    """One request on its way; the relay's working sheet. Each step finds on it what the steps before wrote."""

    exchange: Exchange
    surface: Surface
    record: CallRecord
    started_s: float
    known_caller: Caller | None = None
    #: whether it has a place among those that run
    placed: bool = False
    opened: Envelope | None = None
    output_cap: int = 0
    #: the Miras that the request has passed, this one included
    via: str = ""
    hold: Hold | None = None
    settled: bool = False
    keeps: bool = False
    prompt_tokens: int | None = None
    clamped: bool = False
    dropped: tuple[str, ...] = ()
    pump: Pump | None = None
    #: whether the head of a stream has gone out, with content or ahead of it
    begun: bool = False
    #: ticks without a word to the client; the first one comes early
    silent_ticks: int = -1
    loaded: dict[Linked, Inline] = {}
    capabilities: Capabilities = UNKNOWN
    forgets: bool = False
    need: Need = ANY
    #: the client's own limit for the whole call, in seconds
    limit_s: float | None = None
    attempt: Attempt | None = None
    timeouts: Timeouts = Timeouts()
    #: what failed attempts cost at their nodes: the operator's, never the customer's
    attempt_cost_nanocredits: int = 0

    @property
    def caller(self) -> Caller:
        """Who calls; set by the first step."""
        assert self.known_caller is not None
        return self.known_caller

    @property
    def envelope(self) -> Envelope:
        """The decoded request; set by the second step."""
        assert self.opened is not None
        return self.opened

    def elapsed_ms(self, monotonic_s: Callable[[], float]) -> int:
        """Milliseconds since the request came."""
        return int((monotonic_s() - self.started_s) * 1000)


class AttemptFailed(Exception):  # noqa: N818 - an outcome, not an error
    """A node failed before any content; another may be tried unless the request itself is wrong (`INNOCENT`)."""

    def __init__(self, error: MiraError, trouble: Trouble) -> None:
        super().__init__(error.message)
        self.error = error
        self.trouble = trouble
