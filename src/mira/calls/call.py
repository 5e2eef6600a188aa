"""One request on its way: the surface it came in by, and the sheet on which the relay's steps write."""

from msgspec import Struct
from msgspec.structs import force_setattr

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
from mira.core.ledger import Claim
from mira.core.links import Linked
from mira.errors import MiraError


class Surface(Struct, frozen=True):
    """A face of Mira under one protocol. `request_id_headers` are the names under which answers tell their id.

    `recall` is set where clients may refer to earlier answers. `face_name` and `strips_provider` follow from the face:
    its word in records, and whether models are shown without their provider.
    """

    codec: Codec
    face: Face
    answer_prefix: str = "chatcmpl-"
    request_id_headers: tuple[bytes, ...] = (b"x-request-id",)
    recall: Recall | None = None
    face_name: str = ""
    strips_provider: bool = False

    def __post_init__(self) -> None:
        force_setattr(self, "face_name", self.face.value)
        force_setattr(self, "strips_provider", self.face is Face.INFERENCE)


#: What stands on a call's sheet before its first and its second step.
NOBODY = Caller("", "", Face.PROXY)
UNREAD = Envelope(
    model="",
    stream=False,
    include_usage=False,
    output_cap=None,
    choices=1,
    input_bytes=0,
    media_parts=0,
    uses_tools=False,
    fields={},
    wire=None,
)


class Call(Struct):
    """One request on its way; the relay's working sheet. Each step finds on it what the steps before wrote."""

    exchange: Exchange
    surface: Surface
    record: CallRecord
    started_s: float
    #: the decoded request
    envelope: Envelope
    #: who calls
    caller: Caller = NOBODY
    #: whether it has a place among those that run
    placed: bool = False
    #: whether it was sent away since no node has room; one of a flood, which must cost little
    shed: bool = False
    #: the request as its client put it, where files were put into the one that goes out
    asked: Envelope | None = None
    output_cap: int = 0
    #: what its text and media surely do not exceed, in tokens
    input_bound_tokens: int = 0
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
    claim: Claim | None = None


def new_call(exchange: Exchange, surface: Surface, request_id: str, *, now_ms: int, started_s: float) -> Call:
    """The sheet of a request of which nothing is known yet but its head."""
    own_id = printable(exchange.header(b"x-request-id")) if b"x-request-id" in exchange.head else None
    record = CallRecord(
        request_id=request_id,
        client_request_id=own_id,
        workspace_id="",
        key_id="",
        face=surface.face_name,
        protocol=surface.codec.name,
        model="",
        started_at_ms=now_ms,
    )
    return Call(exchange, surface, record, started_s, UNREAD)


def printable(text: str | None) -> str | None:
    """An id of somebody else's as it can be kept and logged; None for one that cannot."""
    return text[:128] if text and text.isascii() and text.isprintable() else None


class AttemptFailed(Exception):  # noqa: N818 - an outcome, not an error
    """A node failed before any content; another may be tried unless the request itself is wrong (`INNOCENT`)."""

    def __init__(self, error: MiraError, trouble: Trouble) -> None:
        super().__init__(error.message)
        self.error = error
        self.trouble = trouble
