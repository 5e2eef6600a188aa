"""The grammar of a Chat Completions stream, as a check over the bytes that a client gets."""

import json
from typing import Any


def check_chat_stream(data: bytes, *, include_usage: bool) -> list[dict[str, Any]]:
    """The chunks of a stream that keeps every rule; AssertionError with the rule that it breaks.

    Checked: framing, one head on every chunk, the role first and once per choice, tool calls that start complete and
    are numbered densely, nothing behind a choice's finish, one finish per choice, the usage chunk exactly where it was
    asked for, and one terminal: `[DONE]` after a success, an error frame after a failure.
    """
    payloads = _payloads(data)
    assert payloads, "a stream has at least one frame"
    last = payloads[-1]
    done = last == "[DONE]"
    assert payloads.count("[DONE]") == int(done), "[DONE] comes once, at the end"
    chunks: list[dict[str, Any]] = [json.loads(payload) for payload in (payloads[:-1] if done else payloads)]
    failed = bool(chunks) and bool(chunks[-1].get("error"))
    assert done != failed, "a stream ends in [DONE] or in an error, and not in both"
    body = chunks[:-1] if failed else chunks
    if failed:
        _check_error(chunks[-1])
    assert not any("error" in chunk for chunk in body), "only the last frame is an error"
    _check_heads(body)
    _check_choices(body, complete=done)
    _check_usage(body, include_usage=include_usage, complete=done)
    return chunks


def _payloads(data: bytes) -> list[str]:
    text = data.decode()
    assert "\r" not in text, "lines end in LF"
    assert text.endswith("\n\n"), "the last frame is closed"
    payloads = []
    for frame in text[:-2].split("\n\n"):
        assert frame.startswith("data: "), "every frame is one data line"
        assert "\n" not in frame, "every frame is one line"
        payloads.append(frame[6:])
    return payloads


def _check_error(chunk: dict[str, Any]) -> None:
    error = chunk["error"]
    assert isinstance(error["message"], str), "an error has a message"
    assert error["message"], "an error's message is not empty"
    assert isinstance(error["type"], str), "an error has a type"
    assert {"param", "code"} <= error.keys(), "an error has param and code"


def _check_heads(chunks: list[dict[str, Any]]) -> None:
    heads = {(chunk["id"], chunk["object"], chunk["created"], chunk["model"]) for chunk in chunks}
    assert len(heads) <= 1, "id, object, created and model stay the same"
    for head in heads:
        assert head[1] == "chat.completion.chunk", "the object is chat.completion.chunk"


class _Choice:
    def __init__(self) -> None:
        self.finished = False
        self.calls: list[str] = []


def _check_choices(chunks: list[dict[str, Any]], *, complete: bool) -> None:
    choices: dict[int, _Choice] = {}
    for chunk in chunks:
        for told in chunk["choices"]:
            index, delta = told["index"], told["delta"]
            first = index not in choices
            choice = choices.setdefault(index, _Choice())
            assert not choice.finished, "nothing follows the finish of a choice"
            assert ("role" in delta) == first, "the role stands in the first delta of a choice and only there"
            if first:
                assert delta["role"] == "assistant", "the role is assistant"
            for call in delta.get("tool_calls") or ():
                _check_call(choice, call)
            reason = told["finish_reason"]
            if reason is not None:
                assert delta == {}, "the last chunk of a choice has an empty delta"
                assert reason in ("stop", "length", "tool_calls", "content_filter", "function_call"), "a known reason"
                assert reason != "stop" or not choice.calls, "a choice with calls does not finish with stop"
                choice.finished = True
    if complete:
        assert choices, "a complete answer has a choice"
        assert all(choice.finished for choice in choices.values()), "every choice finishes"


def _check_call(choice: _Choice, call: dict[str, Any]) -> None:
    body = call.get("function") or call.get("custom")
    assert body is not None, "a tool delta has a function or a custom body"
    if call["index"] == len(choice.calls):
        assert call.get("id"), "a call starts with its id"
        assert call["type"] in ("function", "custom"), "a call starts with its type"
        assert body.get("name"), "a call starts with its name"
        assert call["id"] not in choice.calls, "ids are unique"
        choice.calls.append(call["id"])
    else:
        assert 0 <= call["index"] < len(choice.calls), "indexes are dense"
        assert not {"id", "type"} & call.keys(), "id and type come once"
        assert "name" not in body, "the name comes once"


def _check_usage(chunks: list[dict[str, Any]], *, include_usage: bool, complete: bool) -> None:
    empty = [index for index, chunk in enumerate(chunks) if not chunk["choices"]]
    if not include_usage:
        assert not empty, "without include_usage no chunk is without choices"
        assert not any(chunk.get("usage") for chunk in chunks), "without include_usage no usage is told"
        return
    assert not complete or empty == [len(chunks) - 1], "the usage chunk is the last and the only one without choices"
    told = [index for index, chunk in enumerate(chunks) if chunk.get("usage")]
    assert told == ([len(chunks) - 1] if complete else []), "usage is told once, at the end"
    if complete:
        usage = chunks[-1]["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"], "the total is the sum"
