"""What goes out to the client: what its codec needs to write an answer, and the head of that."""

from functools import lru_cache
from math import ceil

from mira.calls.call import Call
from mira.codecs.codec import Context
from mira.collaborators import Headers
from mira.core.conversation import Conversation
from mira.core.money import credits_text
from mira.errors import MiraError

JSON = b"application/json"


def context_of(call: Call, conversation: Conversation | None) -> Context:
    """What the client's codec needs to write an answer: ids, time, and the request where it was translated."""
    surface, record = call.surface, call.record
    return Context(
        answer_id=surface.answer_prefix + record.request_id,
        created_s=record.started_at_ms // 1000,
        request_id=record.request_id,
        strip_provider=surface.strips_provider,
        include_usage=call.envelope.include_usage,
        request=conversation,
    )


def answer_headers(
    call: Call, content_type: bytes, *, early: bool = False, cost_nanocredits: int | None = None
) -> Headers:
    """The head of an answer, with its cost where that is known; an `early` one, before a node spoke, names none."""
    record, names = call.record, call.surface.request_id_headers
    request_id = record.request_id.encode()
    headers = [(b"content-type", content_type), (names[0], request_id)]
    if len(names) > 1:
        headers += [(name, request_id) for name in names[1:]]
    headers += _origin(record.model, None if early else record.node)
    if call.dropped:
        headers.append((b"x-mira-dropped", ",".join(call.dropped).encode()))
    if call.clamped:
        headers.append((b"x-mira-max-tokens", b"%d" % call.output_cap))
    if cost_nanocredits is not None:
        headers.append((b"x-mira-cost", credits_text(cost_nanocredits).encode()))
    return headers


@lru_cache(maxsize=1024)
def _origin(model: str, node: str | None) -> Headers:
    """The headers that name where an answer comes from: a fleet has few, and each call has one of them."""
    model_header = (b"x-mira-model", model.encode())
    return [model_header, (b"x-mira-node", node.encode())] if node else [model_header]


def error_headers(
    error: MiraError, request_id: str, request_id_headers: tuple[bytes, ...] = (b"x-request-id",)
) -> Headers:
    """The headers that go with an error body."""
    headers = [(b"content-type", JSON), *((name, request_id.encode()) for name in request_id_headers)]
    if error.kind.value.retry is not None:
        headers.append((b"x-should-retry", b"true" if error.kind.value.retry else b"false"))
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, ceil(error.retry_after_s))).encode()))
    return headers
