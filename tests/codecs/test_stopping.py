"""More stop sequences than a node takes: the first ones are its matter, all are kept."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec, Context, Target
from mira.codecs.gemini import GEMINI
from mira.codecs.messages import MESSAGES
from mira.codecs.stopping import Stopper, first_stop
from mira.codecs.translation import open_stream, read_answer
from mira.core.conversation import Conversation, FinishReason
from mira.core.events import Finish, Start, TextDelta, ToolCallStart
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

STOPS = ["one", "two", "three", "four", "five", "END", "ENDING"]


def asked() -> Conversation:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], "stop_sequences": STOPS}
    return MESSAGES.parse_request(MESSAGES.open_request(json.dumps(body).encode()))


def context() -> Context:
    return Context(answer_id="msg_1", created_s=1, request=asked())


def chunk(delta: dict, finish: str | None = None) -> bytes:
    told = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(told).encode() + b"\n\n"


@pytest.mark.parametrize(("node", "dialect", "taken"), [(CHAT, "openai", 4), (CHAT, "mira", 4), (GEMINI, "", 5)])
def test_a_node_is_told_as_many_as_it_takes_and_nothing_counts_as_left_out(node: Codec, dialect: str, taken: int):
    body, dropped = node.render_request(asked(), Target(model="m", output_cap=9, dialect=dialect))
    told = json.loads(body)
    assert (told.get("stop") or told["generationConfig"]["stopSequences"]) == STOPS[:taken]
    assert dropped == ()


def test_a_stream_ends_at_a_sequence_that_its_node_was_not_told():
    stream = open_stream(MESSAGES, CHAT, None, context())
    pieces = [chunk({"content": text}) for text in ("So E", "NE", "N", "D and", " more")]
    out = b"".join(stream.feed(piece) for piece in (*pieces, chunk({}, "length"))) + stream.close()
    assert stream.ended
    out += stream.finish(Usage(), None)
    events = [json.loads(line[6:]) for line in out.decode().split("\n") if line.startswith("data: ")]
    said = "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
    assert said == "So EN"
    assert (events[-2]["delta"]["stop_reason"], events[-2]["delta"]["stop_sequence"]) == ("stop_sequence", "END")
    # What the node went on to write is billed as it tells it, and counted where it does not.
    assert "".join(stream.tally().text) == "So ENEND and more"


def test_a_whole_answer_ends_at_a_sequence_that_its_node_was_not_told():
    message = {"content": "Up to five or the END", "tool_calls": []}
    body = {"id": "c", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    answer = json.loads(read_answer(MESSAGES, CHAT, None, json.dumps(body).encode(), context()).render(Usage(), None))
    assert [block["text"] for block in answer["content"]] == ["Up to "]
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("stop_sequence", "five")


def test_an_answer_without_a_sequence_goes_through_whole():
    stopper = Stopper(STOPS)
    call = ToolCallStart(index=0, id="a", name="f")
    finish = Finish(reason=FinishReason.LENGTH)
    given_ = [Start(model="m"), TextDelta(text="an EN"), TextDelta(text="d E", block=1), call, finish]
    told = [event for each in given_ for event in stopper.feed(each)] + stopper.close()
    texts = [(event.block, event.text) for event in told if isinstance(event, TextDelta)]
    assert texts == [(0, "an "), (0, "EN"), (1, "d "), (1, "E")]
    assert [event for event in told if not isinstance(event, TextDelta)] == [given_[0], call, finish]


@given(st.text("abE", max_size=30), st.lists(st.text("abE", min_size=1, max_size=4), min_size=5, max_size=6), st.data())
def test_a_text_in_any_pieces_ends_where_the_whole_would(text: str, stops: list[str], data: st.DataObject):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    stopper = Stopper(stops)
    told = [event for piece in pieces if piece for event in stopper.feed(TextDelta(text=piece))]
    told += stopper.feed(Finish(reason=FinishReason.STOP))
    said = "".join(event.text for event in told if isinstance(event, TextDelta))
    found = first_stop(text, stops)
    if found is None:
        assert (said, told[-1]) == (text, Finish(reason=FinishReason.STOP))
    else:
        at, stop = found
        assert (said, told[-1]) == (text[:at], Finish(reason=FinishReason.STOP_SEQUENCE, stop_sequence=stop))


@pytest.mark.parametrize("stops", [["x"] * 65, ["x" * 1025]], ids=["many", "long"])
@pytest.mark.parametrize(("codec", "field"), [(CHAT, "stop"), (MESSAGES, "stop_sequences")], ids=["chat", "messages"])
def test_more_sequences_than_anyone_needs_are_refused_by_name(codec: Codec, field: str, stops: list[str]):
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], field: stops}
    with pytest.raises(MiraError) as refused:
        codec.open_request(json.dumps(body).encode())
    assert refused.value.kind is Kind.BAD_REQUEST
    assert (refused.value.param or "").startswith(field)
