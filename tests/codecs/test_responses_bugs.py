"""Bugs that other gateways had with Responses, each by its number in the wire reference, and none of them here."""

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses import Response
from tests.codecs.responses_streams import CONTEXT, Node, decoded, encoded, passed, said, whole
from tests.grammar.chat import check_chat_stream
from tests.grammar.responses import check_responses_stream

from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec, Context, Target
from mira.codecs.responses import RESPONSES
from mira.codecs.responses.errors import UNREADABLE
from mira.codecs.responses.memory import resolved, without_reasoning
from mira.codecs.restoring import Restorer, renamed_tools, restored
from mira.codecs.translation import TranslatedAnswer, TranslatedStream
from mira.core import conversation as c
from mira.core import events as e
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

TARGET = Target(model="node", output_cap=100)
OPENAI = Target(model="node", output_cap=100, dialect="openai")
USER = {"role": "user", "content": "go"}


def asked(codec: Codec, **body: Any) -> c.Conversation:
    told = {"model": "m", **({"messages": [USER]} if codec is CHAT else {"input": [USER]}), **body}
    return codec.parse_request(codec.open_request(json.dumps(told).encode()))


def sent(codec: Codec, conversation: c.Conversation, target: Target = TARGET) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(codec.render_request(conversation, target)[0])
    return told


def translated(node: Codec, client: Codec, stream: bytes, request: c.Conversation | None = None) -> bytes:
    context = msgspec.structs.replace(CONTEXT, request=request)
    interpreters = [Restorer(renamed_tools(request))] if request is not None else []
    machine = TranslatedStream(node, client, context, interpreters)
    out = b"".join(machine.feed(stream[place : place + 50]) for place in range(0, len(stream), 50)) + machine.close()
    if machine.failed is not None:
        return out + machine.abort(machine.failed)
    return out + machine.finish(machine.usage or Usage(), None)


def chat_chunks(*deltas: dict[str, Any], finish: str | None = "stop") -> bytes:
    told = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    if finish is not None:
        told.append({"index": 0, "delta": {}, "finish_reason": finish})
    return b"".join(
        b"data: " + json.dumps({"id": "x", "model": "m", "choices": [choice]}).encode() + b"\n\n" for choice in told
    )


def fn(index: int, name: str | None = None, arguments: str = "", **more: Any) -> dict[str, Any]:
    function = ({"name": name} if name else {}) | {"arguments": arguments}
    head = {"id": f"call_{index}", "type": "function"} if name else {}
    return {"tool_calls": [{"index": index, **head, "function": function, **more}]}


def call_item(name: str, arguments: str = "{}", **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": f"fc_{name}", "call_id": f"call_{name}", "name": name,
            "arguments": arguments, **more}  # fmt: skip


def output(stream: bytes) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = check_responses_stream(stream)[-1]["response"]["output"]
    return told


def chat_calls(stream: bytes) -> dict[int, list[str]]:
    calls: dict[int, list[str]] = {}
    for chunk in check_chat_stream(stream, include_usage=True):
        for choice in chunk["choices"]:
            for call in choice["delta"].get("tool_calls") or ():
                told = calls.setdefault(call["index"], [call.get("id", ""), ""])
                told[1] += call["function"]["arguments"]
    return calls


@pytest.mark.parametrize("where", ["arguments.done", "item.done", "completed"])
def test_bug_01_arguments_without_deltas_reach_the_client(where: str) -> None:
    begun, item = call_item("f", ""), call_item("f", '{"x":1}')
    node = Node().begin().say("output_item.added", output_index=0, item=begun)
    if where == "arguments.done":
        node.say("function_call_arguments.done", output_index=0, item_id="fc_f", arguments='{"x":1}')
    if where != "completed":
        node.say("output_item.done", output_index=0, item=item)
    stream = node.end([item])
    assert chat_calls(translated(RESPONSES, CHAT, stream)) == {0: ["call_f", '{"x":1}']}
    assert said(decoded(stream)) == [c.ToolCall(id="call_f", name="f", input='{"x":1}')]


def test_bug_02_parallel_calls_stay_two() -> None:
    items = [call_item("f", '{"a":1}'), call_item("g", '{"b":2}')]
    stream = Node().begin().item(0, items[0]).item(1, items[1]).end(items)
    out = translated(RESPONSES, CHAT, stream)
    assert chat_calls(out) == {0: ["call_f", '{"a":1}'], 1: ["call_g", '{"b":2}']}
    back = output(translated(CHAT, RESPONSES, out))
    assert [(item["call_id"], item["arguments"]) for item in back] == [("call_f", '{"a":1}'), ("call_g", '{"b":2}')]
    assert len({item["id"] for item in back}) == 2


def test_bug_03_interleaved_fragments_find_their_calls_both_ways() -> None:
    stream = chat_chunks(
        fn(0, "f"), fn(1, "g"), fn(0, None, "[1"), fn(1, None, "[2"), fn(0, None, "]"), fn(1, None, "]"),
        finish="tool_calls",
    )  # fmt: skip
    out = translated(CHAT, RESPONSES, stream)
    assert [item["arguments"] for item in output(out)] == ["[1]", "[2]"]
    assert [call[1] for call in chat_calls(translated(RESPONSES, CHAT, out)).values()] == ["[1]", "[2]"]


def test_bug_06_an_item_that_was_never_added_is_still_told() -> None:
    node = Node().begin()
    node.say("function_call_arguments.delta", output_index=0, item_id="fc_f", delta='{"x":')
    node.say("output_item.done", output_index=0, item=call_item("f", '{"x":1}'))
    out = translated(RESPONSES, RESPONSES, node.end([call_item("f", '{"x":1}')]))
    assert [item["arguments"] for item in output(out)] == ['{"x":1}']


def test_bug_07_a_turn_of_calls_alone_has_no_message() -> None:
    stream = chat_chunks({"role": "assistant", "content": ""}, fn(0, "f", "{}"), finish="tool_calls")
    out = translated(CHAT, RESPONSES, stream)
    assert [item["type"] for item in output(out)] == ["function_call"]
    assert b"output_text" not in out


def test_bug_08_reasoning_first_then_a_call_leaves_no_orphan() -> None:
    stream = chat_chunks({"reasoning_content": "h"}, {"reasoning_content": "m"}, fn(0, "f", "{}"), finish="tool_calls")
    out = translated(CHAT, RESPONSES, stream)
    items = output(out)
    assert [item["type"] for item in items] == ["reasoning", "function_call"]
    assert items[0]["summary"] == [{"type": "summary_text", "text": "hm"}]


def test_bug_10_every_event_is_numbered_without_a_gap() -> None:
    out = translated(CHAT, RESPONSES, chat_chunks({"reasoning": "x"}, {"content": "y"}, fn(0, "f", "{}")))
    numbers = [event["sequence_number"] for event in check_responses_stream(out)]
    assert numbers == list(range(len(numbers)))


def test_bug_10_the_number_goes_on_when_a_passed_stream_is_cut() -> None:
    node = Node().begin()
    node.say("output_text.delta", output_index=0, content_index=0, item_id="m", delta="x")
    out, _ = whole(node.stream, [])
    assert json.loads(out.split(b"data: ")[-1])["sequence_number"] == 2


def test_bug_13_cached_tokens_are_counted_once() -> None:
    usage = {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
             "output_tokens": 10, "output_tokens_details": {"reasoning_tokens": 4}, "total_tokens": 110}  # fmt: skip
    machine = passed(Node().begin().end([], usage=usage), [])[1]
    assert machine.usage == Usage(
        input_tokens=10, cache_read_tokens=60, cache_write_5m_tokens=30, output_tokens=6, reasoning_tokens=4
    )


def test_bug_16_the_answer_is_what_the_sdk_reads() -> None:
    tools = [
        {"type": "function", "name": "f", "parameters": {}, "strict": None},
        {"type": "namespace", "name": "ns", "description": "d", "tools": [{"type": "function", "name": "g"}]},
        {"type": "custom", "name": "p", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
        {"type": "web_search"},
    ]
    request = asked(RESPONSES, tools=tools, tool_choice={"type": "function", "name": "f"}, parallel_tool_calls=False)
    answer = c.Answer(id="x", model="m", choices=(c.Choice(parts=(c.Text(text="hi"),)),), usage=Usage(input_tokens=3))
    body = RESPONSES.render_answer(answer, msgspec.structs.replace(CONTEXT, request=request), 42)
    told = Response.model_validate_json(body)
    assert told.parallel_tool_calls is False
    assert told.usage is not None
    assert told.output_text == "hi"
    assert [tool.type for tool in told.tools] == ["function", "namespace", "custom", "web_search"]
    assert json.loads(body)["usage"]["cost"] == 42e-9


@pytest.mark.parametrize("client", [CHAT, RESPONSES])
def test_bug_17_a_cut_stream_is_never_a_clean_end(client: Codec) -> None:
    node = Node().begin()
    for piece in ("a", "b", "c"):
        node.say("output_text.delta", output_index=0, content_index=0, item_id="m", delta=piece)
    out = translated(RESPONSES, client, node.stream)
    assert b"[DONE]" not in out
    assert b"response.completed" not in out
    assert b"upstream_error" in out if client is CHAT else b"event: response.failed" in out
    cut = translated(CHAT, RESPONSES, chat_chunks({"content": "a"}, finish=None))
    assert check_responses_stream(cut)[-1]["type"] == "response.failed"


def test_bug_18_an_error_chunk_of_openrouter_fails_the_response() -> None:
    error = b'data: {"id":"x","choices":[],"error":{"code":429,"message":"slow"}}\n\n'
    out = translated(CHAT, RESPONSES, chat_chunks({"content": "a"}, finish=None) + error + b"data: [DONE]\n\n")
    assert check_responses_stream(out)[-1]["response"]["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize("code", ["rate_limit_exceeded", "server_error", "context_length_exceeded"])
def test_bug_19_a_failed_response_is_an_error_in_every_protocol(code: str) -> None:
    stream = Node().begin().end([], "failed", error={"code": code, "message": "x"})
    chat = check_chat_stream(translated(RESPONSES, CHAT, stream), include_usage=True)
    assert chat[-1]["error"]["code"] == ("upstream_error" if code == "server_error" else code)
    assert output(translated(RESPONSES, RESPONSES, stream)) == []


def test_bug_24_foreign_signatures_survive_a_tool_loop_byte_for_byte() -> None:
    thought = {"type": "reasoning.text", "text": "hm ✓\n", "format": "anthropic-claude-v1", "index": 0}
    signed = {"type": "reasoning.text", "signature": "Ab+/=", "format": "anthropic-claude-v1", "index": 0}
    secret = {"type": "reasoning.encrypted", "data": "zz==", "format": "anthropic-claude-v1", "index": 1}
    stream = chat_chunks(
        {"reasoning_details": [thought]}, {"reasoning_details": [signed]}, {"reasoning_details": [secret]},
        fn(0, "f", "{}"), finish="tool_calls",
    )  # fmt: skip
    items = output(translated(CHAT, RESPONSES, stream))
    result = {"type": "function_call_output", "call_id": "call_0", "output": "ok"}
    request = asked(RESPONSES, input=[USER, *items, result])
    back = sent(CHAT, request, Target(model="x", output_cap=9, dialect="openrouter"))["messages"][1]
    assert back["reasoning_details"] == [
        {"type": "reasoning.text", "text": "hm ✓\n", "signature": "Ab+/=", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "zz==", "format": "anthropic-claude-v1", "index": 1},
    ]
    own = sent(RESPONSES, request, OPENAI)["input"]
    assert [item["type"] for item in own] == ["message", "function_call", "function_call_output"]


def test_bug_23_the_signature_of_a_call_survives_a_tool_loop() -> None:
    signature = {"google": {"thought_signature": "sig=="}}
    stream = chat_chunks(fn(0, "f", "{}", extra_content=signature), finish="tool_calls")
    items = output(translated(CHAT, RESPONSES, stream))
    result = {"type": "function_call_output", "call_id": "call_0", "output": "ok"}
    request = asked(RESPONSES, input=[USER, *items, result])
    back = sent(CHAT, request, Target(model="x", output_cap=9, dialect="google"))["messages"][1]
    assert back["tool_calls"][0]["extra_content"] == signature


def test_bug_25_a_request_translates_to_the_same_bytes_every_time() -> None:
    tools = [{"type": "function", "function": {"name": name, "parameters": {"b": 1, "a": 1.50}}} for name in "zay"]
    body = json.dumps({"model": "m", "messages": [USER], "tools": tools, "metadata": {"z": "1", "a": "2"}}).encode()
    told = {RESPONSES.render_request(CHAT.parse_request(CHAT.open_request(body)), OPENAI)[0] for _ in range(20)}
    assert len(told) == 1
    assert b'"parameters":{"b": 1, "a": 1.5}' in told.pop()


def test_bug_27_the_order_of_thinking_and_calls_is_kept() -> None:
    kinds = ["reasoning", "function_call", "reasoning", "message", "function_call"]
    native = [
        {"type": "reasoning", "id": f"rs_{place}", "summary": [], "encrypted_content": f"e{place}"} for place in (0, 1)
    ]
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}
    items = [native[0], call_item("f"), native[1], message, call_item("g")]
    node = Node().begin()
    for index, item in enumerate(items):
        node.item(index, item)
    back = output(encoded(decoded(node.end(items))))
    assert [item["type"] for item in back] == kinds
    assert [item["type"] for item in sent(RESPONSES, asked(RESPONSES, input=items), OPENAI)["input"]] == kinds


def test_bug_28_openais_reasoning_survives_a_loop_through_chat() -> None:
    native = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
              "encrypted_content": "gAAA"}  # fmt: skip
    stream = Node().begin().item(0, native).item(1, call_item("f")).end([native, call_item("f")])
    details: list[dict[str, Any]] = []
    for chunk in check_chat_stream(translated(RESPONSES, CHAT, stream), include_usage=True):
        for choice in chunk["choices"]:
            details += choice["delta"].get("reasoning_details") or []
    message = {
        "role": "assistant",
        "content": None,
        "reasoning_details": details,
        "tool_calls": [{"id": "call_f", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    tool = {"role": "tool", "tool_call_id": "call_f", "content": "ok"}
    assert sent(RESPONSES, asked(CHAT, messages=[USER, message, tool]), OPENAI)["input"][1] == native


def test_bug_29_what_a_client_says_of_thinking_passes_untouched() -> None:
    body = b'{"model":"m","input":"x","reasoning":{"effort" : "high","context":"all", "mode":null}}'
    out = RESPONSES.pass_request(RESPONSES.open_request(body), OPENAI)
    assert b'{"effort" : "high","context":"all", "mode":null}' in out


def test_bug_30_reasoning_that_only_a_node_remembers_is_left_out() -> None:
    bare = {"type": "reasoning", "id": "rs_1", "summary": []}
    body = json.dumps({"model": "m", "input": [USER, bare, call_item("f")], "store": False}).encode()
    envelope = resolved(RESPONSES.open_request(body), None, {}, True)
    passed_on = json.loads(RESPONSES.pass_request(envelope, OPENAI))
    assert [item.get("type", "message") for item in passed_on["input"]] == ["message", "function_call"]
    assert passed_on["include"] == ["reasoning.encrypted_content"]
    assert [item["type"] for item in sent(RESPONSES, asked(RESPONSES, input=[USER, bare]), OPENAI)["input"]] == [
        "message"
    ]


def test_bug_31_reasoning_that_cannot_be_read_is_told_apart_and_can_be_left_out() -> None:
    refused = json.dumps({"error": {"message": "no", "type": "invalid_request_error", "code": UNREADABLE}}).encode()
    assert RESPONSES.parse_error(400, refused).code == UNREADABLE
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    body = json.dumps({"model": "m", "input": [USER, own, call_item("f")]}).encode()
    retried = json.loads(RESPONSES.pass_request(without_reasoning(RESPONSES.open_request(body)), OPENAI))
    assert [item.get("type", "message") for item in retried["input"]] == ["message", "function_call"]


@pytest.mark.parametrize("client", [CHAT, RESPONSES])
def test_bug_34_a_probe_of_one_token_is_raised_to_the_floor(client: Codec) -> None:
    cap = "max_tokens" if client is CHAT else "max_output_tokens"
    probe = Target(model="x", output_cap=1)
    assert sent(RESPONSES, asked(client, **{cap: 1}), probe)["max_output_tokens"] == 16
    envelope = RESPONSES.open_request(b'{"model":"m","input":"x","max_output_tokens":1}')
    assert json.loads(RESPONSES.pass_request(envelope, probe))["max_output_tokens"] == 16


@pytest.mark.parametrize("arguments", ["", None])
def test_bug_35_a_call_without_arguments_has_an_empty_object_both_ways(arguments: str | None) -> None:
    item = call_item("f") | {"arguments": arguments}
    assert sent(CHAT, asked(RESPONSES, input=[item]))["messages"][0]["tool_calls"][0]["function"]["arguments"] == "{}"
    call = {"id": "call_f", "type": "function", "function": {"name": "f", "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert sent(RESPONSES, asked(CHAT, messages=[USER, message]))["input"][1]["arguments"] == "{}"
    assert chat_calls(translated(RESPONSES, CHAT, Node().begin().item(0, item).end([item]))) == {0: ["call_f", "{}"]}
    out = translated(CHAT, RESPONSES, chat_chunks(fn(0, "f"), finish="tool_calls"))
    assert output(out)[0]["arguments"] == "{}"


def test_bug_38_a_picture_from_a_tool_stays_a_picture() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}
    items = [call_item("f"), {"type": "function_call_output", "call_id": "call_f", "output": [image]}]
    request = asked(RESPONSES, input=items)
    assert sent(RESPONSES, request)["input"][1]["output"] == [image]
    behind = sent(CHAT, request)["messages"][-1]
    assert behind["content"][0]["image_url"]["url"] == image["image_url"]


def test_bug_39_a_document_survives() -> None:
    body = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}
    request = asked(CHAT, messages=[{"role": "user", "content": [{"type": "file", "file": body}]}])
    file = sent(RESPONSES, request)["input"][0]["content"][0]
    assert file == {"type": "input_file", **body}
    back = asked(RESPONSES, input=[{"role": "user", "content": [file]}])
    assert sent(CHAT, back)["messages"][0]["content"][0] == {"type": "file", "file": body}


def test_bug_40_plain_thinking_goes_back_to_those_who_want_it() -> None:
    out = translated(CHAT, RESPONSES, chat_chunks({"reasoning_content": "hm"}, fn(0, "f", "{}"), finish="tool_calls"))
    request = asked(RESPONSES, input=[USER, *output(out)])
    back = sent(CHAT, request, Target(model="x", output_cap=9, dialect="deepseek"))["messages"][1]
    assert back["reasoning_content"] == "hm"


def test_bug_51_a_character_cut_in_two_is_whole() -> None:
    node = Node().begin()
    node.say("output_text.delta", output_index=0, content_index=0, item_id="m", delta="漢字🙂")
    stream = node.end([])
    for cut in range(len(stream)):
        assert said(decoded(stream, [cut])) == [c.Text(text="漢字🙂")]


@pytest.mark.parametrize(("parallel", "told"), [(None, None), (True, True), (False, False)])
def test_bug_53_no_tools_no_flag(parallel: bool | None, told: bool | None) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    more = {} if parallel is None else {"parallel_tool_calls": parallel}
    assert sent(RESPONSES, asked(CHAT, tools=tools, **more)).get("parallel_tool_calls") == told
    assert "parallel_tool_calls" not in sent(RESPONSES, asked(CHAT, tools=tools, tool_choice="none", **more))
    assert "parallel_tool_calls" not in sent(RESPONSES, asked(CHAT, **more))


CHOICES = [
    ("auto", "auto"),
    ("none", "none"),
    ("required", "required"),
    ({"type": "function", "function": {"name": "f"}}, {"type": "function", "name": "f"}),
    (
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("chat", "own"), CHOICES)
def test_bug_55_every_choice_of_tools_is_told_both_ways(chat: Any, own: Any) -> None:
    chat_tools = [{"type": "function", "function": {"name": name}} for name in "fg"]
    own_tools = [{"type": "function", "name": name} for name in "fg"]
    assert sent(RESPONSES, asked(CHAT, tools=chat_tools, tool_choice=chat), OPENAI)["tool_choice"] == own
    target = Target(model="x", output_cap=9, dialect="openai")
    assert sent(CHAT, asked(RESPONSES, tools=own_tools, tool_choice=own), target)["tool_choice"] == chat


def test_bug_58_comments_between_events_break_nothing() -> None:
    stream = Node().begin().item(0, call_item("f")).end([call_item("f")])
    noisy = stream.replace(b"event: ", b": OPENROUTER PROCESSING\r\n\r\nevent: ")
    assert decoded(noisy) == decoded(stream)
    assert whole(noisy, [])[0] == whole(stream, [])[0]


TREE = {
    "type": "namespace",
    "name": "mcp__web",
    "description": "the web",
    "tools": [{"type": "function", "name": "search", "parameters": {"type": "object"}}],
}


def test_bug_59_namespace_and_name_come_back_apart() -> None:
    request = asked(RESPONSES, tools=[TREE])
    told = sent(CHAT, request)
    assert [tool["function"]["name"] for tool in told["tools"]] == ["mcp__web__search"]
    out = translated(CHAT, RESPONSES, chat_chunks(fn(0, "mcp__web__search", "{}"), finish="tool_calls"), request)
    item = output(out)[0]
    assert (item["namespace"], item["name"]) == ("mcp__web", "search")
    again = sent(CHAT, asked(RESPONSES, tools=[TREE], input=[USER, item]))["messages"][1]
    assert again["tool_calls"][0]["function"]["name"] == "mcp__web__search"


def test_bug_60_tools_among_the_items_reach_the_node() -> None:
    more = {"type": "additional_tools", "role": "developer", "tools": [TREE, {"type": "custom", "name": "apply_patch"}]}
    request = asked(RESPONSES, input=[more, USER])
    names = [tool["function"]["name"] for tool in sent(CHAT, request)["tools"]]
    assert names == ["mcp__web__search", "apply_patch"]
    assert [type(turn) for turn in request.turns] == [c.UserTurn]
    assert RESPONSES.open_request(json.dumps({"model": "m", "input": [more, USER]}).encode()).uses_tools


def test_bug_60_a_free_form_tool_is_a_function_there_and_free_form_here() -> None:
    request = asked(RESPONSES, tools=[{"type": "custom", "name": "apply_patch"}])
    stream = chat_chunks(fn(0, "apply_patch", '{"input":"*** a\\n'), fn(0, None, 'b"}'), finish="tool_calls")
    out = translated(CHAT, RESPONSES, stream, request)
    item = output(out)[0]
    assert (item["type"], item["input"]) == ("custom_tool_call", "*** a\nb")
    result = {"type": "custom_tool_call_output", "call_id": "call_0", "output": "done"}
    messages = sent(CHAT, asked(RESPONSES, input=[USER, item, result]))["messages"]
    assert json.loads(messages[1]["tool_calls"][0]["function"]["arguments"]) == {"input": "*** a\nb"}
    assert messages[2] == {"role": "tool", "tool_call_id": "call_0", "content": "done"}


def test_bug_61_the_search_for_tools_is_bridged_with_object_arguments() -> None:
    search = {"type": "tool_search", "execution": "client", "description": "find", "parameters": {"type": "object"}}
    request = asked(RESPONSES, tools=[search])
    assert sent(CHAT, request)["tools"][0]["function"]["name"] == "tool_search"
    stream = chat_chunks(fn(0, "tool_search", '{"query":"web","n":1.50}'), finish="tool_calls")
    out = translated(CHAT, RESPONSES, stream, request)
    item = output(out)[0]
    assert (item["type"], item["execution"], item["call_id"]) == ("tool_search_call", "client", "call_0")
    assert item["arguments"] == {"query": "web", "n": 1.5}
    answer = c.Answer(
        id="x", model="m", choices=(c.Choice(parts=(c.ToolCall(id="a", name="tool_search", input="{}"),)),)
    )
    context = msgspec.structs.replace(CONTEXT, request=request)
    assert json.loads(RESPONSES.render_answer(answer, context, None))["output"][0]["type"] == "tool_search_call"
    found = {"type": "tool_search_output", "execution": "client", "call_id": "call_0", "tools": [TREE]}
    told = sent(CHAT, asked(RESPONSES, tools=[search], input=[USER, item, found]))
    assert [tool["function"]["name"] for tool in told["tools"]] == ["tool_search", "mcp__web__search"]
    assert json.loads(told["messages"][1]["tool_calls"][0]["function"]["arguments"]) == {"query": "web", "n": 1.5}
    assert told["messages"][2]["content"] == "Loaded tools: mcp__web"


def test_bug_62_tools_with_reasoning_can_be_asked_of_the_responses_path() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    told = sent(RESPONSES, asked(CHAT, tools=tools, reasoning_effort="high", verbosity="low"), OPENAI)
    assert told["reasoning"] == {"effort": "high"}
    assert told["text"] == {"verbosity": "low"}
    assert told["tools"] == [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}]
    assert told["include"] == ["reasoning.encrypted_content"]


def test_bug_64_a_name_too_long_is_shortened_and_restored() -> None:
    long = "x" * 80
    request = asked(CHAT, tools=[{"type": "function", "function": {"name": long}}])
    short = sent(RESPONSES, request)["tools"][0]["name"]
    assert len(short) <= 64
    item = call_item(short)
    out = translated(RESPONSES, CHAT, Node().begin().item(0, item).end([item]), request)
    chunks = check_chat_stream(out, include_usage=True)
    names = [
        call["function"]["name"]
        for chunk in chunks
        for choice in chunk["choices"]
        for call in choice["delta"].get("tool_calls") or ()
        if "name" in call["function"]
    ]
    assert names == [long]


def test_bug_65_an_empty_text_is_left_out() -> None:
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": ""}]}
    assert [item["type"] for item in sent(RESPONSES, asked(RESPONSES, input=[USER, message, call_item("f")]))["input"]] == [
        "message", "function_call",
    ]  # fmt: skip


def test_bug_70_the_clients_cache_key_is_kept() -> None:
    assert sent(RESPONSES, asked(CHAT, prompt_cache_key="mine"), OPENAI)["prompt_cache_key"] == "mine"
    target = Target(model="x", output_cap=9, dialect="openai")
    assert sent(CHAT, asked(RESPONSES, prompt_cache_key="mine"), target)["prompt_cache_key"] == "mine"
    body = b'{"model":"m","input":"x","prompt_cache_key":"mine"}'
    assert b'"prompt_cache_key":"mine"' in RESPONSES.pass_request(RESPONSES.open_request(body), OPENAI)


def test_bug_71_a_prompt_too_long_says_so() -> None:
    body = json.dumps({"error": {"message": "too long", "code": "context_length_exceeded"}}).encode()
    error = RESPONSES.parse_error(400, body)
    assert error.kind is Kind.CONTEXT_TOO_LONG
    encoder = RESPONSES.encoder(CONTEXT)
    encoder.feed(e.Start(model="m"))
    assert b'"code":"context_length_exceeded"' in encoder.abort(error)


def test_a_whole_answer_says_what_its_stream_says() -> None:
    body = {
        "id": "c", "model": "m", "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
        "choices": [{"index": 0, "finish_reason": "length", "message": {
            "content": "hi", "reasoning_content": "hm", "tool_calls": [
                {"id": "call_a", "type": "function", "function": {"name": "ns__f", "arguments": '{"x":1}'}}]}}],
    }  # fmt: skip
    request = asked(RESPONSES, tools=[{**TREE, "name": "ns", "tools": [{"type": "function", "name": "f"}]}])
    context = Context(answer_id="resp_1", created_s=1, request=request)
    names = renamed_tools(request)
    answer = TranslatedAnswer.parse(
        json.dumps(body).encode(), CHAT, RESPONSES, context, lambda told: restored(told, names)
    )
    assert answer.usage is not None
    told = json.loads(answer.render(answer.usage, None))
    assert [item["type"] for item in told["output"]] == ["reasoning", "message", "function_call"]
    assert (told["output"][2]["namespace"], told["output"][2]["name"]) == ("ns", "f")
    assert (told["status"], told["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    back = TranslatedAnswer.parse(json.dumps(told).encode(), RESPONSES, CHAT, CONTEXT, lambda told: told)
    message = json.loads(back.render(answer.usage, None))["choices"][0]
    assert (message["message"]["content"], message["finish_reason"]) == ("hi", "length")
    assert message["message"]["reasoning_content"] == "hm"


def test_sampling_that_the_protocol_lacks_is_refused_or_reported() -> None:
    for name, value in (("n", 2), ("logprobs", True), ("stop", ["x"])):
        with pytest.raises(MiraError) as caught:
            RESPONSES.render_request(asked(CHAT, **{name: value}), OPENAI)
        assert caught.value.param == name
    _, dropped = RESPONSES.render_request(asked(CHAT, seed=1, top_k=4, temperature=0.5), OPENAI)
    assert dropped == ("seed", "top_k")
