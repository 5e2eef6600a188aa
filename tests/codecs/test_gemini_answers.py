"""What the Gemini codec promises of answers, streams, usage and errors."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generators.conversations import COUNTS, NAMES, OBJECTS, SOME_TEXT, pieces, splits
from tests.grammar.chat import check_chat_stream

from mira.codecs.chat import CHAT
from mira.codecs.codec import Context, Target
from mira.codecs.gemini import GEMINI
from mira.codecs.gemini.usage import usage_of
from mira.codecs.translation import TranslatedStream
from mira.core import conversation as c
from mira.core import events as e
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

CONTEXT = Context(answer_id="chatcmpl-mira", created_s=1_700_000_000)
COUNTED = {"promptTokenCount": 10, "candidatesTokenCount": 4, "thoughtsTokenCount": 3, "totalTokenCount": 17}
USAGE = Usage(input_tokens=10, output_tokens=4, reasoning_tokens=3)


def chunk(*parts: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0}
    if parts:
        candidate["content"] = {"role": "model", "parts": list(parts)}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-x", "responseId": "r1", **more}


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(told, ensure_ascii=False).encode() + b"\r\n\r\n" for told in chunks)


def decoded(stream: bytes, cuts: list[int] = []) -> list[e.Event]:  # noqa: B006
    machine = GEMINI.decoder()
    events = [event for piece in pieces(stream, cuts) for event in machine.feed(piece)]
    return events + machine.close()


def plain(events: list[e.Event]) -> list[object]:
    return [(event.error.kind, event.error.message) if isinstance(event, e.ErrorEvent) else event for event in events]


def parsed(*parts: dict[str, Any], finish: str = "STOP", **more: Any) -> c.Answer:
    return GEMINI.parse_answer(json.dumps(chunk(*parts, finish=finish, **more)).encode())


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"text": words, **more}


def thought(words: str, **more: Any) -> dict[str, Any]:
    return {"text": words, "thought": True, **more}


def call(name: str, args: Any = None, **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, **({} if args is None else {"args": args})}, **more}


GOLDEN = sse(
    chunk(thought("Denke "), usageMetadata={"promptTokenCount": 10, "totalTokenCount": 10}),
    chunk(thought("nach 🤔")),
    chunk(text("漢字 "), usageMetadata={"promptTokenCount": 10, "candidatesTokenCount": 2, "totalTokenCount": 12}),
    chunk(text("🙂!")),
    chunk(call("f", {"x": [1.50, "é"]}, thoughtSignature="c2ln"), call("g")),
    chunk(text("", thoughtSignature="dGV4dA=="), finish="STOP", usageMetadata=COUNTED),
)


def test_a_golden_stream_has_these_events() -> None:
    events = decoded(GOLDEN)
    ids = [event.id for event in events if isinstance(event, e.ToolCallStart)]
    assert events == [
        e.Start(model="gemini-x", id="r1"),
        e.ReasoningDelta(text="Denke "),
        e.UsageEvent(Usage(input_tokens=10)),
        e.ReasoningDelta(text="nach 🤔"),
        e.TextDelta(text="漢字 "),
        e.UsageEvent(Usage(input_tokens=10, output_tokens=2)),
        e.TextDelta(text="🙂!"),
        e.ToolCallStart(index=0, id=ids[0], name="f", signature="c2ln"),
        e.ToolCallDelta(index=0, fragment='{"x":[1.5,"é"]}'),
        e.ToolCallStart(index=1, id=ids[1], name="g"),
        e.ToolCallDelta(index=1, fragment="{}"),
        e.ReasoningDelta(block=1, kind="encrypted", data="dGV4dA==", format="google-gemini-v1"),
        e.UsageEvent(USAGE),
        e.Finish(reason=c.FinishReason.TOOL_CALLS),
    ]
    assert len(set(ids)) == 2


def test_row_51_every_single_split_gives_the_same_events() -> None:
    expected = decoded(GOLDEN)
    for cut in range(len(GOLDEN)):
        assert decoded(GOLDEN, [cut]) == expected


PARTS = (
    st.builds(text, SOME_TEXT)
    | st.builds(thought, SOME_TEXT)
    | st.builds(lambda words, sig: text(words, thoughtSignature=sig), SOME_TEXT, NAMES)
    | st.builds(lambda words, sig: thought(words, thoughtSignature=sig), SOME_TEXT, NAMES)
    | st.builds(lambda sig: text("", thoughtSignature=sig), NAMES)
    | st.builds(call, NAMES, st.none() | OBJECTS)
    | st.builds(lambda name, sig: call(name, {"a": 1}, thoughtSignature=sig), NAMES, NAMES)
    | st.just({"executableCode": {"code": "1"}})
    | st.just({"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thoughtSignature": "s"})
    | st.just({"inlineData": {"mimeType": "image/jpeg", "data": "aGk="}})
    | st.just({"inlineData": {"mimeType": "audio/wav", "data": "aGk="}})
)


def accumulated(events: list[e.Event]) -> tuple[c.AssistantPart, ...]:
    """The parts that a stream's events say, in order."""
    parts: list[Any] = []
    blocks: dict[int, int] = {}
    calls: dict[int, int] = {}
    for event in events:
        match event:
            case e.TextDelta():
                if parts and isinstance(parts[-1], c.Text):
                    parts[-1] = c.Text(text=parts[-1].text + event.text)
                else:
                    parts.append(c.Text(text=event.text))
            case e.ReasoningDelta():
                if event.block not in blocks:
                    assert list(blocks) == list(range(event.block)), "blocks are numbered in order"
                    blocks[event.block] = len(parts)
                    parts.append(c.Reasoning(kind=event.kind))
                told = parts[blocks[event.block]]
                parts[blocks[event.block]] = c.Reasoning(
                    kind=event.kind,
                    text=told.text + event.text,
                    signature=(told.signature or "") + event.signature or None,
                    data=(told.data or "") + event.data or None,
                    format=event.format or told.format,
                )
            case e.ToolCallStart():
                assert event.index == len(calls), "calls are numbered densely"
                calls[event.index] = len(parts)
                parts.append(c.ToolCall(id=event.id, name=event.name, input="", signature=event.signature))
            case e.ToolCallDelta():
                old = parts[calls[event.index]]
                parts[calls[event.index]] = msgspec.structs.replace(old, input=old.input + event.fragment)
            case e.ImageBlock():
                parts.append(c.Image(source=event.source))
            case e.OpaqueBlock():
                parts.append(c.Opaque(format=event.format, data=event.data))
    return tuple(parts)


@given(st.lists(st.lists(PARTS, min_size=1, max_size=2), max_size=5), st.data())
def test_a_stream_says_what_the_whole_answer_says(groups: list[list[dict[str, Any]]], data: st.DataObject) -> None:
    stream = sse(*(chunk(*group) for group in groups), chunk(finish="STOP", usageMetadata=COUNTED))
    events = decoded(stream, data.draw(splits(len(stream))))
    assert events == decoded(stream)
    whole = parsed(*(part for group in groups for part in group), usageMetadata=COUNTED)
    assert accumulated(events) == whole.choices[0].parts
    assert events[-1] == e.Finish(reason=whole.choices[0].finish)
    assert [event.usage for event in events if isinstance(event, e.UsageEvent)] == [whole.usage]


@given(st.lists(st.lists(PARTS, min_size=1, max_size=2), min_size=1, max_size=4))
def test_row_17_every_cut_before_the_reason_is_one_error_and_never_a_stop(groups: list[list[dict[str, Any]]]) -> None:
    stream = sse(*(chunk(*group) for group in groups), chunk(finish="STOP"))
    last = len(sse(*(chunk(*group) for group in groups)))
    for cut in range(0, last + 40, max(1, last // 25)):
        events = decoded(stream[:cut])
        assert isinstance(events[-1], e.ErrorEvent)
        assert not any(isinstance(event, e.Finish) for event in events)
        machine = TranslatedStream(GEMINI, CHAT, CONTEXT, ())
        out = machine.feed(stream[:cut]) + machine.close()
        assert machine.failed is not None
        assert not machine.ended
        check_chat_stream(out + machine.abort(machine.failed), include_usage=True)


@given(st.lists(st.lists(PARTS, min_size=1, max_size=2), max_size=5), st.data())
def test_what_a_chat_client_gets_keeps_its_grammar(groups: list[list[dict[str, Any]]], data: st.DataObject) -> None:
    stream = sse(*(chunk(*group) for group in groups), chunk(finish="STOP", usageMetadata=COUNTED))
    machine = TranslatedStream(GEMINI, CHAT, CONTEXT, ())
    out = b"".join(machine.feed(piece) for piece in pieces(stream, data.draw(splits(len(stream))))) + machine.close()
    assert machine.ended
    assert machine.usage == USAGE
    check_chat_stream(out + machine.finish(USAGE, 1), include_usage=True)


def test_row_57_stop_with_calls_means_calls() -> None:
    events = decoded(sse(chunk(call("f", {}), finish="STOP", usageMetadata=COUNTED)))
    assert events[-1] == e.Finish(reason=c.FinishReason.TOOL_CALLS)
    assert parsed(call("f", {})).choices[0].finish is c.FinishReason.TOOL_CALLS


def test_row_57_a_call_and_then_an_empty_stop_means_calls() -> None:
    events = decoded(sse(chunk(call("f", {"a": 1})), chunk(text(""), finish="STOP", usageMetadata=COUNTED)))
    assert [type(event) for event in events] == [
        e.Start,
        e.ToolCallStart,
        e.ToolCallDelta,
        e.UsageEvent,
        e.Finish,
    ]
    assert events[-1] == e.Finish(reason=c.FinishReason.TOOL_CALLS)


def test_row_57_what_comes_behind_the_reason_is_not_lost() -> None:
    events = decoded(sse(chunk(text("a"), finish="STOP"), chunk(call("f"), finish="STOP", usageMetadata=COUNTED)))
    assert events[-1] == e.Finish(reason=c.FinishReason.TOOL_CALLS)
    assert len([event for event in events if isinstance(event, e.Finish)]) == 1
    events = decoded(sse(chunk(text("a"), finish="MAX_TOKENS"), chunk(text(""), finish="STOP")))
    assert events[-1] == e.Finish(reason=c.FinishReason.LENGTH)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("STOP", c.FinishReason.STOP),
        ("MAX_TOKENS", c.FinishReason.LENGTH),
        *(
            (said, c.FinishReason.CONTENT_FILTER)
            for said in ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR",
                         "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "LANGUAGE")
        ),
    ],
)  # fmt: skip
def test_every_reason_has_its_meaning(said: str, reason: c.FinishReason) -> None:
    assert parsed(text("x"), finish=said).choices[0].finish is reason
    assert decoded(sse(chunk(text("x"), finish=said)))[-1] == e.Finish(reason=reason)


FAILED = ["MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS",
          "MISSING_THOUGHT_SIGNATURE", "OTHER", "NO_IMAGE", "SOMETHING_NEW"]  # fmt: skip


@pytest.mark.parametrize("said", FAILED)
def test_a_reason_that_is_a_failure_is_an_error(said: str) -> None:
    with pytest.raises(MiraError) as caught:
        parsed(text("x"), finish=said)
    assert caught.value.status == 502
    last = decoded(sse(chunk(text("x")), chunk(finish=said), chunk(text("more"), finish="STOP")))[-1]
    assert isinstance(last, e.ErrorEvent)
    assert last.error.kind is Kind.UPSTREAM_FAILED


def test_a_refused_prompt_is_a_filtered_answer_without_content() -> None:
    body = {"promptFeedback": {"blockReason": "JAILBREAK"}, "usageMetadata": {"promptTokenCount": 5}, "responseId": "r"}
    answer = GEMINI.parse_answer(json.dumps(body).encode())
    assert answer.choices == (c.Choice(finish=c.FinishReason.CONTENT_FILTER),)
    assert answer.usage == Usage(input_tokens=5)
    assert decoded(sse(body))[1:] == [
        e.UsageEvent(Usage(input_tokens=5)),
        e.Finish(reason=c.FinishReason.CONTENT_FILTER),
    ]
    told = json.loads(CHAT.render_answer(answer, CONTEXT, 0))["choices"][0]
    assert (told["finish_reason"], told["message"]["content"]) == ("content_filter", "")
    assert decoded(sse(chunk(text("a")), body))[-1] == e.Finish(reason=c.FinishReason.CONTENT_FILTER)


def test_row_11_two_calls_without_ids_get_two_stable_ids() -> None:
    stream = sse(chunk(call("f", {"a": 1}), call("f", {"a": 1})), chunk(finish="STOP"))
    ids = [event.id for event in decoded(stream) if isinstance(event, e.ToolCallStart)]
    assert len(set(ids)) == 2
    assert all(made.startswith("call_") for made in ids)
    assert [part.id for part in parsed(call("f", {"a": 1}), call("f", {"a": 1})).choices[0].parts] == ids
    twin = {"functionCall": {"id": "x", "name": "f", "args": {}}}
    assert len({part.id for part in parsed(twin, twin).choices[0].parts}) == 2


def test_a_call_without_a_name_is_a_failure() -> None:
    with pytest.raises(MiraError):
        parsed({"functionCall": {"args": {}}})
    assert isinstance(decoded(sse(chunk({"functionCall": 7})))[-1], e.ErrorEvent)


def test_several_candidates_stay_apart() -> None:
    other = chunk(text("b"), finish="STOP")
    other["candidates"][0]["index"] = 1
    events = decoded(sse(chunk(text("a")), other, chunk(call("f"), finish="STOP")))
    assert [event for event in events if isinstance(event, e.Finish)] == [
        e.Finish(reason=c.FinishReason.TOOL_CALLS),
        e.Finish(reason=c.FinishReason.STOP, choice=1),
    ]
    assert isinstance(decoded(sse(chunk(text("a")), other))[-1], e.ErrorEvent), "one was cut"


def test_pictures_and_what_only_google_knows_are_kept() -> None:
    answer = parsed(
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thoughtSignature": "s"},
        {"inlineData": {"mimeType": "audio/pcm", "data": "AAAA"}},
        {"executableCode": {"code": "1"}},
    )
    assert answer.choices[0].parts == (
        c.Image(source=c.Inline("image/png", "AAAA")),
        c.Reasoning(kind="encrypted", data="s", format="google-gemini-v1"),
        c.Opaque(format="gemini", data=msgspec.Raw(b'{"inlineData":{"mimeType":"audio/pcm","data":"AAAA"}}')),
        c.Opaque(format="gemini", data=msgspec.Raw(b'{"executableCode":{"code":"1"}}')),
    )


def test_row_23_a_two_turn_tool_loop_through_chat_brings_every_signature_back() -> None:
    answer = parsed(
        thought("hm"), text("so", thoughtSignature="t1"), call("f", {"a": 1}, thoughtSignature="s1"), call("g")
    )
    message = json.loads(CHAT.render_answer(answer, CONTEXT, None))["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": told["id"], "content": "ok"} for told in message["tool_calls"]]
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}, message, *results]}
    request = CHAT.parse_request(CHAT.open_request(json.dumps(body).encode()))
    sent = json.loads(GEMINI.render_request(request, Target(model="gemini-3-pro", output_cap=9))[0])
    said = sent["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in said] == ["t1", "s1", None]
    assert [part["functionCall"]["args"] for part in said[1:]] == [{"a": 1}, {}]


# Usage


def counts(**told: Any) -> Usage | None:
    return usage_of(told)


def test_row_14_cumulative_usage_is_replaced_and_never_added() -> None:
    stream = sse(
        chunk(text("a"), usageMetadata={"promptTokenCount": 10, "candidatesTokenCount": 1}),
        chunk(text("b"), usageMetadata={"promptTokenCount": 10, "candidatesTokenCount": 2}),
        chunk(finish="STOP", usageMetadata=COUNTED),
    )
    machine = TranslatedStream(GEMINI, CHAT, CONTEXT, ())
    machine.feed(stream)
    machine.close()
    assert machine.usage == USAGE


def test_row_13_cached_tokens_are_counted_once() -> None:
    assert counts(
        promptTokenCount=100, cachedContentTokenCount=60, candidatesTokenCount=7, totalTokenCount=107
    ) == Usage(input_tokens=40, cache_read_tokens=60, output_tokens=7)


def test_thoughts_are_counted_beside_the_answer_wherever_the_node_put_them() -> None:
    beside = counts(promptTokenCount=10, candidatesTokenCount=4, thoughtsTokenCount=3, totalTokenCount=17)
    within = counts(promptTokenCount=10, candidatesTokenCount=7, thoughtsTokenCount=3, totalTokenCount=17)
    assert beside == within == USAGE


def test_what_tools_put_into_the_prompt_is_input() -> None:
    assert counts(promptTokenCount=10, toolUsePromptTokenCount=5, candidatesTokenCount=1, totalTokenCount=16) == Usage(
        input_tokens=15, output_tokens=1
    )


def test_sound_and_pictures_are_classes_of_their_own() -> None:
    def of(**kinds: int) -> list[dict[str, Any]]:
        return [{"modality": kind, "tokenCount": count} for kind, count in kinds.items()]

    told = counts(
        promptTokenCount=100,
        cachedContentTokenCount=30,
        candidatesTokenCount=50,
        promptTokensDetails=of(TEXT=40, AUDIO=50, IMAGE=10),
        cacheTokensDetails=of(AUDIO=30),
        candidatesTokensDetails=of(TEXT=10, IMAGE=40),
    )
    assert told == Usage(
        input_tokens=40,
        cache_read_tokens=30,
        audio_input_tokens=20,
        image_input_tokens=10,
        output_tokens=10,
        image_output_tokens=40,
    )


@given(
    st.dictionaries(
        st.sampled_from(
            ["promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount", "thoughtsTokenCount",
             "toolUsePromptTokenCount", "totalTokenCount"]
        ),
        COUNTS | st.sampled_from([-1, None, "7", "x", True, 1.5, [], 2**60]),
    ),
    st.lists(st.tuples(st.sampled_from(["AUDIO", "IMAGE", "TEXT", 7]), COUNTS), max_size=3),
)  # fmt: skip
def test_no_count_is_negative_and_the_classes_add_up(told: dict[str, Any], details: list[tuple[Any, int]]) -> None:
    listed = [{"modality": kind, "tokenCount": count} for kind, count in details]
    usage = usage_of({**told, "promptTokensDetails": listed, "candidatesTokensDetails": listed})
    assert usage is not None
    figures = msgspec.structs.asdict(usage)
    assert all(count >= 0 for name, count in figures.items() if name.endswith("_tokens"))
    plain_counts = {name: value for name, value in told.items() if type(value) is int and 0 <= value < 2**53}
    if len(plain_counts) == len(told) and "totalTokenCount" not in told:
        assert usage.prompt_tokens == told.get("promptTokenCount", 0) + told.get("toolUsePromptTokenCount", 0)
        assert usage.completion_tokens == told.get("candidatesTokenCount", 0) + told.get("thoughtsTokenCount", 0)


def test_an_answer_without_usage_tells_none() -> None:
    assert parsed(text("x")).usage is None
    assert usage_of({}) is None
    assert usage_of("x") is None


# Errors


def failure(code: int, status: str, message: str, *details: dict[str, Any]) -> bytes:
    return json.dumps(
        {"error": {"code": code, "status": status, "message": message, "details": list(details)}}
    ).encode()


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31.5s"}
QUOTA = "You exceeded your current quota, please check your plan and billing details."
ERRORS = [
    (400, failure(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."), Kind.UPSTREAM_AUTH),
    (400, failure(400, "INVALID_ARGUMENT", "Invalid value at 'contents'"), Kind.BAD_REQUEST),
    (400, failure(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), Kind.UPSTREAM_AUTH),
    (403, failure(403, "PERMISSION_DENIED", "no"), Kind.UPSTREAM_AUTH),
    (404, failure(404, "NOT_FOUND", "models/x is not found for API version v1beta"), Kind.MODEL_NOT_FOUND),
    (429, failure(429, "RESOURCE_EXHAUSTED", QUOTA, RETRY), Kind.RATE_LIMITED),
    (429, failure(429, "RESOURCE_EXHAUSTED", QUOTA), Kind.UPSTREAM_CREDITS),
    (500, failure(500, "INTERNAL", "An internal error has occurred."), Kind.UPSTREAM_FAILED),
    (503, failure(503, "UNAVAILABLE", "The model is overloaded."), Kind.UNAVAILABLE),
    (504, failure(504, "DEADLINE_EXCEEDED", "late"), Kind.UPSTREAM_TIMEOUT),
]  # fmt: skip
TOO_LONG = "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(("status", "body", "kind"), ERRORS)
def test_row_19_every_error_is_told_apart_before_and_within_a_stream(
    status: int, body: bytes, kind: Kind, listed: bool
) -> None:
    body = b"[" + body + b"]" if listed else body
    assert GEMINI.parse_error(status, body).kind is kind
    for before in (b"", sse(chunk(text("x")))):
        last = decoded(before + b"data: " + body + b"\n\n" + sse(chunk(text("y"), finish="STOP")))[-1]
        assert isinstance(last, e.ErrorEvent)
        assert last.error.kind is kind
    with pytest.raises(MiraError) as caught:
        GEMINI.parse_answer(body)
    assert caught.value.kind is kind


def test_row_45_the_nodes_retry_delay_is_kept() -> None:
    assert GEMINI.parse_error(429, failure(429, "RESOURCE_EXHAUSTED", QUOTA, RETRY)).retry_after_s == 31.5
    for delay in ("x", "s", "nans", "infs", "-1s", 5, None):
        told = failure(429, "RESOURCE_EXHAUSTED", "slow down", {"retryDelay": delay})
        assert GEMINI.parse_error(429, told).retry_after_s is None


def test_row_71_a_prompt_too_long_says_by_how_much() -> None:
    error = GEMINI.parse_error(400, failure(400, "INVALID_ARGUMENT", TOO_LONG))
    assert error.kind is Kind.CONTEXT_TOO_LONG
    assert error.details == {"input_tokens": "1048577", "maximum_tokens": "1048576"}


NO_ANSWERS = [b"", b"<html>", b"[]", b"[{},{}]", b"{}", b'{"candidates":[]}', b'{"candidates":7}', b"[" * 5000]


@pytest.mark.parametrize("body", NO_ANSWERS)
def test_what_is_no_answer_is_a_failure(body: bytes) -> None:
    with pytest.raises(MiraError) as caught:
        GEMINI.parse_answer(body)
    assert caught.value.kind is Kind.UPSTREAM_FAILED
    assert isinstance(decoded(b"data: " + body + b"\n\n")[-1], e.ErrorEvent)
