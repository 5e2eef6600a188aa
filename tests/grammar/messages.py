"""The grammar of a Messages stream, as a check over the bytes that a client gets."""

import json
from typing import Any

_DELTAS = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
    "server_tool_use": {"input_json_delta"},
}
_REASONS = {
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded",
}  # fmt: skip
_COUNTS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def check_messages_stream(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream that keeps every rule; AssertionError with the rule that it breaks.

    Checked: framing (name and data of every event), one `message_start` first, blocks one behind the other with dense
    indexes, deltas of the block's own kind, the signature last, no empty text block, arguments that are an object, one
    `message_delta` with the reason and the usage, and one terminal: `message_stop` after a success, `error` after a
    failure.
    """
    events = _events(data)
    assert events, "a stream has at least one event"
    kinds = [event["type"] for event in events]
    done, failed = kinds[-1] == "message_stop", kinds[-1] == "error"
    assert done or failed, "a stream ends in message_stop or in an error"
    assert kinds.count("message_stop") + kinds.count("error") == 1, "there is one terminal"
    if failed:
        _check_error(events[-1])
    body = [event for event in events[:-1] if event["type"] != "ping"]
    if not body:
        assert failed, "a complete stream has a beginning"
        return events
    _check_start(body[0])
    assert kinds.count("message_start") == 1, "there is one message_start"
    _check_blocks([event for event in body if event["type"].startswith("content_block_")], complete=done)
    if done:
        assert body[-1]["type"] == "message_delta", "message_delta stands before message_stop"
        _check_end(body[-1], body)
    return events


def content_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks that the events add up to, the arguments of tools as their text."""
    blocks: list[dict[str, Any]] = []
    for event in events:
        if event["type"] == "content_block_start":
            block = dict(event["content_block"])
            if block["type"] == "tool_use":
                block["input"] = ""
            blocks.append(block)
        elif event["type"] == "content_block_delta":
            delta, block = event["delta"], blocks[event["index"]]
            match delta["type"]:
                case "text_delta":
                    block["text"] += delta["text"]
                case "thinking_delta":
                    block["thinking"] += delta["thinking"]
                case "signature_delta":
                    block["signature"] += delta["signature"]
                case "input_json_delta":
                    block["input"] += delta["partial_json"]
    return blocks


def _events(data: bytes) -> list[dict[str, Any]]:
    text = data.decode()
    assert "\r" not in text, "lines end in LF"
    assert text.endswith("\n\n"), "the last frame is closed"
    events = []
    for frame in text[:-2].split("\n\n"):
        lines = frame.split("\n")
        assert len(lines) == 2, "every frame is a name and one data line"
        assert lines[0].startswith("event: "), "every frame has a name"
        assert lines[1].startswith("data: "), "every frame has data"
        event = json.loads(lines[1][6:])
        assert event["type"] == lines[0][7:], "the name is the type"
        events.append(event)
    return events


def _check_error(event: dict[str, Any]) -> None:
    error = event["error"]
    assert isinstance(error["type"], str), "an error has a type"
    assert isinstance(error["message"], str), "an error has a message"
    assert error["message"], "an error's message is not empty"
    assert "request_id" in event, "an error has room for the request's id"


def _check_start(event: dict[str, Any]) -> None:
    assert event["type"] == "message_start", "message_start is first"
    message = event["message"]
    assert message["type"] == "message", "the message is a message"
    assert message["role"] == "assistant", "the role is assistant"
    assert message["content"] == [], "the message begins empty"
    assert message["stop_reason"] is None, "the message has not stopped"
    assert isinstance(message["id"], str), "the message has an id"
    assert isinstance(message["model"], str), "the message has a model"
    _check_counts(message["usage"])


def _check_blocks(events: list[dict[str, Any]], *, complete: bool) -> None:
    open_kind: str | None = None
    index = -1
    signed = False
    pieces: list[str] = []
    ids: set[str] = set()
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert open_kind is None, "one block is open at a time"
                index += 1
                block = event["content_block"]
                open_kind, signed, pieces = block["type"], False, []
                if open_kind == "tool_use":
                    assert block["id"] not in ids, "ids are unique"
                    assert block["name"], "a call has a name"
                    assert block["input"] == {}, "a call begins without arguments"
                    ids.add(block["id"])
                elif open_kind in ("text", "thinking"):
                    assert block[open_kind] == "", "a block begins empty"
            case "content_block_delta":
                delta = event["delta"]
                assert open_kind is not None, "a delta belongs to an open block"
                assert delta["type"] in _DELTAS.get(open_kind, ()), "a delta is of its block's kind"
                assert not signed, "the signature is last"
                signed = delta["type"] == "signature_delta"
                pieces.append(delta.get("text", "") + delta.get("partial_json", ""))
            case _:
                assert open_kind is not None, "a stop belongs to an open block"
                assert open_kind != "text" or "".join(pieces), "no text block is empty"
                open_kind = None
        assert event["index"] == index, "indexes are 0, 1, 2 …"
    assert not complete or open_kind is None, "every block is closed"


def _check_end(event: dict[str, Any], body: list[dict[str, Any]]) -> None:
    assert sum(told["type"] == "message_delta" for told in body) == 1, "message_delta comes once"
    reason = event["delta"]["stop_reason"]
    assert reason in _REASONS, "a known reason"
    calls = any(told.get("content_block", {}).get("type") == "tool_use" for told in body)
    assert reason != "end_turn" or not calls, "an answer with calls does not end its turn"
    assert reason != "tool_use" or calls, "tool_use needs a call"
    assert (event["delta"].get("stop_sequence") is not None) <= (reason == "stop_sequence"), "a stop sequence is named"
    _check_counts(event["usage"])


def _check_counts(usage: dict[str, Any]) -> None:
    assert isinstance(usage["output_tokens"], int), "output is counted"
    for name in _COUNTS:
        count = usage.get(name)
        assert count is None or (isinstance(count, int) and count >= 0), "counts are not negative"
