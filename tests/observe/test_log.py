"""The log: one line per event, in two forms, with the request's id and without what exceptions quote."""

import asyncio
import contextlib
import io
import json
import logging
import os
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.core.call import CallRecord, Tried
from mira.core.usage import Usage
from mira.errors import Kind, MiraError
from mira.observe import log
from mira.observe.call_line import moment
from mira.observe.calls import Observer
from mira.observe.metrics import Metrics, Standing

SECRET = "canary-secret"


@pytest.fixture
def written():
    """What is logged under `mira.test`, in a form that the test chooses."""
    out = io.StringIO()
    logger = logging.getLogger("mira.test")
    handler = logging.StreamHandler(out)
    handler.setFormatter(log.JsonFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield logger, handler, out
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def failing(secret):
    try:
        {}[secret]
    except KeyError as error:
        raise ValueError(f"could not use {secret}") from error


@pytest.mark.parametrize("form", [log.JsonFormatter, log.TextFormatter])
def test_an_exception_is_logged_with_its_place_and_without_its_words(written, form):
    logger, handler, out = written
    handler.setFormatter(form())
    try:
        failing(SECRET)
    except ValueError:
        logger.exception("it failed")
    text = out.getvalue()
    assert SECRET not in text
    for word in ("Traceback", "KeyError", "ValueError", "in failing", "test_log.py", "Which led to:"):
        assert word in text, word
    assert text.index("KeyError") < text.index("builtins.ValueError")


def test_words_of_our_own_errors_are_kept(written):
    logger, _, out = written
    try:
        raise MiraError(Kind.NO_CREDITS, "the balance is too low")
    except MiraError:
        logger.exception("refused")
    assert "the balance is too low" in json.loads(out.getvalue())["exception"]


def test_json_is_one_object_per_line_whatever_is_said(written):
    logger, _, out = written
    logger.warning("two\nlines \x1b[31m %s", "\u2028 and more")
    logger.info("next", extra={log.MEMBERS: {"status": 200, "node": None}})
    first, second = (json.loads(line) for line in out.getvalue().split("\n")[:-1])
    assert (first["level"], first["logger"], first["message"]) == (
        "warning", "mira.test", "two\nlines \x1b[31m \u2028 and more"
    )  # fmt: skip
    assert second["status"] == 200


def test_text_keeps_an_event_on_its_line_and_a_terminal_out_of_reach(written):
    logger, handler, out = written
    handler.setFormatter(log.TextFormatter())
    logger.info("two\nlines \x1b[31m", extra={log.MEMBERS: {"node": "a b", "key": "x\ny", "none": None, "status": 200}})
    line = out.getvalue()
    assert line.count("\n") == 1
    assert "\x1b" not in line
    assert line.endswith('INFO mira.test: two\\nlines \\x1b[31m node="a b" key=x\\ny status=200\n')


async def test_every_line_of_a_request_has_its_id_and_no_other_has(written):
    logger, _, out = written
    observer = Observer(Metrics(version="1", models=tuple, nodes=tuple, standing=Standing), None)
    both_began = asyncio.Barrier(2)

    async def answer(request_id):
        observer.began(request_id)
        await both_began.wait()
        logger.info("about %s", request_id)

    await asyncio.gather(answer("req_1"), answer("req_2"))
    logger.info("about nobody")
    for line in map(json.loads, out.getvalue().splitlines()):
        assert line["message"] == f"about {line.get('request_id', 'nobody')}"


def over(**more):
    return CallRecord(
        face="proxy", protocol="chat",
        started_at_ms=1, first_content_ms=20, duration_ms=30, attempts=2, billed_nanocredits=17_000,
        **{
            "request_id": "req_1", "client_request_id": "mine", "workspace_id": "ws", "key_id": "key_1",
            "model": "m/known", "node": "a", "status": 200, "held_nanocredits": 50_000,
            "tried": (Tried("b", "upstream_timeout"),), "usage": Usage(input_tokens=11, output_tokens=3), **more,
        },
    )  # fmt: skip


def watching(form):
    """An observer, and what its handler wrote once that is flushed."""
    metrics = Metrics(version="1", models=lambda: {"m/known"}, nodes=lambda: {"a", "b"}, standing=Standing)
    out = io.StringIO()
    handler = log.Handler(out, form)
    return Observer(metrics, handler), handler, out


@pytest.fixture
def level():
    """Sets the level from which lines of calls are told."""
    logger = logging.getLogger("mira.calls")
    logger.setLevel(logging.INFO)
    yield logger.setLevel
    logger.setLevel(logging.NOTSET)


async def test_a_call_is_one_line_with_what_its_record_says(level):
    observer, handler, out = watching(log.JsonFormatter())
    before = time.time()
    observer.ended(over())
    observer.ended(over(model=SECRET, node=None, status=503, error="unavailable"))
    observer.ended(over(workspace_id="", key_id="", tried=(), usage=Usage(), held_nanocredits=0))
    handler.flush()
    first, second, third = map(json.loads, out.getvalue().splitlines())
    told_at = datetime.fromisoformat(first.pop("time")).timestamp()
    assert before - 0.001 <= told_at <= time.time()
    assert first == {
        "level": "info", "logger": "mira.calls", "message": "call", "request_id": "req_1", "client_request_id": "mine",
        "upstream_request_id": None,
        "workspace_id": "ws", "key_id": "key_1", "surface": "proxy", "protocol": "chat", "model": "m/known",
        "node": "a", "stream": False, "attempts": 2, "status": 200, "error": None, "first_content_ms": 20,
        "duration_ms": 30, "failed_attempts": [{"node": "b", "reason": "upstream_timeout"}],
        "tokens": {"input": 11, "output": 3}, "estimated": False, "cost": "0.000017",
    }  # fmt: skip
    assert (second["level"], second["model"], second["error"]) == ("warning", None, "unavailable")
    assert (third["workspace_id"], third["key_id"]) == (None, None)
    assert not {"failed_attempts", "tokens", "estimated", "cost"} & third.keys()


async def test_as_text_a_call_is_one_line_of_what_it_says(level):
    observer, handler, out = watching(log.TextFormatter())
    observer.ended(over())
    observer.ended(over(tried=(), usage=Usage(), held_nanocredits=0))
    handler.flush()
    first, second = out.getvalue().splitlines()
    assert first.partition(" ")[2] == (
        "INFO mira.calls: call request_id=req_1 client_request_id=mine workspace_id=ws key_id=key_1 surface=proxy "
        "protocol=chat model=m/known node=a stream=false attempts=2 status=200 first_content_ms=20 duration_ms=30 "
        'failed_attempts=[{"node":"b","reason":"upstream_timeout"}] tokens={"input":11,"output":3} estimated=false '
        "cost=0.000017"
    )
    assert second.endswith(" duration_ms=30")


async def test_calls_are_told_from_the_level_of_their_logger_on(level):
    level(logging.WARNING)
    observer, handler, out = watching(log.JsonFormatter())
    observer.ended(over())
    observer.ended(over(status=503))
    level(logging.ERROR)
    Observer(Metrics(version="1", models=set, nodes=set, standing=Standing), handler).ended(over(status=503))
    handler.flush()
    assert [json.loads(line)["status"] for line in out.getvalue().splitlines()] == [503]


async def test_calls_keep_their_place_among_other_lines_and_one_that_cannot_be_told_is_lost_alone(level):
    observer, handler, out = watching(log.JsonFormatter())
    handler.handle(logging.LogRecord("mira.test", logging.INFO, "", 0, "one", None, None))
    observer.ended(over(request_id="two"))
    observer.ended(over(client_request_id="\ud800"))
    observer.ended(over(request_id="three"))
    handler.handle(logging.LogRecord("mira.test", logging.INFO, "", 0, "four", None, None))
    observer.ended(over(request_id="five"))
    handler.flush()
    lost, *lines = map(json.loads, out.getvalue().splitlines())
    assert (lost["message"], lost["lines"]) == ("lines of the log were lost", 1)
    assert [line.get("request_id", line["message"]) for line in lines] == ["one", "two", "three", "four", "five"]


async def test_calls_wait_no_longer_than_other_lines_and_never_in_any_number(level):
    observer, _, out = watching(log.JsonFormatter())
    observer.ended(over())
    assert not out.getvalue()
    async with asyncio.timeout(120):
        while not out.getvalue():  # noqa: ASYNC110 - a stream in memory tells nobody
            await asyncio.sleep(0.01)
    begun = len(out.getvalue().splitlines())
    for _ in range(log.MOST_GATHERED // log.CALL_CHARACTERS + 1):
        observer.ended(over())
    assert len(out.getvalue().splitlines()) == begun + log.MOST_GATHERED // log.CALL_CHARACTERS + 1


def test_a_log_that_nobody_reads_does_not_hold_anybody_up_and_says_later_what_was_lost():
    read_fd, write_fd = os.pipe()
    record = logging.LogRecord("mira.test", logging.INFO, "", 0, "x" * 5000, None, None)
    with os.fdopen(write_fd, "w") as out, os.fdopen(read_fd, "rb", buffering=0) as reader:
        handler = log.Handler(out, log.JsonFormatter())
        for _ in range(200):
            handler.handle(record)  # a megabyte, into a pipe of 64 KiB
        whole = reader.read(65_536)
        handler.handle(record)
        whole += reader.read(65_536)
    *lines, told, line = whole.decode().splitlines()
    torn = [line for line in lines if not line.endswith("}")]
    assert torn in ([], lines[-1:]), "a line that was begun stays alone"
    told, line = json.loads(told), json.loads(line)
    assert (told["level"], told["message"]) == ("warning", "lines of the log were lost")
    assert 180 < told["lines"] < 200
    assert line["message"] == "x" * 5000


def test_a_log_whose_reader_is_gone_is_no_trouble():
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    with contextlib.suppress(BrokenPipeError), os.fdopen(write_fd, "w") as out:
        log.Handler(out, log.JsonFormatter()).handle(
            logging.LogRecord("mira.test", logging.INFO, "", 0, "anybody?", None, None)
        )


async def test_lines_are_gathered_on_a_loop_and_errors_are_not_waited_for():
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    with os.fdopen(write_fd, "w") as out, os.fdopen(read_fd, "rb", buffering=0) as reader:
        handler = log.Handler(out, log.JsonFormatter())

        def say(level, text):
            handler.handle(logging.LogRecord("mira.test", level, "", 0, text, None, None))

        say(logging.INFO, "one")
        say(logging.INFO, "two")
        assert reader.read() is None
        say(logging.ERROR, "three")
        assert [json.loads(line)["message"] for line in reader.read().splitlines()] == ["one", "two", "three"]
        say(logging.INFO, "four")
        async with asyncio.timeout(120):
            while (data := reader.read()) is None:  # noqa: ASYNC110 - a pipe without a transport
                await asyncio.sleep(0.01)
        assert json.loads(data)["message"] == "four"
        say(logging.INFO, "five")
        handler.flush()
        assert json.loads(reader.read())["message"] == "five"


async def test_what_the_event_loop_complains_of_is_logged_without_its_words(written):
    _, handler, out = written
    log.loop_log.addHandler(handler)
    try:
        log.on_loop_error(
            asyncio.get_running_loop(), {"message": "Task failed", "exception": ValueError(SECRET), "task": SECRET}
        )
    finally:
        log.loop_log.removeHandler(handler)
    line = json.loads(out.getvalue())
    assert line["message"] == "Task failed"
    assert "ValueError" in line["exception"]
    assert SECRET not in out.getvalue()


@given(st.integers(0, 4 * 10**12))
def test_a_line_tells_its_time_to_the_millisecond(unix_ms: int) -> None:
    told = moment(unix_ms)
    assert told == datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
