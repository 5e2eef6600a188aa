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
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, TextIO

import msgspec

from mira.errors import ConfigError, MiraError

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

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
loop_log = logging.getLogger("mira.loop")


class Line(logging.LogRecord):
    """A record with members and without a place in the source, which would cost more to find than the line."""

    def __init__(self, logger: str, level: int, message: str, members: dict[str, Any]) -> None:
        # Every attribute of a record, since somebody's formatter may ask for any; those of a place are empty.
        self.__dict__ = _PLACELESS.copy()
        self.name, self.msg = logger, message
        self.levelno, self.levelname = level, logging.getLevelName(level)
        self.created = time.time()
        setattr(self, MEMBERS, members)


_PLACELESS = vars(logging.LogRecord("", 0, "", 0, "", None, None))


def configure(
    form: Literal["json", "text"] | None = None,
    level: Literal["debug", "info", "warning", "error"] = "info",
    *,
    out: TextIO | None = None,
) -> None:
    """Sends Mira's log to standard error; without a form as text to a terminal, else as JSON.

    What libraries say is kept to warnings.
    """
    out = out or sys.stderr
    # Looked up for every line otherwise, and shown in none.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = Handler(out)
    as_text = form == "text" or (form is None and out.isatty())
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("mira").setLevel(LEVELS[level])


def flush() -> None:
    """Writes what is still gathered, for whoever says something else next."""
    for handler in logging.getLogger().handlers:
        handler.flush()


class Handler(logging.Handler):
    """Writes lines, several at a time, and never waits for whoever reads them: no gateway must stand still for its log.

    On an event loop lines are gathered for `GATHERED_S`, since a write may cost more than what it carries; errors are
    written at once. What cannot be written is lost, and how many lines that were is told as soon as it can be.
    """

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out
        self._lines: list[str] = []
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
        self._lines.append(line)
        self._characters += len(line)
        if record.levelno >= logging.ERROR or self._characters > MOST_GATHERED or not self._flushed_later():
            self.flush()

    def flush(self) -> None:
        """Writes what was gathered."""
        with self.lock or contextlib.nullcontext():
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            lines, self._lines, self._characters = self._lines, [], 0
            if self._lost and lines and self._takes():
                word = Line(__name__, logging.WARNING, "lines of the log were lost", {"lines": self._lost})
                self._lost = 0
                lines.insert(0, self.format(word))
            if lines:
                self._write("\n".join((*lines, "")))

    def _flushed_later(self) -> bool:
        if self._timer is None:
            try:
                self._timer = asyncio.get_running_loop().call_later(GATHERED_S, self.flush)
            except RuntimeError:
                return False  # another thread, or no loop at all
        return True

    def _write(self, text: str) -> None:
        if self._poll is None:
            self._out.write(text)
            return
        data = (b"\n" if self._torn else b"") + text.encode(errors="backslashreplace")
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


def on_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Takes what the event loop has to say of tasks and callbacks, whose own words would quote their values."""
    error = context.get("exception")
    loop_log.error("%s", context["message"], exc_info=error if isinstance(error, BaseException) else None)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: `time`, `level`, `logger`, `message`, `request_id` where known, then the members."""

    def __init__(self) -> None:
        super().__init__()
        self._encode = msgspec.json.Encoder().encode

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        members = getattr(record, MEMBERS, NO_MEMBERS)
        if "request_id" not in members and (request_id := REQUEST_ID.get()):
            line["request_id"] = request_id
        if record.exc_info and record.exc_info[1] is not None:
            members = {**members, "exception": "".join(trace(record.exc_info[1]))}
        if not members:
            return self._encode(line).decode()
        # Two objects made one: to put the members into the first costs more than to write them.
        return (self._encode(line)[:-1] + b"," + self._encode(members)[1:]).decode()


class TextFormatter(logging.Formatter):
    """A line for people: time, level, logger, message, then the members as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record; an exception follows on lines of its own."""
        words = [_time(record), record.levelname, f"{record.name}:", _one_line(record.getMessage())]
        members = dict(getattr(record, MEMBERS, ()))
        if request_id := REQUEST_ID.get():
            members.setdefault("request_id", request_id)
        words += [f"{name}={_shown(value)}" for name, value in members.items() if value is not None]
        line = " ".join(words)
        if record.exc_info and record.exc_info[1] is not None:
            line += "\n" + "".join(trace(record.exc_info[1])).rstrip()
        return line


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


def _time(record: logging.LogRecord) -> str:
    second = int(record.created)
    return f"{_second(second)}.{int((record.created - second) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second(unix_s: int) -> str:
    """A second in words; thousands of lines may be of the same one."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat().removesuffix("+00:00")


def _one_line(text: str) -> str:
    """Text in which nothing can pass for another line or for a terminal's command."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return _one_line(text) if text and " " not in text else msgspec.json.encode(text).decode()
