"""Messages refuses bad requests by the field's name, whatever is wrong with them."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generators.conversations import JSON_VALUES

from mira.codecs.messages import MESSAGES, open_count
from mira.errors import Kind, MiraError

HEAD = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}]'

BODIES: list[tuple[bytes, str | None]] = [
    (b"", None),
    (b"nonsense", None),
    (b"[]", None),
    (b"null", None),
    (HEAD + b"} trailing", None),
    (HEAD + b',"x":"\\ud800"}', None),
    (b'\xff{"model":"m"}', None),
    (HEAD + b',"x":' + b"[" * 65 + b"]" * 65 + b"}", None),
    (HEAD + b',"x":' + b"[" * 100_000, None),
    (b'{"max_tokens":5,"messages":[{"role":"user","content":"x"}]}', "model"),
    (b'{"model":"","max_tokens":5,"messages":[{"role":"user","content":"x"}]}', "model"),
    (b'{"model":"m","messages":[{"role":"user","content":"x"}]}', "max_tokens"),
    (b'{"model":"m","max_tokens":null,"messages":[{"role":"user","content":"x"}]}', "max_tokens"),
    (b'{"model":"m","max_tokens":5}', "messages"),
    (b'{"model":"m","max_tokens":5,"messages":[]}', "messages"),
    (b'{"model":"m","max_tokens":5,"messages":{}}', "messages"),
]

#: A value of one top-level field and where the fault is.
FIELDS = [
    ('"max_tokens":-1', "max_tokens"),
    ('"max_tokens":1.5', "max_tokens"),
    ('"max_tokens":"7"', "max_tokens"),
    ('"max_tokens":99999999999999999999999', "max_tokens"),
    ('"temperature":1.1', "temperature"),
    ('"temperature":"hot"', "temperature"),
    ('"top_p":-1', "top_p"),
    ('"top_k":-1', "top_k"),
    ('"stream":"yes"', "stream"),
    ('"stop_sequences":"END"', "stop_sequences"),
    ('"stop_sequences":[7]', "stop_sequences[0]"),
    ('"system":7', "system"),
    ('"system":[{"type":"image"}]', "system[0].type"),
    ('"system":[{"type":"text"}]', "system[0].text"),
    ('"metadata":[]', "metadata"),
    ('"metadata":{"user_id":7}', "metadata.user_id"),
    ('"thinking":{}', "thinking.type"),
    ('"thinking":{"type":"deep"}', "thinking.type"),
    ('"thinking":{"type":"enabled"}', "thinking.budget_tokens"),
    ('"thinking":{"type":"enabled","budget_tokens":1023}', "thinking.budget_tokens"),
    ('"output_config":{"effort":1}', "output_config.effort"),
    ('"output_config":{"format":{"type":"xml"}}', "output_config.format.type"),
    ('"output_config":{"format":{"type":"json_schema"}}', "output_config.format.schema"),
    ('"output_config":{"format":{"type":"json_schema","schema":[]}}', "output_config.format.schema"),
    ('"tools":{}', "tools"),
    ('"tools":[{"input_schema":{}}]', "tools[0].name"),
    ('"tools":[{"name":"f"}]', "tools[0].input_schema"),
    ('"tools":[{"name":"f","input_schema":null}]', "tools[0].input_schema"),
    ('"tools":[{"name":"f","input_schema":{},"strict":1}]', "tools[0].strict"),
    ('"tool_choice":"auto"', "tool_choice"),
    ('"tool_choice":{"type":"required"}', "tool_choice.type"),
    ('"tool_choice":{"type":"tool"}', "tool_choice.name"),
    ('"messages":[{"content":"x"}]', "messages[0].role"),
    ('"messages":[{"role":"robot","content":"x"}]', "messages[0].role"),
    ('"messages":[{"role":"user"}]', "messages[0].content"),
    ('"messages":[{"role":"user","content":null}]', "messages[0].content"),
    ('"messages":["x"]', "messages[0]"),
]

#: A block, the role it stands under, and where in the block the fault is.
BLOCKS: list[tuple[str, dict[str, Any] | int, str]] = [
    ("user", 7, ""),
    ("user", {}, ".type"),
    ("user", {"type": "text"}, ".text"),
    ("user", {"type": "text", "text": 7}, ".text"),
    ("user", {"type": "text", "text": "x", "cache_control": 1}, ".cache_control"),
    ("user", {"type": "image"}, ".source"),
    ("user", {"type": "image", "source": "x"}, ".source"),
    ("user", {"type": "image", "source": {"type": "base64", "media_type": "image/png"}}, ".source.data"),
    ("user", {"type": "image", "source": {"type": "base64", "data": "AA"}}, ".source.media_type"),
    ("user", {"type": "image", "source": {"type": "url"}}, ".source.url"),
    ("user", {"type": "document", "source": {"type": "file"}}, ".source.file_id"),
    ("user", {"type": "document", "source": {"type": "text"}}, ".source.data"),
    ("user", {"type": "search_result", "title": "t", "content": []}, ".source"),
    ("user", {"type": "search_result", "title": "t", "content": [], "source": {"type": "x"}}, ".source"),
    ("user", {"type": "tool_result"}, ".tool_use_id"),
    ("user", {"type": "tool_result", "tool_use_id": ""}, ".tool_use_id"),
    ("user", {"type": "tool_result", "content": "x"}, ".tool_use_id"),
    ("user", {"type": "tool_result", "tool_use_id": "a", "content": {}}, ".content"),
    ("user", {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "image"}]}, ".content[0].source"),
    ("user", {"type": "tool_use", "id": "a", "name": "f", "input": {}}, ".type"),
    ("user", {"type": "thinking", "thinking": "", "signature": ""}, ".type"),
    ("assistant", {"type": "tool_result", "tool_use_id": "a"}, ".type"),
    ("assistant", {"type": "tool_result", "tool_use_id": "a", "content": "x"}, ".type"),
    ("assistant", {"type": "thinking", "thinking": "x"}, ".signature"),
    ("assistant", {"type": "redacted_thinking"}, ".data"),
    ("assistant", {"type": "tool_use", "name": "f", "input": {}}, ".id"),
    ("assistant", {"type": "tool_use", "id": "", "name": "f", "input": {}}, ".id"),
    ("assistant", {"type": "tool_use", "id": "a", "name": "", "input": {}}, ".name"),
    ("assistant", {"type": "tool_use", "id": "a", "name": "f"}, ".input"),
    ("assistant", {"type": "tool_use", "id": "a", "name": "f", "input": "{}"}, ".input"),
    ("assistant", {"type": "tool_use", "id": "a", "name": "f", "input": None}, ".input"),
]


def refusal(body: bytes) -> MiraError:
    with pytest.raises(MiraError) as caught:
        MESSAGES.open_request(body)
    return caught.value


@pytest.mark.parametrize(("body", "param"), BODIES)
def test_a_bad_body_is_refused_by_the_fields_name(body: bytes, param: str | None) -> None:
    error = refusal(body)
    assert (error.kind, error.param) == (Kind.BAD_REQUEST, param)
    assert error.message
    assert param is None or f"'{param}'" in error.message


@pytest.mark.parametrize(("field", "param"), FIELDS, ids=[field[:50] for field, _ in FIELDS])
def test_a_bad_value_is_refused_by_the_fields_name(field: str, param: str) -> None:
    error = refusal(HEAD + b"," + field.encode() + b"}")
    assert (error.kind, error.param) == (Kind.BAD_REQUEST, param)


@pytest.mark.parametrize(("role", "block", "param"), BLOCKS)
def test_a_bad_block_is_refused_by_its_place(role: str, block: dict[str, Any] | int, param: str) -> None:
    text = {"type": "text", "text": "x"}
    messages = [{"role": "user", "content": "x"}, {"role": role, "content": [text, block]}]
    error = refusal(json.dumps({"model": "m", "max_tokens": 5, "messages": messages}).encode())
    assert (error.kind, error.param) == (Kind.BAD_REQUEST, f"messages[1].content[1]{param}")


def test_a_refusal_echoes_nothing_that_was_sent() -> None:
    secret = "sk-very-secret"
    fields = [
        {"tool_choice": {"type": secret}},
        {"thinking": {"type": secret}},
        {"messages": [{"role": secret, "content": secret}]},
    ]
    for field in fields:
        body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], **field}
        assert secret not in refusal(json.dumps(body).encode()).message


def test_null_means_absent_and_what_is_unknown_is_taken() -> None:
    names = [
        "system",
        "tools",
        "tool_choice",
        "stop_sequences",
        "stream",
        "temperature",
        "thinking",
        "metadata",
        "output_config",
    ]
    nulls = "".join(f',"{name}":null' for name in names).encode()
    envelope = MESSAGES.open_request(HEAD + nulls + b',"new":[1]}')
    assert (envelope.output_cap, envelope.stream, envelope.include_usage) == (5, False, True)
    assert MESSAGES.parse_request(envelope).unknown == ("new",)
    server = {"type": "web_search_20250305", "name": "web_search"}
    block = {"type": "brand_new", "payload": {"a": [1]}}
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": [block]}], "tools": [server]}
    told = MESSAGES.parse_request(MESSAGES.open_request(json.dumps(body).encode()))
    assert told.tools[0].name == "web_search"
    assert json.loads(bytes(told.turns[0].parts[0].data)) == block


def test_media_are_counted_and_not_read_as_text() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 4000}}
    linked = {"type": "document", "source": {"type": "url", "url": "https://x"}}
    content = [image, linked, {"type": "tool_result", "tool_use_id": "a", "content": [image]}]
    body = json.dumps({"model": "m", "max_tokens": 0, "messages": [{"role": "user", "content": content}]}).encode()
    envelope = MESSAGES.open_request(body)
    assert envelope.media_parts == 3
    assert envelope.input_bytes == len(body) - 8000
    assert envelope.output_cap == 0


def test_a_request_to_count_needs_no_cap() -> None:
    envelope = open_count(b'{"model":"m","messages":[{"role":"user","content":"x"}]}')
    assert (envelope.model, envelope.output_cap) == ("m", None)


@given(st.dictionaries(st.sampled_from(["messages", "tools", "system", "thinking", "tool_choice"]), JSON_VALUES))
def test_no_body_raises_anything_but_a_bad_request(fields: dict[str, object]) -> None:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], **fields}
    with contextlib.suppress(MiraError):
        MESSAGES.parse_request(MESSAGES.open_request(json.dumps(body).encode()))


KINDS = [
    "text",
    "image",
    "document",
    "search_result",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "tool_result",
    "new",
]
BLOCK = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional={
        name: JSON_VALUES | st.just({"type": "base64"})
        for name in ("text", "source", "content", "input", "id", "name", "tool_use_id", "title", "citations", "data")
    },
)


@given(st.lists(BLOCK, max_size=3), st.sampled_from(["user", "assistant", "system"]))
def test_no_block_raises_anything_but_a_bad_request(blocks: list[dict[str, object]], role: str) -> None:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": role, "content": blocks}]}
    with contextlib.suppress(MiraError):
        MESSAGES.parse_request(MESSAGES.open_request(json.dumps(body).encode()))


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_a_bad_request(body: bytes) -> None:
    assert refusal(body).kind is Kind.BAD_REQUEST
