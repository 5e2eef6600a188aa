"""The official OpenAI SDK through the gateway: what an application sees, and what the upstream was asked."""

import base64

import pydantic
import pytest
from tests.e2e.sdk import Sdk, raw_field
from tests.support.gateway import INFERENCE_KEY, PROXY_KEY, UPSTREAM_KEY
from tests.support.upstream import DONE, USAGE, answers, chunk, chunks, completion, frames, streams

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Zürich"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo" }'}},
]
QUESTION = {"role": "user", "content": "Weather in Zürich and Oslo?"}


@pytest.fixture(params=["sync", "async"])
def sdk(request, gateway):
    return Sdk(gateway, request.param)


def test_a_chat_is_answered_with_usage_and_cost(sdk, upstream, gateway):
    answer = sdk.create(temperature=0.5, seed=7, user="somebody")
    assert answer.choices[0].message.content == "Hello there."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 14
    assert answer.usage.cost == 0.000017
    asked = upstream.received(1)[0]
    assert asked.json["model"] == "gpt-4o-mini"
    assert asked.json["temperature"] == 0.5
    assert asked.json["seed"] == 7
    record = gateway.call(answer._request_id)
    assert record["cost"] == "0.000017"
    assert record["usage"]["prompt_tokens"] == 11
    assert record["status"] == 200


def test_the_upstream_gets_its_own_key_and_never_the_clients(sdk, upstream):
    sdk.create()
    asked = upstream.received(1)[0]
    assert asked.headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert PROXY_KEY not in str(asked.header_list)


def test_a_stream_without_include_usage_shows_no_usage(sdk, upstream, gateway):
    told = sdk.stream()
    assert "".join(chunk.choices[0].delta.content or "" for chunk in told) == "Hello there."
    assert all(chunk.choices for chunk in told)
    assert all(chunk.usage is None for chunk in told)
    assert upstream.received(1)[0].json["stream_options"] == {"include_usage": True}
    assert gateway.get("/v1/extras/usage").json()["data"][0]["cost"] == "0.000017"


def test_a_stream_with_include_usage_ends_in_usage_and_cost(sdk, upstream):
    told = sdk.stream(stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].delta.content or "" for chunk in told[:-1]) == "Hello there."
    assert told[-1].choices == []
    assert told[-1].usage.prompt_tokens == USAGE["prompt_tokens"]
    assert told[-1].usage.completion_tokens == USAGE["completion_tokens"]
    assert told[-1].usage.cost == 0.000017
    assert all(chunk.usage is None for chunk in told[:-1])


def test_a_stream_without_any_usage_is_counted_and_billed(sdk, upstream):
    upstream.script("gpt-4o-mini", streams([*frames(*chunks("Hello", " there", ".", usage=None)), DONE]))
    told = sdk.stream(stream_options={"include_usage": True})
    assert told[-1].choices == []
    assert told[-1].usage.completion_tokens == 3
    assert told[-1].usage.prompt_tokens > 0
    assert told[-1].usage.cost > 0


def test_a_role_only_first_chunk_reaches_the_client(sdk, upstream):
    upstream.script("gpt-4o-mini", streams([*frames(chunk({"role": "assistant"}), *chunks("Hi")[1:]), DONE]))
    told = sdk.stream()
    assert told[0].choices[0].delta.role == "assistant"
    assert "".join(one.choices[0].delta.content or "" for one in told) == "Hi"


def test_a_tool_loop_with_parallel_calls_reaches_the_upstream_byte_for_byte(sdk, upstream):
    upstream.script(
        "gpt-4o-mini",
        answers(completion(None, tool_calls=CALLS, finish="tool_calls")),
        answers(completion("Sunny and cold.")),
    )
    first = sdk.create(messages=[QUESTION], tools=TOOLS, parallel_tool_calls=True)
    assert first.choices[0].finish_reason == "tool_calls"
    assert [call.model_dump() for call in first.choices[0].message.tool_calls] == CALLS
    assert raw_field(upstream.received(1)[0].body, "tools") == sdk.sent_field("tools")
    _answer_the_calls(sdk, upstream, first)


def test_a_streamed_tool_loop_with_interleaved_calls_is_put_together(sdk, upstream):
    starts = [
        {"index": index, **call, "function": {"name": "get_weather", "arguments": ""}}
        for index, call in enumerate(CALLS)
    ]
    pieces = [call["function"]["arguments"] for call in CALLS]
    deltas = [{"role": "assistant", "content": None, "tool_calls": [starts[0]]}, {"tool_calls": [starts[1]]}]
    for at in range(0, max(map(len, pieces)), 4):
        for index, text in enumerate(pieces):
            if text[at : at + 4]:
                deltas.append({"tool_calls": [{"index": index, "function": {"arguments": text[at : at + 4]}}]})
    told = [*map(chunk, deltas), chunk({}, finish="tool_calls"), chunk(usage=USAGE)]
    upstream.script("gpt-4o-mini", streams([*frames(*told), DONE]), answers(completion("Sunny and cold.")))
    first = sdk.streamed_completion(messages=[QUESTION], tools=TOOLS)
    assert first.choices[0].finish_reason == "tool_calls"
    assert [call.id for call in first.choices[0].message.tool_calls] == ["call_1", "call_2"]
    assert [call.function.arguments for call in first.choices[0].message.tool_calls] == pieces
    _answer_the_calls(sdk, upstream, first)


def _answer_the_calls(sdk, upstream, first):
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": '{ "sky": "☀" ,\n "degrees": 1.50 }'}
        for call in first.choices[0].message.tool_calls
    ]
    asked = {"role": "assistant", "content": None, "tool_calls": CALLS}
    second = sdk.create(messages=[QUESTION, asked, *results], tools=TOOLS)
    assert second.choices[0].message.content == "Sunny and cold."
    assert raw_field(upstream.received(2)[1].body, "messages") == sdk.sent_field("messages")


def test_forced_and_forbidden_tools_pass_through(sdk, upstream):
    for number, choice in enumerate(["none", "required", {"type": "function", "function": {"name": "get_weather"}}], 1):
        sdk.create(tools=TOOLS, tool_choice=choice)
        assert upstream.received(number)[-1].json["tool_choice"] == choice


def test_images_pass_through_as_data_and_as_address(sdk, upstream):
    pixel = base64.b64encode(bytes(range(256))).decode()
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixel}", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png?a=1&b=2"}},
    ]
    sdk.create(messages=[{"role": "user", "content": parts}])
    assert raw_field(upstream.received(1)[0].body, "messages") == sdk.sent_field("messages")


class Event(pydantic.BaseModel):
    name: str
    people: list[str]


def test_structured_output_is_asked_for_and_parsed(sdk, upstream):
    upstream.script("gpt-4o-mini", answers(completion('{"name":"Fair","people":["Alice","Bob"]}')))
    answer = sdk.call(
        lambda client: client.chat.completions.parse(
            model="openai/gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}], response_format=Event
        )
    )
    assert answer.choices[0].message.parsed == Event(name="Fair", people=["Alice", "Bob"])
    asked = upstream.received(1)[0]
    assert asked.json["response_format"]["json_schema"]["strict"] is True
    assert raw_field(asked.body, "response_format") == sdk.sent_field("response_format")


def test_reasoning_reaches_the_client_whole_and_streamed(sdk, upstream):
    usage = {**USAGE, "completion_tokens_details": {"reasoning_tokens": 2}}
    upstream.script(
        "gpt-4o-mini",
        answers(completion("Four.", reasoning_content="Two and two.", usage=usage)),
        streams(
            [*frames(chunk({"role": "assistant", "reasoning_content": "Two and two."}), *chunks("Four.")[1:]), DONE]
        ),
    )
    whole = sdk.create(reasoning_effort="low")
    assert whole.choices[0].message.reasoning_content == "Two and two."
    assert whole.usage.completion_tokens_details.reasoning_tokens == 2
    assert upstream.received(1)[0].json["reasoning_effort"] == "low"
    told = sdk.stream()
    thought = "".join(getattr(one.choices[0].delta, "reasoning_content", None) or "" for one in told)
    assert thought == "Two and two."


def test_a_refusal_reaches_the_client_whole_and_streamed(sdk, upstream):
    upstream.script(
        "gpt-4o-mini",
        answers(completion(None, refusal="I will not.")),
        streams([*frames(chunk({"role": "assistant", "refusal": "I will not."}), *chunks()[1:]), DONE]),
    )
    assert sdk.create().choices[0].message.refusal == "I will not."
    assert "".join(one.choices[0].delta.refusal or "" for one in sdk.stream()) == "I will not."


def test_several_choices_arrive_as_the_upstream_gave_them(sdk, upstream):
    answer = completion("One")
    answer["choices"].append({**answer["choices"][0], "index": 1, "message": {"role": "assistant", "content": "Two"}})
    upstream.script("gpt-4o-mini", answers(answer))
    assert [choice.message.content for choice in sdk.create(n=2).choices] == ["One", "Two"]
    assert upstream.received(1)[0].json["n"] == 2


def test_models_are_listed_and_retrieved_by_ids_with_slashes(sdk, gateway):
    def ids(client):
        return client.models.list()

    listed = sdk.call(ids)
    assert [model.id for model in listed.data] == [
        "openai/gpt-4o",
        "openai/gpt-4o-mini",
        "openai/o4-mini",
        "openai/whisper-like",
    ]
    one = sdk.call(lambda client: client.models.retrieve("openai/gpt-4o-mini"))
    assert one.id == "openai/gpt-4o-mini"
    assert one.object == "model"
    for path in ("openai/gpt-4o-mini", "openai%2Fgpt-4o-mini", "gpt-4o-mini"):
        assert gateway.get(f"/v1/models/{path}").json()["id"] == "openai/gpt-4o-mini"


def test_the_inference_service_strips_the_provider_from_the_model(sdk, upstream):
    upstream.script(
        "gpt-4o-mini",
        answers(completion(model="openai/gpt-4o-mini")),
        streams([*frames(*chunks("Hi", model="openai/gpt-4o-mini")), DONE]),
    )
    whole = sdk.create(key=INFERENCE_KEY, face="/inference/v1")
    assert whole.model == "gpt-4o-mini"
    told = sdk.stream(key=INFERENCE_KEY, face="/inference/v1")
    assert {one.model for one in told} == {"gpt-4o-mini"}


def test_v1_keeps_the_model_that_the_upstream_named(sdk, upstream):
    upstream.script("gpt-4o-mini", answers(completion(model="gpt-4o-mini-2024-07-18")))
    assert sdk.create().model == "gpt-4o-mini-2024-07-18"
