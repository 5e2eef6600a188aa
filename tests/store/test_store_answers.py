"""The memory of answers: per workspace, for an hour, and no longer."""

import pytest
from msgspec import Raw

from mira.store.answers import MOST_BYTES, RETENTION_MS, Answers


class Clock:
    def __init__(self) -> None:
        self.now_ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def answers(database, clock):
    return Answers(database, now_ms=clock)


SAID = (Raw(b'{"type":"message","role":"user"}'), Raw(b'{"id":"msg_1"}'))
ITEMS = {"msg_1": Raw(b'{"id":"msg_1"}')}


async def test_an_answer_and_its_items_are_found_byte_for_byte(answers):
    await answers.keep("ws_a", "resp_1", SAID, ITEMS)
    context, items = await answers.find("ws_a", "resp_1", ["msg_1", "msg_2"])
    assert context is not None
    assert [bytes(raw) for raw in context] == [bytes(raw) for raw in SAID]
    assert {name: bytes(raw) for name, raw in items.items()} == {"msg_1": b'{"id":"msg_1"}'}


async def test_another_workspace_finds_nothing(answers):
    await answers.keep("ws_a", "resp_1", SAID, ITEMS)
    assert await answers.find("ws_b", "resp_1", ["msg_1"]) == (None, {})


async def test_what_is_older_than_the_retention_is_missing_and_then_gone(answers, clock, database):
    await answers.keep("ws_a", "resp_1", SAID, ITEMS)
    clock.now_ms += RETENTION_MS
    assert await answers.find("ws_a", "resp_1", ["msg_1"]) == (None, {})
    await answers.keep("ws_a", "resp_2", SAID, {})
    count = await database.read(lambda connection: connection.exec_driver_sql("SELECT count(*) FROM answer").scalar())
    assert count == 1


async def test_what_is_too_long_is_not_kept(answers):
    await answers.keep("ws_a", "resp_1", (Raw(b'"' + b"x" * MOST_BYTES + b'"'),), {})
    assert await answers.find("ws_a", "resp_1", []) == (None, {})
