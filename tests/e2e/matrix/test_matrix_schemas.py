"""The schemas that the table's answers are held against do find what is wrong."""

import json
from pathlib import Path

import pytest
from tests.support.schemas import check

VECTORS = Path(__file__).parents[2] / "vectors"


def events(protocol: str) -> list[dict]:
    data = (VECTORS / protocol / "golden.sse").read_text()
    return [json.loads(line[6:]) for line in data.splitlines() if line.startswith("data: {")]


@pytest.mark.parametrize("protocol", ["chat", "messages", "responses"])
def test_the_golden_streams_are_as_their_vendors_say(protocol):
    told = events(protocol)
    assert len(told) > 5
    for event in told:
        check(protocol, "event", event)


def broken(protocol: str, kind: str | None, change) -> dict:
    """A golden event with a mistake in it."""
    event = next(one for one in events(protocol) if kind in (None, one.get("type")))
    change(event)
    return event


@pytest.mark.parametrize(
    ("protocol", "kind", "change"),
    [
        ("chat", None, lambda event: event.pop("created")),
        ("chat", None, lambda event: event["choices"][0].update(finish_reason="tired")),
        ("chat", None, lambda event: event["choices"][0]["delta"].update(role="robot")),
        ("messages", "message_start", lambda event: event["message"]["usage"].pop("input_tokens")),
        ("messages", "message_delta", lambda event: event["delta"].update(stop_reason="tired")),
        ("messages", "content_block_start", lambda event: event["content_block"].update(type="odd")),
        ("messages", "content_block_delta", lambda event: event.pop("index")),
        ("responses", "response.created", lambda event: event["response"].pop("tools")),
        ("responses", "response.completed", lambda event: event["response"].update(status="odd")),
        ("responses", "response.completed", lambda event: event["response"]["output"][0].pop("id")),
        ("responses", "response.output_text.delta", lambda event: event.pop("sequence_number")),
    ],
)
def test_a_mistake_in_an_event_is_found(protocol, kind, change):
    with pytest.raises(AssertionError):
        check(protocol, "event", broken(protocol, kind, change))


def test_a_mistake_in_an_error_is_found():
    check("chat", "error", {"error": {"message": "No.", "type": "x", "param": None, "code": None}})
    with pytest.raises(AssertionError, match="param"):
        check("chat", "error", {"error": {"message": "No.", "type": "x", "code": None}})
    check("messages", "error", {"type": "error", "error": {"type": "api_error", "message": "No."}})
    with pytest.raises(AssertionError):
        check("messages", "error", {"type": "error", "error": {"type": "odd_error", "message": "No."}})


def test_an_event_that_no_vendor_knows_is_found():
    with pytest.raises(AssertionError, match=r"response\.odd"):
        check("responses", "event", {"type": "response.odd", "sequence_number": 1})
