"""The embedded model for real, through both faces: what is asserted is the protocol and the bill, not wisdom."""

import asyncio
import json
import os
import shutil
import subprocess

import pytest
from tests.e2e.sdk import Sdk
from tests.grammar.chat import check_chat_stream
from tests.support.gateway import INFERENCE_KEY, PROXY_KEY, Gateway, eventually

from mira.nodes.local.packs import QWEN_CODER, SMOLLM2, default_cache_dir
from mira.nodes.local.pull import pull

LOAD_S = 120.0
FACES = [
    pytest.param("/v1", PROXY_KEY, id="v1"),
    pytest.param("/inference/v1", INFERENCE_KEY, id="inference"),
]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
ALICE = [
    {"role": "user", "content": "My name is Alice."},
    {"role": "assistant", "content": "Hello Alice! How can I help you?"},
    {"role": "user", "content": "What is my name?"},
]


def local_gateway(make_gateway, pack) -> Gateway:
    gateway = make_gateway(MIRA_LOCAL_NODE="on", MIRA_LOCAL_MODEL=pack.name)
    gateway.says(lambda line: "local model ready" in line, timeout_s=LOAD_S)
    return gateway


@pytest.fixture(scope="module")
def small(make_gateway):
    """A gateway with the smallest pack, fetched once per machine into the ordinary cache."""
    asyncio.run(pull(SMOLLM2, default_cache_dir(os.environ), lambda _report: None))
    return local_gateway(make_gateway, SMOLLM2)


@pytest.fixture(params=["sync", "async"])
def sdk(request, small):
    return Sdk(small, request.param)


@pytest.mark.parametrize(("face", "key"), FACES)
def test_the_local_model_answers_the_sdk_whole_and_streamed_for_nothing(small, sdk, face, key):
    fields = {"model": "mira/local-mini", "max_tokens": 12, "temperature": 0, "key": key, "face": face}
    whole = sdk.create(**fields)
    assert whole.choices[0].message.content
    assert whole.choices[0].finish_reason in ("stop", "length")
    assert 0 < whole.usage.completion_tokens <= 12
    assert whole.usage.cost == 0
    assert whole.model == ("mira/local-mini" if face == "/v1" else "local-mini")
    told = sdk.stream(**fields, stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].delta.content or "" for chunk in told[:-1]) == whole.choices[0].message.content
    assert told[-1].usage.prompt_tokens == whole.usage.prompt_tokens
    assert told[-1].usage.cost == 0
    assert small.balance()["balance"] == "10"
    record = small.call(whole._request_id)
    assert record["cost"] == "0"
    assert record["node"] == "local"
    assert record["usage"]["prompt_tokens"] == whole.usage.prompt_tokens


@pytest.mark.parametrize(("face", "key"), FACES)
@pytest.mark.parametrize("model", ["mira/local-mini", "local-mini"])
@pytest.mark.parametrize("include_usage", [False, True])
def test_the_local_models_streams_keep_the_grammar_under_both_its_names(small, face, key, model, include_usage):
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    answer = small.chat(
        model, key=key, path=f"{face}/chat/completions", stream=True, max_tokens=6, temperature=0, **options
    )
    assert answer.status_code == 200
    chunks = check_chat_stream(answer.content, include_usage=include_usage)
    assert chunks[0]["model"] == ("mira/local-mini" if face == "/v1" else "local-mini")


def test_the_local_model_is_listed_as_free_and_honestly_described(small):
    row = small.get("/v1/models/mira/local-mini").json()
    assert row["pricing"]["free"] is True
    assert row["pricing"]["prompt"] == "0"
    assert "demonstration" in row["description"]
    assert row["context_length"] == SMOLLM2.context_tokens
    assert row["nodes"] == [{"name": "local", "state": "active"}]


def test_a_workspace_without_credits_may_use_a_free_model(small):
    _, key = small.new_key(small.new_workspace(None))
    assert small.chat("mira/local-mini", key=key, max_tokens=2).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_a_forced_call_of_the_local_model_is_valid_json_of_its_schema(sdk, stream, choice):
    fields = {
        "model": "mira/local-mini",
        "messages": [{"role": "user", "content": "Weather in Oslo for 3 days?"}],
        "tools": [WEATHER],
        "tool_choice": choice,
        "temperature": 0,
        "max_tokens": 200,
    }
    answer = sdk.streamed_completion(**fields) if stream else sdk.create(**fields)
    assert answer.choices[0].finish_reason == "tool_calls"
    call = answer.choices[0].message.tool_calls[0]
    assert call.id
    assert call.function.name == "get_weather"
    arguments = json.loads(call.function.arguments)
    assert arguments.keys() == {"city", "days"}
    assert isinstance(arguments["city"], str)
    assert isinstance(arguments["days"], int)


def test_a_tool_loop_with_the_local_model_ends_in_words(sdk):
    question = {"role": "user", "content": "Weather in Oslo for 3 days?"}
    fields = {"model": "mira/local-mini", "tools": [WEATHER], "temperature": 0, "max_tokens": 100}
    first = sdk.create(messages=[question], tool_choice="required", **fields)
    call = first.choices[0].message.tool_calls[0]
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"sky": "clear", "degrees": 7}'}
    asked = first.choices[0].message.model_dump(exclude_none=True)
    second = sdk.create(messages=[question, asked, result], **fields)
    assert second.choices[0].finish_reason in ("stop", "length")
    assert second.choices[0].message.content


def test_structured_output_of_the_local_model_keeps_its_schema(small):
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    answer = small.chat(
        "mira/local-mini",
        "Make up a person.",
        temperature=0,
        max_tokens=100,
        response_format={"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": schema}},
    ).json()
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert json.loads(answer["choices"][0]["message"]["content"]).keys() == {"name", "age"}


def test_tokens_of_the_local_model_are_counted_by_its_own_tokenizer(small):
    counted = small.post("/v1/extras/token-count", {"model": "mira/local-mini", "text": "Hello, world!"}).json()
    assert counted["method"] == "exact"
    assert counted["tokenizer"] == "mira/local-mini"
    assert counted["tokens"] == 4
    long = small.post("/v1/extras/token-count", {"model": "local-mini", "text": "word " * 5000}).json()
    assert 5000 <= long["tokens"] <= 5002
    assert small.post("/v1/extras/token-count", {"model": "mira/local-mini", "text": ""}).json()["tokens"] == 0


def test_a_prompt_longer_than_the_local_models_context_is_a_400(small):
    answer = small.chat("mira/local-mini", "word " * (SMOLLM2.context_tokens + 100), max_tokens=2)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    assert small.chat("mira/local-mini", max_tokens=2).status_code == 200


def test_the_ledger_is_well_after_free_calls(small):
    small.check_ledger()
    assert small.balance()["held"] == "0"


def test_a_gateway_whose_model_cannot_be_fetched_starts_and_says_what_is_missing(make_gateway, tmp_path):
    closed = "http://127.0.0.1:9"
    gateway = make_gateway(
        MIRA_LOCAL_NODE="on",
        MIRA_LOCAL_MODEL=SMOLLM2.name,
        XDG_CACHE_HOME=str(tmp_path),
        PIP_INDEX_URL=closed,
        PIP_EXTRA_INDEX_URL="",
        PIP_RETRIES="0",
        PIP_CONFIG_FILE=os.devnull,
        https_proxy=closed,
        http_proxy=closed,
        HTTPS_PROXY=closed,
        HTTP_PROXY=closed,
        no_proxy="",
        NO_PROXY="",
    )
    assert gateway.get("/ready", key=None).status_code == 200
    for stream in (False, True):
        answer = gateway.chat("mira/local-mini", stream=stream)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["x-should-retry"] == "true"
        assert answer.json()["error"]["code"] == "model_not_ready"
    assert gateway.get("/v1/models/mira/local-mini").json()["available"] is False
    node = eventually(lambda: (found := gateway.admin("GET", "/nodes/local"))["last_error"] and found)
    assert node["state"] == "loading"
    gateway.check_ledger()
    gateway.stop()


# The model that the gateway comes with


@pytest.fixture(scope="module")
def usual(make_gateway):
    """A gateway with the usual pack. It is half a gigabyte, so only where the machine has it already."""
    if not QWEN_CODER.is_complete(default_cache_dir(os.environ)):
        pytest.skip(
            f"the pack {QWEN_CODER.name} is not on this machine; `mira models pull {QWEN_CODER.name}` fetches it"
        )
    return local_gateway(make_gateway, QWEN_CODER)


@pytest.mark.parametrize(("face", "key"), FACES)
def test_the_usual_model_remembers_who_it_speaks_to(usual, face, key):
    sdk = Sdk(usual, "sync")
    fields = {"model": "mira/local", "messages": ALICE, "max_tokens": 40, "temperature": 0, "key": key, "face": face}
    assert "Alice" in sdk.create(**fields).choices[0].message.content
    assert "Alice" in "".join(chunk.choices[0].delta.content or "" for chunk in sdk.stream(**fields))


@pytest.mark.parametrize(("face", "key"), FACES)
def test_a_conversation_that_the_usual_model_leads_itself_remembers(usual, face, key):
    sdk = Sdk(usual, "sync")
    fields = {"model": "mira/local", "max_tokens": 60, "temperature": 0, "key": key, "face": face}
    first = sdk.create(messages=ALICE[:1], **fields).choices[0].message.content
    second = sdk.create(messages=[ALICE[0], {"role": "assistant", "content": first}, ALICE[2]], **fields)
    assert "Alice" in second.choices[0].message.content


def test_the_line_that_the_start_prints_works_as_it_stands(usual):
    line = usual.says(lambda text: text.strip().startswith("curl ") and "chat/completions" in text)
    assert '"model":"mira/local"' in line
    if shutil.which("curl") is None:
        pytest.skip("this machine has no curl")
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        env={**os.environ, "MIRA_API_KEY": PROXY_KEY, "no_proxy": "*"},
        capture_output=True,
        check=True,
        timeout=LOAD_S,
    )
    assert json.loads(done.stdout)["choices"][0]["message"]["content"]
