"""Whatever a codec tells its clients is what the protocol's vendor says that it may be, for any answer and any stream."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.generators.conversations import conversations, event_streams
from tests.support.schemas import check

from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec, Context
from mira.codecs.messages import MESSAGES
from mira.codecs.responses import RESPONSES
from mira.core import conversation as c
from mira.core import events as e
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

CODECS = (CHAT, MESSAGES, RESPONSES)
USAGE = Usage(input_tokens=5, cache_read_tokens=4, cache_write_1h_tokens=3, output_tokens=2, reasoning_tokens=1)
#: Types of errors that Anthropic documents, though its SDK has no class for them.
DOCUMENTED_ONLY = ("request_too_large", "conflict_error")
clients = pytest.mark.parametrize("client", CODECS, ids=lambda codec: codec.name)


def context(request: c.Conversation | None = None) -> Context:
    return Context(answer_id="answer_1", created_s=1, request_id="req_1", request=request)


def told(data: bytes) -> Iterator[Any]:
    """The values of a stream's frames."""
    return (json.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: {"))


def said(request: c.Conversation) -> tuple[c.AssistantPart, ...]:
    """What a model said in a conversation, as if it were its answer, without what goes through as a vendor wrote it."""
    parts = next((turn.parts for turn in request.turns if isinstance(turn, c.AssistantTurn)), ())
    return tuple(replace(part, annotations=(), format=None) if isinstance(part, c.Text) else part
                 for part in parts if not isinstance(part, c.Opaque))  # fmt: skip


def asked(request: c.Conversation) -> c.Conversation:
    """The request without what no client of Responses can say, whose answers repeat it, and without its tools.

    Tools come back as the client wrote them, and holding each against every kind of tool there is takes long.
    """
    form = request.response_format
    has_form = not isinstance(form, c.JsonSchema) or form.schema is not None
    return replace(request, tools=(), tool_choice=None, response_format=form if has_form else None)


def told_in_our_words(events: list[e.Event], client: Codec) -> list[e.Event]:
    """The events that the schemas know: none that goes through as a vendor wrote it, and no free-form call in a stream
    of Chat Completions, which OpenAI sends but has not written down.
    """
    free = {
        event.index
        for event in events
        if client is CHAT and isinstance(event, e.ToolCallStart) and event.kind == "custom"
    }
    return [
        event
        for event in events
        if not isinstance(event, e.OpaqueBlock | e.AnnotationDelta)
        and not (isinstance(event, e.ToolCallStart | e.ToolCallDelta) and event.index in free)
    ]


@clients
@settings(max_examples=25)
@given(request=conversations(), reason=st.sampled_from(c.FinishReason))
def test_any_whole_answer_is_as_the_vendor_says(client: Codec, request: c.Conversation, reason: c.FinishReason) -> None:
    choice = c.Choice(parts=said(request), finish=reason)
    answer = c.Answer(id="x", model="m", choices=(choice,), usage=USAGE)
    check(client.name, "answer", json.loads(client.render_answer(answer, context(asked(request)), 42)))


@clients
@settings(max_examples=25)
@given(events=event_streams(), request=conversations(), data=st.data())
def test_any_stream_is_as_the_vendor_says_to_its_end_or_its_failure(
    client: Codec, events: list[Any], request: c.Conversation, data: st.DataObject
) -> None:
    encoder = client.encoder(context(asked(request)))
    events = told_in_our_words(events, client)
    count = data.draw(st.integers(0, len(events)))
    out = b"".join([encoder.feed(event) for event in events[:count]])
    if count == len(events):
        out += encoder.finish(USAGE, 42)
    else:
        out += encoder.abort(MiraError(Kind.UPSTREAM_FAILED, "The upstream failed."))
    for event in told(out):
        check(client.name, "event", event)


@clients
@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name)
def test_any_error_is_as_the_vendor_says(client: Codec, kind: Kind) -> None:
    body = json.loads(client.render_error(MiraError(kind, "It went wrong.", param="messages"), "req_1"))
    if client is MESSAGES and body["error"]["type"] in DOCUMENTED_ONLY:
        body["error"]["type"] = "api_error"
    check(client.name, "error", body)
