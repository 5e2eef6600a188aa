"""Responses refuses bad requests by the field's name, whatever is wrong with them."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generators.conversations import JSON_VALUES

from mira.codecs.responses import RESPONSES
from mira.errors import Kind, MiraError

REFUSED = json.loads((Path(__file__).parents[1] / "vectors/responses/refused.json").read_text())

#: A value of one top-level field and where the fault is.
FIELDS = [
    ('"max_output_tokens":0', "max_output_tokens"),
    ('"max_output_tokens":-1', "max_output_tokens"),
    ('"max_output_tokens":2147483649', "max_output_tokens"),
    ('"max_output_tokens":1.5', "max_output_tokens"),
    ('"max_output_tokens":"7"', "max_output_tokens"),
    ('"temperature":-0.1', "temperature"),
    ('"temperature":2.1', "temperature"),
    ('"temperature":NaN', None),
    ('"top_p":1.01', "top_p"),
    ('"top_logprobs":21', "top_logprobs"),
    ('"stream":"yes"', "stream"),
    ('"store":1', "store"),
    ('"instructions":["x"]', "instructions"),
    ('"previous_response_id":7', "previous_response_id"),
    ('"include":"x"', "include"),
    ('"include":[7]', "include[0]"),
    ('"reasoning":"high"', "reasoning"),
    ('"reasoning":{"effort":3}', "reasoning.effort"),
    ('"text":{"format":{}}', "text.format.type"),
    ('"text":{"format":{"type":"json_schema","schema":{}}}', "text.format.name"),
    ('"text":{"format":{"type":"json_schema","name":"x"}}', "text.format.schema"),
    ('"text":{"verbosity":1}', "text.verbosity"),
    ('"tools":{}', "tools"),
    ('"tools":[{}]', "tools[0].type"),
    ('"tools":[7]', "tools[0]"),
    ('"tools":[{"type":7}]', "tools[0].type"),
    ('"tools":[{"type":"function"}]', "tools[0].name"),
    ('"tools":[{"type":"function","name":"f"},{"type":"function","name":""}]', "tools[1].name"),
    ('"tools":[{"type":"function","name":"f","strict":"x"}]', "tools[0].strict"),
    ('"tools":[{"type":"custom"}]', "tools[0].name"),
    ('"tools":[{"type":"custom","name":"x","format":7}]', "tools[0].format"),
    ('"tools":[{"type":"namespace","name":"x"}]', "tools[0].tools"),
    ('"tools":[{"type":"namespace","name":"x","tools":[{"type":"function"}]}]', "tools[0].tools[0].name"),
    ('"tool_choice":"maybe"', "tool_choice"),
    ('"tool_choice":{}', "tool_choice.type"),
    ('"tool_choice":{"type":"function"}', "tool_choice.name"),
    ('"tool_choice":{"type":"allowed_tools","tools":[]}', "tool_choice.mode"),
    ('"tool_choice":{"type":"allowed_tools","mode":"auto"}', "tool_choice.tools"),
    ('"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function"}]}', "tool_choice.tools[0].name"),
    ('"parallel_tool_calls":"no"', "parallel_tool_calls"),
    ('"user":7', "user"),
    ('"user":"\\ud800"', None),
    ('"x":' + "[" * 65 + "]" * 65, None),
    ('"x":' + "[" * 100_000 + "]" * 100_000, None),
    ('"x":' + "[" * 100_000, None),
]


def refusal(body: bytes) -> MiraError:
    with pytest.raises(MiraError) as caught:
        RESPONSES.open_request(body)
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
    error = refusal(b'{"model":"m","input":"x",' + field.encode() + b"}")
    assert (error.kind, error.param) == (Kind.BAD_REQUEST, param)


@pytest.mark.parametrize(
    ("field", "param"), [('"background":true', "background"), ('"conversation":"c"', "conversation")]
)
def test_state_that_is_not_kept_here_is_refused(field: str, param: str) -> None:
    error = refusal(b'{"model":"m","input":"x",' + field.encode() + b"}")
    assert (error.kind, error.param) == (Kind.UNSUPPORTED, param)


@pytest.mark.parametrize(
    "body", [b'\xff\xfe{"model":"m"}', b'{"model":"\xff","input":"x"}', b'{"x":"\xc3","model":"m"}']
)
def test_bytes_that_are_not_utf_8_are_refused(body: bytes) -> None:
    assert refusal(body).kind is Kind.BAD_REQUEST


def test_a_refusal_echoes_nothing_that_was_sent() -> None:
    secret = "sk-very-secret"
    for item in ({"role": secret, "content": "x"}, {"role": "user", "content": [{"type": secret}]}):
        assert secret not in refusal(json.dumps({"model": "m", "input": [item]}).encode()).message


def test_null_means_absent_and_unknown_fields_items_and_tools_are_taken() -> None:
    names = ["max_output_tokens", "stream", "temperature", "tool_choice", "text", "reasoning", "conversation", "prompt",
             "background", "previous_response_id", "include", "instructions", "store", "metadata"]  # fmt: skip
    nulls = "".join(f',"{name}":null' for name in names)
    body = f'{{"model":"m","input":[{{"type":"new_call","x":[1]}}],"tools":[{{"type":"new_tool"}}],"new":[1]{nulls}}}'
    envelope = RESPONSES.open_request(body.encode())
    assert envelope.output_cap is None
    told = RESPONSES.parse_request(envelope)
    assert told.unknown == ("new",)
    assert [tool.name for tool in told.tools] == ["new_tool"]


ITEMS = st.dictionaries(
    st.sampled_from(["type", "role", "content", "id", "call_id", "name", "arguments", "output", "tools", "summary"]),
    JSON_VALUES
    | st.sampled_from(
        ["message", "user", "reasoning", "function_call", "tool_search_call", "tool_search_output", "additional_tools"]
    ),
)


@given(
    st.dictionaries(st.sampled_from(["model", "tools", "text", "reasoning", "include", "tool_choice"]), JSON_VALUES),
    JSON_VALUES | st.lists(ITEMS, max_size=3),
)
def test_no_body_raises_anything_but_a_refusal(body: dict[str, object], told: object) -> None:
    with contextlib.suppress(MiraError):
        RESPONSES.parse_request(RESPONSES.open_request(json.dumps({"model": "m", **body, "input": told}).encode()))


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_a_bad_request(body: bytes) -> None:
    assert refusal(body).kind is Kind.BAD_REQUEST
