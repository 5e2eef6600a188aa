"""Chat Completions refuses bad requests by the field's name, whatever is wrong with them."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generators.conversations import JSON_VALUES

from mira.codecs.chat import CHAT
from mira.errors import Kind, MiraError

REFUSED = json.loads((Path(__file__).parents[1] / "vectors/chat/refused.json").read_text())

#: A value of one top-level field and where the fault is.
FIELDS = [
    ('"max_tokens":0', "max_tokens"),
    ('"max_tokens":-1', "max_tokens"),
    ('"max_tokens":2147483649', "max_tokens"),
    ('"max_tokens":99999999999999999999999', "max_tokens"),
    ('"max_tokens":1.5', "max_tokens"),
    ('"max_tokens":"7"', "max_tokens"),
    ('"max_completion_tokens":0', "max_completion_tokens"),
    ('"max_completion_tokens":true', "max_completion_tokens"),
    ('"n":0', "n"),
    ('"n":129', "n"),
    ('"n":-3', "n"),
    ('"temperature":-0.1', "temperature"),
    ('"temperature":2.1', "temperature"),
    ('"temperature":1e400', "temperature"),
    ('"temperature":NaN', None),
    ('"temperature":Infinity', None),
    ('"temperature":"hot"', "temperature"),
    ('"top_p":1.01', "top_p"),
    ('"top_p":-1', "top_p"),
    ('"presence_penalty":2.5', "presence_penalty"),
    ('"frequency_penalty":-2.5', "frequency_penalty"),
    ('"seed":1.5', "seed"),
    ('"logit_bias":[]', "logit_bias"),
    ('"logit_bias":{"1":"x"}', "logit_bias"),
    ('"logprobs":1', "logprobs"),
    ('"top_logprobs":21', "top_logprobs"),
    ('"stop":7', "stop"),
    ('"stop":["a",7]', "stop[1]"),
    ('"stream":"yes"', "stream"),
    ('"stream_options":true', "stream_options"),
    ('"stream_options":{"include_usage":"yes"}', "stream_options.include_usage"),
    ('"reasoning_effort":3', "reasoning_effort"),
    ('"response_format":"json"', "response_format"),
    ('"response_format":{}', "response_format.type"),
    ('"response_format":{"type":"json_schema"}', "response_format.json_schema"),
    ('"response_format":{"type":"json_schema","json_schema":{}}', "response_format.json_schema.name"),
    ('"tools":{}', "tools"),
    ('"tools":[{}]', "tools[0].type"),
    ('"tools":[{"type":"function"}]', "tools[0].function"),
    ('"tools":[{"type":"function","function":{}}]', "tools[0].function.name"),
    ('"tools":[{"type":"custom"}]', "tools[0].custom"),
    ('"tool_choice":"maybe"', "tool_choice"),
    ('"tool_choice":{"type":"function"}', "tool_choice.function"),
    ('"tool_choice":{"type":"allowed_tools"}', "tool_choice.allowed_tools"),
    (
        '"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"x","tools":[]}}',
        "tool_choice.allowed_tools.mode",
    ),
    ('"parallel_tool_calls":"no"', "parallel_tool_calls"),
    ('"functions":[{}]', "functions[0].name"),
    ('"function_call":"always"', "function_call"),
    ('"user":7', "user"),
    ('"user":"\\ud800"', None),
    ('"x":"\\ud800"', None),
    ('"x":' + "[" * 65 + "]" * 65, None),
    ('"x":' + '{"a":' * 65 + "1" + "}" * 65, None),
    ('"x":' + "[" * 100_000 + "]" * 100_000, None),
    ('"x":' + "[" * 100_000, None),
]


def refusal(body: bytes) -> MiraError:
    with pytest.raises(MiraError) as caught:
        CHAT.open_request(body)
    return caught.value


@pytest.mark.parametrize(("body", "param"), REFUSED)
def test_a_bad_body_is_refused_by_the_fields_name(body: str, param: str | None) -> None:
    error = refusal(body.encode())
    assert (error.kind, error.param) == (Kind.BAD_REQUEST, param)
    assert error.message
    assert "$" not in error.message
    assert param is None or f"'{param}'" in error.message


@pytest.mark.parametrize(("field", "param"), FIELDS, ids=[field[:50] for field, _ in FIELDS])
def test_a_bad_value_is_refused_by_the_fields_name(field: str, param: str | None) -> None:
    error = refusal(b'{"model":"m","messages":[{"role":"user","content":"x"}],' + field.encode() + b"}")
    assert (error.kind, error.param) == (Kind.BAD_REQUEST, param)


@pytest.mark.parametrize(
    "body",
    [
        b'\xff\xfe{"model":"m"}',
        b'{"model":"\xff","messages":[]}',
        b'{"x":"\xc3","model":"m","messages":[{"role":"user","content":"x"}]}',
    ],
)
def test_bytes_that_are_not_utf_8_are_refused(body: bytes) -> None:
    assert refusal(body).kind is Kind.BAD_REQUEST


def test_a_refusal_echoes_nothing_that_was_sent() -> None:
    secret = "sk-very-secret"
    body = {"model": "m", "messages": [{"role": secret, "content": "x"}], "tool_choice": secret}
    assert secret not in refusal(json.dumps(body).encode()).message


def test_null_means_absent_and_unknown_fields_are_taken() -> None:
    names = [
        "max_tokens",
        "n",
        "stream",
        "stream_options",
        "temperature",
        "tools",
        "tool_choice",
        "stop",
        "response_format",
    ]
    nulls = "".join(f',"{name}":null' for name in names)
    envelope = CHAT.open_request(
        f'{{"model":"m","messages":[{{"role":"user","content":"x"}}],"new":[1]{nulls}}}'.encode()
    )
    assert envelope.output_cap is None
    assert CHAT.parse_request(envelope).unknown == ("new",)


@given(st.dictionaries(st.sampled_from(["model", "messages", "tools", "stop", "n", "stream_options"]), JSON_VALUES))
def test_no_body_raises_anything_but_a_bad_request(body: dict[str, object]) -> None:
    with contextlib.suppress(MiraError):
        CHAT.parse_request(CHAT.open_request(json.dumps(body).encode()))


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_a_bad_request(body: bytes) -> None:
    assert refusal(body).kind is Kind.BAD_REQUEST
