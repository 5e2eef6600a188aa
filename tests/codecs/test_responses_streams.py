"""What Responses promises of streams: splits do not matter, cuts are errors, and what clients get keeps the grammar."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter
from tests.codecs.responses_streams import (
    CONTEXT,
    FAILURE,
    USAGE,
    Node,
    decoded,
    encoded,
    frame,
    passed,
    plain,
    response,
    said,
    shown,
    whole,
)
from tests.generators.conversations import USAGES, event_streams, pieces, splits
from tests.grammar.responses import check_responses_stream

from mira.codecs.responses import RESPONSES
from mira.core import conversation as c
from mira.core import events as e
from mira.core.conversation import FinishReason
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

GOLDEN = (Path(__file__).parents[1] / "vectors/responses/golden.sse").read_bytes()
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def variants(stream: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from(
        [
            stream,
            stream.replace(b"\n", b"\r\n"),
            stream.replace(b"\n", b"\r"),
            stream.replace(b"event: ", b": keepalive\n\nevent:"),
            stream.replace(b"event: ", b": hi\nid: 7\nevent: "),
            re.sub(rb'(?<!\\)":', b'": ', stream).replace(b'","', b'", "'),
            stream + b"data: [DONE]\n\n",
            b"\n\n".join(frame.partition(b"\n")[2] for frame in stream.split(b"\n\n")),
        ]
    )


def test_the_golden_stream_passes_with_the_charge_in_its_usage() -> None:
    out, machine = whole(GOLDEN, [])
    assert out == GOLDEN.replace(b'"total_tokens":15}', b'"total_tokens":15,"cost":0.000000042}')
    assert machine.ended
    assert machine.usage == Usage(input_tokens=6, cache_read_tokens=4, output_tokens=4, reasoning_tokens=1)
    check_responses_stream(out)


def test_the_golden_stream_is_read_and_told_again_the_same() -> None:
    events = decoded(GOLDEN)
    assert events[0] == e.Start(model="m", id="resp_1")
    assert events[-2:] == [
        e.UsageEvent(Usage(input_tokens=6, cache_read_tokens=4, output_tokens=4, reasoning_tokens=1)),
        e.Finish(reason=FinishReason.TOOL_CALLS),
    ]
    native = {"format": "openai-responses-v1", "id": "rs_1"}
    parts = [
        c.Reasoning(kind="summary", text="hm", **native),
        c.Reasoning(kind="encrypted", data="enc", **native),
        c.Text(text="Hi ✓"),
        c.ToolCall(id="call_a", name="f", input='{"x":1}'),
    ]
    assert said(events) == parts
    out = encoded(events)
    told = check_responses_stream(out)
    assert said(decoded(out)) == parts
    golden = [json.loads(line[6:]) for line in GOLDEN.decode().splitlines() if line.startswith("data: ")]
    assert [event["type"] for event in told] == [event["type"] for event in golden]


@given(st.data())
def test_any_split_passes_the_same_bytes(data: st.DataObject) -> None:
    stream = data.draw(variants(GOLDEN))
    cuts = data.draw(splits(len(stream)))
    out, machine = whole(stream, cuts)
    expected, other = whole(stream, [])
    assert out == expected
    assert len(check_responses_stream(out)) == GOLDEN.count(b"event: ")
    assert "".join(machine.tally().text) == "".join(other.tally().text) == 'hmHi ✓{"x":1}'
    assert machine.ended


@given(event_streams(), st.data())
def test_any_stream_of_another_mira_passes_through_unchanged(events: list[e.Event], data: st.DataObject) -> None:
    stream = encoded(events)
    machine = RESPONSES.pass_stream(CONTEXT)
    out = b"".join(machine.feed(piece) for piece in pieces(stream, data.draw(splits(len(stream))))) + machine.close()
    assert machine.ended
    assert out + machine.finish(USAGE, None) == stream


@given(st.data())
def test_any_split_gives_the_same_events(data: st.DataObject) -> None:
    stream = data.draw(variants(GOLDEN))
    assert plain(decoded(stream, data.draw(splits(len(stream))))) == plain(decoded(GOLDEN))


def test_every_single_split_of_the_golden_stream_gives_the_same() -> None:
    expected, events = whole(GOLDEN, [])[0], plain(decoded(GOLDEN))
    for cut in range(len(GOLDEN)):
        assert whole(GOLDEN, [cut])[0] == expected
        assert plain(decoded(GOLDEN, [cut])) == events


@given(event_streams(), USAGES)
def test_whatever_is_encoded_keeps_the_grammar_and_the_sdk_reads_it(events: list[e.Event], usage: Usage) -> None:
    told = check_responses_stream(encoded(events, usage=usage))
    for event in told:
        EVENTS.validate_python(event)
    assert told[-1]["response"]["usage"]["input_tokens"] == usage.prompt_tokens


@given(event_streams(choices=2))
def test_a_second_choice_is_left_out(events: list[e.Event]) -> None:
    first = [event for event in events if not getattr(event, "choice", 0)]
    assert encoded(events) == encoded(first)


@given(event_streams(), st.data())
def test_a_failure_at_any_event_ends_in_an_error_and_never_in_a_success(
    events: list[e.Event], data: st.DataObject
) -> None:
    encoder = RESPONSES.encoder(CONTEXT)
    count = data.draw(st.integers(0, len(events)))
    out = b"".join(encoder.feed(event) for event in events[:count]) + encoder.abort(FAILURE)
    told = check_responses_stream(out)
    assert told[-1]["type"] == ("response.failed" if count else "error")
    EVENTS.validate_python(told[-1])


@given(event_streams(), USAGES)
def test_what_is_encoded_is_decoded_again(events: list[e.Event], usage: Usage) -> None:
    back = decoded(encoded(events, usage=usage))
    assert back[0] == e.Start(model="up/m", id=CONTEXT.answer_id)
    assert said(back) == said(events)
    assert back[-2:] == [e.UsageEvent(usage), events[-1]]


@given(event_streams())
def test_the_last_event_says_what_the_stream_said(events: list[e.Event]) -> None:
    final = check_responses_stream(encoded(events))[-1]["response"]
    answer = RESPONSES.parse_answer(json.dumps(final).encode())
    assert [shown(part) for part in answer.choices[0].parts] == said(events)
    assert answer.choices[0].finish == events[-1].reason


@given(event_streams())
def test_every_cut_before_the_terminal_is_one_error(events: list[e.Event]) -> None:
    stream = encoded(events)
    for cut in range(0, len(stream) - 3, max(1, len(stream) // 40)):
        out, machine = whole(stream[:cut], [])
        assert machine.failed is not None
        assert not machine.ended
        assert check_responses_stream(out)[-1]["type"] in ("response.failed", "error")
        back = decoded(stream[:cut])
        assert [index for index, event in enumerate(back) if isinstance(event, e.ErrorEvent)] == [len(back) - 1]
        assert not any(isinstance(event, e.Finish) for event in back)


def test_a_response_that_only_began_does_not_rule_out_another_node() -> None:
    machine = RESPONSES.pass_stream(CONTEXT)
    machine.feed(Node().begin().stream)
    assert not machine.has_content
    machine.feed(Node().say("output_item.added", output_index=0, item={"type": "message"}).stream)
    assert machine.has_content


ERROR = {"code": "server_error", "message": "no"}
IN_BAND = [
    (frame("error", {"type": "error", "code": "rate_limit_exceeded", "message": "slow", "param": None}), Kind.RATE_LIMITED),
    (frame("error", {"type": "error", "error": {"type": "server_error", "message": "x"}}), Kind.UPSTREAM_FAILED),
    (frame("error", {"error": {"message": "no", "code": 429}}), Kind.RATE_LIMITED),
    (b'data: {"error":{"message":"no","type":"overloaded_error"}}\n\n', Kind.UNAVAILABLE),
    (b'data: {"error":"oops"}\n\n', Kind.UPSTREAM_FAILED),
    (b"event: response.completed\ndata: {broken\n\n", Kind.UPSTREAM_FAILED),
    (Node().end([], "failed", error=ERROR), Kind.UPSTREAM_FAILED),
    (Node().end([], "failed", error={"code": "context_length_exceeded", "message": "x"}), Kind.CONTEXT_TOO_LONG),
    (Node().end([], "failed", error={"code": "insufficient_quota", "message": "x"}), Kind.UPSTREAM_CREDITS),
    (Node().end([], "failed", error={"code": "invalid_prompt", "message": "x"}), Kind.BAD_REQUEST),
    (Node().end([], "failed", error=None), Kind.UPSTREAM_FAILED),
    (Node().end([], "completed", error=ERROR), Kind.UPSTREAM_FAILED),
    (Node().say("completed").stream, Kind.UPSTREAM_FAILED),
    (Node().say("completed", response=None).stream, Kind.UPSTREAM_FAILED),
    (Node().end([], "cancelled"), Kind.UPSTREAM_FAILED),
]  # fmt: skip


@pytest.mark.parametrize("after_content", [True, False])
@pytest.mark.parametrize(("failure", "kind"), IN_BAND)
def test_an_error_in_the_stream_is_a_failure_and_never_a_success(
    failure: bytes, kind: Kind, after_content: bool
) -> None:
    before = Node().begin()
    if after_content:
        before.item(0, {"type": "message", "id": "m", "role": "assistant", "content": "x"})
    stream = before.stream + failure + Node().end([])
    out, machine = whole(stream, [])
    assert machine.failed is not None
    assert machine.failed.kind is kind
    assert b"response.completed" not in out
    assert out.count(b"event: response.failed") == 1
    back = decoded(stream)
    assert isinstance(back[-1], e.ErrorEvent)
    assert back[-1].error.kind is kind


def test_a_rate_limit_tells_clients_when_to_try_again() -> None:
    encoder = RESPONSES.encoder(CONTEXT)
    encoder.feed(e.Start(model="m"))
    out = encoder.abort(MiraError(Kind.RATE_LIMITED, "Slow down.", retry_after_s=1.5))
    error = json.loads(out.split(b"data: ")[1])["response"]["error"]
    assert error == {"code": "rate_limit_exceeded", "message": "Slow down. Please try again in 1.5s."}


def test_an_incomplete_response_is_a_success_that_says_why() -> None:
    stream = Node().begin().end([], "incomplete", incomplete_details={"reason": "max_output_tokens"})
    out, machine = whole(stream, [])
    assert machine.ended
    assert out.count(b"event: response.incomplete") == 1
    assert decoded(stream)[-1] == e.Finish(reason=FinishReason.LENGTH)
    filtered = Node().begin().end([], "incomplete", incomplete_details={"reason": "content_filter"})
    assert decoded(filtered)[-1] == e.Finish(reason=FinishReason.CONTENT_FILTER)


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (FinishReason.LENGTH, "max_output_tokens"),
        (FinishReason.CONTEXT_FULL, "max_output_tokens"),
        (FinishReason.CONTENT_FILTER, "content_filter"),
        (FinishReason.REFUSAL, "content_filter"),
        (FinishReason.STOP_SEQUENCE, None),
        (FinishReason.PAUSE, None),
    ],
)
def test_every_reason_to_stop_has_its_status(reason: FinishReason, told: str | None) -> None:
    out = encoded([e.Start(model="m"), e.TextDelta(text="x"), e.Finish(reason=reason)])
    final = check_responses_stream(out)[-1]["response"]
    assert final["incomplete_details"] == (None if told is None else {"reason": told})
    assert final["output"][0]["status"] == final["status"] == ("completed" if told is None else "incomplete")


def test_the_provider_prefix_is_stripped_wherever_the_model_is_named() -> None:
    node = Node().begin().say("in_progress", response=response("in_progress", []))
    stream = node.item(0, {"type": "message", "role": "assistant", "content": "x"}).end([])
    out, _ = whole(stream, [], msgspec.structs.replace(CONTEXT, strip_provider=True))
    assert out.count(b'"model":"m"') == 3
    assert b"up/m" not in out


def test_a_missing_usage_is_told_as_mira_counted_it() -> None:
    out, machine = whole(Node().begin().end([], usage=None), [])
    assert machine.usage is None
    assert json.loads(out.split(b"data: ")[-1])["response"]["usage"]["input_tokens"] == 3


def test_searches_that_the_provider_ran_are_counted() -> None:
    search = {"type": "web_search_call", "id": "ws", "status": "completed"}
    assert passed(Node().begin().end([search, search]), [])[1].usage == Usage(
        input_tokens=5, output_tokens=2, web_searches=2
    )
    told = {"web_search": {"num_requests": 1}}
    assert passed(Node().begin().end([search, search], tool_usage=told), [])[1].usage == Usage(
        input_tokens=5, output_tokens=2, web_searches=1
    )


def test_the_tally_holds_all_that_was_delivered() -> None:
    machine = RESPONSES.pass_stream(CONTEXT)
    node = Node().begin()
    for index in range(900):
        node.say("output_text.delta", output_index=0, content_index=0, item_id="m", delta=f'v{index} "\\✓')
    node.say("function_call_arguments.delta", output_index=1, item_id="f", delta='{"x":')
    for place in range(0, len(node.stream), 1000):
        machine.feed(node.stream[place : place + 1000])
    tally = machine.tally()
    assert tally.deltas == 901
    assert 'v899 "\\✓{"x":' in "".join(tally.text)


def test_a_frame_too_large_fails_the_stream() -> None:
    machine = RESPONSES.pass_stream(CONTEXT)
    for _ in range(17):
        machine.feed(b"x" * 2**20)
    assert machine.failed is not None
    assert machine.failed.kind is Kind.UPSTREAM_FAILED


def test_an_event_that_matters_to_nobody_may_have_any_fields() -> None:
    stream = Node().begin().say("mcp_call.strange", delta={"a": 1}, item=7, output_index="x").end([])
    assert decoded(stream)[-1] == e.Finish(reason=FinishReason.STOP)


def test_items_that_only_the_protocol_knows_are_told_whole() -> None:
    search = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"q": 1.50}}
    back = decoded(Node().begin().item(0, search).end([search]))
    blocks = [event for event in back if isinstance(event, e.OpaqueBlock)]
    assert [json.loads(bytes(block.data)) for block in blocks] == [search]
    assert check_responses_stream(encoded(back))[-1]["response"]["output"] == [search]


def test_citations_reach_clients_of_both_openai_protocols() -> None:
    note = {"type": "url_citation", "start_index": 0, "end_index": 1, "url": "https://x.test", "title": "t"}
    stream = (
        Node()
        .begin()
        .say("output_text.delta", output_index=0, content_index=0, item_id="m", delta="x")
        .say("output_text.annotation.added", output_index=0, content_index=0, item_id="m", annotation=note)
        .end([{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x", "annotations": [note]}]}])
    )  # fmt: skip
    back = decoded(stream)
    notes = [event for event in back if isinstance(event, e.AnnotationDelta)]
    shared = {"type": "url_citation", "url_citation": {name: note[name] for name in note if name != "type"}}
    assert [(event.format, json.loads(bytes(event.data))) for event in notes] == [("chat", shared)]
    final = check_responses_stream(encoded(back))[-1]["response"]
    assert final["output"][0]["content"][0]["annotations"] == [note]


def test_pictures_of_other_nodes_become_items() -> None:
    pictures = [
        e.ImageBlock(source=c.Inline("image/jpeg", "AAAA")),
        e.ImageBlock(source=c.Link("https://x.test/a.png")),
    ]
    events = [e.Start(model="m"), e.TextDelta(text="Look:"), *pictures, e.Finish(reason=FinishReason.STOP)]
    stream = check_responses_stream(encoded(events))
    for event in stream:
        EVENTS.validate_python(event)
    words, item, link = stream[-1]["response"]["output"]
    assert words["content"][0]["text"] == "Look:"
    assert (item["type"], item["result"], item["output_format"]) == ("image_generation_call", "AAAA", "jpeg")
    assert link["content"][0]["text"] == "![picture](https://x.test/a.png)"


def test_ends_that_are_told_again_and_again_add_only_what_was_not_told() -> None:
    """Of what is told to be over, however often and with however little, only what goes beyond it is new."""
    count, place = 20_000, {"item_id": "m", "output_index": 0, "content_index": 0}
    node = Node().begin()
    deltas = [frame("", {"type": "response.output_text.delta", "delta": f"{n} ", **place}) for n in range(count)]
    text = "".join(f"{n} " for n in range(count))
    overs = [
        frame("", {"type": "response.output_text.done", "text": told, **place})
        for told in (*["0 1 "] * count, text[:-1] + "x" * 9, text, text + "end")
    ]
    message = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    stream = b"".join([node.stream, *deltas, *overs]) + Node().end([message])
    told = decoded(stream, [])
    texts = [event.text for event in told if isinstance(event, e.TextDelta)]
    assert texts == [*(f"{n} " for n in range(count)), "end"]
    assert isinstance(told[-1], e.Finish)
