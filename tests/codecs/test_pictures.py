"""What every client protocol makes of the pictures that a model drew, in streams as in whole answers."""

import json
from typing import Any

import pytest
from openai.lib.streaming._deltas import accumulate_delta
from openai.types.responses import Response
from tests.grammar.chat import check_chat_stream
from tests.grammar.messages import check_messages_stream, content_of
from tests.grammar.responses import check_responses_stream

from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec, Context, NodeCodec
from mira.codecs.gemini import GEMINI
from mira.codecs.messages import MESSAGES
from mira.codecs.responses import RESPONSES
from mira.codecs.translation import TranslatedAnswer, TranslatedStream
from mira.core.usage import Usage

CONTEXT = Context(answer_id="chatcmpl-mira", created_s=1_700_000_000)
PNG, JPEG = "iVBORw0KGgo=", "/9j/4AAQ"
URLS = [f"data:image/png;base64,{PNG}", f"data:image/jpeg;base64,{JPEG}"]
NOTE = "[Here the model made a picture (image/{}), for which this protocol has no place.]"
#: 1,290 of the 1,300 tokens that the model wrote are pictures
USAGE = Usage(input_tokens=10, output_tokens=10, image_output_tokens=1290)
COUNTED = {
    "promptTokenCount": 10,
    "candidatesTokenCount": 1300,
    "totalTokenCount": 1310,
    "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
}


def gemini(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    candidate = {"index": 0, "content": {"role": "model", "parts": list(parts)}, **more}
    return {"candidates": [candidate], "modelVersion": "m", "responseId": "r", "usageMetadata": COUNTED}


GEMINI_PARTS = [
    {"text": "Two: "},
    {"inlineData": {"mimeType": "image/png", "data": PNG}},
    {"inlineData": {"mimeType": "image/jpeg", "data": JPEG}},
    {"text": "done"},
]
GEMINI_STREAM = b"".join(
    b"data: " + json.dumps(told).encode() + b"\n\n"
    for told in (*(gemini(part) for part in GEMINI_PARTS), gemini(finishReason="STOP"))
)
GEMINI_BODY = json.dumps(gemini(*GEMINI_PARTS, finishReason="STOP")).encode()

_IMAGES = [{"type": "image_url", "image_url": {"url": url}, "index": index} for index, url in enumerate(URLS)]
_CHAT_USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 1300,
    "total_tokens": 1310,
    "completion_tokens_details": {"image_tokens": 1290},
}


def _openrouter(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    head = {"id": "r", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    told = {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(told).encode() + b"\n\n"


CHAT_STREAM = b"".join(
    [
        _openrouter({"role": "assistant", "content": "Two: "}),
        _openrouter({"content": "", "images": _IMAGES}),
        _openrouter({"content": "done"}),
        _openrouter({}, "stop", usage=_CHAT_USAGE),
        b"data: [DONE]\n\n",
    ]
)
CHAT_BODY = json.dumps(
    {
        "id": "r",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Two: done", "images": _IMAGES},
                "finish_reason": "stop",
            }
        ],
        "usage": _CHAT_USAGE,
    }
).encode()

NODES = pytest.mark.parametrize(
    ("node", "stream", "body"), [(GEMINI, GEMINI_STREAM, GEMINI_BODY), (CHAT, CHAT_STREAM, CHAT_BODY)]
)


def streamed(node: NodeCodec, client: Codec, stream: bytes) -> bytes:
    machine = TranslatedStream(node, client, CONTEXT, ())
    out = machine.feed(stream) + machine.close()
    assert machine.ended
    assert machine.usage == USAGE
    return out + machine.finish(USAGE, 7)


def answered(node: NodeCodec, client: Codec, body: bytes) -> dict[str, Any]:
    answer = TranslatedAnswer.parse(body, node, client, CONTEXT, lambda told: told)
    assert answer.usage == USAGE
    told: dict[str, Any] = json.loads(answer.render(USAGE, 7))
    return told


@NODES
def test_chat_clients_get_pictures_as_openrouter_tells_them(node: NodeCodec, stream: bytes, body: bytes) -> None:
    chunks = check_chat_stream(streamed(node, CHAT, stream), include_usage=True)
    message: dict[Any, Any] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            message = accumulate_delta(message, choice["delta"])
    whole = answered(node, CHAT, body)
    assert message["content"] == whole["choices"][0]["message"]["content"] == "Two: done"
    assert message["images"] == whole["choices"][0]["message"]["images"]
    assert [image["image_url"]["url"] for image in message["images"]] == URLS
    assert [image["index"] for image in message["images"]] == [0, 1]
    assert chunks[-1]["usage"]["completion_tokens_details"]["image_tokens"] == 1290


@NODES
def test_responses_clients_get_pictures_as_items(node: NodeCodec, stream: bytes, body: bytes) -> None:
    last = check_responses_stream(streamed(node, RESPONSES, stream))[-1]["response"]
    for told in (last, answered(node, RESPONSES, body)):
        Response.model_validate(told)
        pictures = [item for item in told["output"] if item["type"] == "image_generation_call"]
        assert [(item["result"], item["output_format"]) for item in pictures] == [(PNG, "png"), (JPEG, "jpeg")]
        words = [part["text"] for item in told["output"] if item["type"] == "message" for part in item["content"]]
        assert "".join(words) == "Two: done"


@NODES
def test_messages_clients_are_told_that_there_was_a_picture(node: NodeCodec, stream: bytes, body: bytes) -> None:
    blocks = content_of(check_messages_stream(streamed(node, MESSAGES, stream)))
    notes = [NOTE.format("png"), NOTE.format("jpeg")]
    assert [block["text"] for block in blocks] == ["Two: ", *notes, "done"]
    whole = [block["text"] for block in answered(node, MESSAGES, body)["content"]]
    assert whole == (["Two: ", *notes, "done"] if node is GEMINI else ["Two: done", *notes])


@NODES
@pytest.mark.parametrize("client", [CHAT, MESSAGES, RESPONSES])
def test_a_picture_that_was_seen_rules_out_another_node(
    node: NodeCodec, client: Codec, stream: bytes, body: bytes
) -> None:
    del body
    machine = TranslatedStream(node, client, CONTEXT, ())
    first = stream.index(b"image/png")
    machine.feed(stream[: stream.index(b"\n\n", first) + 2].replace(b"Two: ", b""))
    assert machine.has_content
