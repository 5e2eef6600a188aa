"""What Chat Completions promises of streams: splits do not matter, cuts are errors, and what clients get keeps the grammar."""

import itertools
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk
from tests.generators.conversations import USAGES, event_streams, pieces, splits
from tests.grammar.chat import check_chat_stream

from mira.codecs.chat import CHAT
from mira.codecs.codec import AnswerStream, Context
from mira.core import events as e
from mira.core.conversation import FinishReason
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

GOLDEN = (Path(__file__).parents[1] / "vectors/chat/golden.sse").read_bytes()
CONTEXT = Context(answer_id="chatcmpl-mira", created_s=1_700_000_000)
QUIET = msgspec.structs.replace(CONTEXT, include_usage=False)
USAGE = Usage(input_tokens=3, output_tokens=2)
FAILURE = MiraError(Kind.UPSTREAM_FAILED, "cut")


def line(value: object) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def chunk(delta: dict[str, object], finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "up-1", "object": "chat.completion.chunk", "created": 1, "model": "up/m"}
    return line({**head, "choices": [choice], **more})


ROLE = chunk({"role": "assistant", "content": ""})
DONE = b"data: [DONE]\n\n"


def passed(stream: bytes, cuts: list[int], context: Context) -> tuple[bytes, AnswerStream]:
    machine = CHAT.pass_stream(context)
    out = b"".join(machine.feed(piece) for piece in pieces(stream, cuts)) + machine.close()
    return out, machine


def whole(stream: bytes, cuts: list[int], context: Context) -> tuple[bytes, AnswerStream]:
    out, machine = passed(stream, cuts, context)
    end = machine.abort(machine.failed) if machine.failed else machine.finish(machine.usage or USAGE, 42)
    return out + end, machine


def decoded(stream: bytes, cuts: list[int]) -> list[e.Event]:
    machine = CHAT.decoder()
    events = [event for piece in pieces(stream, cuts) for event in machine.feed(piece)]
    return events + machine.close()


def plain(events: list[e.Event]) -> list[object]:
    """Events that can be compared: errors by what they say."""
    return [(event.error.kind, event.error.message) if isinstance(event, e.ErrorEvent) else event for event in events]


def variants(stream: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from(
        [
            stream,
            stream.replace(b"\n", b"\r\n"),
            stream.replace(b"\n", b"\r"),
            stream.replace(b"data: {", b": OPENROUTER PROCESSING\n\ndata:{"),
            stream.replace(b"data: {", b": hi\nid: 7\ndata: {"),
            stream.replace(b'","', b'", "').replace(b'":', b'": '),
        ]
    )


def test_the_golden_stream_passes_with_the_charge_in_its_last_usage() -> None:
    out, machine = whole(GOLDEN, [], CONTEXT)
    assert out == GOLDEN.replace(b'"reasoning_tokens":0}}', b'"reasoning_tokens":0},"cost":0.000000042}')
    assert machine.ended
    assert machine.usage == Usage(input_tokens=6, cache_read_tokens=4, output_tokens=5)
    check_chat_stream(out, include_usage=True)


def test_the_golden_stream_hides_the_usage_that_was_not_asked_for() -> None:
    out, machine = whole(GOLDEN, [], QUIET)
    assert machine.usage is not None
    check_chat_stream(out, include_usage=False)


@given(st.data())
def test_any_split_passes_the_same_bytes(data: st.DataObject) -> None:
    stream = data.draw(variants(GOLDEN))
    cuts = data.draw(splits(len(stream)))
    context = data.draw(st.sampled_from([CONTEXT, QUIET]))
    out, machine = whole(stream, cuts, context)
    expected, other = whole(stream, [], context)
    assert out == expected
    assert (machine.tally().deltas, "".join(machine.tally().text)) == (
        other.tally().deltas,
        "".join(other.tally().text),
    )
    check_chat_stream(out.replace(b"id: 7\n", b"").replace(b"data:{", b"data: {"), include_usage=context.include_usage)


TEXTS = st.text(st.sampled_from('ab "\\[]{}\n\r\u2028é✓'), max_size=6)
DELTAS = st.fixed_dictionaries(
    {}, optional={"content": TEXTS, "reasoning_content": TEXTS, "role": st.just("assistant"), "refusal": st.none()}
)
FRAMES = st.one_of(
    TEXTS.map(lambda text: chunk({"content": text})),
    st.tuples(TEXTS, TEXTS).map(lambda both: chunk({"content": both[0]}, obfuscation=both[1])),
    DELTAS.map(chunk),
    DELTAS.map(lambda delta: chunk(delta, usage=None)),
    DELTAS.map(lambda delta: chunk(delta, usage={"prompt_tokens": 1, "completion_tokens": 1})),
    DELTAS.map(lambda delta: chunk(delta, "stop")),
    st.sampled_from(
        [
            DONE,
            b": hi\n\n",
            b'data: {"choices":[]}\n\n',
            line({"error": {"message": "no"}}),
            # Broken in and around the text: whatever is said of these, it does not depend on the splits.
            chunk({"content": "x"}).replace(b"x", b"\\"),
            chunk({"content": "x"}).replace(b"x", b"a\rb"),
            chunk({"content": "x"}, obfuscation="y").replace(b"x", b"\\"),
            chunk({"content": "x"}, obfuscation="y").replace(b'"y"', b"7"),
            chunk({"content": "x"}, obfuscation="y", usage={"prompt_tokens": 1, "completion_tokens": 1}, x="z"),
            chunk({"content": "x"})[:-2],
            chunk({"content": "x"}) * 2,
        ]
    ),
)


# The same thought in two frames, beside a text: what a frame is learned from must not hide what it says elsewhere.
@example([chunk({"reasoning_content": "so", "content": ""})] * 2, False, False, None)
@given(st.lists(FRAMES, max_size=12), st.booleans(), st.booleans(), st.data())
def test_a_frame_in_a_piece_of_its_own_passes_as_in_any_other_split(
    frames: list[bytes], spaced: bool, noisy: bool, data: st.DataObject | None
) -> None:
    frames = [ROLE, *[chunk({"content": "hi"}, **{"obfuscation": "no"} if noisy else {})] * 2, *frames]
    if not spaced:
        frames = [frame.replace(b'": ', b'":').replace(b', "', b',"') for frame in frames]
    stream = b"".join(frames)
    ends = list(itertools.accumulate(map(len, frames)))
    results = []
    begun = [end + 3 for end in ends[:-1]]
    drawn = data.draw(splits(len(stream))) if data is not None else []
    for cuts in (ends, sorted((*ends, *begun)), [], drawn):
        out, machine = whole(stream, cuts, CONTEXT)
        tally = machine.tally()
        said = tally.deltas, sorted("".join(tally.text))
        results.append((out, machine.ended, machine.usage, str(machine.failed), said))
    assert results == [results[0]] * 4


def test_what_looks_like_a_frame_waits_for_the_line_before_it() -> None:
    hi = chunk({"content": "hi"})
    machine = CHAT.pass_stream(CONTEXT)
    out = [machine.feed(piece) for piece in (ROLE, hi, hi, hi, hi[:-2], hi)]
    assert out == [ROLE, hi, hi, hi, b"", hi[:-2] + hi]


@pytest.mark.parametrize("spaced", [True, False])
def test_noise_in_the_frames_hides_no_usage(spaced: bool) -> None:
    def told(text: str, **more: object) -> bytes:
        frame = chunk({"content": text}, obfuscation="no", **more)
        return frame if spaced else frame.replace(b'": ', b'":').replace(b', "', b',"')

    machine = CHAT.pass_stream(CONTEXT)
    for text in ("a", "b", 'c"', "d\n", "e"):
        assert machine.feed(told(text)) == told(text)
    assert machine._texts == [b'c\\"', b"d\\n", b"e"]
    machine.feed(told("f", usage={"prompt_tokens": 1, "completion_tokens": 2}, more="x"))
    assert machine.usage == Usage(input_tokens=1, output_tokens=2)
    assert machine.tally().deltas == 6


@given(event_streams(choices=2), st.data())
def test_any_stream_of_another_mira_passes_through_unchanged(events: list[e.Event], data: st.DataObject) -> None:
    encoder = CHAT.encoder(CONTEXT)
    stream = b"".join(encoder.feed(event) for event in events) + encoder.finish(USAGE, None)
    cuts = data.draw(splits(len(stream)))
    machine = CHAT.pass_stream(CONTEXT)
    out = b"".join(machine.feed(piece) for piece in pieces(stream, cuts)) + machine.close()
    assert machine.ended
    assert out + machine.finish(USAGE, None) == stream


@given(st.data())
def test_any_split_gives_the_same_events(data: st.DataObject) -> None:
    stream = data.draw(variants(GOLDEN))
    cuts = data.draw(splits(len(stream)))
    assert plain(decoded(stream, cuts)) == plain(decoded(stream, []))


@pytest.mark.parametrize("ends", [b"\r\n", b"\r"])
def test_line_ends_do_not_matter(ends: bytes) -> None:
    assert plain(decoded(GOLDEN.replace(b"\n", ends), [])) == plain(decoded(GOLDEN, []))
    assert whole(GOLDEN.replace(b"\n", ends), [], CONTEXT)[0] == whole(GOLDEN, [], CONTEXT)[0]


def test_every_single_split_of_the_golden_stream_gives_the_same() -> None:
    expected, events = whole(GOLDEN, [], CONTEXT)[0], plain(decoded(GOLDEN, []))
    for cut in range(len(GOLDEN)):
        assert whole(GOLDEN, [cut], CONTEXT)[0] == expected
        assert plain(decoded(GOLDEN, [cut])) == events


@given(event_streams(choices=2), USAGES, st.booleans())
def test_whatever_is_encoded_keeps_the_grammar(events: list[e.Event], usage: Usage, asked: bool) -> None:
    encoder = CHAT.encoder(CONTEXT if asked else QUIET)
    out = b"".join(encoder.feed(event) for event in events) + encoder.finish(usage, 7)
    chunks = check_chat_stream(out, include_usage=asked)
    for told in chunks:
        if not any(
            call.get("type") == "custom"
            for choice in told["choices"]
            for call in choice["delta"].get("tool_calls") or ()
        ):
            ChatCompletionChunk.model_validate(told)
    if asked:
        assert chunks[-1]["usage"]["prompt_tokens"] == usage.prompt_tokens


@given(event_streams(choices=2), st.data())
def test_a_failure_at_any_event_ends_in_an_error_and_never_in_done(events: list[e.Event], data: st.DataObject) -> None:
    encoder = CHAT.encoder(CONTEXT)
    count = data.draw(st.integers(0, len(events)))
    out = b"".join(encoder.feed(event) for event in events[:count]) + encoder.abort(FAILURE)
    check_chat_stream(out, include_usage=True)


@given(event_streams(choices=2), USAGES)
def test_what_is_encoded_is_decoded_again(events: list[e.Event], usage: Usage) -> None:
    encoder = CHAT.encoder(CONTEXT)
    out = b"".join(encoder.feed(event) for event in events) + encoder.finish(usage, None)
    back = decoded(out, [])
    start = e.Start(model="up/m", id=CONTEXT.answer_id)
    assert back == [start, *events[1:], e.UsageEvent(usage)]


@given(event_streams())
@example([e.Start(model="m"), e.TextDelta(text="x"), e.Finish(reason=FinishReason.STOP)])
def test_every_cut_before_the_finish_is_one_error(events: list[e.Event]) -> None:
    encoder = CHAT.encoder(QUIET)
    stream = b"".join(encoder.feed(event) for event in events)
    finish = stream.rindex(b"data: ")
    for cut in range(0, finish + len(stream[finish:]) - 3, max(1, len(stream) // 40)):
        out, machine = whole(stream[:cut], [], QUIET)
        assert machine.failed is not None
        assert machine.failed.kind is Kind.UPSTREAM_FAILED
        assert not machine.ended
        check_chat_stream(out, include_usage=False)
        errors = [event for event in decoded(stream[:cut], []) if isinstance(event, e.ErrorEvent)]
        assert len(errors) == 1
        assert decoded(stream[:cut], [])[-1] is not None


def test_a_finish_without_done_is_a_success() -> None:
    out, machine = whole(ROLE + chunk({"content": "x"}) + chunk({}, "stop"), [], QUIET)
    assert machine.ended
    assert machine.usage is None
    check_chat_stream(out, include_usage=False)


def test_a_second_choice_without_finish_was_cut() -> None:
    other = chunk({"content": "x"}).replace(b'"index": 0', b'"index": 1')
    machine = passed(ROLE + chunk({"content": "x"}) + other + chunk({}, "stop"), [], CONTEXT)[1]
    assert machine.failed is not None


def test_done_without_an_answer_is_a_failure() -> None:
    assert passed(DONE, [], CONTEXT)[1].failed is not None
    assert isinstance(decoded(DONE, [])[-1], e.ErrorEvent)


def test_the_role_alone_does_not_rule_out_another_node() -> None:
    machine = CHAT.pass_stream(CONTEXT)
    machine.feed(ROLE)
    assert not machine.has_content
    machine.feed(chunk({"reasoning_content": "hm"}))
    assert machine.has_content


IN_BAND = [
    (line({"error": {"message": "no", "code": 429}}), Kind.RATE_LIMITED),
    (line({"error": {"message": "no", "type": "overloaded_error"}}), Kind.UNAVAILABLE),
    (line({"error": {"message": "bad key", "code": 401}}), Kind.UPSTREAM_AUTH),
    (line({"error": "oops"}), Kind.UPSTREAM_FAILED),
    (line({"object": "error", "message": "oops", "code": 500}), Kind.UPSTREAM_FAILED),
    (b"event: error\n" + line({"error": {"message": "no", "code": "504"}}), Kind.UPSTREAM_TIMEOUT),
    (chunk({}, "error"), Kind.UPSTREAM_FAILED),
    (chunk({"content": ""}, "error", error={"code": 502, "message": "x"}), Kind.UPSTREAM_FAILED),
    (b"data: {broken\n\n", Kind.UPSTREAM_FAILED),
]


@pytest.mark.parametrize("after_content", [True, False])
@pytest.mark.parametrize(("frame", "kind"), IN_BAND)
def test_an_error_in_the_stream_is_a_failure_and_never_a_success(frame: bytes, kind: Kind, after_content: bool) -> None:
    before = ROLE + (chunk({"content": "x"}) if after_content else b"")
    stream = before + frame + chunk({"content": "more"}) + DONE
    if frame.startswith(b"data: {broken") and after_content:
        stream = before + b'data: {"usage": broken\n\n' + DONE
    out, machine = whole(stream, [], CONTEXT)
    assert machine.failed is not None
    assert machine.failed.kind is kind
    assert b"[DONE]" not in out
    assert b"more" not in out
    events = decoded(stream, [])
    assert isinstance(events[-1], e.ErrorEvent)
    assert events[-1].error.kind is kind


def test_a_null_error_is_none() -> None:
    machine = passed(ROLE + chunk({"content": "x"}, error=None) + chunk({}, "stop") + DONE, [], CONTEXT)[1]
    assert machine.ended


def test_a_usage_on_the_finish_chunk_moves_to_the_end() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "x": 1.50}
    stream = ROLE + chunk({"content": "x"}) + chunk({}, "stop", usage=usage) + DONE
    out, machine = whole(stream, [], CONTEXT)
    assert machine.usage == Usage(input_tokens=5, output_tokens=2)
    assert check_chat_stream(out, include_usage=True)[-1]["usage"]["cost"] == 42e-9
    out, _ = whole(stream, [], QUIET)
    check_chat_stream(out, include_usage=False)


def test_a_missing_usage_is_told_as_mira_counted_it() -> None:
    out, _ = whole(ROLE + chunk({"content": "x"}) + chunk({}, "stop") + DONE, [], CONTEXT)
    assert check_chat_stream(out, include_usage=True)[-1]["usage"]["prompt_tokens"] == 3


def test_groq_tells_its_usage_beside() -> None:
    usage = {"usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}
    stream = ROLE + chunk({"content": "x"}) + chunk({}, "stop", x_groq=usage) + DONE
    assert passed(stream, [], CONTEXT)[1].usage == Usage(input_tokens=5, output_tokens=2)
    assert e.UsageEvent(Usage(input_tokens=5, output_tokens=2)) in decoded(stream, [])


def test_a_chunk_without_choices_is_not_shown_to_who_did_not_ask() -> None:
    azure = line({"id": "", "choices": [], "prompt_filter_results": []})
    out, _ = whole(azure + ROLE + chunk({"content": "x"}) + azure + chunk({}, "stop") + DONE, [], QUIET)
    check_chat_stream(out, include_usage=False)


def test_the_provider_prefix_is_stripped_on_every_chunk() -> None:
    context = msgspec.structs.replace(CONTEXT, strip_provider=True)
    stream = ROLE + chunk({"content": "x"}) * 3 + chunk({}, "stop") + DONE
    out, _ = whole(stream, [], context)
    assert {told["model"] for told in check_chat_stream(out, include_usage=True)} == {"m"}


def test_a_stream_without_prefix_is_not_touched() -> None:
    context = msgspec.structs.replace(CONTEXT, strip_provider=True)
    assert passed(GOLDEN, [], context)[0] == passed(GOLDEN, [], CONTEXT)[0]


def test_the_tally_holds_all_that_was_delivered() -> None:
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x":'}}
    machine = CHAT.pass_stream(CONTEXT)
    machine.feed(ROLE + chunk({"reasoning": "hm "}) + b"".join(chunk({"content": f"w{i} \n"}) for i in range(900)))
    for i in range(900):
        machine.feed(chunk({"content": f'v{i} "\\✓'}))
    machine.feed(chunk({"tool_calls": [call]}))
    tally = machine.tally()
    assert tally.deltas == 1 + 900 + 900 + 2
    text = "".join(tally.text)
    assert "hm " in text
    assert 'v899 "\\✓' in text
    assert "w899 \n" in text
    assert '{"x":' in text


def test_a_frame_too_large_fails_the_stream() -> None:
    machine = CHAT.pass_stream(CONTEXT)
    machine.feed(b"data: ")
    for _ in range(17):
        machine.feed(b"x" * 2**20)
    assert machine.failed is not None
    assert machine.failed.kind is Kind.UPSTREAM_FAILED


def calls_of(events: list[e.Event]) -> list[tuple[str, str, str]]:
    told: dict[int, list[str]] = {}
    for event in events:
        match event:
            case e.ToolCallStart():
                assert event.index == len(told)
                told[event.index] = [event.id, event.name, ""]
            case e.ToolCallDelta():
                told[event.index][2] += event.fragment
    return [tuple(call) for call in told.values()]


def tools(*calls: dict[str, object], finish: str = "stop") -> bytes:
    return ROLE + b"".join(chunk({"tool_calls": [call]}) for call in calls) + chunk({}, finish) + DONE


def fn(name: str | None, arguments: object, **more: object) -> dict[str, object]:
    return {**more, "function": ({"name": name} if name else {}) | {"arguments": arguments}}


def test_calls_of_ollama_with_one_index_stay_apart() -> None:
    events = decoded(tools(fn("f", '{"a":1}', index=0, id="x"), fn("g", "{}", index=0, id="y")), [])
    assert calls_of(events) == [("x", "f", '{"a":1}'), ("y", "g", "{}")]
    assert events[-1] == e.Finish(reason=FinishReason.TOOL_CALLS)


@pytest.mark.parametrize("index", [{}, {"index": -1}, {"index": 0}, {"index": None}])
def test_calls_without_id_get_stable_ids(index: dict[str, object]) -> None:
    stream = tools(fn("f", '{"a":1}', **index), fn("g", {"b": 1.5}, **index))
    calls = calls_of(decoded(stream, []))
    assert [call[1:] for call in calls] == [("f", '{"a":1}'), ("g", '{"b":1.5}')]
    assert len({call[0] for call in calls}) == 2
    assert calls == calls_of(decoded(stream, list(range(0, len(stream), 7))))


def test_interleaved_fragments_find_their_calls() -> None:
    events = decoded(
        tools(
            fn("f", "", index=0, id="x"),
            fn("g", "", index=1, id="y"),
            fn(None, "[1", index=0),
            fn(None, "[2", index=1),
            fn(None, "]", index=0),
            fn(None, "]", index=1),
            finish="tool_calls",
        ),
        [],
    )
    assert calls_of(events) == [("x", "f", "[1]"), ("y", "g", "[2]")]


def test_a_call_that_repeats_its_head_is_one_call() -> None:
    assert calls_of(decoded(tools(fn("f", "[1", index=0, id="x"), fn("f", "]", index=0, id="x")), [])) == [
        ("x", "f", "[1]")
    ]


def test_indexes_with_gaps_become_dense() -> None:
    assert calls_of(decoded(tools(fn("f", "1", index=3, id="x"), fn("g", "2", index=7, id="y")), [])) == [
        ("x", "f", "1"),
        ("y", "g", "2"),
    ]


@pytest.mark.parametrize("arguments", ["", None])
def test_a_call_without_arguments_has_an_empty_object(arguments: str | None) -> None:
    assert calls_of(decoded(tools(fn("f", arguments, index=0, id="x")), [])) == [("x", "f", "{}")]


def test_a_call_without_a_name_is_a_failure() -> None:
    assert isinstance(decoded(tools(fn(None, "{}", index=0, id="x")), [])[-1], e.ErrorEvent)


def test_the_legacy_form_is_read_as_a_call() -> None:
    stream = (
        ROLE + chunk({"function_call": {"name": "f", "arguments": ""}}) + chunk({"function_call": {"arguments": "{}"}})
    )
    events = decoded(stream + chunk({}, "function_call") + DONE, [])
    assert [call[1:] for call in calls_of(events)] == [("f", "{}")]
    assert events[-1] == e.Finish(reason=FinishReason.TOOL_CALLS)


def test_reasoning_is_read_under_all_its_names() -> None:
    detail = {"type": "reasoning.text", "text": "c", "format": "anthropic-claude-v1", "index": 0}
    signed = {"type": "reasoning.text", "signature": "sig", "format": "anthropic-claude-v1", "index": 0}
    secret = {"type": "reasoning.encrypted", "data": "xyz", "index": 1}
    stream = (
        chunk({"reasoning_content": "a"})
        + chunk({"reasoning": "b"})
        + chunk({"reasoning": "c", "reasoning_details": [detail]})
        + chunk({"reasoning_details": [signed]})
        + chunk({"reasoning_details": [secret]})
    )
    told = [event for event in decoded(stream + chunk({}, "stop"), []) if isinstance(event, e.ReasoningDelta)]
    assert [(event.block, event.text, event.signature, event.data) for event in told] == [
        (0, "a", "", ""),
        (0, "b", "", ""),
        (1, "c", "", ""),
        (1, "", "sig", ""),
        (2, "", "", "xyz"),
    ]


def test_a_stop_sequence_is_named_where_the_node_names_it() -> None:
    stream = ROLE + line(
        {"id": "", "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop", "stop_reason": "END"}]}
    )
    assert decoded(stream, [])[-1] == e.Finish(reason=FinishReason.STOP_SEQUENCE, stop_sequence="END")


def test_the_legacy_client_gets_its_own_form() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"functions":[{"name":"f"}]}'
    context = msgspec.structs.replace(QUIET, request=CHAT.parse_request(CHAT.open_request(body)))
    encoder = CHAT.encoder(context)
    events = [
        e.Start(model="m"),
        e.ToolCallStart(index=0, id="a", name="f"),
        e.ToolCallDelta(index=0, fragment="{}"),
        e.Finish(reason=FinishReason.TOOL_CALLS),
    ]
    out = b"".join(encoder.feed(event) for event in events) + encoder.finish(USAGE, None)
    chunks = check_chat_stream(out, include_usage=False)
    assert chunks[-1]["choices"][0]["finish_reason"] == "function_call"
    assert chunks[1]["choices"][0]["delta"]["function_call"]["name"] == "f"
