"""The process's log: one line per event on standard error, never a secret, a prompt or an upstream's words.

As JSON each line is one object; as text it is a line for people. What an unexpected exception says is left out, since
it may quote what it failed on: its type and the places in the source say where to look. Lines of one call carry its id.
"""

import asyncio
import contextlib
import logging
import os
import select
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Literal, TextIO

import msgspec
from msgspec import UNSET
from msgspec.structs import asdict

from mira.core.call import CallRecord
from mira.errors import ConfigError, MiraError
from mira.observe.call_line import Over, call_lines, moment

#: The id of the request that the current task answers; empty elsewhere.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
#: The attribute of a log record that holds its members, beside the message.
MEMBERS = "members"
NO_MEMBERS: Mapping[str, Any] = {}
MOST_FRAMES = 20
#: What a pipe takes at once when it says that it takes something.
PIECE_BYTES = 4096
GATHERED_S = 0.1
MOST_GATHERED = 32 * 1024
#: What the line of a call counts for before it is in words.
CALL_CHARACTERS = 512

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
loop_log = logging.getLogger("mira.loop")


def configure(
    form: Literal["json", "text"] | None = None,
    level: Literal["debug", "info", "warning", "error"] = "info",
    *,
    out: TextIO | None = None,
) -> "Handler":
    """Sends Mira's log to standard error; without a form as text to a terminal, else as JSON.

    What libraries say is kept to warnings. Returns what takes the lines.
    """
    out = out or sys.stderr
    # Looked up for every line otherwise, and shown in none.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    as_text = form == "text" or (form is None and out.isatty())
    handler = Handler(out, TextFormatter() if as_text else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("mira").setLevel(LEVELS[level])
    return handler


def flush() -> None:
    """Writes what is still gathered, for whoever says something else next."""
    for handler in logging.getLogger().handlers:
        handler.flush()


class Handler(logging.Handler):
    """Writes lines, several at a time, and never waits for whoever reads them: no gateway must stand still for its log.

    On an event loop lines are gathered for `GATHERED_S`, since a write may cost more than what it carries; errors are
    written at once. What cannot be written is lost, and how many lines that were is told as soon as it can be.

    Calls that are over come past `logging`, whose way of a line costs more than the line. They keep their place among
    the others, and those in a row are put into words together, before the next line and when all is written.
    """

    def __init__(self, out: TextIO, form: "JsonFormatter | TextFormatter") -> None:
        super().__init__()
        self.setFormatter(form)
        self._out = out
        self._form = form
        self._lines: list[bytes] = []
        self._calls: list[Over] = []
        self._characters = 0
        self._timer: asyncio.TimerHandle | None = None
        self._lost = 0
        self._torn = False
        self._poll: select.poll | None = None
        try:
            self._fd = out.fileno()
        except OSError:
            return  # a stream in memory, which takes everything
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Takes the line of a record; what cannot be put into words counts as lost."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - a log that fails must not fail what it tells of
            self._lost += 1
            return
        self._word_calls()
        self._lines.append(_as_line(line))
        self._characters += len(line)
        if record.levelno >= logging.ERROR or self._characters > MOST_GATHERED or not self._flushed_later():
            self.flush()

    def call_over(self, record: CallRecord, names_model: bool) -> None:
        """Takes a call that is over now, whose record is final; without `names_model` its model is a client's word."""
        self._calls.append(Over(time.time_ns() // 1_000_000, record, names_model))
        self._characters += CALL_CHARACTERS
        if self._characters > MOST_GATHERED or (self._timer is None and not self._flushed_later()):
            self.flush()

    def flush(self) -> None:
        """Writes what was gathered."""
        with self.lock or contextlib.nullcontext():
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._word_calls()
            lines, self._lines, self._characters = self._lines, [], 0
            if self._lost and lines and self._takes():
                lines.insert(0, _as_line(self.format(_of_lost(self._lost))))
                self._lost = 0
            if lines:
                self._write(b"".join(lines))

    def _word_calls(self) -> None:
        """Puts the calls that were gathered into words; one that cannot be put so counts as lost."""
        if not self._calls:
            return
        # The list itself stays, since the event loop adds to it without the lock.
        calls = self._calls[:]
        del self._calls[: len(calls)]
        if not self._has_worded(calls):
            # Most likely it is one of them.
            self._lost += sum(not self._has_worded([call]) for call in calls)

    def _has_worded(self, calls: list[Over]) -> bool:
        try:
            self._lines.append(self._form.of_calls(calls))
        except Exception:  # noqa: BLE001 - as in `emit`
            return False
        return True

    def _flushed_later(self) -> bool:
        if self._timer is None:
            try:
                self._timer = asyncio.get_running_loop().call_later(GATHERED_S, self.flush)
            except RuntimeError:
                return False  # another thread, or no loop at all
        return True

    def _write(self, data: bytes) -> None:
        if self._poll is None:
            self._out.write(data.decode())
            return
        data = (b"\n" if self._torn else b"") + data
        sent = 0
        try:
            while sent < len(data) and self._takes():
                sent += os.write(self._fd, data[sent : sent + PIECE_BYTES])
        except OSError:
            pass  # whoever read it is gone
        self._lost += data[sent:].count(b"\n")
        self._torn = sent > 0 and data[sent - 1 : sent] != b"\n"

    def _takes(self) -> bool:
        return self._poll is None or bool(self._poll.poll(0))


def _as_line(text: str) -> bytes:
    return f"{text}\n".encode(errors="backslashreplace")


def _of_lost(lines: int) -> logging.LogRecord:
    """A record that says how many lines were lost."""
    level = logging.WARNING
    about = {"name": __name__, "levelno": level, "levelname": logging.getLevelName(level)}
    return logging.makeLogRecord({**about, "msg": "lines of the log were lost", MEMBERS: {"lines": lines}})


def on_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Takes what the event loop has to say of tasks and callbacks, whose own words would quote their values."""
    error = context.get("exception")
    loop_log.error("%s", context["message"], exc_info=error if isinstance(error, BaseException) else None)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: `time`, `level`, `logger`, `message`, `request_id` where known, then the members."""

    def __init__(self) -> None:
        super().__init__()
        encoder = msgspec.json.Encoder()
        self._encode, self._encode_lines = encoder.encode, encoder.encode_lines

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line = _head(record)
        members = getattr(record, MEMBERS, NO_MEMBERS)
        if "request_id" not in members and (request_id := REQUEST_ID.get()):
            line["request_id"] = request_id
        if record.exc_info and record.exc_info[1] is not None:
            members = {**members, "exception": "".join(trace(record.exc_info[1]))}
        if not members:
            return self._encode(line).decode()
        # Two objects made one: to put the members into the first costs more than to write them.
        return (self._encode(line)[:-1] + b"," + self._encode(members)[1:]).decode()

    def of_calls(self, calls: Iterable[Over]) -> bytes:
        """The lines of calls that are over, each with its end."""
        return self._encode_lines(call_lines(calls))


class TextFormatter(logging.Formatter):
    """A line for people: time, level, logger, message, then the members as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record; an exception follows on lines of its own."""
        members = dict(getattr(record, MEMBERS, ()))
        if request_id := REQUEST_ID.get():
            members.setdefault("request_id", request_id)
        line = _in_words(_head(record) | members)
        if record.exc_info and record.exc_info[1] is not None:
            line += "\n" + "".join(trace(record.exc_info[1])).rstrip()
        return line

    def of_calls(self, calls: Iterable[Over]) -> bytes:
        """The lines of calls that are over, each with its end."""
        return b"".join(map(_as_line, map(_in_words, map(asdict, call_lines(calls)))))


def trace(error: BaseException) -> Iterator[str]:
    """An exception and what led to it, the first cause first: places, types, and words only where they are Mira's."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    for number, link in enumerate(reversed(chain)):
        if number:
            yield "Which led to:\n"
        yield "Traceback (most recent call last):\n"
        yield from traceback.format_tb(link.__traceback__, limit=-MOST_FRAMES)
        yield f"{type(link).__module__}.{type(link).__qualname__}{_words(link)}\n"


def _words(error: BaseException) -> str:
    if isinstance(error, MiraError | ConfigError):
        return f": {error}"
    if isinstance(error, OSError) and error.strerror:
        return f": {error.strerror}"
    return ""


def _head(record: logging.LogRecord) -> dict[str, Any]:
    """What every line begins with."""
    return {
        "time": moment(int(record.created * 1000)),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }


def _in_words(line: dict[str, Any]) -> str:
    words = [line.pop("time"), line.pop("level").upper(), f"{line.pop('logger')}:", _one_line(line.pop("message"))]
    words += [f"{name}={_shown(value)}" for name, value in line.items() if value is not None and value is not UNSET]
    return " ".join(words)


def _one_line(text: str) -> str:
    """Text in which nothing can pass for another line or for a terminal's command."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return _one_line(text) if text and " " not in text else msgspec.json.encode(text).decode()
