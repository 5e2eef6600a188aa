"""The grammar of a Responses stream, as a check over the bytes that a client gets."""

import json
from typing import Any

TERMINALS = ("response.completed", "response.incomplete", "response.failed", "error")
#: What a delta's event is called, the done event that repeats it, and the field that holds the whole.
SAID = {
    "response.output_text": "text",
    "response.refusal": "refusal",
    "response.reasoning_summary_text": "text",
    "response.reasoning_text": "text",
    "response.function_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
}
PARTS = {
    "response.content_part.added": "response.content_part.done",
    "response.reasoning_summary_part.added": "response.reasoning_summary_part.done",
}


def check_responses_stream(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream that keeps every rule; AssertionError with the rule that it breaks.

    Checked: framing, dense numbers, created and in_progress first, items that are added before anything is said in
    them and done before a success, dense output indexes, parts that open and close, deltas that add up to what their
    `done` repeats, items in the terminal that equal those that were done, usage, and one terminal.
    """
    events = _events(data)
    assert [event["sequence_number"] for event in events] == list(range(len(events))), "numbers are dense"
    kinds = [event["type"] for event in events]
    assert kinds[-1] in TERMINALS, "a stream ends in a terminal"
    assert not set(kinds[:-1]) & set(TERMINALS), "there is one terminal"
    if kinds[-1] == "error":
        assert events[-1]["message"], "an error has a message"
        assert len(events) == 1, "a response that began ends in response.failed"
        return events
    begun = [kind for kind in kinds[:2] if kind != "response.failed"]
    assert begun == ["response.created", "response.in_progress"][: len(begun)], (
        "a response is created, then in progress"
    )
    assert not set(kinds[2:]) & {"response.created", "response.in_progress"}, "a response begins once"
    items = _Items()
    for event in events[2:-1]:
        items.take(event)
    _check_terminal(events, items)
    return events


def _events(data: bytes) -> list[dict[str, Any]]:
    text = data.decode()
    assert "\r" not in text, "lines end in LF"
    assert text.endswith("\n\n"), "the last frame is closed"
    events = []
    for frame in text[:-2].split("\n\n"):
        name, line = frame.split("\n")
        assert name.startswith("event: "), "a frame names its event"
        assert line.startswith("data: "), "a frame has one line of data"
        event = json.loads(line[6:])
        assert event["type"] == name[7:], "the name is the type"
        events.append(event)
    return events


class _Items:
    def __init__(self) -> None:
        self.open: dict[int, dict[str, Any]] = {}
        self.done: dict[int, dict[str, Any]] = {}
        self.count = 0
        self.said: dict[tuple[object, ...], str] = {}
        self.parts: set[tuple[object, ...]] = set()

    def take(self, event: dict[str, Any]) -> None:
        kind, index = event["type"], event["output_index"]
        if kind == "response.output_item.added":
            assert index == self.count, "output indexes are dense"
            self.count += 1
            self.open[index] = event["item"]
            return
        assert index in self.open, "nothing is said in an item that is not open"
        if kind == "response.output_item.done":
            self._close(index, event["item"])
            return
        assert event["item_id"] == self.open[index]["id"], "an event names its item"
        place = (index, event.get("content_index"), event.get("summary_index"))
        if kind in PARTS:
            assert place not in self.parts, "a part is added once"
            self.parts.add(place)
        elif kind in PARTS.values():
            assert place in self.parts, "a part that is done was added"
            self.parts.discard(place)
        elif kind == "response.output_text.annotation.added":
            assert place in self.parts, "a citation is of an open part"
        else:
            self._say(kind, event, place)

    def _say(self, kind: str, event: dict[str, Any], place: tuple[object, ...]) -> None:
        stem, _, step = kind.rpartition(".")
        assert stem in SAID, f"a known event, not {kind}"
        if stem in ("response.output_text", "response.refusal", "response.reasoning_summary_text"):
            assert place in self.parts, "words stand in an open part"
        if stem == "response.output_text":
            assert event["logprobs"] == [], "texts have log probabilities"
        if step == "delta":
            assert event["delta"], "no delta is empty"
            self.said[place] = self.said.get(place, "") + event["delta"]
        else:
            whole = event[SAID[stem]]
            assert whole == self.said.get(place, "{}" if "function" in stem else ""), "done repeats the whole"

    def _close(self, index: int, item: dict[str, Any]) -> None:
        begun = self.open.pop(index)
        assert begun["id"] == item["id"], "an item keeps its id"
        assert begun["type"] == item["type"], "an item keeps its type"
        assert not any(part[0] == index for part in self.parts), "parts are done before their item"
        for name in ("call_id", "name", "namespace"):
            assert begun.get(name) == item.get(name), "a call keeps its name"
        self.done[index] = item


def _check_terminal(events: list[dict[str, Any]], items: _Items) -> None:
    kind, response = events[-1]["type"], events[-1]["response"]
    status = kind.removeprefix("response.")
    assert response["status"] == status, "the terminal's status is its name"
    first = events[0]["response"]
    for name in ("id", "object", "created_at", "model", "tools", "tool_choice", "parallel_tool_calls"):
        assert response[name] == first[name], f"{name} stays the same"
    assert response["object"] == "response", "the object is response"
    assert first["output"] == [], "a response begins empty"
    assert first["status"] == "in_progress", "a response begins in progress"
    if status == "failed":
        assert response["error"]["message"], "a failure has a message"
        assert response["error"]["code"], "a failure has a code"
        assert response["usage"] is None, "a failure tells no usage"
        return
    assert not items.open, "every item is done"
    assert response["output"] == [items.done[index] for index in range(items.count)], "the output repeats the items"
    assert len({item["id"] for item in response["output"]}) == items.count, "ids are unique"
    assert (response["incomplete_details"] is None) == (status == "completed"), "an incomplete answer says why"
    usage = response["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"], "the total is the sum"
