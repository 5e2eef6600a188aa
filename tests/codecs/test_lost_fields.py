"""What one protocol says and another cannot: it is expressed, refused by its name or told as left out, and never lost."""

import base64
import json

import pytest

from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec, NodeCodec, Target
from mira.codecs.gemini import GEMINI
from mira.codecs.messages import MESSAGES
from mira.codecs.responses import RESPONSES
from mira.core.conversation import Reasoning, Text
from mira.core.events import ReasoningDelta, TextDelta
from mira.errors import Kind, MiraError

PDF = base64.b64encode(b"%PDF-1.7\n").decode()
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
OTHERS_OF_MESSAGES = [CHAT, GEMINI, RESPONSES]


def told(client: Codec, node: NodeCodec, **fields) -> tuple[dict, tuple[str, ...]]:
    """The body for a node, and what was left out."""
    asked = {
        "chat": {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
        "messages": {"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "Hi"}]},
        "responses": {"model": "m", "input": "Hi"},
    }[client.name]
    model = {"messages": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}.get(node.name, "m")
    body = json.dumps({**asked, **fields}).encode()
    conversation = client.parse_request(client.open_request(body))
    rendered, dropped = node.render_request(conversation, Target(model=model, output_cap=9000, dialect="openai"))
    return json.loads(rendered), dropped


def said(*parts) -> dict:
    return {"messages": [{"role": "user", "content": list(parts)}]}


@pytest.mark.parametrize("node", [MESSAGES, GEMINI, RESPONSES], ids=lambda node: node.name)
def test_sound_is_refused_where_a_node_has_none(node):
    with pytest.raises(MiraError) as refused:
        told(CHAT, node, modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"})
    assert refused.value.kind is Kind.UNSUPPORTED
    assert refused.value.param in ("modalities", "audio")


def test_thinking_that_is_only_switched_on_is_on():
    body, dropped = told(CHAT, MESSAGES, reasoning={"enabled": True})
    assert body["thinking"]["type"] == "enabled"
    body, _ = told(CHAT, GEMINI, reasoning={"enabled": True})
    assert body["generationConfig"]["thinkingConfig"]["thinkingBudget"] == -1
    assert dropped == ()


@pytest.mark.parametrize(
    ("data", "name", "mime_type"),
    [
        (PDF, None, "application/pdf"),
        (PDF, "a.txt", "application/pdf"),
        (base64.b64encode(b"a,b").decode(), "table.CSV", "text/csv"),
        (base64.b64encode(b"???").decode(), None, "application/octet-stream"),
    ],
)
@pytest.mark.parametrize("client", [CHAT, RESPONSES], ids=lambda client: client.name)
def test_a_file_in_bare_base64_is_data_and_no_address(client, data, name, mime_type):
    named = {"filename": name} if name else {}
    if client is CHAT:
        fields = said({"type": "file", "file": {"file_data": data, **named}})
    else:
        fields = {"input": [{"role": "user", "content": [{"type": "input_file", "file_data": data, **named}]}]}
    body, _ = told(client, GEMINI, **fields)
    (part,) = body["contents"][0]["parts"]
    assert part == {"inlineData": {"mimeType": mime_type, "data": data}}


@pytest.mark.parametrize("node", OTHERS_OF_MESSAGES, ids=lambda node: node.name)
def test_a_document_of_texts_and_pictures_arrives_whole_and_in_order(node):
    text = [{"type": "text", "text": word} for word in ("one", "two", "three")]
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    source = {"type": "content", "content": [text[0], text[1], picture, text[2]]}
    body, dropped = told(MESSAGES, node, **said({"type": "document", "title": "T", "source": source}))
    whole = json.dumps(body)
    places = [whole.index(piece) for piece in ("T\\n\\none\\n\\ntwo", PNG, "three")]
    assert places == sorted(places)
    assert dropped == ()


@pytest.mark.parametrize("node", OTHERS_OF_MESSAGES, ids=lambda node: node.name)
def test_citations_and_flags_of_tools_that_a_node_has_no_place_for_are_told(node):
    found = {
        "type": "search_result",
        "source": "https://example.com",
        "title": "T",
        "content": [{"type": "text", "text": "x"}],
        "citations": {"enabled": True},
    }
    tool = {"name": "f", "input_schema": {"type": "object"}, "input_examples": [{}], "allowed_callers": ["direct"]}
    _, dropped = told(MESSAGES, node, tools=[tool], **said(found))
    assert {"citations", "tools.f.input_examples", "tools.f.allowed_callers"} <= set(dropped)


def test_how_closely_a_picture_is_looked_at_is_told_where_it_is_left_out():
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}}
    assert told(CHAT, MESSAGES, **said(picture))[1] == ("detail",)


def test_thinking_among_the_parts_of_an_answer_is_thinking():
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    text = {"type": "text", "text": "Hi."}
    body = {"id": "a", "model": "m", "choices": [{"index": 0, "message": {"content": [thought, text]}}]}
    answer = CHAT.parse_answer(json.dumps(body).encode())
    assert answer.choices[0].parts == (Reasoning(text="Hm."), Text(text="Hi."))
    decoder = CHAT.decoder()
    events = []
    for part in (thought, text):
        chunk = {"id": "a", "model": "m", "choices": [{"index": 0, "delta": {"content": [part]}}]}
        events += decoder.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    assert events[1:] == [ReasoningDelta(text="Hm."), TextDelta(text="Hi.")]


def test_signed_thinking_among_the_parts_of_a_history_stays_with_its_provider():
    signed = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
    parts = [
        signed,
        {"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"},
        {"type": "thinking", "thinking": "Its own."},
        {"type": "text", "text": "Hi."},
    ]
    turns = [{"role": "user", "content": 'The "signature"?'}, {"role": "assistant", "content": parts}]
    turns += [{"role": "assistant", "content": [signed]}, {"role": "user", "content": "Go on"}]
    body = json.dumps({"model": "m", "messages": turns}).encode()

    def passed(dialect: str) -> list[dict]:
        target = Target(model="m", output_cap=9, dialect=dialect)
        return json.loads(CHAT.pass_request(CHAT.open_request(body), target))["messages"]

    _, told, empty, _ = passed("mistral")
    assert told["content"] == parts[2:]
    assert empty["content"] == ""
    assert passed("openrouter") == turns


@pytest.mark.parametrize("node", OTHERS_OF_MESSAGES, ids=lambda node: node.name)
def test_thinking_that_another_provider_signed_is_told_where_it_stays_behind(node):
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "A"}]},
    ]
    body, dropped = told(MESSAGES, node, messages=[*turns, {"role": "user", "content": "Go on"}])
    assert "c2lnbmVk" not in json.dumps(body)
    assert dropped == ("reasoning",)


def test_thinking_that_nobody_signed_is_told_where_only_signed_thinking_goes():
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "A", "reasoning_content": "Hm."}]
    _, dropped = told(CHAT, MESSAGES, messages=[*turns, {"role": "user", "content": "Go on"}])
    assert dropped == ("reasoning",)
