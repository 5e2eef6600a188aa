"""The process's log: one line per event on standard error, never a secret, a prompt or an upstream's words.

As JSON each line is one object; as text it is a line for people. What an unexpected exception says is left out, since
it may quote what it failed on: its type and the places in the source say where to look. Lines of one call carry its id.
"""

import asyncio
import logging
import select
import sys
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec

from mira.errors import ConfigError, MiraError

#: The id of the request that the current task answers; empty elsewhere.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
#: The attribute of a log record that holds its members, beside the message.
MEMBERS = "members"
MOST_FRAMES = 20
#: What a pipe takes at once when it says that it takes something is 4 KiB; a character has at most four bytes.
PIECE_CHARACTERS = 1000

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
loop_log = logging.getLogger("mira.loop")


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


class Handler(logging.Handler):
    """Writes lines, but never waits for whoever reads them: a gateway must not stand still because its log does.

    What cannot be written is lost, and how much was is said as soon as lines can be written again.
    """

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out
        self._lost = 0
        self._torn = False
        self._poll: select.poll | None = None
        try:
            fd = out.fileno()
        except OSError:
            return  # a stream in memory, which takes everything
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the line of a record, or counts it as lost."""
        try:
            line = self.format(record)
            if self._lost and self._takes():
                lost, self._lost = self._lost, 0
                word = logging.LogRecord(__name__, logging.WARNING, "", 0, "lines of the log were lost", None, None)
                setattr(word, MEMBERS, {"lines": lost})
                line = f"{self.format(word)}\n{line}"
            self._write(f"{line}\n")
        except Exception:  # noqa: BLE001 - a log that fails must not fail what it tells of
            self._lost += 1

    def _write(self, text: str) -> None:
        for start in range(0, len(text), PIECE_CHARACTERS):
            if not self._takes():
                self._lost += 1
                self._torn = self._torn or start > 0
                return
            if self._torn:
                self._torn = False
                self._out.write("\n")
            self._out.write(text[start : start + PIECE_CHARACTERS])
            self._out.flush()

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
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        line.update(getattr(record, MEMBERS, ()))
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = "".join(trace(record.exc_info[1]))
        return self._encode(line).decode()


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
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _one_line(text: str) -> str:
    """Text in which nothing can pass for another line or for a terminal's command."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return _one_line(text) if text and " " not in text else msgspec.json.encode(text).decode()
