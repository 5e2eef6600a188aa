"""An answer may be written again at another cost: a ledger that decides anew may charge something else."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec, Context
from mira.codecs.embeddings import EMBEDDINGS
from mira.codecs.messages import MESSAGES
from mira.codecs.responses import RESPONSES
from mira.codecs.translation import open_stream, read_answer
from mira.core.usage import Usage

CONTEXT = Context(answer_id="a1", created_s=1_700_000_000, include_usage=True, strip_provider=True)
ASKED = CHAT.parse_request(CHAT.open_request(b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'))
USAGE = Usage(input_tokens=3, output_tokens=2)
COUNTS = {"input_tokens": 3, "output_tokens": 2}
MODEL = "up/stream/m"

SAID: dict[str, dict[str, Any]] = {
    CHAT.name: {
        "id": "c1",
        "object": "chat.completion",
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    },
    MESSAGES.name: {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "usage": COUNTS,
    },
    RESPONSES.name: {
        "id": "r1",
        "object": "response",
        "status": "completed",
        "model": MODEL,
        "output": [
            {
                "type": "message",
                "id": "i1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
            }
        ],
        "usage": {**COUNTS, "total_tokens": 5},
    },
    EMBEDDINGS.name: {
        "object": "list",
        "model": MODEL,
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    },
}


def frame(told: dict[str, Any]) -> bytes:
    name = f"event: {told['type']}\n" if "type" in told else ""
    return f"{name}data: {json.dumps(told)}\n\n".encode()


def stream_of(codec: Codec) -> bytes:
    said = SAID[codec.name]
    if codec is CHAT:
        head = {"id": "c1", "object": "chat.completion.chunk", "model": MODEL}
        choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}
        told = [
            {**head, "choices": [choice]},
            {**head, "choices": [{**choice, "delta": {}, "finish_reason": "stop"}]},
            {**head, "choices": [], "usage": said["usage"]},
        ]
        return b"".join(map(frame, told)) + b"data: [DONE]\n\n"
    if codec is MESSAGES:
        told = [
            {"type": "message_start", "message": {**said, "content": [], "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": COUNTS},
            {"type": "message_stop"},
        ]
        return b"".join(map(frame, told))
    item, part = said["output"][0], said["output"][0]["content"][0]
    place = {"item_id": "i1", "output_index": 0, "content_index": 0}
    told = [
        {"type": "response.created", "response": {**said, "status": "in_progress", "output": [], "usage": None}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        {"type": "response.output_text.delta", **place, "delta": "Hi"},
        {"type": "response.output_text.done", **place, "text": "Hi"},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": said},
    ]
    return b"".join(frame({**event, "sequence_number": number}) for number, event in enumerate(told))


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("codec", [CHAT, MESSAGES, RESPONSES, EMBEDDINGS], ids=lambda codec: codec.name)
def test_a_whole_answer_is_written_again_as_if_for_the_first_time(codec: Codec, told: bool) -> None:
    said = {name: value for name, value in SAID[codec.name].items() if told or name != "usage"}
    body = json.dumps(said).encode()
    answer, fresh = codec.pass_answer(body, CONTEXT), codec.pass_answer(body, CONTEXT)
    assert answer.render(USAGE, 42) != answer.render(USAGE, 7)
    assert answer.render(USAGE, 7) == fresh.render(USAGE, 7)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("node", [CHAT, MESSAGES, RESPONSES], ids=lambda codec: codec.name)
@pytest.mark.parametrize("client", [CHAT, MESSAGES, RESPONSES], ids=lambda codec: codec.name)
def test_the_end_of_a_stream_is_written_again_as_if_for_the_first_time(client: Codec, node: Codec, told: bool) -> None:
    context = CONTEXT if client is node else replace(CONTEXT, request=ASKED)
    ends = []
    for costs in ([42, 7], [7]):
        stream = open_stream(client, node, None, context)
        for line in stream_of(node).splitlines(keepends=True):
            stream.feed(line if told else line.replace(b'"usage":', b'"other":'))
        stream.close()
        assert stream.ended
        ends.append([stream.finish(USAGE, cost) for cost in costs][-1])
    assert ends[0] == ends[1]


@pytest.mark.parametrize("node", [CHAT, MESSAGES, RESPONSES], ids=lambda codec: codec.name)
@pytest.mark.parametrize("client", [CHAT, MESSAGES, RESPONSES], ids=lambda codec: codec.name)
def test_a_translated_answer_is_written_again_as_if_for_the_first_time(client: Codec, node: Codec) -> None:
    body = json.dumps(SAID[node.name]).encode()
    answer, fresh = (read_answer(client, node, None, body, replace(CONTEXT, request=ASKED)) for _ in range(2))
    answer.render(USAGE, 42)
    assert answer.render(USAGE, 7) == fresh.render(USAGE, 7)
