"""What Messages promises of streams: splits do not matter, cuts are errors, and what clients get keeps the grammar."""

import json
from pathlib import Path
from typing import Any

import pydantic
import pytest
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.generators.conversations import USAGES, event_streams, pieces, splits
from tests.grammar.messages import check_messages_stream, content_of

from mira.codecs import in_words
from mira.codecs.carried import uncarry, uncarry_signature
from mira.codecs.codec import AnswerStream, Context
from mira.codecs.messages import MESSAGES
from mira.core import events as e
from mira.core.conversation import FinishReason, Reasoning
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

GOLDEN = (Path(__file__).parents[1] / "vectors/messages/golden.sse").read_bytes()
CONTEXT = Context(answer_id="msg_mira", created_s=1_700_000_000)
USAGE = Usage(input_tokens=3, output_tokens=2)
FAILURE = MiraError(Kind.UPSTREAM_FAILED, "cut")
SDK_EVENT = pydantic.TypeAdapter(RawMessageStreamEvent)


def frame(kind: str, **told: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **told}, ensure_ascii=False)}\n\n".encode()


def start(**usage: Any) -> bytes:
    usage = {"input_tokens": 6, "cache_read_input_tokens": 4, "output_tokens": 1, **usage}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "up/m", "content": [], "stop_reason": None}
    return frame("message_start", message={**head, "stop_sequence": None, "usage": usage})


def block(index: int, given: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    return (
        frame("content_block_start", index=index, content_block=given)
        + b"".join(frame("content_block_delta", index=index, delta=delta) for delta in deltas)
        + frame("content_block_stop", index=index)
    )


def text(index: int, *said: str) -> bytes:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": one} for one in said))


def end(reason: str = "end_turn", **usage: Any) -> bytes:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return frame("message_delta", delta=delta, usage={"output_tokens": 5, **usage})


STOP = frame("message_stop")


def passed(stream: bytes, cuts: list[int], context: Context = CONTEXT) -> tuple[bytes, AnswerStream]:
    machine = MESSAGES.pass_stream(context)
    out = b"".join(machine.feed(piece) for piece in pieces(stream, cuts)) + machine.close()
    return out, machine


def whole(stream: bytes, cuts: list[int], context: Context = CONTEXT) -> tuple[bytes, AnswerStream]:
    out, machine = passed(stream, cuts, context)
    last = machine.abort(machine.failed) if machine.failed else machine.finish(machine.usage or USAGE, 42)
    return out + last, machine


def decoded(stream: bytes, cuts: list[int] | None = None) -> list[e.Event]:
    machine = MESSAGES.decoder()
    events = [event for piece in pieces(stream, cuts or []) for event in machine.feed(piece)]
    return events + machine.close()


def plain(events: list[e.Event]) -> list[object]:
    return [(event.error.kind, event.error.message) if isinstance(event, e.ErrorEvent) else event for event in events]


def encoded(events: list[e.Event], usage: Usage = USAGE, context: Context = CONTEXT) -> bytes:
    encoder = MESSAGES.encoder(context)
    return b"".join(encoder.feed(event) for event in events) + encoder.finish(usage, 7)


def variants(stream: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from(
        [
            stream,
            stream.replace(b"\n", b"\r\n"),
            stream.replace(b"\n", b"\r"),
            stream.replace(b"event: ", b": keep-alive\n\nevent: "),
            stream.replace(b"data: {", b": hi\nid: 7\ndata:{"),
            stream.replace(b',"', b',\ndata: "'),
            stream.replace(b'","', b'", "').replace(b'":', b'": '),
        ]
    )


def test_the_golden_stream_passes_with_the_charge_in_its_last_usage() -> None:
    out, machine = whole(GOLDEN, [])
    assert out == GOLDEN.replace(b'"output_tokens":5}', b'"output_tokens":5,"cost":0.000000042}')
    assert machine.ended
    assert machine.usage == Usage(input_tokens=6, cache_read_tokens=4, output_tokens=5)
    assert machine.tally().text == ["hm", "Hi ✓", "f", '{"x":1}']
    assert machine.tally().prompt is not None
    assert machine.tally().prompt.cache_read_tokens == 4
    for event in check_messages_stream(out):
        if event["type"] != "ping":
            SDK_EVENT.validate_python(event)


def test_the_last_usage_waits_for_the_end() -> None:
    out, machine = passed(GOLDEN, [])
    assert b"message_delta" not in out
    assert b"message_stop" not in out
    assert machine.finish(USAGE, None).startswith(b"event: message_delta\n")


@given(st.data())
def test_any_split_passes_the_same_bytes(data: st.DataObject) -> None:
    stream = data.draw(variants(GOLDEN))
    cuts = data.draw(splits(len(stream)))
    out, machine = whole(stream, cuts)
    expected, other = whole(stream, [])
    assert out == expected
    assert machine.tally() == other.tally()
    check_messages_stream(out)


def test_every_single_split_of_the_golden_stream_gives_the_same() -> None:
    expected, events = whole(GOLDEN, [])[0], plain(decoded(GOLDEN))
    for cut in range(len(GOLDEN)):
        assert whole(GOLDEN, [cut])[0] == expected
        assert plain(decoded(GOLDEN, [cut])) == events


@given(st.data())
def test_any_split_gives_the_same_events(data: st.DataObject) -> None:
    stream = data.draw(variants(GOLDEN))
    cuts = data.draw(splits(len(stream)))
    assert plain(decoded(stream, cuts)) == plain(decoded(stream))


def test_a_proxys_done_behind_the_end_or_before_it_changes_nothing() -> None:
    done = b"data: [DONE]\n\n"
    assert decoded(GOLDEN + done) == decoded(GOLDEN)
    without_stop = GOLDEN.partition(b"event: message_stop")[0]
    assert decoded(without_stop + done) == decoded(without_stop) == decoded(GOLDEN)
    (*_, last) = decoded(GOLDEN[: GOLDEN.index(b"event: message_delta")] + done)
    assert isinstance(last, e.ErrorEvent)


def test_the_golden_stream_becomes_events() -> None:
    sign = "anthropic-claude-v1"
    usage = Usage(input_tokens=6, cache_read_tokens=4, output_tokens=5)
    assert decoded(GOLDEN) == [
        e.Start(model="m", id="msg_1", usage=replace(usage, output_tokens=1)),
        e.ReasoningDelta(block=0, text="hm", format=sign),
        e.ReasoningDelta(block=0, signature="c2ln", format=sign),
        e.TextDelta(text="Hi ✓"),
        e.ToolCallStart(index=0, id="toolu_a", name="f"),
        e.ToolCallDelta(index=0, fragment='{"x":1}'),
        e.Finish(reason=FinishReason.TOOL_CALLS),
        e.UsageEvent(usage),
    ]


@given(event_streams(choices=2), USAGES)
def test_whatever_is_encoded_keeps_the_grammar(events: list[e.Event], usage: Usage) -> None:
    for event in check_messages_stream(encoded(events, usage)):
        SDK_EVENT.validate_python(event)


@given(event_streams(choices=2), st.data())
def test_a_failure_at_any_event_ends_in_an_error_and_never_in_a_stop(
    events: list[e.Event], data: st.DataObject
) -> None:
    encoder = MESSAGES.encoder(CONTEXT)
    count = data.draw(st.integers(0, len(events)))
    out = b"".join(encoder.feed(event) for event in events[:count]) + encoder.abort(FAILURE)
    assert check_messages_stream(out)[-1]["type"] == "error"


@given(event_streams())
def test_nothing_of_an_answer_is_lost(events: list[e.Event]) -> None:
    blocks = content_of(check_messages_stream(encoded(events)))
    said = "".join(
        in_words.picture(event.source) if isinstance(event, e.ImageBlock) else event.text
        for event in events
        if isinstance(event, e.TextDelta | e.RefusalDelta | e.ImageBlock)
    )
    assert "".join(block["text"] for block in blocks if block["type"] == "text") == said
    thought = "".join(event.text for event in events if isinstance(event, e.ReasoningDelta))
    assert "".join(block["thinking"] for block in blocks if block["type"] == "thinking") == thought
    told = [block for block in blocks if block["type"] == "tool_use"]
    starts = [event for event in events if isinstance(event, e.ToolCallStart)]
    assert [(block["id"], block["name"]) for block in told] == [(call.id, call.name) for call in starts]
    for call, block in zip(starts, told, strict=True):
        pieces_of = [
            event.fragment for event in events if isinstance(event, e.ToolCallDelta) and event.index == call.index
        ]
        arguments = "".join(pieces_of)
        if call.kind == "custom":
            assert json.loads(block["input"]) == {"input": arguments}
        else:
            assert block["input"] == arguments
    hidden = [block["data"] for block in blocks if block["type"] == "redacted_thinking"]
    signed = {signature for one in hidden if (signature := uncarry_signature(one))}
    assert signed == {(call.id, call.signature) for call in starts if call.signature}


@given(event_streams(), st.data())
def test_any_stream_of_another_mira_passes_through_unchanged(events: list[e.Event], data: st.DataObject) -> None:
    encoder = MESSAGES.encoder(CONTEXT)
    stream = b"".join(encoder.feed(event) for event in events) + encoder.finish(USAGE, None)
    machine = MESSAGES.pass_stream(CONTEXT)
    cuts = data.draw(splits(len(stream)))
    out = b"".join(machine.feed(piece) for piece in pieces(stream, cuts)) + machine.close()
    assert machine.ended
    assert out + machine.finish(USAGE, None) == stream


@given(event_streams())
def test_every_cut_before_the_reason_is_one_error(events: list[e.Event]) -> None:
    stream = encoded(events)
    last = stream.rindex(b"event: message_delta")
    for cut in range(0, last + 3, max(1, last // 30)):
        out, machine = whole(stream[:cut], [])
        assert machine.failed is not None
        assert machine.failed.kind is Kind.UPSTREAM_FAILED
        assert not machine.ended
        assert check_messages_stream(out)[-1]["type"] == "error"
        back = decoded(stream[:cut])
        assert [type(event) for event in back].count(e.ErrorEvent) == 1
        assert isinstance(back[-1], e.ErrorEvent)


def test_a_reason_without_the_stop_is_a_success() -> None:
    stream = start() + text(0, "x") + end()
    out, machine = whole(stream, [])
    assert machine.ended
    check_messages_stream(out)
    assert decoded(stream)[-2] == e.Finish(reason=FinishReason.STOP)


def test_a_stop_without_a_reason_is_told_one() -> None:
    stream = start() + text(0, "x") + STOP
    out, machine = whole(stream, [])
    assert machine.usage is None
    assert check_messages_stream(out)[-2]["usage"]["cost"] == 42e-9
    assert decoded(stream)[-1] == e.Finish(reason=FinishReason.STOP)


def test_a_stop_without_an_answer_is_a_failure() -> None:
    for stream in (STOP, text(0, "x"), end() + STOP):
        assert passed(stream, [])[1].failed is not None
        assert isinstance(decoded(stream)[-1], e.ErrorEvent)


def test_pings_pass_anywhere() -> None:
    ping = frame("ping")
    stream = ping + start() + ping + text(0, "x") + ping + end() + STOP
    out, machine = whole(stream, [])
    assert out.count(b"event: ping") == 3
    assert machine.ended
    check_messages_stream(out)
    assert decoded(stream) == decoded(stream.replace(ping, b""))


def test_frames_without_a_name_get_one() -> None:
    stream = b"\n".join(line for line in GOLDEN.split(b"\n") if not line.startswith(b"event:"))
    assert whole(stream, [])[0] == whole(GOLDEN, [])[0]
    assert decoded(stream) == decoded(GOLDEN)


def test_the_beginning_alone_does_not_rule_out_another_node() -> None:
    machine = MESSAGES.pass_stream(CONTEXT)
    machine.feed(
        start() + frame("ping") + frame("content_block_start", index=0, content_block={"type": "text", "text": ""})
    )
    assert not machine.has_content
    machine.feed(frame("content_block_delta", index=0, delta={"type": "text_delta", "text": "x"}))
    assert machine.has_content


def error(kind: str, message: str = "x") -> bytes:
    return frame("error", error={"type": kind, "message": message})


IN_BAND = [
    (error("overloaded_error"), Kind.UNAVAILABLE),
    (error("rate_limit_error"), Kind.RATE_LIMITED),
    (error("authentication_error"), Kind.UPSTREAM_AUTH),
    (error("timeout_error"), Kind.UPSTREAM_TIMEOUT),
    (error("api_error"), Kind.UPSTREAM_FAILED),
    (error("invalid_request_error", "prompt is too long: 9 tokens > 5 maximum"), Kind.CONTEXT_TOO_LONG),
    (b'data: {"error":{"message":"no","code":429}}\n\n', Kind.RATE_LIMITED),
    (b'event: error\ndata: {"error":"boom"}\n\n', Kind.UPSTREAM_FAILED),
    (b"event: message_delta\ndata: {broken\n\n", Kind.UPSTREAM_FAILED),
]


@pytest.mark.parametrize("after_content", [True, False])
@pytest.mark.parametrize(("failure", "kind"), IN_BAND)
def test_an_error_in_the_stream_is_a_failure_and_never_a_success(
    failure: bytes, kind: Kind, after_content: bool
) -> None:
    stream = start() + (text(0, "x") if after_content else b"") + failure + text(1, "more") + end() + STOP
    out, machine = whole(stream, [])
    assert machine.failed is not None
    assert machine.failed.kind is kind
    assert b"message_stop" not in out
    assert b"more" not in out
    check_messages_stream(out)
    last = decoded(stream)[-1]
    assert isinstance(last, e.ErrorEvent)
    assert last.error.kind is kind


def test_the_provider_prefix_is_stripped_from_the_start() -> None:
    out, _ = whole(start() + text(0, "x") + end() + STOP, [], replace(CONTEXT, strip_provider=True))
    assert check_messages_stream(out)[0]["message"]["model"] == "m"
    assert b"up/m" not in out


def test_only_the_last_delta_of_the_message_is_kept() -> None:
    early = frame("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 3})
    out, machine = passed(start() + text(0, "x") + early + end() + STOP, [])
    assert out.count(b"event: message_delta") == 1
    assert machine.usage == Usage(input_tokens=6, cache_read_tokens=4, output_tokens=5)


@pytest.mark.parametrize("told", [None, [], "5", 5, True])
def test_a_last_delta_without_counts_leaves_those_told_before(told: Any) -> None:
    early = frame("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 3})
    last = frame("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=told)
    out, machine = whole(start() + text(0, "x") + early + last + STOP, [])
    assert machine.usage == Usage(input_tokens=6, cache_read_tokens=4, output_tokens=3)
    ending = json.loads(out.split(b"data: ")[-2].partition(b"\n")[0])
    assert ending["delta"]["stop_reason"] == "end_turn"
    assert ending["usage"]["cost"] == 42e-9
    assert ending["usage"]["output_tokens"] == 3


def test_the_tally_holds_all_that_was_delivered() -> None:
    machine = MESSAGES.pass_stream(CONTEXT)
    machine.feed(start() + text(0, *[f"w{i} \n" for i in range(900)]))
    machine.feed(
        block(
            1,
            {"type": "tool_use", "id": "a", "name": "f", "input": {}},
            {"type": "input_json_delta", "partial_json": '{"x":'},
        )
    )
    tally = machine.tally()
    assert tally.deltas == 902
    assert "".join(tally.text).endswith('w899 \nf{"x":')


def test_a_frame_too_large_fails_the_stream() -> None:
    machine = MESSAGES.pass_stream(CONTEXT)
    machine.feed(b"event: x\ndata: ")
    for _ in range(17):
        machine.feed(b"x" * 2**20)
    assert machine.failed is not None


def test_a_call_without_deltas_has_the_input_that_it_began_with() -> None:
    stream = (
        start()
        + block(0, {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}})
        + block(1, {"type": "tool_use", "id": "b", "name": "g", "input": {}})
        + end("tool_use")
        + STOP
    )
    assert [event.fragment for event in decoded(stream) if isinstance(event, e.ToolCallDelta)] == ['{"x":1}', "{}"]


def test_server_tools_are_whole_blocks() -> None:
    asked = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    stream = (
        start()
        + block(
            0,
            asked,
            {"type": "input_json_delta", "partial_json": '{"q":'},
            {"type": "input_json_delta", "partial_json": "1}"},
        )
        + block(1, {"type": "redacted_thinking", "data": "xyz"})
        + block(2, {"type": "tool_use", "id": "a", "name": "f", "input": {}})
        + end("tool_use")
        + STOP
    )
    told = decoded(stream)
    assert json.loads(bytes(told[1].data)) == {**asked, "input": {"q": 1}}
    assert told[2] == e.ReasoningDelta(block=0, kind="encrypted", data="xyz", format="anthropic-claude-v1")
    assert told[3].index == 0
    check_messages_stream(encoded(told))


def test_citations_come_with_the_text_they_belong_to() -> None:
    place = {
        "type": "page_location",
        "cited_text": "c",
        "document_index": 0,
        "start_page_number": 1,
        "end_page_number": 2,
    }
    found = {
        "type": "web_search_result_location",
        "url": "https://x",
        "title": "X",
        "cited_text": "c",
        "encrypted_index": "e",
    }
    given = {"type": "text", "text": ""}
    deltas = [
        {"type": "text_delta", "text": "abc"},
        *({"type": "citations_delta", "citation": one} for one in (place, found)),
    ]
    told = decoded(start() + block(0, given, *deltas) + end() + STOP)
    notes = [event for event in told if isinstance(event, e.AnnotationDelta)]
    assert [note.format for note in notes] == ["anthropic", "chat"]
    assert json.loads(bytes(notes[1].data))["url_citation"]["start_index"] == 3
    events = check_messages_stream(encoded(told))
    assert [
        event["delta"]["citation"] for event in events if event.get("delta", {}).get("type") == "citations_delta"
    ] == [place]


def test_a_refusal_is_told_with_its_words() -> None:
    delta = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": {"type": "refusal", "explanation": "No."}}
    stream = start() + frame("message_delta", delta=delta, usage={"output_tokens": 1}) + STOP
    told = decoded(stream)
    assert told[1:3] == [e.RefusalDelta(text="No."), e.Finish(reason=FinishReason.REFUSAL)]
    events = check_messages_stream(encoded(told))
    assert events[-2]["delta"]["stop_reason"] == "refusal"


def test_thinking_of_another_provider_rides_in_the_signature() -> None:
    events = [
        e.Start(model="m"),
        e.ReasoningDelta(block=0, kind="summary", text="sum", format="openai-responses-v1", id="rs_1"),
        e.ReasoningDelta(block=1, kind="encrypted", data="gAAA", format="openai-responses-v1", id="rs_1"),
        e.ReasoningDelta(block=2, text="bare"),
        e.Finish(reason=FinishReason.STOP),
    ]
    blocks = content_of(check_messages_stream(encoded(events)))
    assert [block["type"] for block in blocks] == ["thinking", "redacted_thinking", "thinking"]
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": "y"},
    ]
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": messages}).encode()
    told = MESSAGES.parse_request(MESSAGES.open_request(body)).turns[1].parts
    assert told == (
        Reasoning(kind="summary", text="sum", format="openai-responses-v1", id="rs_1"),
        Reasoning(kind="encrypted", data="gAAA", format="openai-responses-v1", id="rs_1"),
        Reasoning(text="bare"),
    )
    assert uncarry("mira1:broken") is None


def test_the_second_of_two_calls_starts_as_soon_as_the_first_is_whole() -> None:
    encoder = MESSAGES.encoder(CONTEXT)
    encoder.feed(e.Start(model="m"))
    encoder.feed(e.ToolCallStart(index=0, id="a", name="f"))
    encoder.feed(e.ToolCallDelta(index=0, fragment='{"x":'))
    assert encoder.feed(e.ToolCallStart(index=1, id="b", name="g")) == b""
    assert b'"id":"b"' in encoder.feed(e.ToolCallDelta(index=0, fragment="1}"))
